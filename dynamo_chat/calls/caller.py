"""A caller: what a user has for calls, as one item, and what may be done with it.

Points, place in a queue and live call are together because they decide together: one condition on
one item says whether a user may wait, be matched, or be called.

    idle ──join──▶ waiting ──match──▶ in a call ──end──▶ idle
      │               └─leave─▶ idle      ▲
      └──────────────start────────────────┘

Each of waiting and being in a call has a time at which it is over by itself, so that nobody is
stuck in it when the other half of it (a ticket, a call) has expired.
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
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.transaction import Key

Points = Annotated[int, Field(ge=0, le=DAILY_POINTS)]
"""A number of points, from 0 to the 15 of a day."""

_DATE = r"\d{4}-\d{2}-\d{2}"


QueueShard = Annotated[int, Field(ge=0, le=99)]
"""Part of a queue: what the key of a ticket has room for."""


class Caller(Entity):
    """What a user has for calls: points, a place in a queue, a live call."""

    layout: ClassVar[Layout] = keyspace.CALLER

    user_id: Id
    email: Annotated[str, StringConstraints(min_length=1, max_length=254)] | None = None
    """For support; it is neither checked nor unique."""
    time_zone: str | None = None
    """IANA name of the zone whose days the points are counted by; None for UTC."""
    points_left: Points
    """What is left of the day's 15."""
    points_day: Annotated[str, StringConstraints(pattern=rf"^{_DATE}$")]
    """The date that the points are of, in the caller's own calendar."""
    points_until: Time
    """When that date is over, and the points are 15 again."""
    spends: Counters
    """What was spent since they were 15, by spend id. At most 15, as each takes a point."""
    spent_before: Counters
    """The spends before that: a late retry of one is told, and does not spend again."""
    reset_id: Id | None = None
    """The bulk reset that reached this caller last."""
    last_call_at: Time | None = None
    """When the latest call began."""
    last_queue_entry: Time | None = None
    """When the caller joined a queue last."""
    queue: Id | None = None
    """The queue that the caller waits in."""
    queue_shard: QueueShard | None = None
    ticket_id: Id | None = None
    """The caller's ticket there."""
    waiting_until: Time | None = None
    """When the caller stops waiting unmatched."""
    live_call_id: Id | None = None
    """The call that the caller is in."""
    live_until: Time | None = None
    """When that call is forgotten if nobody ends it."""
    created_at: Time

    @property
    def is_waiting(self) -> bool:
        """Whether the caller waits in a queue."""
        return self.ticket_id is not None

    @property
    def waiting_since(self) -> datetime | None:
        """When the caller joined the queue; None when not waiting."""
        return self.last_queue_entry if self.is_waiting else None

    @property
    def is_in_call(self) -> bool:
        """Whether the caller is in a live call."""
        return self.live_call_id is not None


class Charge(NamedTuple):
    """What takes points, and what allows it."""

    actions: list[Action]
    condition: Condition | None


class Place(NamedTuple):
    """A place in a queue: the components of its ticket's key."""

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
    """The caller stored as `item`; NotFound when there is none."""
    if item is None:
        raise NotFound("caller", user_id)
    return plan(Caller).decode(item)


def place_of(caller: Caller) -> Place | None:
    """Where the caller waits; None when the caller does not."""
    if caller.queue is None or caller.queue_shard is None or caller.ticket_id is None:
        return None
    return Place(caller.queue, caller.queue_shard, caller.ticket_id)


def as_of(caller: Caller, now: datetime) -> Caller:
    """The caller at `now`: what was over by then since it was written is over.

    CorruptItem when that needs a time zone which this machine does not know.
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
    """There is such a caller."""
    condition: Condition = Item.PK.exists()
    return condition


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
    """The caller waits with this ticket, or did until its time was over."""
    condition: Condition = plan(Caller).model.ticket_id == ticket_id
    return condition


def waits_without(ticket_id: str, now: datetime) -> Condition:
    """There is no caller who waits with this ticket."""
    condition: Condition = waits_nowhere(now) | (plan(Caller).model.ticket_id != ticket_id)
    return condition


def may_have_points(at_least: int, now: datetime) -> Condition:
    """The caller has so many points, or a new day may have brought them."""
    caller = plan(Caller).model
    condition: Condition = (caller.points_left >= at_least) | (caller.points_until <= now)
    return condition


# -- changes ------------------------------------------------------------------------------------

_WAITING = ("queue", "queue_shard", "ticket_id", "waiting_until")
_IN_CALL = ("live_call_id", "live_until")


def waiting(place: Place, since: datetime, until: datetime) -> list[Action]:
    """Actions that let the caller wait at `place`."""
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
    """Actions that put the caller into a call, and out of any queue."""
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
    """What takes `points` once for this spend id, from a caller who has them and `at_least`.

    `known` is the caller as it is stored, if it was read. Without it, or while the points that it
    tells of are still today's, the charge holds for points of today only; when they are not, it
    turns the day first, provided that nobody else did.
    """
    needed = max(points, at_least)
    if not needed:
        return Charge([], None)
    if known is None or known.points_until > now:
        has_enough = plan(Caller).model.points_left >= needed
        return _taking(points, spend_id, are_todays(now) & has_enough)
    return _turning(points, spend_id, needed, now, known)


def moving(now: datetime, known: Caller | None) -> Charge:
    """What turns the caller's day, if it is over, before the time zone changes.

    So the points that a reader saw are those that stay. `known` as in `charge`.
    """
    if known is None or known.points_until > now:
        return Charge([], are_todays(now))
    try:
        return _turning(0, "", 0, now, known)
    except InvalidArgument:  # nobody knows here whose day it was, so it ends in the new zone
        return Charge([], _unturned(known))


def are_todays(now: datetime) -> Condition:
    """The points are those of a day that is not over."""
    condition: Condition = plan(Caller).model.points_until > now
    return condition


def _turning(points: int, spend_id: str, needed: int, now: datetime, known: Caller) -> Charge:
    """Turn the day, whose end has come, and take points of what is there then."""
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
    """Take points of the allowance that there is. Whoever takes none needs no spend id."""
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
    """Take points of a new allowance: the spends of the one before are those before now."""
    caller = plan(Caller).model
    actions = [
        caller.points_left.set(DAILY_POINTS - points),
        caller.spends.set({spend_id: points} if points else {}),
    ]
    if known.spends:  # what was spent before them is forgotten now
        actions.append(caller.spent_before.set(Path(caller.spends)))
        remembered = caller.spends
    else:  # a bulk reset has put them there
        unturned &= size(caller.spends) == 0  # type: ignore[no-untyped-call]
        remembered = caller.spent_before
    if points:
        unturned &= remembered.counter(spend_id).does_not_exist()
    return Charge(actions, unturned)


def refill(reset_id: str) -> list[Action]:
    """Actions that give the caller 15 points, whatever is left of the day's."""
    caller = plan(Caller).model
    return [
        caller.points_left.set(DAILY_POINTS),
        caller.spent_before.set(Path(caller.spends)),
        caller.spends.set({}),
        caller.reset_id.set(reset_id),
    ]


def spent_as(caller: Caller, spend_id: str) -> int | None:
    """How many points went under this spend id; None when none did."""
    spends: Mapping[str, int]
    for spends in (caller.spends, caller.spent_before):
        if spend_id in spends:
            return spends[spend_id]
    return None


def _before(caller: Caller) -> dict[str, int]:
    return caller.spends or caller.spent_before


def _unturned(known: Caller) -> Condition:
    """Nobody has turned the day, or changed whose day it is, since the caller was read."""
    caller = plan(Caller).model
    zone = caller.time_zone
    same = zone.does_not_exist() if known.time_zone is None else zone == known.time_zone
    condition: Condition = (caller.points_until == known.points_until) & same
    return condition


def _removing(*names: str) -> list[Action]:
    attributes = plan(Caller).attributes
    return [attributes[name].remove() for name in names]
