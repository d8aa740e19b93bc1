"""Many matchers, callers and spenders at one moment, on a real server."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest

from dynamo_chat import Call, Caller, CallQueue, ChatStore, Page
from dynamo_chat.calls.caller import CallerBusy, PointsExceeded
from dynamo_chat.core.errors import Conflict, Contended, LimitExceeded
from dynamo_chat.testing import FaultInjector, TransactionConflict
from tests.calls.scenes import Requests, callers, join, who
from tests.scene import Scene, race

pytestmark = pytest.mark.ministack

MATCHERS = 16
CROWD = 400


def in_parallel(work: Sequence[Callable[[], object]], threads: int = MATCHERS) -> None:
    """Do everything, so many at once; the first error is raised."""
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(each) for each in work]:
            done.result()


def say(capsys: pytest.CaptureFixture[str], numbers: str) -> None:
    """Show numbers in the output of the run."""
    with capsys.disabled():
        print(f"\n{numbers}")  # noqa: T201 - this is what a person reads the run for


def counting_store(scene: Scene) -> tuple[ChatStore, Requests]:
    """A store of its own on the scene's table, whose requests are counted."""
    requests, connection = Requests(), scene.store.connection
    store = ChatStore(
        connection.table_name,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
        clock=scene.clock,
        on_request=requests,
    )
    return store, requests


def everybody_waits(scene: Scene, names: list[str], queue: CallQueue) -> None:
    in_parallel([partial(scene.store.callers.create, name) for name in names])
    in_parallel([partial(scene.store.queue.join, name, queue) for name in names])


def all_calls(scene: Scene) -> list[Call]:
    """Every live call."""
    calls: list[Call] = []
    cursor = None
    while True:
        page: Page[Call] = scene.store.calls.list_live(page_size=100, cursor=cursor)
        calls += page.items
        if page.cursor is None:
            return calls
        cursor = page.cursor


# -- matching -----------------------------------------------------------------------------------


@dataclass
class Evening:
    """Callers who join, leave and come back, and what they saw."""

    scene: Scene
    queue: CallQueue
    ended: list[Call] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def behave(self, names: list[str], seed: int) -> None:
        """Some callers, one after another: join, lose patience, come back, hang up."""
        dice, store = random.Random(seed), self.scene.store
        for _ in range(2):
            for name in names:
                with suppress(LimitExceeded, Conflict):
                    store.queue.join(name, self.queue)
                if dice.random() < 0.3:
                    left = store.queue.leave(name)
                    if left.live_call_id is not None and dice.random() < 0.7:
                        self.ended.append(store.calls.end(left.live_call_id))

    def stay(self, name: str) -> None:
        """In the end, when nobody hangs up any more, everybody wants to be matched."""
        with suppress(LimitExceeded, Conflict):
            self.scene.store.queue.join(name, self.queue)

    def match(self, store: ChatStore) -> int:
        """Match until the evening is over and nobody is left; the number of matches."""
        matches = 0
        while True:
            is_last_look = self.over.is_set()
            try:
                call = store.queue.match(self.queue)
            except Contended:  # on a slow machine: call again, as it says
                continue
            if call is not None:
                matches += 1
            elif is_last_look:
                return matches
            else:
                time.sleep(0.01)


def test_16_matchers_and_400_callers_who_come_and_go(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is in two calls or talks to themselves; points are what the calls explain."""
    names = [f"user-{number:03d}" for number in range(CROWD)]
    queue = CallQueue("main", cost=7)  # two calls a day, and one point that is of no use
    in_parallel([partial(scene.store.callers.create, name) for name in names])
    evening = Evening(scene, queue)
    stores = [counting_store(scene)[0] for _ in range(2)]
    started = time.perf_counter()
    with ThreadPoolExecutor(MATCHERS) as matchers, ThreadPoolExecutor(8) as crowd:
        matching = [
            matchers.submit(evening.match, stores[number % 2]) for number in range(MATCHERS)
        ]
        for done in [crowd.submit(evening.behave, names[part::8], part) for part in range(8)]:
            done.result()
        for done in [crowd.submit(evening.stay, name) for name in names]:
            done.result()
        evening.over.set()
        matches = sum(each.result() for each in matching)
    seconds = time.perf_counter() - started
    say(capsys, f"{matches} matches among {CROWD} who come and go, in {seconds:.1f} s")

    live = all_calls(scene)
    in_calls = Counter(name for call in live for name in who(call))
    assert set(in_calls.values()) <= {1}
    calls = {call.call_id: call for call in (*live, *evening.ended)}
    assert len(calls) == matches
    spent: dict[str, dict[str, int]] = {name: {} for name in names}
    for call in calls.values():
        assert call.user_a != call.user_b
        for name in who(call):
            spent[name][call.call_id] = queue.cost
    left = []
    for name in names:
        caller = scene.store.callers.get(name, consistent=True)
        assert caller.spends == spent[name]
        assert caller.points_left == 15 - sum(spent[name].values())
        assert caller.is_in_call == (name in in_calls)
        if caller.is_waiting:
            left.append(caller)
        elif not caller.is_in_call:
            assert caller.points_left < queue.cost
    assert len([caller for caller in left if caller.points_left >= queue.cost]) <= 1


@pytest.mark.parametrize(
    ("matchers", "given"), [(1, None), (MATCHERS, None), (MATCHERS, MATCHERS)], ids=str
)
def test_a_queue_is_emptied_in_few_requests(
    scene: Scene, capsys: pytest.CaptureFixture[str], matchers: int, given: int | None
) -> None:
    """However many matchers are at it, each match takes a few requests, and nobody gives up."""
    names = [f"user-{number:03d}" for number in range(200)]
    everybody_waits(scene, names, CallQueue("main"))
    store, requests = counting_store(scene)

    def work() -> None:
        while store.queue.match(matchers=given) is not None:
            pass

    started = time.perf_counter()
    in_parallel([work] * matchers, matchers)
    seconds = time.perf_counter() - started
    met = Counter(name for call in all_calls(scene) for name in who(call))
    assert met == Counter(names)
    # Each matcher asks once more, and finds nobody.
    asked = len(requests.events) - matchers
    say(
        capsys,
        f"{matchers} matchers ({given or 'learnt'}): {100 / seconds:.0f} matches/s, "
        f"{asked / 100:.2f} requests a match",
    )
    assert asked == 200 if matchers == 1 else asked < 600


def test_conflicts_between_transactions_lose_nobody(scene: Scene) -> None:
    """DynamoDB cancels what meets on an item; here one transaction in five is cancelled."""
    names = [f"user-{number:02d}" for number in range(60)]
    everybody_waits(scene, names, CallQueue("main"))
    store, _ = counting_store(scene)

    def work() -> None:
        while True:
            with suppress(Contended):
                if store.queue.match() is None:
                    return

    with FaultInjector(store.connection.client) as faults:
        faults.gamble({TransactionConflict(): 0.2}, seed=7)
        in_parallel([work] * 8, 8)
        assert len(faults.injected) > 5
    assert Counter(name for call in all_calls(scene) for name in who(call)) == Counter(names)


def test_matching_leaving_and_starting_at_one_moment(scene: Scene) -> None:
    """Each of twenty callers is wanted by a matcher, by a friend, and wants to leave."""
    names = [f"user-{number:02d}" for number in range(20)]
    join(scene, *names)
    work = [
        each
        for place, name in enumerate(names)
        for each in (
            partial(scene.store.queue.match),
            partial(scene.store.calls.start, name, names[place - 1], cost=1),
            partial(scene.store.queue.leave, name),
        )
    ]
    random.Random(3).shuffle(work)
    outcomes = race(list(work))
    assert {type(each) for each in outcomes} <= {Call, Caller, CallerBusy, Conflict, type(None)}
    live = all_calls(scene)
    assert set(Counter(name for call in live for name in who(call)).values()) <= {1}


# -- points and ends ----------------------------------------------------------------------------


def test_32_threads_spend_from_one_caller(scene: Scene) -> None:
    """Of 64 spends of one point 15 are taken, each once, though each is sent twice."""
    callers(scene, "ann")
    spends = [
        partial(scene.store.callers.spend, "ann", 1, spend_id=f"s-{number}") for number in range(64)
    ]
    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(_outcome, [*spends, *spends]))
    first, second = outcomes[:64], outcomes[64:]
    caller = scene.store.callers.get("ann", consistent=True)
    assert (caller.points_left, len(caller.spends)) == (0, 15)
    for number, answers in enumerate(zip(first, second, strict=True)):
        # A refused one was refused when nothing was left, and is no debt.
        assert (f"s-{number}" in caller.spends) == (Caller in answers)


def test_random_points_are_an_exact_sum_with_midnight_in_between(scene: Scene) -> None:
    """Midnight comes while all are at it, and brings 15 points, once."""
    callers(scene, "ann")
    dice = random.Random(11)
    wanted = {f"s-{number}": dice.randint(1, 4) for number in range(128)}
    midnight = threading.Semaphore(0)

    def spend(spend_id: str, points: int) -> type:
        outcome = _outcome(partial(scene.store.callers.spend, "ann", points, spend_id=spend_id))
        midnight.release()
        return outcome

    def night() -> None:
        for _ in range(40):
            midnight.acquire()
        scene.clock.advance(timedelta(days=1))

    with ThreadPoolExecutor(33) as pool:
        night_falls = pool.submit(night)
        outcomes = list(pool.map(spend, wanted, wanted.values()))
        night_falls.result()
    assert set(outcomes) == {Caller, PointsExceeded}
    taken = {
        spend_id: points
        for (spend_id, points), outcome in zip(wanted.items(), outcomes, strict=True)
        if outcome is Caller
    }
    caller = scene.store.callers.get("ann", consistent=True)
    assert {**caller.spent_before, **caller.spends} == taken
    for day in (caller.spent_before, caller.spends):
        assert 12 <= sum(day.values()) <= 15  # one is refused only when fewer than 4 are left
    assert caller.points_left == 15 - sum(caller.spends.values())


def test_one_spend_id_from_32_threads_is_spent_once(scene: Scene) -> None:
    """On the first spend of a day, which takes two requests."""
    callers(scene, "ann")
    scene.clock.advance(timedelta(days=1))
    spend = partial(scene.store.callers.spend, "ann", 4, spend_id="once")
    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(_outcome, [spend] * 32)) == {Caller}
    assert scene.store.callers.get("ann", consistent=True).points_left == 11


def test_a_call_is_ended_once_by_many(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob", cost=1)
    scene.clock.advance(timedelta(hours=1))
    ends = [
        partial(
            scene.store.calls.end,
            call.call_id,
            at=call.started_at + timedelta(minutes=minute),
        )
        for minute in range(1, 33)
    ]
    outcomes = race(list(ends))
    assert len({each.ended_at for each in outcomes}) == 1
    assert scene.store.calls.get(call.call_id, consistent=True) == outcomes[0]


def test_one_room_of_many_calls(scene: Scene) -> None:
    names = [f"user-{number:02d}" for number in range(32)]
    callers(scene, *names)
    pairs = zip(names[::2], names[1::2], strict=True)
    outcomes = race([partial(scene.store.calls.start, *pair, room_name="blue") for pair in pairs])
    assert Counter(type(each).__name__ for each in outcomes) == {"Call": 1, "CallExists": 15}


def _outcome(call: Callable[[], Caller]) -> type:
    try:
        return type(call())
    except LimitExceeded as error:
        return type(error)
