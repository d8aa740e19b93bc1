"""The repository of queues: join, leave, position (P4), and matching (P5, in `matching`).

A ticket and its caller's waiting state are written and removed in one transaction. So a caller has
one place, however often they join, and each ticket belongs to a waiting caller. Tickets expire, and
joining again extends them, so a caller who never comes back does not stay in the queue.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import (
    Caller,
    CallerBusy,
    PointsExceeded,
    as_of,
    caller_key,
    exists,
    found_caller,
    has_ticket,
    is_in_no_call,
    may_have_points,
    place_of,
    waiting,
    waiting_no_more,
    waits_nowhere,
    waits_with,
)
from dynamo_chat.calls.matching import Matcher
from dynamo_chat.calls.ticket import (
    DEFAULT_QUEUE,
    CallQueue,
    QueuePosition,
    QueueTicket,
    check_wait,
    queue_of,
    ticket_of,
)
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import seconds_until, whole_second
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import KIND, TTL
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.sharding import shard_of
from dynamo_chat.core.transaction import Delete, Put, Update, contended, is_live

MAX_POSITION: Final = 1_000
DEFAULT_WAIT: Final = timedelta(hours=1)


class Queue(Repository):
    """Join and leave queues, find a caller's position, match waiting callers."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._matcher = Matcher(binding)

    @access_pattern("P4", "TransactWriteItems", "1; 2 to wait longer", budget=2, owner="argument")
    def join(
        self,
        user_id: str,
        queue: str | CallQueue = DEFAULT_QUEUE,
        *,
        keep_for: timedelta = DEFAULT_WAIT,
    ) -> QueueTicket:
        """Join a queue and return the ticket; a caller who is already in it keeps their ticket.

        The ticket expires after `keep_for`, by default an hour; joining again in the second half
        of that time extends it by as much. Conflict, with the caller as ``current``, if the caller
        is in another queue or in a live call; LimitExceeded if they have too few points; NotFound.
        """
        line, span = queue_of(queue), check_wait(keep_for)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:
                self._connection.pause(attempt)
            now = self._now()
            ticket = self._drawn(line, user_id, now, span)
            may_join = (
                exists()
                & waits_nowhere(now)
                & is_in_no_call(now)
                & may_have_points(line.needed, now)
            )
            until = now if ticket.expires_at is None else ticket.expires_at
            try:
                self._write(
                    Update(caller_key(user_id), waiting(ticket.place, now, until), may_join),
                    Put(plan(QueueTicket).encode(ticket)),
                )
            except ConditionFailed as failed:
                seen = as_of(found_caller(failed.items[0], user_id), now)
            else:
                return ticket
            there = ticket_of(seen)
            if there is not None and there.queue == line.name:
                kept = self._kept_longer(there, now, span)
                if kept is not None:
                    return kept
            else:
                _refuse(seen, there, line, now)
        raise contended("the caller")

    @access_pattern("P4", "GetItem, TransactWriteItems", "≤2", owner="argument")
    def leave(self, user_id: str) -> Caller:
        """Leave the queue, and return the caller, who is no longer in any queue.

        No error if the caller is in none: they may just have been matched, and are then in a call
        (``live_call_id``). NotFound.
        """
        item = self._get_item(caller_key(user_id), consistent=True)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            stored = found_caller(item, user_id)
            seen = as_of(stored, self._now())
            # Leave an expired place, too: a server whose clock is behind may still match it.
            place = place_of(stored)
            if place is None:
                return seen
            try:
                self._write(
                    Update(caller_key(user_id), waiting_no_more(), has_ticket(place.ticket_id)),
                    Delete(place.key),
                )
            except ConditionFailed as failed:
                item = failed.items[0]
                continue
            return seen.model_copy(
                update=dict.fromkeys(("queue", "queue_shard", "ticket_id", "waiting_until"))
            )
        raise contended("the caller")

    @access_pattern("P4", "GetItem, Query", "1 + shards of the queue", budget=2, owner="argument")
    def position(
        self, user_id: str, queue: str | CallQueue = DEFAULT_QUEUE
    ) -> QueuePosition | None:
        """The caller's position in a queue and waiting time; None if not in it.

        Positions are counted up to 1,000. NotFound if there is no such caller.
        """
        line = queue_of(queue)
        item = self._get_item(caller_key(user_id), consistent=True)
        now = self._now()
        ticket = ticket_of(as_of(found_caller(item, user_id), now))
        if ticket is None or ticket.queue != line.name:
            return None
        ahead = 0
        for shard in range(max(line.shards, ticket.shard + 1)):
            if ahead < MAX_POSITION:
                ahead += self._count_before(line, shard, ticket.ticket_id, now)
        return QueuePosition(
            queue=line.name,
            position=ahead + 1 if ahead < MAX_POSITION else None,
            waiting_since=ticket.joined_at,
            waited=max(timedelta(0), now - ticket.joined_at),
            waiting_until=ticket.expires_at,
        )

    @access_pattern("P4", "Query", "≤ shards of the queue", budget=1, owner=STAFF)
    def list_waiting(
        self,
        queue: str | CallQueue = DEFAULT_QUEUE,
        *,
        newest_first: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        consistent: bool = False,
    ) -> Page[QueueTicket]:
        """The tickets of callers who wait in a queue, longest wait first."""
        line = queue_of(queue)
        return self._page(
            PageRequest((line.name, line.shards), newest_first, page_size, cursor, consistent),
            [line.tickets(each) for each in range(line.shards)],
            plan(QueueTicket).decode,
        )

    iterate_waiting = iterating(list_waiting)

    @access_pattern(
        "P5",
        "Query, TransactWriteItems, GetItem, BatchWriteItem",
        "2; 3 when one of them begins a new day; 2 more for each lost race or stale ticket; "
        "1 for each other shard when one has fewer than two tickets",
        budget=3,
        owner=STAFF,
    )
    def match(
        self,
        queue: str | CallQueue = DEFAULT_QUEUE,
        *,
        matchers: int | None = None,
        match_id: str | None = None,
        room_name: str | None = None,
    ) -> Call | None:
        """Put two waiting callers into a call and return it; None if fewer than two wait.

        Both spend the queue's cost. `matchers` is the number of matchers that work on the queue:
        one takes the longest-waiting pair, M take pairs among the oldest 2M tickets. Without it
        the number is estimated. `match_id` becomes the call's id; after a lost response, calling
        again with it returns the same call. The room's name is the call id unless given;
        AlreadyExists if a live call has that name, or the id is another call's.
        """
        return self._matcher.match(queue, matchers=matchers, match_id=match_id, room_name=room_name)

    def _drawn(self, line: CallQueue, user_id: str, now: datetime, span: timedelta) -> QueueTicket:
        """A new ticket."""
        ticket_id = self._new_id()
        return QueueTicket(
            queue=line.name,
            shard=shard_of(ticket_id, line.shards),
            ticket_id=ticket_id,
            user_id=user_id,
            joined_at=now,
            expires_at=whole_second(now + span),
        )

    def _kept_longer(
        self, ticket: QueueTicket, now: datetime, span: timedelta
    ) -> QueueTicket | None:
        """The ticket, extended if half its time is over; None if it is gone."""
        if ticket.expires_at is not None and ticket.expires_at - now > span / 2:
            return ticket
        until = whole_second(now + span)
        kept = ticket.model_copy(update={"expires_at": until})
        leased = plan(Caller).model.waiting_until.set(until)
        try:
            self._write(
                Update(caller_key(ticket.user_id), [leased], waits_with(ticket.ticket_id, now)),
                # The whole item, in case a server whose clock is ahead has deleted it.
                Put(plan(QueueTicket).encode(kept)),
            )
        except ConditionFailed:
            return None
        return kept

    def _count_before(self, line: CallQueue, shard: int, ticket_id: str, now: datetime) -> int:
        """The number of live tickets before this one in a shard; counting stops at about 1,000."""
        count = 0
        before = line.tickets(shard, until=ticket_id)
        for items in self._walk(before, limit=MAX_POSITION, only=(KIND, TTL)):
            count += sum(is_live(item, now) for item in items)
            if count >= MAX_POSITION:
                break
        return count


def _refuse(seen: Caller, there: QueueTicket | None, line: CallQueue, now: datetime) -> None:
    """Raise the reason why the caller cannot join; return if there is none any more."""
    if there is not None:
        raise CallerBusy(f"the caller waits in queue {there.queue!r}; leave it first", seen)
    if seen.is_in_call:
        raise CallerBusy("the caller is in a call; end it first", seen)
    if seen.points_left < line.needed:
        raise PointsExceeded(
            f"{seen.points_left} points are left until {seen.points_until.isoformat()}; "
            f"queue {line.name!r} needs {line.needed}",
            seen,
            seconds_until(seen.points_until, now),
        )
