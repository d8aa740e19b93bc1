"""A message: the entity, the values inside it, and its id.

A message's key is its position, a ULID: it gives the order in the conversation and the time that
`since` and `until` compare. Without a caller-supplied id, the message's id is
``<conversation_id>~<position>``, which costs nothing to store and is enough to find the message. A
caller-supplied id is stored in an item of its own beside the message.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, StringConstraints, field_validator, model_validator

from dynamo_chat import keyspace
from dynamo_chat.chat.snapshot import Snapshot
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import (
    Count,
    Entity,
    ExpiresAt,
    Id,
    Indexed,
    Json,
    JsonObject,
    Many,
    Model,
    Number,
    Text,
    Time,
    misplaced,
    validated,
)
from dynamo_chat.core.errors import Conflict
from dynamo_chat.core.layout import GSI1, GSI2, Layout
from dynamo_chat.core.ulids import Position, is_ulid, ulid_time

Role = Literal["user", "assistant", "system", "tool"]
MessageStatus = Literal["complete", "streaming", "failed", "cancelled"]
FeedbackType = Literal["positive", "negative"]
MAX_MESSAGE_ID = 200
"""Characters of a caller-supplied message id."""
MAX_PARTS = 1_000
"""Documents of a message; also its tool calls, recommendations, genres and keywords, each."""
_MARK = "~"


class ToolCall(Model):
    """One call of a tool by the assistant, with its result."""

    tool: Text
    args: Json = None
    result: Json = None
    call_id: Text | None = None
    """The id by which a model's API matches calls and results."""


class YearRange(Model):
    """Years from `min` to `max`; either may be None (open)."""

    min: int | None = None
    max: int | None = None


class ExtractedFilters(Model):
    """The filters that a recommender extracted from the user's request."""

    genres: Many[Text] = ()
    year_range: YearRange | None = None
    rating: Number | None = None
    keywords: Many[Text] = ()


class Feedback(Model):
    """A user's judgement of a message."""

    type: FeedbackType
    rank: Annotated[int, Field(ge=1, le=5)] | None = None
    """Satisfaction from 1 to 5."""
    category: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    text: Text | None = None
    given_at: Time | None = None
    """Set by the store if not given."""


class MessageBody(Model):
    """What a message says: its text, documents, tool calls, metadata and the like."""

    content: Text = ""
    response_time: Annotated[Number, Field(ge=0)] | None = None
    """Seconds that the response took to generate."""
    errors: Text | None = None
    """What went wrong while the message was generated."""
    documents: Many[JsonObject] = ()
    """Retrieved documents, in order of relevance."""
    filters: ExtractedFilters | None = None
    recommendations: Many[Text] = ()
    confidence: Number | None = None
    tool_calls: Many[ToolCall] = ()
    """Only for assistant messages."""
    metadata: JsonObject = Field(default_factory=dict)

    # Not in the types of the fields, so that what an older release stored stays readable.
    @field_validator("documents", "recommendations", "tool_calls", mode="before")
    @classmethod
    def _check_number(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and len(value) > MAX_PARTS:
            raise ValueError(f"must have at most {MAX_PARTS:,} entries")
        return value

    @field_validator("filters")
    @classmethod
    def _check_filters(cls, value: ExtractedFilters | None) -> ExtractedFilters | None:
        if value is not None and max(len(value.genres), len(value.keywords)) > MAX_PARTS:
            raise ValueError(f"must have at most {MAX_PARTS:,} genres and {MAX_PARTS:,} keywords")
        return value


class NewMessage(MessageBody):
    """A message to append."""

    role: Role
    message_id: Annotated[Id, Field(max_length=MAX_MESSAGE_ID)] | None = None
    """The caller's own id: a retry with the same id appends only once."""
    at: Time | None = None
    """The time of its position; now if not given. It always sorts after the latest message."""
    sent_at: Time | None = None
    """When it was sent, as data; the time of its position, to the millisecond, if not given."""
    is_streaming: bool = False
    """True while its content is still arriving; see `Messages.finish`."""

    @model_validator(mode="after")
    def _check(self) -> NewMessage:
        if self.tool_calls and self.role != "assistant":
            raise misplaced("tool_calls", "belong to assistant messages only")
        if self.message_id is not None and is_minted_form(self.message_id):
            raise misplaced(
                "message_id", "must not end in '~' and a ULID: the store's own ids have that form"
            )
        return self


class Message(Entity, MessageBody):
    """A stored message of a conversation."""

    layout: ClassVar[Layout] = keyspace.MESSAGE

    conversation_id: Id
    position: Position
    """A ULID: its order in the conversation, and the time that `since` and `until` compare."""
    message_id: str
    role: Role
    sent_at: Time
    """As given, to the microsecond; else the time of its position, to the millisecond."""
    turn_index: Count = 0
    """Its index in the turn that it was appended with, from 0."""
    is_streaming: bool = False
    """True while its content is still arriving."""
    status: MessageStatus = "complete"
    """``streaming`` while `is_streaming`; ``failed`` or ``cancelled`` if its stream ended so."""
    checkpoint_at: Time | None = None
    """When a stream last stored what has arrived; None without one, and after its end."""
    edited_at: Time | None = None
    feedback: Feedback | None = None
    expires_at: ExpiresAt = None

    def implied(self) -> frozenset[str]:
        """Fields that are not stored, as they follow from the position or are empty."""
        names = {"turn_index"} if not self.turn_index else set()
        if self.message_id == minted_id(self.conversation_id, self.position):
            names.add("message_id")
        if self.sent_at == ulid_time(self.position):
            names.add("sent_at")
        if not self.content:
            names.add("content")
        if self.status in {"complete", "streaming"}:
            names.add("status")
        return frozenset(names)

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        """Derive `message_id` and `sent_at` from the position if they were not stored.

        And the status from `is_streaming`.
        """
        position = fields["position"]
        if "message_id" not in fields:
            fields["message_id"] = minted_id(fields["conversation_id"], position)
        if "sent_at" not in fields:
            fields["sent_at"] = ulid_time(position)
        if fields.get("is_streaming") and "status" not in fields:
            fields["status"] = "streaming"

    def indexed(self) -> Indexed:
        """Its index keys' fields, from its feedback; none without feedback."""
        if self.feedback is None or self.feedback.given_at is None:  # no time: not stored yet
            return {}
        return indexed_feedback(self.feedback, self.conversation_id, self.position)


class MessageConflict(Conflict):
    """The message was appended or finished before with other content."""

    current: Message | None


class StreamLost(Conflict):
    """The answer is no longer this writer's: another one took it over, or it was ended or edited.

    Nothing was overwritten. ``current`` is the message as it is.
    """

    current: Message | None


def indexed_feedback(feedback: Feedback, conversation_id: str, position: str) -> Indexed:
    """The index keys' fields of a message with this feedback; in GSI2 only with a category."""
    spread_by = f"{conversation_id} {position}"
    fields = {
        "conversation_id": conversation_id,
        "position": position,
        "feedback_type": feedback.type,
        "rated_at": feedback.given_at,
        "rank": feedback.rank or 0,
        "shard": keyspace.FEEDBACK_RANK_SHARDS.shard_of(spread_by),
    }
    if feedback.category is None:
        return {GSI1: fields}
    shard = keyspace.FEEDBACK_CATEGORY_SHARDS.shard_of(spread_by)
    return {GSI1: fields, GSI2: {**fields, "category": feedback.category, "shard": shard}}


class MintedId(NamedTuple):
    """The parts of a message id made by the store."""

    conversation_id: str
    position: str


def minted_id(conversation_id: str, position: str) -> str:
    """The id that the store makes for a message without a caller-supplied id."""
    return f"{conversation_id}{_MARK}{position}"


def is_minted_form(message_id: str) -> bool:
    """True if `message_id` has the form of the store's own ids."""
    return parse_minted(message_id) is not None


def parse_minted(message_id: str) -> MintedId | None:
    """Conversation and position of an id made by the store; None for a caller's id."""
    conversation_id, _, position = message_id.rpartition(_MARK)
    return MintedId(conversation_id, position) if conversation_id and is_ulid(position) else None


def content_digest(message: NewMessage) -> str:
    """A hash of the message without its id and times: equal for retries of one append."""
    # Without defaults, so that a field added later does not change the digest of old messages.
    said = message.model_dump(
        mode="json", exclude={"message_id", "at", "sent_at"}, exclude_defaults=True
    )
    return hashlib.sha256(json_text(said, sort_keys=True).encode()).hexdigest()[:32]


def as_appended(message: Message) -> NewMessage:
    """The message as its append gave it, without its id and times, if it was not edited since."""
    if message.is_streaming and message.checkpoint_at is not None:  # a stream begins empty
        return validated(NewMessage, role=message.role, is_streaming=True)
    said = {name: getattr(message, name) for name in MessageBody.model_fields}
    return validated(NewMessage, **said, role=message.role, is_streaming=message.is_streaming)


def stored_message(
    new: NewMessage,
    conversation: Snapshot,
    position: str,
    turn_index: int,
    edited_at: datetime | None = None,
) -> Message:
    """`new` as a stored message at `position`."""
    fields = dict(new.__dict__)
    del fields["at"]
    fields["conversation_id"] = conversation.conversation_id
    fields["position"] = position
    fields["turn_index"] = turn_index
    fields["edited_at"] = edited_at
    fields["expires_at"] = conversation.kept_until
    if new.is_streaming:
        fields["status"] = "streaming"
    if new.message_id is None:
        fields["message_id"] = minted_id(conversation.conversation_id, position)
    if new.sent_at is None:
        fields["sent_at"] = ulid_time(position)
    return Message.model_validate(fields)
