"""Matching: the two who wait longest go into a call (P5).

One call of `match` reads the head of the queue, strongly consistent, and takes two tickets of it
in one transaction with the callers, their points and the call (`opening`). Uncontended that is two
requests. There is no lock and no lease: who dies on the way leaves both waiting, or both in the
call, and of many who want the same two tickets one wins.

So that many matchers do not all want the same two, each takes a pair by lot among the first M of
the queue, where M is how many matchers there are: one matcher takes the oldest pair, M take pairs
among the oldest 2M tickets, which are disjoint as long as all see the same queue. M is given, or
learnt from lost races: a race lost to another matcher adds one, a match takes a half away, which
settles where each match loses half a race, at about M (see docs/design/calls.md).

What does not belong in the queue is cleared by whoever meets it there: tickets that expired, whose
caller is gone or waits elsewhere, or has too few points left.
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

from dynamo_chat.calls.call import Call, call_key, kept_until
from dynamo_chat.calls.caller import (
    Caller,
    as_of,
    caller_key,
    waiting_no_more,
    waits_with,
    waits_without,
)
from dynamo_chat.calls.opening import SIDES, Price, Side, check_unspent, opened_before, opening
from dynamo_chat.calls.ticket import (
    CallQueue,
    QueueTicket,
    queue_of,
)
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Id, Model, validated
from dynamo_chat.core.errors import AlreadyExists, CorruptItem, InvalidArgument
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.item import plan
from dynamo_chat.core.page import MAX_PAGE_SIZE
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import (
    Check,
    Delete,
    Key,
    Update,
    contended,
    is_live,
    key_of,
)
from dynamo_chat.core.ulids import lowest_ulid

MAX_MATCHERS: Final = 64
"""More matchers than this take their pairs among the first 64."""

_HEAD: Final = 20
"""Tickets read at once, at the least: so many cost the same read unit as two."""

_REMEMBERED: Final = 10_000
"""What was learnt of so many queues is kept; then it is learnt anew, which costs some races."""

_SLACK: Final = timedelta(minutes=5)
"""For so long an expired ticket is left lying: another server's clock may be behind."""

Pair = tuple[QueueTicket, QueueTicket]


class Matcher(Repository):
    """Takes waiting callers out of queues, and into calls."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._crowds = Crowds()
        self._heads = Heads()
        self._lots = random.SystemRandom()  # no state, which forked matchers would share

    def __reduce__(self) -> tuple[Any, ...]:
        """What it was made of: what it learnt of the queues stays behind."""
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
        """Two neighbours at the head of the queue, by lot; None when fewer than two wait."""
        if matchers is None:
            width = self._crowds.size(line.name)
        else:
            width = min(-(-matchers // line.shards), MAX_MATCHERS)
        while True:
            waiting = self._head(line, 2 * width, learnt.unreadable, now)
            places = Counter(each.user_id for each in waiting)
            # Seen without its caller before, or one of two that a caller cannot both have.
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
        """Up to `wanted` tickets, oldest first: of one shard, or of all when it has no two."""
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
        """The first tickets of a shard, `wanted` and more where they came in the same request.

        Those that are `passed` over are left out. Those that expired a while ago are deleted on
        the way, and since they may be many, each request takes more than the one before.
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
        """What became of those of the two who could not be taken."""
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
        learnt.known[caller.user_id] = caller  # a new day has begun for the caller, most likely
        return _Fate.READY

    def _clear(self, ticket: QueueTicket, now: datetime) -> None:
        """Delete a ticket, unless its caller waits with it."""
        nobodys = waits_without(ticket.ticket_id, now)
        with suppress(ConditionFailed):
            self._write(Check(caller_key(ticket.user_id), nobodys), Delete(ticket.place.key))

    def _send_away(self, caller: Caller, ticket: QueueTicket, now: datetime) -> bool:
        """Take a caller out of the queue who may not be matched; whether that was still so."""
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
        """The call that an earlier try of this match made; None when it made none."""
        item = self._get_item(call_key(match_id), consistent=True)
        if item is None or not is_live(item, self._now()):
            return None
        there = plan(Call).decode(item)
        if there.queue != line.name:
            raise AlreadyExists(f"call id {match_id!r} is taken")
        return there


class Crowds:
    """How many matchers seem to be at work on each queue, learnt from who wins the races.

    Safe to share between threads. A queue on which nobody is met is not remembered.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, float] = {}
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A lock that no thread of another process holds."""
        self._lock = threading.Lock()

    def size(self, queue: str) -> int:
        """The number of matchers, oneself included."""
        return round(self._sizes.get(queue, 1.0))

    def lost(self, queue: str) -> None:
        """A race was lost to another matcher."""
        with self._lock:
            size = self._sizes.get(queue, 1.0) + 1.0
            if len(self._sizes) >= _REMEMBERED:
                self._sizes.clear()
            self._sizes[queue] = min(size, float(MAX_MATCHERS))

    def won(self, queue: str) -> None:
        """A match was made."""
        with self._lock:
            size = self._sizes.pop(queue, 1.0) - 0.5
            if size > 1.0:
                self._sizes[queue] = size


class Heads:
    """Where the shards of a queue began when they were seen last.

    Shards drain unevenly when they are chosen blindly. The older of two drawn by lot is nearly as
    fair as the oldest of all, does not send every matcher to the same one, and costs no request.
    Safe to share between threads: an outdated memory only makes for a worse choice.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, int], str] = {}

    def older_of_two(self, line: CallQueue, lots: random.Random) -> int:
        """The shard to look at: one that was never seen comes first."""
        drawn = lots.sample(range(line.shards), min(2, line.shards))
        return min(drawn, key=lambda shard: self._first.get((line.name, shard), ""))

    def seen(
        self, line: CallQueue, shard: int, tickets: Sequence[QueueTicket], now: datetime
    ) -> None:
        """A shard began with `tickets`, the first two of which are about to be matched."""
        if line.shards > 1:
            alone = len(tickets) == 1
            rest = tickets if alone else tickets[2:]
            if len(self._first) >= _REMEMBERED:
                self._first.clear()
            # Who joins an empty shard from now on has a later ticket.
            self._first[line.name, shard] = rest[0].ticket_id if rest else lowest_ulid(now)


class _Fate(Enum):
    """Why one of a pair could not be taken into a call."""

    MATCHED = auto()
    """Another matcher was faster."""
    LEFT = auto()
    """The caller waits no more, or something changed in the moment of looking."""
    CLEARED = auto()
    """The caller may not be matched, and was taken out of the queue."""
    UNREADABLE = auto()
    """The caller's item is damaged, or asks for a time zone that this machine does not know."""
    READY = auto()
    """Nothing is in the way of another try, with what is known of the caller now."""


_PROGRESS: Final = frozenset({_Fate.CLEARED, _Fate.UNREADABLE})
"""After these the next try meets others, so it is no lost race."""


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
    """What one match has found out on its way."""

    gone: set[str] = field(default_factory=set)
    """Tickets whose callers were seen without them."""
    unreadable: set[str] = field(default_factory=set)
    """Tickets that are passed over. They stay: somebody may be able to read their callers."""
    known: dict[str, Caller] = field(default_factory=dict)
    """Callers as they were when they could not be taken, by user."""


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
    """The ticket stored as `item`; none when it is damaged, so that it does not block a queue."""
    try:
        return [plan(QueueTicket).decode(item)]
    except CorruptItem:
        return []
