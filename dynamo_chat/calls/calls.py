"""The repository of calls: start and end them, the live ones, a user's history (P6–P8)."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from dynamo_chat import keyspace
from dynamo_chat.calls.call import (
    Call,
    call_in_room,
    call_key,
    kept_until,
    room_key,
)
from dynamo_chat.calls.caller import (
    CallerBusy,
    PointsExceeded,
    as_of,
    found_caller,
    place_of,
)
from dynamo_chat.calls.ending import CallEnder
from dynamo_chat.calls.loading import loadable_call
from dynamo_chat.calls.opening import (
    SIDES,
    Price,
    Side,
    check_unspent,
    opened_before,
    opening,
    taken_call_id,
)
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import seconds_until, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.core.owners import check_owner
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import (
    Put,
    absent,
    contended,
    is_live,
)

MAX_OVERDUE: Final = 1_000
MAX_LONGEST: Final = timedelta(days=365)

CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far the clock of the server that ends a call may differ from ours."""


class Calls(Repository):
    """Start calls and end them, find the live ones, list a user's history."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._ender = CallEnder(binding)

    @access_pattern(
        "P6",
        "TransactWriteItems",
        "1; 2 when one of them waits in a queue, or begins a new day",
        budget=1,
        owner="creation",
    )
    def start(
        self,
        user_a: str,
        user_b: str,
        *,
        cost: int = 0,
        call_id: str | None = None,
        room_name: str | None = None,
    ) -> Call:
        """Start a call between two callers, and return it; they leave their queues.

        Each spends `cost` points. The room's name is the call id unless given. If the same two
        already have a call with this id, it is returned. AlreadyExists if the id is another
        call's, or a live call has the room's name; Conflict, with the caller as ``current``, if
        one of them is in a call; LimitExceeded if one has too few points; NotFound.
        """
        if type(cost) is not int or not 0 <= cost <= DAILY_POINTS:
            raise InvalidArgument("cost", f"must be an integer from 0 to {DAILY_POINTS}")
        if user_a == user_b:
            raise InvalidArgument("user_b", "must be another user")
        identity = self._new_id() if call_id is None else call_id
        sides = [Side(user_a), Side(user_b)]
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:
                self._connection.pause(attempt)
            now = self._now()
            call = validated(
                Call,
                call_id=identity,
                user_a=user_a,
                user_b=user_b,
                room_name=identity if room_name is None else room_name,
                started_at=now,
                created_at=now,
                expires_at=kept_until(now),
            )
            try:
                self._write(*opening(call, sides, Price(cost, cost), now))
                return call
            except ConditionFailed as failed:
                there = opened_before(failed, call)
                if there is not None:
                    return there
                sides = [
                    _another_try(failed.items[place], side, call, cost, now)
                    if place in failed.items
                    else side
                    for place, side in zip(SIDES, sides, strict=True)
                ]
        raise contended("the callers")

    @access_pattern(
        "P6",
        "GetItem, TransactWriteItems",
        "2",
        owner="condition",
        renamed={"ended_at": "at"},
    )
    def end(self, call_id: str, *, at: datetime | None = None, user_id: str | None = None) -> Call:
        """End a call, now or at the time `at`, and return it with its minutes.

        Both callers and the room's name are free again. A call that has already ended is returned
        unchanged. InvalidArgument if `at` is more than 5 minutes (allowed clock difference)
        before the start or in the future. NotFound, also if `user_id` is not in the call.
        """
        check_owner("user_id", user_id)
        now = self._now()
        moment = now if at is None else utc("at", at)
        item = self._get_item(call_key(call_id), consistent=True)
        if item is None or not is_live(item, self._now()):
            raise NotFound("call", call_id)
        call = plan(Call).decode(item)
        if user_id not in {None, call.user_a, call.user_b}:
            raise NotFound("call", call_id)
        if call.is_live and at is not None:
            if call.started_at - moment > CLOCK_SLACK:
                raise InvalidArgument("at", "must not be before the call started")
            if moment - now > CLOCK_SLACK:
                raise InvalidArgument("at", "must not be in the future")
        return self._ender.end(call, moment).call

    @access_pattern(
        "P6",
        "Query, TransactWriteItems",
        "shards and 1 for each call",
        budget=keyspace.LIVE_CALL_SHARDS,
        index="GSI1 + table",
        owner=STAFF,
    )
    def end_overdue(self, longest: timedelta, *, limit: int = 100) -> tuple[Call, ...]:
        """End calls that have been live for longer than `longest`; returns them, oldest first.

        For calls that nobody ended: each ends `longest` after its start. Ends at most `limit`.
        """
        if not isinstance(longest, timedelta) or not timedelta(0) < longest <= MAX_LONGEST:
            raise InvalidArgument("longest", "must be a timedelta above 0 and at most 365 days")
        if type(limit) is not int or not 1 <= limit <= MAX_OVERDUE:
            raise InvalidArgument("limit", f"must be an integer from 1 to {MAX_OVERDUE:,}")
        until = self._now() - longest
        closed: list[Call] = []
        # The index may still have calls that were ended, or are gone: they do not count.
        for call in self.iterate_live(until=until, page_size=limit):
            with suppress(NotFound):
                ending = self._ender.end(call, call.started_at + longest)
                if ending.is_new:
                    closed.append(ending.call)
            if len(closed) == limit:
                break
        return tuple(closed)

    @access_pattern("P6", "PutItem", "1", owner="creation")
    def load(self, call: Call) -> Call:
        """Store an ended call from another system unchanged, and return it.

        Both users see it in their history; neither needs to be a caller. It is kept until its
        ``expires_at``. Loading it again changes nothing; AlreadyExists if the id is another
        call's. InvalidArgument for a call without an end, in the future, or expired.
        """
        now = self._now()
        loaded = loadable_call(call, now)
        try:
            self._write(Put(plan(Call).encode(loaded), absent(now)))
        except ConditionFailed as failed:
            there = plan(Call).decode(failed.items.get(0) or {})
            if there != loaded:
                raise taken_call_id(there, loaded) from failed
        return loaded

    @access_pattern("P6", "GetItem", "1", owner="read")
    def get(self, call_id: str, *, user_id: str | None = None, consistent: bool = False) -> Call:
        """The call with this id, live or ended. NotFound, also if `user_id` is not in it."""
        check_owner("user_id", user_id)
        found = self._get(Call, call_id=call_id, consistent=consistent)
        if found is None or user_id not in {None, found.user_a, found.user_b}:
            raise NotFound("call", call_id)
        return found

    @access_pattern("P6", "GetItem", "1", owner="read")
    def get_by_room(
        self, room_name: str, *, user_id: str | None = None, consistent: bool = True
    ) -> Call:
        """The live call in the room with this name, which a media server's webhook sends.

        NotFound, also if `user_id` is not in the call. ``consistent=False`` halves the cost, but
        may return the call that was in the room before.
        """
        check_owner("user_id", user_id)
        item = self._get_item(room_key(room_name), consistent=consistent)
        if item is None or not is_live(item, self._now()):
            raise NotFound("live call in room", room_name)
        call = call_in_room(item)
        if user_id not in {None, call.user_a, call.user_b}:
            raise NotFound("live call in room", room_name)
        return call

    @access_pattern(
        "P6", "Query", "≤ shards", budget=keyspace.LIVE_CALL_SHARDS, index="GSI1", owner=STAFF
    )
    def list_live(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Call]:
        """The live calls by start time, oldest first.

        With `since` and `until`, only those started in [since, until). Use an `until` some
        hours ago to find calls that nobody ended.
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((lower, upper), newest_first, page_size, cursor),
            [
                keyspace.CALL_ROOM.collection(GSI1, shard)(lower=lower, until=upper)
                for shard in keyspace.LIVE_CALL_SHARDS.shards()
            ],
            call_in_room,
        )

    iterate_live = iterating(list_live)

    @access_pattern("P7", "Query", "2", index="GSI1 + GSI2", owner="partition")
    def list_by_user(
        self,
        user_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Call]:
        """A user's calls as either user, live and ended, by start time, newest first.

        With `since` and `until`, only those started in [since, until).
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((user_id, lower, upper), newest_first, page_size, cursor),
            [
                keyspace.CALL.collection(place, user_id)(lower=lower, until=upper)
                for place in (GSI1, GSI2)
            ],
            plan(Call).decode,
        )

    iterate_by_user = iterating(list_by_user)


def _another_try(
    item: AttributeValues | None, side: Side, call: Call, cost: int, now: datetime
) -> Side:
    """The side for the next attempt, with the stored caller; raises if the caller cannot join."""
    caller = found_caller(item, side.user_id)
    seen = as_of(caller, now)
    if seen.is_in_call:
        raise CallerBusy(f"caller {side.user_id!r} is in a call", seen)
    if cost:
        check_unspent(seen, call)
    if seen.points_left < cost:
        raise PointsExceeded(
            f"caller {side.user_id!r} has {seen.points_left} points left until "
            f"{seen.points_until.isoformat()}; the call costs {cost}",
            seen,
            seconds_until(seen.points_until, now),
        )
    return Side(side.user_id, place_of(seen), caller)
