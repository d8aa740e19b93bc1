"""Callers who wait in queues, are matched and end their calls; rooms that several callers want."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from dynamo_chat import CallQueue, ChatStore
from dynamo_chat.calls.call import Call as VoiceCall, CallRoom
from dynamo_chat.calls.caller import Caller, place_of
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.calls.ticket import QueueTicket
from dynamo_chat.core.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from proof.evidence import Claim, Evidence, Violation, told
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

CALLERS: Final = tuple(f"caller-{number}" for number in range(24))
QUEUES: Final[Mapping[str, CallQueue]] = {
    "main": CallQueue("main"),
    "wide": CallQueue("wide", shards=3, cost=2),
}
LONGEST: Final = timedelta(seconds=3)
"""A call that nobody ends is ended by the sweep after this time."""
ROOMS: Final = tuple(f"room-{number}" for number in range(4))


# -- calls --------------------------------------------------------------------------------------


def _create(store: ChatStore, args: Args) -> Json:
    store.callers.create(args["user"])


def _join(store: ChatStore, args: Args) -> Json:
    return {"ticket": store.queue.join(args["user"], QUEUES[args["queue"]]).ticket_id}


def _leave(store: ChatStore, args: Args) -> Json:
    return {"waiting": store.queue.leave(args["user"]).is_waiting}


def _match(store: ChatStore, args: Args) -> Json:
    return _told(store.queue.match(QUEUES[args["queue"]], match_id=args["id"]))


def _start(store: ChatStore, args: Args) -> Json:
    return _told(
        store.calls.start(*args["users"], cost=1, call_id=args["id"], room_name=args["room"])
    )


def _end(store: ChatStore, args: Args) -> Json:
    return _told(store.calls.end(args["id"]))


def _sweep(store: ChatStore, _: Args) -> Json:
    return [call.call_id for call in store.calls.end_overdue(LONGEST)]


def _reset(store: ChatStore, args: Args) -> Json:
    return list(store.callers.reset_points(args["users"], reset_id=args["id"]))


def _position(store: ChatStore, args: Args) -> Json:
    found = store.queue.position(args["user"], QUEUES[args["queue"]])
    return found and found.position


def _live(store: ChatStore, _: Args) -> Json:
    return [each.call_id for each in store.calls.list_live(page_size=100)]


def _history(store: ChatStore, args: Args) -> Json:
    ids: list[str] = []
    cursor = None
    while True:
        page = store.calls.list_by_user(args["user"], page_size=7, cursor=cursor)
        ids += [each.call_id for each in page]
        cursor = page.cursor
        if cursor is None:
            return ids


def _told(call: VoiceCall | None) -> Json:
    return call and {"users": [call.user_a, call.user_b], "room": call.room_name}


# -- plans --------------------------------------------------------------------------------------


def _queue(dice: Dice) -> str:
    return "main" if dice.random() < 0.8 else "wide"


def _plan_join(dice: Dice) -> Sequence[Step]:
    queue = _queue(dice)
    users = dice.sample(CALLERS, dice.randrange(2, 5))
    return [Step("calls.join", {"user": user, "queue": queue}) for user in users]


def _plan_match(dice: Dice) -> Sequence[Step]:
    queue = _queue(dice)
    ids = [dice.remember("call", dice.fresh("call")) for _ in range(dice.randrange(1, 4))]
    return [Step("calls.match", {"queue": queue, "id": each}) for each in ids]


def _plan_start(dice: Dice) -> Sequence[Step]:
    room = dice.choice(ROOMS)
    steps = []
    for _ in range(dice.randrange(1, 3)):
        call_id = dice.remember("call", dice.fresh("call"))
        args = {"users": dice.sample(CALLERS, 2), "id": call_id, "room": room}
        steps.append(Step("calls.start", args))
    return steps


def _plan_end(dice: Dice) -> Args | None:
    known = dice.recall("call")
    return None if known is None else {"id": known}


def _plan_reset(dice: Dice) -> Args:
    return {"users": dice.sample(CALLERS, 12), "id": dice.fresh("reset")}


def _setup() -> Iterator[Step]:
    for user in CALLERS:
        yield Step("calls.create", {"user": user})


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    del calls
    for user in CALLERS:
        yield Step("calls.history", {"user": user})


# -- what is claimed, and what is there ---------------------------------------------------------


def _claims_call(call: Call) -> Iterable[Claim]:
    if call.is_unknown or call.result is not None:
        yield Claim(f"call {call.args['id']}")


def _found(evidence: Evidence) -> Iterator[str]:
    for call in evidence.entities(VoiceCall):
        yield f"call {call.call_id}"


# -- what must hold -----------------------------------------------------------------------------


def _tickets(evidence: Evidence) -> Iterator[Violation]:
    """Each waiting caller has one ticket, and each ticket is of one waiting caller."""
    tickets = sorted((each.user_id, *each.place) for each in evidence.entities(QueueTicket))
    waiting = sorted(
        (each.user_id, *place)
        for each in evidence.entities(Caller)
        if (place := place_of(each)) is not None
    )
    if tickets != waiting:
        differing = sorted(set(tickets) ^ set(waiting))
        yield Violation("tickets", f"tickets and waiting callers differ: {differing}")


def _live_calls(evidence: Evidence) -> Iterator[Violation]:
    """A live call has its room and its two callers, and nobody else is in a room or a call."""
    live = {call.call_id: call for call in evidence.entities(VoiceCall) if call.is_live}
    rooms = {room.call_id: room for room in evidence.entities(CallRoom)}
    for call_id in live.keys() ^ rooms.keys():
        where = "live without a room" if call_id in live else "a room without a live call"
        yield Violation("rooms", f"{call_id} is {where}")
    names = [call.room_name for call in live.values()]
    if len(set(names)) < len(names):
        yield Violation("rooms", f"a name is of two live calls: {sorted(names)}")
    callers = {each.user_id: each for each in evidence.entities(Caller)}
    for call in live.values():
        for user in (call.user_a, call.user_b):
            there = callers.get(user)
            if there is None or there.live_call_id != call.call_id:
                text = f"{user} is in {there and there.live_call_id}, not in {call.call_id}"
                yield Violation("callers in calls", text)
    for caller in callers.values():
        if caller.live_call_id is not None and caller.live_call_id not in live:
            text = f"{caller.user_id} is in {caller.live_call_id}, which is not live"
            yield Violation("callers in calls", text)
        if caller.is_waiting and caller.is_in_call:
            yield Violation("callers in calls", f"{caller.user_id} waits and talks")


def _points(evidence: Evidence) -> Iterator[Violation]:
    """The remaining and the spent points of a caller are 15 together."""
    for caller in evidence.entities(Caller):
        spent = sum(caller.spends.values())
        if caller.points_left + spent != DAILY_POINTS:
            text = f"{caller.user_id} has {caller.points_left} left and spent {caller.spends}"
            yield Violation("points", text)


def _paid(evidence: Evidence) -> Iterator[Violation]:
    """Nobody has paid for a call without being in it."""
    calls = {call.call_id: call for call in evidence.entities(VoiceCall)}
    for caller in evidence.entities(Caller):
        if caller.user_id not in CALLERS:
            continue
        for call_id in caller.spends:
            call = calls.get(call_id)
            if call is None or caller.user_id not in {call.user_a, call.user_b}:
                yield Violation("paid for nothing", f"{caller.user_id} for {call_id}")


def _one_at_a_time(evidence: Evidence) -> Iterator[Violation]:
    """Nobody enters a second call before someone asked for the end of the first."""
    ends = evidence.grouped("id", "calls.end")
    sweeps = [call for call in evidence.of("calls.sweep") if call.may_count]
    opened: dict[str, list[Call]] = {}
    for call in evidence.of("calls.match", "calls.start"):
        if call.is_ok and call.result is not None:
            for user in call.result["users"]:
                opened.setdefault(user, []).append(call)
    for user, calls in opened.items():
        for first in calls:
            call_id = first.args["id"]
            swept = [each for each in sweeps if each.is_unknown or call_id in each.result]
            ended = [each.invoked for each in (*ends.get(call_id, []), *swept)]
            end = min((each for each in ended if each > first.invoked), default=None)
            for second in calls:
                overlaps = first.before(second) and (end is None or second.returned < end)
                if overlaps and call_id != second.args["id"]:
                    yield Violation("two calls at once", f"{user}{told([first, second])}")


def _histories(evidence: Evidence) -> Iterator[Violation]:
    """A caller's history has every call of theirs, once."""
    truth: dict[str, set[str]] = {}
    for call in evidence.entities(VoiceCall):
        for user in (call.user_a, call.user_b):
            truth.setdefault(user, set()).add(call.call_id)
    last: dict[str, Call] = {}
    for call in evidence.of("calls.history"):
        if call.is_ok:
            last[call.args["user"]] = call
        if call.is_ok and len(set(call.result)) < len(call.result):
            yield Violation("a history shows a call twice", str(call))
    for user, read in last.items():
        if read.call_id.startswith("end-") and set(read.result) != truth.get(user, set()):
            differing = sorted(set(read.result) ^ truth.get(user, set()))
            yield Violation("a history is not complete", f"{user}: {differing}")


def _waiting_still(evidence: Evidence) -> Iterator[Violation]:
    """A caller who joined and was not touched since still waits, with the same ticket."""
    callers: dict[str, Any] = {each.user_id: each for each in evidence.entities(Caller)}
    others = evidence.of("calls.match", "calls.start", "calls.leave", "calls.join")
    joined: dict[str, Call] = {}
    for call in evidence.of("calls.join"):
        if call.is_ok:
            joined[call.args["user"]] = call
    for user, join in joined.items():
        touched = any(
            not call.before(join) and call is not join and _may_touch(call, user) for call in others
        )
        there = callers.get(user)
        if not touched and (there is None or there.ticket_id != join.result["ticket"]):
            yield Violation("a waiting caller is forgotten", str(join))


def _may_touch(call: Call, user: str) -> bool:
    if not call.may_count:
        return False
    if call.kind in {"calls.leave", "calls.join"}:
        return bool(call.args["user"] == user)
    if call.kind == "calls.start":
        return user in call.args["users"]
    # Who matches may also send somebody away who has too few points.
    return True


DOMAIN: Final = Domain(
    name="calls",
    weight=3,
    actions={
        "calls.create": Action(_create),
        "calls.join": Action(_join, refusals=(Conflict, LimitExceeded)),
        "calls.leave": Action(_leave),
        "calls.match": Action(_match, claims=_claims_call, many=True),
        "calls.start": Action(
            _start, refusals=(Conflict, LimitExceeded, AlreadyExists), claims=_claims_call
        ),
        "calls.end": Action(_end, refusals=(NotFound,)),
        "calls.sweep": Action(_sweep, many=True),
        "calls.reset": Action(_reset),
        "calls.position": Action(_position),
        "calls.live": Action(_live),
        "calls.history": Action(_history),
    },
    plans=[
        (20, _plan_join),
        (
            3,
            alone("calls.leave", lambda dice: {"user": dice.choice(CALLERS)}),
        ),
        (12, _plan_match),
        (6, _plan_start),
        (24, alone("calls.end", _plan_end)),
        (2, alone("calls.sweep", lambda _: {})),
        (9, alone("calls.reset", _plan_reset)),
        (
            2,
            alone(
                "calls.position",
                lambda dice: {"user": dice.choice(CALLERS), "queue": _queue(dice)},
            ),
        ),
        (2, alone("calls.live", lambda _: {})),
        (1, alone("calls.history", lambda dice: {"user": dice.choice(CALLERS)})),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[
        ("tickets", _tickets),
        ("live calls", _live_calls),
        ("points", _points),
        ("payments", _paid),
        ("one call at a time", _one_at_a_time),
        ("histories of callers", _histories),
        ("waiting callers", _waiting_still),
    ],
)
