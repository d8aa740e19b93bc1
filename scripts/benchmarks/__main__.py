"""``scripts/bench``: measure dynamo_chat's costs, as tables and, with ``--json``, as data."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import (
    adapters,
    appends,
    archive,
    awaiting,
    capacity,
    cpu,
    imports,
    inputs,
    matching,
    memory,
    migration,
    soak,
)

Rows = list[dict[str, object]]

TITLES = {
    "cpu": "Client CPU per operation, with canned responses (messages of 1,000 characters)",
    "async": "50 tasks, on a server that takes 5 or 20 ms; ratios of dynamo_chat to each",
    "soak": "An event loop under 10,000 mixed operations, some cancelled, on a ministack server",
    "capacity": "Requests / write units / read units by size of the conversation",
    "memory": "Memory while listing 200,000 conversations page by page",
    "imports": "CPU time of imports, and of a first call with its import",
    "matching": "Concurrent matchers that empty a queue of 400 callers",
    "fairness": "How many earlier callers a matched caller overtakes, by shards",
    "inputs": "CPU time of hostile input, for each argument of every method",
    "migration": "Bringing in old tables of each document, with 8 workers",
    "archive": "Exporting and restoring a whole store, with 4 segments and 4 workers",
    "adapters": "A turn, and reading the latest, through frameworks, beside stores of their own",
    "appends": "Write units of appending 1,000 characters, by design, and of streamed answers",
}


def main() -> int:
    """Measure the requested parts and print them."""
    options = _parser().parse_args()
    console = Console()
    parts: Mapping[str, Callable[[], Rows]] = {
        "cpu": lambda: cpu.measure(options.rounds, options.seconds),
        "async": lambda: awaiting.measure(options.rounds),
        "soak": lambda: soak.measure(options.endpoint),
        "capacity": lambda: capacity.measure(options.endpoint),
        "memory": memory.measure,
        "imports": lambda: imports.measure(options.rounds),
        "matching": lambda: matching.contention(options.endpoint),
        "fairness": lambda: matching.fairness(options.endpoint),
        "inputs": inputs.measure,
        "migration": lambda: migration.measure(options.endpoint),
        "archive": lambda: archive.measure(options.endpoint),
        "adapters": lambda: adapters.measure(options.endpoint),
        "appends": appends.measure,  # last: it brings moto into the process
    }
    results: dict[str, Rows] = {}
    for name in options.parts or parts:
        with console.status(f"measuring: {name}"):
            results[name] = parts[name]()
        console.print(_table(name, results[name]))
    if options.json:
        report = {"on": _machine(), **results}
        options.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return 0


def _table(name: str, rows: Rows) -> Table:
    """The rows as a table. A first cell that repeats the row above is left empty."""
    caption = None
    if name == "capacity":
        rows, caption = capacity.table_rows(rows), capacity.caption()
    if name == "inputs":
        rows, caption = inputs.table_rows(rows), inputs.caption(rows)
    table = Table(title=TITLES[name], caption=caption, title_justify="left", box=box.SIMPLE_HEAD)
    for heading, value in rows[0].items():
        table.add_column(heading, justify="left" if isinstance(value, str) else "right")
    above: object = None
    for row in rows:
        first, *rest = row.values()
        if above not in {None, first}:
            table.add_section()
        table.add_row("" if first == above else str(first), *map(_shown, rest))
        above = first
    return table


def _shown(value: object) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
    return str(value)


def _machine() -> dict[str, str]:
    names = ("dynamo_chat", "pynamodb", "botocore", "pydantic")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parts = f"{', '.join(TITLES)}; all by default"
    parser.add_argument("parts", nargs="*", choices=[*TITLES, []], metavar="PART", help=parts)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the numbers to this file"
    )
    parser.add_argument(
        "--rounds", type=int, default=15, help="rounds of each contender (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="CPU seconds of one round (%(default)s)"
    )
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="measure what needs a server there, instead of on a new ministack server",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
