"""Conversations in the shapes of the documents: `support`, `trinity` and `cgchat`.

Each shape is declared once, as a model that both reads and writes it, so what is read out of the
store is exactly what that product's own code expects: its attribute names, its roles, times as
``2025-12-30T14:00:00Z``. The other direction is in `loading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.exchange import Exchange, exchanges_of
from dynamo_chat.chat.message import ExtractedFilters, Message, ToolCall
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.entity import Count, Id, Json, JsonObject, Many, Model, Number, Text, Time
from dynamo_chat.core.keys import format_time

TRINITY_ROLES = {"user": "user_query", "assistant": "trini_response"}
TOOL_CALL_ID = "tool_call_id"
"""The key of a tool message's metadata that names the call it is the result of."""


def cgchat_document(conversation: Conversation, messages: Sequence[Message]) -> dict[str, Any]:
    """The conversation as one item of ``cg-chatbot-conversations``, messages inside.

    A tool message becomes the result of the call it answers, and is not counted; one that answers
    no call reads as a system message, because the document knows no other role for it.
    """
    shown = _with_tool_results(messages)
    return _plain(
        CgchatConversation(
            conversation_id=conversation.conversation_id,
            user_id=conversation.user_id,
            title=conversation.title or "",
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
            message_count=conversation.message_count - (len(messages) - len(shown)),
            messages=tuple(shown),
        )
    )


def trinity_document(conversation: Conversation, messages: Sequence[Message]) -> dict[str, Any]:
    """The conversation as one item of ``trinity-chat-sessions-dev``, messages inside.

    System and tool messages are neither shown nor counted: the document knows only queries and
    responses, and its client would show everything as one of them.
    """
    shown = [_trinity_message(message) for message in messages if message.role in TRINITY_ROLES]
    session: dict[str, Any] = {
        "session_id": conversation.conversation_id,
        "user_id": conversation.user_id,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
    }
    if conversation.expires_at is not None:
        session["ttl"] = epoch_seconds(conversation.expires_at)
    return _plain(
        TrinitySession(
            **session,
            messages=tuple(shown),
            user_preferences=conversation.preferences,
            message_count=conversation.message_count - (len(messages) - len(shown)),
            session_status=conversation.status,
        )
    )


class SupportRows(NamedTuple):
    """A conversation as rows of the three tables of `support`."""

    chat_session: dict[str, Any]
    messages: list[dict[str, Any]]
    reviews: list[dict[str, Any]]


def support_rows(
    conversation: Conversation, messages: Sequence[Message], reviews: Sequence[Review] = ()
) -> SupportRows:
    """The conversation as its row of ``chat_sessions``, and those of ``messages`` and ``reviews``.

    `messages` are all of its messages in time order. Each user message and the response to it
    make one row; the session counts rows, as the document does.
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
        _plain(session),
        [_plain(_support_message(exchange)) for exchange in exchanges],
        [_plain(_support_review(review)) for review in reviews],
    )


# -- the shapes ---------------------------------------------------------------------------------


def _read_moment(value: Any) -> Any:
    """An ISO 8601 text as a time; without a zone it is UTC, as these products write it."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 time such as 2025-12-30T14:00:00Z") from None
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)


def _write_moment(moment: datetime) -> str:
    return f"{format_time(moment)[:19]}Z"


Moment = Annotated[Time, BeforeValidator(_read_moment), PlainSerializer(_write_moment)]
"""A time that the documents write as ``2025-12-30T14:00:00Z``."""


class CgchatMessage(Model):
    """A message object of `cgchat`."""

    role: Literal["user", "assistant", "system"]
    content: Text
    timestamp: Moment
    tool_calls: Many[ToolCall] = ()
    """Without the ids that other formats give to calls."""


class CgchatConversation(Model):
    """An item of ``cg-chatbot-conversations``."""

    conversation_id: Id
    user_id: Id
    title: Text
    created_at: Moment
    updated_at: Moment
    message_count: Count
    messages: Many[CgchatMessage]


class _Camel(Model):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class TrinityYears(_Camel):
    """Years from `min` to `max`; either may be open."""

    min: int | None = None
    max: int | None = None


class TrinityFilters(_Camel):
    """What the film chatbot understood of a query."""

    genres: Many[Text] = ()
    year_range: TrinityYears | None = None
    rating: Number | None = None
    keywords: Many[Text] = ()


class TrinityMessage(_Camel):
    """A message of `trinity`."""

    message_id: Id
    type: Literal["user_query", "trini_response"]
    content: Text
    timestamp: Moment
    extracted_filters: TrinityFilters | None = None
    recommendations: Many[Text] = ()
    confidence: Number | None = None


class TrinitySession(_Camel):
    """An item of ``trinity-chat-sessions-dev``."""

    session_id: Id
    user_id: Id
    created_at: Moment
    updated_at: Moment
    ttl: Count | None = None
    """Seconds since 1970."""
    messages: Many[TrinityMessage]
    user_preferences: JsonObject = Field(default_factory=dict)
    message_count: Count
    session_status: Literal["active", "archived"] = "active"


class SupportSession(Model):
    """A row of ``chat_sessions``."""

    pk_session_id: Id
    user_id: Id
    title: Text
    created_at: Moment
    updated_at: Moment
    message_count: Count


class SupportMessage(Model):
    """A row of ``messages``: a prompt, the response to it, and feedback on that."""

    pk_message_id: Id
    sk_session_id: Id
    user_prompt: Text
    bot_response: Text = ""
    metadata: Json = Field(default_factory=dict)
    """A map whose ``documents`` are in order of relevance."""
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


# -- from entities to shapes --------------------------------------------------------------------


def _plain(shape: Model) -> dict[str, Any]:
    """The shape as JSON values. What was not set, because there is nothing to say, is left out."""
    return shape.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _with_tool_results(messages: Sequence[Message]) -> list[CgchatMessage]:
    """Messages in `cgchat`'s shape, tool messages folded into the calls that they answer."""
    shown: list[tuple[Message, list[ToolCall]]] = []
    for message in messages:
        if message.role != "tool" or not _is_taken(message, shown):
            shown.append((message, list(message.tool_calls)))
    return [_cgchat_message(message, calls) for message, calls in shown]


def _is_taken(result: Message, shown: Sequence[tuple[Message, list[ToolCall]]]) -> bool:
    """Whether a call of an earlier message waits for this result; if so, it has it now."""
    wanted = result.metadata.get(TOOL_CALL_ID)
    for _, calls in reversed(shown):
        for place, call in enumerate(calls):
            if call.call_id is not None and call.call_id == wanted and call.result is None:
                calls[place] = call.model_copy(update={"result": result.content})
                return True
    return False


def _cgchat_message(message: Message, calls: Sequence[ToolCall]) -> CgchatMessage:
    fields: dict[str, Any] = {
        "role": "system" if message.role == "tool" else message.role,
        "content": message.content,
        "timestamp": message.sent_at,
    }
    if calls:
        fields["tool_calls"] = tuple(
            ToolCall(tool=call.tool, args=call.args, result=call.result) for call in calls
        )
    return CgchatMessage(**fields)


def _trinity_message(message: Message) -> TrinityMessage:
    fields: dict[str, Any] = {
        "message_id": message.message_id,
        "type": TRINITY_ROLES[message.role],
        "content": message.content,
        "timestamp": message.sent_at,
    }
    if message.filters is not None:
        fields["extracted_filters"] = _trinity_filters(message.filters)
    if message.recommendations:
        fields["recommendations"] = message.recommendations
    if message.confidence is not None:
        fields["confidence"] = message.confidence
    return TrinityMessage(**fields)


def _trinity_filters(filters: ExtractedFilters) -> TrinityFilters:
    fields: dict[str, Any] = {"genres": filters.genres}
    if filters.year_range is not None:
        years = {"min": filters.year_range.min, "max": filters.year_range.max}
        known = {name: year for name, year in years.items() if year is not None}
        fields["year_range"] = TrinityYears(**known)
    if filters.rating is not None:
        fields["rating"] = filters.rating
    return TrinityFilters(**fields, keywords=filters.keywords)


def _support_message(exchange: Exchange) -> SupportMessage:
    feedback = exchange.feedback
    maybe: dict[str, Any] = {
        "response_time": exchange.response_time,
        "errors": exchange.errors,
    }
    if feedback is not None:
        maybe |= {
            "feedback_type": feedback.type,
            "feedback_rank": feedback.rank,
            "feedback_category": feedback.category,
            "feedback_message": feedback.text,
            "feedback_created_at": feedback.given_at,
        }
    fields: dict[str, Any] = {
        "pk_message_id": exchange.message_id,
        "sk_session_id": exchange.conversation_id,
        "user_prompt": exchange.user_prompt,
        "bot_response": exchange.bot_response or "",
        "metadata": {"documents": list(exchange.documents)},
        "sent_at": exchange.sent_at,
    }
    known = {name: value for name, value in maybe.items() if value is not None}
    return SupportMessage(**fields, **known)


def _support_review(review: Review) -> SupportReview:
    fields: dict[str, Any] = {} if review.comments is None else {"comments": review.comments}
    return SupportReview(
        pk_review_id=review.review_id,
        session_id=review.conversation_id,
        reviewed_by=review.reviewed_by,
        **fields,
        reviewed_at=review.reviewed_at,
        has_archived=review.is_archived,
    )
