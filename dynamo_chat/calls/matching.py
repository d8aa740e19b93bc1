"""Matching: the two callers who have waited longest go into a call (P5).

`match` reads the head of the queue, strongly consistent, and takes two tickets in one transaction
with the callers, their points and the call (`opening`): two requests without contention. There is
no lock and no lease: a matcher that crashes leaves both callers waiting, or both in the call, and
of several matchers that take the same two tickets one succeeds.

So that several matchers seldom take the same two, each takes a random pair of the first M pairs,
where M is the number of matchers: one matcher takes the oldest pair, M take pairs among the oldest
2M tickets, which do not overlap as long as all see the same queue. M is given, or learnt from lost
races: losing a race to another matcher adds 1, a match subtracts ½. This settles at about M, where
each match loses half a race (see docs/design/calls.md).

A matcher deletes stale tickets that it reads: expired ones, and those whose caller is gone, waits
elsewhere, or has too few points left.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from dynamo_chat.calls.call import Call, CallExists, call_key, kept_until
from dynamo_chat.calls.caller import (
    Caller,
    as_of,
    caller_key,
    waiting_no_more,
    waits_with,
    waits_without,
)
from dynamo_chat.calls.opening import SIDES, Price, Side, check_unspent, opened_before, opening
from dynamo_chat.calls.ticket import CallQueue, QueueTicket, queue_of
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Id, Model, validated
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.item import plan
from dynamo_chat.core.page import MAX_PAGE_SIZE
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Key, Update, contended, is_live, key_of
from dynamo_chat.core.ulids import lowest_ulid

MAX_MATCHERS: Final = 64
"""More matchers than this count as 64."""

_HEAD: Final = 20
"""The fewest tickets read at once: 20 cost the same read unit as two."""

_REMEMBERED: Final = 10_000
"""At most so many queues are remembered; then all are learnt again, which costs some races."""

_SLACK: Final = timedelta(minutes=5)
"""How long an expired ticket is kept, as another server's clock may be behind."""

Pair = tuple[QueueTicket, QueueTicket]


class Matcher(Repository):
    """Takes waiting callers out of queues and into calls."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._crowds = Crowds()
        self._heads = Heads()
        self._lots = random.SystemRandom()  # has no state that forked matchers would share

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without what it learnt of the queues."""
        return type(self), (self._binding,)

    def match(
        self,
        queue: str | CallQueue,
        *,
        matchers: int | None,
        match_id: str | None,
        room_name: str | None,
    ) -> Call | None:
        """Take two waiting callers into a call and return it: see `Queue.match`."""
        line = queue_of(queue)
        if matchers is not None and (type(matchers) is not int or matchers < 1):
            raise InvalidArgument("matchers", "must be an integer from 1")
        asked = validated(_Asked, match_id=match_id, room_name=room_name)
        call_id = self._new_id() if asked.match_id is None else asked.match_id
        learnt = _Learnt()
        tries = 0
        pair: Pair | None = None
        while tries < self._connection.options.transaction_attempts:
            now = self._now()
            pair = pair or self._drawn_pair(line, matchers, learnt, now)
            if pair is None:
                return None if match_id is None else self._matched_before(line, match_id)
            call = _call_of(pair, line, call_id, room_name, now)
            sides = [
                Side(each.user_id, each.place, learnt.known.get(each.user_id)) for each in pair
            ]
            try:
                self._write(*opening(call, sides, Price(line.cost, line.needed), now))
            except ConditionFailed as failed:
                there = opened_before(failed, call)
                if there is not None:
                    return there
                fates = self._fates(failed, _Tried(line, pair, call, now), learnt)
            else:
                self._crowds.won(line.name)
                return call
            if _Fate.MATCHED in fates:
                self._crowds.lost(line.name)
            if fates != {_Fate.READY}:
                pair = None
            if not fates & _PROGRESS:
                tries += 1
                if tries > 2:
                    self._connection.pause(tries)
        raise contended("the queue")

    # -- the head of the queue ----------------------------------------------------------------

    def _drawn_pair(
        self, line: CallQueue, matchers: int | None, learnt: _Learnt, now: datetime
    ) -> Pair | None:
        """A random pair of neighbours at the head of the queue; None if fewer than two wait."""
        if matchers is None:
            width = self._crowds.size(line.name)
        else:
            width = min(-(-matchers // line.shards), MAX_MATCHERS)
        while True:
            waiting = self._head(line, 2 * width, learnt.unreadable, now)
            places = Counter(each.user_id for each in waiting)
            # Its caller was seen without it, or has two, of which one must be stale.
            stale = [
                each
                for each in waiting
                if each.ticket_id in learnt.gone or places[each.user_id] > 1
            ]
            if not stale:
                break
            for each in stale:
                learnt.gone.discard(each.ticket_id)
                self._clear(each, now)
        pairs = min(width, len(waiting) // 2)
        if not pairs:
            return None
        first = 2 * self._lots.randrange(pairs)
        return waiting[first], waiting[first + 1]

    def _head(
        self, line: CallQueue, wanted: int, passed: Collection[str], now: datetime
    ) -> list[QueueTicket]:
        """Up to `wanted` tickets, oldest first: of one shard, or of all if it has fewer than 2."""
        first = self._heads.older_of_two(line, self._lots)
        tickets = self._oldest(line, first, wanted, passed, now)
        self._heads.seen(line, first, tickets, now)
        if len(tickets) < 2:
            for shard in range(line.shards):
                if shard != first:
                    tickets += self._oldest(line, shard, wanted, passed, now)
            tickets.sort(key=lambda ticket: ticket.ticket_id)
        return tickets[:wanted]

    def _oldest(
        self, line: CallQueue, shard: int, wanted: int, passed: Collection[str], now: datetime
    ) -> list[QueueTicket]:
        """The first tickets of a shard: `wanted`, or more if the same request returned them.

        Tickets in `passed` are left out. Tickets that expired some time ago are deleted; as there
        may be many, each request reads more than the one before.
        """
        live: list[QueueTicket] = []
        expired: list[Key] = []
        limit, start = max(wanted, _HEAD), None
        while True:
            items, start = self._query(
                line.tickets(shard), limit=limit, start=start, consistent=True
            )
            for item in items:
                if is_live(item, now):
                    live += (each for each in _readable(item) if each.ticket_id not in passed)
                elif not is_live(item, now - _SLACK):
                    expired.append(key_of(item))
            if start is None or len(live) >= wanted:
                break
            limit = min(2 * limit, MAX_PAGE_SIZE)
        self._delete_items(expired)
        return live

    # -- what was in the way ------------------------------------------------------------------

    def _fates(self, failed: ConditionFailed, tried: _Tried, learnt: _Learnt) -> set[_Fate]:
        """Why the transaction failed, for each of the two callers whose condition failed."""
        return {
            self._fate(failed.items[place], ticket, tried, learnt)
            for place, ticket in zip(SIDES, tried.pair, strict=True)
            if place in failed.items
        }

    def _fate(
        self, item: AttributeValues | None, ticket: QueueTicket, tried: _Tried, learnt: _Learnt
    ) -> _Fate:
        try:
            caller = None if item is None else plan(Caller).decode(item)
            seen = None if caller is None else as_of(caller, tried.now)
        except CorruptItem:
            learnt.unreadable.add(ticket.ticket_id)
            return _Fate.UNREADABLE
        if caller is None or seen is None or seen.ticket_id != ticket.ticket_id:
            learnt.gone.add(ticket.ticket_id)
            return _Fate.MATCHED if seen is not None and seen.is_in_call else _Fate.LEFT
        if tried.line.cost:
            check_unspent(seen, tried.call)
        if seen.is_in_call or seen.points_left < tried.line.needed:
            return _Fate.CLEARED if self._send_away(caller, ticket, tried.now) else _Fate.LEFT
        learnt.known[caller.user_id] = caller  # most likely the caller's new day has begun
        return _Fate.READY

    def _clear(self, ticket: QueueTicket, now: datetime) -> None:
        """Delete a ticket, unless its caller waits with it."""
        is_stale = waits_without(ticket.ticket_id, now)
        with suppress(ConditionFailed):
            self._write(Check(caller_key(ticket.user_id), is_stale), Delete(ticket.place.key))

    def _send_away(self, caller: Caller, ticket: QueueTicket, now: datetime) -> bool:
        """Take a caller who may not be matched out of the queue; False if the caller changed."""
        attributes = plan(Caller).model
        unchanged = (
            waits_with(ticket.ticket_id, now)
            & (attributes.points_left == caller.points_left)
            & (attributes.points_until == caller.points_until)
        )
        try:
            self._write(
                Update(caller_key(caller.user_id), waiting_no_more(), unchanged),
                Delete(ticket.place.key),
            )
        except ConditionFailed:
            return False
        return True

    def _matched_before(self, line: CallQueue, match_id: str) -> Call | None:
        """The call that an earlier try of this match created; None if it created none."""
        item = self._get_item(call_key(match_id), consistent=True)
        if item is None or not is_live(item, self._now()):
            return None
        there = plan(Call).decode(item)
        if there.queue != line.name:
            raise CallExists(f"call id {match_id!r} is taken")
        return there


class Crowds:
    """Estimates how many matchers work on each queue, from races won and lost.

    Safe to share between threads. A queue without lost races is not remembered.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, float] = {}
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a new lock in a forked process."""
        self._lock = threading.Lock()

    def size(self, queue: str) -> int:
        """The estimated number of matchers, including this one."""
        return round(self._sizes.get(queue, 1.0))

    def lost(self, queue: str) -> None:
        """Count a race lost to another matcher."""
        with self._lock:
            size = self._sizes.get(queue, 1.0) + 1.0
            if len(self._sizes) >= _REMEMBERED:
                self._sizes.clear()
            self._sizes[queue] = min(size, float(MAX_MATCHERS))

    def won(self, queue: str) -> None:
        """Count a match made."""
        with self._lock:
            size = self._sizes.pop(queue, 1.0) - 0.5
            if size > 1.0:
                self._sizes[queue] = size


class Heads:
    """The first ticket of each shard of a queue when the shard was last read.

    With a random shard, some shards would drain slowly. The older of two random shards is nearly as
    fair as the oldest of all, spreads the matchers, and costs no request. Safe to share between
    threads: outdated entries only make the choice worse.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, int], str] = {}

    def older_of_two(self, line: CallQueue, lots: random.Random) -> int:
        """The older of two random shards; one that was never read counts as oldest."""
        drawn = lots.sample(range(line.shards), min(2, line.shards))
        return min(drawn, key=lambda shard: self._first.get((line.name, shard), ""))

    def seen(
        self, line: CallQueue, shard: int, tickets: Sequence[QueueTicket], now: datetime
    ) -> None:
        """Remember that a shard begins with `tickets`; the first two will be matched now."""
        if line.shards > 1:
            alone = len(tickets) == 1
            rest = tickets if alone else tickets[2:]
            if len(self._first) >= _REMEMBERED:
                self._first.clear()
            # A caller who joins an empty shard from now on gets a later ticket.
            self._first[line.name, shard] = rest[0].ticket_id if rest else lowest_ulid(now)


class _Fate(Enum):
    """Why one of a pair could not be taken into a call."""

    MATCHED = auto()
    """Another matcher was faster."""
    LEFT = auto()
    """The caller no longer waits, or changed while being read."""
    CLEARED = auto()
    """The caller may not be matched, and was taken out of the queue."""
    UNREADABLE = auto()
    """The caller's item is damaged, or has a time zone that this machine does not know."""
    READY = auto()
    """The caller has now been read: try again."""


_PROGRESS: Final = frozenset({_Fate.CLEARED, _Fate.UNREADABLE})
"""After these the next try takes other callers, so it does not count as an attempt."""


class _Asked(Model):
    match_id: Id | None
    room_name: Id | None


@dataclass(frozen=True, slots=True)
class _Tried:
    """A try to take two callers into a call."""

    line: CallQueue
    pair: Pair
    call: Call
    now: datetime


@dataclass(slots=True)
class _Learnt:
    """What one match has learnt from its failed tries."""

    gone: set[str] = field(default_factory=set)
    """Tickets that their callers no longer have."""
    unreadable: set[str] = field(default_factory=set)
    """Tickets to leave out. They are not deleted: another server may read their callers."""
    known: dict[str, Caller] = field(default_factory=dict)
    """Callers read from failed conditions, by user id."""


def _call_of(
    pair: Pair, line: CallQueue, call_id: str, room_name: str | None, now: datetime
) -> Call:
    first, second = pair
    return validated(
        Call,
        call_id=call_id,
        user_a=first.user_id,
        user_b=second.user_id,
        room_name=call_id if room_name is None else room_name,
        queue=line.name,
        started_at=now,
        created_at=now,
        expires_at=kept_until(now),
    )


def _readable(item: AttributeValues) -> list[QueueTicket]:
    """The ticket stored as `item`; none if it is damaged, so that it does not block the queue."""
    try:
        return [plan(QueueTicket).decode(item)]
    except CorruptItem:
        return []
