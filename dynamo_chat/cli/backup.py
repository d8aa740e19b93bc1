"""``dynamo-chat backup``: back up, restore and export the table, and wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from dynamo_chat.cli.commands import Commands, resumable
from dynamo_chat.cli.console import Text, output, print_json, table
from dynamo_chat.cli.definition import defines_table
from dynamo_chat.cli.table import TableEndpointOption, TableOption
from dynamo_chat.cli.target import RegionOption, Target
from dynamo_chat.core.errors import StillRunning
from dynamo_chat.provision.backups import TIMEOUT_SECONDS, Backup, Backups, Export
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.restoring import Restored
from dynamo_chat.provision.waiting import Progress, ProgressHook

app = Commands(help="Back up, restore and export the table.", no_args_is_help=True)

_TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="How long to wait. The work goes on in DynamoDB after that.",
    ),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_ToOption = Annotated[
    str, typer.Option("--to", metavar="NAME", help="The new table; it must not exist yet.")
]
_ToRegionOption = Annotated[
    str | None,
    typer.Option(
        "--to-region", metavar="REGION", help="The region of the new table, if it is another one."
    ),
]
_AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="The time, such as 2025-12-30T14:00:00Z; by default the latest possible.",
    ),
]


@app.command()
def create(
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    backup_name: Annotated[
        str | None, typer.Option("--name", help="The name; by default the table's and the time.")
    ] = None,
    timeout: _TimeoutOption = TIMEOUT_SECONDS,
    as_json: _JsonOption = False,
) -> None:
    """Back up the table, and wait until the backup is available."""
    with _progress() as told:
        made = _backups(name, endpoint_url, region).create(
            backup_name, timeout_seconds=timeout, on_progress=told
        )
    _show(made, as_json=as_json)


@app.command("list")
def list_backups(
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    as_json: _JsonOption = False,
) -> None:
    """List the table's backups, newest first, and the times it can be restored to."""
    backups = _backups(name, endpoint_url, region)
    found, window = backups.list(), backups.recovery_window()
    if as_json:
        bounds = None if window is None else asdict(window)
        told = {"backups": [asdict(each) for each in found], "recovery_window": bounds}
        print_json(told, default=_as_text)
        return
    console = output()
    if not found:
        console.print("There are no backups.")
    for backup in found:
        line = Text(f"{_moment(backup.created_at)}  ").append(backup.name, style="cyan")
        line.append(f"  {backup.status}, {backup.kind}, {backup.size_bytes:,} bytes")
        console.print(line, soft_wrap=True)
        console.print(Text(f"  {backup.arn}", style="dim"), soft_wrap=True)
    if window is None:
        console.print("Point-in-time recovery is off.")
    else:
        bounds_told = f"{_moment(window.earliest)} to {_moment(window.latest)}"
        console.print(f"Can be restored to any time from {bounds_told}.", soft_wrap=True)


@app.command()
def describe(
    arn: Annotated[str, typer.Argument(metavar="ARN", help="The ARN of a backup or an export.")],
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Describe a backup or an export, and its progress."""
    backups = _backups(name, endpoint_url, region)
    found = backups.describe(arn) if "/backup/" in arn else backups.describe_export(arn)
    _show(found, as_json=as_json)


@app.command()
@defines_table
def restore(
    arn: Annotated[str, typer.Argument(metavar="ARN", help="The ARN of the backup.")],
    *,
    to: _ToOption,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    to_region: _ToRegionOption = None,
    timeout: _TimeoutOption = TIMEOUT_SECONDS,
    as_json: _JsonOption = False,
    definition: TableDefinition | None,
) -> None:
    """Restore a backup to a new table, and check that table.

    A restore leaves TTL, point-in-time recovery and deletion protection off; they are switched on.
    If any option of the table's settings is given, the new table gets all of these settings and is
    checked against them; if none is, billing and encryption stay as they were. After an
    interruption, the same command waits for the running restore. The exit code is 1 if the table
    differs from its settings.
    """
    with _progress() as told:
        restored = _backups(name, endpoint_url, region).restore(
            arn,
            to,
            definition=definition,
            region=to_region,
            timeout_seconds=timeout,
            on_progress=told,
        )
    _show_restored(restored, as_json=as_json)


@app.command("restore-to-time")
@defines_table
def restore_to_time(
    *,
    to: _ToOption,
    at: _AtOption = None,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    to_region: _ToRegionOption = None,
    timeout: _TimeoutOption = TIMEOUT_SECONDS,
    as_json: _JsonOption = False,
    definition: TableDefinition | None,
) -> None:
    """Restore the table, as it was at a given time, to a new table, and check that table.

    Otherwise like `restore`.
    """
    moment = None if at is None else _parsed(at)
    with _progress() as told:
        restored = _backups(name, endpoint_url, region).restore_to_time(
            to,
            moment,
            definition=definition,
            region=to_region,
            timeout_seconds=timeout,
            on_progress=told,
        )
    _show_restored(restored, as_json=as_json)


@app.command()
def export(  # noqa: PLR0913 - an argument for each option
    bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="The S3 bucket.")],
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    prefix: Annotated[
        str | None, typer.Option(help="The prefix in the bucket; by default the table's name.")
    ] = None,
    at: _AtOption = None,
    bucket_owner: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="The owner of the bucket, if another.")
    ] = None,
    kms_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Encrypt the files with this KMS key.")
    ] = None,
    timeout: _TimeoutOption = TIMEOUT_SECONDS,
    as_json: _JsonOption = False,
) -> None:
    """Export the table, as it was at a given time, to S3, and wait until it is complete.

    An export needs point-in-time recovery, and uses none of the table's capacity.
    """
    moment = None if at is None else _parsed(at)
    with _progress() as told:
        made = _backups(name, endpoint_url, region).export(
            bucket,
            prefix=prefix,
            at=moment,
            bucket_owner=bucket_owner,
            kms_key=kms_key,
            timeout_seconds=timeout,
            on_progress=told,
        )
    _show(made, as_json=as_json)


def _backups(name: str, endpoint_url: str | None, region: str | None) -> Backups:
    return Target(name, endpoint_url, region).store().table.backups


def _parsed(at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise typer.BadParameter(f"--at {at}: must be like 2025-12-30T14:00:00Z") from error
    if moment.tzinfo is None:
        raise typer.BadParameter(f"--at {at}: add a time zone, such as Z")
    return moment


@contextmanager
def _progress() -> Iterator[ProgressHook]:
    """Show the progress on a terminal; on a timeout, also the ARN to look it up by."""
    console = output(stderr=True)
    with console.status("asking DynamoDB …") as status:

        def told(progress: Progress) -> None:
            status.update(Text(str(progress)))

        with resumable("what has begun goes on in DynamoDB; `dynamo-chat backup list` shows it"):
            try:
                yield told
            except StillRunning as error:
                console.print(f"It goes on as {error.arn}", soft_wrap=True)
                raise


# -- showing ------------------------------------------------------------------------------------


def _show(found: Backup | Export, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found), default=_as_text)
        return
    shown = table("", "", wrapping=("",))
    shown.show_header = False
    for what, value in asdict(found).items():
        if value is not None:
            told = _moment(value) if isinstance(value, datetime) else str(value)
            shown.add_row(Text(what.replace("_", " "), style="dim"), told)
    output().print(shown)


def _show_restored(restored: Restored, *, as_json: bool) -> None:
    console = output()
    if as_json:
        print_json(asdict(restored), default=str)
        console.quiet = True
    console.print(f"Table {restored.table_name} was restored.")
    for difference in restored.differences:
        console.print(Text(f"- {difference}", style="yellow"), soft_wrap=True)
    if restored.differences:
        raise typer.Exit(1)
    console.print("It has the right settings.")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_text(value: object) -> str:
    return _moment(value) if isinstance(value, datetime) else str(value)
