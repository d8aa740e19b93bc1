"""C17: a conversation and everything in it expire together, and never too early."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conversation, Feedback
from dynamo_chat.core.errors import NotFound
from dynamo_chat.testing import ErrorAnswer, FakeClock, Kill, Killed
from tests.chat.scenes import assistant, said, say, user
from tests.scene import DAY, MINUTE, SECOND, Scene, faults, just_before, requests

pytestmark = pytest.mark.engine

MICROSECOND = timedelta(microseconds=1)


def is_there(store: ChatStore, identity: str = "c-1") -> bool:
    try:
        store.conversations.get(identity)
    except NotFound:
        return False
    return True


def deadlines(scene: Scene) -> set[int]:
    """The TTLs of everything in the table."""
    assert all("ttl" in item for item in scene.items())
    return {int(item["ttl"]["N"]) for item in scene.items()}


def fill(store: ChatStore, identity: str = "c-1") -> str:
    """One of everything in the conversation; the id of its first message."""
    message = store.messages.append(identity, assistant("first", message_id="m-1"))
    store.messages.append_turn(identity, [user("second"), assistant("third")])
    store.messages.give_feedback(identity, "m-1", Feedback(type="positive", category="a"))
    store.conversations.rename(identity, "T")
    store.states.save(identity, {"step": 1})
    store.reviews.create(identity, "admin", review_id=f"r-{identity}")
    return message.message_id


# -- counted from creation ----------------------------------------------------------------------


def test_everything_has_the_same_deadline(scene: Scene, store: ChatStore) -> None:
    """No message moves it, and no request is spent on it."""
    made = store.conversations.create("u-1", conversation_id="c-1", retention=30 * DAY)
    assert made.expires_at is not None
    for day in range(20):
        scene.clock.advance(DAY)
        with requests(store, 1):
            say(store, "c-1", str(day))
    fill(store)
    assert deadlines(scene) == {int(made.expires_at.timestamp())}
    assert store.conversations.get("c-1").expires_at == made.expires_at


def test_it_lives_to_its_last_moment(store: ChatStore, clock: FakeClock) -> None:
    """And not a moment longer: for readers, for writers, for conditions."""
    made = store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    message_id = fill(store)
    assert made.expires_at is not None
    clock.advance(made.expires_at - clock() - MICROSECOND)
    assert is_there(store)
    say(store, "c-1", "last")
    assert store.messages.get("c-1", message_id).content == "first"
    assert store.reviews.get("r-c-1").reviewed_by == "admin"
    assert store.states.get("c-1")
    clock.advance(MICROSECOND)
    assert not is_there(store)
    for call in (
        lambda: say(store, "c-1", "too late"),
        lambda: store.messages.get("c-1", message_id),
        lambda: store.messages.get_by_id(message_id),
        lambda: store.messages.list("c-1"),
        lambda: store.states.get("c-1"),
        lambda: store.states.save("c-1", {}, revision=1),
        lambda: store.reviews.get("r-c-1"),
        lambda: store.reviews.archive("r-c-1"),
        lambda: store.reviews.create("c-1", "admin"),
        lambda: store.conversations.rename("c-1", "U"),
    ):
        with pytest.raises(NotFound):
            call()
    assert not store.messages.list_by_feedback("positive").items
    assert not store.messages.list_by_feedback("positive", category="a").items
    assert not store.reviews.list_by_conversation("c-1").items
    assert not store.reviews.list_by_status().items
    assert not store.conversations.find_by_title("T").items


def test_the_id_is_free_when_it_has_expired(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Also while DynamoDB has not deleted the old items; nothing of them is seen."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY, keep_last=5)
    fill(store)
    clock.advance(DAY + SECOND)
    made = store.conversations.create("u-2", conversation_id="c-1")
    assert made.user_id == "u-2"
    assert made.title is None
    assert said(store, "c-1") == []
    assert store.states.get("c-1") is None
    assert not store.reviews.list_by_conversation("c-1").items
    again = store.messages.append("c-1", assistant("first", message_id="m-1"))
    assert again.position != made.last_position
    assert said(store, "c-1") == ["first"]
    assert store.states.save("c-1", {"step": 9}).revision == 1
    assert store.reviews.create("c-1", "admin", review_id="r-c-1").expires_at is None
    assert [c.conversation_id for c in store.conversations.find_by_title("T")] == []
    assert len(scene.new_store().messages.list("c-1")) == 1


def test_a_store_that_remembers_the_old_deadline(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Appends with the new one: its condition brought the truth."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    say(store, "c-1", "old")
    clock.advance(DAY + SECOND)
    other = scene.new_store()
    other.conversations.create("u-1", conversation_id="c-1", retention=5 * DAY)
    say(store, "c-1", "new")
    clock.advance(2 * DAY)
    assert said(store, "c-1") == ["new"]


# -- sliding with activity ----------------------------------------------------------------------


def sliding(store: ChatStore, retention: timedelta = DAY, **options: Any) -> Conversation:
    return store.conversations.create(
        "u-1", conversation_id="c-1", retention=retention, sliding=True, **options
    )


def test_it_lives_one_period_after_its_latest_message(store: ChatStore, clock: FakeClock) -> None:
    """Counted to the microsecond, whatever the items' own deadline is."""
    made = sliding(store)
    head = made
    assert made.expires_at == made.created_at + DAY
    for hours in (5, 23, 20, 23.9, 1):
        clock.advance(timedelta(hours=hours))
        message = say(store, "c-1", f"after {hours}")[0]
        head = store.conversations.get("c-1")
        assert head.expires_at == message.sent_at + DAY
    assert head.expires_at is not None
    clock.advance(head.expires_at - clock() - MICROSECOND)
    assert len(said(store, "c-1")) == 5
    clock.advance(MICROSECOND)
    assert not is_there(store)


def test_only_messages_are_activity(store: ChatStore, clock: FakeClock) -> None:
    """Neither titles nor states, feedback or edits put off its end."""
    sliding(store)
    message_id = fill(store)
    before = store.conversations.get("c-1").expires_at
    clock.advance(timedelta(hours=5))
    store.conversations.rename("c-1", "U")
    store.conversations.set_status("c-1", "archived")
    store.messages.edit("c-1", message_id, content="edited")
    store.messages.give_feedback("c-1", message_id, Feedback(type="negative"))
    store.states.save("c-1", {"step": 2}, revision=1)
    assert store.conversations.get("c-1").expires_at == before


@pytest.mark.once
def test_no_old_message_vanishes_from_a_living_conversation(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Through many periods; and the deadlines move at most once in each."""
    sliding(store)
    fill(store)
    expected = ["first", "second", "third"]
    renewals = 0
    for number in range(12):
        clock.advance(timedelta(hours=7))
        seen = deadlines(scene)
        say(store, "c-1", str(number))
        expected.append(str(number))
        renewals += deadlines(scene) != seen
        assert said(scene.new_store() if number % 5 == 0 else store, "c-1") == expected
        assert len(deadlines(scene)) == 1
        (deadline,) = deadlines(scene)
        head = store.conversations.get("c-1")
        assert head.expires_at is not None
        assert head.expires_at.timestamp() <= deadline
    assert renewals == 3  # at every fourth message: 28 hours, the first that are over a period
    assert store.states.get("c-1")
    assert store.reviews.get("r-c-1").reviewed_by == "admin"
    assert [c.conversation_id for c in store.conversations.find_by_title("T")] == ["c-1"]
    assert len(store.messages.list_by_feedback("positive")) == 1


def test_a_message_ahead_of_the_clock_is_covered(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """With a short retention, five minutes ahead are more than two periods."""
    made = sliding(store, retention=MINUTE)
    ahead = say(store, "c-1", "ahead", at=clock() + 5 * MINUTE)[0]
    head = store.conversations.get("c-1")
    assert head.expires_at == ahead.sent_at + MINUTE
    clock.advance(5 * MINUTE + MINUTE / 2)
    assert said(store, "c-1") == ["ahead"]
    assert made.expires_at is not None
    say(store, "c-1", "more")
    assert said(store, "c-1") == ["ahead", "more"]


def test_many_items_are_renewed(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """More than one transaction takes."""
    sliding(store)
    for start in range(0, 120, 40):
        store.messages.append_turn("c-1", [user(str(start + n)) for n in range(40)])
    clock.advance(timedelta(hours=20))
    say(store, "c-1", "a")
    clock.advance(timedelta(hours=20))
    say(store, "c-1", "b")
    assert len(deadlines(scene)) == 1
    clock.advance(timedelta(hours=20))
    assert len(said(store, "c-1")) == 122


def test_items_too_large_for_one_transaction_are_renewed_and_pruned_in_parts(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """DynamoDB may refuse a transaction whose items add up to more than 4 MB."""
    sliding(store, title="T")
    say(store, "c-1", *"abcdefg")
    too_large = ErrorAnswer("ValidationException", "Transaction size limit exceeded")
    clock.advance(timedelta(hours=20))
    say(store, "c-1", "h")
    clock.advance(timedelta(hours=20))
    with faults(store) as injector:
        injector.plan(too_large, operation="TransactWriteItems", at=1, times=2)
        say(store, "c-1", "i")
    assert len(injector.injected) == 2
    assert len(deadlines(scene)) == 1
    with faults(store) as injector:
        injector.plan(too_large, operation="TransactWriteItems", at=1, times=2)
        assert store.messages.prune("c-1", 2) == 7
    assert said(store, "c-1") == ["h", "i"]
    assert store.conversations.get("c-1").message_count == 2


@pytest.mark.once
@pytest.mark.parametrize("died_at", range(1, 9))
@pytest.mark.parametrize("after_sending", [False, True])
def test_a_renewal_that_died_is_finished(
    scene: Scene, store: ChatStore, clock: FakeClock, died_at: int, after_sending: bool
) -> None:
    """By whoever appends next: nothing is lost, nothing expires early, nothing doubles."""
    sliding(store)
    fill(store)
    clock.advance(timedelta(hours=23))
    say(store, "c-1", "fourth")
    clock.advance(timedelta(hours=2))
    with faults(store) as injector:
        injector.plan(Kill(after_sending=after_sending), at=died_at)
        try:
            store.messages.append("c-1", user("fifth", message_id="m-5"))
        except Killed:
            died = True
        else:
            died = False
    assert died == (died_at <= injector.requests)
    head = store.conversations.get("c-1")
    clock.advance(timedelta(hours=21))
    assert head == scene.new_store().conversations.get("c-1")
    other = scene.new_store()
    other.messages.append("c-1", user("fifth", message_id="m-5"))
    assert said(other, "c-1") == ["first", "second", "third", "fourth", "fifth"]
    assert len(deadlines(scene)) == 1
    assert "renewing_from" not in scene.only("conversation")
    other.messages.append("c-1", user("sixth"))
    clock.advance(DAY - SECOND)
    assert len(said(store, "c-1")) == 6
    assert store.reviews.get("r-c-1").reviewed_by == "admin"
    assert store.states.get("c-1")


def test_a_renewal_that_died_does_not_prolong_the_conversation(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Only a message does: without one it expires when it would have."""
    sliding(store)
    clock.advance(timedelta(hours=23))
    say(store, "c-1", "first")
    expires_at = store.conversations.get("c-1").expires_at
    assert expires_at is not None
    clock.advance(timedelta(hours=2))
    with faults(store) as injector:
        injector.plan(Kill(), operation="Query")
        with pytest.raises(Killed):
            say(store, "c-1", "second")
    clock.advance(expires_at - clock() - SECOND)
    assert is_there(store)
    clock.advance(SECOND)
    assert not is_there(store)
    with pytest.raises(NotFound):
        say(store, "c-1", "too late")


def test_two_that_renew_at_once(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """Whoever comes second finishes with the first, and both messages are there."""
    for operation in ("UpdateItem", "Query", "TransactWriteItems"):
        sliding(store)
        say(store, "c-1", "first")
        clock.advance(timedelta(hours=23))
        say(store, "c-1", "second")
        clock.advance(timedelta(hours=2))
        other = scene.new_store()
        with just_before(store, operation, lambda: say(other, "c-1", "third")):  # noqa: B023
            say(store, "c-1", "fourth")
        assert said(store, "c-1") == ["first", "second", "third", "fourth"]
        assert len(deadlines(scene)) == 1
        store.conversations.delete("c-1")


# -- an idle conversation -----------------------------------------------------------------------


def test_an_idle_conversation_is_created_anew(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Its items, which outlive it in the table, are cleared first; none comes back to life."""
    sliding(store, keep_last=5)
    fill(store)
    clock.advance(DAY + SECOND)
    assert not is_there(store)
    made = store.conversations.create("u-2", conversation_id="c-1", retention=DAY, sliding=True)
    assert made.user_id == "u-2"
    assert scene.kinds() == {"conversation": 1}
    say(store, "c-1", "new")
    for _ in range(4):
        clock.advance(timedelta(hours=20))
        say(store, "c-1", "more")
    assert said(store, "c-1") == ["new", "more", "more", "more", "more"]
    with pytest.raises(NotFound):
        store.reviews.get("r-c-1")


@pytest.mark.once
@pytest.mark.parametrize("died_at", range(1, 6))
def test_a_crash_while_it_is_cleared(
    scene: Scene, store: ChatStore, clock: FakeClock, died_at: int
) -> None:
    """Creating it again finishes what was begun."""
    sliding(store)
    fill(store)
    clock.advance(DAY + SECOND)
    with faults(store) as injector:
        injector.plan(Kill(), at=died_at)
        with pytest.raises(Killed):
            store.conversations.create("u-2", conversation_id="c-1")
    other = scene.new_store()
    made = other.conversations.create("u-2", conversation_id="c-1")
    assert made.user_id == "u-2"
    assert scene.kinds() == {"conversation": 1}


def test_a_later_renewal_raises_no_dead(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """What an expired namesake left in the table keeps its old deadline, and stays unseen."""
    sliding(store)
    fill(store)
    clock.advance(2 * DAY + SECOND)  # past the items' own deadline
    sliding(store)
    assert "message" in scene.kinds()
    say(store, "c-1", "new")
    for _ in range(4):
        clock.advance(timedelta(hours=20))
        say(store, "c-1", "more")
    assert said(store, "c-1") == ["new", "more", "more", "more", "more"]
    assert not store.reviews.list_by_conversation("c-1").items
    assert not store.messages.list_by_feedback("positive").items
