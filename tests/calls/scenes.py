"""What the tests of calls share: a store, a clock, people, a look at everything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any

import pytest

from dynamo_chat import Call, Caller, CallQueue, ChatStore, QueueTicket, RequestEvent
from dynamo_chat.calls.call import call_in_room
from dynamo_chat.calls.caller import as_of
from dynamo_chat.calls.ticket import ticket_of
from dynamo_chat.core.errors import AlreadyExists
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, PLACES
from dynamo_chat.core.transaction import is_live
from dynamo_chat.testing import Engine, FakeClock, FaultInjector, RequestMeter
from tests.scene import DAY, Scene


def next_noon() -> datetime:
    """Noon in UTC, ahead: some engines delete by their own clock what has expired."""
    return datetime.combine(datetime.now(UTC).date() + DAY, time(12), UTC)


@pytest.fixture(scope="session")
def table(dynamo_chat_engine: Engine) -> Iterator[Scene]:
    """One table for all tests of calls: a client takes longer to make than a table to empty."""
    with Scene(dynamo_chat_engine, FakeClock(next_noon())) as opened:
        yield opened


@pytest.fixture
def scene(table: Scene) -> Iterator[Scene]:
    """A scene for one test, at noon, under the strict hook; what it leaves must be sound."""
    with fresh(table):
        yield table


@contextmanager
def fresh(table: Scene) -> Iterator[None]:
    """The table empty, the clock at noon, and a store that knows nothing."""
    table.restore([])
    table.clock.advance(next_noon() - table.clock())
    vars(table.store).pop("queue", None)  # what it learnt of shards and other matchers
    yield
    table.check_requests()
    assert_sound(table)


# -- people -------------------------------------------------------------------------------------


def callers(scene: Scene, *names: str, **options: Any) -> list[Caller]:
    """Callers of these names."""
    return [scene.store.callers.create(name, **options) for name in names]


def join(scene: Scene, *names: str, queue: str | CallQueue = "main") -> list[QueueTicket]:
    """Callers of these names join, one after another, a second apart; who is none becomes one."""
    tickets = []
    for name in names:
        scene.clock.advance(1)
        with suppress(AlreadyExists):
            scene.store.callers.create(name)
        tickets.append(scene.store.queue.join(name, queue))
    return tickets


def who(call: Call | None) -> tuple[str, str]:
    """The two of a call."""
    assert call is not None
    return call.user_a, call.user_b


def points(scene: Scene, name: str) -> int:
    """The points that a caller has left."""
    return scene.store.callers.get(name, consistent=True).points_left


def requests(scene: Scene, call: Callable[[], object]) -> list[str]:
    """The operations that `call` takes."""
    with RequestMeter(scene.store.connection.client) as meter:
        call()
    return [request.operation for request in meter.requests]


def another_server(scene: Scene, ahead: timedelta = timedelta(0)) -> ChatStore:
    """Another server's store on the same table, whose clock may be ahead of ours."""
    store = _server(scene, ahead)
    vars(store).pop("queue", None)  # what it learnt in another test
    return store


@cache
def _server(scene: Scene, ahead: timedelta) -> ChatStore:
    return scene.new_store(scene.clock.skewed(ahead))


class Interruption(FaultInjector):
    """Something that another server does, just before the first transaction is sent."""

    def __init__(self, client: Any, deed: Callable[[], object]) -> None:
        super().__init__(client)
        self.deed: Callable[[], object] | None = deed

    def _before_call(self, model: Any, **more: Any) -> None:
        super()._before_call(model, **more)
        if model.name == "TransactWriteItems" and self.deed is not None:
            deed, self.deed = self.deed, None
            deed()


class Requests:
    """Counts the requests of a store, cheaply: for runs of many threads."""

    def __init__(self) -> None:
        self.events: list[RequestEvent] = []

    def __call__(self, event: RequestEvent) -> None:
        self.events.append(event)


# -- what must hold of the whole table, whatever happened ---------------------------------------


def assert_sound(scene: Scene) -> None:
    """Who waits has a ticket, who is in a call is in one that is live, and points add up."""
    now = scene.clock()
    items = [item for item in scene.items() if is_live(item, now)]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        by_kind.setdefault(item[KIND]["S"], []).append(item)
        for place in PLACES:
            assert (place.pk in item) == (place.sk in item)
    people = {
        caller.user_id: caller
        for caller in (as_of(plan(Caller).decode(item), now) for item in by_kind.get("caller", []))
    }
    calls = [plan(Call).decode(item) for item in by_kind.get("call", [])]
    live = {call.call_id: call for call in calls if call.is_live}
    tickets = [plan(QueueTicket).decode(item) for item in by_kind.get("queue_ticket", [])]

    assert sorted(tickets, key=lambda each: each.user_id) == [
        ticket_of(people[name]) for name in sorted(people) if people[name].is_waiting
    ]
    rooms = [call_in_room(item) for item in by_kind.get("call_room", [])]
    assert {room.call_id: room for room in rooms} == live
    assert len(rooms) == len(live)
    assert len({call.room_name for call in live.values()}) == len(live)
    for call in calls:
        assert call.user_a != call.user_b
    for call in live.values():
        for name in who(call):
            assert name not in people or people[name].live_call_id == call.call_id
    for caller in people.values():
        assert caller.live_call_id is None or caller.user_id in who(live[caller.live_call_id])
        assert not (caller.is_waiting and caller.is_in_call)
        assert caller.points_left == 15 - sum(caller.spends.values())
