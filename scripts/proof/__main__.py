"""``scripts/prove``: show that nothing is lost, doubled or shown to others, under faults.

Rounds of a mixed workload on a ministack server, from several processes with many threads each,
while requests are throttled, fail, collide and lose their answers, processes are killed and the
server is restarted. Then all that was answered is checked against the table.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from dynamo_chat.testing import Engine, MinistackServer
from proof import report
from proof.bugs import BUGS
from proof.domains import NAMES
from proof.rounds import Arena, Outcome, Scale
from proof.storm import BATCH, Storms

SERVER_HOME: Final = Path(__file__).resolve().parents[2] / ".venv-tools" / "ministack"
QUICK_STORMS: Final = 3
"""Rounds of storms after a quick run."""
QUICK_LAG: Final = 5.0
"""How many seconds the reads of a last storm of a quick run are behind."""
BUG_ROUNDS: Final = 4
"""After this many rounds, a planted bug counts as not found."""
BUG_SECONDS: Final = 90.0
BUG_CALLS: Final = 1_500
"""These end a round of a hunt after some seconds; the time above is for a busy machine."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a run ends: after this many minutes, operations or rounds, whichever comes first."""

    minutes: float
    operations: int | None
    rounds: int | None
    first: int

    def is_over(self, started: float, total: report.Total, number: int) -> bool:
        """True if there is no time, or no need, for another round."""
        left = self.minutes * 60 - (time.monotonic() - started)
        enough = self.operations is not None and total.calls >= self.operations
        done = self.rounds is not None and number >= self.first + self.rounds
        # What is left must be worth the setting up.
        return done or enough or (left < 5 and number > self.first)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested rounds. Returns 1 for a violation, or a planted bug that isn't caught."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # A server's state is the size of its tables, and worth nothing after the run.
    with tempfile.TemporaryDirectory(prefix="prove-state-") as state:
        server = MinistackServer(cache=SERVER_HOME, state=Path(state))
        with server, server.engine() as engine:
            if options.bugs:
                return _bugs(options, engine, server)
            if options.storm:
                return _storm(options, engine, options.storm)
            failed = _run(options, engine, server)
            if not options.quick:
                return failed
            failed = _storm(options, engine, QUICK_STORMS) or failed
            options.lag = options.lag or QUICK_LAG
            return _storm(options, engine, 1) or failed


def _run(options: argparse.Namespace, engine: Engine, server: MinistackServer) -> int:
    scale, bounds = _scale(options), _bounds(options)
    total = report.Total(seed=scale.seed)
    print(f"seed {scale.seed}: {scale.processes} processes of {scale.threads} threads", flush=True)
    started, number = time.monotonic(), bounds.first
    arena = Arena(engine, server)
    while not bounds.is_over(started, total, number):
        left = bounds.minutes * 60 - (time.monotonic() - started)
        asked = replace(scale, seconds=max(2.0, min(scale.seconds, left - 3)))
        if bounds.operations is not None:
            most = bounds.operations - total.calls
            asked = replace(asked, operations=min(scale.operations, most))
        outcome = arena.round(number, asked)
        total.add(number, outcome)
        print(report.line(number, outcome), flush=True)
        number += 1
        if outcome.violations and not options.keep_going:
            break
    print(report.table(total, time.monotonic() - started))
    if options.json:
        options.json.write_text(json.dumps(total.data(), indent=2) + "\n", "utf-8")
    idle = [name for name in scale.domains if not total.worked(name)]
    if idle or not total.injected:
        print(f"nothing was shown: no calls in {idle}, or no faults; run it for longer")
        return 1
    return 1 if total.violations else 0


def _storm(options: argparse.Namespace, engine: Engine, rounds: int) -> int:
    """Run storms over ids that are reused. Returns 1 if something was lost, or left behind."""
    print(f"storms of seed {options.seed}", flush=True)
    lag = timedelta(seconds=options.lag)
    storms = Storms(engine, options.seed, options.bug, lag)
    weather = storms.blow(rounds, partial(print, flush=True))
    if options.json and options.storm:
        options.json.write_text(json.dumps(weather.data(), indent=2) + "\n", "utf-8")
    return 1 if weather.violations else 0


def _bugs(options: argparse.Namespace, engine: Engine, server: MinistackServer) -> int:
    """Plant each bug in turn. Returns 1 if one of them is not caught."""
    arena, rows = Arena(engine, server), []
    for name, bug in BUGS.items():
        if options.bug and name != options.bug:
            continue
        scale = replace(_scale(options), bug=name, domains=[bug.domain], strict=False)
        scale = replace(scale, kills=0, restarts=0, seconds=BUG_SECONDS, operations=BUG_CALLS)
        scale = replace(scale, faults=bug.faults, lag=bug.lag)
        scale = replace(scale, processes=1) if bug.lag else scale
        rows.append(_hunt(arena, name, scale))
        print(rows[-1].line(), flush=True)
    print(report.bugs(rows))
    if options.json:
        options.json.write_text(json.dumps([row.data() for row in rows], indent=2) + "\n", "utf-8")
    return 0 if all(row.caught for row in rows) else 1


def _hunt(arena: Arena, name: str, scale: Scale) -> report.Hunt:
    hunt = report.Hunt(name, BUGS[name].what)
    for number in range(1, BUG_ROUNDS + 1):
        if BUGS[name].in_storms:
            weather = Storms(arena.engine, f"{scale.seed}/{number}", name).blow(BATCH)
            calls, violations = weather.operations.total(), weather.violations
        else:
            outcome: Outcome = arena.round(number, scale)
            calls, violations = outcome.calls, outcome.violations
            outcome.forget()
        hunt.rounds, hunt.calls = number, hunt.calls + calls
        for check, _ in violations:
            hunt.caught[check] += 1
        if hunt.caught:
            break
    return hunt


def _scale(options: argparse.Namespace) -> Scale:
    bug = BUGS.get(options.bug)
    domains = options.domains or ([bug.domain] if bug else NAMES)
    return Scale(
        seed=options.seed,
        processes=1 if options.lag else options.processes,
        threads=options.threads,
        seconds=20.0 if options.quick else options.seconds,
        operations=options.round_operations,
        domains=domains,
        kills=0 if options.lag else 1 if options.quick else 2,
        restarts=1,
        bug=options.bug,
        strict=bug is None,
        lag=options.lag,
    )


def _bounds(options: argparse.Namespace) -> Bounds:
    minutes = options.minutes
    if minutes is None:
        minutes = 0.75 if options.quick else 10.0
    if options.round is not None:
        return Bounds(minutes, options.operations, 1, options.round)
    return Bounds(minutes, options.operations, options.rounds, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/prove",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(name: str, kind: Any, default: Any, text: str) -> None:
        shown = "" if default is None else f" ({default})"
        parser.add_argument(
            name, type=kind, default=default, metavar=name[2].upper(), help=text + shown
        )

    parser.add_argument(
        "--quick", action="store_true", help="run two short rounds, in under two minutes"
    )
    option("--storm", int, None, "run only this many rounds of storms over reused ids")
    option("--minutes", float, None, "stop after this many minutes (10)")
    option("--operations", int, None, "stop after about this many calls of repository methods")
    option("--rounds", int, None, "stop after this many rounds")
    option("--seed", str, secrets.token_hex(4), "the seed of all workers' plans")
    option("--round", int, None, "run only this round of the seed, to replay a failure")
    option("--processes", int, 3, "worker processes")
    option("--threads", int, 5, "threads per process")
    option("--seconds", float, 90.0, "the length of a round")
    option("--lag", float, 0.0, "how many seconds reads may be behind; in one process")
    option("--round-operations", int, 8_000, "the most calls per round, to keep tables small")
    parser.add_argument(
        "--domain", dest="domains", action="append", choices=NAMES, help="run only these"
    )
    parser.add_argument(
        "--bug", choices=sorted(BUGS), metavar="NAME", help=f"plant a bug: {', '.join(BUGS)}"
    )
    parser.add_argument(
        "--bugs", action="store_true", help="plant each bug, and check that it is caught"
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="continue with the next round after a violation"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to this file"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
