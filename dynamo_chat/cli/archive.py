"""``dynamo-chat export-store`` and ``restore-store``: the whole store as files, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from dynamo_chat.archive.exporting import ExportOptions, ExportReport, StoreExport
from dynamo_chat.archive.restoring import RestoreOptions, RestoreReport, StoreRestore
from dynamo_chat.cli.commands import resumable
from dynamo_chat.cli.console import Text, kind_style, output, print_json, table
from dynamo_chat.cli.files import may_make
from dynamo_chat.cli.progress import progress_bar
from dynamo_chat.cli.table import TableEndpointOption, TableOption
from dynamo_chat.cli.target import RegionOption, StoreOption, Target, store_class

DEFAULT_RATE: Final = 100.0
SHOWN: Final = 30

_JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def export_store(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A new folder, or that of an interrupted export."),
    ],
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    segments: Annotated[int, typer.Option(help="Parallel segments of the Scan.")] = 4,
    rate: Annotated[
        float,
        typer.Option(metavar="UNITS", help="The most read units a second; 0 for no limit."),
    ] = DEFAULT_RATE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much would be read; write nothing.")
    ] = False,
    as_json: _JsonOption = False,
    store_name: StoreOption = None,
) -> None:
    """Export every item of the table into a folder: compressed JSON Lines, with digests.

    Ctrl-C is safe at any time: the same command goes on. The files hold personal data and hashes of
    passwords; only their owner can read them. It is no snapshot: what is written meanwhile may be
    in it or not. Stop the writers before, or restore from an export to S3.
    """
    store = Target(name, endpoint_url, region, made=store_class(store_name)).store()
    options = ExportOptions(segments=segments, read_units_per_second=rate or None)
    console = output()
    if dry_run:
        about = StoreExport(store, folder, options).estimate()
        if as_json:
            print_json(asdict(about))
            return
        console.print(
            f"About {about.items:,} items with {about.size:,} bytes would be read, for "
            f"{about.read_units:,.0f} read units. Nothing was written."
        )
        return
    may_make("FOLDER", folder)
    says = f"what was read is in {folder}; the same command goes on"
    with resumable(says), progress_bar() as tell:
        exporting = StoreExport(store, folder, options, on_progress=lambda now: tell(*now))
        report = exporting.run()
    if as_json:
        print_json(report.as_dict())
    else:
        _show_export(report, folder)


def restore_store(  # noqa: PLR0913 - an argument for each option
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="The archive, or the folder of a full export to S3 in DynamoDB JSON.",
        ),
    ],
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="The table need not be empty. Items that are there stay as they are."
        ),
    ] = False,
    with_damaged: Annotated[
        bool,
        typer.Option(
            "--with-damaged",
            help="Also restore items of unknown kinds, and those that the doctor would report.",
        ),
    ] = False,
    digest: Annotated[
        str | None,
        typer.Option(metavar="SHA256", help="The digest that export-store printed, to compare."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Parallel writers.")] = 4,
    rate: Annotated[
        float | None, typer.Option(metavar="UNITS", help="The most write units a second.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Where to note how far the restore is; by default in the archive's folder.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the archive and the table; write nothing.")
    ] = False,
    as_json: _JsonOption = False,
    store_name: StoreOption = None,
) -> None:
    """Restore an archive into an empty table: check it, write it, and compare every item.

    Nothing is written if the archive is damaged, and nothing is ever overwritten. Ctrl-C is safe at
    any time: the same command goes on. Create the table before, by `table create`. The exit code is
    1 if an item in the table differs from the archive.
    """
    store = Target(name, endpoint_url, region, made=store_class(store_name)).store()
    options = RestoreOptions(
        merge=merge,
        with_damaged=with_damaged,
        workers=workers,
        write_units_per_second=rate or None,
        digest=digest,
        journal=journal,
    )
    says = "what was written stays; the same command goes on, with --merge if it had just ended"
    with resumable("nothing was written" if dry_run else says), progress_bar() as tell:
        restoring = StoreRestore(store, folder, options, on_progress=lambda now: tell(*now))
        report = restoring.run(dry_run=dry_run)
    if as_json:
        print_json(report.as_dict())
    else:
        _show_restore(report)
    if not report.is_clean:
        raise typer.Exit(1)


# -- showing ------------------------------------------------------------------------------------


def _show_export(report: ExportReport, folder: Path) -> None:
    console = output()
    _show_kinds(report.kinds)
    console.print(Text(f"{report.items:,} items are in {folder}."), soft_wrap=True)
    if report.expired:
        console.print(f"{report.expired:,} items had expired, and were left out.")
    _show_damaged(report.damaged, "restore-store takes them only with --with-damaged.")
    console.print(f"Digest: {report.digest}", soft_wrap=True)


def _show_restore(report: RestoreReport) -> None:
    console = output()
    _show_kinds(report.kinds)
    if report.expired:
        console.print(f"{report.expired:,} items have expired, and are not restored.")
    _show_damaged(report.damaged, "They are restored as they are.")
    if report.is_dry_run:
        live = report.items - report.expired
        console.print(f"{live:,} items would be restored. Nothing was written.")
        return
    console.print(
        f"{report.written:,} items were written, {report.there:,} existed already; "
        f"{report.verified:,} were read back and are equal."
    )
    if report.differing:
        console.print(
            f"{report.differing:,} items are otherwise in the table; they stay as they are:"
        )
        for each in report.differences[:SHOWN]:
            console.print(Text(f"  {each}"), soft_wrap=True)
        if report.differing > SHOWN:
            console.print(f"  … and {report.differing - SHOWN:,} more; --json lists 1,000.")


def _show_kinds(kinds: Mapping[str, int]) -> None:
    shown = table("kind", "items", numbers=("items",))
    for kind, number in kinds.items():
        shown.add_row(Text(kind or "(none)", style=kind_style(kind)), f"{number:,}")
    output().print(shown)


def _show_damaged(damaged: Mapping[str, int], advice: str) -> None:
    if damaged:
        said = ", ".join(f"{number:,} {code}" for code, number in damaged.items())
        output().print(f"Damaged, as `dynamo-chat doctor` explains: {said}. {advice}")
