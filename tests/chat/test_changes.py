"""C6: status and preferences."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.chat.conversations import merge_patch
from dynamo_chat.core.errors import InvalidArgument, ItemTooLarge, NotFound
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import not_there, say
from tests.laws.strategies import same
from tests.scene import DAY, Scene, just_before, requests

pytestmark = pytest.mark.engine

RFC_7396: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""The examples in the appendix of RFC 7396."""


@pytest.mark.parametrize(("present", "patch", "merged"), RFC_7396)
def test_a_merge_is_a_json_merge_patch(present: Any, patch: Any, merged: Any) -> None:
    """Example by example; what was there is not changed in place."""
    before = repr(present)
    assert merge_patch(present, patch) == merged
    assert repr(present) == before


def test_preferences_are_merged(store: ChatStore, clock: FakeClock) -> None:
    """In two requests, and nothing else of the conversation changes."""
    made = store.conversations.create("u-1", title="T", preferences={"a": {"x": 1, "y": 2}, "b": 1})
    clock.advance(DAY)
    with requests(store, 2):
        merged = store.conversations.merge_preferences(
            made.conversation_id, {"a": {"x": None, "z": [None, 1.0]}, "b": None, "c": ""}
        )
    assert same(merged.preferences, {"a": {"y": 2, "z": [None, 1.0]}, "c": ""})
    assert merged == store.conversations.get(made.conversation_id)
    assert merged == made.model_copy(update={"preferences": merged.preferences})


def test_preferences_are_replaced(store: ChatStore) -> None:
    """By any JSON object, an empty one too."""
    made = store.conversations.create("u-1", preferences={"a": 1})
    for wanted in ({"b": [1, {"c": None}]}, {}, {"": 0}, {"k": "v" * 5_000}, {"k": "w" * 5_000}):
        with requests(store, 2):
            changed = store.conversations.set_preferences(made.conversation_id, wanted)
        assert same(changed.preferences, wanted)
        assert same(store.conversations.get(made.conversation_id).preferences, wanted)


def test_large_preferences_are_compressed_and_compared(store: ChatStore) -> None:
    """In the same two requests as small ones."""
    long = {"taste": "drama and comedy " * 500}
    made = store.conversations.create("u-1", preferences=long)
    with requests(store, 2):
        merged = store.conversations.merge_preferences(made.conversation_id, {"n": 1})
    assert merged.preferences == {**long, "n": 1}


def test_merges_of_two_stores_both_take_effect(scene: Scene, store: ChatStore) -> None:
    """Whoever loses the race reads again and merges into what is there then."""
    store.conversations.create("u-1", conversation_id="c-1", preferences={"n": 0})
    other = scene.new_store().conversations
    for theirs in ("x", "y" * 3_000):
        with just_before(
            store.connection,
            "TransactWriteItems",
            partial(other.merge_preferences, "c-1", {"theirs": theirs}),
        ):
            store.conversations.merge_preferences("c-1", {"mine": theirs})
        expected = {"n": 0, "theirs": theirs, "mine": theirs}
        assert store.conversations.get("c-1").preferences == expected


def test_a_status_set_while_a_message_arrives(scene: Scene, store: ChatStore) -> None:
    """The activity that the list goes by is the message's, whoever was first."""
    store.conversations.create("u-1", conversation_id="c-1")
    other = scene.new_store()
    with just_before(store, "UpdateItem", lambda: say(other, "c-1", "hello")):
        changed = store.conversations.set_status("c-1", "archived")
    assert changed.message_count == 1
    (listed,) = store.conversations.list_by_activity("u-1", status="archived")
    assert listed == changed
    assert not store.conversations.list_by_activity("u-1").items


@pytest.mark.parametrize("value", [None, "text", [1], 5, {1: 2}, {"a": {1}}, {"a": float("inf")}])
def test_bad_preferences(store: ChatStore, value: Any) -> None:
    """Named, and nothing is sent."""
    for name, call in (
        ("preferences", store.conversations.set_preferences),
        ("changes", store.conversations.merge_preferences),
    ):
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            call("c-1", value)
        assert refused.value.argument == name


def test_preferences_that_do_not_fit(scene: Scene, store: ChatStore) -> None:
    """Refused with the size and the limit, and nothing is written."""
    store.conversations.create("u-1", conversation_id="c-1", preferences={"a": 1})
    before = scene.items()
    noise = {str(n): f"{(n * 2_654_435_761) % 2**61:x}" for n in range(60_000)}
    for call in (store.conversations.set_preferences, store.conversations.merge_preferences):
        with pytest.raises(ItemTooLarge) as refused:
            call("c-1", noise)
        assert refused.value.argument == "preferences"
        assert refused.value.size is not None
        assert refused.value.size > refused.value.limit
    assert scene.items() == before


def test_status(store: ChatStore, clock: FakeClock) -> None:
    """In two requests, and nothing else changes; setting it again is no error."""
    made = store.conversations.create("u-1", title="T", retention=DAY)
    say(store, made.conversation_id, "hello")
    before = store.conversations.get(made.conversation_id)
    for status in ("archived", "archived", "active", "active"):
        with requests(store, 2):
            changed = store.conversations.set_status(made.conversation_id, status)
        assert changed == before.model_copy(update={"status": status})
        assert store.conversations.get(made.conversation_id) == changed


@pytest.mark.parametrize("status", ["", "Active", "deleted", None, 5, ["active"]])
def test_bad_status(store: ChatStore, status: Any) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.conversations.set_status("c-1", status)
    assert refused.value.argument == "status"


def test_nothing_to_change(scene: Scene, store: ChatStore) -> None:
    """Not found: never there, deleted, expired; and nothing comes into being."""
    identities = not_there(scene, store)
    before = scene.items()
    for identity in identities:
        calls: list[Callable[[], object]] = [
            partial(store.conversations.set_status, identity, "archived"),
            partial(store.conversations.set_preferences, identity, {"a": 1}),
            partial(store.conversations.merge_preferences, identity, {"a": 1}),
            partial(store.conversations.rename, identity, "T"),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()
    assert scene.items() == before
