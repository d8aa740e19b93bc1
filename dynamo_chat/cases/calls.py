"""Scenarios of calls: points, queues, matching, history (P1–P8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from dynamo_chat.calls.call import Call
from dynamo_chat.calls.ticket import CallQueue, QueuePosition
from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.keyspace import LIVE_CALL_SHARDS

_A_DAY: Final = timedelta(days=1)


def a_caller(stage: Stage) -> str:
    """A caller who did nothing yet, and for whom it is noon: no midnight comes in between."""
    ahead = 12 - stage.clock().hour
    zone = f"Etc/GMT{-ahead:+d}"
    return stage.store.callers.create(stage.fresh("user"), time_zone=zone).user_id


def a_queue(stage: Stage, waiting: int, *, shards: int = 1) -> CallQueue:
    """A queue in which so many wait."""
    queue = CallQueue(stage.fresh("queue"), shards=shards)
    for _ in range(waiting):
        stage.later()
        stage.store.queue.join(a_caller(stage), queue)
    return queue


def a_call(stage: Stage) -> Call:
    """A live call."""
    return stage.store.calls.start(a_caller(stage), a_caller(stage))


def _gone(_: None) -> str:
    return "deleted"


def _reset(user_ids: Sequence[str]) -> str:
    return f"{len(user_ids)} callers reset to 15 points"


def _place(found: QueuePosition) -> str:
    return f"position {found.position} in the queue"


# -- callers ------------------------------------------------------------------------------------


def callers_create(stage: Stage) -> Iterator[Case]:
    callers, name = stage.store.callers, stage.fresh("user")
    yield Case("", lambda: callers.create(name, email="a@example.com", time_zone="Asia/Tokyo"))


def callers_load(stage: Stage) -> Iterator[Case]:
    callers = stage.store.callers
    old = callers.get(a_caller(stage)).model_copy(update={"user_id": stage.fresh("user")})
    yield Case("", lambda: callers.load(old))


def callers_get(stage: Stage) -> Iterator[Case]:
    user_id = a_caller(stage)
    stage.store.queue.join(user_id, stage.fresh("queue"))
    yield Case("", lambda: stage.store.callers.get(user_id))


def callers_update(stage: Stage) -> Iterator[Case]:
    user_id = a_caller(stage)
    yield Case("", lambda: stage.store.callers.update(user_id, time_zone="America/Lima"))


def callers_delete(stage: Stage) -> Iterator[Case]:
    callers, idle, waiting = stage.store.callers, a_caller(stage), a_caller(stage)
    stage.store.queue.join(waiting, stage.fresh("queue"))
    yield Case("", lambda: callers.delete(idle), _gone)
    yield Case("who waits", lambda: callers.delete(waiting), _gone, budget=2)


def callers_spend(stage: Stage) -> Iterator[Case]:
    callers, user_id = stage.store.callers, a_caller(stage)
    yield Case("", lambda: callers.spend(user_id, 3, spend_id="first"), budget=1)
    yield Case(
        "again",
        lambda: callers.spend(user_id, 3, spend_id="first"),
        lambda caller: f"the same spend again: {caller.points_left} points left",
        budget=1,
        is_shown=True,
    )
    stage.later(_A_DAY)
    yield Case("first of the day", lambda: callers.spend(user_id, 3, spend_id="second"))


def callers_reset_points(stage: Stage) -> Iterator[Case]:
    """A transaction takes 100 writes, so 101 callers need two."""
    callers, ids = stage.store.callers, [a_caller(stage) for _ in range(101)]
    yield Case("100 callers", lambda: callers.reset_points(ids[:100]), _reset)
    yield Case("101 callers", lambda: callers.reset_points(ids), _reset, budget=2)


# -- queues -------------------------------------------------------------------------------------


def queue_join(stage: Stage) -> Iterator[Case]:
    queue, user_id, line = stage.store.queue, a_caller(stage), stage.fresh("queue")
    yield Case("", lambda: queue.join(user_id, line), budget=1)
    yield Case("again", lambda: queue.join(user_id, line), budget=1, is_shown=True)
    stage.later(timedelta(minutes=40))
    yield Case("to wait longer", lambda: queue.join(user_id, line))


def queue_leave(stage: Stage) -> Iterator[Case]:
    queue, user_id = stage.store.queue, a_caller(stage)
    queue.join(user_id, stage.fresh("queue"))
    yield Case("", lambda: queue.leave(user_id))
    yield Case("who does not wait", lambda: queue.leave(user_id), budget=1)


def queue_position(stage: Stage) -> Iterator[Case]:
    queue, last = stage.store.queue, a_caller(stage)
    line = a_queue(stage, 3)
    queue.join(last, line)
    yield Case("", lambda: queue.position(last, line), _place)
    queue.leave(last)
    wide = a_queue(stage, 3, shards=4)
    queue.join(last, wide)
    yield Case("over 4 shards", lambda: queue.position(last, wide), _place, budget=5)


def queue_list_waiting(stage: Stage) -> Iterator[Case]:
    line, wide = a_queue(stage, 3), a_queue(stage, 3, shards=4)
    yield Case("", lambda: stage.store.queue.list_waiting(line))
    yield Case("over 4 shards", lambda: stage.store.queue.list_waiting(wide), budget=4)


def queue_match(stage: Stage) -> Iterator[Case]:
    queue, line = stage.store.queue, a_queue(stage, 10)
    yield Case("", lambda: queue.match(line), budget=2)
    yield Case("with 4 matchers", lambda: queue.match(line, matchers=4), budget=2)
    user_ids = [a_caller(stage) for _ in range(2)]
    tomorrow = stage.fresh("queue")
    stage.later(_A_DAY)
    for user_id in user_ids:
        queue.join(user_id, tomorrow)
    made = stage.fresh("call")
    yield Case("where the day turns", lambda: queue.match(tomorrow, match_id=made))
    yield Case("a retry", lambda: queue.match(tomorrow, match_id=made), budget=2)
    yield Case(
        "with nobody waiting",
        lambda: queue.match(tomorrow),
        lambda _: "nobody to match",
        budget=1,
        is_empty=True,
    )
    wide = a_queue(stage, 16, shards=4)
    yield Case("over 4 shards", lambda: queue.match(wide), budget=5)


# -- calls --------------------------------------------------------------------------------------


def calls_start(stage: Stage) -> Iterator[Case]:
    calls, one, other = stage.store.calls, a_caller(stage), a_caller(stage)
    yield Case("", lambda: calls.start(one, other, cost=1))
    waiting, free = a_caller(stage), a_caller(stage)
    stage.store.queue.join(waiting, stage.fresh("queue"))
    yield Case("with one who waits", lambda: calls.start(free, waiting), budget=2)


def calls_end(stage: Stage) -> Iterator[Case]:
    calls, call = stage.store.calls, a_call(stage)
    stage.later(timedelta(minutes=12))
    yield Case("", lambda: calls.end(call.call_id))
    yield Case("again", lambda: calls.end(call.call_id), budget=1)


def calls_load(stage: Stage) -> Iterator[Case]:
    calls = stage.store.calls
    ended = calls.end(a_call(stage).call_id)
    old = ended.model_copy(update={"call_id": stage.fresh("call")})
    yield Case("", lambda: calls.load(old))


def calls_end_overdue(stage: Stage) -> Iterator[Case]:
    """Two calls that were left open. Calls that other scenarios left open are ended first."""
    calls = stage.store.calls
    calls.end_overdue(timedelta(microseconds=1), limit=1_000)
    a_call(stage)
    a_call(stage)
    stage.later(_A_DAY)
    budget = LIVE_CALL_SHARDS + 2
    yield Case(
        "two calls",
        lambda: calls.end_overdue(timedelta(hours=4)),
        lambda ended: f"{len(ended)} calls ended",
        budget=budget,
    )


def calls_get(stage: Stage) -> Iterator[Case]:
    call = a_call(stage)
    yield Case("", lambda: stage.store.calls.get(call.call_id))


def calls_get_by_room(stage: Stage) -> Iterator[Case]:
    call = a_call(stage)
    yield Case("", lambda: stage.store.calls.get_by_room(call.room_name))


def calls_list_live(stage: Stage) -> Iterator[Case]:
    for _ in range(3):
        a_call(stage)
    yield Case("", stage.store.calls.list_live)


def calls_list_by_user(stage: Stage) -> Iterator[Case]:
    calls, user_id = stage.store.calls, a_caller(stage)
    for number in range(4):
        stage.later()
        sides = [user_id, a_caller(stage)]
        call = calls.start(*(sides if number % 2 else reversed(sides)))
        calls.end(call.call_id)
    yield Case("", lambda: calls.list_by_user(user_id, page_size=3))
