"""Two servers at one moment, step by step: what the one does while the other is at it."""

from datetime import timedelta

import pytest

from dynamo_chat import Caller
from dynamo_chat.core.errors import Conflict, LimitExceeded
from tests.calls.scenes import Interruption, another_server, callers, join, points, who
from tests.scene import Scene

pytestmark = pytest.mark.engine

AN_HOUR = timedelta(hours=1)
MIDNIGHT = 12 * AN_HOUR
"""From the noon at which every scene begins."""


def test_who_is_matched_while_leaving_is_in_the_call(scene: Scene) -> None:
    join(scene, "ann", "bob")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, other.queue.match):
        left = scene.store.queue.leave("ann")
    (call,) = scene.store.calls.list_live()
    assert (left.is_waiting, left.live_call_id) == (False, call.call_id)


def test_who_is_called_while_joining_is_in_the_call(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    other = another_server(scene)
    with (
        Interruption(scene.store.connection.client, lambda: other.calls.start("bob", "ann")),
        pytest.raises(Conflict, match="is in a call") as refused,
    ):
        scene.store.queue.join("ann")
    assert isinstance(refused.value.current, Caller)
    assert refused.value.current.is_in_call
    assert scene.kinds()["queue_ticket"] == 0


def test_who_joins_two_queues_at_once_is_in_the_first(scene: Scene) -> None:
    callers(scene, "ann")
    other = another_server(scene)
    with (
        Interruption(scene.store.connection.client, lambda: other.queue.join("ann", "jazz")),
        pytest.raises(Conflict, match="waits in queue 'jazz'"),
    ):
        scene.store.queue.join("ann", "rock")
    assert scene.kinds()["queue_ticket"] == 1


def test_who_joins_one_queue_twice_at_once_has_one_place(scene: Scene) -> None:
    callers(scene, "ann")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, lambda: other.queue.join("ann")):
        ticket = scene.store.queue.join("ann")
    assert list(scene.store.queue.list_waiting(consistent=True)) == [ticket]


def test_who_is_deleted_while_being_matched_is_passed_over(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, lambda: other.callers.delete("ann")):
        assert who(scene.store.queue.match()) == ("bob", "carl")


def test_who_is_matched_while_being_deleted_stays(scene: Scene) -> None:
    join(scene, "ann", "bob")
    other = another_server(scene)
    with (
        Interruption(scene.store.connection.client, other.queue.match),
        pytest.raises(Conflict, match="in a call"),
    ):
        scene.store.callers.delete("ann")
    assert scene.store.callers.get("ann", consistent=True).is_in_call


def test_who_is_deleted_and_comes_back_has_one_place(scene: Scene) -> None:
    """The old ticket is nobody's, and is not mistaken for the new one."""
    join(scene, "ann", "bob")
    other = another_server(scene)

    def begin_anew() -> None:
        other.callers.delete("ann")
        join(scene, "ann")

    with Interruption(scene.store.connection.client, begin_anew):
        assert who(scene.store.queue.match()) == ("bob", "ann")


def test_who_ends_a_call_twice_at_once_gets_the_first_end(scene: Scene) -> None:
    """Each of the two hangs up, by a clock of their own."""
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob")
    other = another_server(scene, timedelta(seconds=-7))
    scene.clock.advance(60)
    with Interruption(scene.store.connection.client, lambda: other.calls.end(call.call_id)):
        ended = scene.store.calls.end(call.call_id)
    assert ended.duration_minutes == 0.88
    assert scene.store.calls.get(call.call_id, consistent=True) == ended


def test_a_call_ended_while_another_begins_frees_nobody_of_that(scene: Scene) -> None:
    """The first end has let them go, they talk again, and the second end finds that late."""
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob", room_name="blue")
    other = another_server(scene)

    def end_and_call_again() -> None:
        other.calls.end(call.call_id)
        other.calls.start("bob", "ann", call_id="c-2", room_name="blue")

    with Interruption(scene.store.connection.client, end_and_call_again):
        assert not scene.store.calls.end(call.call_id).is_live
    assert scene.store.callers.get("ann", consistent=True).live_call_id == "c-2"
    assert scene.store.calls.get_by_room("blue", consistent=True).call_id == "c-2"


def test_clocks_that_differ_give_no_day_twice(scene: Scene) -> None:
    """One is two hours ahead, one two hours behind, and midnight comes to each in turn."""
    callers(scene, "ann")
    ahead = another_server(scene, timedelta(hours=2)).callers
    behind = another_server(scene, timedelta(hours=-2)).callers
    scene.store.callers.spend("ann", 15)
    scene.clock.advance(MIDNIGHT - timedelta(hours=1))
    with pytest.raises(LimitExceeded):
        scene.store.callers.spend("ann", 1)
    assert ahead.spend("ann", 10).points_left == 5  # tomorrow's, an hour early
    assert scene.store.callers.spend("ann", 2).points_left == 3
    assert behind.spend("ann", 3).points_left == 0
    for _ in range(3):  # midnight for us, for the one behind, and after it
        scene.clock.advance(timedelta(hours=2))
        for server in (ahead, scene.store.callers, behind):
            with pytest.raises(LimitExceeded):
                server.spend("ann", 1)
    assert points(scene, "ann") == 0


def test_two_who_turn_the_day_at_once_spend_from_one_allowance(scene: Scene) -> None:
    callers(scene, "ann")
    scene.store.callers.spend("ann", 3)
    scene.clock.advance(MIDNIGHT)
    slow = scene.interrupted("UpdateItem", 1, lambda: scene.store.callers.spend("ann", 5))
    assert slow.callers.spend("ann", 4).points_left == 6
    assert points(scene, "ann") == 6


def test_who_moves_west_while_the_day_is_turned_gets_no_new_points(scene: Scene) -> None:
    """The move is told by a clock that is behind: it was not midnight yet, so the day goes on."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15)
    scene.clock.advance(MIDNIGHT + timedelta(hours=1))

    behind = another_server(scene, -2 * AN_HOUR)

    def move() -> None:
        behind.callers.update("ann", time_zone="America/Lima")

    slow = scene.interrupted("UpdateItem", 1, move)
    with pytest.raises(LimitExceeded):
        slow.callers.spend("ann", 1)
    assert points(scene, "ann") == 0


def test_who_moves_while_a_day_is_turned_has_what_is_left_of_it(scene: Scene) -> None:
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15)
    scene.clock.advance(MIDNIGHT + AN_HOUR)
    other = another_server(scene)
    slow = scene.interrupted("UpdateItem", 1, lambda: other.callers.spend("ann", 4))
    moved = slow.callers.update("ann", time_zone="America/Lima")
    assert (moved.points_left, moved.time_zone) == (11, "America/Lima")
    assert points(scene, "ann") == 11


def test_who_leaves_by_a_server_that_is_ahead_is_not_matched(scene: Scene) -> None:
    """To that server the place is over by itself; to the one that matches it is not."""
    tickets = join(scene, "ann", "bob")
    left = another_server(scene, AN_HOUR).queue.leave("ann")
    assert not left.is_waiting
    assert scene.store.queue.match() is None
    assert list(scene.store.queue.list_waiting(consistent=True)) == tickets[1:]
