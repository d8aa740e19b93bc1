"""Sessions of `trinity`, a film chatbot: one item each, with queries and responses inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import ExtractedFilters, Message, NewMessage
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.entity import Count, Id, JsonObject, Many, Model, Number, Text, validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.records import ConversationRecord
from dynamo_chat.importing.shapes import Moment, known, plain

KEPT_MESSAGES: Final = 10
_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999, as seconds since 1970."""
_TYPES: Final = {"user": "user_query", "assistant": "trini_response"}
_CAMEL: Final = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class TrinityFilters(ExtractedFilters):
    """The filters that the film chatbot extracted from a query."""

    model_config = _CAMEL


class TrinityMessage(Model):
    """A message of `trinity`."""

    model_config = _CAMEL

    message_id: Id
    type: Literal["user_query", "trini_response"]
    content: Text
    timestamp: Moment
    extracted_filters: TrinityFilters | None = None
    recommendations: Many[Text] = ()
    confidence: Number | None = None


class TrinitySession(Model):
    """An item of ``trinity-chat-sessions-dev``."""

    model_config = _CAMEL

    session_id: Id
    user_id: Id
    created_at: Moment
    updated_at: Moment
    ttl: Annotated[Count, Field(le=_LAST_SECOND)] | None = None
    """Seconds since 1970."""
    messages: Many[TrinityMessage]
    user_preferences: JsonObject = Field(default_factory=dict)
    message_count: Count
    session_status: Literal["active", "archived"] = "active"


def trinity_record(item: Mapping[str, Any]) -> ConversationRecord:
    """Convert an item of ``trinity-chat-sessions-dev``; it is kept until its `ttl`.

    Only its last 10 messages are kept. InvalidArgument names the wrong field.
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
        keep_last=KEPT_MESSAGES,
        preferences=given.user_preferences,
        messages=[_message(message) for message in given.messages],
    )


def _message(given: TrinityMessage) -> NewMessage:
    filters = given.extracted_filters
    return NewMessage(
        role="user" if given.type == "user_query" else "assistant",
        content=given.content,
        message_id=given.message_id,
        at=given.timestamp,
        sent_at=given.timestamp,
        filters=None if filters is None else ExtractedFilters(**dict(filters)),
        recommendations=given.recommendations,
        confidence=given.confidence,
    )


def trinity_document(conversation: Conversation, messages: Sequence[Message]) -> dict[str, Any]:
    """The conversation as one item of ``trinity-chat-sessions-dev``, with its messages inside.

    System and tool messages are left out and not counted: the document has only queries and
    responses. InvalidArgument if the conversation's preferences were not read: use `get` or `open`.
    """
    if conversation.has_preferences and conversation.preferences is None:
        raise InvalidArgument("conversation", "its preferences were not read: use `get` or `open`")
    shown = [_shown(message) for message in messages if message.role in _TYPES]
    expires_at = conversation.expires_at
    session = known(
        TrinitySession,
        session_id=conversation.conversation_id,
        user_id=conversation.user_id,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        ttl=None if expires_at is None else epoch_seconds(expires_at),
        messages=tuple(shown),
        user_preferences=conversation.preferences or {},
        message_count=conversation.message_count - (len(messages) - len(shown)),
        session_status=conversation.status,
    )
    return plain(session)


def _shown(message: Message) -> TrinityMessage:
    filters = message.filters
    return known(
        TrinityMessage,
        message_id=message.message_id,
        type=_TYPES[message.role],
        content=message.content,
        timestamp=message.sent_at,
        extracted_filters=filters
        and TrinityFilters.model_validate(filters.model_dump(exclude_none=True)),
        recommendations=message.recommendations or None,
        confidence=message.confidence,
    )
