"""The results of a run: lines while it runs, a table at the end, and JSON data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from proof.judge import shortened
from proof.rounds import Outcome


@dataclass(slots=True)
class Total:
    """The sum of several rounds."""

    seed: str
    rounds: int = 0
    operations: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    undecided: int = 0
    histories: int = 0
    largest: int = 0
    """The number of items in the largest table."""

    @property
    def calls(self) -> int:
        """The number of operations."""
        return self.operations.total()

    @property
    def injected(self) -> int:
        """The number of faults."""
        return self.faults.total()

    def worked(self, domain: str) -> bool:
        """True if anything was called in this domain."""
        return any(kind.startswith(f"{domain}.") for kind, _ in self.operations)

    def add(self, number: int, outcome: Outcome) -> None:
        """Add a round."""
        self.rounds += 1
        self.operations.update(outcome.operations)
        self.faults.update(outcome.faults)
        self.undecided += outcome.undecided
        self.histories += outcome.histories
        self.largest = max(self.largest, outcome.items)
        self.violations += [f"round {number}, {name}: {text}" for name, text in outcome.violations]

    def data(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {
            "seed": self.seed,
            "rounds": self.rounds,
            "operations": self.calls,
            "by_kind": _by_kind(self.operations),
            "faults": dict(self.faults),
            "histories": self.histories,
            "undecided": self.undecided,
            "largest_table": self.largest,
            "violations": self.violations,
        }


@dataclass(slots=True)
class Hunt:
    """The search for a planted bug."""

    name: str
    what: str
    rounds: int = 0
    calls: int = 0
    caught: Counter[str] = field(default_factory=Counter)
    """How often each check found it."""

    def line(self) -> str:
        """A line of progress."""
        by = ", ".join(self.caught) or "NOTHING"
        return f"{self.name}: caught by {by} ({self.calls:,} operations, {self.rounds} rounds)"

    def data(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {"bug": self.name, "rounds": self.rounds, "operations": self.calls} | {
            "caught_by": dict(self.caught)
        }


def line(number: int, outcome: Outcome) -> str:
    """The result of a round, with its violations."""
    said = (
        f"round {number}: {outcome.calls:,} operations, {outcome.faults.total():,} faults, "
        f"{outcome.items:,} items, {len(outcome.violations)} violations "
        f"({outcome.seconds:.0f} s)"
    )
    for name, violation in shortened(outcome.violations):
        said += f"\n\n{name}: {violation}"
    if outcome.violations:
        said += f"\n\nthe histories are in {outcome.folder}"
    return said


def table(total: Total, seconds: float) -> str:
    """The result of a run, as a table."""
    calls = Table("operation", title="Operations", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("acknowledged", "refused", "unknown"):
        calls.add_column(heading, justify="right")
    for kind, outcomes in _by_kind(total.operations).items():
        cells = [f"{outcomes.get(each, 0):,}" for each in ("ok", "refused", "unknown")]
        calls.add_row(kind, *cells)
    troubles = Table("fault", title="Faults", title_justify="left", box=box.SIMPLE_HEAD)
    troubles.add_column("", justify="right")
    for name, count in sorted(total.faults.items()):
        troubles.add_row(name, f"{count:,}")
    sums = Table(title="Result", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    sums.add_column()
    sums.add_column(justify="right")
    for name, value in (
        ("seed", total.seed),
        ("minutes", f"{seconds / 60:.1f}"),
        ("rounds", f"{total.rounds:,}"),
        ("operations", f"{total.calls:,}"),
        ("faults", f"{total.faults.total():,}"),
        ("largest table, items", f"{total.largest:,}"),
        ("single-item histories", f"{total.histories:,}"),
        ("undecided histories", f"{total.undecided:,}"),
        ("violations", f"{len(total.violations):,}"),
    ):
        sums.add_row(name, value)
    return _drawn(calls, troubles, sums)


def bugs(hunts: Sequence[Hunt]) -> str:
    """Which check caught which bug, as a table."""
    found = Table("bug", "what it is", "caught by", box=box.SIMPLE_HEAD)
    found.add_column("operations", justify="right")
    for hunt in hunts:
        found.add_row(hunt.name, hunt.what, ", ".join(hunt.caught) or "NOTHING", f"{hunt.calls:,}")
    return _drawn(found)


def _by_kind(operations: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    kinds: dict[str, dict[str, int]] = defaultdict(dict)
    for (kind, outcome), count in sorted(operations.items()):
        kinds[kind][outcome] = count
    return dict(kinds)


def _drawn(*tables: Table) -> str:
    page = StringIO()
    console = Console(file=page, width=110)
    for each in tables:
        console.print(each)
    return page.getvalue()
