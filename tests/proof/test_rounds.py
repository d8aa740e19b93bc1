"""Short rounds in this process: a sound store is found sound, and planted bugs are caught."""

import importlib
import os
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from dynamo_chat.testing import FakeClock, Lag
from dynamo_chat.testing.engine import Engine
from proof.bugs import BUGS, planted
from proof.domains import NAMES
from proof.faults import ShiftedClock
from proof.history import Recorder
from proof.rounds import Arena, Outcome, Scale, judged
from proof.steps import Step
from proof.worker import Runner
from tests.places import modules

pytestmark = pytest.mark.engine


# pytest rewrites a plugin's modules as they are imported, which Python 3.11 cannot do in threads.
for module in modules():
    if not module.startswith(("dynamo_chat.cli", "dynamo_chat.provision")):
        importlib.import_module(module)


def played(engine: Engine, *domains: str, bug: str | None = None, calls: int = 90) -> Outcome:
    scale = Scale(
        seed="caught" if bug else os.urandom(4).hex(),
        processes=1,
        threads=3,
        seconds=60.0,
        operations=calls,
        domains=domains,
        bug=bug,
        strict=bug is None,
    )
    outcome = Arena(engine).round(1, scale)
    outcome.forget()
    return outcome


@pytest.mark.once
def test_nothing_is_found_in_a_sound_store(dynamo_chat_engine: Engine) -> None:
    """All domains, under faults; what is found would be printed with its seed."""
    outcome = played(dynamo_chat_engine, *NAMES)
    assert not [f"{name}: {violation}" for name, violation in outcome.violations]
    assert outcome.operations.total() > 100
    assert outcome.faults.total() > 0
    assert outcome.histories > 0


@pytest.mark.once
@pytest.mark.parametrize("bug", ["missing-condition", "seat-not-given-back"])
def test_a_planted_bug_is_caught(dynamo_chat_engine: Engine, bug: str) -> None:
    outcome = played(dynamo_chat_engine, BUGS[bug].domain, bug=bug)
    assert outcome.violations


VISITOR = {"firm": "club-0", "user": "visitor"}
LATE = {
    "late-gate": [
        Step("orgs.found", {"firm": "club-0", "owner": "host", "seats": None}),
        Step("orgs.add", VISITOR | {"role": "admin"}),
        Step("orgs.throw_out", VISITOR),
    ],
    "revoked-by-index": [
        Step(
            "identity.settle_down",
            {"user": "ann", "email": "ann@example.com", "response_email": "ann@r.example"},
        ),
        Step("identity.log_out", {"user": "ann", "secret": "s" * 40}),
    ],
}
"""Bugs that show in the last of these calls, if its reads are late."""


@pytest.mark.once
@pytest.mark.parametrize("is_planted", [True, False])
@pytest.mark.parametrize("bug", LATE)
def test_a_bug_that_reads_late_is_caught(
    dynamo_chat_engine: Engine, tmp_path: Path, bug: str, is_planted: bool
) -> None:
    """The lag's clock stands still in the last call, so that what it writes is not read in it."""
    store = dynamo_chat_engine.store(f"late-{uuid.uuid4()}")
    recorder = Recorder(tmp_path / "p.jsonl", "p")
    runner = Runner(store, recorder, ShiftedClock(timedelta()))
    *before, last = LATE[bug]
    assert [runner.run(step) for step in before] == ["ok"] * len(before)
    with planted(bug if is_planted else None), Lag(seed=1, clock=FakeClock()) as lag:
        lag.attach(store)
        assert runner.run(last) == "ok"
    recorder.close()
    assert bool(judged(store, tmp_path).violations) == is_planted


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_gone_when_it_is_left(name: str) -> None:
    """Whatever a bug puts in the package's place, the package has again afterwards."""
    patches = BUGS[name].patches()
    assert patches
    places = [(each.getter(), each.attribute) for each in patches]
    before = [vars(target)[attribute] for target, attribute in places]
    with planted(name):
        inside = [vars(target)[attribute] for target, attribute in places]
    assert all(new is not old for new, old in zip(inside, before, strict=True))
    assert [vars(target)[attribute] for target, attribute in places] == before
