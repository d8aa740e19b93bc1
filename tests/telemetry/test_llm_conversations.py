"""An interaction of a chat conversation expires and goes with it; a thread's with its thread."""

from datetime import timedelta

import pytest

from dynamo_chat import ChatStore, LLMInteraction
from dynamo_chat.core.errors import AlreadyExists, Conflict, NotFound
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import say
from tests.mail.scenes import new_email
from tests.scene import DAY, SECOND, Scene, cut_short, dead_after, just_before, requests
from tests.telemetry.samples import new_interaction

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)


def record(
    store: ChatStore, conversation_id: str = "c-1", account_id: str = "a-1"
) -> LLMInteraction:
    return store.llm.record(conversation_id, new_interaction(account_id=account_id, prompt="Hi"))


def assert_doctor_is_clean(scene: Scene) -> None:
    options = DoctorOptions(read_units_per_second=None, settle_seconds=0)
    report = Doctor(scene.new_store().connection, options).examine()
    assert report.is_clean, report.findings


def test_it_expires_with_its_conversation(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """In every list, at the same second, content included."""
    talk = store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    made = record(store)
    assert made.expires_at == talk.expires_at
    assert record(store, "other").expires_at is None
    assert_doctor_is_clean(scene)
    clock.advance(DAY - 2 * MINUTE)
    assert [*store.llm.list_by_conversation("c-1")] == [made]
    clock.advance(3 * MINUTE)
    assert not [*store.llm.list_by_conversation("c-1")]
    assert len([*store.llm.list_by_account("a-1")]) == 1
    assert store.llm.list_by_account("a-1").items[0].conversation_id == "other"


def test_it_takes_one_request_if_the_store_knows_the_conversation(
    scene: Scene, store: ChatStore
) -> None:
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    with requests(store, 1):
        record(store)
    cold = scene.new_store()
    for expected in (2, 1):
        with requests(cold, expected):
            assert record(cold).expires_at is not None


def test_the_life_of_the_conversation_is_what_counts(scene: Scene, store: ChatStore) -> None:
    """A store that remembers an earlier conversation under this id learns of the new one."""
    other = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    record(store)
    other.conversations.delete("c-1")
    assert scene.items() == []
    talk = other.conversations.create("u-1", conversation_id="c-1", retention=2 * DAY)
    assert record(store).expires_at == talk.expires_at
    other.conversations.delete("c-1")
    assert record(store).expires_at is None


def test_it_goes_with_its_conversation(scene: Scene, store: ChatStore) -> None:
    store.conversations.create("u-1", conversation_id="c-1")
    for _ in range(3):
        record(store)
    assert store.conversations.delete("c-1") == 1 + 3 * 2
    assert scene.items() == []


def test_it_goes_with_the_user(scene: Scene, store: ChatStore) -> None:
    store.users.create("ann@example.com", user_id="u-1")
    store.conversations.create("u-1", conversation_id="c-1")
    record(store)
    store.users.delete("u-1")
    assert scene.items() == []


def test_a_retry_is_recorded_once(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """Also when the conversation was given another deadline in between."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY, sliding=True)
    new = new_interaction(interaction_id="i-1", generated_at=clock(), prompt="Hi")
    first = store.llm.record("c-1", new)
    for _ in range(4):
        clock.advance(DAY / 2)
        say(store, "c-1", "Still there?")
    again = scene.new_store().llm.record("c-1", new)
    assert again.expires_at is not None
    assert first.expires_at is not None
    assert again.expires_at > first.expires_at
    with pytest.raises(AlreadyExists):
        store.llm.record("c-1", new.model_copy(update={"prompt": "Ho"}))


def test_a_sliding_conversation_takes_its_interactions_along(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """As long as somebody writes, nothing of it expires; an id given anew begins without them."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY, sliding=True)
    made = record(store)
    for _ in range(8):
        clock.advance(DAY / 2)
        say(store, "c-1", "Still there?")
    (found,) = store.llm.list_by_conversation("c-1", consistent=True)
    assert (found.interaction_id, found.prompt) == (made.interaction_id, "Hi")
    assert_doctor_is_clean(scene)


def test_a_sliding_conversation_that_expired_shows_none(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Its items are kept for another period, but no list shows them; nor does a new life's."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY, sliding=True)
    record(store)
    kept = record(store, "other")
    clock.advance(DAY + SECOND)
    for _ in range(2):
        assert not [*store.llm.list_by_conversation("c-1", consistent=True)]
        usage = [*store.llm.list_by_account("a-1")]
        assert [each.interaction_id for each in usage] == [kept.interaction_id]
        store.conversations.create("u-2", conversation_id="c-1")
    assert scene.kinds()["llm_usage"] == scene.kinds()["llm_content"] == 1


def test_a_thread_comes_before_a_conversation_of_its_id(scene: Scene, store: ChatStore) -> None:
    """Somebody who guesses a thread's id neither shortens nor deletes what is recorded for it."""
    store.emails.add("c-1", new_email())
    store.conversations.create("intruder", conversation_id="c-1", retention=MINUTE)
    made = record(store)
    assert made.expires_at is None
    cold = scene.new_store()
    second = record(cold)
    assert second.expires_at is None
    store.conversations.delete("c-1")
    assert [*store.llm.list_by_conversation("c-1", consistent=True)] == [made, second]
    with pytest.raises(Conflict, match="another account"):
        record(store, account_id="a-2")


def test_what_was_recorded_for_nothing_is_not_the_conversations(
    scene: Scene, store: ChatStore
) -> None:
    """Whoever creates a conversation with the id later does not get it, and does not delete it."""
    made = record(store)
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    store.conversations.delete("c-1")
    assert [*store.llm.list_by_conversation("c-1", consistent=True)] == [made]


def test_nothing_is_recorded_while_the_conversation_is_deleted(
    scene: Scene, store: ChatStore
) -> None:
    """Of a thread it is: a conversation's tombstone does not matter there."""
    store.conversations.create("u-1", conversation_id="c-1")
    cut_short(scene, *dead_after(2), lambda: store.conversations.delete("c-1"))
    before = scene.items()
    for each in (store, scene.new_store()):
        with pytest.raises(Conflict, match="being deleted"):
            record(each)
    assert scene.items() == before
    store.emails.add("c-1", new_email())
    record(store)
    store.conversations.delete("c-1")
    assert scene.kinds()["llm_usage"] == 1


def test_a_conversation_that_goes_meanwhile(scene: Scene, store: ChatStore) -> None:
    """Between guess and write it is deleted: the interaction is nobody's, and is found."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    other = scene.new_store()
    with just_before(store, "TransactWriteItems", lambda: other.conversations.delete("c-1")):
        assert record(store).expires_at is None
    assert store.threads.delete("c-1") == 2


# -- threads.delete where only interactions are left --------------------------------------------


def test_only_interactions_are_left(scene: Scene, store: ChatStore) -> None:
    """They are deleted and counted, all or those of an account."""
    record(store)
    record(store, account_id="a-2")
    with pytest.raises(NotFound):
        store.threads.delete("c-1", account_id="a-3")
    assert store.threads.delete("c-1", account_id="a-1") == 2
    assert scene.kinds() == {"llm_usage": 1, "llm_content": 1}
    with pytest.raises(NotFound):
        store.threads.delete("c-1", account_id="a-1")
    record(store)
    assert store.threads.delete("c-1") == 4
    assert scene.items() == []
    with pytest.raises(NotFound):
        store.threads.delete("c-1")


@pytest.mark.once
@pytest.mark.parametrize("account_id", ["a-1", None])
def test_a_deletion_of_interactions_is_finished(
    scene: Scene, store: ChatStore, account_id: str | None
) -> None:
    """Died at any request: the next call counts what is left, and frees the id."""
    for at in (1, 2, 3):
        for _ in range(60):
            record(store)
        theirs = [] if account_id is None else [record(store, account_id="a-2")]
        cut_short(
            scene, *dead_after(at), lambda: store.threads.delete("c-1", account_id=account_id)
        )
        left = sum(scene.kinds().values()) - scene.kinds()["email_thread_tombstone"]
        wanted = left - 2 if account_id is not None else left
        assert store.threads.delete("c-1", account_id=account_id) == wanted
        if account_id is not None:
            assert [*store.llm.list_by_conversation("c-1", consistent=True)] == theirs
            store.threads.delete("c-1")
        assert scene.items() == []
