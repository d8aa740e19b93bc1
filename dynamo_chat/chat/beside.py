"""What is written in the transaction of an append: the conversation's state, or own items.

The head's condition already says that the conversation is live and of this life, so the state needs
no check of its own. A failed condition here undoes the whole append, and the error says which part
it was; unless the same turn was appended before, with all that was beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeVar

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.chat.living import item_in
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.opening import Opening
from dynamo_chat.chat.snapshot import Snapshot
from dynamo_chat.chat.states import NewState, conflict_of, state_write
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import Conflict, InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.core.transaction import Check, Delete, Put, Update, Write, absent

MAX_ALSO = 5
"""Writes beside a turn; with a turn of 45 messages with ids they fit in a transaction."""

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class OwnItem:
    """An item of your own kind in the conversation, to save together with messages.

    It gets the conversation's deadline, and is deleted with it. Any item with its key is replaced,
    `only_if` a condition holds; with `is_new`, there must be none.
    """

    entity: Entity
    only_if: Condition | None = None
    is_new: bool = False

    def write(self, snapshot: Snapshot, now: datetime) -> Put:
        """The write of the item, in a conversation of this life."""
        item = item_in(kept_with(self.entity, snapshot.kept_until), snapshot.life)
        return Put(item, absent(now) if self.is_new else self.only_if)


Also: TypeAlias = NewState | OwnItem | Put | Update | Delete | Check
"""What may be written together with messages."""


def kept_with(entity: E, kept_until: datetime | None) -> E:
    """`entity` with its conversation's deadline. TypeError without a field for it."""
    deadline = plan(type(entity)).deadline
    if deadline is None:
        raise TypeError(f"{type(entity).__name__} has no field of type ExpiresAt")
    return entity.model_copy(update={deadline: kept_until})


class Beside:
    """The writes beside a turn, and what their failed conditions mean."""

    def __init__(self, also: Sequence[Also], opening: Opening | None = None) -> None:
        if not isinstance(also, Sequence) or len(also) > MAX_ALSO:
            raise InvalidArgument("also", f"must be a list of at most {MAX_ALSO} writes")
        for place, each in enumerate(also):
            if not isinstance(each, Also):
                raise InvalidArgument(
                    f"also.{place}",
                    "must be NewState, OwnItem, Put, Update, Delete or Check, "
                    f"not {type(each).__name__}",
                )
        if sum(isinstance(each, NewState) for each in also) > 1:
            raise InvalidArgument("also", "a conversation has one state")
        self._also = also
        self._opening = opening

    def __bool__(self) -> bool:
        return bool(self._also)

    def begun(self, messages: list[Message]) -> list[Message]:
        """The messages as they are begun: a stream's has a time of its latest checkpoint."""
        opening = self._opening
        return messages if opening is None else [opening.begun(each) for each in messages]

    def with_stream(
        self, writes: list[Write], snapshot: Snapshot, messages: Sequence[Message]
    ) -> list[Write]:
        """The writes of the turn, with those of a stream if it begins one."""
        if self._opening is None:
            return writes
        return self._opening.with_stream(writes, snapshot, messages[0])

    def writes(self, snapshot: Snapshot, now: datetime) -> list[Write]:
        """The writes, in a conversation of this life."""
        return [
            self._write(f"also.{place}", each, snapshot, now)
            for place, each in enumerate(self._also)
        ]

    def _write(self, name: str, each: Also, snapshot: Snapshot, now: datetime) -> Write:
        if isinstance(each, NewState):
            return state_write(snapshot, each, now)
        if not isinstance(each, OwnItem):
            return each
        partition = each.entity.layout.table.pk.pattern()
        if partition != keyspace.CONVERSATION_PARTITION.pattern():
            raise InvalidArgument(name, "its kind must be in the partition of a conversation")
        if each.entity.__dict__["conversation_id"] != snapshot.conversation_id:
            raise InvalidArgument(name, "must be of the same conversation as the messages")
        return each.write(snapshot, now)

    def check(self, failed: ConditionFailed, first: int, now: datetime) -> None:
        """Raise StateConflict or Conflict if the condition of one of them failed.

        `first` is the place of the first of them in the transaction.
        """
        for place, each in enumerate(self._also):
            if first + place not in failed.items:
                continue
            if isinstance(each, NewState):
                raise conflict_of(failed.items[first + place], each.revision, now) from failed
            raise Conflict(
                f"the condition of also[{place}] did not hold; nothing was written"
            ) from failed
