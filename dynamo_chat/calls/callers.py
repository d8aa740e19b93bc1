"""The repository of callers: points and state (P1–P3). The entity is in `caller`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from dynamo_chat.calls.caller import (
    Caller,
    CallerBusy,
    CallerExists,
    PointsExceeded,
    PointsSpent,
    as_of,
    caller_key,
    charge,
    exists,
    found_caller,
    is_in_no_call,
    moving,
    place_of,
    refill,
    spent_as,
    waits_nowhere,
    waits_with,
)
from dynamo_chat.calls.loading import loadable_caller
from dynamo_chat.calls.points import DAILY_POINTS, first_allowance, zone_named
from dynamo_chat.core.changes import actions, checked
from dynamo_chat.core.clock import seconds_until
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Id, Model, Unchanged, validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import MAX_TRANSACTION_WRITES, Delete, Put, Update, contended


class _Spend(Model):
    spend_id: Id
    points: Annotated[int, Field(ge=1, le=DAILY_POINTS)]


class Callers(Repository):
    """Create and find callers, spend and reset their points."""

    @access_pattern("P1", "PutItem", "1", owner="argument")
    def create(
        self, user_id: str, *, email: str | None = None, time_zone: str | None = None
    ) -> Caller:
        """Create a caller with the day's 15 points, and return it.

        The caller's days are those of `time_zone`, an IANA name; None for UTC. Creating the same
        caller again returns the existing one; AlreadyExists if its e-mail or time zone differs,
        with that caller as ``current`` only if the e-mail is the same.
        """
        now = self._now()
        allowance = first_allowance(time_zone, now)
        caller = validated(
            Caller,
            user_id=user_id,
            email=email,
            time_zone=time_zone,
            points_left=DAILY_POINTS,
            points_day=allowance.day,
            points_until=allowance.until,
            spends={},
            spent_before={},
            created_at=now,
        )
        try:
            self._write(Put(plan(Caller).encode(caller), ~exists()))
        except ConditionFailed as failed:
            there = as_of(plan(Caller).decode(failed.items[0] or {}), now)
            if (there.email, there.time_zone) == (email, time_zone):
                return there
            raise _taken(there, email) from failed
        return caller

    @access_pattern("P1", "PutItem", "1", owner="argument")
    def load(self, caller: Caller) -> Caller:
        """Store a caller from another system unchanged, and return it.

        If the day of its points is over, it has 15 at the next read, as always. Loading it again
        changes nothing; AlreadyExists if another caller has this user id, as in `create`.
        InvalidArgument for a caller who waits or is in a call, and for times in the future.
        """
        loaded = loadable_caller(caller, self._now())
        try:
            self._write(Put(plan(Caller).encode(loaded), ~exists()))
        except ConditionFailed as failed:
            there = plan(Caller).decode(failed.items[0] or {})
            if there != loaded:
                raise _taken(there, loaded.email) from failed
        return loaded

    @access_pattern("P1", "GetItem", "1", owner="partition")
    def get(self, user_id: str, *, consistent: bool = False) -> Caller:
        """The caller now: points left today, queue place, live call. NotFound."""
        item = self._get_item(caller_key(user_id), consistent=consistent)
        return as_of(found_caller(item, user_id), self._now())

    @access_pattern(
        "P1",
        "UpdateItem",
        "1; 2 to change the time zone after the day is over",
        budget=1,
        owner="argument",
    )
    def update(
        self,
        user_id: str,
        *,
        email: str | Unchanged | None = UNCHANGED,
        time_zone: str | Unchanged | None = UNCHANGED,
    ) -> Caller:
        """Change the given fields only, and return the caller. None removes a field. NotFound.

        After a change of time zone the points left today stay until the day ends in the old zone;
        no date gives points twice.
        """
        changes = checked(Caller, email=email, time_zone=time_zone)
        if not changes:
            raise InvalidArgument("update", "give at least one field to change")
        zone_named(changes.get("time_zone"))
        known: Caller | None = None
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:  # beginning a new day takes a second try
                self._connection.pause(attempt)
            now = self._now()
            turned, condition = list(actions(Caller, changes)), exists()
            if "time_zone" in changes:
                move = moving(now, known)
                turned += move.actions
                if move.condition is not None:
                    condition &= move.condition
            try:
                item = self._write(Update(caller_key(user_id), turned, condition), returning=True)
            except ConditionFailed as failed:
                known = found_caller(failed.items[0], user_id)
            else:
                return as_of(plan(Caller).decode(item), now)
        raise contended("the caller")

    @access_pattern(
        "P2", "UpdateItem", "1; 2 for the first spend of the day", budget=2, owner="argument"
    )
    def spend(self, user_id: str, points: int, *, spend_id: str | None = None) -> Caller:
        """Spend 1 to 15 points, once for each spend id, and return the caller.

        A repeated id spends nothing; Conflict if the number of points differs. Ids are remembered
        until the end of the next day on which the caller spends. LimitExceeded, with the caller
        as ``current``, if fewer points are left; then none is spent. NotFound.
        """
        identity = self._new_id() if spend_id is None else spend_id
        wanted = validated(_Spend, spend_id=identity, points=points)
        known: Caller | None = None
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:  # beginning a new day takes a second try
                self._connection.pause(attempt)
            now = self._now()
            paying = charge(wanted.points, wanted.spend_id, now, known=known)
            condition = exists()
            if paying.condition is not None:
                condition &= paying.condition
            try:
                item = self._write(
                    Update(caller_key(user_id), paying.actions, condition), returning=True
                )
            except ConditionFailed as failed:
                known = found_caller(failed.items[0], user_id)
            else:
                return as_of(plan(Caller).decode(item), now)
            seen = as_of(known, now)
            before = spent_as(seen, wanted.spend_id)
            if before is not None:
                if before == wanted.points:
                    return seen
                raise PointsSpent(f"{before} points were spent with this id before", seen)
            if seen.points_left < wanted.points:
                raise PointsExceeded(
                    f"{seen.points_left} points are left until {seen.points_until.isoformat()}",
                    seen,
                    seconds_until(seen.points_until, now),
                )
        raise contended("the caller")

    @access_pattern("P3", "TransactWriteItems", "⌈callers/100⌉", budget=1, owner=STAFF)
    def reset_points(
        self, user_ids: Iterable[str], *, reset_id: str | None = None
    ) -> tuple[str, ...]:
        """Reset each caller to 15 points. Returns the callers that were reset, in input order.

        Daily points do not need this: a new day sets them to 15 by itself. A caller whose last
        reset had this `reset_id` is not reset again (but is returned), so a job that crashed can
        be called again, before another one begins. Unknown ids are left out.
        """
        wanted = _distinct(user_ids)
        identity = self._new_id() if reset_id is None else reset_id
        checked(Caller, reset_id=identity)
        unknown: set[str] = set()
        for start in range(0, len(wanted), MAX_TRANSACTION_WRITES):
            unknown |= self._reset(wanted[start : start + MAX_TRANSACTION_WRITES], identity)
        return tuple(each for each in wanted if each not in unknown)

    @access_pattern(
        "P1", "DeleteItem, TransactWriteItems", "1; 2 when waiting", budget=1, owner="argument"
    )
    def delete(self, user_id: str) -> None:
        """Delete a caller and the caller's place in a queue; the calls stay. NotFound.

        Conflict while the caller is in a live call: end it first.
        """
        key = caller_key(user_id)
        known: Caller | None = None
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:
                self._connection.pause(attempt)
            now = self._now()
            place = None if known is None else place_of(as_of(known, now))
            try:
                if place is None:
                    self._write(Delete(key, exists() & waits_nowhere(now) & is_in_no_call(now)))
                else:
                    here = waits_with(place.ticket_id, now) & is_in_no_call(now)
                    self._write(Delete(key, here), Delete(place.key))
                return
            except ConditionFailed as failed:
                if failed.items[0] is None and failed.was_resent:
                    return  # our own deletion, whose response was lost
                known = found_caller(failed.items[0], user_id)
            seen = as_of(known, now)
            if seen.is_in_call:
                raise CallerBusy(f"caller {user_id!r} is in a call; end it first", seen)
        raise contended("the caller")

    def _reset(self, user_ids: Sequence[str], reset_id: str) -> set[str]:
        """Reset up to 100 callers; returns the ids without a caller."""
        reset = plan(Caller).model.reset_id
        is_due = exists() & (reset.does_not_exist() | (reset != reset_id))
        waiting, unknown = list(user_ids), set[str]()
        while waiting:
            try:
                self._write(
                    *(Update(caller_key(each), refill(reset_id), is_due) for each in waiting)
                )
                break
            except ConditionFailed as failed:
                # Those that failed were reset before or do not exist; try the others again.
                found: dict[int, AttributeValues | None] = failed.items
                unknown |= {waiting[place] for place, item in found.items() if item is None}
                waiting = [each for place, each in enumerate(waiting) if place not in found]
        return unknown


def _taken(there: Caller, email: str | None) -> CallerExists:
    """The error for a taken user id; it has the existing caller if the e-mail is the same."""
    shown = there if there.email == email else None
    return CallerExists(f"caller {there.user_id!r} already exists", shown)


def _distinct(user_ids: Iterable[str]) -> Sequence[str]:
    """The ids in input order without duplicates; all are checked before any request."""
    if isinstance(user_ids, str | bytes) or not isinstance(user_ids, Iterable):
        raise InvalidArgument("user_ids", "must be a list or other iterable of ids")
    ids = list(user_ids)
    for each in ids:
        caller_key(each)  # raises InvalidArgument for an invalid id
    return list(dict.fromkeys(ids))
