"""Storms: four servers delete one id at the same moment, create it again, and add to it.

A server is a thread with its own store. A fifth of its requests wait for up to 200 ms, so that the
servers overtake each other between two steps. A round is one storm over each kind of item; the
checks of `lives` find what was lost or left behind.

    idle     a sliding conversation that has expired: create, append
    talk     delete, create, append, review
    user     delete, sign up, open a login, record an activity, join a club
    firm     delete, found, add members, invite
    thread   delete, add e-mails
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dynamo_chat import ChatStore
from dynamo_chat.testing import Engine, Lag
from proof import faults
from proof.bugs import planted
from proof.domains.life_names import HOSTS, LIFE
from proof.domains.lives import OWNERS, adding, anew, ending, look
from proof.evidence import Violation
from proof.faults import ShiftedClock
from proof.history import Recorder
from proof.judge import shortened
from proof.rounds import Outcome, judged
from proof.steps import Args, Dice, Step
from proof.worker import Runner

SERVERS: Final = 4
SLOW: Final = 0.2
"""The share of requests that wait."""
TROUBLE: Final = 0.3
"""How often requests fail otherwise, as in a round of the proof."""
BATCH: Final = 10
"""The number of rounds on one table: tables stay small."""
AT_ONCE: Final = 2
"""How many storms run at the same time: more would only slow each other down."""
A_DAY: Final = 86_400
SLIDES: Final = 300
"""Seconds after which a sliding conversation is idle."""
LONG_AGO: Final = timedelta(minutes=8)
"""How long ago the idle conversations were made: longer than that, and not yet swept."""
FEW: Final = ((3, 0),)
MANY: Final = ((30, 0),) * 4
LONG: Final = ((20, 35_000),) * 3
"""The turns that exist before a storm: the number and the size of their messages. With few turns,
others finish before a slow server reads; many are too many for one transaction, and long ones are
too large for one page of a query."""

HANDS: Final = (*HOSTS, *(f"{LIFE}hand-{number}" for number in range(52)))
"""The users who are members of short-lived organizations: too many for one transaction."""
NOW: Final = timedelta()
SKEWS: Final = tuple(timedelta(seconds=each) for each in (0.0, 0.3, -0.3))
"""How far the clocks of the servers are wrong, in turn."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One kind of storm."""

    kind: str
    before: Callable[[Args, Dice], Iterator[Step]]
    """What exists when it begins."""
    is_idle: bool = False
    """True if that has expired, so that nobody needs to delete it."""

    def script(self, about: Args, dice: Dice) -> Iterator[Step]:
        """What one server does."""
        if not self.is_idle:
            yield ending(self.kind, about)
        made = anew(self.kind, about, dice.fresh("life"), dice)
        yield Step(made.kind, made.args | {"slides": A_DAY}) if self.is_idle else made
        for _ in range(4):
            yield from adding(self.kind, about, dice, _club(about))
            yield look(self.kind, about)


def _club(about: Args) -> str:
    """The organization that outlives every storm; the lives of a user join it."""
    return f"{LIFE}club-of-{about.get('user')}"


def _talk(about: Args, dice: Dice) -> Iterator[Step]:
    yield Step("lives.create", about | {"life": dice.fresh("life"), "user": OWNERS[0]})
    for messages, size in dice.choice([FEW, FEW, FEW, FEW, MANY, LONG]):
        ids = [dice.fresh("m") for _ in range(messages)]
        yield Step("lives.fill", about | {"ids": ids, "size": size})
    yield Step("lives.review", about | {"id": dice.fresh("review")})


def _idle(about: Args, dice: Dice) -> Iterator[Step]:
    for step in _talk(about, dice):
        is_made = step.kind == "lives.create"
        yield Step(step.kind, step.args | {"slides": SLIDES}) if is_made else step


def _user(about: Args, dice: Dice) -> Iterator[Step]:
    yield Step("lives.found", {"firm": _club(about), "life": _club(about)})
    yield Step("lives.sign_up", about | {"life": dice.fresh("life")})
    for _ in range(dice.choice([1, 1, 1, 27])):
        yield Step("lives.login", about | {"id": dice.secret("login")})
    yield Step("lives.record", about | {"id": dice.fresh("did")})


def _firm(about: Args, dice: Dice) -> Iterator[Step]:
    yield Step("lives.found", about | {"life": dice.fresh("life")})
    for hand in HANDS[1 : dice.choice([3, 3, 3, len(HANDS)])]:
        yield Step("lives.hire", about | {"id": hand})


def _thread(about: Args, dice: Dice) -> Iterator[Step]:
    for _ in range(dice.choice([2, 2, 2, 36])):
        yield Step("lives.mail", about | {"id": dice.fresh("mail")})


STORMS: Final = {
    "idle": Storm("talk", _idle, is_idle=True),
    "talk": Storm("talk", _talk),
    "user": Storm("user", _user),
    "firm": Storm("firm", _firm),
    "thread": Storm("thread", _thread),
}


@dataclass(slots=True)
class Weather:
    """The results of the storms."""

    rounds: int = 0
    seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    """The number of calls, by their outcome."""
    faults: Counter[str] = field(default_factory=Counter)
    spoiled: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in STORMS})
    """The ids after which something was wrong, by kind of storm."""
    violations: list[tuple[str, Violation]] = field(default_factory=list)

    def add(self, rounds: int, outcome: Outcome) -> None:
        """Add the results of more rounds."""
        self.rounds += rounds
        for (_, how), count in outcome.operations.items():
            self.operations[how] += count
        self.faults.update(outcome.faults)
        self.violations += outcome.violations
        for _, violation in outcome.violations:
            for name, ids in self.spoiled.items():
                if violation.about.startswith(f"{LIFE}{name}-"):
                    ids.add(violation.about)

    @property
    def losses(self) -> int:
        """The number of storms after which something was wrong."""
        return sum(map(len, self.spoiled.values()))

    def line(self) -> str:
        """The results so far, in a line."""
        spoiled = ", ".join(f"{name} {len(ids)}" for name, ids in self.spoiled.items())
        return (
            f"{self.rounds} rounds, {self.operations.total():,} operations, "
            f"{self.faults.total():,} faults, {len(self.violations)} violations "
            f"({self.seconds:.0f} s); rounds that lost or kept something: {spoiled}"
        )

    def data(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {
            "rounds": self.rounds,
            "seconds": round(self.seconds),
            "operations": dict(self.operations),
            "faults": dict(self.faults),
            "spoiled": {name: sorted(ids) for name, ids in self.spoiled.items()},
            "violations": [f"{name}: {text}" for name, text in self.violations],
        }


class Storms:
    """Rounds of storms on one engine, which processes or at least threads can share."""

    def __init__(
        self, engine: Engine, seed: str, bug: str | None = None, lag: timedelta = NOW
    ) -> None:
        self._engine = engine
        self._seed = seed
        self._bug = bug
        self._lag = lag
        """How far the servers' reads are behind."""

    def blow(self, rounds: int, told: Callable[[str], None] = lambda _: None) -> Weather:
        """Run this many rounds. Returns the results; calls `told` with a line from time to time."""
        weather = Weather()
        for first in range(0, rounds, BATCH):
            started = time.monotonic()
            count = min(BATCH, rounds - first)
            outcome = self._batch(range(first, first + count))
            weather.seconds += time.monotonic() - started
            weather.add(count, outcome)
            told(weather.line())
            for name, violation in shortened(outcome.violations):
                told(f"\n{name}: {violation}\n")
            outcome.forget()
        return weather

    def _batch(self, numbers: range) -> Outcome:
        """Run several rounds on one table, and judge them."""
        seed = f"{self._seed}/{numbers.start}"
        ahead = faults.to_noon(random.Random(seed))
        table = f"storm-{os.getpid()}-{numbers.start}"
        store = self._engine.store(table, clock=ShiftedClock(ahead))
        folder = Path(tempfile.mkdtemp(prefix=f"{table}-"))
        with ExitStack() as stack:
            stack.enter_context(planted(self._bug))
            lag = stack.enter_context(Lag(self._lag, seed=zlib.crc32(seed.encode())))
            site = _Site(self._engine, store, folder, ahead, stack, lag if self._lag else None)
            host = site.server("host")
            for name in HANDS:
                host.insist(Step("lives.sign_up", {"user": name, "life": name}))
            crews = [_Crew(name, site, f"{seed}/{name}") for name in STORMS]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for done in [pool.submit(crew.rounds, numbers) for crew in crews]:
                    done.result()
        return judged(store, folder)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where servers run: their table, and the folder of their histories."""

    engine: Engine
    store: ChatStore
    folder: Path
    ahead: timedelta
    stack: ExitStack
    lag: Lag | None

    def server(self, name: str, *, off: timedelta = timedelta(), seed: str = "") -> Runner:
        """A server with its own store, whose clock is `off`; with a seed, its requests fail."""
        clock = ShiftedClock(self.ahead + off)
        store = self.engine.store(self.store.connection.table_name, clock=clock, lag=self.lag)
        recorder = Recorder(self.folder / f"{name}.jsonl", name)
        self.stack.callback(recorder.close)
        if seed:
            client = store.connection.client
            self.stack.enter_context(faults.troubled(client, seed, TROUBLE, slow=SLOW, fatal=False))
        return Runner(store, recorder, clock)


class _Crew:
    """Four servers that run one kind of storm again and again."""

    def __init__(self, name: str, site: _Site, seed: str) -> None:
        self._name = name
        self._storm = STORMS[name]
        self._seed = seed
        self._before = site.server(f"{name}-before", off=-LONG_AGO if self._storm.is_idle else NOW)
        self._servers = [
            site.server(f"{name}-{number}", off=SKEWS[number % len(SKEWS)], seed=f"{seed}/{number}")
            for number in range(SERVERS)
        ]

    def rounds(self, numbers: Iterable[int]) -> None:
        """Run a storm for each number, each over its own id."""
        with ThreadPoolExecutor(SERVERS) as pool:
            for number in numbers:
                self._round(f"{LIFE}{self._name}-{number}", pool)

    def _round(self, name: str, pool: ThreadPoolExecutor) -> None:
        about = {self._storm.kind: name}
        dice = Dice(self._seed, f"{name}.before")
        for step in self._storm.before(about, dice):
            self._before.insist(step)
        together = threading.Barrier(SERVERS)

        def serve(number: int) -> None:
            steps = list(self._storm.script(about, Dice(self._seed, f"{name}.{number}")))
            together.wait()
            for step in steps:
                self._servers[number].run(step)

        list(pool.map(serve, range(SERVERS)))
