"""Queues: one place each, in the order of joining (P4)."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import Caller, CallQueue, ChatStore, QueuePosition
from dynamo_chat.core.errors import Conflict, InvalidArgument, LimitExceeded, NotFound
from dynamo_chat.testing import Fault
from tests.calls.scenes import callers, join, requests
from tests.scene import DAY, Scene, cut_short, each_fault

pytestmark = pytest.mark.engine


def test_who_joins_waits(scene: Scene) -> None:
    (ticket,) = join(scene, "ann")
    now = scene.clock()
    assert (ticket.queue, ticket.user_id, ticket.joined_at) == ("main", "ann", now)
    assert ticket.expires_at == now + timedelta(hours=1)
    caller = scene.store.callers.get("ann", consistent=True)
    assert caller.is_waiting
    assert (caller.waiting_since, caller.last_queue_entry, caller.queue) == (now, now, "main")
    assert list(scene.store.queue.list_waiting(consistent=True)) == [ticket]


def test_joining_twice_is_one_place(scene: Scene) -> None:
    ann, bob = join(scene, "ann", "bob")
    scene.clock.advance(60)
    assert scene.store.queue.join("ann") == ann
    assert list(scene.store.queue.list_waiting(consistent=True)) == [ann, bob]


def test_a_place_is_taken_in_one_queue_at_a_time(scene: Scene) -> None:
    join(scene, "ann", queue="jazz")
    with pytest.raises(Conflict, match="waits in queue 'jazz'") as refused:
        scene.store.queue.join("ann", "rock")
    assert isinstance(refused.value.current, Caller)
    scene.store.queue.leave("ann")
    assert scene.store.queue.join("ann", "rock").queue == "rock"
    assert not scene.store.queue.list_waiting("jazz").items


def test_who_may_not_join(scene: Scene) -> None:
    callers(scene, "ann", "bob", "carl")
    with pytest.raises(NotFound):
        scene.store.queue.join("nobody")
    scene.store.callers.spend("ann", 15)
    with pytest.raises(LimitExceeded, match="0 points are left"):
        scene.store.queue.join("ann")
    scene.store.callers.spend("bob", 10)
    with pytest.raises(LimitExceeded, match="needs 6"):
        scene.store.queue.join("bob", CallQueue("dear", cost=6))
    with pytest.raises(LimitExceeded):
        scene.store.queue.join("bob", CallQueue("exclusive", cost=0, at_least=6))
    call = scene.store.calls.start("bob", "carl")
    with pytest.raises(Conflict, match="is in a call"):
        scene.store.queue.join("bob")
    scene.store.calls.end(call.call_id)
    scene.store.queue.join("bob", CallQueue("dear", cost=5))


def test_a_new_day_lets_one_join(scene: Scene) -> None:
    callers(scene, "ann")
    scene.store.callers.spend("ann", 15)
    scene.clock.advance(DAY)
    assert requests(scene, lambda: scene.store.queue.join("ann")) == ["TransactWriteItems"]


def test_leaving_gives_the_place_up(scene: Scene) -> None:
    _, bob = join(scene, "ann", "bob")
    left = scene.store.queue.leave("ann")
    assert not left.is_waiting
    assert left == scene.store.callers.get("ann", consistent=True)
    assert left.last_queue_entry is not None
    assert list(scene.store.queue.list_waiting(consistent=True)) == [bob]
    assert scene.store.queue.leave("ann") == left
    with pytest.raises(NotFound):
        scene.store.queue.leave("nobody")
    rejoined = scene.store.queue.join("ann")
    assert list(scene.store.queue.list_waiting(consistent=True)) == [bob, rejoined]


def test_who_was_matched_before_leaving_is_told(scene: Scene) -> None:
    join(scene, "ann", "bob")
    call = scene.store.queue.match()
    left = scene.store.queue.leave("ann")
    assert call is not None
    assert left.live_call_id == call.call_id
    assert left == scene.store.callers.get("ann", consistent=True)


def test_positions_are_counted_from_the_front(scene: Scene) -> None:
    tickets = join(scene, "ann", "bob", "carl")
    scene.clock.advance(40)
    position = scene.store.queue.position
    assert [position(each.user_id) for each in tickets] == [
        QueuePosition(
            queue="main",
            position=place,
            waiting_since=each.joined_at,
            waited=scene.clock() - each.joined_at,
            waiting_until=each.expires_at,
        )
        for place, each in enumerate(tickets, 1)
    ]
    scene.store.queue.leave("ann")
    moved = position("carl")
    assert moved is not None
    assert moved.position == 2
    assert position("ann") is None
    assert position("bob", "another") is None
    with pytest.raises(NotFound):
        position("nobody")
    assert requests(scene, lambda: position("bob")) == ["GetItem", "Query"]


def test_positions_count_over_all_shards(scene: Scene) -> None:
    wide = CallQueue("wide", shards=4)
    names = [f"user-{number}" for number in range(12)]
    join(scene, *names, queue=wide)
    places = [scene.store.queue.position(name, wide) for name in names]
    assert [each.position for each in places if each is not None] == list(range(1, 13))
    page = scene.store.queue.list_waiting(wide, page_size=5)
    rest = scene.store.queue.list_waiting(wide, page_size=50, cursor=page.cursor)
    assert [each.user_id for each in (*page, *rest)] == names
    assert len({each.shard for each in (*page, *rest)}) > 1
    newest = scene.store.queue.list_waiting(wide, newest_first=True)
    assert [each.user_id for each in newest] == names[::-1]


def test_positions_are_counted_up_to_a_bound(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamo_chat.calls.queue.MAX_POSITION", 3)
    join(scene, "ann", "bob", "carl", "dora", "eve")
    places = [scene.store.queue.position(name) for name in ("carl", "dora")]
    assert [each.position for each in places if each is not None] == [3, None]


def test_a_ticket_expires(scene: Scene) -> None:
    join(scene, "ann")
    callers(scene, "bob")
    scene.store.queue.join("bob", keep_for=timedelta(minutes=5))
    scene.clock.advance(timedelta(minutes=5))
    assert scene.store.queue.position("bob") is None
    assert not scene.store.callers.get("bob", consistent=True).is_waiting
    assert [each.user_id for each in scene.store.queue.list_waiting(consistent=True)] == ["ann"]
    assert scene.store.queue.match() is None
    assert not scene.store.queue.leave("bob").is_waiting
    again = scene.store.queue.join("bob")
    place = scene.store.queue.position("bob")
    assert place is not None
    assert (place.position, place.waiting_since) == (2, again.joined_at)


def test_joining_again_keeps_a_ticket_alive(scene: Scene) -> None:
    """Only when its time is half over, so that a client may ask as often as it likes."""
    (ticket,) = join(scene, "ann")
    scene.clock.advance(timedelta(minutes=29))
    assert requests(scene, lambda: scene.store.queue.join("ann")) == ["TransactWriteItems"]
    scene.clock.advance(timedelta(minutes=20))
    kept = scene.store.queue.join("ann")
    assert kept.expires_at == scene.clock() + timedelta(hours=1)
    assert (kept.ticket_id, kept.joined_at) == (ticket.ticket_id, ticket.joined_at)
    scene.clock.advance(timedelta(minutes=50))
    join(scene, "bob")
    call = scene.store.queue.match()
    assert call is not None
    assert call.user_a == "ann"


def test_a_ticket_that_was_cleared_too_early_is_there_again(scene: Scene) -> None:
    """A server whose clock is fast took it for expired; its caller still waits."""
    (ticket,) = join(scene, "ann")
    scene.delete(ticket.place.key)
    scene.clock.advance(timedelta(minutes=40))
    scene.store.queue.join("ann")
    join(scene, "bob")
    assert scene.store.queue.match() is not None


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("queue", {"name": ""}),
        ("queue", {"name": 3}),
        ("queue", {"name": "\ud800"}),
        ("queue", {"name": "x" * 257}),
        ("cost", {"cost": 16}),
        ("cost", {"cost": -1}),
        ("cost", {"cost": True}),
        ("at_least", {"at_least": 0}),
        ("at_least", {"at_least": 16}),
        ("shards", {"shards": 0}),
        ("shards", {"shards": 33}),
    ],
)
def test_queues_are_checked(argument: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=argument):
        CallQueue(**options)


def test_waits_are_checked(offline: ChatStore) -> None:
    wrongs: list[Any] = [timedelta(0), timedelta(days=8), 60]
    for wrong in wrongs:
        with pytest.raises(InvalidArgument, match="keep_for"):
            offline.queue.join("ann", keep_for=wrong)


@pytest.mark.parametrize(("number", "fault"), list(each_fault(1)), ids=str)
@pytest.mark.usefixtures("no_backoff")
def test_joining_cut_short_and_repeated_is_one_place(
    scene: Scene, number: int, fault: Fault
) -> None:
    callers(scene, "ann")
    cut_short(scene, number, fault, lambda: scene.store.queue.join("ann"))
    ticket = scene.store.queue.join("ann")
    assert list(scene.store.queue.list_waiting(consistent=True)) == [ticket]


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
@pytest.mark.usefixtures("no_backoff")
def test_leaving_cut_short_and_repeated_leaves(scene: Scene, number: int, fault: Fault) -> None:
    join(scene, "ann")
    cut_short(scene, number, fault, lambda: scene.store.queue.leave("ann"))
    assert not scene.store.queue.leave("ann").is_waiting
    assert scene.kinds() == {"caller": 1}


@pytest.mark.parametrize(("number", "fault"), list(each_fault(2)), ids=str)
@pytest.mark.usefixtures("no_backoff")
def test_a_longer_wait_cut_short_and_repeated(scene: Scene, number: int, fault: Fault) -> None:
    (ticket,) = join(scene, "ann")
    scene.clock.advance(timedelta(minutes=45))
    cut_short(scene, number, fault, lambda: scene.store.queue.join("ann"))
    kept = scene.store.queue.join("ann")
    assert kept.ticket_id == ticket.ticket_id
    assert kept.expires_at == scene.clock() + timedelta(hours=1)
