"""Short rounds in this process: a sound store is found sound, and planted bugs are caught."""

import importlib
import os

import pytest

from dynamo_chat.testing.engine import Engine
from proof.bugs import BUGS, planted
from proof.domains import NAMES
from proof.rounds import Arena, Outcome, Scale
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
        lag=BUGS[bug].lag if bug else 0.0,
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
@pytest.mark.parametrize(
    "bug", ["missing-condition", "seat-not-given-back", "revoked-by-index", "late-gate"]
)
def test_a_planted_bug_is_caught(dynamo_chat_engine: Engine, bug: str) -> None:
    outcome = played(dynamo_chat_engine, BUGS[bug].domain, bug=bug)
    assert outcome.violations


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
