"""What callers and calls of another system must be to be kept here.

They are kept as they are, so what the package itself never writes must not come in this way: a
place in a queue without a ticket, a call without an end, points of a day that is far ahead.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import Caller, place_of
from dynamo_chat.calls.points import DAILY_POINTS, zone_named
from dynamo_chat.core.clock import not_ahead, whole_second
from dynamo_chat.core.entity import MAX_ID_CHARACTERS
from dynamo_chat.core.errors import InvalidArgument

_ONE_DAY: Final = timedelta(days=1)


def loadable_caller(caller: Caller, now: datetime) -> Caller:
    """A caller of another system, who is neither waiting nor in a call. InvalidArgument."""
    if not isinstance(caller, Caller):
        raise InvalidArgument("caller", f"must be a Caller, not {type(caller).__name__}")
    if place_of(caller) or any((caller.queue, caller.ticket_id, caller.waiting_until)):
        raise InvalidArgument("caller.ticket_id", "must be None: let the caller join the queue")
    if caller.live_call_id is not None or caller.live_until is not None:
        raise InvalidArgument("caller.live_call_id", "must be None: start the call here")
    zone_named(caller.time_zone)
    for name in ("created_at", "last_call_at", "last_queue_entry"):
        moment = getattr(caller, name)
        if moment is not None:
            not_ahead(f"caller.{name}", moment, now)
    _check_day(caller, now)
    for name in ("spends", "spent_before"):
        _check_spends(f"caller.{name}", getattr(caller, name))
    return caller


def loadable_call(call: Call, now: datetime) -> Call:
    """A call of another system, which has ended. InvalidArgument."""
    if not isinstance(call, Call):
        raise InvalidArgument("call", f"must be a Call, not {type(call).__name__}")
    if call.user_a == call.user_b:
        raise InvalidArgument("call.user_b", "must be another user")
    if call.ended_at is None or call.duration_minutes is None:
        raise InvalidArgument("call.ended_at", "must be given, with the minutes: a live call")
    if call.ended_at < call.started_at:
        raise InvalidArgument("call.ended_at", "must not be before the call started")
    if call.duration_minutes < 0:
        raise InvalidArgument("call.duration_minutes", "must not be below 0")
    for name in ("started_at", "ended_at", "created_at"):
        not_ahead(f"call.{name}", getattr(call, name), now)
    if call.expires_at is None or call.expires_at <= now:
        raise InvalidArgument("call.expires_at", "must lie ahead: it is kept until then")
    return call.model_copy(update={"expires_at": whole_second(call.expires_at)})


def _check_day(caller: Caller, now: datetime) -> None:
    """The points are of a date that has begun somewhere, or of one before."""
    try:
        day = date.fromisoformat(caller.points_day)
    except ValueError as error:
        raise InvalidArgument("caller.points_day", "must be a date") from error
    # Somewhere it is tomorrow already, and who moves west keeps the date until it is over there.
    if day > now.date() + _ONE_DAY:
        raise InvalidArgument("caller.points_day", "must not lie ahead")
    if caller.points_until > now + 3 * _ONE_DAY:
        raise InvalidArgument("caller.points_until", "must be the end of points_day")


def _check_spends(argument: str, spends: dict[str, int]) -> None:
    if sum(spends.values()) > DAILY_POINTS or not all(spends.values()):
        raise InvalidArgument(argument, f"must be of 1 to {DAILY_POINTS} points together")
    if not all(1 <= len(name) <= MAX_ID_CHARACTERS for name in spends):
        raise InvalidArgument(argument, f"must be under ids of 1 to {MAX_ID_CHARACTERS} characters")
