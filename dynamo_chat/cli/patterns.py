"""``dynamo-chat patterns``: list the access patterns, and measure what each method costs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding

from dynamo_chat.cases.playing import Measurement, Played, measure_all
from dynamo_chat.cases.table import UNPROTECTED
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.cli.console import WIDE, Text, output, print_json, table, units
from dynamo_chat.cli.target import (
    EndpointOption,
    RegionOption,
    StoreOption,
    Target,
    store_class,
)
from dynamo_chat.store import StoreFactory


def patterns(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with an object per method.")
    ] = False,
    measured: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Run every method, count its requests and capacity, and compare with its budget.",
        ),
    ] = False,
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", help="Only this domain, such as chat; may be repeated."),
    ] = None,
    endpoint_url: EndpointOption = None,
    table_name: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help="Measure on this table, which must exist and is left unchanged; by default "
            "on a temporary table.",
        ),
    ] = None,
    region: RegionOption = None,
    store: StoreOption = None,
) -> None:
    """List the access patterns: the method of each, and the requests that it sends.

    With --measure every method is run, on the embedded engine unless an endpoint or a table is
    named; there, backups, restores and exports are left out. The exit code is 1 if a method sends
    more requests than its budget, uses an undeclared index, scans or filters.
    """
    made = store_class(store)
    entries = _chosen(catalogue(made), domain)
    if not measured:
        if endpoint_url or table_name:
            raise typer.BadParameter("--endpoint-url and --table need --measure")
        _show_entries(entries, as_json=as_json)
        return
    target = Target(
        table=table_name or f"dynamo-chat-measure-{uuid.uuid4().hex}",
        endpoint_url=endpoint_url,
        region=region,
        is_embedded=endpoint_url is None and table_name is None,
        made=made,
    )
    if not target.is_embedded:
        # Outside the embedded engine, a restore takes very long, and an export needs a bucket.
        entries = [entry for entry in entries if entry.id != "T5"]
    with target.opened() as factory, _ready(factory, is_kept=table_name is not None):
        measurements = _run(factory, entries)
    _show_measurements(measurements, as_json=as_json)
    if any(measurement.problems for measurement in measurements):
        raise typer.Exit(1)


def _chosen(entries: Sequence[Entry], domains: Sequence[str] | None) -> list[Entry]:
    known = {entry.domain for entry in entries}
    unknown = set(domains or ()) - known
    if unknown:
        raise typer.BadParameter(
            f"--domain {', '.join(sorted(unknown))}: must be one of {', '.join(sorted(known))}"
        )
    return [entry for entry in entries if not domains or entry.domain in domains]


@contextmanager
def _ready(factory: StoreFactory, *, is_kept: bool) -> Iterator[None]:
    """The table to measure on: an existing one, or a temporary one."""
    store = factory()
    if is_kept:
        store.table.wait()
        yield
        return
    store.table.create(UNPROTECTED)
    try:
        yield
    finally:
        store.connection.client.delete_table(TableName=store.connection.table_name)


def _run(factory: StoreFactory, entries: Sequence[Entry]) -> list[Measurement]:
    """Measure, and show the progress on a terminal."""
    console = output(stderr=True)
    measurements = []
    with console.status("measuring …") as status:
        for measurement in measure_all(factory, entries):
            measurements.append(measurement)
            entry = measurement.entry
            status.update(Text(f"measuring … {entry.id} {entry.method}"))
    return measurements


# -- showing ------------------------------------------------------------------------------------


def _show_entries(entries: Sequence[Entry], *, as_json: bool) -> None:
    if as_json:
        print_json([entry.as_dict() for entry in entries])
        return
    console = output()
    for entry in entries:
        console.print(
            Text.assemble(
                (f"{entry.id:<5}", "bold"), (entry.method, "cyan"), f"  {entry.description}"
            )
        )
        how = f"{entry.index} · {entry.operation} · requests: {entry.requests}"
        console.print(Padding(Text(how, style="dim"), (0, 0, 0, 5)))


def _show_measurements(measurements: Sequence[Measurement], *, as_json: bool) -> None:
    if as_json:
        print_json([measurement.as_dict() for measurement in measurements])
        return
    console = output()
    numbers = ("requests", "of", "WCU", "RCU")
    more = ("operations",) if console.width >= WIDE else ()
    shown = table(
        *("id", "method", "case", *numbers, *more), numbers=numbers, wrapping=("case", *more)
    )
    for measurement in measurements:
        entry = measurement.entry
        names = [Text(entry.id, style="bold"), Text(entry.method, style="cyan")]
        for played in measurement.cases:
            shown.add_row(*names, *list(_case_row(played))[: len(numbers) + 1 + len(more)])
            names = [Text(), Text()]
        if not measurement.cases:
            shown.add_row(*names, Text("not measured", style="red"))
    console.print(shown)
    _summary(console, measurements)


def _case_row(played: Played) -> Iterator[Text]:
    taken, budget = played.taken, played.budget
    yield Text(played.case.label, style="dim")
    yield Text(str(taken.requests), style="red" if taken.requests > budget else "green")
    yield Text(str(budget), style="dim")
    yield Text(units(taken.wcu))
    yield Text(units(taken.rcu))
    yield Text(_counted(taken.operations), style="dim")


def _counted(operations: Sequence[str]) -> str:
    """The requests as in ``Query (4), BatchGetItem``, in the order of their first use."""
    return ", ".join(
        operation if operations.count(operation) == 1 else f"{operation} ({count})"
        for operation in dict.fromkeys(operations)
        if (count := operations.count(operation))
    )


def _summary(console: Console, measurements: Sequence[Measurement]) -> None:
    wrong = [measurement for measurement in measurements if measurement.problems]
    console.print()
    for measurement in wrong:
        for problem in measurement.problems:
            line = Text(f"{measurement.entry.id} {measurement.entry.method}: {problem}")
            line.stylize("red")
            console.print(line, soft_wrap=True)
    if wrong:
        console.print(f"{len(wrong)} of {len(measurements)} methods exceed what they declare.")
    else:
        console.print(
            f"{len(measurements)} methods in {sum(len(each.cases) for each in measurements)} "
            "cases: all within their budgets, no Scan, no filter, no index that is not declared."
        )
