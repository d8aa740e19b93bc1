"""Checks callers and calls of another system before they are stored.

They are stored unchanged, so states that the package never writes are refused: a place in a queue
without a ticket, a call without an end, points of a day far in the future.
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
    """`caller`, if it can be stored: neither waiting nor in a call. InvalidArgument."""
    if not isinstance(caller, Caller):
        raise InvalidArgument("caller", f"must be a Caller, not {type(caller).__name__}")
    if place_of(caller) or any((caller.queue, caller.ticket_id, caller.waiting_until)):
        raise InvalidArgument("caller.ticket_id", "must be None: use queue.join after loading")
    if caller.live_call_id is not None or caller.live_until is not None:
        raise InvalidArgument("caller.live_call_id", "must be None: use calls.start after loading")
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
    """`call`, if it can be stored: it has ended and not expired. InvalidArgument."""
    if not isinstance(call, Call):
        raise InvalidArgument("call", f"must be a Call, not {type(call).__name__}")
    if call.user_a == call.user_b:
        raise InvalidArgument("call.user_b", "must be another user")
    if call.ended_at is None or call.duration_minutes is None:
        raise InvalidArgument("call.ended_at", "must be given, and duration_minutes: it must end")
    if call.ended_at < call.started_at:
        raise InvalidArgument("call.ended_at", "must not be before the call started")
    if call.duration_minutes < 0:
        raise InvalidArgument("call.duration_minutes", "must not be below 0")
    for name in ("started_at", "ended_at", "created_at"):
        not_ahead(f"call.{name}", getattr(call, name), now)
    if call.expires_at is None or call.expires_at <= now:
        raise InvalidArgument("call.expires_at", "must be in the future: it is kept until then")
    return call.model_copy(update={"expires_at": whole_second(call.expires_at)})


def _check_day(caller: Caller, now: datetime) -> None:
    """Raise InvalidArgument unless the date of the points has begun in some time zone."""
    try:
        day = date.fromisoformat(caller.points_day)
    except ValueError as error:
        raise InvalidArgument("caller.points_day", "must be a date") from error
    # It may be tomorrow in the caller's zone, and after a move west the date ends even later.
    if day > now.date() + _ONE_DAY:
        raise InvalidArgument("caller.points_day", "must not be in the future")
    if caller.points_until > now + 3 * _ONE_DAY:
        raise InvalidArgument("caller.points_until", "must be the end of points_day")


def _check_spends(argument: str, spends: dict[str, int]) -> None:
    if sum(spends.values()) > DAILY_POINTS or not all(spends.values()):
        raise InvalidArgument(argument, f"must each be 1 or more, in total at most {DAILY_POINTS}")
    if not all(1 <= len(name) <= MAX_ID_CHARACTERS for name in spends):
        raise InvalidArgument(argument, f"must have ids of 1 to {MAX_ID_CHARACTERS} characters")
