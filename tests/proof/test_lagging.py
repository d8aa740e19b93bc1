"""The same calls on two tables, of which one is read late: the same comes of them.

Both stores have one clock, the same ids and the same dice. What the calls return may differ where
a list is late; what they write may not, however late the reads are that it was decided by.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from ulid import ULID

from dynamo_chat import ChatStore
from dynamo_chat.core import ulids
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.testing import FakeClock, Lag
from proof.domains import ACTIONS, DOMAINS
from proof.steps import Dice, Planner, Step
from tests.scene import Item, address, own_engine

pytestmark = pytest.mark.once
FROM_AN_INDEX = {"calls.sweep"}
"""What it ends is what an index shows: late, it ends them at its next run."""
CALLS = 300
LAG = timedelta(seconds=60)


class Chance(random.Random):
    """Gives both stores the same numbers for the same call."""

    def begin(self, seed: str, number: int) -> None:
        self.seed(f"{seed}/{number}")

    def ulid(self, moment: datetime) -> str:
        milliseconds = int(moment.timestamp() * 1000)
        return str(ULID.from_int(milliseconds << 80 | self.getrandbits(80)))

    def randbits(self, bits: int) -> int:
        return self.getrandbits(bits)


class Outcome(NamedTuple):
    """What came of one call on both tables."""

    step: Step
    plain: Any
    late: Any


class Twins:
    """Two tables, and the same calls on both."""

    def __init__(self, seed: str, lag: timedelta, *, all_reads: bool = False) -> None:
        self.clock = FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
        self.chance = Chance()
        self.lag = Lag(lag, seed=1, clock=self.clock, all_reads=all_reads)
        self.outcomes: list[Outcome] = []
        self._seed = seed
        self._undo = ExitStack()

    def __enter__(self) -> "Twins":
        self._engine = self._undo.enter_context(own_engine())
        patch = self._undo.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(ulids, "secrets", self.chance)
        patch.setattr(random, "SystemRandom", lambda: self.chance)
        known: dict[str, Any] = {
            "clock": self.clock,
            "ids": self.chance.ulid,
            "cursor_secret": b"x" * 32,
        }
        self._plain = self._engine.store("plain", **known)
        self._late = self._engine.store("late", lag=self.lag, **known)
        assert [*self.tables()] == [{}, {}]
        return self

    def __exit__(self, *_: object) -> None:
        with self._undo:
            self.lag.detach()

    def play(self, calls: int) -> None:
        """Make so many calls in all domains, one after another, on what is set up for them."""
        for domain in DOMAINS:
            for step in domain.setup():
                self.both(step)
        calls += len(self.outcomes)
        pace = random.Random(self._seed)
        planner = Planner(Dice(self._seed, "one"), DOMAINS)
        for steps in planner:
            for step in steps:
                self.both(step)
                self.clock.advance(pace.uniform(0, 0.3))
            if len(self.outcomes) >= calls:
                return

    def both(self, step: Step) -> None:
        """Make one call on both."""
        number = len(self.outcomes)
        plain = self._run(self._plain, step, number)
        self.outcomes.append(Outcome(step, plain, self._run(self._late, step, number)))

    def _run(self, store: ChatStore, step: Step, number: int) -> Any:
        self.chance.begin(self._seed, number)
        try:
            return ACTIONS[step.kind].do(store, step.args)
        except DynamoChatError as error:
            return str(error)

    def tables(self) -> Iterator[dict[tuple[str, str], Item]]:
        """What is in both tables."""
        client = self._engine.client()
        for name in ("plain", "late"):
            pages = client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
            yield {address(item): item for page in pages for item in page["Items"]}


@pytest.mark.parametrize("seed", ["a", "b"])
def test_late_reads_change_nothing_that_is_written(seed: str) -> None:
    with Twins(seed, LAG) as twins:
        twins.play(CALLS)
        assert twins.lag.late > 5
        twins.lag.settle()
        for kind in FROM_AN_INDEX:
            twins.both(Step(kind, {}))
        plain, late = twins.tables()
    assert {at: item for at, item in plain.items() if late.get(at) != item} == {}
    assert late.keys() == plain.keys()


def test_without_strong_reads_it_would() -> None:
    """The test above can fail: with every read late, the tables differ."""
    with Twins("a", LAG, all_reads=True) as twins:
        twins.play(CALLS // 3)
        plain, late = twins.tables()
    assert plain != late
