"""``dynamo-chat template``: write the table as infrastructure code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from dynamo_chat.cli.console import json_text, output
from dynamo_chat.cli.definition import defines_table
from dynamo_chat.cli.files import ForceOption, may_make, may_write
from dynamo_chat.operations.policies import data_entries, service_policy, table_arn
from dynamo_chat.provision.cdk_app import cdk_app
from dynamo_chat.provision.cloudformation import cloudformation
from dynamo_chat.provision.commands import SCRIPT, Role, command_files
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.naming import table_name
from dynamo_chat.provision.terraform import terraform


class Format(StrEnum):
    """The format of the table."""

    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"
    CLI = "cli"
    CDK = "cdk"


class StagePlace(StrEnum):
    """The position of the stage in a name without ``{stage}``."""

    PREFIX = "prefix"
    SUFFIX = "suffix"


NameOption = Annotated[
    str,
    typer.Option(
        "--table",
        metavar="NAME",
        envvar="DYNAMODB_TABLE_NAME",
        help="The table's name; may contain {stage}, as in 'acme-{stage}-chat'.",
    ),
]
StageOption = Annotated[str | None, typer.Option(help="The stage, such as dev or prod.")]
StagePlaceOption = Annotated[
    StagePlace, typer.Option(help="Where to add the stage to a name without {stage}.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="Write to this file instead of standard output."
    ),
]
_REGION_HELP: Final = "For cli: the region of the table."


@defines_table
def template(  # noqa: PLR0913 - an argument for each option
    format_: Annotated[Format, typer.Argument(metavar="FORMAT", help=", ".join(Format))],
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    output_path: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write to this file instead of standard output; for cli, to this folder.",
        ),
    ] = None,
    region: Annotated[str | None, typer.Option(help=_REGION_HELP)] = None,
    role: Annotated[
        str | None, typer.Option(metavar="NAME", help="For cli: give this role the service policy.")
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="For cli: add the table's name to this Lambda's environment."
        ),
    ] = None,
    force: ForceOption = False,
    definition: TableDefinition,
) -> None:
    """Write the table as a CloudFormation template, Terraform, files for the aws command, or CDK.

    Deleting the stack keeps the table. `cli` writes a folder with the requests as JSON and a
    script, create.sh, that sends them.
    """
    full_name = table_name(name, stage, stage_as.value)
    if format_ is Format.CLI:
        arn = table_arn(full_name, region or "*", "*")
        access = role and Role(
            role, service_policy(data_entries(), arn, kms_key=definition.kms_key)
        )
        files = command_files(
            definition, full_name, region=region, role=access or None, function=function
        )
        _write_folder(output_path, files, force=force)
        return
    if role or function:
        raise typer.BadParameter("--role and --function need the format cli")
    write_text(_WRITERS[format_](definition, full_name), output_path, force=force)


def write_json(
    value: Mapping[str, Any], path: Path | None, *, force: bool, most: int | None = None
) -> None:
    """Write JSON to a file or standard output; without spaces if it is not under `most` bytes."""
    text = json_text(value)
    if most is not None and len(text.encode()) >= most:
        text = json_text(value, indent=None)
    write_text(text + "\n", path, force=force)


def write_text(text: str, path: Path | None, *, force: bool) -> None:
    """Write text to a file or standard output. BadParameter if the file exists, unless `force`."""
    if path is None:
        typer.echo(text, nl=False)
    else:
        may_write("--output", path, force=force)
        path.write_text(text, encoding="utf-8")
        output(stderr=True).print(f"wrote {path}", soft_wrap=True)


def _write_folder(folder: Path | None, files: Mapping[str, str], *, force: bool) -> None:
    if folder is None:
        raise typer.BadParameter("cli writes several files: name a folder with --output")
    may_make("--output", folder)
    folder.mkdir(exist_ok=True)
    for name in files:
        may_write("--output", folder / name, force=force)
    for name, text in files.items():
        folder.joinpath(name).write_text(text, encoding="utf-8")
    folder.joinpath(SCRIPT).chmod(0o755)
    output(stderr=True).print(f"wrote {len(files)} files; run {folder / SCRIPT}", soft_wrap=True)


def _cloudformation(definition: TableDefinition, name: str) -> str:
    return json_text(cloudformation(definition, name)) + "\n"


def _terraform(definition: TableDefinition, name: str) -> str:
    return json_text(terraform(definition, name)) + "\n"


_WRITERS: Final[Mapping[Format, Callable[[TableDefinition, str], str]]] = {
    Format.CLOUDFORMATION: _cloudformation,
    Format.TERRAFORM: _terraform,
    Format.CDK: cdk_app,
}
