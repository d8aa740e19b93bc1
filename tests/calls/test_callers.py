"""Callers: their state, their points of the day, and what they spend (P1–P3)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import Caller, ChatStore
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    CorruptItem,
    InvalidArgument,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.testing import DropAnswer, Fault, FaultInjector, RequestMeter
from tests.calls.scenes import callers, join, points, requests
from tests.scene import DAY, Scene, cut_short, dead_after, each_fault

pytestmark = pytest.mark.engine

MIDNIGHT = timedelta(hours=12)
"""From the noon at which every scene begins."""


# -- P1: who they are ---------------------------------------------------------------------------


def test_a_new_caller_has_the_points_of_the_day(scene: Scene) -> None:
    made = scene.store.callers.create("ann", email="ann@example.com", time_zone="Europe/Rome")
    now = scene.clock()
    assert made.points_left == 15
    assert made.points_day == now.date().isoformat()
    assert made.points_until.hour in {22, 23}
    assert (made.is_waiting, made.waiting_since, made.is_in_call) == (False, None, False)
    assert made.created_at == now
    assert scene.store.callers.get("ann", consistent=True) == made
    assert requests(scene, lambda: scene.store.callers.get("ann")) == ["GetItem"]


def test_creating_again_returns_what_is_there(scene: Scene) -> None:
    made = scene.store.callers.create("ann", time_zone="Europe/Rome")
    spent = scene.store.callers.spend("ann", 4)
    scene.clock.advance(60)
    assert scene.store.callers.create("ann", time_zone="Europe/Rome") == spent != made
    with pytest.raises(AlreadyExists) as refused:
        scene.store.callers.create("ann", time_zone="Asia/Tokyo")
    assert refused.value.current == spent
    with pytest.raises(AlreadyExists):
        scene.store.callers.create("ann", time_zone="Europe/Rome", email="ann@example.com")


def test_who_was_never_created_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFound, match="caller 'nobody'"):
        scene.store.callers.get("nobody")
    with pytest.raises(NotFound):
        scene.store.callers.update("nobody", email="x@example.com")
    with pytest.raises(NotFound):
        scene.store.callers.spend("nobody", 1)
    with pytest.raises(NotFound):
        scene.store.callers.delete("nobody")
    assert scene.items() == []


def test_an_update_changes_what_is_given(scene: Scene) -> None:
    callers(scene, "ann", email="ann@example.com", time_zone="Europe/Rome")
    scene.store.callers.spend("ann", 2, spend_id="s")
    changed = scene.store.callers.update("ann", email=None)
    assert (changed.email, changed.time_zone, changed.spends) == (None, "Europe/Rome", {"s": 2})
    changed = scene.store.callers.update("ann", time_zone=None, email="a@example.com")
    assert (changed.email, changed.time_zone, changed.points_left) == ("a@example.com", None, 13)
    assert scene.store.callers.get("ann", consistent=True) == changed
    with pytest.raises(InvalidArgument, match="update"):
        scene.store.callers.update("ann")
    with pytest.raises(InvalidArgument, match="time_zone"):
        scene.store.callers.update("ann", time_zone="Mars")
    with pytest.raises(InvalidArgument, match="email"):
        scene.store.callers.update("ann", email="")


def test_deleting_a_caller_gives_the_place_in_the_queue_up(scene: Scene) -> None:
    join(scene, "ann", "bob")
    scene.store.callers.delete("ann")
    assert scene.kinds() == {"caller": 1, "queue_ticket": 1}
    assert scene.store.queue.match() is None
    callers(scene, "carl")
    assert requests(scene, lambda: scene.store.callers.delete("carl")) == ["DeleteItem"]


def test_a_caller_in_a_call_is_not_deleted(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob")
    with pytest.raises(Conflict) as refused:
        scene.store.callers.delete("ann")
    assert isinstance(refused.value.current, Caller)
    assert refused.value.current.live_call_id == call.call_id
    scene.store.calls.end(call.call_id)
    scene.store.callers.delete("ann")
    assert [each.call_id for each in scene.store.calls.list_by_user("ann")] == [call.call_id]


# -- P2: spending -------------------------------------------------------------------------------


def test_points_go_down_to_zero_and_no_further(scene: Scene) -> None:
    callers(scene, "ann")
    assert scene.store.callers.spend("ann", 14).points_left == 1
    with pytest.raises(LimitExceeded, match="1 points are left") as refused:
        scene.store.callers.spend("ann", 2)
    assert isinstance(refused.value.current, Caller)
    assert refused.value.current.points_left == 1
    assert refused.value.retry_after == 12 * 60 * 60  # midnight
    assert scene.store.callers.spend("ann", 1).points_left == 0
    with pytest.raises(LimitExceeded):
        scene.store.callers.spend("ann", 1)
    assert points(scene, "ann") == 0


@pytest.mark.parametrize("wrong", [0, -1, 16, 1.5, True, "3", None])
def test_from_1_to_15_points_are_spent(offline: ChatStore, wrong: int) -> None:
    with pytest.raises(InvalidArgument, match="points"):
        offline.callers.spend("ann", wrong)


@pytest.mark.parametrize("wrong", ["", "x" * 257, 3, "\ud800"])
def test_a_spend_id_is_text(offline: ChatStore, wrong: str) -> None:
    with pytest.raises(InvalidArgument, match="spend_id"):
        offline.callers.spend("ann", 1, spend_id=wrong)


@pytest.mark.parametrize("spend_id", ["s", "a.b[0]", "#x:$", "ü 😀", "x" * 256])
def test_points_are_spent_once_for_each_spend_id(scene: Scene, spend_id: str) -> None:
    callers(scene, "ann")
    spent = scene.store.callers.spend("ann", 3, spend_id=spend_id)
    assert (spent.points_left, spent.spends) == (12, {spend_id: 3})
    for _ in range(3):
        assert scene.store.callers.spend("ann", 3, spend_id=spend_id) == spent
    assert scene.store.callers.spend("ann", 3, spend_id="another").points_left == 9
    with pytest.raises(Conflict, match="3 points were spent with this id"):
        scene.store.callers.spend("ann", 4, spend_id=spend_id)


def test_a_spend_is_known_when_nothing_is_left(scene: Scene) -> None:
    """A retry of the spend that took the last points is no refusal."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15, spend_id="all")
    assert scene.store.callers.spend("ann", 15, spend_id="all").points_left == 0


def test_a_spend_is_known_on_the_next_day(scene: Scene) -> None:
    """Sent before midnight, its answer lost, sent again after."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 5, spend_id="late")
    scene.clock.advance(MIDNIGHT)
    assert scene.store.callers.spend("ann", 5, spend_id="late").points_left == 15
    assert scene.store.callers.spend("ann", 1, spend_id="early").points_left == 14
    assert scene.store.callers.spend("ann", 5, spend_id="late").points_left == 14
    scene.clock.advance(DAY)
    assert scene.store.callers.spend("ann", 1).points_left == 14
    assert scene.store.callers.spend("ann", 5, spend_id="late").points_left == 9


def test_a_spend_is_one_request_and_the_first_of_a_day_two(scene: Scene) -> None:
    callers(scene, "ann")
    spend = scene.store.callers.spend
    assert requests(scene, lambda: spend("ann", 1, spend_id="a")) == ["UpdateItem"]
    scene.clock.advance(DAY)
    assert requests(scene, lambda: spend("ann", 1)) == ["UpdateItem", "UpdateItem"]
    assert requests(scene, lambda: spend("ann", 1)) == ["UpdateItem"]
    with RequestMeter(scene.store.connection.client) as meter:
        spend("ann", 1)
    assert meter.wcu == 1


def test_a_full_day_of_spends_stays_within_a_kilobyte(scene: Scene) -> None:
    """Each takes a point, so 15 ids are the most that a day can have."""
    callers(scene, "ann", email="ann@example.com", time_zone="Europe/Rome")
    for _ in range(15):
        scene.store.callers.spend("ann", 1)
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.callers.update("ann", email="b@example.com")
    assert meter.wcu == 1


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
@pytest.mark.usefixtures("no_backoff")
def test_a_spend_cut_short_is_finished_by_the_next(scene: Scene, number: int, fault: Fault) -> None:
    """The first of a day, which takes two requests."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 7)
    scene.clock.advance(DAY)
    spend = scene.store.callers.spend
    cut_short(scene, number, fault, lambda: spend("ann", 6, spend_id="s"))
    assert spend("ann", 6, spend_id="s").points_left == 9
    assert points(scene, "ann") == 9


@pytest.mark.usefixtures("no_backoff")
def test_an_answer_that_was_lost_spends_once(scene: Scene) -> None:
    """Botocore sends again by itself; also without an id of the caller's."""
    callers(scene, "ann")
    with FaultInjector(scene.store.connection.client) as injector:
        injector.plan(DropAnswer())
        assert scene.store.callers.spend("ann", 6).points_left == 9
    assert points(scene, "ann") == 9


# -- P3: another day ----------------------------------------------------------------------------


def test_points_are_back_on_the_next_day_without_a_write(scene: Scene) -> None:
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15)
    scene.clock.advance(MIDNIGHT - timedelta(microseconds=1))
    assert points(scene, "ann") == 0
    with pytest.raises(LimitExceeded):
        scene.store.callers.spend("ann", 1)
    before = scene.items()
    scene.clock.advance(timedelta(microseconds=1))
    assert points(scene, "ann") == 15
    assert scene.items() == before
    assert scene.store.callers.spend("ann", 1).points_left == 14
    scene.clock.advance(5 * DAY)
    assert points(scene, "ann") == 15


def test_the_day_is_the_callers_own(scene: Scene) -> None:
    callers(scene, "rome", time_zone="Europe/Rome")
    callers(scene, "lima", time_zone="America/Lima")
    for name in ("rome", "lima"):
        scene.store.callers.spend(name, 15)
    scene.clock.advance(MIDNIGHT - timedelta(minutes=30))
    assert (points(scene, "rome"), points(scene, "lima")) == (15, 0)
    scene.clock.advance(timedelta(hours=6))
    assert (points(scene, "rome"), points(scene, "lima")) == (15, 15)


def test_changing_the_time_zone_gives_no_points(scene: Scene) -> None:
    """East, where tomorrow has begun, and back: each date gives its points once."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15)
    moved = scene.store.callers.update("ann", time_zone="Pacific/Kiritimati")
    assert (moved.points_left, points(scene, "ann")) == (0, 0)
    scene.clock.advance(MIDNIGHT)  # in Kiritimati it is two in the afternoon of the next date
    assert points(scene, "ann") == 15
    scene.store.callers.spend("ann", 15)
    scene.store.callers.update("ann", time_zone="America/Lima")
    scene.clock.advance(timedelta(hours=18))  # midday, the same date, in Lima
    assert points(scene, "ann") == 0
    with pytest.raises(LimitExceeded):
        scene.store.callers.spend("ann", 1)
    scene.clock.advance(timedelta(hours=12))
    assert points(scene, "ann") == 15


@pytest.mark.parametrize("turned", [False, True])
def test_moving_west_after_midnight_takes_no_points(scene: Scene, turned: bool) -> None:
    """The new day's 15 were there for every reader: whether one was spent makes no difference."""
    callers(scene, "ann", time_zone="Europe/Rome")
    scene.store.callers.spend("ann", 15, spend_id="before")
    scene.clock.advance(MIDNIGHT)  # it is past midnight in Rome, and not yet in Lima
    if turned:
        scene.store.callers.spend("ann", 1)
    seen = scene.store.callers.get("ann", consistent=True)
    moved = scene.store.callers.update("ann", time_zone="America/Lima")
    assert moved == scene.store.callers.get("ann", consistent=True)
    assert moved == seen.model_copy(update={"time_zone": "America/Lima"})
    assert scene.store.callers.spend("ann", 15, spend_id="before").points_left == 15 - turned
    scene.clock.advance(timedelta(hours=28))  # the next date is not over in Lima: no new points
    assert points(scene, "ann") == 15 - turned
    scene.clock.advance(timedelta(hours=1))
    assert points(scene, "ann") == 15


def test_old_points_are_spent_while_the_date_is_not_over(scene: Scene) -> None:
    """Moved west: the day's end moves, and what is left is spent from."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 5, spend_id="before")
    scene.store.callers.update("ann", time_zone="America/Lima")
    scene.clock.advance(MIDNIGHT + timedelta(hours=1))
    spent = scene.store.callers.spend("ann", 4, spend_id="after")
    assert (spent.points_left, spent.spends) == (6, {"before": 5, "after": 4})
    with pytest.raises(LimitExceeded):
        scene.store.callers.spend("ann", 7)
    scene.clock.advance(timedelta(hours=4))
    assert points(scene, "ann") == 15


def test_a_bulk_reset_gives_15_points_to_each(scene: Scene) -> None:
    callers(scene, "ann", "bob", "carl")
    scene.store.callers.spend("ann", 15, spend_id="s")
    scene.store.callers.spend("bob", 1)
    names = ["carl", "nobody", "ann", "bob", "ann"]
    assert scene.store.callers.reset_points(names) == ("carl", "ann", "bob")
    assert [points(scene, name) for name in ("ann", "bob", "carl")] == [15, 15, 15]
    assert scene.store.callers.spend("ann", 15, spend_id="s").points_left == 15
    assert scene.store.callers.reset_points([]) == ()
    with pytest.raises(InvalidArgument, match="user_ids"):
        scene.store.callers.reset_points("ann")
    with pytest.raises(InvalidArgument, match="reset_id"):
        scene.store.callers.reset_points(["ann"], reset_id="")


@pytest.mark.parametrize("wrong", [None, 3, "ann", b"ann", [["ann"]], [{}], [3], [""], ["\ud800"]])
def test_a_bulk_reset_takes_ids(offline: ChatStore, wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match="user_id"):
        offline.callers.reset_points(wrong)


def test_a_bulk_reset_with_a_bad_id_writes_nothing(scene: Scene) -> None:
    """Wherever in the list it is: the first hundred are not reset before it is met."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 5)
    names: list[Any] = ["ann", *(f"user-{number}" for number in range(100)), 7]
    with pytest.raises(InvalidArgument, match="user_id"):
        scene.store.callers.reset_points(names)
    assert points(scene, "ann") == 10


def test_a_bulk_reset_is_a_request_for_each_hundred(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here for each three; the catalogue's test resets a hundred, and one more."""
    monkeypatch.setattr("dynamo_chat.calls.callers.MAX_TRANSACTION_WRITES", 3)
    names = [f"user-{number}" for number in range(7)]
    callers(scene, *names)
    operations = requests(scene, lambda: scene.store.callers.reset_points(names))
    assert operations == ["TransactWriteItems", "TransactWriteItems", "UpdateItem"]


def test_a_bulk_reset_is_finished_by_calling_it_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job died after the first transaction; who spent since is not given points twice."""
    monkeypatch.setattr("dynamo_chat.calls.callers.MAX_TRANSACTION_WRITES", 3)
    names = [f"user-{number}" for number in range(5)]
    callers(scene, *names)
    for name in (names[0], names[-1]):
        scene.store.callers.spend(name, 10)

    def reset() -> tuple[str, ...]:
        return scene.store.callers.reset_points(names, reset_id="tuesday")

    cut_short(scene, *dead_after(1), reset)
    assert (points(scene, names[0]), points(scene, names[-1])) == (15, 5)
    scene.store.callers.spend(names[0], 3)
    assert reset() == tuple(names)
    assert (points(scene, names[0]), points(scene, names[-1])) == (12, 15)
    scene.store.callers.reset_points(names[:1], reset_id="wednesday")
    assert points(scene, names[0]) == 15


def test_a_spend_is_known_across_a_bulk_reset_at_midnight(scene: Scene) -> None:
    """The job and the day's own turn come one after the other; neither forgets too early."""
    callers(scene, "ann")
    scene.store.callers.spend("ann", 5, spend_id="late")
    scene.clock.advance(MIDNIGHT)
    scene.store.callers.reset_points(["ann"])
    assert scene.store.callers.spend("ann", 2, spend_id="early").points_left == 13
    assert scene.store.callers.spend("ann", 5, spend_id="late").points_left == 13


def test_a_zone_that_this_machine_does_not_know_is_told(scene: Scene) -> None:
    """Written by a machine with a newer database, or with one: while the day lasts, nobody asks."""
    callers(scene, "ann")
    item = next(dict(each) for each in scene.items())
    scene.put({**item, "time_zone": {"S": "Moon/Tranquility"}})
    assert scene.store.callers.spend("ann", 1).points_left == 14
    scene.clock.advance(DAY)
    told = r"'ann'.*Moon/Tranquility.*tzdata"
    with pytest.raises(CorruptItem, match=told):
        scene.store.callers.get("ann", consistent=True)
    with pytest.raises(CorruptItem, match=told):
        scene.store.callers.spend("ann", 1)
    scene.store.callers.update("ann", time_zone="Europe/Rome")
    assert points(scene, "ann") == 15


def test_a_place_that_no_ticket_can_have_is_told(scene: Scene) -> None:
    join(scene, "ann")
    waiting = next(dict(each) for each in scene.items() if "queue_shard" in each)
    scene.put({**waiting, "queue_shard": {"N": "100"}})
    with pytest.raises(CorruptItem, match="queue_shard"):
        scene.store.queue.position("ann")
    scene.put(waiting)


def test_times_are_shown_in_utc(scene: Scene) -> None:
    (made,) = callers(scene, "ann", time_zone="Asia/Kolkata")
    assert made.points_until.tzinfo is UTC
    assert isinstance(made.points_until, datetime)
