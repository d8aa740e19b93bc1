"""Matching: the two who wait longest, once, and nobody who may not be (P5)."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import CallQueue, ChatStore, keyspace
from dynamo_chat.calls.caller import Caller
from dynamo_chat.calls.matching import MAX_MATCHERS, Crowds, Heads
from dynamo_chat.core.errors import AlreadyExists, Conflict, Contended, InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.testing import FaultInjector, RequestMeter, TransactionConflict
from tests.calls.scenes import (
    Interruption,
    another_server,
    callers,
    join,
    next_noon,
    points,
    requests,
    who,
)
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine

PLAIN = ["Query", "TransactWriteItems"]


def waiting(scene: Scene, queue: str | CallQueue = "main") -> list[str]:
    return [each.user_id for each in scene.store.queue.list_waiting(queue, consistent=True)]


# -- who is matched -----------------------------------------------------------------------------


def test_the_two_who_wait_longest_are_matched(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl", "dora", "eve")
    now = scene.clock.advance(5)
    call = scene.store.queue.match()
    assert call is not None
    assert who(call) == ("ann", "bob")
    assert (call.queue, call.room_name, call.is_live) == ("main", call.call_id, True)
    assert (call.started_at, call.created_at, call.ended_at) == (now, now, None)
    assert call.duration_minutes is None
    assert call.expires_at == now + timedelta(days=90)
    assert scene.store.calls.get(call.call_id, consistent=True) == call
    for name in who(call):
        caller = scene.store.callers.get(name, consistent=True)
        assert (caller.live_call_id, caller.is_waiting) == (call.call_id, False)
        assert caller.last_call_at == now
        assert (caller.points_left, caller.spends) == (14, {call.call_id: 1})
    assert who(scene.store.queue.match()) == ("carl", "dora")
    assert scene.store.queue.match() is None
    assert waiting(scene) == ["eve"]


def test_nobody_is_matched_in_an_empty_queue(scene: Scene) -> None:
    assert scene.store.queue.match() is None
    join(scene, "ann")
    assert scene.store.queue.match() is None
    join(scene, "bob", queue="another")
    assert scene.store.queue.match() is None


def test_a_match_is_two_requests(scene: Scene) -> None:
    join(scene, *"abcdefgh")
    with RequestMeter(scene.store.connection.client) as meter:
        assert scene.store.queue.match() is not None
    assert [request.operation for request in meter.requests] == PLAIN
    assert (meter.wcu, meter.rcu) == (15, 1)
    assert requests(scene, lambda: scene.store.queue.match(matchers=8)) == PLAIN


def test_a_match_where_a_day_turns_is_three_requests(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    for name in ("ann", "bob"):
        scene.store.callers.spend(name, 9)
    scene.clock.advance(DAY)
    join(scene, "ann", "bob")
    assert requests(scene, scene.store.queue.match) == [*PLAIN, "TransactWriteItems"]
    assert (points(scene, "ann"), points(scene, "bob")) == (14, 14)


def test_a_queue_says_what_a_match_costs(scene: Scene) -> None:
    dear = CallQueue("dear", cost=6, at_least=10)
    free = CallQueue("free", cost=0)
    for _ in range(2):
        join(scene, "ann", "bob", queue=free)
        call = scene.store.queue.match(free)
        assert call is not None
        scene.store.calls.end(call.call_id)
    assert points(scene, "ann") == 15
    join(scene, "ann", "bob", queue=dear)
    assert scene.store.queue.match(dear) is not None
    assert (points(scene, "ann"), points(scene, "bob")) == (9, 9)


def test_the_same_two_may_meet_again(scene: Scene) -> None:
    for _ in range(3):
        join(scene, "ann", "bob")
        call = scene.store.queue.match()
        assert who(call) == ("ann", "bob")
        scene.store.calls.end(call.call_id if call else "")
    assert points(scene, "ann") == 12


def test_m_matchers_take_pairs_among_the_oldest_2m(scene: Scene) -> None:
    """By lot, and neighbours: so the pairs of those who see the same queue are disjoint."""
    names = [f"user-{number:02d}" for number in range(10)]
    join(scene, *names)
    seen = set()
    for _ in range(8):
        line = waiting(scene)
        call = scene.store.queue.match(matchers=4)
        assert call is not None
        place = line.index(call.user_a)
        assert place in {0, 2, 4, 6}
        assert line.index(call.user_b) == place + 1
        seen.add(place)
        scene.store.calls.end(call.call_id)
        join(scene, *who(call))
    assert len(seen) > 1


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_the_number_of_matchers_is_checked(offline: ChatStore, wrong: int) -> None:
    with pytest.raises(InvalidArgument, match="matchers"):
        offline.queue.match(matchers=wrong)


# -- who is not, and is cleared away ------------------------------------------------------------


def test_callers_without_points_are_sent_away(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl", "dora")
    scene.store.callers.spend("ann", 15)
    scene.store.callers.spend("carl", 15)
    assert who(scene.store.queue.match()) == ("bob", "dora")
    assert waiting(scene) == []
    assert not scene.store.callers.get("ann", consistent=True).is_waiting
    assert scene.kinds()["queue_ticket"] == 0


def test_callers_with_too_few_points_are_sent_away(scene: Scene) -> None:
    dear = CallQueue("dear", cost=6)
    join(scene, "ann", "bob", "carl", queue=dear)
    scene.store.callers.spend("bob", 10)
    assert who(scene.store.queue.match(dear)) == ("ann", "carl")
    assert points(scene, "bob") == 5


def test_a_queue_of_people_without_points_is_emptied(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many: each that is sent away is progress, and no lost race."""
    connection = scene.store.connection
    few_tries = replace(connection.options, transaction_attempts=3)
    monkeypatch.setattr(connection, "options", few_tries)
    names = [f"user-{number}" for number in range(11)]
    join(scene, *names)
    for name in names:
        scene.store.callers.spend(name, 15)
    assert scene.store.queue.match() is None
    assert waiting(scene) == [names[-1]]  # nobody to match with, so nobody looked


def test_who_moved_west_at_midnight_has_no_new_points(scene: Scene) -> None:
    """Joining lets pass who may have a new day; the match finds that the old one goes on."""
    join(scene, "ann")
    scene.store.queue.leave("ann")
    scene.store.callers.spend("ann", 15)
    scene.store.callers.update("ann", time_zone="America/Lima")
    scene.clock.advance(timedelta(hours=13))
    join(scene, "ann", "bob", "carl")
    assert who(scene.store.queue.match()) == ("bob", "carl")
    assert points(scene, "ann") == 0


def test_expired_tickets_are_passed_over_and_later_deleted(scene: Scene) -> None:
    names = [f"user-{number:02d}" for number in range(21)]
    join(scene, *names)
    scene.clock.advance(timedelta(hours=1))
    join(scene, "ann", "bob")
    assert who(scene.store.queue.match()) == ("ann", "bob")
    assert scene.kinds()["queue_ticket"] == 21  # a server with a slow clock may not think so yet
    scene.clock.advance(timedelta(minutes=6))
    join(scene, "carl", "dora")
    with RequestMeter(scene.store.connection.client) as meter:
        assert who(scene.store.queue.match()) == ("carl", "dora")
    assert meter.operations() == {"Query": 2, "BatchWriteItem": 1, "TransactWriteItems": 1}
    assert scene.kinds()["queue_ticket"] == 0


def test_tickets_whose_callers_are_gone_are_cleared(scene: Scene) -> None:
    tickets = join(scene, "ann", "bob", "carl", "dora")
    scene.delete(keyspace.CALLER.key(user_id="ann"))
    assert who(scene.store.queue.match()) in {("bob", "carl"), ("carl", "dora")}
    assert tickets[0].user_id not in waiting(scene)
    assert scene.store.queue.match() is None


def test_tickets_of_those_who_wait_elsewhere_are_cleared(scene: Scene) -> None:
    """A ticket that came back from a backup, say: its caller has another one by now."""
    (old,) = join(scene, "ann")
    item = next(dict(each) for each in scene.items() if each["kind"]["S"] == "queue_ticket")
    scene.store.queue.leave("ann")
    join(scene, "bob", "ann", "carl")
    scene.put(item)
    met = [who(scene.store.queue.match()) for _ in range(1)]
    assert met == [("bob", "ann")]
    assert old.ticket_id not in {
        each.ticket_id for each in scene.store.queue.list_waiting(consistent=True)
    }
    assert waiting(scene) == ["carl"]


def test_nobody_is_matched_with_themselves(scene: Scene) -> None:
    """Not even when two tickets of one caller are in the queue."""
    join(scene, "ann")
    item = next(dict(each) for each in scene.items() if each["kind"]["S"] == "queue_ticket")
    scene.store.queue.leave("ann")
    join(scene, "ann")
    scene.put(item)
    assert scene.store.queue.match() is None
    join(scene, "bob")
    assert who(scene.store.queue.match()) == ("ann", "bob")


def test_a_damaged_ticket_blocks_nobody(scene: Scene) -> None:
    join(scene, "ann")
    item = next(dict(each) for each in scene.items() if each["kind"]["S"] == "queue_ticket")
    damaged = {**item, "joined_at": {"S": "yesterday"}}
    scene.put(damaged)
    join(scene, "bob", "carl")
    assert who(scene.store.queue.match()) == ("bob", "carl")
    page = scene.store.queue.list_waiting(consistent=True)
    assert not page.items
    assert len(page.unreadable) == 1
    scene.delete({"PK": item["PK"], "SK": item["SK"]})
    scene.store.callers.get("ann")
    scene.delete(keyspace.CALLER.key(user_id="ann"))


def test_a_damaged_caller_blocks_nobody(scene: Scene) -> None:
    """Nor does one who lives in a zone that only another machine knows."""
    join(scene, "ann", "zoe", "bob", "carl", "dora")
    people = [dict(each) for each in scene.items() if each["kind"]["S"] == "caller"]
    items = {plan(Caller).decode(each).user_id: each for each in people}
    scene.put({**items["ann"], "points_until": {"S": "-"}})
    far = {"time_zone": {"S": "Moon/Tranquility"}, "points_until": items["zoe"]["created_at"]}
    scene.put({**items["zoe"], **far})
    assert who(scene.store.queue.match()) == ("bob", "carl")
    assert scene.store.queue.match() is None
    # They wait on: another machine may be able to read them, and this one when they are mended.
    assert waiting(scene) == ["ann", "zoe", "dora"]
    scene.put(items["ann"])
    scene.put(items["zoe"])
    assert who(scene.store.queue.match()) == ("ann", "zoe")


def test_a_pile_of_expired_tickets_is_few_requests(scene: Scene) -> None:
    """Behind a head that expired, the next pages are longer."""
    (first,) = join(scene, "zoe")
    item = next(dict(each) for each in scene.items() if each["kind"]["S"] == "queue_ticket")
    for _ in range(60):
        key = first.place._replace(ticket_id=scene.store.queue._new_id()).key
        scene.put({**item, **key})
    scene.clock.advance(timedelta(hours=3))
    join(scene, "ann", "bob")
    with RequestMeter(scene.store.connection.client) as meter:
        assert who(scene.store.queue.match()) == ("ann", "bob")
    assert meter.operations() == {"Query": 3, "BatchWriteItem": 3, "TransactWriteItems": 1}
    assert scene.kinds()["queue_ticket"] == 0


# -- ids and rooms ------------------------------------------------------------------------------


def test_a_match_repeated_under_its_id_is_the_same_call(scene: Scene) -> None:
    join(scene, "ann", "bob")
    call = scene.store.queue.match(match_id="m-1", room_name="blue")
    assert call is not None
    assert (call.call_id, call.room_name) == ("m-1", "blue")
    assert scene.store.queue.match(match_id="m-1", room_name="blue") == call
    join(scene, "carl", "dora")
    assert scene.store.queue.match(match_id="m-1", room_name="blue") == call
    assert waiting(scene) == ["carl", "dora"]
    ended = scene.store.calls.end("m-1")
    assert scene.store.queue.match(match_id="m-1") == ended
    assert points(scene, "ann") == 14
    assert scene.store.queue.match(match_id="m-2") is not None
    assert scene.store.queue.match(match_id="m-3") is None


@pytest.mark.parametrize("wrong", ["", 3, b"id", "x" * 257, "\ud800", ["id"]])
@pytest.mark.parametrize("argument", ["match_id", "room_name"])
def test_ids_and_rooms_are_text(offline: ChatStore, argument: str, wrong: Any) -> None:
    """Whether or not anybody waits."""
    with pytest.raises(InvalidArgument, match=f"^{argument}: "):
        offline.queue.match(**{argument: wrong})


def test_an_id_that_points_were_spent_under_may_name_a_free_call(scene: Scene) -> None:
    free = CallQueue("free", cost=0)
    join(scene, "ann", "bob", queue=free)
    scene.store.callers.spend("ann", 2, spend_id="m-1")
    assert who(scene.store.queue.match(free, match_id="m-1")) == ("ann", "bob")


def test_an_id_of_yesterdays_spend_may_name_a_free_call(scene: Scene) -> None:
    free = CallQueue("free", cost=0)
    callers(scene, "ann")
    scene.store.callers.spend("ann", 2, spend_id="m-1")
    scene.clock.advance(DAY)
    join(scene, "ann", "bob", queue=free)
    assert who(scene.store.queue.match(free, match_id="m-1")) == ("ann", "bob")


def test_a_taken_id_is_refused(scene: Scene) -> None:
    callers(scene, "eve", "fred")
    scene.store.calls.start("eve", "fred", call_id="m-1")
    for name in ("nobody", "ann", "bob"):
        if name != "nobody":
            join(scene, name)
        with pytest.raises(AlreadyExists, match="'m-1' is taken") as refused:
            scene.store.queue.match(match_id="m-1")
        assert refused.value.current is None
    assert waiting(scene) == ["ann", "bob"]


def test_a_taken_room_is_refused(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl", "dora")
    call = scene.store.queue.match(room_name="blue")
    with pytest.raises(AlreadyExists, match="room 'blue'") as refused:
        scene.store.queue.match(room_name="blue")
    assert refused.value.current is None
    assert waiting(scene) == ["carl", "dora"]
    scene.store.calls.end(call.call_id if call else "")
    again = scene.store.queue.match(room_name="blue")
    assert again is not None
    assert again.room_name == "blue"


def test_an_id_that_points_were_spent_under_is_refused(scene: Scene) -> None:
    join(scene, "ann", "bob")
    scene.store.callers.spend("bob", 2, spend_id="m-1")
    with pytest.raises(Conflict, match="points were spent with the id 'm-1'"):
        scene.store.queue.match(match_id="m-1")
    assert waiting(scene) == ["ann", "bob"]


# -- races --------------------------------------------------------------------------------------


def test_who_loses_a_race_takes_others(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl", "dora")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, other.queue.match):
        operations = requests(scene, lambda: scene.store.queue.match(matchers=1))
    assert operations == [*PLAIN, *PLAIN]
    assert waiting(scene) == []
    met = [who(call) for call in scene.store.calls.list_live()]
    assert sorted(met) == [("ann", "bob"), ("carl", "dora")]


def test_a_race_lost_to_one_who_leaves(scene: Scene) -> None:
    """It says nothing about other matchers: the oldest are still taken first."""
    join(scene, "ann", "bob", "carl", "dora", "eve")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, lambda: other.queue.leave("ann")):
        assert who(scene.store.queue.match()) == ("bob", "carl")
    assert who(scene.store.queue.match()) == ("dora", "eve")


def test_a_race_lost_to_a_spend(scene: Scene) -> None:
    join(scene, "ann", "bob", "carl")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, lambda: other.callers.spend("ann", 15)):
        assert who(scene.store.queue.match()) == ("bob", "carl")


def test_conflicts_are_tried_again(scene: Scene) -> None:
    """DynamoDB cancels a transaction that meets another one on its items."""
    join(scene, "ann", "bob")
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(TransactionConflict(items=(2, 3)), times=3)
        assert who(scene.store.queue.match()) == ("ann", "bob")
        assert len(faults.injected) == 3
    assert points(scene, "ann") == 14


def test_who_never_wins_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    join(scene, "ann", "bob")
    monkeypatch.setattr(scene.store.connection, "pause", lambda _: None)
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(TransactionConflict(), times=None)
        with pytest.raises(Contended, match="call again"):
            scene.store.queue.match()
    assert waiting(scene) == ["ann", "bob"]


def test_the_number_of_matchers_is_learnt_from_lost_races() -> None:
    crowds = Crowds()
    assert crowds.size("q") == 1
    for _ in range(6):
        crowds.lost("q")
    assert (crowds.size("q"), crowds.size("another")) == (7, 1)
    for _ in range(6):
        crowds.won("q")
    assert crowds.size("q") == 4
    for _ in range(10):
        crowds.won("q")
    assert crowds.size("q") == 1
    for _ in range(200):
        crowds.lost("q")
    assert crowds.size("q") == MAX_MATCHERS


def test_what_was_learnt_of_queues_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names a queue after each topic does not fill the memory of the matchers."""
    monkeypatch.setattr("dynamo_chat.calls.matching._REMEMBERED", 3)
    crowds, heads = Crowds(), Heads()
    for number in range(10):
        crowds.lost(f"q-{number}")
        heads.seen(CallQueue(f"q-{number}", shards=2), 0, [], next_noon())
    assert len(crowds._sizes) <= 3
    assert len(heads._first) <= 3
    assert crowds.size("q-9") == 2


# -- shards -------------------------------------------------------------------------------------


def test_a_queue_over_shards_matches_everyone(scene: Scene) -> None:
    """Also those who are alone in their shard."""
    wide = CallQueue("wide", shards=8)
    names = [f"user-{number:02d}" for number in range(21)]
    join(scene, *names, queue=wide)
    met = Counter[str]()
    while (call := scene.store.queue.match(wide)) is not None:
        met.update(who(call))
    assert len(met) == 20
    assert set(met.values()) == {1}
    assert len(waiting(scene, wide)) == 1


def test_a_queue_over_shards_keeps_nearly_to_the_order(scene: Scene) -> None:
    """The older of two shards is looked at: nobody is overtaken by the whole queue."""
    wide = CallQueue("wide", shards=4)
    names = [f"user-{number:02d}" for number in range(40)]
    join(scene, *names, queue=wide)
    overtaken = []
    for _ in range(10):
        for name in who(scene.store.queue.match(wide)):
            overtaken.append(names.index(name))
            names.remove(name)
    assert sum(overtaken) / len(overtaken) < 8


def test_a_queue_that_got_more_shards_keeps_its_tickets(scene: Scene) -> None:
    join(scene, "ann", "bob", queue="growing")
    wide = CallQueue("growing", shards=4)
    join(scene, "carl", "dora", queue=wide)
    assert waiting(scene, wide) == ["ann", "bob", "carl", "dora"]
    assert {who(scene.store.queue.match(wide)) for _ in range(2)}
    assert scene.store.queue.match(wide) is None


# -- expiry -------------------------------------------------------------------------------------


def test_a_call_that_nobody_ended_lets_its_callers_go(scene: Scene) -> None:
    join(scene, "ann", "bob")
    call = scene.store.queue.match(match_id="m-1")
    scene.clock.advance(timedelta(days=91))
    assert not scene.store.callers.get("ann", consistent=True).is_in_call
    assert scene.store.queue.match(match_id="m-1") is None
    join(scene, "ann", "bob")
    again = scene.store.queue.match(room_name="m-1")
    assert again is not None
    assert call is not None
    assert (again.room_name, again.call_id == call.call_id) == (call.room_name, False)


def test_clocks_that_differ_match_nobody_twice(scene: Scene) -> None:
    """A server that is nearly an hour behind, one that is as much ahead."""
    join(scene, "ann", "bob", "carl", "dora")
    skews = (timedelta(minutes=-50), timedelta(minutes=50))
    met = [who(another_server(scene, skew).queue.match()) for skew in skews]
    assert met == [("ann", "bob"), ("carl", "dora")]
