"""Matching, starting and ending, killed or unanswered at each request, and then called again."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from dynamo_chat import Call, Caller
from dynamo_chat.testing import DropAnswer, Fault, FaultInjector, ServerError, Throttled
from tests.calls.scenes import callers, join, points, who
from tests.scene import DAY, Scene, cut_short, each_fault

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff")]


def assert_one_call(scene: Scene, call: Call | None, left: int) -> None:
    """There is this one call, of ann and bob, who have so many points left."""
    assert call is not None
    assert who(call) == ("ann", "bob")
    assert list(scene.store.calls.list_by_user("ann")) == [call]
    assert scene.kinds()["call"] == 1
    assert (points(scene, "ann"), points(scene, "bob")) == (left, left)


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
def test_a_match_is_made_once(scene: Scene, number: int, fault: Fault) -> None:
    join(scene, "ann", "bob")

    def match() -> Call | None:
        return scene.store.queue.match(match_id="m-1")

    cut_short(scene, number, fault, match)
    call = match()
    assert_one_call(scene, call, 14)
    assert match() == call
    assert scene.kinds() == {"caller": 2, "call": 1, "call_room": 1}


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
def test_a_match_without_an_id_loses_nobody(scene: Scene, number: int, fault: Fault) -> None:
    """Both are still waiting, or both are in the call."""
    join(scene, "ann", "bob")
    cut_short(scene, number, fault, scene.store.queue.match)
    scene.store.queue.match()
    (call,) = scene.store.calls.list_live()
    assert_one_call(scene, call, 14)


@pytest.mark.parametrize(("number", "fault"), list(each_fault(3)), ids=str)
def test_a_match_where_the_day_turns_is_made_once(scene: Scene, number: int, fault: Fault) -> None:
    callers(scene, "ann", "bob")
    for name in ("ann", "bob"):
        scene.store.callers.spend(name, 11)
    scene.clock.advance(DAY)
    join(scene, "ann", "bob")

    def match() -> Call | None:
        return scene.store.queue.match(match_id="m-1")

    cut_short(scene, number, fault, match)
    assert_one_call(scene, match(), 14)


@pytest.mark.once
@pytest.mark.parametrize(("number", "fault"), list(each_fault(4)), ids=str)
def test_clearing_the_queue_is_finished_by_the_next_match(
    scene: Scene, number: int, fault: Fault
) -> None:
    """The first who waits has no points; the transactions that find it, and send away."""
    join(scene, "zoe", "ann", "bob")
    scene.store.callers.spend("zoe", 15)

    def match() -> Call | None:
        return scene.store.queue.match(match_id="m-1")

    cut_short(scene, number, fault, match)
    assert_one_call(scene, match(), 14)
    assert not scene.store.callers.get("zoe", consistent=True).is_waiting


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
def test_a_call_is_started_once(scene: Scene, number: int, fault: Fault) -> None:
    """With one who waits, so that it takes two requests."""
    join(scene, "ann")
    callers(scene, "bob")

    def start() -> Call:
        return scene.store.calls.start("ann", "bob", cost=3, call_id="c-1")

    cut_short(scene, number, fault, start)
    assert_one_call(scene, start(), 12)
    assert scene.kinds() == {"caller": 2, "call": 1, "call_room": 1}


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
def test_a_call_is_ended_once(scene: Scene, number: int, fault: Fault) -> None:
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob", cost=1)
    moment = scene.clock.advance(600)

    def end() -> Call:
        return scene.store.calls.end(call.call_id, at=moment)

    cut_short(scene, number, fault, end)
    scene.clock.advance(600)
    ended = end()
    assert (ended.ended_at, ended.duration_minutes) == (moment, 10)
    assert_one_call(scene, ended, 14)
    assert scene.kinds() == {"caller": 2, "call": 1}


@pytest.mark.once
@pytest.mark.parametrize(("number", "fault"), list(each_fault(6)), ids=str)
def test_calls_left_open_are_all_ended(scene: Scene, number: int, fault: Fault) -> None:
    """Four shards are asked, and two calls ended."""
    callers(scene, "ann", "bob", "carl", "dora")
    scene.store.calls.start("ann", "bob")
    scene.store.calls.start("carl", "dora")
    scene.clock.advance(DAY)

    def tidy() -> object:
        return scene.store.calls.end_overdue(timedelta(hours=1))

    cut_short(scene, number, fault, tidy)
    tidy()
    assert scene.kinds() == {"caller": 4, "call": 2}
    for name in ("ann", "carl"):
        (ended,) = scene.store.calls.list_by_user(name)
        assert ended.duration_minutes == 60


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
def test_a_move_after_midnight_takes_and_gives_no_points(
    scene: Scene, number: int, fault: Fault
) -> None:
    """One request finds the day over, the other turns it."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15, spend_id="s")
    scene.clock.advance(DAY)

    def move() -> Caller:
        return scene.store.callers.update("ann", time_zone="America/Lima")

    cut_short(scene, number, fault, move)
    moved = move()
    assert (moved.time_zone, moved.points_left) == ("America/Lima", 15)
    assert scene.store.callers.spend("ann", 15, spend_id="s") == moved


@pytest.mark.parametrize("fault", [DropAnswer(), Throttled(), ServerError()], ids=str)
def test_botocores_own_retries_do_nothing_twice(scene: Scene, fault: Fault) -> None:
    """Each request of an evening meets trouble once, and nobody has to call again."""
    callers(scene, "ann", "bob")
    steps: list[Callable[[], object]] = [
        lambda: scene.store.queue.join("ann"),
        lambda: scene.store.queue.join("bob"),
        lambda: scene.store.queue.match(match_id="m-1"),
        lambda: scene.store.callers.spend("ann", 2, spend_id="s"),
        lambda: scene.store.calls.end("m-1"),
        lambda: scene.store.callers.reset_points(["bob"]),
    ]
    with FaultInjector(scene.store.connection.client) as injector:
        injector.plan(fault, times=None)
        for step in steps:
            scene.clock.advance(60)
            step()
        assert len(injector.injected) >= len(steps)
    assert (points(scene, "ann"), points(scene, "bob")) == (12, 15)
    assert scene.store.calls.get("m-1", consistent=True).duration_minutes == 2
    assert scene.kinds() == {"caller": 2, "call": 1}
