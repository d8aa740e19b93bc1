"""Sessions of `support`: one row each, with rows of two more tables for messages and reviews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.exchange import Exchange, exchange_turn, exchanges_of
from dynamo_chat.chat.message import Feedback, Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.entity import Count, Id, Json, Model, Number, Text, validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.records import ConversationRecord, ReviewRecord
from dynamo_chat.importing.shapes import Moment, known, plain


class SupportSession(Model):
    """A row of ``chat_sessions``."""

    pk_session_id: Id
    user_id: Id
    title: Text
    created_at: Moment
    updated_at: Moment
    message_count: Count


class SupportMessage(Model):
    """A row of ``messages``: a prompt, its response, and feedback on the response."""

    pk_message_id: Id
    sk_session_id: Id
    user_prompt: Text
    bot_response: Text = ""
    metadata: Json = Field(default_factory=dict)
    """A map with ``documents`` in order of relevance."""
    sent_at: Moment
    response_time: Number | None = None
    """Seconds."""
    errors: Text | None = None
    feedback_type: Literal["positive", "negative"] | None = None
    feedback_rank: int | None = None
    feedback_category: Text | None = None
    feedback_message: Text | None = None
    feedback_created_at: Moment | None = None


class SupportReview(Model):
    """A row of ``reviews``."""

    pk_review_id: Id
    session_id: Id
    reviewed_by: Id
    comments: Text | None = None
    reviewed_at: Moment
    has_archived: bool = False


def support_record(
    session: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    reviews: Sequence[Mapping[str, Any]] = (),
) -> ConversationRecord:
    """Convert a row of ``chat_sessions`` with its rows of ``messages`` and ``reviews``.

    A row's id becomes the id of its response, which has the feedback; the prompt's id is the same
    with ``:prompt`` at the end. InvalidArgument names the wrong field, also if a row belongs to
    another session or `message_count` is not the number of rows.
    """
    given = validated(SupportSession, "chat_sessions", **session)
    rows = [validated(SupportMessage, f"messages.{n}", **row) for n, row in enumerate(messages)]
    judged = [validated(SupportReview, f"reviews.{n}", **row) for n, row in enumerate(reviews)]
    owners = {row.sk_session_id for row in rows} | {row.session_id for row in judged}
    if owners - {given.pk_session_id}:
        raise InvalidArgument("sk_session_id", "a row belongs to another session")
    if given.message_count != len(rows):
        raise InvalidArgument(
            "message_count", f"is {given.message_count}, but there are {len(rows)} rows"
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
    """The documents in metadata: a map with ``documents``, a list of them, or a single one."""
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


class SupportRows(NamedTuple):
    """A conversation as rows of the three tables of `support`."""

    chat_session: dict[str, Any]
    messages: list[dict[str, Any]]
    reviews: list[dict[str, Any]]


def support_rows(
    conversation: Conversation, messages: Sequence[Message], reviews: Sequence[Review] = ()
) -> SupportRows:
    """The conversation as rows of ``chat_sessions``, ``messages`` and ``reviews``.

    `messages` must be all of its messages in time order. Each user message and its response make
    one row; the session's `message_count` is the number of rows, as in the document.
    """
    exchanges = exchanges_of(messages)
    session = SupportSession(
        pk_session_id=conversation.conversation_id,
        user_id=conversation.user_id,
        title=conversation.title or "",
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        message_count=len(exchanges),
    )
    return SupportRows(
        plain(session),
        [plain(_shown_exchange(exchange)) for exchange in exchanges],
        [plain(_shown_review(review)) for review in reviews],
    )


def _shown_exchange(exchange: Exchange) -> SupportMessage:
    feedback = exchange.feedback
    return known(
        SupportMessage,
        pk_message_id=exchange.message_id,
        sk_session_id=exchange.conversation_id,
        user_prompt=exchange.user_prompt,
        bot_response=exchange.bot_response or "",
        metadata={"documents": list(exchange.documents)},
        sent_at=exchange.sent_at,
        response_time=exchange.response_time,
        errors=exchange.errors,
        feedback_type=feedback and feedback.type,
        feedback_rank=feedback and feedback.rank,
        feedback_category=feedback and feedback.category,
        feedback_message=feedback and feedback.text,
        feedback_created_at=feedback and feedback.given_at,
    )


def _shown_review(review: Review) -> SupportReview:
    return known(
        SupportReview,
        pk_review_id=review.review_id,
        session_id=review.conversation_id,
        reviewed_by=review.reviewed_by,
        comments=review.comments,
        reviewed_at=review.reviewed_at,
        has_archived=review.is_archived,
    )
