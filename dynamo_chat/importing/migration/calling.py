"""The document `oneonone`: callers with their points, and ended calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from dynamo_chat.calls.call import CALL_RETENTION, Call
from dynamo_chat.calls.caller import Caller
from dynamo_chat.calls.loading import loadable_call, loadable_caller
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.entity import Count, Id, Model, Number, Text, validated
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.importing.migration.declaring import (
    Bundle,
    Document,
    LeftOut,
    Made,
    Refused,
    SourceTable,
    Step,
    Target,
)
from dynamo_chat.importing.migration.shaping import Record
from dynamo_chat.importing.shapes import Moment

SPEND_ID: Final = "imported"
"""The id under which a caller's points of the day were spent before."""
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UserRow(Model):
    """An item of `oneonone`'s ``Users``."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    user_id: Id
    points_left: int
    last_session_timestamp: Moment | None = None
    is_waiting_in_queue: bool = False
    last_queue_entry: Moment | None = None
    email: Text | None = None


class SessionRow(Model):
    """An item of `oneonone`'s ``Sessions``: a call."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    session_id: Id
    user_a: Id
    user_b: Id
    start_time: Moment
    end_time: Moment | None = None
    duration: Number | None = None
    """Minutes."""
    room_name: Id
    created_at: Moment
    expires_at: Count
    """Seconds since 1970."""


# -- callers ------------------------------------------------------------------------------------

_USERS: Final = SourceTable(
    "Users",
    key=("userId",),
    shape=UserRow,
    group="userId",
    filled={"pointsLeft": lambda _: DAILY_POINTS},
    created=("lastSessionTimestamp",),
    changed=("lastSessionTimestamp", "lastQueueEntry"),
)


def _callers(bundle: Bundle) -> Iterator[Made]:
    row = bundle.head("Users")
    given = row.read(UserRow)
    if given.is_waiting_in_queue:
        bundle.change(row, "isWaitingInQueue: is not waiting here; the application joins again")
    points, spent_at = given.points_left, given.last_session_timestamp
    if not 0 <= points <= DAILY_POINTS:
        points = min(max(points, 0), DAILY_POINTS)
        bundle.change(row, f"pointsLeft: was not from 0 to {DAILY_POINTS}, and is the nearest")
    # Points are spent in calls: so they are those of the day of the last one.
    day = (spent_at or _LONG_AGO).date()
    known = [each for each in (spent_at, given.last_queue_entry) if each is not None]
    wanted = validated(
        Caller,
        "Users",
        user_id=given.user_id,
        email=given.email or None,
        points_left=points,
        points_day=day.isoformat(),
        points_until=datetime(day.year, day.month, day.day, tzinfo=UTC) + _DAY,
        spends={SPEND_ID: DAILY_POINTS - points} if points < DAILY_POINTS else {},
        spent_before={},
        last_call_at=spent_at,
        last_queue_entry=given.last_queue_entry,
        created_at=min(known, default=_LONG_AGO),
    )
    caller = loadable_caller(wanted, bundle.now)
    yield Made(
        (row,),
        load=lambda target: _load_caller(caller, target),
        differences=lambda target: _caller_differences(caller, target),
    )


def _load_caller(caller: Caller, target: Target) -> None:
    """Store a caller; also an older state of it that was loaded before is replaced."""
    callers = target.store.callers
    try:
        callers.load(caller)
    except AlreadyExists:
        there = callers.get(caller.user_id, consistent=True)
        if _lives_here(there, caller):
            return
        callers.delete(caller.user_id)
        callers.load(caller)


def _lives_here(there: Caller, caller: Caller) -> bool:
    """True if the stored caller has used this store, so that the record is out of date."""
    used = [there.last_call_at, there.last_queue_entry]
    given = [caller.last_call_at, caller.last_queue_entry]
    is_later = any(
        mine is not None and (other is None or mine > other)
        for mine, other in zip(used, given, strict=True)
    )
    is_busy = there.is_waiting or there.is_in_call or there.time_zone is not None
    return is_later or is_busy or bool(there.spends.keys() - {SPEND_ID})


def _caller_differences(caller: Caller, target: Target) -> list[str]:
    try:
        there = target.store.callers.get(caller.user_id, consistent=True)
    except NotFound:
        return [f"caller {caller.user_id!r} is missing"]
    if _lives_here(there, caller):
        return []
    names = ["email", "last_call_at", "last_queue_entry", "created_at"]
    if there.points_day == caller.points_day:  # else a new day has begun, with 15 points
        names += ["points_left", "points_until", "spends"]
    return [
        f"caller {caller.user_id!r}: {name} differs"
        for name in names
        if getattr(there, name) != getattr(caller, name)
    ]


# -- calls --------------------------------------------------------------------------------------


def _completed_call(record: Record) -> Iterator[str]:
    start = datetime.fromisoformat(record["startTime"])
    if record.get("endTime") is None and record.get("duration") is not None:
        end = start + timedelta(minutes=float(record["duration"]))
        record["endTime"] = end.isoformat()
        yield "endTime: was missing, and follows from the duration"
    if record.get("endTime") is None:
        return
    end = datetime.fromisoformat(record["endTime"])
    if record.get("duration") is None:
        record["duration"] = round((end - start) / _MINUTE, 2)
        yield "duration: was missing, and follows from the times"
    if record.get("expiresAt") is None:
        record["expiresAt"] = epoch_seconds(end + CALL_RETENTION)
        yield "expiresAt: was missing, and is 90 days after the end"


_SESSIONS: Final = SourceTable(
    "Sessions",
    key=("sessionId",),
    shape=SessionRow,
    group="sessionId",
    filled={
        "createdAt": lambda record: record["startTime"],
        "roomName": lambda record: record["sessionId"],
    },
    completed=_completed_call,
    created=("createdAt",),
    changed=("endTime",),
)


def _calls(bundle: Bundle) -> Iterator[Made]:
    row = bundle.head("Sessions")
    if row.record.get("endTime") is None:
        raise Refused("the call has no end and no duration")
    given = row.read(SessionRow)
    ends = _LONG_AGO + timedelta(seconds=min(given.expires_at, 10**11))
    if ends <= bundle.now:
        raise LeftOut("it has expired")
    call = validated(
        Call,
        "Sessions",
        call_id=given.session_id,
        user_a=given.user_a,
        user_b=given.user_b,
        room_name=given.room_name,
        started_at=given.start_time,
        ended_at=given.end_time,
        duration_minutes=given.duration,
        created_at=given.created_at,
        expires_at=ends,
    )
    # An ended call never changes, and only its id must be unique: that is its key.
    yield Made((row,), items=(plan(Call).encode(loadable_call(call, bundle.now)),))


ONEONONE: Final = Document(
    "oneonone",
    (Step("callers", (_USERS,), _callers), Step("calls", (_SESSIONS,), _calls)),
    settled=(
        "Users.pointsLeft: those of the day (UTC) of the last call; on a later day it is 15 again",
        "Users: were created at the earliest time that the record has",
    ),
)
