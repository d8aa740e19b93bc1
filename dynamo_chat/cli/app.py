"""All commands."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from dynamo_chat.cli import (
    alarms,
    archive,
    atlas,
    backup,
    cost,
    demo,
    doctor,
    limits,
    migrate,
    patterns,
    person,
    policy,
    probe,
    table,
    template,
)
from dynamo_chat.cli.commands import Commands, Group

app = Commands(
    cls=Group,
    name="dynamo-chat",
    help="Chat data in one DynamoDB table: try it, look up its access patterns, manage the table.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which fills paragraphs
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("patterns")(patterns.patterns)
app.command("atlas")(atlas.atlas)
table.app.command("probe")(probe.probe)
app.add_typer(table.app, name="table")
app.add_typer(backup.app, name="backup")
app.command("template")(template.template)
app.add_typer(policy.app, name="policy")
app.command("alarms")(alarms.alarms)
app.command("cost")(cost.cost)
app.command("limits")(limits.limits)
app.command("doctor")(doctor.doctor)
app.command("migrate")(migrate.migrate)
app.command("export-store")(archive.export_store)
app.command("restore-store")(archive.restore_store)
app.command("export-user")(person.export_user)
app.command("erase-user")(person.erase_user)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dynamo-chat {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("dynamo_chat")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass
