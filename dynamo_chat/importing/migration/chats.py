"""The chat documents: conversations of `support`, `trinity` and `cgchat`, read by their readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from dynamo_chat.chat.conversation import MAX_TITLE_CHARACTERS, Conversation
from dynamo_chat.chat.message import Feedback, Message, NewMessage
from dynamo_chat.chat.reviews import MAX_COMMENTS
from dynamo_chat.core.clock import MAX_AHEAD
from dynamo_chat.core.errors import NotFound
from dynamo_chat.importing.cgchat import CgchatConversation, cgchat_record
from dynamo_chat.importing.loading import all_messages
from dynamo_chat.importing.migration.declaring import (
    Bundle,
    Document,
    LeftOut,
    Made,
    Refused,
    Row,
    SourceTable,
    Step,
    Target,
    accepted,
)
from dynamo_chat.importing.migration.shaping import Record
from dynamo_chat.importing.records import ConversationRecord, load, numbered_id
from dynamo_chat.importing.support import (
    SupportMessage,
    SupportReview,
    SupportSession,
    support_record,
)
from dynamo_chat.importing.trinity import TrinitySession, trinity_record

_WHAT_IT_SAYS: Final = tuple(
    name for name in NewMessage.model_fields if name not in {"at", "message_id", "is_streaming"}
)


def _first(*names: str) -> Callable[[Record], Any]:
    """The first of these attributes that a record has. LookupError if it has none."""

    def found(record: Record) -> Any:
        return next(record[name] for name in names if record.get(name) is not None)

    def filled(record: Record) -> Any:
        try:
            return found(record)
        except StopIteration:
            raise LookupError(names[0]) from None

    return filled


# -- a conversation -----------------------------------------------------------------------------


def talk(record: ConversationRecord, rows: Sequence[Row], bundle: Bundle) -> Made:
    """A conversation as what is loaded. Refused or LeftOut if it can't or needn't be."""
    head = rows[0]
    if record.title is not None and len(record.title) > MAX_TITLE_CHARACTERS:
        record = replace(record, title=record.title[:MAX_TITLE_CHARACTERS])
        bundle.change(head, f"title: was cut at {MAX_TITLE_CHARACTERS} characters")
    created, retention = record.created_at, record.retention
    if created is not None and retention is not None and created + retention <= bundle.now:
        raise LeftOut("it has expired")
    ids = Counter(message.message_id for message in record.messages)
    repeated = [each for each, number in ids.items() if number > 1]
    if repeated:
        raise Refused(f"two of its messages have the id {repeated[0]!r}")
    if any(len(review.comments or "") > MAX_COMMENTS for review in record.reviews):
        raise Refused(f"the comments of a review have more than {MAX_COMMENTS:,} characters")
    keeps = record.keep_last
    if keeps is not None and len(record.messages) > keeps:
        bundle.change(head, f"messages: only the last {keeps} are kept, as the document says")
        record = replace(record, messages=record.messages[-keeps:])
    _check_times(record, bundle.now)
    return Made(
        rows=tuple(rows),
        load=lambda target: load(record, target.store, in_bulk=True),
        differences=lambda target: _differences(record, target),
    )


def _check_times(record: ConversationRecord, now: datetime) -> None:
    times = [message.at for message in record.messages]
    times += [review.reviewed_at for review in record.reviews]
    times += [record.created_at, *(each.given_at for each in record.feedback.values())]
    if any(each is not None and each > now + MAX_AHEAD for each in times):
        raise Refused("one of its times is in the future")


def _differences(record: ConversationRecord, target: Target) -> list[str]:
    """How the stored conversation differs from the record. Later changes of its own are fine."""
    identity = record.conversation_id
    try:
        there = target.store.conversations.get(identity, user_id=record.user_id, consistent=True)
    except NotFound:
        return [f"conversation {identity!r} is missing"]
    found = _of_head(record, there)
    stored = all_messages(target.store, identity)
    by_id = {message.message_id: message for message in stored}
    # Messages that were appended here since may have pushed out old ones.
    later = sum(
        message.message_id not in {m.message_id for m in record.messages} for message in stored
    )
    missing = [m.message_id for m in record.messages if m.message_id not in by_id]
    if missing and not (record.keep_last is not None and len(missing) <= later):
        found.append(f"message {missing[0]!r} is missing, and {len(missing) - 1} others")
    order = [m.message_id for m in record.messages if m.message_id in by_id]
    if order != [m.message_id for m in stored if m.message_id in set(order)]:
        found.append("its messages have another order")
    for wanted in record.messages:
        message = by_id.get(wanted.message_id or "")
        if message is not None:
            found += _of_message(record, wanted, message)
    return found + _of_reviews(record, target)


def _of_head(record: ConversationRecord, there: Conversation) -> list[str]:
    wanted: dict[str, Any] = {
        "created_at": record.created_at,
        "keep_last": record.keep_last,
        "retention": record.retention,
        "preferences": record.preferences,
    }
    if record.title is not None:
        wanted["title"] = record.title
    found = [name for name, value in wanted.items() if getattr(there, name) != value]
    if there.status != record.status and len(record.messages) >= there.appended_count:
        found.append("status")
    return [f"{name} differs" for name in found]


def _of_message(record: ConversationRecord, wanted: NewMessage, there: Message) -> list[str]:
    found = [
        f"message {there.message_id!r}: {name} differs"
        for name in _WHAT_IT_SAYS
        if getattr(there, name) != getattr(wanted, name) and there.edited_at is None
    ]
    feedback = record.feedback.get(wanted.message_id or "")
    if feedback is not None and there.feedback is None:
        found.append(f"message {there.message_id!r}: the feedback is missing")
    elif there.feedback != feedback and _is_of_then(there, feedback):
        found.append(f"message {there.message_id!r}: the feedback differs")
    return found


def _is_of_then(there: Message, feedback: Feedback | None) -> bool:
    """True if the stored feedback was not given here since."""
    given = there.feedback
    return given is not None and feedback is not None and given.given_at == feedback.given_at


def _of_reviews(record: ConversationRecord, target: Target) -> list[str]:
    found = []
    for wanted in record.reviews:
        try:
            there = target.store.reviews.get(wanted.review_id)
        except NotFound:
            found.append(f"review {wanted.review_id!r} is missing")
            continue
        if (there.reviewed_by, there.comments, there.reviewed_at) != (
            wanted.reviewed_by,
            wanted.comments,
            wanted.reviewed_at,
        ) or (wanted.is_archived and not there.is_archived):
            found.append(f"review {wanted.review_id!r} differs")
    return found


# -- support ------------------------------------------------------------------------------------

_SESSIONS: Final = SourceTable(
    "chat_sessions",
    key=("pk_session_id",),
    shape=SupportSession,
    group="pk_session_id",
    filled={
        "title": lambda _: "",
        "created_at": _first("updated_at"),
        "updated_at": _first("created_at"),
        "message_count": lambda _: 0,
    },
    created=("created_at",),
    changed=("updated_at",),
)


def _completed_message(record: Record) -> Iterator[str]:
    said = ("feedback_type", "feedback_rank", "feedback_category", "feedback_message")
    if any(record.get(name) is not None for name in said) and not record.get("feedback_created_at"):
        record["feedback_created_at"] = record["sent_at"]
        yield "feedback_created_at: was missing, and is the time of the prompt"


_MESSAGES: Final = SourceTable(
    "messages",
    key=("pk_message_id", "sk_session_id"),
    shape=SupportMessage,
    group="sk_session_id",
    completed=_completed_message,
    created=("sent_at",),
    changed=("sent_at", "feedback_created_at"),
)
_REVIEWS: Final = SourceTable(
    "reviews",
    key=("pk_review_id",),
    shape=SupportReview,
    group="session_id",
    created=("reviewed_at",),
    changed=(),  # archiving it has no time
)


def _support(bundle: Bundle) -> Iterator[Made]:
    head = bundle.head("chat_sessions")
    messages, reviews = bundle.rows("messages"), bundle.rows("reviews")
    session = dict(head.record)
    if session["message_count"] != len(messages):
        bundle.change(head, "message_count: was not the number of its messages, which counts here")
        session["message_count"] = len(messages)
    record = support_record(
        session, [row.record for row in messages], [row.record for row in reviews]
    )
    yield talk(record, [head, *messages, *reviews], bundle)


SUPPORT: Final = Document(
    "support",
    (Step("conversations", (_SESSIONS, _MESSAGES, _REVIEWS), _support, is_whole=True),),
    settled=(
        "chat_sessions.updated_at: the time of the last message",
        "chat_sessions.message_count: counts prompts and responses, so twice as many",
        "messages.pk_message_id: the id of the response; the prompt's has ':prompt' at the end",
    ),
)


# -- trinity ------------------------------------------------------------------------------------


def _completed_session(record: Record) -> Iterator[str]:
    before = record["createdAt"]
    for place, message in enumerate(record["messages"]):
        if message.get("messageId") is None:
            message["messageId"] = numbered_id(record["sessionId"], place)
            yield "messages.messageId: was missing, and is its number in the session"
        if message.get("timestamp") is None:
            message["timestamp"] = before
            yield "messages.timestamp: was missing, and is that of the message before"
        before = message["timestamp"]


_TRINITY: Final = SourceTable(
    "trinity-chat-sessions-dev",
    key=("sessionId",),
    shape=TrinitySession,
    group="sessionId",
    filled={
        "messages": lambda _: [],
        "createdAt": lambda record: record.get("updatedAt") or record["messages"][0]["timestamp"],
        "updatedAt": _first("createdAt"),
        "messageCount": lambda record: len(record["messages"]),
    },
    completed=_completed_session,
    created=("createdAt",),
    changed=("updatedAt",),
)


def _trinity(bundle: Bundle) -> Iterator[Made]:
    head = bundle.head(_TRINITY.name)
    yield talk(trinity_record(head.record), [head], bundle)


TRINITY: Final = Document(
    "trinity",
    (Step("conversations", (_TRINITY,), _trinity, is_whole=True),),
    settled=(
        "updatedAt: the time of the last message",
        "messageCount: the number of messages stored, at most the last 10",
    ),
)


# -- cgchat -------------------------------------------------------------------------------------


def _completed_conversation(record: Record) -> Iterator[str]:
    before = record["created_at"]
    for message in record["messages"]:
        if message.get("timestamp") is None:
            message["timestamp"] = before
            yield "messages.timestamp: was missing, and is that of the message before"
        before = message["timestamp"]
        if message.get("content") is None:
            message["content"] = ""
            yield "messages.content: was missing, and is empty"


_CGCHAT: Final = SourceTable(
    "cg-chatbot-conversations",
    key=("conversation_id", "user_id"),
    shape=CgchatConversation,
    group="conversation_id",
    filled={
        "title": lambda _: "",
        "messages": lambda _: [],
        "created_at": lambda record: record.get("updated_at") or record["messages"][0]["timestamp"],
        "updated_at": _first("created_at"),
        "message_count": lambda record: len(record["messages"]),
    },
    completed=_completed_conversation,
    created=("created_at",),
    changed=("updated_at",),
)


def _cgchat(bundle: Bundle) -> Iterator[Made]:
    found = sorted(bundle.rows(_CGCHAT.name), key=lambda row: (row.record["created_at"], row.key))
    for row in found:
        made = accepted(bundle, row, partial(_cgchat_talk, row, bundle))
        if made is not None:
            yield made


def _cgchat_talk(row: Row, bundle: Bundle) -> Made:
    if bundle.holder("conversation", bundle.group, row) != row.key:
        raise Refused("duplicate: another user has a conversation with this id")
    return talk(cgchat_record(row.record), [row], bundle)


CGCHAT: Final = Document(
    "cgchat",
    (Step("conversations", (_CGCHAT,), _cgchat),),
    settled=(
        "updated_at: the time of the last message",
        "messages: get the ids <conversation_id>:0, <conversation_id>:1 and so on",
    ),
)
