"""Checkpoints of agents: states of up to 3 MB. An item holds 400 KB, so each has several parts."""

from collections.abc import Sequence
from math import ceil
from typing import ClassVar

from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    TABLE,
    Bytes,
    Count,
    Entity,
    ExpiresAt,
    Id,
    InvalidArgument,
    Layout,
    NotFound,
    PageRequest,
    Repository,
    Slot,
    Talk,
    Time,
    Write,
    access_pattern,
    integer,
    sort,
    text,
)

PART_BYTES = 300_000
MAX_BYTES = 10 * PART_BYTES

CHECKPOINT = Layout(
    "checkpoint",
    table=Slot(CONVERSATION_PARTITION, sort("APPCHECK", text("checkpoint_id"))),
    of=CONVERSATION,
)
CHECKPOINT_PART = Layout(
    "checkpoint_part",
    table=Slot(
        CONVERSATION_PARTITION, sort("APPPART", text("checkpoint_id"), integer("number", 3))
    ),
    of=CHECKPOINT,
)


class Checkpoint(Entity):
    """The state of an agent at one time; its data is in the parts."""

    layout: ClassVar[Layout] = CHECKPOINT

    conversation_id: Id
    checkpoint_id: Id
    saved_at: Time
    size: Count
    parts: Count
    expires_at: ExpiresAt = None


class CheckpointPart(Entity):
    """Up to 300,000 bytes of a checkpoint."""

    layout: ClassVar[Layout] = CHECKPOINT_PART

    conversation_id: Id
    checkpoint_id: Id
    number: Count
    data: Bytes
    expires_at: ExpiresAt = None


class Checkpoints(Repository):
    """Save and load checkpoints of conversations."""

    kinds = (Checkpoint, CheckpointPart)

    @access_pattern(
        "CK1",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def save(self, conversation_id: str, data: bytes, *, user_id: str | None = None) -> Checkpoint:
        """Save a checkpoint, all of it or nothing, and return it. NotFound."""
        if len(data) > MAX_BYTES:
            raise InvalidArgument("data", f"must be at most {MAX_BYTES:,} bytes")
        items = self.conversation_items
        checkpoint = Checkpoint(
            conversation_id=conversation_id,
            checkpoint_id=items.new_id(),
            saved_at=items.now(),
            size=len(data),
            parts=ceil(len(data) / PART_BYTES),
        )

        def writes(talk: Talk) -> Sequence[Write]:
            return [
                talk.creating(checkpoint),
                *(
                    talk.creating(
                        CheckpointPart(
                            conversation_id=conversation_id,
                            checkpoint_id=checkpoint.checkpoint_id,
                            number=number,
                            data=data[number * PART_BYTES : (number + 1) * PART_BYTES],
                        )
                    )
                    for number in range(checkpoint.parts)
                ),
            ]

        return items.write(conversation_id, writes, user_id=user_id).kept(checkpoint)

    @access_pattern("CK2", "GetItem, Query", "3 + ⌈megabytes⌉", budget=4, owner="read")
    def latest(
        self, conversation_id: str, *, user_id: str | None = None
    ) -> tuple[Checkpoint, bytes]:
        """The last checkpoint of a conversation, and its data. NotFound."""
        items = self.conversation_items
        found = items.page(
            PageRequest((conversation_id, user_id), True, 1, consistent=True),
            Checkpoint,
            CHECKPOINT.collection(TABLE, conversation_id)(),
            conversation_id=conversation_id,
            user_id=user_id,
        )
        if not found.items:
            raise NotFound("checkpoint")
        checkpoint = found.items[0]
        name = checkpoint.checkpoint_id
        parts = items.page(
            PageRequest((conversation_id, name), False, max(1, checkpoint.parts), consistent=True),
            CheckpointPart,
            CHECKPOINT_PART.collection(TABLE, conversation_id)(name),
            conversation_id=conversation_id,
            user_id=user_id,
        )
        if len(parts) != checkpoint.parts:
            raise NotFound("checkpoint", name)  # it was removed between the two reads
        return checkpoint, b"".join(part.data for part in parts)

    @access_pattern(
        "CK3",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def remove(self, checkpoint: Checkpoint, *, user_id: str | None = None) -> None:
        """Remove a checkpoint with all its parts. NotFound if its conversation is gone."""

        def writes(talk: Talk) -> Sequence[Write]:
            name = checkpoint.checkpoint_id
            return [
                talk.deleting(Checkpoint, checkpoint_id=name),
                *(
                    talk.deleting(CheckpointPart, checkpoint_id=name, number=number)
                    for number in range(checkpoint.parts)
                ),
            ]

        self.conversation_items.write(checkpoint.conversation_id, writes, user_id=user_id)
