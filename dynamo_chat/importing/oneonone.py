"""Loads the records of `oneonone`: two callers, their call, and the callers in the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import Caller
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.calls.ticket import DEFAULT_QUEUE, MAX_WAIT, CallQueue
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import NotFound
from dynamo_chat.importing.sample_records import Replay, Sample, shift_to_live
from dynamo_chat.store import ChatStore, StoreFactory

Row = Mapping[str, Any]

SETTLED: Final = (
    "Users.pointsLeft: those of the day of the call; on a new day it is 15 again",
    "Users.lastSessionTimestamp: the start of the call",
    f"Users.isWaitingInQueue: in the queue {DEFAULT_QUEUE!r}, for a week",
)
"""Decisions where the document's records do not match the store's."""


@dataclass(frozen=True, slots=True)
class OneOnOne:
    """The records of `oneonone` as entities in the store."""

    callers: tuple[Caller, ...]
    call: Call
    moved_by: timedelta

    def rows(self) -> Iterator[tuple[str, Entity | None]]:
        """Each table of the document with the entity of each record."""
        for caller in self.callers:
            yield "Users", caller
        yield "Sessions", self.call

    def partitions(self) -> list[str]:
        """The partition keys of the entities."""
        waiting = [each for each in self.callers if each.is_waiting]
        queues = dict.fromkeys((each.queue, each.queue_shard) for each in waiting)
        return [
            *(keyspace.USER_PARTITION.encode(each.user_id) for each in self.callers),
            *(keyspace.QUEUE_TICKET.table.pk.encode(*each) for each in queues),
            keyspace.CALL.table.pk.encode(self.call.call_id),
        ]


def load_oneonone(factory: StoreFactory, sample: Sample, now: datetime) -> OneOnOne:
    """Load the records of `oneonone`, moved in time so that the latest is of the last day.

    Loading again returns the existing entities.
    """
    users, (session,) = sample.records["Users"], sample.records["Sessions"]
    store = factory()
    there = _loaded_before(store, session)
    if there is None:
        by = shift_to_live(sample.records, now)
        call = _replayed(Replay(factory, by), users, session)
    else:
        call, by = there, there.started_at - datetime.fromisoformat(session["startTime"])
    callers = [store.callers.get(row["userId"], consistent=True) for row in users]
    return OneOnOne(tuple(callers), call, by)


def _loaded_before(store: ChatStore, session: Row) -> Call | None:
    try:
        found = store.calls.get(session["sessionId"], consistent=True)
    except NotFound:
        return None
    return None if found.is_live else found


def _replayed(replay: Replay, users: list[dict[str, Any]], session: Row) -> Call:
    """Repeat the events that led to the records, in time order; returns the call."""
    before = min(row["lastQueueEntry"] for row in users)
    queue = CallQueue()
    for row in users:
        replay.at(before).callers.create(row["userId"], email=row.get("email"))
        if not row["isWaitingInQueue"]:
            replay.at(row["lastQueueEntry"]).queue.join(row["userId"], queue)
    call = replay.at(session["startTime"]).calls.start(
        session["userA"],
        session["userB"],
        call_id=session["sessionId"],
        room_name=session["roomName"],
    )
    for row in users:
        spent = DAILY_POINTS - row["pointsLeft"]
        if spent:
            callers = replay.at(session["startTime"]).callers
            callers.spend(row["userId"], spent, spend_id=session["sessionId"])
    call = replay.at(session["endTime"]).calls.end(call.call_id)
    for row in users:
        if row["isWaitingInQueue"]:
            waiting = replay.at(row["lastQueueEntry"]).queue
            waiting.join(row["userId"], queue, keep_for=MAX_WAIT)
    return call
