"""C16: a conversation goes with everything that belongs to it, and is gone at once."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, Feedback
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import FakeClock, Kill, Killed
from tests.chat.scenes import assistant, said, say, user
from tests.scene import DAY, SECOND, Scene, at_request, faults, requests

pytestmark = pytest.mark.engine


def filled(store: ChatStore, identity: str, messages: int = 4, **options: Any) -> list[str]:
    """A conversation with one of everything; the ids of its messages."""
    store.conversations.create("u-1", conversation_id=identity, title="T", **options)
    ids = [
        store.messages.append(
            identity, assistant(str(n), message_id=f"m-{n}" if n % 2 else None)
        ).message_id
        for n in range(messages)
    ]
    store.messages.give_feedback(identity, ids[0], Feedback(type="positive", rank=5, category="a"))
    store.states.save(identity, {"step": 1})
    for number in range(2):
        store.reviews.create(identity, "admin", review_id=f"r-{identity}-{number}")
    store.reviews.archive(f"r-{identity}-0")
    return ids


def test_everything_goes_and_nothing_of_others(scene: Scene, store: ChatStore) -> None:
    """In the table and in every index; the number of items is told."""
    filled(store, "kept")
    before = scene.items()
    filled(store, "gone")
    with requests(store, 5):  # what lists show, that with the tombstone, two pages, the rest
        count = store.conversations.delete("gone")
    assert scene.items() == before
    # The head; 4 messages, 2 of them with id items; state, title; 2 reviews.
    assert count == 1 + 4 + 2 + 1 + 1 + 2


def test_a_conversation_of_any_size(scene: Scene, store: ChatStore) -> None:
    """In 3 + ⌈items/98⌉ + ⌈MB⌉ requests."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    for start in range(0, 120, 40):
        store.messages.append_turn("c-1", [user(str(start + n)) for n in range(40)])
    with requests(store, 3 + 2 + 1):
        store.conversations.delete("c-1")
    assert scene.items() == []


def test_deleting_what_is_not_there(store: ChatStore, clock: FakeClock) -> None:
    """Never there, deleted before, expired: not found."""
    filled(store, "gone")
    store.conversations.delete("gone")
    filled(store, "fixed", retention=DAY)
    filled(store, "slid", retention=DAY, sliding=True)
    clock.advance(DAY + SECOND)
    for identity in ("never", "gone", "fixed", "slid"):
        with pytest.raises(NotFound):
            store.conversations.delete(identity)


def test_only_the_owner_deletes(scene: Scene, store: ChatStore) -> None:
    """For anybody else it is not found, also while it is being deleted."""
    filled(store, "c-1")
    before = scene.items()
    with pytest.raises(NotFound):
        store.conversations.delete("c-1", user_id="u-2")
    assert scene.items() == before
    half_deleted(store, "c-1")
    before = scene.items()
    with pytest.raises(NotFound):
        store.conversations.delete("c-1", user_id="u-2")
    assert scene.items() == before
    store.conversations.delete("c-1", user_id="u-1")
    assert scene.items() == []


def half_deleted(store: ChatStore, identity: str) -> None:
    """A deletion that died after its tombstone."""
    with faults(store) as injector:
        injector.plan(Kill(after_sending=True), operation="TransactWriteItems")
        with pytest.raises(Killed):
            store.conversations.delete(identity)


def test_while_it_is_being_deleted(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """No reader finds it, no list shows it, no writer gets through, its id is not free."""
    ids = filled(store, "c-1")
    filled(store, "other")
    stranger = scene.new_store()
    stranger.conversations.get("c-1")
    half_deleted(store, "c-1")
    before = scene.items()
    clock.advance(SECOND)
    for each in (store, stranger, scene.new_store()):
        for call in whatever_one_may_try(each, *ids[:2]):
            with pytest.raises(NotFound):
                call()
        talks = each.conversations
        for owner in ("u-1", "u-2"):
            with pytest.raises(AlreadyExists, match="being deleted"):
                talks.create(owner, conversation_id="c-1")
        assert [c.conversation_id for c in talks.list_by_user("u-1")] == ["other"]
        assert [c.conversation_id for c in talks.list_by_activity("u-1")] == ["other"]
        assert [c.conversation_id for c in talks.find_by_title("T")] == ["other"]
        assert each.messages.get_by_id("m-1").conversation_id == "other"
    assert scene.items() == before
    store.conversations.delete("c-1")
    assert {item["PK"]["S"] for item in scene.items()} == {
        "CONV#other#",
        "REVIEW#r-other-0#",
        "REVIEW#r-other-1#",
    }


def whatever_one_may_try(store: ChatStore, minted: str, brought: str) -> list[Callable[[], object]]:
    """Everything that can be done to conversation c-1 and its messages, but deleting it."""
    talks, messages, states = store.conversations, store.messages, store.states
    feedback = Feedback(type="negative")
    return [
        lambda: talks.get("c-1"),
        lambda: talks.rename("c-1", "U"),
        lambda: talks.set_status("c-1", "archived"),
        lambda: talks.merge_preferences("c-1", {"a": 1}),
        lambda: messages.latest_with_conversation("c-1"),
        lambda: messages.list("c-1"),
        lambda: messages.list_exchanges("c-1"),
        lambda: messages.get("c-1", minted),
        lambda: messages.get("c-1", brought),
        lambda: messages.get_by_id(minted),
        lambda: messages.append("c-1", user()),
        lambda: messages.append("c-1", user(message_id="m-1")),
        lambda: messages.edit("c-1", minted, content="x"),
        lambda: messages.edit("c-1", brought, content="x"),
        lambda: messages.delete("c-1", minted),
        lambda: messages.delete("c-1", "m-9"),
        lambda: messages.prune("c-1", 0),
        lambda: messages.give_feedback("c-1", minted, feedback),
        lambda: messages.withdraw_feedback("c-1", brought),
        lambda: states.save("c-1", {"step": 2}, revision=1),
        lambda: states.get("c-1"),
        lambda: store.reviews.create("c-1", "admin"),
        lambda: store.reviews.get("r-c-1-0"),
    ]


def test_the_id_is_free_again(store: ChatStore) -> None:
    """For anybody, and nothing of the old conversation is in the new one."""
    filled(store, "c-1", keep_last=50, retention=DAY)
    store.conversations.delete("c-1")
    made = store.conversations.create("u-2", conversation_id="c-1")
    assert made.title is None
    assert said(store, "c-1") == []
    assert store.states.get("c-1") is None
    assert store.reviews.list_by_conversation("c-1").items == ()
    say(store, "c-1", "new")
    store.messages.append("c-1", user("1", message_id="m-1"))
    assert said(store, "c-1") == ["new", "1"]


def test_two_that_delete_at_once(scene: Scene, store: ChatStore) -> None:
    """Both succeed once it has begun, and nothing is left."""
    other = scene.new_store()
    for request in (3, 4):
        filled(store, "c-1")
        with at_request(store, request, lambda: other.conversations.delete("c-1")):
            store.conversations.delete("c-1")
        assert scene.items() == []
    for request in (1, 2):
        filled(store, "c-1")
        with (
            at_request(store, request, lambda: other.conversations.delete("c-1")),
            pytest.raises(NotFound),
        ):
            store.conversations.delete("c-1")
        assert scene.items() == []


@pytest.mark.parametrize("identity", ["", None, 5, "\ud800"])
def test_bad_ids(store: ChatStore, identity: Any) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.conversations.delete(identity)
    assert refused.value.argument == "conversation_id"
