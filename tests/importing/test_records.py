"""Loading conversations that were kept elsewhere: once, whole, and again after any fault."""

import base64
import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Feedback, NewMessage, ToolCall
from dynamo_chat.core.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from dynamo_chat.importing.cgchat import cgchat_document, cgchat_record
from dynamo_chat.importing.records import (
    ConversationRecord,
    ReviewRecord,
    load,
)
from dynamo_chat.importing.support import support_record, support_rows
from dynamo_chat.importing.trinity import trinity_document, trinity_record
from dynamo_chat.testing import FaultInjector, Kill, Killed, RequestMeter
from tests.scene import Item, Scene, at_request

DAY = timedelta(days=1)


def times(count: int) -> list[datetime]:
    """Seconds of yesterday."""
    start = (datetime.now(UTC) - DAY).replace(microsecond=0)
    return [start + timedelta(seconds=second) for second in range(count)]


def full_record(*, messages: int = 4) -> ConversationRecord:
    """A record with something of everything."""
    created, *later = times(messages + 1)
    said = [
        NewMessage(
            role="assistant" if place % 2 else "user",
            content=f"message {place}",
            message_id=f"foreign-{place}",
            at=moment,
            sent_at=moment,
        )
        for place, moment in enumerate(later)
    ]
    return ConversationRecord(
        conversation_id="foreign",
        user_id="ann",
        title="Renders",
        created_at=created,
        status="archived",
        retention=timedelta(days=30),
        preferences={"genres": ["action"]},
        messages=said,
        feedback={"foreign-1": Feedback(type="negative", rank=2, given_at=later[-1])},
        reviews=(
            ReviewRecord("review-1", "bob", later[-1], "well answered"),
            ReviewRecord("review-2", "bob", later[-1], is_archived=True),
        ),
        state={"model": "m-1"},
    )


def seen(scene: Scene, store: ChatStore) -> list[Any]:
    """What readers see of the conversation; not the random part of its messages' places."""
    talk = store.conversations.get("foreign", consistent=True)
    messages = store.messages.list("foreign", consistent=True)
    reviews = store.reviews.list_by_conversation("foreign", consistent=True)
    state = store.states.get("foreign")
    return [
        len(scene.items()),
        talk.model_dump(exclude={"last_position", "life"}),
        [message.model_dump(exclude={"position"}) for message in messages],
        [review.model_dump(exclude={"expires_at"}) for review in reviews],
        state and (state.revision, state.data),
    ]


@pytest.mark.engine
def test_a_record_is_loaded_with_everything_it_has(chat_store: ChatStore) -> None:
    record = full_record()
    talk = load(record, chat_store)
    assert (talk.conversation_id, talk.user_id, talk.title) == ("foreign", "ann", "Renders")
    assert (talk.message_count, talk.status) == (4, "archived")
    assert talk.created_at == record.created_at
    assert talk.expires_at is not None
    assert record.created_at is not None
    assert talk.expires_at - record.created_at == timedelta(days=30)
    stored = chat_store.messages.list("foreign", consistent=True)
    assert [each.message_id for each in stored] == [each.message_id for each in record.messages]
    assert [each.sent_at for each in stored] == [each.at for each in record.messages]
    rated = chat_store.messages.get("foreign", "foreign-1", consistent=True)
    assert rated.feedback is not None
    assert rated.feedback.rank == 2
    assert chat_store.reviews.get("review-1").comments == "well answered"
    assert chat_store.reviews.get("review-2").is_archived
    state = chat_store.states.get("foreign")
    assert state is not None
    assert state.data == {"model": "m-1"}


@pytest.mark.engine
def test_loading_again_changes_nothing(scene: Scene, store: ChatStore) -> None:
    record = full_record()
    first = load(record, store)
    there = scene.items()
    assert load(record, store) == first
    assert scene.items() == there


def test_what_was_changed_since_stays(chat_store: ChatStore) -> None:
    """A load gives feedback again, but neither words nor the saved state are put back."""
    record = full_record()
    load(record, chat_store)
    chat_store.messages.edit("foreign", "foreign-0", content="edited")
    chat_store.states.save("foreign", {"model": "m-2"}, revision=1)
    load(record, chat_store)
    assert chat_store.messages.get("foreign", "foreign-0").content == "edited"
    state = chat_store.states.get("foreign")
    assert state is not None
    assert state.data == {"model": "m-2"}


@pytest.mark.once
@pytest.mark.engine
def test_a_record_is_loaded_into_its_owners_conversation_only(scene: Scene) -> None:
    """Whenever the id becomes somebody else's: nothing of the record is in what they made."""
    record = full_record()
    counted = scene.new_store()
    with RequestMeter(counted.connection.client) as meter:
        load(record, counted)
    other, then = scene.new_store(), list[Item]()

    def change_hands() -> None:
        with suppress(NotFound):
            other.conversations.delete("foreign")
        other.conversations.create("zed", conversation_id="foreign")
        other.messages.append_turn("foreign", record.messages)
        then[:] = scene.items()

    for number in range(1, meter.count + 1):
        scene.restore([])
        store = scene.new_store()
        with at_request(store, number, change_hands), suppress(NotFound, AlreadyExists):
            load(record, store)
        assert scene.items() == then, f"the id changed hands at request {number}"


@pytest.mark.once
def test_a_load_that_died_anywhere_is_finished_by_the_next(scene: Scene, store: ChatStore) -> None:
    """At each of its requests, before it was sent and after it was done unheard."""
    record = full_record(messages=3)
    with FaultInjector(store.connection.client) as faults:
        load(record, store)
        requests = faults.requests
        wanted = seen(scene, store)
        for number in range(1, requests + 1):
            for after_sending in (False, True):
                store.conversations.delete("foreign")
                faults.plan(Kill(after_sending=after_sending), at=number)
                with pytest.raises(Killed):
                    load(record, store)
                faults.clear()
                load(record, store)
                assert seen(scene, store) == wanted, f"died at request {number}"


def test_a_record_that_grew_is_loaded_on(chat_store: ChatStore) -> None:
    """Also when the turn that was last has more messages now."""
    record = full_record(messages=6)
    turn = [message.model_copy(update={"role": "assistant"}) for message in record.messages]
    load(replace(record, messages=turn[:4]), chat_store)
    grown = load(replace(record, messages=turn), chat_store)
    assert grown.message_count == 6
    stored = chat_store.messages.list("foreign", consistent=True)
    assert [each.content for each in stored] == [f"message {n}" for n in range(6)]


def test_a_record_that_says_something_else_is_a_conflict(chat_store: ChatStore) -> None:
    record = full_record(messages=2)
    load(record, chat_store)
    first, second = record.messages
    other = first.model_copy(update={"content": "something else"})
    with pytest.raises(Conflict):
        load(replace(record, messages=[other, second]), chat_store)
    with pytest.raises(AlreadyExists):
        load(replace(record, user_id="somebody else"), chat_store)


def test_a_record_that_has_expired_is_refused(chat_store: ChatStore) -> None:
    with pytest.raises(InvalidArgument, match="retention"):
        load(replace(full_record(), retention=timedelta(hours=1)), chat_store)


@pytest.mark.engine
def test_many_messages_without_a_prompt_are_cut_into_turns(chat_store: ChatStore) -> None:
    """A transaction takes 100 items: a record may hold more of them between two prompts."""
    said = [
        NewMessage(role="assistant", content=f"{n}", message_id=f"many-{n}", at=moment)
        for n, moment in enumerate(times(110))
    ]
    record = ConversationRecord("foreign", "ann", messages=said, created_at=said[0].at)
    assert load(record, chat_store).message_count == 110
    stored = chat_store.messages.list("foreign", page_size=200, consistent=True)
    assert [each.content for each in stored] == [each.content for each in said]


@pytest.mark.once
@pytest.mark.engine
def test_large_messages_are_cut_into_turns(chat_store: ChatStore) -> None:
    """A transaction takes 4 MB, and these hardly grow smaller by compression."""
    dice = random.Random(1)
    said = [
        NewMessage(
            role="assistant",
            content=base64.b64encode(dice.randbytes(270_000)).decode(),
            message_id=f"large-{n}",
            at=moment,
        )
        for n, moment in enumerate(times(16))
    ]
    record = ConversationRecord("foreign", "ann", messages=said, created_at=said[0].at)
    assert load(record, chat_store).message_count == 16


# -- there and back, through the store ----------------------------------------------------------


def _z(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.engine
def test_cgchat_comes_back_as_it_went_in(chat_store: ChatStore) -> None:
    created, first, last = times(3)
    call = ToolCall(tool="find", args={"big": 10**30, "float": 1.0, "": None}, result=[[], {}])
    item = {
        "conversation_id": "c-1",
        "user_id": "demo",
        "title": "Renders",
        "created_at": _z(created),
        "updated_at": _z(last),
        "message_count": 2,
        "messages": [
            {"role": "user", "content": "", "timestamp": _z(first)},
            {
                "role": "assistant",
                "content": "é# $ 𝄞",
                "timestamp": _z(last),
                "tool_calls": [call.model_dump(exclude={"call_id"})],
            },
        ],
    }
    talk = load(cgchat_record(item), chat_store)
    stored = chat_store.messages.list("c-1", consistent=True).items
    assert cgchat_document(talk, stored) == item


@pytest.mark.engine
def test_trinity_comes_back_as_it_went_in(chat_store: ChatStore) -> None:
    created, last = times(2)
    item = {
        "sessionId": "s-1",
        "userId": "cognito-1",
        "createdAt": _z(created),
        "updatedAt": _z(last),
        "ttl": int((created + timedelta(days=30)).timestamp()),
        "messages": [
            {
                "messageId": "m-1",
                "type": "trini_response",
                "content": "This one",
                "timestamp": _z(last),
                "extractedFilters": {"genres": [], "yearRange": {}, "keywords": []},
                "recommendations": ["movieId1"],
                "confidence": 0.85,
            }
        ],
        "userPreferences": {"nested": {"null": None}},
        "messageCount": 1,
        "sessionStatus": "archived",
    }
    talk = load(trinity_record(item), chat_store)
    assert talk.keep_last == 10
    assert trinity_document(talk, chat_store.messages.list("s-1", consistent=True).items) == item


@pytest.mark.engine
def test_support_comes_back_as_it_went_in(chat_store: ChatStore) -> None:
    sent, reviewed = times(2)
    session = {
        "pk_session_id": "s-1",
        "user_id": "ann",
        "title": "Passwords",
        "created_at": _z(sent),
        "updated_at": _z(sent + timedelta(seconds=3)),
        "message_count": 1,
    }
    row = {
        "pk_message_id": "m-1",
        "sk_session_id": "s-1",
        "user_prompt": "How?",
        "bot_response": "So.",
        "metadata": {"documents": [{"id": "kb/1", "score": 0.5}]},
        "sent_at": _z(sent),
        "response_time": 3.0,
        "feedback_type": "negative",
        "feedback_created_at": _z(reviewed),
    }
    review = {
        "pk_review_id": "r-1",
        "session_id": "s-1",
        "reviewed_by": "bob",
        "comments": "",
        "reviewed_at": _z(reviewed),
        "has_archived": True,
    }
    talk = load(support_record(session, [row], [review]), chat_store)
    messages = chat_store.messages.list("s-1", consistent=True).items
    reviews = chat_store.reviews.list_by_conversation("s-1", consistent=True).items
    assert support_rows(talk, messages, reviews) == (session, [row], [review])
    # A foreign id names the response, here and by itself.
    assert chat_store.messages.get("s-1", "m-1").content == "So."
    assert chat_store.messages.get_by_id("m-1").conversation_id == "s-1"
