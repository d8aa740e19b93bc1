"""A call between two users, and its room, which exists while the call is live.

The call is the record in the history: in GSI1 for `user_a`, in GSI2 for `user_b`. The room is an
item of its own whose key is the room's name, so the name is unique among live calls. It has what
the list of live calls (GSI1) shows, and is deleted when the call ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Final

from dynamo_chat import keyspace
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity, ExpiresAt, Id, Indexed, Number, Time
from dynamo_chat.core.errors import AlreadyExists
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, GSI2, Layout
from dynamo_chat.core.transaction import Key

CALL_RETENTION: Final = timedelta(days=90)
"""How long a call is kept after its end; after its start if nobody ended it."""

_A_MINUTE: Final = timedelta(minutes=1)


class Call(Entity):
    """A call between two users."""

    layout: ClassVar[Layout] = keyspace.CALL

    call_id: Id
    user_a: Id
    """If matched from a queue, the caller who waited longer; otherwise the one who called."""
    user_b: Id
    room_name: Id
    """The name of the room, unique among live calls."""
    queue: Id | None = None
    """The queue they were matched in; None for a direct call."""
    started_at: Time
    ended_at: Time | None = None
    """None while the call is live."""
    duration_minutes: Number | None = None
    """Minutes from start to end, rounded to hundredths; None while the call is live."""
    created_at: Time
    expires_at: ExpiresAt

    @property
    def is_live(self) -> bool:
        """True until the call has ended."""
        return self.ended_at is None

    def indexed(self) -> Indexed:
        """In the history of both users: GSI1 for `user_a`, GSI2 for `user_b`."""
        return {
            GSI1: {**self.__dict__, "user_id": self.user_a},
            GSI2: {**self.__dict__, "user_id": self.user_b},
        }


class CallExists(AlreadyExists):
    """The call's id or room is taken."""

    current: Call | None


class CallRoom(Entity):
    """The room of a live call, by its name."""

    layout: ClassVar[Layout] = keyspace.CALL_ROOM

    room_name: Id
    call_id: Id
    user_a: Id
    user_b: Id
    queue: Id | None = None
    started_at: Time
    created_at: Time
    expires_at: ExpiresAt

    def indexed(self) -> Indexed:
        """In a shard of the list of live calls."""
        shard = keyspace.LIVE_CALL_SHARDS.shard_of(self.call_id)
        return {GSI1: {**self.__dict__, "shard": shard}}


def call_key(call_id: str) -> Key:
    """The table key of a call."""
    return keyspace.CALL.key(call_id=call_id)


def room_key(room_name: str) -> Key:
    """The table key of a room."""
    return keyspace.CALL_ROOM.key(room_name=room_name)


def room_item(call: Call) -> AttributeValues:
    """The item of a live call's room."""
    room = CallRoom(
        room_name=call.room_name,
        call_id=call.call_id,
        user_a=call.user_a,
        user_b=call.user_b,
        queue=call.queue,
        started_at=call.started_at,
        created_at=call.created_at,
        expires_at=call.expires_at,
    )
    return plan(CallRoom).encode(room)


def call_in_room(item: AttributeValues) -> Call:
    """The live call whose room is stored as `item`."""
    room = plan(CallRoom).decode(item)
    return Call(**room.__dict__)


def ended(call: Call, ended_at: datetime) -> Call:
    """The call as ended at `ended_at`, but not before its start, as clocks may differ."""
    end = max(ended_at, call.started_at)
    return call.model_copy(
        update={
            "ended_at": end,
            "duration_minutes": round((end - call.started_at) / _A_MINUTE, 2),
            "expires_at": kept_until(end),
        }
    )


def kept_until(moment: datetime) -> datetime:
    """When a call expires that began or ended at `moment`."""
    return whole_second(moment + CALL_RETENTION)
