"""``scripts/fuzz``: test every parser of foreign data with a million damaged inputs.

Each input is made from the seed and its number, so the same command makes the same inputs. An
input that is neither read nor refused with a typed error is a failure: it is kept in a file, the
command to run it again is printed, and the exit code is 1.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fuzzing.corpus import stored_items, theatre
from fuzzing.methods import Cursors, Methods
from fuzzing.parsers import Parser, readings
from fuzzing.running import Failure, Tally, fuzz, judged, load, shares


def main(arguments: list[str] | None = None) -> int:
    """Fuzz as the arguments say. Returns 1 if an input raised an untyped error."""
    options = _parser().parse_args(arguments)
    console = Console()
    logging.getLogger("dynamo_chat").setLevel(logging.CRITICAL)  # it tells every failed record
    with console.status("running every scenario of the catalogue, to collect items"):
        parsers = all_parsers()
    if options.replay is not None:
        return _replay(options.replay, parsers, console)
    if options.parser:
        unknown = set(options.parser) - {each.name for each in parsers}
        if unknown:
            console.print(f"no parser {', '.join(sorted(unknown))}; there are:")
            console.print(", ".join(each.name for each in parsers))
            return 2
        parsers = [each for each in parsers if each.name in options.parser]
    tallies = _run(parsers, options, console)
    console.print(_table(tallies, options.seed))
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures:
        _tell(failure, options.failures, console)
    total = sum(tally.inputs for tally in tallies)
    untyped = sum(tally.outcomes["UNTYPED"] for tally in tallies)
    console.print(f"{total:,} inputs, {untyped:,} untyped, seed {options.seed}")
    return 1 if untyped else 0


def all_parsers(methods: tuple[str, ...] = ()) -> list[Parser]:
    """Every parser, on the items of the scenarios of these methods, or of all."""
    stage = theatre(methods)
    return [
        *readings(stored_items(stage)),
        Cursors(stage),
        Methods(stage),
    ]


def _run(parsers: list[Parser], options: argparse.Namespace, console: Console) -> list[Tally]:
    seconds = options.minutes * 60 if options.minutes else float("inf")
    tallies = []
    with Progress(console=console, transient=True) as progress:
        for parser, share in shares(parsers, options.inputs):
            task = progress.add_task(parser.name, total=share)
            tallies.append(
                fuzz(
                    parser,
                    range(options.start, options.start + share),
                    options.seed,
                    until=time.monotonic() + seconds * share / options.inputs,
                    step=lambda done, task=task: progress.update(task, completed=done),  # type: ignore[misc]
                )
            )
    return tallies


def _replay(path: Path, parsers: list[Parser], console: Console) -> int:
    name, made = load(path)
    (parser,) = (each for each in parsers if each.name == name)
    outcomes: Counter[str] = Counter()
    failed = judged(parser, made, outcomes)
    console.print(failed or f"{name}: {', '.join(outcomes)}", markup=False)
    return 1 if failed else 0


def _tell(failure: Failure, folder: Path, console: Console) -> None:
    path = failure.save(folder)
    console.print(f"\n{failure.parser}: {failure.what}", style="bold red", markup=False)
    console.print(failure.error, markup=False)
    console.print(f"again: scripts/fuzz --replay {path}", markup=False)


def _table(tallies: list[Tally], seed: int) -> Table:
    table = Table(title=f"Fuzzing, seed {seed}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("parser", "inputs", "a second", "outcomes"):
        table.add_column(heading, justify="left" if heading in {"parser", "outcomes"} else "right")
    for tally in tallies:
        said = ", ".join(f"{name} {count:,}" for name, count in tally.outcomes.most_common())
        speed = f"{tally.inputs / tally.seconds:,.0f}" if tally.seconds else "–"
        table.add_row(tally.parser, f"{tally.inputs:,}", speed, said)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument(
        "--inputs", type=int, default=1_000_000, help="the total number of inputs (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the seed of the inputs (%(default)s)")
    parser.add_argument("--start", type=int, default=0, help="the number of the first input")
    parser.add_argument(
        "--minutes", type=float, help="stop after this many, shared as the inputs are"
    )
    parser.add_argument(
        "--parser", action="append", metavar="NAME", help="only this parser; may be repeated"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one kept input again")
    parser.add_argument(
        "--failures",
        type=Path,
        default=Path("fuzz-failures"),
        metavar="FOLDER",
        help="the folder for inputs that fail (%(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
