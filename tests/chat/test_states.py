"""C19: a conversation's state is saved over the revision that was read."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import (
    CorruptItem,
    InvalidArgument,
    ItemTooLarge,
    NotFound,
    RevisionConflict,
)
from dynamo_chat.testing import FakeClock
from tests.laws.strategies import json_objects, same
from tests.scene import DAY, MINUTE, Scene, just_before, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", retention=DAY).conversation_id


def test_saved_and_read(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """One request each; the revision counts the saves."""
    with requests(store, 1):
        assert store.states.get(talk) is None
    states: list[dict[str, Any]] = [{"step": 1}, {}, {"step": 2, "": None}]
    for revision, data in enumerate(states):
        clock.advance(MINUTE)
        with requests(store, 1):
            saved = store.states.save(talk, data, revision=revision, user_id="u-1")
        assert (saved.revision, saved.saved_at, saved.data) == (revision + 1, clock(), data)
        assert saved.expires_at == store.conversations.get(talk).expires_at
        with requests(store, 1):
            assert store.states.get(talk, user_id="u-1") == saved
        assert store.states.get(talk, consistent=False) == saved


def test_somebody_saved_in_between(scene: Scene, store: ChatStore, talk: str) -> None:
    """The error carries what is there, and nothing is lost."""
    store.states.save(talk, {"step": 1})
    other = scene.new_store()
    with (
        just_before(
            store.connection,
            "TransactWriteItems",
            lambda: other.states.save(talk, {"step": "theirs"}, revision=1),
        ),
        pytest.raises(RevisionConflict, match="is at revision 2, not 1; read it") as refused,
    ):
        store.states.save(talk, {"step": "mine"}, revision=1)
    theirs = store.states.get(talk)
    assert theirs is not None
    assert refused.value.current == theirs
    assert theirs.data == {"step": "theirs"}
    assert store.states.save(talk, {"step": "mine"}, revision=2).revision == 3


@pytest.mark.parametrize("revision", [0, 2, 7])
def test_over_another_revision(scene: Scene, store: ChatStore, talk: str, revision: int) -> None:
    """Older, newer, or none where there is one."""
    saved = store.states.save(talk, {"step": 1})
    before = scene.items()
    with pytest.raises(RevisionConflict) as refused:
        store.states.save(talk, {"step": 2}, revision=revision)
    assert refused.value.current == saved
    assert scene.items() == before


def test_there_is_none_yet(store: ChatStore, talk: str) -> None:
    """To save over a revision it must be there."""
    with pytest.raises(RevisionConflict, match="there is no saved state; save over revision 0"):
        store.states.save(talk, {}, revision=1)


def test_saving_again(scene: Scene, store: ChatStore, talk: str, clock: FakeClock) -> None:
    """The same over the same returns what is there; what only looks the same does not."""
    saved = store.states.save(talk, {"n": 1, "m": [1.0]})
    clock.advance(MINUTE)
    before = scene.items()
    assert scene.new_store().states.save(talk, {"m": [1.0], "n": 1}) == saved
    for other in ({"n": True, "m": [1.0]}, {"n": 1.0, "m": [1.0]}, {"n": 1, "m": [1]}):
        with pytest.raises(RevisionConflict):
            store.states.save(talk, other)
    assert scene.items() == before


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=json_objects)
def test_any_json_comes_back_unchanged(store: ChatStore, data: dict[str, Any]) -> None:
    """Through the engine, too."""
    talk = store.conversations.create("u-1").conversation_id
    assert same(store.states.save(talk, data).data, data)
    read = store.states.get(talk)
    assert read is not None
    assert same(read.data, data)


def test_large_states(scene: Scene, store: ChatStore, talk: str) -> None:
    """Compressed where that helps; what does not fit is refused, and the old one stays."""
    long = {"notes": "remember this " * 50_000}
    assert store.states.save(talk, long).data == long
    noise = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(300_000))
    before = scene.items()
    with pytest.raises(ItemTooLarge) as refused:
        store.states.save(talk, {"noise": noise}, revision=1)
    assert refused.value.argument == "data"
    assert scene.items() == before


def test_no_conversation(scene: Scene, store: ChatStore) -> None:
    """Not found: to save to, or to read from."""
    with pytest.raises(NotFound):
        store.states.save("c-9", {})
    with pytest.raises(NotFound):
        store.states.get("c-9")
    assert scene.items() == []


def test_a_damaged_state(scene: Scene, store: ChatStore, talk: str) -> None:
    """Told."""
    store.states.save(talk, {"a": 1})
    scene.put({**scene.only("conversation_state"), "data": {"S": "["}})
    with pytest.raises(CorruptItem, match="a stored conversation_state cannot be read"):
        store.states.get(talk)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("conversation_id", ""),
        ("conversation_id", None),
        ("data", None),
        ("data", [1]),
        ("data", "x"),
        ("data", {1: 2}),
        ("data", {"a": {1}}),
        ("data", {"a": float("nan")}),
        ("data", {"\ud800": 1}),
        ("revision", -1),
        ("revision", 1.0),
        ("revision", True),
        ("revision", None),
    ],
)
def test_bad_arguments(
    scene: Scene, store: ChatStore, talk: str, argument: str, value: Any
) -> None:
    """Named, and nothing is written."""
    before = scene.items()
    arguments: dict[str, Any] = {"conversation_id": talk, "data": {}, argument: value}
    with pytest.raises(InvalidArgument) as refused:
        store.states.save(**arguments)
    assert refused.value.argument.split(".")[0] == argument
    assert scene.items() == before
