"""A round: a fresh table, worker processes that use it, and the judgement.

Tables are small because the server is slow on large ones. So a run is many rounds, each on its own
table, each with its own names and dice: ``SEED/NUMBER`` is all that its plans depend on.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dynamo_chat import ChatStore
from dynamo_chat.testing import Engine, MinistackServer
from proof import faults, history
from proof.domains import chosen
from proof.domains.common import tally
from proof.evidence import Violation, read_evidence
from proof.judge import judge
from proof.steps import Step
from proof.worker import Runner, Setting, work

SCRIPTS: Final = Path(__file__).resolve().parents[1]
SKEWS: Final = (0.0, 0.3, -0.3)
"""How many seconds the clocks of the worker processes are wrong, in turn."""
STEPS_TO_CALLS: Final = 1.5
"""The average number of calls in a step."""
GRACE: Final = 120.0
"""How long a worker may take to finish its last calls, in seconds."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a round is."""

    seed: str
    processes: int
    threads: int
    seconds: float
    operations: int
    """About how many operations at most: it keeps the table small."""
    domains: Sequence[str]
    kills: int = 1
    restarts: int = 1
    faults: float = 1.0
    strict: bool = True
    bug: str | None = None
    lag: float = 0.0
    """How many seconds reads are behind; then there is one process."""


@dataclass(slots=True)
class Outcome:
    """The result of a round."""

    operations: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of calls, by kind and outcome."""
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, Violation]] = field(default_factory=list)
    undecided: int = 0
    histories: int = 0
    items: int = 0
    seconds: float = 0.0
    folder: Path | None = None
    """Where the histories are. They are kept only if something was found."""

    @property
    def calls(self) -> int:
        """The number of operations."""
        return self.operations.total()

    def forget(self) -> None:
        """Delete the histories."""
        if self.folder is not None:
            shutil.rmtree(self.folder)
            self.folder = None


class Arena:
    """Where rounds run: an engine, and its server if it is ours to restart."""

    def __init__(self, engine: Engine, server: MinistackServer | None = None) -> None:
        self.engine = engine
        self.server = server

    def round(self, number: int, scale: Scale) -> Outcome:
        """Run one round. Its histories are deleted if nothing was found."""
        started = time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix=f"prove-{number}-"))
        try:
            outcome = _Round(self, number, scale, folder).run()
        except BaseException:
            shutil.rmtree(folder)
            raise
        outcome.seconds = time.monotonic() - started
        if not outcome.violations:
            outcome.forget()
        return outcome


class _Round:
    def __init__(self, arena: Arena, number: int, scale: Scale, folder: Path) -> None:
        self._arena = arena
        self._scale = scale
        self._folder = folder
        self._seed = f"{scale.seed}/{number}"
        self._dice = random.Random(f"{self._seed}/chaos")
        self._ahead = faults.to_noon(self._dice).total_seconds()
        self._store = self._made_store(f"prove-{os.getpid()}-{number}")
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._restarts: list[tuple[float, float]] = []
        self._kills = 0
        self._forks = 0
        self._found: list[tuple[str, Violation]] = []

    def run(self) -> Outcome:
        domains = chosen(self._scale.domains)
        self._quietly("setup", [step for domain in domains for step in domain.setup()])
        deadline = time.monotonic() + self._scale.seconds
        if self._arena.server is None:
            self._in_this_process(deadline)
        else:
            self._let_loose(deadline)
        calls = history.read(self._folder)
        self._quietly("end", [step for domain in domains for step in domain.settle(calls)])
        self._forks = len(list(self._folder.glob("*+[12].jsonl")))
        outcome = judged(self._store, self._folder, self._restarts)
        outcome.violations = [*self._found, *outcome.violations]
        outcome.faults["killed process"] = self._kills
        outcome.faults["restarted server"] = len(self._restarts)
        outcome.faults["forked worker"] = self._forks
        return outcome

    # -- who works ------------------------------------------------------------------------------

    def _made_store(self, table: str) -> ChatStore:
        clock = faults.ShiftedClock(timedelta(seconds=self._ahead))
        return self._arena.engine.store(table, clock=clock)

    def _quietly(self, name: str, steps: Iterable[Step]) -> None:
        """Make calls without faults. They are recorded in the history like all others."""
        recorder = history.Recorder(self._folder / f"{name}.jsonl", name)
        clock = faults.ShiftedClock(timedelta(seconds=self._ahead))
        runner = Runner(self._store, recorder, clock)
        for step in steps:
            runner.insist(step)
        recorder.close()

    def _setting(self, name: str, number: int, deadline: float) -> Setting:
        scale = self._scale
        workers = scale.processes * scale.threads
        return Setting(
            name=name,
            seed=self._seed,
            table=self._store.connection.table_name,
            region=self._arena.engine.region,
            endpoint=self._arena.engine.endpoint_url,
            history=str(self._folder / f"{name}.jsonl"),
            threads=scale.threads,
            steps=max(1, round(scale.operations / workers / STEPS_TO_CALLS)),
            deadline=deadline,
            ahead=self._ahead + SKEWS[number % len(SKEWS)],
            domains=list(scale.domains),
            faults=scale.faults,
            strict=scale.strict and number == 0,
            bug=scale.bug,
            forks=number == scale.processes - 1 and not scale.lag and hasattr(os, "fork"),
            lag=scale.lag,
        )

    def _in_this_process(self, deadline: float) -> None:
        """Run all threads in this process, for an engine that no other process can reach."""
        for text in work(self._setting("p0", 0, deadline), self._store):
            self._found.append(("requests", Violation("DynamoDB would reject", text)))

    def _let_loose(self, deadline: float) -> None:
        """Start the workers, disturb them, and wait until they are done."""
        try:
            self._watch(deadline)
        finally:  # who interrupts the run must not leave its workers behind
            for process in self._running.values():
                _kill_all(process)
                process.wait()

    def _watch(self, deadline: float) -> None:
        for number in range(self._scale.processes):
            self._start(f"p{number}", number, deadline)
        for moment, trouble in self._troubles():
            while time.monotonic() < moment and self._anybody():
                time.sleep(0.05)
            if not self._anybody():
                break
            if trouble == "restart":
                self._restart()
            else:
                self._kill(deadline)
        for name, process in list(self._running.items()):
            self._reap(name, process, deadline)

    def _troubles(self) -> list[tuple[float, str]]:
        """The times at which something happens to a process, drawn at random."""
        start = time.monotonic()
        names = ["kill"] * self._scale.kills + ["restart"] * self._scale.restarts
        return sorted(
            (start + self._dice.uniform(0.25, 0.85) * self._scale.seconds, name) for name in names
        )

    def _start(self, name: str, number: int, deadline: float) -> None:
        setting = self._setting(name, number, deadline)
        path = os.pathsep.join([str(SCRIPTS), os.environ.get("PYTHONPATH", "")])
        self._running[name] = subprocess.Popen(
            [sys.executable, "-m", "proof.worker", setting.to_json()],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _anybody(self) -> bool:
        return any(process.poll() is None for process in self._running.values())

    def _kill(self, deadline: float) -> None:
        """Kill a worker, and start another with plans of its own."""
        name = self._dice.choice(sorted(self._running))
        process = self._running.pop(name)
        if process.poll() is not None:
            self._running[name] = process
            return
        _kill_all(process)
        process.communicate()
        self._kills += 1
        number = int(name[1:].split("-", maxsplit=1)[0])
        self._start(f"p{number}-{self._kills}", number, deadline)

    def _restart(self) -> None:
        server = self._arena.server
        if server is not None:
            down = time.monotonic()
            server.restart()
            self._restarts.append((down, time.monotonic()))

    def _reap(self, name: str, process: subprocess.Popen[str], deadline: float) -> None:
        patience = max(0.0, deadline - time.monotonic()) + GRACE
        try:
            _, said = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            _kill_all(process)
            _, said = process.communicate()
            said = f"it did not stop\n{said}"
        if process.returncode:
            what = "DynamoDB would reject" if process.returncode == 3 else f"{name} failed"
            self._found.append(("requests", Violation(what, said[-2_000:])))


def _kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a worker and the children that it forked: its whole session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def judged(store: ChatStore, folder: Path, restarts: Sequence[tuple[float, float]] = ()) -> Outcome:
    """Judge the histories in `folder` and the store's table. Deletes the table."""
    outcome = Outcome(folder=folder)
    calls = history.read(folder)
    client: Any = store.connection.client
    table = store.connection.table_name
    evidence = read_evidence(client, table, calls, restarts)
    client.delete_table(TableName=table)
    tally.clear()
    outcome.violations = judge(evidence)
    outcome.histories, outcome.undecided = tally["histories"], tally["undecided"]
    outcome.items = len(evidence.items)
    for call in calls:
        outcome.operations[call.kind, call.outcome] += 1
        outcome.faults.update(call.faults)
    return outcome
