"""``dynamo-chat migrate``: bring the old tables of one of the documents into the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from dynamo_chat.cli.commands import resumable
from dynamo_chat.cli.console import Text, output, print_json, table
from dynamo_chat.cli.files import may_make
from dynamo_chat.cli.private_files import open_private, replace_text
from dynamo_chat.cli.progress import progress_bar
from dynamo_chat.cli.table import TableEndpointOption, TableOption
from dynamo_chat.cli.target import RegionOption, Target
from dynamo_chat.importing.migration.documents import DOCUMENTS
from dynamo_chat.importing.migration.migration import (
    Migration,
    MigrationOptions,
    Report,
)
from dynamo_chat.importing.migration.sources import Source, source
from dynamo_chat.importing.migration.times import TimeRules

SHOWN: Final = 30
REFUSED: Final = "refused.jsonl"


def migrate(  # noqa: PLR0913 - an argument for each option
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT",
            help=f"One of: {', '.join(sorted(DOCUMENTS))}.",
            autocompletion=lambda: sorted(DOCUMENTS),
        ),
    ],
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TABLE=WHERE",
            help="Where a table of the document is read from: a file of JSON Lines, the folder of "
            "an export to S3, or table:NAME for a DynamoDB table. Once for each table.",
        ),
    ] = None,
    source_endpoint_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The address of the DynamoDB tables that are read."),
    ] = None,
    source_region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="Their region; by default that of the table."),
    ] = None,
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="The folder for the work file, a private copy of the records that says how far "
            "the migration is. It is made if missing.",
        ),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be refused or changed; write nothing."),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Read the sources again, for what changed since.")
    ] = False,
    changed_since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Read only records that changed since, such as 2025-12-30T14:00:00Z.",
        ),
    ] = None,
    mended: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, exists=True, help="Also read this mended file."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Parallel writers.")] = 4,
    segments: Annotated[int, typer.Option(help="Parallel segments for each table.")] = 4,
    rate: Annotated[
        float | None, typer.Option(metavar="RECORDS", help="The most records a second.")
    ] = None,
    units: Annotated[
        float | None, typer.Option(metavar="UNITS", help="The most write units a second.")
    ] = None,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The time zone of times that are without one.")
    ] = "UTC",
    times: Annotated[
        list[str] | None,
        typer.Option(
            "--time",
            metavar="TABLE.ATTRIBUTE=ZONE",
            help="Another zone for one attribute. Can be given more than once.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Bring old tables in: read, check, load, and compare every record.

    Ctrl-C is safe at any time: the same command goes on. Doing it again changes nothing. Records
    that can't be loaded are left in refused.jsonl in the work folder, with the reason; mend them
    there, and give the file to --mended. The exit code is 1 if a record was refused or differs.
    """
    target = Target(name, endpoint_url, region)
    read_from = Target("source", source_endpoint_url or endpoint_url, source_region or region)
    options = MigrationOptions(
        workers=workers,
        segments=segments,
        records_per_second=rate,
        units_per_second=units,
        times=TimeRules(zone, _named("--time", times or ())),
        changed_since=None if changed_since is None else _time(changed_since),
    )
    may_make("--work", work)
    found = _sources(_named("--from", sources or ()), read_from)
    with (
        resumable(f"how far it is, is in {work}; the same command goes on"),
        progress_bar() as tell,
        Migration(
            document,
            target.store,
            found,
            work,
            options=options,
            on_progress=lambda now: tell(f"{now.phase} {now.what}", now.done, now.total),
        ) as migration,
    ):
        if mended is not None:
            migration.mend(mended)
        report = migration.run(dry_run=dry_run, again=again)
        with open_private(work / REFUSED) as refused:
            replace_text(refused, "")
            number = migration.write_refused(refused)
    if as_json:
        print_json(asdict(report))
    else:
        _show(report, work / REFUSED if number else None, is_dry=dry_run)
    if number or not (dry_run or report.is_clean):
        raise typer.Exit(1)


def _named(option: str, given: Sequence[str]) -> dict[str, str]:
    named = {}
    for each in given:
        name, mark, value = each.partition("=")
        if not (name and mark and value):
            raise typer.BadParameter(f"{option} {each}: must have the form NAME=VALUE")
        named[name] = value
    return named


def _sources(named: dict[str, str], read_from: Target) -> dict[str, Source]:
    return {name: source(where, store=read_from.store) for name, where in named.items()}


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"--changed-since {text}: must be like 2025-12-30T14:00:00Z"
        ) from error
    if moment.tzinfo is None:
        raise typer.BadParameter(f"--changed-since {text}: add a time zone, such as Z")
    return moment


# -- showing ------------------------------------------------------------------------------------


def _show(report: Report, refused: Path | None, *, is_dry: bool) -> None:
    console = output()
    numbers = ("records", "verified", "to load", "differ", "left out", "refused", "unreadable")
    shown = table("table", *numbers, numbers=numbers)
    for each in report.tables:
        values = (
            each.records,
            each.verified,
            each.planned + each.loaded,
            each.differing,
            each.left_out,
            each.refused,
            each.unreadable,
        )
        if each.records or each.unreadable:
            shown.add_row(each.table, *(f"{value:,}" for value in values))
    console.print(shown)
    _list("Refused or left out", [f"{t}: {why} ({n:,})" for t, why, n in report.reasons])
    changes = [f"{t}.{what} ({n:,}, such as {key})" for t, what, n, key in report.changes]
    _list("Changed", [*changes, *(f"{each} (all)" for each in report.settled)])
    _list(
        "Different in the store",
        [f"{step} {group}: {'; '.join(said)}" for step, group, said in report.differences],
    )
    gone = sum(each.gone for each in report.tables)
    if gone:
        console.print(f"{gone:,} records are no longer in the source; they stay in the table.")
    if report.write_units:
        console.print(f"{report.write_units:,.0f} write units were used.")
    if refused is not None:
        console.print(Text(f"What was refused is in {refused}."), soft_wrap=True)
    if is_dry:
        console.print("Nothing was written.")
    elif report.is_clean:
        console.print("Every record was loaded and compared.")


def _list(title: str, told: Sequence[str]) -> None:
    if not told:
        return
    console = output()
    console.print(Text(f"{title}:", style="bold"))
    for each in told[:SHOWN]:
        console.print(Text(f"  {each}"), soft_wrap=True)
    if len(told) > SHOWN:
        console.print(f"  … and {len(told) - SHOWN:,} more; --json lists them.")
