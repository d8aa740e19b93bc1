"""Callers, queues and calls behave as a few plain values would."""

import os
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from dynamo_chat import Call, Caller, CallQueue, Page
from dynamo_chat.calls.caller import as_of
from dynamo_chat.calls.ticket import QueueTicket
from dynamo_chat.core.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND
from dynamo_chat.core.transaction import is_live
from dynamo_chat.testing.plugin import ENDPOINT_VARIABLE
from tests.calls.model import LEASE, Model, Person, Talk, Ticket
from tests.calls.scenes import fresh
from tests.scene import Scene

NAMES = ["ann", "bob", "carl", "dora"]
people = st.sampled_from(NAMES)
zones = st.sampled_from(["UTC", "Europe/Rome", "America/Lima", "Pacific/Kiritimati"])
spends = st.sampled_from(["s-1", "s-2", "s-3"])
call_ids = st.sampled_from([f"c-{number}" for number in range(8)])
rooms = st.sampled_from([None, "blue"])
spans = st.sampled_from(
    [
        timedelta(minutes=1),
        timedelta(minutes=20),
        timedelta(minutes=45),
        timedelta(hours=5),
        timedelta(hours=13),
        timedelta(days=2),
        timedelta(days=60),
    ]
)
QUEUE = CallQueue("main", cost=2, at_least=4)


class CallMachine(RuleBasedStateMachine):
    """Random calls on the store and on the model, compared after each."""

    def __init__(self, table: Scene) -> None:
        super().__init__()
        self.scene, self.store, self.clock = table, table.store, table.clock
        self.stage = fresh(table)
        self.stage.__enter__()
        self.model = Model()
        self.old_page: tuple[str, Page[Call], list[Talk]] | None = None

    def teardown(self) -> None:
        self.stage.__exit__(None, None, None)

    def tick(self) -> Any:
        """The next moment: no two things happen at one."""
        now = self.clock.advance(timedelta(seconds=1))
        self.model.look(now)
        return now

    def expect(self, error: type[Exception] | None, call: Any) -> Any:
        """What the call returns, if the model expects it to; None when it raises as expected."""
        if error is None:
            return call()
        with pytest.raises(error):
            call()
        return None

    # -- callers --------------------------------------------------------------------------------

    @initialize(of=st.fixed_dictionaries(dict.fromkeys(NAMES, zones)))
    def begin(self, of: dict[str, str]) -> None:
        for name, zone in of.items():
            self.create(name, zone)

    @rule(name=people, zone=zones)
    def create(self, name: str, zone: str) -> None:
        now = self.tick()
        there = self.model.people.get(name)
        error = AlreadyExists if there is not None and there.zone != zone else None
        self.expect(error, lambda: self.store.callers.create(name, time_zone=zone))
        if there is None:
            self.model.people[name] = Person(name, zone).turned(now)

    @rule(name=people, zone=zones)
    def move(self, name: str, zone: str) -> None:
        now = self.tick()
        error = None if name in self.model.people else NotFound
        self.expect(error, lambda: self.store.callers.update(name, time_zone=zone))
        if error is None:
            person = self.model.people[name] = self.model.people[name].turned(now)
            person.zone = zone

    @rule(name=people, points=st.integers(1, 9), spend_id=spends)
    def spend(self, name: str, points: int, spend_id: str) -> None:
        now = self.tick()
        error: type[Exception] | None = None
        is_new = False
        if name not in self.model.people:
            error = NotFound
        else:
            person = self.model.people[name].turned(now)
            known = person.knows(spend_id)
            is_new = known is None
            if known is not None and known != points:
                error = Conflict
            elif is_new and person.left < points:
                error = LimitExceeded
        self.expect(error, lambda: self.store.callers.spend(name, points, spend_id=spend_id))
        if error is None and is_new:
            self.model.pay(name, points, spend_id, now)

    @rule(names=st.lists(people, max_size=3), reset_id=st.sampled_from(["r-1", "r-2"]))
    def reset(self, names: list[str], reset_id: str) -> None:
        self.tick()
        known = [name for name in dict.fromkeys(names) if name in self.model.people]
        assert self.store.callers.reset_points(names, reset_id=reset_id) == tuple(known)
        for name in known:
            person = self.model.people[name]
            if person.resets != {reset_id}:  # only the latest is remembered
                person.left, person.before, person.spends = 15, person.spends, {}
                person.resets = {reset_id}

    @rule(name=people, zone=zones)
    def delete(self, name: str, zone: str) -> None:
        """And let them come back, who may have forgotten everything."""
        self.tick()
        error: type[Exception] | None = None if name in self.model.people else NotFound
        if error is None and self.model.talk_of(name):
            error = Conflict
        self.expect(error, lambda: self.store.callers.delete(name))
        if error is None:
            self.model.leave(name)
            del self.model.people[name]
            self.expect(NotFound, lambda: self.store.callers.get(name, consistent=True))
            self.expect(NotFound, lambda: self.store.queue.join(name, QUEUE))
            self.create(name, zone)

    # -- the queue ------------------------------------------------------------------------------

    @rule(names=st.permutations(NAMES), spent=st.lists(st.tuples(people, spends)), room=rooms)
    def evening(self, names: list[str], spent: list[tuple[str, str]], room: str | None) -> None:
        """All calls end, all join, some spend, two rounds are matched."""
        for talk in [talk for talk in self.model.talks.values() if talk.end is None]:
            self.end(talk.call_id)
        for name in names:
            self.join(name)
        for name, spend_id in spent[:3]:
            self.spend(name, 7, spend_id)
        for call_id in (f"c-{number}" for number in range(8)):
            if call_id not in self.model.talks and len(self.model.line) >= 2:
                self.match(call_id, room)

    @rule(name=people)
    def join(self, name: str) -> None:
        now = self.tick()
        person, there = self.model.people.get(name), self.model.place(name)
        error: type[Exception] | None = None
        if person is None:
            error = NotFound
        elif there is None and self.model.talk_of(name):
            error = Conflict
        elif there is None and person.left < QUEUE.needed:
            # A day that is over lets one join: whether it brought points, the match will see.
            is_over = person.until is not None and person.until <= now
            error = None if is_over else LimitExceeded
        ticket = self.expect(error, lambda: self.store.queue.join(name, QUEUE))
        if error is not None:
            return
        if there is None:
            self.model.line.append(Ticket(name, now, now + LEASE))
        elif there.until - now <= LEASE / 2:
            there.until = now + LEASE
        place = self.model.place(name)
        assert place is not None
        assert (ticket.joined_at, ticket.expires_at) == (place.since, place.until)

    @rule(name=people)
    def leave(self, name: str) -> None:
        self.tick()
        error = None if name in self.model.people else NotFound
        left = self.expect(error, lambda: self.store.queue.leave(name))
        if left is not None:
            self.model.leave(name)
            talk = self.model.talk_of(name)
            assert left.live_call_id == (talk and talk.call_id)

    @rule(call_id=call_ids, room=rooms)
    def match(self, call_id: str, room: str | None) -> None:
        """Which may be a retry, of a match that was made long ago."""
        now = self.tick()
        room_name = room or call_id
        there = self.model.talks.get(call_id)
        if there is not None:
            self.match_again(there, room_name)
            return
        pair: tuple[str, str] | None = None
        error: type[Exception] | None = None
        live = [talk for talk in self.model.talks.values() if talk.end is None]
        if len(self.model.line) >= 2 and room_name in {talk.room for talk in live}:
            error = AlreadyExists
        else:
            pair = self.model.next_pair(QUEUE.needed, now)
        if pair and any(self.model.people[each].turned(now).knows(call_id) for each in pair):
            error = Conflict
        call = self.expect(
            error, lambda: self.store.queue.match(QUEUE, match_id=call_id, room_name=room)
        )
        if pair is None or error is not None:
            assert call is None
            return
        assert (call.user_a, call.user_b) == pair
        talk = Talk(call_id, pair, room_name, now, from_queue=True)
        self.model.begin(talk, QUEUE.cost)

    def match_again(self, there: Talk, room_name: str) -> None:
        """The same call comes back, and whoever waits goes on waiting."""
        error = None if there.from_queue else AlreadyExists
        match = self.store.queue.match
        call = self.expect(error, lambda: match(QUEUE, match_id=there.call_id, room_name=room_name))
        if call is not None:
            assert (call.user_a, call.user_b) == there.pair
            assert call.ended_at == there.end

    # -- calls ----------------------------------------------------------------------------------

    @rule(one=people, other=people, call_id=call_ids, cost=st.integers(0, 5), room=rooms)
    def start(self, one: str, other: str, call_id: str, cost: int, room: str | None) -> None:
        if one == other:
            return
        now = self.tick()
        room_name, there = room or call_id, self.model.talks.get(call_id)
        errors: set[type[Exception]] = set()
        if there is not None:
            if there.from_queue or there.pair != (one, other):
                errors = {AlreadyExists}
        elif any(talk.room == room_name for talk in self.model.talks.values() if talk.end is None):
            errors = {AlreadyExists}
        else:
            errors = {
                error
                for error in (self.refusal(name, call_id, cost, now) for name in (one, other))
                if error is not None
            }

        def call() -> Call:
            return self.store.calls.start(
                one, other, cost=cost, call_id=call_id, room_name=room_name
            )

        if errors:
            with pytest.raises(tuple(errors)):
                call()
        elif there is None:
            made = call()
            assert (made.user_a, made.user_b, made.started_at) == (one, other, now)
            self.model.begin(Talk(call_id, (one, other), room_name, now, from_queue=False), cost)
        else:
            assert call().started_at == there.start

    def refusal(self, name: str, call_id: str, cost: int, now: Any) -> type[Exception] | None:
        """Why this person cannot be called."""
        person = self.model.people.get(name)
        if person is None:
            return NotFound
        person = person.turned(now)
        if self.model.talk_of(name) or (cost and person.knows(call_id)):
            return Conflict
        return LimitExceeded if person.left < cost else None

    @rule(call_id=call_ids)
    def end(self, call_id: str) -> None:
        now = self.tick()
        talk = self.model.talks.get(call_id)
        call = self.expect(None if talk else NotFound, lambda: self.store.calls.end(call_id))
        if talk is not None:
            talk.end = talk.end or now
            assert call.ended_at == talk.end
            assert call.duration_minutes == round((talk.end - talk.start).total_seconds() / 60, 2)

    # -- looking --------------------------------------------------------------------------------

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        self.clock.advance(span)
        self.tick()

    @rule(name=people, page_size=st.integers(1, 4))
    def first_page(self, name: str, page_size: int) -> None:
        page = self.store.calls.list_by_user(name, page_size=page_size)
        history = self.model.history(name)
        assert [call.call_id for call in page] == [t.call_id for t in history[:page_size]]
        self.old_page = (name, page, history)

    @rule()
    def rest_of_an_old_page(self) -> None:
        """What came since is newer than the page; what went is not shown."""
        if self.old_page is None or self.old_page[1].cursor is None:
            return
        name, page, history = self.old_page
        rest = self.store.calls.list_by_user(name, page_size=len(page), cursor=page.cursor)
        known = {(talk.call_id, talk.start) for talk in self.model.history(name)}
        older = [(talk.call_id, talk.start) for talk in history[len(page) :]]
        expected = [each for each in older if each in known][: len(page)]
        assert [(call.call_id, call.started_at) for call in rest] == expected

    @rule(name=people)
    def ask_for_one(self, name: str) -> None:
        """The store says of a caller what the whole table does, and where in the queue it is."""
        if name in self.model.people:
            now = self.clock()
            self.compare(self.store.callers.get(name, consistent=True), now)
            line = [each.name for each in self.model.line]
            position = self.store.queue.position(name, QUEUE)
            assert (position and position.position) == (
                line.index(name) + 1 if name in line else None
            )

    def compare(self, caller: Caller, now: datetime) -> None:
        name = caller.user_id
        seen = self.model.people[name].turned(now)
        assert (caller.points_left, caller.points_until) == (seen.left, seen.until)
        assert (caller.spends, caller.spent_before) == (seen.spends, seen.before)
        ticket, talk = self.model.place(name), self.model.talk_of(name)
        assert caller.waiting_since == (ticket and ticket.since)
        assert caller.live_call_id == (talk and talk.call_id)

    @invariant()
    def everything_is_as_modelled(self) -> None:
        """The whole table in one request: after each step, so it has to be cheap."""
        now = self.clock()
        self.model.look(now)
        items = [dict(each) for each in self.scene.items() if is_live(each, now)]
        found = [
            as_of(plan(Caller).decode(each), now) for each in items if each[KIND]["S"] == "caller"
        ]
        assert {caller.user_id for caller in found} == set(self.model.people)
        for caller in found:
            self.compare(caller, now)
        tickets = [
            plan(QueueTicket).decode(each) for each in items if each[KIND]["S"] == "queue_ticket"
        ]
        line = [each.user_id for each in sorted(tickets, key=lambda each: each.ticket_id)]
        assert line == [each.name for each in self.model.line]

    @rule()
    def look_at_the_lists(self) -> None:
        self.model.look(self.clock())
        waiting = self.store.queue.list_waiting(QUEUE, consistent=True)
        assert [ticket.user_id for ticket in waiting] == [each.name for each in self.model.line]
        live = sorted(
            (talk for talk in self.model.talks.values() if talk.end is None),
            key=lambda talk: talk.start,
        )
        listed = self.store.calls.list_live()
        assert [(call.call_id, call.room_name) for call in listed] == [
            (talk.call_id, talk.room) for talk in live
        ]


@pytest.mark.once
@pytest.mark.engine
def test_calls_behave_like_their_model(table: Scene) -> None:
    class Machine(CallMachine):
        def __init__(self) -> None:
            super().__init__(table)

    # A request takes the embedded engine many times as long as a server that was started.
    examples = 25 if os.environ.get(ENDPOINT_VARIABLE) else 6
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=examples, stateful_step_count=30)
    )
