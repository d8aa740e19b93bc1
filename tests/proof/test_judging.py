"""What is judged: histories that were cut, claims, and the models of single items."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from proof import history
from proof.claims import check_claims
from proof.domains import ACTIONS, DOMAINS
from proof.domains.calls import DOMAIN as CALLS
from proof.domains.common import as_sent
from proof.domains.limits import Window, unheard
from proof.domains.points import Purse, Spending
from proof.evidence import Claim, Evidence
from proof.forks import rehearsal
from proof.history import Call, Outcome, Recorder
from proof.linear import Interval, is_linearizable
from proof.steps import Action, Dice, Planner


def call(kind: str, outcome: Outcome, invoked: float = 0, result: Any = None, **args: Any) -> Call:
    returned = history.NEVER if outcome == "unknown" else invoked + 1
    return Call("c", kind, args, invoked, 0.0, returned, outcome, result)


# -- histories ----------------------------------------------------------------------------------


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "p.jsonl", "p")
    first = recorder.began("chat.append", {"id": "ä"}, 5.0)
    second = recorder.began("chat.say", {"id": "b"}, 6.0)
    recorder.ended(first, "ok", {"position": "1"}, "", ["Throttled"])
    recorder.close()
    one, other = history.read(tmp_path)
    assert (one.call_id, one.args, one.outcome, one.result) == (
        first,
        {"id": "ä"},
        "ok",
        {"position": "1"},
    )
    assert one.faults == ["Throttled"]
    assert one.returned >= one.invoked
    assert (other.call_id, other.outcome, other.returned) == (second, "unknown", history.NEVER)


def test_a_line_that_was_cut_by_death_is_no_line(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "p.jsonl", "p")
    call_id = recorder.began("chat.append", {}, 5.0)
    recorder.ended(call_id, "ok", None, "", [])
    recorder.close()
    whole = (tmp_path / "p.jsonl").read_bytes()
    (tmp_path / "p.jsonl").write_bytes(whole[:-5])
    assert [each.outcome for each in history.read(tmp_path)] == ["unknown"]


# -- claims -------------------------------------------------------------------------------------


def _put(_: Call) -> Iterable[Claim]:
    return [Claim("thing")]


def _drop(_: Call) -> Iterable[Claim]:
    return [Claim("thing", is_there=False)]


CLAIMING = {
    "put": Action(lambda *_: None, claims=_put),
    "drop": Action(lambda *_: None, claims=_drop),
}


@pytest.mark.parametrize(
    ("calls", "count", "expected"),
    [
        ([call("put", "ok")], 1, []),
        ([call("put", "ok")], 0, ["lost"]),
        ([call("put", "ok")], 2, ["doubled"]),
        ([call("put", "unknown")], 0, []),
        ([call("put", "unknown")], 1, []),
        ([call("put", "unknown")], 2, ["doubled"]),
        ([call("put", "refused")], 0, []),
        ([call("put", "refused")], 1, ["written though refused"]),
        ([], 1, ["written though refused"]),
        ([call("put", "unknown"), call("put", "ok", 2)], 1, []),
        ([call("put", "ok"), call("drop", "ok", 5)], 0, []),
        ([call("put", "ok"), call("drop", "ok", 5)], 1, ["still there"]),
        ([call("put", "ok"), call("drop", "ok", 0.5)], 1, []),
        ([call("put", "ok"), call("drop", "unknown", 5)], 1, []),
        ([call("put", "ok"), call("drop", "unknown", 5)], 0, []),
        ([call("put", "ok"), call("drop", "refused", 5)], 0, ["lost"]),
        ([call("put", "unknown"), call("drop", "ok", 5)], 1, []),
    ],
)
def test_claims(calls: list[Call], count: int, expected: list[str]) -> None:
    evidence = Evidence(calls, [], {}, [])
    found = check_claims(evidence, CLAIMING, ["thing"] * count)
    assert [violation.check for violation in found] == expected


# -- single items -------------------------------------------------------------------------------


def spend(outcome: Outcome, left: int, *, at: float, points: int, spend_id: str = "s") -> Call:
    result = None if outcome == "unknown" else {"points_left": left}
    return call("points.spend", outcome, at, result, user="u", points=points, id=spend_id)


def happened(calls: list[Call], model: Any) -> bool:
    return is_linearizable(model, [Interval(each.invoked, each.returned, each) for each in calls])


def test_points_that_were_spent_once() -> None:
    assert happened(
        [
            spend("unknown", 0, at=0, points=5),
            spend("ok", 10, at=2, points=5),
            spend("refused", 10, at=4, points=11, spend_id="t"),
            call("points.reset", "ok", 6, ["u"], user="u", id="r"),
            spend("ok", 0, at=8, points=15, spend_id="v"),
        ],
        Spending(),
    )


@pytest.mark.parametrize(
    "calls",
    [
        [spend("ok", 10, at=0, points=5), spend("ok", 5, at=2, points=5)],
        [spend("ok", 11, at=0, points=5)],
        [spend("refused", 15, at=0, points=5)],
        [spend("ok", 0, at=0, points=15), spend("ok", 0, at=2, points=1, spend_id="t")],
    ],
    ids=["twice under one id", "miscounted", "refused with enough", "below zero"],
)
def test_points_that_cannot_be(calls: list[Call]) -> None:
    assert not happened(calls, Spending())


def test_an_answer_may_tell_what_was_seen_after_its_answer_was_lost() -> None:
    """Spent at the first try, told at the second: in between, somebody else spent."""
    late = spend("ok", 5, at=0, points=5)
    late.returned = 9
    calls = [late, spend("ok", 5, at=2, points=5, spend_id="t")]
    assert not happened(calls, Spending())
    late.faults = ["DropAnswer"]
    assert happened([*as_sent(Evidence(calls, [], {}, []), calls)], Spending())


def test_a_purse_begins_full() -> None:
    assert Spending.initial == Purse(15, frozenset(), frozenset(), "")


def counted(count: int, at: float, *faults: str) -> Call:
    made = call("limits.count", "ok", at, {"request_count": count}, account="a")
    made.faults = list(faults)
    return made


def windows(*calls: Call) -> bool:
    """Whether one window can have counted so."""
    evidence = Evidence(calls, [], {}, [])
    lost = [each for call in calls for each in unheard(evidence, call)]
    return happened([*calls, *lost], Window())


def test_a_window_counts_one_by_one() -> None:
    assert windows(counted(1, 0), counted(2, 2))
    assert not windows(counted(1, 0), counted(1, 2))
    assert not windows(counted(1, 0), counted(3, 2))
    assert windows(*(counted(count, count) for count in range(1, 9)))
    assert not windows(*(counted(count, count) for count in range(1, 10)))


def test_a_call_that_was_sent_again_may_count_twice() -> None:
    """As the documents say; not three times, and not before it was called."""
    assert windows(counted(2, 0, "DropAnswer"))
    assert not windows(counted(3, 0, "DropAnswer"))
    assert not windows(counted(2, 0), counted(3, 2, "DropAnswer"))


# -- plans --------------------------------------------------------------------------------------


def test_a_seed_is_a_plan() -> None:
    """The same seed and name give the same calls, another seed or name others."""

    def drawn(seed: str, name: str) -> list[Any]:
        plan = iter(Planner(Dice(seed, name), DOMAINS))
        return [next(plan) for _ in range(300)]

    assert drawn("s/1", "p0") == drawn("s/1", "p0")
    assert drawn("s/1", "p0") != drawn("s/2", "p0")
    assert drawn("s/1", "p0") != drawn("s/1", "p1")


def test_every_action_is_planned_or_prepared() -> None:
    """No kind of call is there that no plan makes."""
    plan = iter(Planner(Dice("s", "p"), DOMAINS))
    planned = {step.kind for _ in range(6_000) for step in next(plan)}
    prepared = {step.kind for domain in DOMAINS for step in domain.setup()}
    prepared |= {step.kind for step in rehearsal("p")}
    assert planned | prepared == set(ACTIONS)


def test_a_match_without_a_pair_claims_nothing() -> None:
    claims = CALLS.actions["calls.match"].claims
    assert not list(claims(call("calls.match", "ok", id="m")))
    assert list(claims(call("calls.match", "unknown", id="m"))) == [Claim("call m")]
