"""``dynamo-chat doctor``: find items that break the store's invariants, and repair them."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from dynamo_chat.cli.commands import INTERRUPTED, resumable
from dynamo_chat.cli.console import Text, fail, is_quiet, json_text, kind_style, output, table
from dynamo_chat.cli.files import ForceOption, may_write
from dynamo_chat.cli.private_files import open_private, replace_text
from dynamo_chat.cli.progress import progress_bar
from dynamo_chat.cli.table import TableEndpointOption, TableOption
from dynamo_chat.cli.target import RegionOption, StoreOption, Target, store_class
from dynamo_chat.operations.doctor.doctor import DEFAULT_PAGE_SIZE, Doctor, DoctorOptions, Examined
from dynamo_chat.operations.doctor.findings import CODES, MEANINGS, Finding, Repaired, Report

DEFAULT_RATE: Final = 100.0
SHOWN_FINDINGS: Final = 50


def doctor(  # noqa: PLR0913 - an argument for each option
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    rate: Annotated[
        float,
        typer.Option(metavar="UNITS", help="The most read units a second; 0 for no limit."),
    ] = DEFAULT_RATE,
    page_size: Annotated[int, typer.Option(metavar="ITEMS", help="Items per page of the Scan.")] = (
        DEFAULT_PAGE_SIZE
    ),
    settle: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="The pause between the two checks of an item."),
    ] = 2.0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION",
            help="Continue an interrupted examination from this position of its report.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            dir_okay=False,
            help="Also write the report to this file, as JSON. Only its owner can read it.",
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Show what can be repaired, ask, and repair it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Repair without asking.")] = False,
    keep_file: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            metavar="FILE",
            dir_okay=False,
            help="Before each repair, append the item to this file, as one line of DynamoDB JSON. "
            "Only its owner can read it.",
        ),
    ] = None,
    force: ForceOption = False,
    store_name: StoreOption = None,
) -> None:
    """Find items that break the store's invariants; with --repair, repair them.

    Reads the whole table by a Scan, at a rate that is safe for a table in use. A suspicious item is
    checked twice more before it is reported. Nothing is changed without --repair. Ctrl-C is safe at
    any time. The exit code is 1 if a problem is left, or the table was not read completely.
    """
    if yes and not repair:
        raise typer.BadParameter("--yes needs --repair")
    if repair and not yes and is_quiet():
        raise typer.BadParameter("--quiet with --repair needs --yes")
    may_write("--report", report_file, force=force)
    may_write("--keep", keep_file, force=True)  # it is only appended to
    made = store_class(store_name)
    store = Target(name, endpoint_url, region, made=made).store()
    options = DoctorOptions(
        read_units_per_second=rate or None, page_size=page_size, settle_seconds=settle
    )
    expected = int(store.table.describe().get("ItemCount", 0))
    # If the file can't be written, fail before an hour of reading, not after it.
    if report_file is not None:
        open_private(report_file).close()
    at_work = Doctor(store.connection, options, store=made)
    with progress_bar() as tell:

        def told(now: Examined) -> None:
            found = f"{now.findings:,} findings, {now.read_units:,.0f} read units"
            tell("examining", now.items, expected or None, found)

        report = at_work.examine(start=start, on_progress=told)
    if not as_json:
        _show(report)
    done: list[Repaired] = []
    if repair:
        plan = [each for each in report.findings if each.repair is not None]
        if not as_json:
            _show_plan(plan)
        if plan and report.is_complete and (yes or (not as_json and _is_asked(plan))):
            with resumable("repairs that were made stay; the same command does the others"):
                done = _repair(at_work, plan, keep_file, quiet=as_json)
    told_of = {**report.as_dict(), "repairs": [each.as_dict() for each in done]}
    text = json_text(told_of)
    if as_json:
        typer.echo(text)
    if report_file is not None:
        with open_private(report_file) as reported:
            replace_text(reported, text + "\n")
    settled = sum(each.outcome != "left" for each in done)
    if not report.is_complete:
        raise _interrupted(report.position, output(stderr=as_json))
    if report.unsettled or settled < sum(report.counts.values()):
        raise typer.Exit(1)


def _repair(
    at_work: Doctor, plan: Sequence[Finding], keep_file: Path | None, *, quiet: bool
) -> list[Repaired]:
    console = output()
    kept = None if keep_file is None else open_private(keep_file)

    def keep(item: Any) -> None:
        if kept is not None:
            kept.write(json_text(item, indent=None) + "\n")
            kept.flush()

    def told(repaired: Repaired) -> None:
        if not quiet and repaired.outcome == "left":
            console.print(_line(repaired.finding, f"left: {repaired.says}"), soft_wrap=True)

    try:
        with output(stderr=True).status(f"repairing {len(plan):,} problems …"):
            done = at_work.repair(plan, on_progress=told, keep=keep)
    finally:
        if kept is not None:
            kept.close()
    if not quiet:
        outcomes = Counter(each.outcome for each in done)
        console.print(
            f"{outcomes['repaired']:,} repaired, {outcomes['gone']:,} no longer a problem, "
            f"{outcomes['left']:,} left."
        )
    return done


def _is_asked(plan: Sequence[Finding]) -> bool:
    """Ask on a terminal. Without a terminal, nothing is repaired."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        output().print("Nothing was changed. Add --yes to repair.")
        return False
    return typer.confirm(f"Repair these {len(plan):,} problems?")


def _interrupted(position: str | None, console: Console) -> typer.Exit:
    """Say where to go on. Returns the exit, to be raised."""
    if position is None:
        return fail("interrupted: nothing was read; call it again", INTERRUPTED)
    console.quiet = False
    console.print("To continue:")
    console.print(Text(f"  --start {shlex.quote(position)}"), soft_wrap=True)
    return fail("interrupted: the table was read in part", INTERRUPTED)


# -- showing ------------------------------------------------------------------------------------


def _show(report: Report) -> None:
    console = output()
    console.print(f"{report.items:,} items read, using {report.read_units:,.1f} read units.")
    if report.counts:
        shown = table("problem", "items", "meaning", numbers=("items",))
        for code in CODES:
            if report.counts[code]:
                shown.add_row(code, f"{report.counts[code]:,}", MEANINGS[code])
        console.print(shown)
        for each in report.findings[:SHOWN_FINDINGS]:
            console.print(_line(each, each.says), soft_wrap=True)
        more = sum(report.counts.values()) - SHOWN_FINDINGS
        if more > 0:
            console.print(f"… and {more:,} more; --report FILE lists them.")
    if report.unlisted:
        console.print(f"{report.unlisted:,} findings are not listed: repair, and examine again.")
    if report.unsettled:
        console.print(
            f"{report.unsettled:,} items changed during every check: examine the table again."
        )
    if report.is_clean and report.is_complete:
        console.print("No problems found.")


def _show_plan(plan: Sequence[Finding]) -> None:
    console = output()
    if not plan:
        console.print("No problem can be repaired safely.")
        return
    console.print("These can be repaired:")
    for (code, kind, does), number in _grouped(plan):
        line = Text(f"  {number:,} of ", style="bold").append(f"{code} ", style="yellow")
        line.append(kind, style=kind_style(kind)).append(f": {does}", style="not bold default")
        console.print(line, soft_wrap=True)


def _grouped(plan: Sequence[Finding]) -> list[tuple[tuple[str, str, str], int]]:
    groups = Counter((each.code, each.kind, each.repair or "") for each in plan)
    return sorted(groups.items())


def _line(found: Finding, says: str) -> Text:
    line = Text(f"{found.code} ", style="yellow")
    line.append(f"{found.kind or '–'} ", style=kind_style(found.kind))
    return line.append(f"{found.pk} {found.sk} ", style="dim").append(says, style="default")
