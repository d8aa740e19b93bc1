"""C21 and U9: many by their ids, in one request for each hundred."""

from typing import Any, assert_type

import pytest

from dynamo_chat import ChatStore, Conversation, Found
from dynamo_chat.core import repository
from dynamo_chat.core.errors import BatchIncomplete, InvalidArgument
from dynamo_chat.testing import FakeClock
from dynamo_chat.testing.faults import Unprocessed
from tests.scene import DAY, SECOND, Scene, faults, requests

pytestmark = pytest.mark.engine


def test_in_the_order_of_the_ids(store: ChatStore) -> None:
    """Each once; what is missing is named, in order, too."""
    made = [store.conversations.create("u-1", conversation_id=f"c-{n}") for n in range(4)]
    asked = ["c-2", "none", "c-0", "c-2", "", "c-3"]
    asked.remove("")
    with requests(store, 1):
        found = store.conversations.get_many([*asked, "nobody"])
    assert_type(found, Found[Conversation])
    assert list(found) == [made[2], made[0], made[3]]
    assert found.missing == ("none", "nobody")
    assert (found.remaining, found.unreadable, found.is_cut) == ((), (), False)
    with requests(store, 0):
        assert store.conversations.get_many([]) == ()


def test_users(store: ChatStore) -> None:
    """In the same way; a deleted one is missing."""
    ann, bob = (store.users.create(f"{name}@example.com", user_id=name) for name in ("ann", "bob"))
    with requests(store, 1):
        found = store.users.get_many(["bob", "cy", "ann"], consistent=True)
    assert list(found) == [bob, ann]
    assert found.missing == ("cy",)
    store.users.delete("ann")
    assert store.users.get_many(["ann"]).missing == ("ann",)


def test_of_one_owner(store: ChatStore, clock: FakeClock) -> None:
    """Another user's is as missing as an expired, a deleted and none."""
    store.conversations.create("u-1", conversation_id="mine")
    store.conversations.create("u-2", conversation_id="theirs")
    store.conversations.create("u-1", conversation_id="old", retention=DAY)
    store.conversations.create("u-1", conversation_id="gone")
    store.conversations.delete("gone")
    clock.advance(DAY + SECOND)
    ids = ["theirs", "old", "gone", "mine"]
    found = store.conversations.get_many(ids, user_id="u-1")
    assert [each.conversation_id for each in found] == ["mine"]
    assert found.missing == ("theirs", "old", "gone")


def test_what_cannot_be_read(scene: Scene, store: ChatStore) -> None:
    """Is told beside the others, to its owner only."""
    store.conversations.create("u-1", conversation_id="c-1")
    store.conversations.create("u-1", conversation_id="c-2")
    damaged = next(item for item in scene.items() if "c-1" in item["PK"]["S"])
    scene.put({**damaged, "updated_at": {"S": "once"}})
    found = store.conversations.get_many(["c-1", "c-2"], user_id="u-1")
    assert [each.conversation_id for each in found] == ["c-2"]
    assert [each.identity["conversation_id"] for each in found.unreadable] == ["c-1"]
    assert store.conversations.get_many(["c-1"], user_id="u-2").missing == ("c-1",)


def test_more_than_a_batch(store: ChatStore) -> None:
    """A request for each hundred, and one for what was left over."""
    made = [store.conversations.create("u-1") for _ in range(105)]
    ids = [each.conversation_id for each in made]
    with requests(store, 2):
        assert store.conversations.get_many(ids, consistent=True) == tuple(made)
    with faults(store) as injector:
        injector.plan(Unprocessed(), operation="BatchGetItem", at=1)
        assert store.conversations.get_many(ids, consistent=True) == tuple(made)
        assert injector.injected
        assert injector.requests == 3


def test_left_over_for_good(store: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, never a missing conversation."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    store.conversations.create("u-1", conversation_id="c-1")
    with faults(store) as injector:
        injector.gamble({Unprocessed(last=100): 1.0}, seed=1)
        with pytest.raises(BatchIncomplete):
            store.conversations.get_many(["c-1"])


def test_very_large_ones(store: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory remains to be asked for."""
    monkeypatch.setattr(repository, "MAX_PAGE_BODY_BYTES", 100_000)
    wanted = {"text": "words " * 10_000}
    ids = [f"u-{n}" for n in range(5)]
    for each in ids:
        store.users.create(f"{each}@example.com", user_id=each, preferences=wanted)
    rest, seen = ids, []
    while rest:
        found = store.users.get_many(rest)
        assert found.missing == ()
        assert found.is_cut is bool(found.remaining)
        assert len(found) < len(ids)
        seen += [each.user_id for each in found]
        rest = list(found.remaining)
    assert seen == ids


@pytest.mark.parametrize(
    "ids",
    ["c-1", None, 5, ["c-1", 5], [""], ["\ud800"], ["x" * 5_000], ["x"] * 1_001, {"c": 1}],
)
def test_bad_ids(store: ChatStore, ids: Any) -> None:
    """Named, and nothing is sent."""
    for argument, call in (
        ("conversation_ids", store.conversations.get_many),
        ("user_ids", store.users.get_many),
    ):
        with requests(store, 0), pytest.raises(InvalidArgument, match=argument):
            call(ids)


def test_a_bad_owner(store: ChatStore) -> None:
    """Empty is not the same as not given."""
    with requests(store, 0), pytest.raises(InvalidArgument, match="user_id"):
        store.conversations.get_many(["c-1"], user_id="")
