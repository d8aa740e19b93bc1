"""C10: only the last N messages are kept, and nothing else is lost."""

from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, Feedback
from dynamo_chat.core.errors import InvalidArgument, MessageDeleted, NotFound
from dynamo_chat.testing import FakeClock, Throttled
from tests.chat.scenes import said, say, user
from tests.scene import DAY, SECOND, Scene, faults, just_before, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation that keeps everything."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def test_a_call_prunes(store: ChatStore, talk: str) -> None:
    """The oldest go; the counters tell what is stored and what ever was."""
    say(store, talk, *"abcdefgh")
    with requests(store, 3):
        assert store.messages.prune(talk, 3) == 5
    assert said(store, talk) == list("fgh")
    head = store.conversations.get(talk)
    assert (head.message_count, head.appended_count) == (3, 8)
    with requests(store, 1):
        assert store.messages.prune(talk, 3) == 0
    assert store.messages.prune(talk, 0, user_id="u-1") == 3
    assert said(store, talk) == []
    say(store, talk, "i")
    assert said(store, talk) == ["i"]


def test_more_than_one_transaction(store: ChatStore, talk: str) -> None:
    """A hundred and more messages, 99 at a time."""
    for start in range(0, 135, 45):
        store.messages.append_turn(talk, [user(str(start + n)) for n in range(45)])
    with requests(store, 1 + 1 + 2):
        assert store.messages.prune(talk, 10) == 125
    assert said(store, talk) == [str(n) for n in range(125, 135)]
    assert store.conversations.get(talk).message_count == 10


def test_a_policy_is_applied_at_each_append(store: ChatStore) -> None:
    """Of one message or of a turn, whose own oldest may go as well."""
    made = store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=3)
    assert made.keep_last == 3
    for number in range(6):
        say(store, "c-1", str(number))
        expected = [str(n) for n in range(max(0, number - 2), number + 1)]
        assert said(store, "c-1") == expected
    store.messages.append_turn("c-1", [user(c) for c in "vwxyz"])
    assert said(store, "c-1") == list("xyz")
    head = store.conversations.get("c-1")
    assert (head.message_count, head.appended_count) == (3, 11)


def test_a_store_that_did_not_know_the_policy(scene: Scene, store: ChatStore) -> None:
    """Learns it with the conversation."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=2)
    say(scene.new_store(), "c-1", *"abc")
    assert said(store, "c-1") == ["b", "c"]


def test_nothing_else_is_lost(scene: Scene, store: ChatStore) -> None:
    """Title, state, reviews, ids and the feedback of what is kept."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=2)
    made = [store.messages.append("c-1", user(str(n), message_id=f"m-{n}")) for n in range(2)]
    store.messages.give_feedback("c-1", "m-0", Feedback(type="negative"))
    store.messages.give_feedback("c-1", "m-1", Feedback(type="positive"))
    store.states.save("c-1", {"step": 1})
    store.reviews.create("c-1", "admin", review_id="r-1")
    before = scene.kinds()
    say(store, "c-1", "2")
    assert scene.kinds() == before
    assert [each.content for each in store.messages.list_by_feedback("positive")] == ["1"]
    assert not store.messages.list_by_feedback("negative").items
    with pytest.raises(NotFound):
        store.messages.get("c-1", made[0].message_id)
    with pytest.raises(MessageDeleted):
        store.messages.append("c-1", user("0", message_id="m-0"))


def test_a_retry_prunes_what_the_first_call_did_not(scene: Scene, store: ChatStore) -> None:
    """The append that died between its two halves is finished by its retry."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=2)
    for number in range(2):
        say(store, "c-1", str(number))
    hasty = scene.new_store(options=ConnectionOptions(max_attempts=1))
    with faults(hasty) as injector:
        injector.plan(Throttled(), operation="Query", times=2)
        hasty.messages.append("c-1", user("2", message_id="m-2"))
    assert said(store, "c-1") == ["0", "1", "2"]
    scene.new_store().messages.append("c-1", user("2", message_id="m-2"))
    assert said(store, "c-1") == ["1", "2"]


def test_an_append_does_not_fail_for_its_pruning(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is there; a caller that heard an error would append it twice."""
    store = scene.new_store(options=ConnectionOptions(max_attempts=1))
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=1)
    say(store, "c-1", "a")
    store.messages.prune("c-1", 1)  # now it must read which messages there are
    with faults(store) as injector:
        injector.plan(Throttled(), operation="Query")
        injector.plan(Throttled(), operation="GetItem")
        say(store, "c-1", "b")
    assert "were not read" in caplog.text
    assert "not pruned" in caplog.text
    say(store, "c-1", "c")
    assert said(store, "c-1") == ["c"]


def test_leftovers_of_an_expired_namesake_do_not_count(
    store: ChatStore, clock: FakeClock, scene: Scene
) -> None:
    """They are neither counted nor pruned in the place of what lives."""
    for letters in ("abcdef", "vwxyz"):
        store.conversations.create(
            "u-1", conversation_id="c-1", title="T", retention=DAY, keep_last=3
        )
        say(store, "c-1", *letters)
        assert said(store, "c-1") == list(letters[-3:])
        assert store.conversations.get("c-1").message_count == 3
        if letters == "abcdef":
            clock.advance(DAY + SECOND)
    assert store.messages.prune("c-1", 1) == 2
    assert said(store, "c-1") == ["z"]
    assert store.messages.prune("c-1", 0) == 1
    assert scene.kinds()["message"] == 3


@pytest.mark.parametrize("operation", ["GetItem", "Query", "TransactWriteItems"])
def test_two_that_prune_at_once(scene: Scene, store: ChatStore, talk: str, operation: str) -> None:
    """Each message is counted out once, and never one more than either meant to delete."""
    say(store, talk, *"abcdefgh")
    other = scene.new_store()
    with just_before(store, operation, lambda: other.messages.prune(talk, 5)):
        assert store.messages.prune(talk, 3) == 2
    assert said(store, talk) == list("fgh")
    assert store.conversations.get(talk).message_count == 3


def test_a_message_deleted_meanwhile(scene: Scene, store: ChatStore, talk: str) -> None:
    """Fewer are there than were counted: fewer go."""
    (*_, last) = say(store, talk, *"abcdef")
    other = scene.new_store()
    with just_before(
        store.connection, "Query", lambda: other.messages.delete(talk, last.message_id)
    ):
        assert store.messages.prune(talk, 3) == 2
    assert said(store, talk) == list("cde")


def test_a_message_that_arrives_meanwhile_is_kept(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """What is the last N is decided before; the newcomer is not touched."""
    say(store, talk, *"abcd")
    other = scene.new_store()
    with just_before(store, "TransactWriteItems", lambda: say(other, talk, "e")):
        store.messages.prune(talk, 2)
    assert said(store, talk) == ["c", "d", "e"]
    assert store.conversations.get(talk).message_count == 3


def test_a_deletion_in_between(scene: Scene, store: ChatStore, talk: str) -> None:
    """The conversation is not found, and nothing of it comes back."""
    say(store, talk, *"abcd")
    other = scene.new_store()
    with (
        just_before(
            store.connection, "TransactWriteItems", lambda: other.conversations.delete(talk)
        ),
        pytest.raises(NotFound),
    ):
        store.messages.prune(talk, 2)
    assert scene.items() == []


@pytest.mark.parametrize("keep_last", [-1, 1.0, None, "3", True])
def test_bad_numbers(store: ChatStore, keep_last: Any) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.messages.prune("c-1", keep_last)
    assert refused.value.argument == "keep_last"


def test_no_conversation(store: ChatStore) -> None:
    """Not found."""
    with pytest.raises(NotFound):
        store.messages.prune("c-1", 1)
