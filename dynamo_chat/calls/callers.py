"""The repository of callers: points and state (P1–P3). The entity is in `caller`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from dynamo_chat.calls.caller import (
    Caller,
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
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Id, Model, Unchanged, validated
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    InvalidArgument,
    LimitExceeded,
)
from dynamo_chat.core.item import plan
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import MAX_TRANSACTION_WRITES, Delete, Put, Update, contended

__all__ = ["Caller", "Callers"]


class _Spend(Model):
    spend_id: Id
    points: Annotated[int, Field(ge=1, le=DAILY_POINTS)]


class Callers(Repository):
    """Create and find callers, spend their points, give them back."""

    @access_pattern("P1", "PutItem", "1", owner="argument")
    def create(
        self, user_id: str, *, email: str | None = None, time_zone: str | None = None
    ) -> Caller:
        """Let a user make calls, with the 15 points of the day, and return the caller.

        The day is that of `time_zone`, an IANA name; UTC without one. Creating the same caller
        again returns what is there; AlreadyExists when that has another e-mail or time zone, with
        that caller if the e-mail is the same: a user id may be somebody else's by now.
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
        """Put a caller that was kept elsewhere, as it is, and return it.

        With the points of a day that may be over: then the first look at a new day brings 15, as
        always. Loading it again changes nothing; AlreadyExists when there is another caller of
        this user id, as in `create`. InvalidArgument for one who waits or is in a call, and for
        times ahead of the clock.
        """
        loaded = loadable_caller(caller, self._now())
        try:
            self._write(Put(plan(Caller).encode(loaded), ~exists()))
        except ConditionFailed as failed:
            there = plan(Caller).decode(failed.items[0] or {})
            if there != loaded:
                raise _taken(there, loaded.email) from failed
        return loaded

    @access_pattern("P1", "GetItem", "1", owner="argument")
    def get(self, user_id: str, *, consistent: bool = False) -> Caller:
        """The caller as of now: points left today, whether waiting or in a call. NotFound."""
        item = self._get_item(caller_key(user_id), consistent=consistent)
        return as_of(found_caller(item, user_id), self._now())

    @access_pattern(
        "P1",
        "UpdateItem",
        "1; 2 where a new time zone finds a day over",
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
        """Change what is given, nothing else, and return the caller. None takes it away. NotFound.

        In a new time zone what is left of the running day stays until that is over where it
        began; no date gives points twice.
        """
        changes = checked(Caller, email=email, time_zone=time_zone)
        if not changes:
            raise InvalidArgument("update", "give at least one field to change")
        zone_named(changes.get("time_zone"))
        known: Caller | None = None
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:  # turning the day takes a second try
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

        With an id that was used before nothing is spent again; Conflict when that was another
        number of points. Ids are remembered with the points they took, and through the next day
        on which the caller spends. LimitExceeded, with the caller as ``current``, when fewer
        points are left; then none is taken. NotFound.
        """
        identity = self._new_id() if spend_id is None else spend_id
        wanted = validated(_Spend, spend_id=identity, points=points)
        known: Caller | None = None
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:  # turning the day takes a second try
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
                raise Conflict(f"{before} points were spent under this id before", seen)
            if seen.points_left < wanted.points:
                raise LimitExceeded(
                    f"{seen.points_left} points are left until {seen.points_until.isoformat()}",
                    seen,
                )
        raise contended("the caller")

    @access_pattern("P3", "TransactWriteItems", "⌈callers/100⌉", budget=1, owner=STAFF)
    def reset_points(
        self, user_ids: Iterable[str], *, reset_id: str | None = None
    ) -> tuple[str, ...]:
        """Give callers 15 points now, whatever they have left; those who have them, in order.

        Nobody needs this for the daily points: they are back with the first look at a new day.
        With a `reset_id` a caller whose last reset was under it is not reset again, so a job that
        died is finished by calling it again, before another one begins. Ids of no callers are
        left out.
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
        """Delete a caller, and the caller's place in a queue. The calls stay. NotFound.

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
                    return  # our own deletion, whose answer was lost
                known = found_caller(failed.items[0], user_id)
            seen = as_of(known, now)
            if seen.is_in_call:
                raise Conflict(f"caller {user_id!r} is in a call; end it first", seen)
        raise contended("the caller")

    def _reset(self, user_ids: Sequence[str], reset_id: str) -> set[str]:
        """Reset up to 100 callers; those of the ids that are no callers."""
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
                # Who failed was reset under this id already, or is no caller; the others follow.
                found: dict[int, AttributeValues | None] = failed.items
                unknown |= {waiting[place] for place, item in found.items() if item is None}
                waiting = [each for place, each in enumerate(waiting) if place not in found]
        return unknown


def _taken(there: Caller, email: str | None) -> AlreadyExists:
    """The refusal of a taken user id: the caller is shown to whoever has the same address."""
    shown = there if there.email == email else None
    return AlreadyExists(f"caller {there.user_id!r} exists already", shown)


def _distinct(user_ids: Iterable[str]) -> Sequence[str]:
    """The ids, each once, in their order: all of them are looked at before anything is sent."""
    if isinstance(user_ids, str | bytes) or not isinstance(user_ids, Iterable):
        raise InvalidArgument("user_ids", "must be several ids, such as a list of text")
    ids = list(user_ids)
    for each in ids:
        caller_key(each)  # refuses what is no id
    return list(dict.fromkeys(ids))
