"""A caller: a user's points, queue place and live call, with their conditions and updates.

All are in one item because they are checked together: one condition on one item decides whether a
user may wait, be matched, or be called.

    idle ──join──▶ waiting ──match──▶ in a call ──end──▶ idle
      │               └─leave─▶ idle      ▲
      └──────────────start────────────────┘

Waiting and being in a call both end by themselves at a stored time, so no caller stays in a state
whose other item (a ticket, a call) has expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, StringConstraints
from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.calls.points import DAILY_POINTS, next_allowance
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Counters, Entity, Id, Time
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    CorruptItem,
    InvalidArgument,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.transaction import Key

Points = Annotated[int, Field(ge=0, le=DAILY_POINTS)]
"""A number of points, from 0 to 15."""

_DATE = r"\d{4}-\d{2}-\d{2}"


QueueShard = Annotated[int, Field(ge=0, le=99)]
"""A shard of a queue; a ticket's key has room for two digits."""


class Caller(Entity):
    """A user's state for calls: points, place in a queue, live call."""

    layout: ClassVar[Layout] = keyspace.CALLER

    user_id: Id
    email: Annotated[str, StringConstraints(min_length=1, max_length=254)] | None = None
    """For support; it is neither checked nor unique."""
    time_zone: str | None = None
    """IANA name of the time zone in which the caller's days begin; None for UTC."""
    points_left: Points
    """Points left of the day's 15."""
    points_day: Annotated[str, StringConstraints(pattern=rf"^{_DATE}$")]
    """The date of the points, in the caller's own time zone."""
    points_until: Time
    """When that date ends, and the points are 15 again."""
    spends: Counters
    """Points spent since they were 15, by spend id. At most 15 entries."""
    spent_before: Counters
    """The spends before that, so that a late retry is recognised and does not spend again."""
    reset_id: Id | None = None
    """The id of the last bulk reset of this caller."""
    last_call_at: Time | None = None
    """When the caller's latest call began."""
    last_queue_entry: Time | None = None
    """When the caller last joined a queue."""
    queue: Id | None = None
    """The queue that the caller waits in."""
    queue_shard: QueueShard | None = None
    ticket_id: Id | None = None
    """The caller's ticket in that queue."""
    waiting_until: Time | None = None
    """When the caller stops waiting if not matched."""
    live_call_id: Id | None = None
    """The call that the caller is in."""
    live_until: Time | None = None
    """When that call expires if nobody ends it."""
    created_at: Time

    @property
    def is_waiting(self) -> bool:
        """True if the caller waits in a queue."""
        return self.ticket_id is not None

    @property
    def waiting_since(self) -> datetime | None:
        """When the caller joined the queue; None when not waiting."""
        return self.last_queue_entry if self.is_waiting else None

    @property
    def is_in_call(self) -> bool:
        """True if the caller is in a live call."""
        return self.live_call_id is not None


class CallerExists(AlreadyExists):
    """The user is a caller already."""

    current: Caller | None


class CallerBusy(Conflict):
    """The caller waits in a queue, or is in a call."""

    current: Caller


class PointsSpent(Conflict):
    """Points were spent with this id before."""

    current: Caller


class PointsExceeded(LimitExceeded):
    """The caller has too few points left. ``retry_after`` is the time until they are renewed."""

    current: Caller


class Charge(NamedTuple):
    """The actions that take points, and their condition."""

    actions: list[Action]
    condition: Condition | None


class Place(NamedTuple):
    """A place in a queue: the components of the ticket's key."""

    queue: str
    shard: int
    ticket_id: str

    @property
    def key(self) -> Key:
        """The table key of the ticket."""
        return keyspace.QUEUE_TICKET.key(**self._asdict())


def caller_key(user_id: str) -> Key:
    """The table key of a caller."""
    return keyspace.CALLER.key(user_id=user_id)


def found_caller(item: AttributeValues | None, user_id: str) -> Caller:
    """The caller stored as `item`; NotFound if None."""
    if item is None:
        raise NotFound("caller", user_id)
    return plan(Caller).decode(item)


def place_of(caller: Caller) -> Place | None:
    """The caller's place in a queue; None if not waiting."""
    if caller.queue is None or caller.queue_shard is None or caller.ticket_id is None:
        return None
    return Place(caller.queue, caller.queue_shard, caller.ticket_id)


def as_of(caller: Caller, now: datetime) -> Caller:
    """The caller at `now`: new points if the day is over; an expired wait or call is removed.

    CorruptItem if that needs a time zone that this machine does not know.
    """
    changes: dict[str, Any] = {}
    if caller.points_until <= now:
        try:
            following = next_allowance(caller.points_day, caller.time_zone, now)
        except InvalidArgument as error:
            named = {"user_id": caller.user_id}
            raise CorruptItem(caller.layout.kind, str(error), named) from error
        changes |= {"points_day": following.day, "points_until": following.until}
        if following.is_new:
            changes |= {"points_left": DAILY_POINTS, "spends": {}, "spent_before": _before(caller)}
    if caller.waiting_until is not None and caller.waiting_until <= now:
        changes |= dict.fromkeys(_WAITING)
    if caller.live_until is not None and caller.live_until <= now:
        changes |= dict.fromkeys(_IN_CALL)
    return caller.model_copy(update=changes) if changes else caller


# -- conditions ---------------------------------------------------------------------------------


def exists() -> Condition:
    """The caller exists."""
    return Item.PK.exists()


def is_in_no_call(now: datetime) -> Condition:
    """The caller is in no live call."""
    caller = plan(Caller).model
    condition: Condition = caller.live_call_id.does_not_exist() | (caller.live_until <= now)
    return condition


def waits_nowhere(now: datetime) -> Condition:
    """The caller waits in no queue."""
    caller = plan(Caller).model
    condition: Condition = caller.ticket_id.does_not_exist() | (caller.waiting_until <= now)
    return condition


def waits_with(ticket_id: str, now: datetime) -> Condition:
    """The caller waits, with this ticket."""
    condition: Condition = has_ticket(ticket_id) & (plan(Caller).model.waiting_until > now)
    return condition


def has_ticket(ticket_id: str) -> Condition:
    """The caller has this ticket, expired or not."""
    condition: Condition = plan(Caller).model.ticket_id == ticket_id
    return condition


def waits_without(ticket_id: str, now: datetime) -> Condition:
    """The caller does not wait with this ticket."""
    condition: Condition = waits_nowhere(now) | (plan(Caller).model.ticket_id != ticket_id)
    return condition


def may_have_points(at_least: int, now: datetime) -> Condition:
    """The caller has at least so many points, or a new day may have begun."""
    caller = plan(Caller).model
    condition: Condition = (caller.points_left >= at_least) | (caller.points_until <= now)
    return condition


# -- changes ------------------------------------------------------------------------------------

_WAITING = ("queue", "queue_shard", "ticket_id", "waiting_until")
_IN_CALL = ("live_call_id", "live_until")


def waiting(place: Place, since: datetime, until: datetime) -> list[Action]:
    """Actions that set the caller waiting at `place`."""
    caller = plan(Caller).model
    return [
        caller.queue.set(place.queue),
        caller.queue_shard.set(place.shard),
        caller.ticket_id.set(place.ticket_id),
        caller.waiting_until.set(until),
        caller.last_queue_entry.set(since),
    ]


def waiting_no_more() -> list[Action]:
    """Actions that take the caller out of the queue."""
    return _removing(*_WAITING)


def in_call(call_id: str, since: datetime, until: datetime) -> list[Action]:
    """Actions that put the caller into a call, and take them out of any queue."""
    caller = plan(Caller).model
    return [
        caller.live_call_id.set(call_id),
        caller.live_until.set(until),
        caller.last_call_at.set(since),
        *waiting_no_more(),
    ]


def in_call_no_more() -> list[Action]:
    """Actions that take the caller out of the call."""
    return _removing(*_IN_CALL)


def charge(
    points: int, spend_id: str, now: datetime, *, at_least: int = 0, known: Caller | None = None
) -> Charge:
    """Take `points` once for this spend id, from a caller who has them and `at_least`.

    `known` is the stored caller, if it was read. Without it, or if its points are today's, the
    charge works for points of today only. Otherwise the charge begins the new day first, on the
    condition that no other writer did.
    """
    needed = max(points, at_least)
    if not needed:
        return Charge([], None)
    if known is None or known.points_until > now:
        has_enough = plan(Caller).model.points_left >= needed
        return _taking(points, spend_id, are_todays(now) & has_enough)
    return _turning(points, spend_id, needed, now, known)


def moving(now: datetime, known: Caller | None) -> Charge:
    """Begin the caller's new day, if the old one is over, before the time zone changes.

    So the change does not alter the points that readers see. `known` as in `charge`.
    """
    if known is None or known.points_until > now:
        return Charge([], are_todays(now))
    try:
        return _turning(0, "", 0, now, known)
    except InvalidArgument:  # the old zone is unknown here: the day ends in the new one
        return Charge([], _unturned(known))


def are_todays(now: datetime) -> Condition:
    """The points are of a day that is not over."""
    condition: Condition = plan(Caller).model.points_until > now
    return condition


def _turning(points: int, spend_id: str, needed: int, now: datetime, known: Caller) -> Charge:
    """Begin the caller's new day, and take points of it."""
    caller = plan(Caller).model
    following = next_allowance(known.points_day, known.time_zone, now)
    unturned = _unturned(known)
    if following.is_new:
        charge = _taking_of_new(points, spend_id, unturned, known)
    else:
        charge = _taking(points, spend_id, unturned & (caller.points_left >= needed))
    charge.actions.extend(
        [caller.points_day.set(following.day), caller.points_until.set(following.until)]
    )
    return charge


def _taking(points: int, spend_id: str, condition: Condition) -> Charge:
    """Take points of the current allowance. To take 0 points no spend id is needed."""
    if not points:
        return Charge([], condition)
    caller = plan(Caller).model
    return Charge(
        [
            caller.points_left.set(caller.points_left - points),
            caller.spends.counter(spend_id).set(points),
        ],
        condition
        & caller.spends.counter(spend_id).does_not_exist()
        & caller.spent_before.counter(spend_id).does_not_exist(),
    )


def _taking_of_new(points: int, spend_id: str, unturned: Condition, known: Caller) -> Charge:
    """Take points of a new allowance; the old one's spends move to `spent_before`."""
    caller = plan(Caller).model
    actions = [
        caller.points_left.set(DAILY_POINTS - points),
        caller.spends.set({spend_id: points} if points else {}),
    ]
    if known.spends:  # the older `spent_before` is dropped
        actions.append(caller.spent_before.set(Path(caller.spends)))
        remembered = caller.spends
    else:  # a bulk reset has already moved them
        unturned &= size(caller.spends) == 0  # type: ignore[no-untyped-call]
        remembered = caller.spent_before
    if points:
        unturned &= remembered.counter(spend_id).does_not_exist()
    return Charge(actions, unturned)


def refill(reset_id: str) -> list[Action]:
    """Actions that reset the caller to 15 points."""
    caller = plan(Caller).model
    return [
        caller.points_left.set(DAILY_POINTS),
        caller.spent_before.set(Path(caller.spends)),
        caller.spends.set({}),
        caller.reset_id.set(reset_id),
    ]


def spent_as(caller: Caller, spend_id: str) -> int | None:
    """The points spent under this spend id; None if it is unknown."""
    spends: Mapping[str, int]
    for spends in (caller.spends, caller.spent_before):
        if spend_id in spends:
            return spends[spend_id]
    return None


def _before(caller: Caller) -> dict[str, int]:
    return caller.spends or caller.spent_before


def _unturned(known: Caller) -> Condition:
    """Neither the day nor the time zone has changed since the caller was read."""
    caller = plan(Caller).model
    zone = caller.time_zone
    same = zone.does_not_exist() if known.time_zone is None else zone == known.time_zone
    condition: Condition = (caller.points_until == known.points_until) & same
    return condition


def _removing(*names: str) -> list[Action]:
    attributes = plan(Caller).attributes
    return [attributes[name].remove() for name in names]
