"""Queues, and their tickets: a ticket is a caller's place in a queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from dynamo_chat import keyspace
from dynamo_chat.calls.caller import Caller, Place
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.core.entity import Count, Entity, ExpiresAt, Id, Model, Time, validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import TABLE, Collection, Layout

DEFAULT_QUEUE: Final = "main"
MAX_QUEUE_SHARDS: Final = 32
MAX_WAIT: Final = timedelta(days=7)


class QueueTicket(Entity):
    """A caller's place in a queue. Tickets sort by the time at which the caller joined."""

    layout: ClassVar[Layout] = keyspace.QUEUE_TICKET

    queue: Id
    shard: Count
    ticket_id: Id
    user_id: Id
    joined_at: Time
    expires_at: ExpiresAt
    """When the caller stops waiting if not matched."""

    @property
    def place(self) -> Place:
        """The components of the ticket's key."""
        return Place(self.queue, self.shard, self.ticket_id)


class _Named(Model):
    queue: Id


@dataclass(frozen=True, slots=True)
class CallQueue:
    """A queue: its name, its cost, and its number of shards.

    All users of a queue must give the same `shards`. More shards allow more callers per second,
    but matches follow the waiting order less strictly. After increasing the number, existing
    tickets are still found.
    """

    name: str = DEFAULT_QUEUE
    cost: int = 1
    """Points that each of the two callers spends when they are matched."""
    at_least: int = 1
    """Points that a caller must have to wait and to be matched, if more than `cost`."""
    shards: int = 1

    def __post_init__(self) -> None:
        validated(_Named, queue=self.name)
        _check_integer("cost", self.cost, 0, DAILY_POINTS)
        _check_integer("at_least", self.at_least, 1, DAILY_POINTS)
        _check_integer("shards", self.shards, 1, MAX_QUEUE_SHARDS)

    @property
    def needed(self) -> int:
        """Points that a caller must have to wait and to be matched."""
        return max(self.cost, self.at_least)

    def tickets(self, shard: int, until: str | None = None) -> Collection:
        """The tickets of one shard in order; with `until`, only those before that ticket."""
        return keyspace.QUEUE_TICKET.collection(TABLE, self.name, shard)(until=until)


def queue_of(queue: str | CallQueue) -> CallQueue:
    """`queue`, or a queue with this name and the default settings."""
    return queue if isinstance(queue, CallQueue) else CallQueue(queue)


def ticket_of(caller: Caller) -> QueueTicket | None:
    """The caller's ticket; None if the caller does not wait."""
    if (
        caller.queue is None
        or caller.queue_shard is None
        or caller.ticket_id is None
        or caller.last_queue_entry is None
    ):
        return None
    return QueueTicket(
        queue=caller.queue,
        shard=caller.queue_shard,
        ticket_id=caller.ticket_id,
        user_id=caller.user_id,
        joined_at=caller.last_queue_entry,
        expires_at=caller.waiting_until,
    )


def check_wait(keep_for: timedelta) -> timedelta:
    """`keep_for`, or InvalidArgument if it is too long or too short."""
    if not isinstance(keep_for, timedelta) or not timedelta(seconds=1) <= keep_for <= MAX_WAIT:
        raise InvalidArgument("keep_for", "must be a timedelta from 1 second to 7 days")
    return keep_for


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """A caller's position in a queue."""

    queue: str
    position: int | None
    """1 for the caller who has waited longest; None after the 1,000th."""
    waiting_since: datetime
    waited: timedelta
    waiting_until: datetime | None
    """When the caller stops waiting if not matched."""


def _check_integer(name: str, value: int, lowest: int, highest: int) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise InvalidArgument(name, f"must be an integer from {lowest} to {highest}")
