"""Callers and calls of another system are kept as they are, and only what can be so."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import Call, Caller
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.calls.scenes import Interruption, another_server, callers, points
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)


def old_caller(scene: Scene, **fields: Any) -> Caller:
    """A caller of another system, who has points left of yesterday."""
    now = scene.clock()
    usual: dict[str, Any] = {
        "user_id": "ann",
        "email": "ann@example.com",
        "time_zone": "Europe/Rome",
        "points_left": 4,
        "points_day": (now - DAY).date().isoformat(),
        "points_until": now - 13 * 60 * MINUTE,
        "spends": {"s-1": 5, "s-2": 6},
        "spent_before": {"s-0": 15},
        "last_call_at": now - DAY,
        "last_queue_entry": now - DAY,
        "created_at": now - 400 * DAY,
    }
    return Caller(**{**usual, **fields})


def old_call(scene: Scene, **fields: Any) -> Call:
    """A call of another system, a week ago."""
    started = scene.clock() - 7 * DAY
    usual: dict[str, Any] = {
        "call_id": "old-1",
        "user_a": "ann",
        "user_b": "bob",
        "room_name": "blue",
        "started_at": started,
        "ended_at": started + 12 * MINUTE,
        "duration_minutes": 12.5,  # as the other system has counted
        "created_at": started - MINUTE,
        "expires_at": scene.clock().replace(microsecond=0) + 30 * DAY,
    }
    return Call(**{**usual, **fields})


def test_a_caller_is_kept_as_it_is(scene: Scene) -> None:
    """Their points are those of their day; a new one brings 15, and late retries are recognised."""
    loaded = old_caller(scene)
    with RequestMeter(scene.store.connection.client) as meter:
        assert scene.store.callers.load(loaded) == loaded
    assert meter.operations() == {"PutItem": 1}
    seen = scene.store.callers.get("ann", consistent=True)
    assert (seen.points_left, seen.spends, seen.spent_before) == (15, {}, loaded.spends)
    kept = ("email", "time_zone", "created_at", "last_call_at", "last_queue_entry")
    assert [getattr(seen, name) for name in kept] == [getattr(loaded, name) for name in kept]
    assert scene.store.callers.spend("ann", 6, spend_id="s-2").points_left == 15
    assert scene.store.callers.spend("ann", 3, spend_id="s-3").points_left == 12


def test_the_points_of_a_running_day_stay(scene: Scene) -> None:
    today = scene.clock().date().isoformat()
    running = {"points_day": today, "points_until": scene.clock() + 5 * 60 * MINUTE}
    scene.store.callers.load(old_caller(scene, **running))
    assert points(scene, "ann") == 4
    scene.clock.advance(5 * 60 * 60)
    assert points(scene, "ann") == 4  # it is the same date in Rome still
    scene.clock.advance(7 * 60 * 60)
    assert points(scene, "ann") == 15


def test_loading_a_caller_again_changes_nothing(scene: Scene) -> None:
    loaded = old_caller(scene)
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer())
        assert scene.store.callers.load(loaded) == loaded
    assert scene.store.callers.load(loaded) == loaded
    scene.store.callers.spend("ann", 3)
    for email, shown in (("ann@example.com", True), ("eve@example.com", False), (None, False)):
        with pytest.raises(AlreadyExists) as refused:
            scene.store.callers.load(loaded.model_copy(update={"email": email, "points_left": 15}))
        assert (refused.value.current is not None) == shown
        assert "ann@" not in str(refused.value)
    assert points(scene, "ann") == 12


def test_no_caller_is_loaded_who_cannot_be(scene: Scene) -> None:
    """Waiting without a ticket, in a call that is nowhere, ahead of the clock, too many points."""
    now = scene.clock()
    ahead = now + 6 * MINUTE
    bad: tuple[dict[str, Any], ...] = (
        {"ticket_id": "t-1"},
        {"ticket_id": "t-1", "queue": "main", "queue_shard": 0, "waiting_until": ahead},
        {"live_call_id": "c-1", "live_until": ahead},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "x" * 1_000_000},
        {"created_at": ahead},
        {"last_call_at": ahead},
        {"last_queue_entry": ahead},
        {"points_day": "2025-02-30"},
        {"points_day": (now + 2 * DAY).date().isoformat()},
        {"points_until": now + 4 * DAY},
        {"spends": {"s": 16}},
        {"spends": {"s": 8, "t": 8}},
        {"spends": {"s": 0}},
        {"spent_before": {"x" * 257: 1}},
    )
    for fields in bad:
        with pytest.raises(InvalidArgument, match=next(iter(fields))) as refused:
            scene.store.callers.load(old_caller(scene, **fields))
        assert len(str(refused.value)) < 300
    with pytest.raises(InvalidArgument, match="must be a Caller"):
        scene.store.callers.load({})  # type: ignore[arg-type]
    assert scene.items() == []


def test_a_call_is_in_the_history_of_both(scene: Scene) -> None:
    """Beside those of here, in its time; its two need not be callers."""
    callers(scene, "ann", "eve")
    later = scene.store.calls.start("ann", "eve")
    loaded = old_call(scene)
    with RequestMeter(scene.store.connection.client) as meter:
        assert scene.store.calls.load(loaded) == loaded
    assert meter.operations() == {"PutItem": 1}
    assert scene.store.calls.get("old-1", consistent=True) == loaded
    assert [*scene.store.calls.list_by_user("ann")] == [later, loaded]
    assert [*scene.store.calls.list_by_user("bob")] == [loaded]
    assert [each.call_id for each in scene.store.calls.list_live()] == [later.call_id]
    assert scene.store.calls.end("old-1") == loaded  # it has ended


def test_loading_a_call_again_changes_nothing(scene: Scene) -> None:
    loaded = old_call(scene, expires_at=scene.clock() + 30 * DAY)
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer())
        kept = scene.store.calls.load(loaded)
    assert scene.store.calls.load(loaded) == kept == scene.store.calls.get("old-1", consistent=True)
    for user_a, shown in (("ann", True), ("eve", False)):
        with pytest.raises(AlreadyExists) as refused:
            scene.store.calls.load(
                loaded.model_copy(update={"user_a": user_a, "duration_minutes": 1.0})
            )
        assert (refused.value.current == kept) == shown
    assert len(scene.items()) == 1


def test_no_call_is_loaded_that_cannot_be(scene: Scene) -> None:
    now = scene.clock()
    bad: tuple[dict[str, Any], ...] = (
        {"user_b": "ann"},
        {"ended_at": None},
        {"ended_at": now - 8 * DAY},
        {"duration_minutes": -1.0},
        {"started_at": now + 6 * MINUTE, "ended_at": now + 7 * MINUTE},
        {"ended_at": now + 6 * MINUTE},
        {"created_at": now + 6 * MINUTE},
        {"expires_at": None},
        {"expires_at": now},
    )
    for fields in bad:
        with pytest.raises(InvalidArgument, match=next(iter(fields))):
            scene.store.calls.load(old_call(scene, **fields))
    with pytest.raises(InvalidArgument, match="ended_at"):
        scene.store.calls.load(old_call(scene, duration_minutes=None))
    with pytest.raises(InvalidArgument, match="must be a Call"):
        scene.store.calls.load({})  # type: ignore[arg-type]
    assert scene.items() == []


# -- ids that are given anew --------------------------------------------------------------------


def replaced(scene: Scene, *, ends: bool) -> None:
    """The call expired, and its id and room are now those of others."""
    table = scene.store.connection.table_name
    for item in scene.items():
        if item["kind"]["S"] in {"call", "call_room"}:
            key = {name: item[name] for name in ("PK", "SK")}
            scene.client.delete_item(TableName=table, Key=key)
    callers(scene, "zed", "zoe")
    other = another_server(scene)
    other.calls.start("zed", "zoe", call_id="c-1", room_name="r-1")
    if ends:
        other.calls.end("c-1")


@pytest.mark.parametrize("user_id", ["ann", None])
@pytest.mark.parametrize("ends", [False, True])
def test_ending_a_call_ends_no_other_of_its_id(
    scene: Scene, user_id: str | None, ends: bool
) -> None:
    """Nor does it show that one: between reading and ending the id was given to others."""
    callers(scene, "ann", "bob")
    scene.store.calls.start("ann", "bob", call_id="c-1", room_name="r-1")
    with (
        Interruption(scene.store.connection.client, lambda: replaced(scene, ends=ends)),
        pytest.raises(NotFound),
    ):
        scene.store.calls.end("c-1", user_id=user_id)
    there = scene.store.calls.get("c-1", user_id="zed", consistent=True)
    assert there.is_live != ends
    _free(scene, "ann", "bob")


def _free(scene: Scene, *names: str) -> None:
    """Let who is in a call that is gone be in none."""
    table = scene.store.connection.table_name
    for item in scene.items():
        if item["kind"]["S"] == "caller" and item["PK"]["S"] in {f"USER#{n}#" for n in names}:
            free = {k: v for k, v in item.items() if not k.startswith("live_")}
            scene.client.put_item(TableName=table, Item=free)


def test_a_week_of_history_is_brought_over_in_any_order(scene: Scene) -> None:
    when: list[datetime] = []
    for place in (3, 0, 2, 1):
        started = scene.clock() - (7 - place) * DAY
        loaded = old_call(
            scene,
            call_id=f"old-{place}",
            started_at=started,
            ended_at=started + MINUTE,
            created_at=started,
        )
        when.append(scene.store.calls.load(loaded).started_at)
    assert [each.started_at for each in scene.store.calls.list_by_user("bob")] == sorted(when)[::-1]
