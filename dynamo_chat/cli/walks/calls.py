"""A walk through the access patterns of calls: points, queues, matching, history (P1–P7)."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dynamo_chat import keyspace
from dynamo_chat.calls.call import CALL_RETENTION, Call
from dynamo_chat.calls.queue import QueuePosition
from dynamo_chat.cli.item_words import words
from dynamo_chat.cli.walks.step import Step, Walk, forget, own, several
from dynamo_chat.store import ChatStore


def walk_through_calls(store: ChatStore, shown: Call) -> Walk:
    """P1–P7 on this store; `shown` is the call, and its callers those, that reading looks at."""
    one, other, line = own("caller"), own("caller"), own("queue")
    yield from _paying(store, one, shown)
    store.callers.create(other)
    matched: Call = yield from _waiting(store, one, other, line)
    yield from _talking(store, matched, shown)
    old: Call = yield from _bringing_over(store, other, matched)
    called: Call = yield Step(
        "calls.start", lambda: store.calls.start(one, other, cost=1), _without_names
    )
    store.calls.end(called.call_id)
    yield from _leaving(store, one, other, line)
    forget(store, *(keyspace.CALL.table.pk.encode(each.call_id) for each in (matched, old, called)))


def _paying(store: ChatStore, identity: str, shown: Call) -> Walk:
    callers = store.callers
    yield Step("callers.create", lambda: callers.create(identity, time_zone="Europe/Rome"), words)
    yield Step("callers.get", lambda: callers.get(shown.user_a), words)
    yield Step(
        "callers.update",
        lambda: callers.update(identity, time_zone="Asia/Tokyo"),
        lambda caller: f"in {caller.time_zone} now, and no points are won by it",
    )
    yield Step("callers.spend", lambda: callers.spend(identity, 3, spend_id="walk"), words)
    yield Step(
        "callers.spend",
        lambda: callers.spend(identity, 3, spend_id="walk"),
        lambda caller: f"the same spend again: {caller.points_left} points",
    )
    yield Step(
        "callers.reset_points",
        lambda: callers.reset_points([identity]),
        lambda reset: f"{len(reset)} caller has 15 points again",
    )


def _waiting(store: ChatStore, one: str, other: str, line: str) -> Generator[Step, Any, Call]:
    queue = store.queue
    yield Step("queue.join", lambda: queue.join(one, line), lambda _: "waits")
    yield Step("queue.join", lambda: queue.join(other, line), lambda _: "waits behind it")
    yield Step("queue.position", lambda: queue.position(other, line), _position)
    yield Step(
        "queue.list_waiting",
        lambda: queue.list_waiting(line),
        lambda page: f"{len(page)} callers, who waits longest first",
    )
    matched: Call = yield Step("queue.match", lambda: queue.match(line), _without_names)
    return matched


def _talking(store: ChatStore, matched: Call, shown: Call) -> Walk:
    calls = store.calls
    yield Step("calls.get_by_room", lambda: calls.get_by_room(matched.room_name), _without_names)
    yield Step(
        "calls.list_live",
        calls.list_live,
        lambda page: f"{len(page)} in the whole table",
    )
    yield Step(
        "calls.end_overdue",
        # Nobody's call is that old: it would have expired.
        lambda: calls.end_overdue(CALL_RETENTION + timedelta(days=1)),
        lambda ended: f"{len(ended)} were left open",
    )
    yield Step("calls.end", lambda: calls.end(matched.call_id), _without_names)
    yield Step("calls.get", lambda: calls.get(shown.call_id), words)
    yield Step(
        "calls.list_by_user",
        lambda: calls.list_by_user(shown.user_b),
        lambda page: several(page, words),
    )


def _bringing_over(store: ChatStore, other: str, matched: Call) -> Generator[Step, Any, Call]:
    """What another system knew: a caller, and a call that has ended."""
    user_id, call_id = own("caller"), own("call")
    caller = store.callers.get(other).model_copy(update={"user_id": user_id})
    yield Step("callers.load", lambda: store.callers.load(caller), words)
    store.callers.delete(user_id)
    ended = store.calls.get(matched.call_id).model_copy(update={"call_id": call_id})
    loaded: Call = yield Step("calls.load", lambda: store.calls.load(ended), _without_names)
    return loaded


def _leaving(store: ChatStore, one: str, other: str, line: str) -> Walk:
    store.queue.join(one, line)
    yield Step("queue.leave", lambda: store.queue.leave(one), words)
    yield Step("callers.delete", lambda: store.callers.delete(one), lambda _: "gone")
    store.callers.delete(other)


def _position(place: QueuePosition | None) -> str:
    return "not in the queue" if place is None else f"number {place.position}"


def _without_names(call: Call) -> str:
    """A call of the walk's own, whose callers have names that say nothing."""
    state = "live" if call.is_live else f"over after {call.duration_minutes:g} minutes"
    return f"the walk's two callers: {state}"
