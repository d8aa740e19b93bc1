"""Calls: started, live, ended once, kept for 90 days (P6, P8)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import Call, Caller, ChatStore, keyspace
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    InvalidArgument,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.testing import RequestMeter
from tests.calls.scenes import callers, join, points, requests, who
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine


def call(scene: Scene, one: str = "ann", other: str = "bob", **options: Any) -> Call:
    """A call between these two, who become callers if they are none."""
    join(scene, one, other, queue="for a moment")
    scene.store.queue.leave(one)
    scene.store.queue.leave(other)
    return scene.store.calls.start(one, other, **options)


# -- starting -----------------------------------------------------------------------------------


def test_two_callers_are_in_a_call_at_once(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    now = scene.clock.advance(3)
    with RequestMeter(scene.store.connection.client) as meter:
        made = scene.store.calls.start("bob", "ann", cost=2, room_name="blue")
    assert meter.operations() == {"TransactWriteItems": 1}
    assert meter.wcu == 11
    assert (who(made), made.room_name, made.queue) == (("bob", "ann"), "blue", None)
    assert (made.started_at, made.expires_at) == (now, now + timedelta(days=90))
    assert scene.store.calls.get(made.call_id, consistent=True) == made
    for name in who(made):
        caller = scene.store.callers.get(name, consistent=True)
        assert (caller.live_call_id, caller.last_call_at) == (made.call_id, now)
        assert (caller.points_left, caller.spends) == (13, {made.call_id: 2})


def test_starting_again_under_the_same_id_returns_the_call(scene: Scene) -> None:
    made = call(scene, call_id="c-1")
    scene.clock.advance(60)
    assert scene.store.calls.start("ann", "bob", call_id="c-1") == made
    ended = scene.store.calls.end("c-1")
    assert scene.store.calls.start("ann", "bob", call_id="c-1") == ended
    with pytest.raises(AlreadyExists) as refused:
        scene.store.calls.start("bob", "ann", call_id="c-1")
    assert refused.value.current == ended
    callers(scene, "eve", "fred")
    with pytest.raises(AlreadyExists) as refused:
        scene.store.calls.start("eve", "fred", call_id="c-1")
    assert refused.value.current is None


def test_who_waits_leaves_the_queue_for_a_call(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl")
    operations = requests(scene, lambda: scene.store.calls.start("bob", "ann"))
    assert operations == ["TransactWriteItems", "TransactWriteItems"]
    assert [each.user_id for each in scene.store.queue.list_waiting(consistent=True)] == ["carl"]
    assert not scene.store.callers.get("ann", consistent=True).is_waiting


def test_nobody_is_in_two_calls(scene: Scene) -> None:
    first = call(scene)
    callers(scene, "carl")
    for pair in (("ann", "carl"), ("carl", "bob")):
        with pytest.raises(Conflict, match="is in a call") as refused:
            scene.store.calls.start(*pair)
        assert isinstance(refused.value.current, Caller)
        assert refused.value.current.live_call_id == first.call_id
    assert not scene.store.callers.get("carl", consistent=True).is_in_call


def test_nobody_calls_themselves(offline: ChatStore) -> None:
    with pytest.raises(InvalidArgument, match="user_b"):
        offline.calls.start("ann", "ann")
    with pytest.raises(InvalidArgument, match="cost"):
        offline.calls.start("ann", "bob", cost=16)


def test_both_must_be_callers_with_enough_points(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    with pytest.raises(NotFound, match="caller 'nobody'"):
        scene.store.calls.start("ann", "nobody")
    scene.store.callers.spend("bob", 12)
    with pytest.raises(LimitExceeded, match="'bob' has 3 points left"):
        scene.store.calls.start("ann", "bob", cost=4)
    assert (points(scene, "ann"), points(scene, "bob")) == (15, 3)
    scene.store.calls.start("ann", "bob", cost=3)
    assert (points(scene, "ann"), points(scene, "bob")) == (12, 0)


def test_points_are_back_when_the_day_turned(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    for name in ("ann", "bob"):
        scene.store.callers.spend(name, 15)
    scene.clock.advance(DAY)
    operations = requests(scene, lambda: scene.store.calls.start("ann", "bob", cost=5))
    assert operations == ["TransactWriteItems", "TransactWriteItems"]
    assert (points(scene, "ann"), points(scene, "bob")) == (10, 10)


def test_a_room_is_of_one_live_call(scene: Scene) -> None:
    first = call(scene, room_name="blue")
    callers(scene, "carl", "dora")
    with pytest.raises(AlreadyExists, match="room 'blue'") as refused:
        scene.store.calls.start("carl", "dora", room_name="blue")
    assert refused.value.current is None
    assert scene.store.calls.get_by_room("blue", consistent=True) == first
    scene.store.calls.end(first.call_id)
    with pytest.raises(NotFound, match="room 'blue'"):
        scene.store.calls.get_by_room("blue", consistent=True)
    second = scene.store.calls.start("carl", "dora", room_name="blue")
    assert scene.store.calls.get_by_room("blue", consistent=True) == second


def test_an_id_that_points_were_spent_under_is_refused(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    scene.store.callers.spend("bob", 2, spend_id="c-1")
    with pytest.raises(Conflict, match="points were spent"):
        scene.store.calls.start("ann", "bob", cost=1, call_id="c-1")


def test_an_id_that_points_were_spent_under_may_name_a_free_call(scene: Scene) -> None:
    """Nothing is spent under it; whoever waits, and takes a second try, is no exception."""
    join(scene, "ann")
    callers(scene, "bob")
    scene.store.callers.spend("ann", 2, spend_id="c-1")
    assert who(scene.store.calls.start("ann", "bob", call_id="c-1")) == ("ann", "bob")


# -- ending -------------------------------------------------------------------------------------


def test_an_end_counts_the_minutes(scene: Scene) -> None:
    made = call(scene)
    now = scene.clock.advance(754)
    with RequestMeter(scene.store.connection.client) as meter:
        ended = scene.store.calls.end(made.call_id)
    assert meter.operations() == {"GetItem": 1, "TransactWriteItems": 1}
    assert meter.wcu == 11
    assert (ended.ended_at, ended.duration_minutes, ended.is_live) == (now, 12.57, False)
    assert ended.expires_at == now + timedelta(days=90)
    assert scene.store.calls.get(made.call_id, consistent=True) == ended
    assert list(scene.store.calls.list_by_user("bob")) == [ended]
    assert not scene.store.calls.list_live().items
    for name in who(made):
        caller = scene.store.callers.get(name, consistent=True)
        assert (caller.is_in_call, caller.last_call_at) == (False, made.started_at)


def test_a_call_ends_once(scene: Scene) -> None:
    made = call(scene)
    scene.clock.advance(60)
    ended = scene.store.calls.end(made.call_id)
    scene.clock.advance(60)
    again = call(scene)
    assert scene.store.calls.end(made.call_id, at=scene.clock()) == ended
    assert requests(scene, lambda: scene.store.calls.end(made.call_id)) == ["GetItem"]
    assert scene.store.callers.get("ann", consistent=True).live_call_id == again.call_id


def test_an_end_may_be_told_late(scene: Scene) -> None:
    made = call(scene)
    scene.clock.advance(3600)
    with pytest.raises(InvalidArgument, match=r"^at: "):
        scene.store.calls.end(made.call_id, at=made.started_at.replace(tzinfo=None))
    moment = made.started_at + timedelta(minutes=10)
    ended = scene.store.calls.end(made.call_id, at=moment)
    assert (ended.ended_at, ended.duration_minutes) == (moment, 10)


def test_the_end_that_is_told_is_near_the_call(scene: Scene) -> None:
    """A media server's clock may differ by five minutes, and may count whole seconds; no more."""
    made = call(scene)
    now = scene.clock.advance(60)
    wrongs = [
        made.started_at - timedelta(minutes=5, seconds=1),
        now + timedelta(minutes=5, seconds=1),
        now + timedelta(days=36_500),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidArgument, match=r"^at: "):
            scene.store.calls.end(made.call_id, at=wrong)
    assert scene.store.calls.get(made.call_id, consistent=True) == made
    early = scene.store.calls.end(made.call_id, at=made.started_at - timedelta(seconds=1))
    assert (early.ended_at, early.duration_minutes) == (made.started_at, 0)
    ahead = call(scene)
    moment = scene.clock() + timedelta(minutes=4)
    assert scene.store.calls.end(ahead.call_id, at=moment).duration_minutes == 4


def test_an_end_that_is_told_again_need_not_be_near(scene: Scene) -> None:
    """The first end stands, whatever a webhook says that comes twice."""
    made = call(scene)
    ended = scene.store.calls.end(made.call_id)
    assert scene.store.calls.end(made.call_id, at=ended.started_at - DAY) == ended


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0, 0), (0.2, 0), (0.31, 0.01), (59.99, 1), (90, 1.5), (3601, 60.02)]
)
def test_minutes_are_rounded_to_hundredths(scene: Scene, seconds: float, minutes: float) -> None:
    made = call(scene)
    moment = scene.clock.advance(seconds)
    assert scene.store.calls.end(made.call_id, at=moment).duration_minutes == minutes


def test_a_server_whose_clock_is_behind_ends_a_call_at_its_start(scene: Scene) -> None:
    made = call(scene)
    scene.clock.advance(-30)
    ended = scene.store.calls.end(made.call_id)
    assert (ended.ended_at, ended.duration_minutes) == (made.started_at, 0)
    scene.clock.advance(30)


def test_what_is_not_there_is_not_ended(scene: Scene) -> None:
    with pytest.raises(NotFound, match="call 'c-1'"):
        scene.store.calls.end("c-1")
    with pytest.raises(NotFound):
        scene.store.calls.get("c-1")
    assert scene.items() == []


def test_a_call_of_a_caller_who_was_erased_is_ended(scene: Scene) -> None:
    made = call(scene)
    scene.delete(keyspace.CALLER.key(user_id="ann"))
    ended = scene.store.calls.end(made.call_id)
    assert not ended.is_live
    assert scene.kinds() == {"call": 1, "caller": 1}
    assert not scene.store.callers.get("bob", consistent=True).is_in_call


def test_an_end_frees_nobody_of_another_call(scene: Scene) -> None:
    """Ann was erased behind the store's back, began anew, and is in a call again."""
    made = call(scene)
    scene.delete(keyspace.CALLER.key(user_id="ann"))
    callers(scene, "ann", "carl")
    again = scene.store.calls.start("ann", "carl")
    with RequestMeter(scene.store.connection.client) as meter:
        assert not scene.store.calls.end(made.call_id).is_live
    assert meter.operations() == {"GetItem": 1, "TransactWriteItems": 2}
    assert scene.store.callers.get("ann", consistent=True).live_call_id == again.call_id
    assert not scene.store.callers.get("bob", consistent=True).is_in_call


def test_an_end_takes_no_other_calls_room(scene: Scene) -> None:
    """A room that somebody gave to another call, behind the store's back."""
    made = call(scene, room_name="blue")
    room = next(dict(each) for each in scene.items() if each["kind"]["S"] == "call_room")
    scene.put({**room, "call_id": {"S": "another"}})
    assert not scene.store.calls.end(made.call_id).is_live
    assert scene.store.calls.get_by_room("blue", consistent=True).call_id == "another"
    scene.delete({"PK": room["PK"], "SK": room["SK"]})


# -- the live ones ------------------------------------------------------------------------------


def test_live_calls_are_listed_by_their_start(scene: Scene) -> None:
    made = [call(scene, f"a-{number}", f"b-{number}") for number in range(7)]
    scene.store.calls.end(made.pop(3).call_id)
    list_live = scene.store.calls.list_live
    assert list(list_live()) == made
    assert list(list_live(newest_first=True)) == made[::-1]
    page = list_live(page_size=4)
    assert list(page) == made[:4]
    assert list(list_live(page_size=4, cursor=page.cursor)) == made[4:]
    since, until = made[1].started_at, made[4].started_at
    assert list(list_live(since=since, until=until)) == made[1:4]
    assert requests(scene, list_live) == ["Query"] * keyspace.LIVE_CALL_SHARDS


def test_calls_left_open_are_found_and_ended(scene: Scene) -> None:
    old = [call(scene, f"a-{number}", f"b-{number}") for number in range(3)]
    scene.clock.advance(timedelta(hours=3))
    new = call(scene)
    longest = timedelta(hours=2)
    assert list(scene.store.calls.list_live(until=scene.clock() - longest)) == old
    first = scene.store.calls.end_overdue(longest, limit=1)
    assert [each.call_id for each in first] == [old[0].call_id]
    rest = scene.store.calls.end_overdue(longest)
    assert [each.call_id for each in rest] == [each.call_id for each in old[1:]]
    for each in (*first, *rest):
        assert each.ended_at == each.started_at + longest
        assert each.duration_minutes == 120
    assert scene.store.calls.end_overdue(longest) == ()
    assert list(scene.store.calls.list_live()) == [new]


def test_a_room_that_cannot_be_read_keeps_no_other_call_open(scene: Scene) -> None:
    """However few calls are to be ended at once."""
    damaged = call(scene)
    later = call(scene, "carl", "dora")
    rooms = (each for each in scene.items() if each["kind"]["S"] == "call_room")
    item = next(each for each in rooms if each["call_id"]["S"] == damaged.call_id)
    scene.put({name: value for name, value in item.items() if name != "user_a"})
    scene.clock.advance(timedelta(hours=5))
    closed = scene.store.calls.end_overdue(timedelta(hours=1), limit=1)
    assert [each.call_id for each in closed] == [later.call_id]
    assert scene.store.calls.end_overdue(timedelta(hours=1), limit=1) == ()
    assert not scene.store.calls.end(damaged.call_id).is_live


def test_overdue_is_checked(offline: ChatStore) -> None:
    absurd: list[Any] = [timedelta(0), timedelta(-1), timedelta.max, timedelta(366), 60, None]
    for span in absurd:
        with pytest.raises(InvalidArgument, match="longest"):
            offline.calls.end_overdue(span)
    for wrong in (0, 1_001, True):
        with pytest.raises(InvalidArgument, match="limit"):
            offline.calls.end_overdue(timedelta(hours=1), limit=wrong)


# -- P8: 90 days --------------------------------------------------------------------------------


def test_a_call_is_kept_for_90_days_after_its_end(scene: Scene) -> None:
    made = call(scene)
    scene.clock.advance(DAY)
    ended = scene.store.calls.end(made.call_id)
    scene.clock.advance(90 * DAY - timedelta(seconds=1))
    assert scene.store.calls.get(made.call_id) == ended
    assert list(scene.store.calls.list_by_user("ann")) == [ended]
    scene.clock.advance(2)
    with pytest.raises(NotFound):
        scene.store.calls.get(made.call_id)
    assert not scene.store.calls.list_by_user("ann").items


def test_a_call_left_open_is_kept_for_90_days_after_its_start(scene: Scene) -> None:
    """With it go its room and the state of its callers, all at one moment."""
    made = call(scene, room_name="blue")
    scene.clock.advance(90 * DAY - timedelta(seconds=1))
    assert scene.store.calls.get_by_room("blue") == made
    assert scene.store.callers.get("ann").is_in_call
    scene.clock.advance(1)
    finds: list[Callable[[], object]] = [
        lambda: scene.store.calls.get(made.call_id),
        lambda: scene.store.calls.get_by_room("blue"),
        lambda: scene.store.calls.end(made.call_id),
    ]
    for find in finds:
        with pytest.raises(NotFound):
            find()
    assert not scene.store.calls.list_live().items
    assert not scene.store.callers.get("ann").is_in_call
    again = scene.store.calls.start("ann", "bob", room_name="blue", call_id=made.call_id)
    assert again.started_at > made.started_at
