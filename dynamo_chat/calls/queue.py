"""The repository of queues: join, leave, position (P4), and matching (P5, in `matching`).

A ticket and its caller's waiting state are written and removed in one transaction, so a caller
has one place however often they join, and a ticket in the queue is somebody who waits. Who never
comes back is not waited for: tickets expire, and joining again keeps them alive.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import (
    Caller,
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
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.errors import Conflict, LimitExceeded
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, TTL
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.transaction import Delete, Put, Update, contended, is_live
from dynamo_chat.keyspace import shard_of

__all__ = ["CallQueue", "Queue", "QueuePosition", "QueueTicket"]

MAX_POSITION: Final = 1_000
DEFAULT_WAIT: Final = timedelta(hours=1)


class Queue(Repository):
    """Wait for a call, stop waiting, see how long it may take; match who waits."""

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
        """Take a place in a queue and return its ticket; who has one keeps it.

        The ticket expires after `keep_for`, an hour if not said; joining again in the second half
        of that time lets it live as long once more. Conflict, with the caller as ``current``, in
        another queue or in a live call; LimitExceeded with too few points; NotFound.
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
                _refuse(seen, there, line)
        raise contended("the caller")

    @access_pattern("P4", "GetItem, TransactWriteItems", "≤2", owner="argument")
    def leave(self, user_id: str) -> Caller:
        """Give the place in a queue up, and return the caller, who waits nowhere any more.

        Nothing happens when there is none: the caller may have been matched just before, and is
        then in a call (``live_call_id``). NotFound.
        """
        item = self._get_item(caller_key(user_id), consistent=True)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            stored = found_caller(item, user_id)
            seen = as_of(stored, self._now())
            # Given up even if its time is over: to a server whose clock is behind it is not.
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
        """Where the caller stands in a queue, and for how long already; None when not in it.

        Positions are counted up to 1,000. NotFound when there is no such caller.
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
        """Who waits in a queue, those who wait longest first."""
        line = queue_of(queue)
        return self._page(
            PageRequest(
                (line.name, line.shards), newest_first, page_size, cursor, consistent=consistent
            ),
            [line.tickets(each) for each in range(line.shards)],
            plan(QueueTicket).decode,
        )

    @access_pattern(
        "P5",
        "Query, TransactWriteItems, GetItem, BatchWriteItem",
        "2; 3 where the day of one turns; 2 more for each lost race or stale ticket; "
        "at the end of a sharded queue one for each shard more",
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
        """Take two waiting callers into a call and return it; None when fewer than two wait.

        Both spend what the queue costs. `matchers` says how many are at work on the queue: one
        takes those who wait longest, M take pairs among the oldest 2M. Without it the number is
        learnt. With a `match_id`, which becomes the call's id, calling again after a lost answer
        returns the call that was made. The room is named after the call unless a name is given;
        AlreadyExists when a live call has that, or the id is another call's.
        """
        return self._matcher.match(queue, matchers=matchers, match_id=match_id, room_name=room_name)

    def _drawn(self, line: CallQueue, user_id: str, now: datetime, span: timedelta) -> QueueTicket:
        """A fresh ticket."""
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
        """The ticket, with a new lease if the old one is half over; None when it is gone."""
        if ticket.expires_at is not None and ticket.expires_at - now > span / 2:
            return ticket
        until = whole_second(now + span)
        kept = ticket.model_copy(update={"expires_at": until})
        leased = plan(Caller).model.waiting_until.set(until)
        try:
            self._write(
                Update(caller_key(ticket.user_id), [leased], waits_with(ticket.ticket_id, now)),
                # Whole: if a server with a fast clock cleared it away, it is there again.
                Put(plan(QueueTicket).encode(kept)),
            )
        except ConditionFailed:
            return None
        return kept

    def _count_before(self, line: CallQueue, shard: int, ticket_id: str, now: datetime) -> int:
        """How many wait in a shard with a ticket before this one: up to 1,000, or some more."""
        count = 0
        before = line.tickets(shard, until=ticket_id)
        for items in self._walk(before, limit=MAX_POSITION, only=(KIND, TTL)):
            count += sum(is_live(item, now) for item in items)
            if count >= MAX_POSITION:
                break
        return count


def _refuse(seen: Caller, there: QueueTicket | None, line: CallQueue) -> None:
    """Raise what keeps the caller from joining; return when nothing does any more."""
    if there is not None:
        raise Conflict(f"the caller waits in queue {there.queue!r}; leave it first", seen)
    if seen.is_in_call:
        raise Conflict("the caller is in a call; end it first", seen)
    if seen.points_left < line.needed:
        raise LimitExceeded(
            f"{seen.points_left} points are left until {seen.points_until.isoformat()}; "
            f"queue {line.name!r} asks for {line.needed}",
            seen,
        )
