"""The transaction that puts two callers into a call: matched from a queue, or called directly.

    Put call        if its id is free
    Put room        if no live call has its name
    Update a, b     if each is in no call and has the points: each pays, and is in the call
    Delete tickets  of those who waited

All writes happen or none, so a crash leaves both callers as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dynamo_chat.calls.call import Call, CallExists, room_item
from dynamo_chat.calls.caller import (
    Caller,
    Place,
    PointsSpent,
    caller_key,
    charge,
    exists,
    in_call,
    is_in_no_call,
    spent_as,
    waits_nowhere,
    waits_with,
)
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.item import plan
from dynamo_chat.core.transaction import Delete, Put, Update, Write, absent

CALL, ROOM, SIDES = 0, 1, (2, 3)
"""The indexes of the writes in the transaction."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two callers of a call."""

    user_id: str
    place: Place | None = None
    """The place in a queue that the caller leaves; None for a caller who must not be waiting."""
    known: Caller | None = None
    """The stored caller, if it was read."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs each caller."""

    points: int
    at_least: int
    """Points that each must have; not below `points`."""


def opening(call: Call, sides: Sequence[Side], price: Price, now: datetime) -> list[Write]:
    """The writes of the transaction, in the order of `CALL`, `ROOM` and `SIDES`."""
    return [
        Put(plan(Call).encode(call), absent(now)),
        Put(room_item(call), absent(now)),
        *(_entering(call, side, price, now) for side in sides),
        *(Delete(side.place.key) for side in sides if side.place is not None),
    ]


def _entering(call: Call, side: Side, price: Price, now: datetime) -> Update:
    paying = charge(price.points, call.call_id, now, at_least=price.at_least, known=side.known)
    if side.place is None:
        condition = exists() & waits_nowhere(now)
    else:
        condition = waits_with(side.place.ticket_id, now)
    condition &= is_in_no_call(now)
    if paying.condition is not None:
        condition &= paying.condition
    until = call.expires_at or now
    actions = [*in_call(call.call_id, call.started_at, until), *paying.actions]
    return Update(caller_key(side.user_id), actions, condition)


def opened_before(failed: ConditionFailed, wanted: Call) -> Call | None:
    """The existing call with the id of `wanted`, from the failed transaction.

    None if the id and the room's name are free: then a caller's condition failed. AlreadyExists if
    the id is another call's, or another live call has the room's name; that call is shown only to
    its own users.
    """
    if CALL in failed.items:
        there = plan(Call).decode(failed.items[CALL] or {})
        if (there.queue, wanted.queue) == (None, None):
            is_same = (there.user_a, there.user_b) == (wanted.user_a, wanted.user_b)
        else:  # the users of a match are not given, so only the queue can differ
            is_same = there.queue == wanted.queue
        if not is_same:
            raise taken_call_id(there, wanted) from failed
        return there
    if ROOM in failed.items:
        raise CallExists(f"room {wanted.room_name!r} is in use by a live call") from failed
    return None


def taken_call_id(there: Call, wanted: Call) -> CallExists:
    """The error for a taken id; it has the existing call only for the same two users."""
    is_theirs = {there.user_a, there.user_b} == {wanted.user_a, wanted.user_b}
    return CallExists(f"call id {wanted.call_id!r} is taken", there if is_theirs else None)


def check_unspent(caller: Caller, call: Call) -> None:
    """Raise Conflict if the caller has spent points with the call's id before."""
    if spent_as(caller, call.call_id) is not None:
        raise PointsSpent(f"points were spent with the id {call.call_id!r} before", caller)
