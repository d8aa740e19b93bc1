"""What makes a message a stream (C25): the writer's mark, and the item that lists it as unfinished.

A message that is streamed has these attributes beside its own:

    writer   the mark of the writer that may change it; whoever takes the stream over sets another,
             and who ends it in the writer's place removes it
    step     the number of the writer's latest checkpoint: an earlier one that was delayed is late

The item that lists it is in the conversation's partition, and is written and deleted with the
begin and the end of the stream. So an unfinished stream is found whatever became of its writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import with_life
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.snapshot import Snapshot
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import check_size, helper_item, key_parts
from dynamo_chat.core.layout import GSI1, PK, SK, Collection
from dynamo_chat.core.transaction import Check, Delete, Key, Put, Write

WRITER: Final = "writer"
STEP: Final = "step"
_MARK_CHARACTERS: Final = 12


class Streamed(NamedTuple):
    """The message of a listing item."""

    conversation_id: str
    position: str


@dataclass(frozen=True, slots=True)
class Opening:
    """The begin of a stream by one writer."""

    writer: str
    at: datetime
    tried: list[str] = field(default_factory=list)
    """Positions that an append has tried: a message at one of them was appended by this writer."""

    @classmethod
    def by(cls, fresh_id: str, now: datetime) -> Opening:
        """The opening of a new writer."""
        return cls(fresh_id[-_MARK_CHARACTERS:], now)

    def begun(self, message: Message) -> Message:
        """The message as this writer begins it."""
        return message.model_copy(update={"checkpoint_at": self.at})

    def with_stream(
        self, writes: Sequence[Write], snapshot: Snapshot, message: Message
    ) -> list[Write]:
        """The writes of an append, with the writer's mark and the listing item."""
        self.tried.append(message.position)
        head, put, *rest = writes
        if not isinstance(put, Put):
            raise TypeError("the second write of an append is its message")
        item = {**put.item, WRITER: {"S": self.writer}, STEP: {"N": "0"}}
        check_size(item)
        listed = Put(stream_item(message, snapshot.life, snapshot.kept_until))
        return [head, Put(item, put.condition), *rest, listed]


def stream_key(conversation_id: str, position: str) -> Key:
    """The table key of the item that lists a stream."""
    return keyspace.MESSAGE_STREAM.key(conversation_id=conversation_id, position=position)


def unlisting(conversation_id: str, position: str) -> list[Write]:
    """The writes that delete the item that lists a message, unless the message is streamed."""
    message = keyspace.MESSAGE.key(conversation_id=conversation_id, position=position)
    is_over: Condition = Path("is_streaming").does_not_exist()
    return [Check(message, is_over), Delete(stream_key(conversation_id, position))]


def stream_item(message: Message, life: str | None, kept_until: datetime | None) -> AttributeValues:
    """The item that lists a message as unfinished."""
    fields = listing_fields(message.conversation_id, message.position)
    item = helper_item(keyspace.MESSAGE_STREAM, fields, GSI1, expires_at=kept_until)
    return with_life(item, life)


def listing_fields(conversation_id: str, position: str) -> dict[str, Any]:
    """What the keys of the item that lists a message are made of."""
    return {
        "conversation_id": conversation_id,
        "position": position,
        "shard": keyspace.STREAM_SHARDS.shard_of(position),
    }


def streams_until(position: str) -> list[Collection]:
    """The collections of all streams that began before this position."""
    return [
        keyspace.MESSAGE_STREAM.collection(GSI1, shard)(until=position)
        for shard in keyspace.STREAM_SHARDS.shards()
    ]


def streamed(item: AttributeValues) -> Streamed:
    """The message that an item lists. CorruptItem."""
    layout = keyspace.MESSAGE_STREAM
    (conversation_id,) = key_parts(layout, item, PK)
    (position,) = key_parts(layout, item, SK)
    return Streamed(conversation_id, position)
