"""The transaction that takes two callers into a call: matched from a queue, or called directly.

    call    is written, unless its id is taken
    room    is written, unless a live call has its name
    a, b    each is free, has the points, pays, and is in the call from now on
    tickets of those who waited are deleted

All of it happens or nothing, so whoever dies on the way leaves both where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dynamo_chat.calls.call import Call, room_item
from dynamo_chat.calls.caller import (
    Caller,
    Place,
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
from dynamo_chat.core.errors import AlreadyExists, Conflict
from dynamo_chat.core.item import plan
from dynamo_chat.core.transaction import Delete, Put, Update, Write, absent

CALL, ROOM, SIDES = 0, 1, (2, 3)
"""The places of the writes in the transaction."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two who go into a call."""

    user_id: str
    place: Place | None = None
    """Where the caller waits, and gives the place up; None for one who must not be waiting."""
    known: Caller | None = None
    """The caller as it is stored, if it was read."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs each of the two."""

    points: int
    at_least: int
    """What each must have; not below `points`."""


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
    """The call that is there under the id of `wanted`, told by the failed transaction.

    None when the id is free, and the room's name too: then one of the two callers was in the way.
    AlreadyExists when the id is another call's, or the name that of another live call's room; who
    is in that call is nobody else's business.
    """
    if CALL in failed.items:
        there = plan(Call).decode(failed.items[CALL] or {})
        if (there.queue, wanted.queue) == (None, None):
            is_same = (there.user_a, there.user_b) == (wanted.user_a, wanted.user_b)
        else:  # whom a queue brings together is not asked for, so it cannot differ
            is_same = there.queue == wanted.queue
        if not is_same:
            raise taken_call_id(there, wanted) from failed
        return there
    if ROOM in failed.items:
        raise AlreadyExists(f"room {wanted.room_name!r} is in use by a live call") from failed
    return None


def taken_call_id(there: Call, wanted: Call) -> AlreadyExists:
    """The refusal of a taken id: the call is shown to the two who are in it."""
    is_theirs = {there.user_a, there.user_b} == {wanted.user_a, wanted.user_b}
    return AlreadyExists(f"call id {wanted.call_id!r} is taken", there if is_theirs else None)


def check_unspent(caller: Caller, call: Call) -> None:
    """Refuse a call that costs points under an id that the caller spent some under before."""
    if spent_as(caller, call.call_id) is not None:
        raise Conflict(f"points were spent under the id {call.call_id!r} before", caller)
