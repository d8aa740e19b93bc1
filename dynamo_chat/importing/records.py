"""Loading conversations that were kept elsewhere, their ids and times included.

A record is a conversation on its way in: where it comes from is forgotten, what it says is kept.
The documents' items and rows become records here; `load` puts a record into a store, and putting
it in again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from dynamo_chat.chat.conversation import Conversation, ConversationStatus
from dynamo_chat.chat.conversations import Conversations
from dynamo_chat.chat.exchange import Exchange, exchange_turn
from dynamo_chat.chat.message import (
    MAX_MESSAGE_ID,
    ExtractedFilters,
    Feedback,
    NewMessage,
    YearRange,
)
from dynamo_chat.chat.messages import Messages
from dynamo_chat.chat.reviews import Reviews
from dynamo_chat.chat.states import ConversationStates
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import Conflict, InvalidArgument, MessageDeleted
from dynamo_chat.importing.documents import (
    TRINITY_ROLES,
    CgchatConversation,
    SupportMessage,
    SupportReview,
    SupportSession,
    TrinityFilters,
    TrinityMessage,
    TrinitySession,
)
from dynamo_chat.keyspace import digest_of

TRINITY_KEPT_MESSAGES = 10
_PER_TURN = 20
_TURN_BYTES = 1_000_000
_ROLES = {kind: role for role, kind in TRINITY_ROLES.items()}


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """A review on its way in."""

    review_id: str
    reviewed_by: str
    reviewed_at: datetime
    comments: str | None = None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A conversation on its way in. All of its messages have ids."""

    conversation_id: str
    user_id: str
    messages: Sequence[NewMessage] = ()
    title: str | None = None
    created_at: datetime | None = None
    status: ConversationStatus = "active"
    retention: timedelta | None = None
    keep_last: int | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """By message id."""
    reviews: Sequence[ReviewRecord] = ()
    state: Mapping[str, Any] | None = None


class Repositories(NamedTuple):
    """The repositories that a record is loaded through."""

    conversations: Conversations
    messages: Messages
    reviews: Reviews
    states: ConversationStates


def load(record: ConversationRecord, into: Repositories) -> Conversation:
    """Put a record into a store, and return its conversation as it is then.

    Idempotent, also after a crash half-way: what is there already stays. Messages are found by
    their ids, reviews by theirs. AlreadyExists when the conversation id is another user's,
    Conflict when a message id is there with other content, InvalidArgument when it has expired.
    """
    talk = into.conversations.create(
        record.user_id,
        conversation_id=record.conversation_id,
        title=record.title,
        retention=record.retention,
        keep_last=record.keep_last,
        preferences=record.preferences,
        created_at=record.created_at,
    )
    identity, owner = talk.conversation_id, talk.user_id
    for turn in _turns(record.messages):
        _append(into.messages, talk, turn)
    for message_id, feedback in record.feedback.items():
        into.messages.give_feedback(identity, message_id, feedback, user_id=owner)
    for review in record.reviews:
        into.reviews.create(
            identity,
            review.reviewed_by,
            comments=review.comments,
            review_id=review.review_id,
            reviewed_at=review.reviewed_at,
            user_id=owner,
        )
        if review.is_archived:
            into.reviews.archive(review.review_id, archived_at=review.reviewed_at)
    if record.state is not None and into.states.get(identity, user_id=owner) is None:
        into.states.save(identity, dict(record.state), user_id=owner)
    if record.status != "active":
        into.conversations.set_status(identity, record.status, user_id=owner)
    return into.conversations.get(identity, user_id=owner, consistent=True)


def _append(messages: Messages, talk: Conversation, turn: Sequence[NewMessage]) -> None:
    try:
        messages.append_turn(talk.conversation_id, turn, user_id=talk.user_id)
    except MessageDeleted:
        if len(turn) > 1:
            for message in turn:
                _append(messages, talk, [message])
    except Conflict:
        # The turn may have grown since it was first loaded: then some of its ids are known.
        if len(turn) == 1:
            raise
        for message in turn:
            _append(messages, talk, [message])


def _turns(messages: Sequence[NewMessage]) -> Iterator[list[NewMessage]]:
    """Messages cut before every user message, and where a transaction would grow too large."""
    turn: list[NewMessage] = []
    size = 0
    for message in messages:
        adds = len(message.model_dump_json().encode())
        if turn and (message.role == "user" or len(turn) == _PER_TURN or size + adds > _TURN_BYTES):
            yield turn
            turn, size = [], 0
        turn.append(message)
        size += adds
    if turn:
        yield turn


def numbered_id(conversation_id: str, place: int) -> str:
    """The id of a message that came without one: the same at every load."""
    plain = f"{conversation_id}:{place}"
    return plain if len(plain) <= MAX_MESSAGE_ID else f"{digest_of(conversation_id)}:{place}"


# -- the documents' records ---------------------------------------------------------------------


def cgchat_record(item: Mapping[str, Any]) -> ConversationRecord:
    """An item of ``cg-chatbot-conversations``. Its messages have no ids: they get numbered ones.

    InvalidArgument names what is wrong with it.
    """
    given = validated(CgchatConversation, "", **item)
    messages = [
        NewMessage(
            role=message.role,
            content=message.content,
            message_id=numbered_id(given.conversation_id, place),
            at=message.timestamp,
            sent_at=message.timestamp,
            tool_calls=message.tool_calls,
        )
        for place, message in enumerate(given.messages)
    ]
    return ConversationRecord(
        conversation_id=given.conversation_id,
        user_id=given.user_id,
        title=given.title or None,
        created_at=given.created_at,
        messages=messages,
    )


def trinity_record(item: Mapping[str, Any]) -> ConversationRecord:
    """An item of ``trinity-chat-sessions-dev``: it is kept until its `ttl`, its last 10 messages.

    InvalidArgument names what is wrong with it.
    """
    given = validated(TrinitySession, "", **item)
    retention = None
    if given.ttl is not None:
        retention = datetime.fromtimestamp(given.ttl, UTC) - given.created_at
    return ConversationRecord(
        conversation_id=given.session_id,
        user_id=given.user_id,
        created_at=given.created_at,
        status=given.session_status,
        retention=retention,
        keep_last=TRINITY_KEPT_MESSAGES,
        preferences=given.user_preferences,
        messages=[_trinity_message(message) for message in given.messages],
    )


def _trinity_message(message: TrinityMessage) -> NewMessage:
    filters = message.extracted_filters
    return NewMessage(
        role="user" if message.type == "user_query" else "assistant",
        content=message.content,
        message_id=message.message_id,
        at=message.timestamp,
        sent_at=message.timestamp,
        filters=None if filters is None else _filters(filters),
        recommendations=message.recommendations,
        confidence=message.confidence,
    )


def _filters(filters: TrinityFilters) -> ExtractedFilters:
    years = filters.year_range
    return ExtractedFilters(
        genres=filters.genres,
        year_range=None if years is None else YearRange(min=years.min, max=years.max),
        rating=filters.rating,
        keywords=filters.keywords,
    )


def support_record(
    session: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    reviews: Sequence[Mapping[str, Any]] = (),
) -> ConversationRecord:
    """A row of ``chat_sessions`` with its rows of ``messages`` and ``reviews``.

    A row's id names the response in it, which its feedback is given on; the prompt's id is the
    same with ``:prompt`` after it. InvalidArgument names what is wrong, also when a row belongs to
    another session or the session counts other than its rows.
    """
    given = validated(SupportSession, "chat_sessions", **session)
    rows = [validated(SupportMessage, f"messages.{n}", **row) for n, row in enumerate(messages)]
    judged = [validated(SupportReview, f"reviews.{n}", **row) for n, row in enumerate(reviews)]
    owners = {row.sk_session_id for row in rows} | {row.session_id for row in judged}
    if owners - {given.pk_session_id}:
        raise InvalidArgument("sk_session_id", "a row belongs to another session")
    if given.message_count != len(rows):
        raise InvalidArgument(
            "message_count", f"says {given.message_count}, but there are {len(rows)} rows"
        )
    rows.sort(key=lambda row: row.sent_at)
    return ConversationRecord(
        conversation_id=given.pk_session_id,
        user_id=given.user_id,
        title=given.title or None,
        created_at=given.created_at,
        messages=[message for row in rows for message in exchange_turn(_exchange(row))],
        feedback={row.pk_message_id: _feedback(row) for row in rows if _has_feedback(row)},
        reviews=[
            ReviewRecord(
                review_id=review.pk_review_id,
                reviewed_by=review.reviewed_by,
                reviewed_at=review.reviewed_at,
                comments=review.comments,
                is_archived=review.has_archived,
            )
            for review in judged
        ],
    )


def _exchange(row: SupportMessage) -> Exchange:
    return Exchange(
        message_id=row.pk_message_id,
        user_prompt=row.user_prompt,
        bot_response=row.bot_response,
        documents=_documents(row.metadata),
        sent_at=row.sent_at,
        response_time=row.response_time,
        errors=row.errors,
    )


def _documents(metadata: Any) -> tuple[Any, ...]:
    """The documents in a row's metadata: under ``documents``, a list itself, or one alone."""
    if isinstance(metadata, dict):
        metadata = metadata.get("documents", [metadata] if metadata else [])
    if not isinstance(metadata, list):
        raise InvalidArgument("metadata", "must be a map, or a list of documents")
    return tuple(metadata)


def _has_feedback(row: SupportMessage) -> bool:
    given = (row.feedback_type, row.feedback_rank, row.feedback_category, row.feedback_message)
    return any(part is not None for part in given)


def _feedback(row: SupportMessage) -> Feedback:
    return validated(
        Feedback,
        "feedback",
        type=row.feedback_type,
        rank=row.feedback_rank,
        category=row.feedback_category,
        text=row.feedback_message,
        given_at=row.feedback_created_at or row.sent_at,
    )
