"""C2, C6: preferences are in an item of their own, read by `get` and `open`, and by no list."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conversation
from dynamo_chat.chat.conversation import PREFERENCES
from dynamo_chat.chat.preferences import ConversationPreferences
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.importing.trinity import trinity_document
from dynamo_chat.testing import DropAnswer, FakeClock
from tests.chat.scenes import said, say
from tests.compatibility.test_stored_items import one
from tests.scene import DAY, Scene, faults, just_before, requests

pytestmark = pytest.mark.engine

HOUR = DAY / 24
TASTE: dict[str, Any] = {"genres": ["drama"], "n": 1.0, "none": None}


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation with preferences and two messages."""
    made = store.conversations.create("u-1", conversation_id="c-1", title="T", preferences=TASTE)
    say(store, made.conversation_id, "a", "b")
    return made.conversation_id


# -- reading ------------------------------------------------------------------------------------


def test_one_request_reads_a_conversation_and_its_preferences(store: ChatStore, talk: str) -> None:
    """`get`, and `open` with the latest messages."""
    with requests(store, 1):
        found = store.conversations.get(talk, user_id="u-1")
    assert (found.preferences, found.has_preferences) == (TASTE, True)
    for count in (1, 2, 20):
        with requests(store, 1):
            head, latest = store.messages.latest_with_conversation(talk, count)
        assert head == found
        assert [message.content for message in latest] == ["a", "b"][-count:]


def test_others_say_that_they_did_not_read_them(store: ChatStore, talk: str) -> None:
    """None is not the same as no preferences."""
    plain = store.conversations.create("u-1", title="T").conversation_id
    talks = store.conversations
    for found in (
        *talks.list_by_user("u-1"),
        *talks.list_by_activity("u-1"),
        *talks.find_by_title("T"),
        *talks.get_many([talk, plain]),
        *(talks.rename(each, "T") for each in (talk, plain)),
        *(talks.set_status(each, "active") for each in (talk, plain)),
    ):
        expected: tuple[Any, bool] = (None, True) if found.conversation_id == talk else ({}, False)
        assert (found.preferences, found.has_preferences) == expected


def test_creating_it_again_returns_them(store: ChatStore, talk: str) -> None:
    """As they are, not as the second call has them."""
    with requests(store, 2):
        again = store.conversations.create("u-1", conversation_id=talk, preferences={"b": 2})
    assert again.preferences == TASTE


def test_a_document_is_not_made_of_a_conversation_from_a_list(store: ChatStore, talk: str) -> None:
    """It would have lost its preferences."""
    (listed,) = store.conversations.list_by_user("u-1")
    with pytest.raises(InvalidArgument, match="not read"):
        trinity_document(listed, [])
    made = trinity_document(store.conversations.get(talk), [])
    assert made["userPreferences"] == TASTE


def test_reviews_are_listed_past_them(store: ChatStore, talk: str) -> None:
    """Their item is between the head and the reviews."""
    store.reviews.create(talk, "admin", review_id="r-1")
    for page_size in (1, 20):
        for newest_first in (True, False):
            page = store.reviews.list_by_conversation(
                talk, page_size=page_size, newest_first=newest_first
            )
            assert [review.review_id for review in page] == ["r-1"]


def test_a_read_between_two_moments_of_a_change(scene: Scene, store: ChatStore, talk: str) -> None:
    """A head that says there are some, and no item: both are read again."""
    item = scene.only("conversation_preferences")
    scene.delete(item)
    with just_before(store, "Query", lambda: None), requests(store, 2):
        assert store.conversations.get(talk).preferences == {}
    scene.put(item)
    assert store.conversations.get(talk).preferences == TASTE


# -- changing -----------------------------------------------------------------------------------


def test_the_item_exists_while_there_are_some(scene: Scene, store: ChatStore, talk: str) -> None:
    assert store.conversations.set_preferences(talk, {}).preferences == {}
    assert scene.kinds()["conversation_preferences"] == 0
    assert not store.conversations.get(talk).has_preferences
    with requests(store, 1):  # nothing to write
        store.conversations.set_preferences(talk, {})
    assert store.conversations.merge_preferences(talk, {"a": {"b": 1}}).has_preferences
    assert store.conversations.get(talk).preferences == {"a": {"b": 1}}


WRITES: dict[str, Callable[[ChatStore], Conversation]] = {
    "set": lambda store: store.conversations.set_preferences("c-1", {"mine": 1}),
    "merge": lambda store: store.conversations.merge_preferences("c-1", {"mine": 1}),
    "empty": lambda store: store.conversations.set_preferences("c-1", {}),
}


@pytest.mark.parametrize("theirs", WRITES)
@pytest.mark.parametrize("mine", WRITES)
@pytest.mark.parametrize("before", [{}, {"old": 0}])
def test_two_that_change_them(
    scene: Scene, store: ChatStore, before: dict[str, int], mine: str, theirs: str
) -> None:
    """The second is made of what the first one left."""
    store.conversations.create("u-1", conversation_id="c-1", preferences=before)
    other = scene.new_store()
    is_idle = mine == "empty" and not before  # it writes nothing
    if is_idle:
        return
    with just_before(store.connection, "TransactWriteItems", lambda: WRITES[theirs](other)):
        WRITES[mine](store)
    left: dict[str, int] = {"set": {"mine": 1}, "merge": {**before, "mine": 1}, "empty": {}}[theirs]
    expected = {"set": {"mine": 1}, "merge": {**left, "mine": 1}, "empty": {}}[mine]
    found = store.conversations.get("c-1", consistent=True)
    assert (found.preferences, found.has_preferences) == (expected, bool(expected))
    assert scene.kinds()["conversation_preferences"] == bool(expected)


def test_a_lost_answer(store: ChatStore, talk: str) -> None:
    with faults(store) as injector:
        injector.plan(DropAnswer(), operation="TransactWriteItems")
        store.conversations.merge_preferences(talk, {"n": None})
        assert injector.injected
    assert store.conversations.get(talk).preferences == {"genres": ["drama"], "none": None}


# -- their end ----------------------------------------------------------------------------------


def test_they_go_with_their_conversation(scene: Scene, store: ChatStore, talk: str) -> None:
    store.conversations.delete(talk)
    assert scene.items() == []


def test_a_change_after_the_deletion(scene: Scene, store: ChatStore, talk: str) -> None:
    """Of a conversation that is gone, and of an id that was given anew."""
    other = scene.new_store()

    def anew() -> None:
        other.conversations.delete(talk)
        other.conversations.create("u-1", conversation_id=talk, preferences={"new": 1})

    with (
        just_before(
            store.connection, "TransactWriteItems", lambda: other.conversations.delete(talk)
        ),
        pytest.raises(NotFound),
    ):
        store.conversations.merge_preferences(talk, {"mine": 1})
    assert scene.items() == []
    store.conversations.create("u-1", conversation_id=talk, preferences=TASTE)
    with just_before(store.connection, "TransactWriteItems", anew):
        store.conversations.merge_preferences(talk, {"mine": 1})
    assert store.conversations.get(talk).preferences == {"new": 1, "mine": 1}


def test_an_expired_namesake(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """What it left in the table is not this conversation's, and is replaced."""
    talks = store.conversations
    talks.create("u-1", conversation_id="c-1", retention=DAY, preferences=TASTE)
    clock.advance(DAY + HOUR)
    assert talks.create("u-1", conversation_id="c-1", retention=DAY).preferences == {}
    assert talks.get("c-1").preferences == {}
    assert talks.merge_preferences("c-1", {"a": 1}).preferences == {"a": 1}
    assert talks.get("c-1").preferences == {"a": 1}


def test_their_deadline_moves(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """With sliding retention, like that of everything else."""
    store.conversations.create(
        "u-1", conversation_id="c-1", retention=DAY, sliding=True, preferences=TASTE
    )
    for _ in range(4):
        clock.advance(20 * HOUR)
        say(store, "c-1", "still here")
    assert store.conversations.get("c-1").preferences == TASTE
    assert scene.only("conversation_preferences")["ttl"] == scene.only("conversation")["ttl"]


# -- what older releases stored -----------------------------------------------------------------


@pytest.fixture
def old(scene: Scene, store: ChatStore) -> str:
    """A conversation whose preferences are in its head, as version 1 stored them."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    head = scene.only("conversation")
    kept = one("conversation", "full").item[PREFERENCES]
    scene.put({**head, PREFERENCES: kept, "v": {"N": "1"}})
    return "c-1"


def test_preferences_in_the_head_are_read(scene: Scene, store: ChatStore, old: str) -> None:
    """And stay there while others change the head."""
    kept = plan(Conversation).decode(one("conversation", "full").item).preferences
    assert kept
    say(store, old, "a")
    store.conversations.set_status(old, "archived")
    for found in (store.conversations.get(old), store.messages.latest_with_conversation(old)[0]):
        assert (found.preferences, found.has_preferences) == (kept, True)
    assert scene.kinds()["conversation_preferences"] == 0


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_change_moves_them(scene: Scene, store: ChatStore, old: str, is_empty: bool) -> None:
    """Out of the head, in the transaction that changes them."""
    before = store.conversations.get(old).preferences
    wanted = {} if is_empty else {**(before or {}), "new": 1}
    if is_empty:
        store.conversations.set_preferences(old, {})
    else:
        store.conversations.merge_preferences(old, {"new": 1})
    head = scene.only("conversation")
    assert PREFERENCES not in head
    assert head["v"] == {"N": "2"}
    assert store.conversations.get(old).preferences == wanted
    assert scene.kinds()["conversation_preferences"] == (not is_empty)


def test_the_stored_form() -> None:
    """An item of this kind is read and written as it was released."""
    stored = one("conversation_preferences")
    found = plan(ConversationPreferences).decode(stored.item)
    made = plan(ConversationPreferences).encode(found)
    assert {name: stored.item[name] for name in made} == made


def test_messages_are_as_before(store: ChatStore, talk: str) -> None:
    """The item beside the head is no message."""
    assert said(store, talk) == ["a", "b"]
    assert [m.content for m in store.messages.list(talk, newest_first=True)] == ["b", "a"]
    assert [m.content for m in store.messages.latest(talk, 1)] == ["b"]
