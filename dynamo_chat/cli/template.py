"""``dynamo-chat template``: the table in the format that a team already uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from dynamo_chat.cli.console import output
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.operations.policies import data_entries, service_policy, table_arn
from dynamo_chat.provision.cloudformation import cloudformation
from dynamo_chat.provision.commands import SCRIPT, Role, command_files
from dynamo_chat.provision.naming import logical_name, table_name
from dynamo_chat.provision.table import Capacity, TableDefinition
from dynamo_chat.provision.terraform import terraform


class Format(StrEnum):
    """What a table is written as."""

    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"
    CLI = "cli"
    CDK = "cdk"


class Encryption(StrEnum):
    """Whose key a table is encrypted with."""

    AWS_MANAGED = "aws-managed"
    AWS_OWNED = "aws-owned"
    CUSTOMER = "customer"


class StagePlace(StrEnum):
    """Where the stage stands in a name without ``{stage}``."""

    PREFIX = "prefix"
    SUFFIX = "suffix"


NameOption = Annotated[
    str,
    typer.Option(
        "--table",
        metavar="NAME",
        envvar="DYNAMODB_TABLE_NAME",
        help="The table's name; may contain {stage}, as in 'acme-{stage}-chat'.",
        show_envvar=True,
    ),
]
StageOption = Annotated[
    str | None, typer.Option(help="The stage, such as dev or prod.", show_default=False)
]
StagePlaceOption = Annotated[
    StagePlace, typer.Option(help="Where the stage stands in a name without {stage}.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="Write to this file instead of standard output.",
        show_default=False,
    ),
]
TagOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="A tag; may be repeated.", show_default=False),
]
_REGION_HELP: Final = "For cli: the region to work in."


def template(  # noqa: PLR0913 - each option is a setting of the table
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
            show_default=False,
        ),
    ] = None,
    provisioned: Annotated[
        bool, typer.Option("--provisioned", help="Provisioned capacity with autoscaling.")
    ] = False,
    read: Annotated[
        str, typer.Option(metavar="LEAST:MOST", help="With --provisioned: read units.")
    ] = "5:100",
    write: Annotated[
        str, typer.Option(metavar="LEAST:MOST", help="With --provisioned: write units.")
    ] = "5:100",
    utilization: Annotated[
        int, typer.Option(help="With --provisioned: the share to have in use, in percent.")
    ] = 70,
    encryption: Annotated[
        Encryption, typer.Option(help="Whose key the table is encrypted with.")
    ] = Encryption.AWS_MANAGED,
    kms_key: Annotated[
        str | None,
        typer.Option(metavar="ARN", help="The customer's key.", show_default=False),
    ] = None,
    deletion_protection: Annotated[
        bool, typer.Option(help="Refuse to delete the table until this is switched off.")
    ] = True,
    point_in_time_recovery: Annotated[
        bool, typer.Option(help="Recovery to any moment of the last 35 days.")
    ] = True,
    stream: Annotated[
        bool, typer.Option("--stream", help="A stream of changes, before and after.")
    ] = False,
    contributor_insights: Annotated[
        bool, typer.Option("--contributor-insights", help="Report the most used keys.")
    ] = False,
    replica: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION",
            help="A replica in another region; may be repeated. Write in one region only.",
            show_default=False,
        ),
    ] = None,
    tag: TagOption = None,
    region: Annotated[str | None, typer.Option(help=_REGION_HELP, show_default=False)] = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="For cli: give this role the service policy.", show_default=False
        ),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For cli: add the table's name to this Lambda's environment.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the table as a CloudFormation template, Terraform, files for the aws command, or CDK.

    The table is kept when its stack is deleted. `cli` writes a folder with the requests as JSON
    and a script, create.sh, that sends them.
    """
    if (encryption is Encryption.CUSTOMER) != (kms_key is not None):
        raise typer.BadParameter("--encryption customer and --kms-key belong together")
    definition = TableDefinition(
        point_in_time_recovery=point_in_time_recovery,
        deletion_protection=deletion_protection,
        encryption_managed=encryption is not Encryption.AWS_OWNED,
        kms_key=kms_key,
        tags=tags_of(tag),
        provisioned=(
            Capacity(_range("--read", read), _range("--write", write), utilization)
            if provisioned
            else None
        ),
        stream=stream,
        contributor_insights=contributor_insights,
        replicas=tuple(replica or ()),
    )
    full_name = table_name(name, stage, stage_as.value)
    if format_ is Format.CLI:
        arn = table_arn(full_name, region or "*", "*")
        access = role and Role(role, service_policy(data_entries(), arn, kms_key=kms_key))
        files = command_files(
            definition, full_name, region=region, role=access or None, function=function
        )
        _write_folder(output_path, files)
        return
    if role or function:
        raise typer.BadParameter("--role and --function are for cli")
    write_text(_WRITERS[format_](definition, full_name), output_path)


def write_json(value: Mapping[str, Any], path: Path | None) -> None:
    """JSON, to a file or to standard output."""
    write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", path)


def write_text(text: str, path: Path | None) -> None:
    """Text, to a file or to standard output."""
    if path is None:
        typer.echo(text, nl=False)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        output(stderr=True).print(f"wrote {path}", soft_wrap=True)


def tags_of(given: list[str] | None) -> dict[str, str]:
    """The tags of ``KEY=VALUE`` options."""
    tags = {}
    for each in given or ():
        key, separator, value = each.partition("=")
        if not key or not separator:
            raise typer.BadParameter(f"--tag {each}: write KEY=VALUE")
        tags[key] = value
    return tags


def _range(option: str, text: str) -> tuple[int, int]:
    least, separator, most = text.partition(":")
    if not separator or not least.isdecimal() or not most.isdecimal():
        raise typer.BadParameter(f"{option} {text}: write LEAST:MOST, as in 5:100")
    return int(least), int(most)


def _write_folder(folder: Path | None, files: Mapping[str, str]) -> None:
    if folder is None:
        raise typer.BadParameter("cli writes several files: name a folder with --output")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        folder.joinpath(name).write_text(text, encoding="utf-8")
    folder.joinpath(SCRIPT).chmod(0o755)
    output(stderr=True).print(f"wrote {len(files)} files; run {folder / SCRIPT}", soft_wrap=True)


def _cloudformation(definition: TableDefinition, name: str) -> str:
    return json.dumps(cloudformation(definition, name), ensure_ascii=False, indent=2) + "\n"


def _terraform(definition: TableDefinition, name: str) -> str:
    return json.dumps(terraform(definition, name), ensure_ascii=False, indent=2) + "\n"


def _cdk(definition: TableDefinition, name: str) -> str:
    """A CDK app with the construct of the extra `cdk`; a dataclass's repr is how it is made."""
    used = ["TableDefinition"] + (["Capacity"] if definition.provisioned else [])
    stack = logical_name(name)
    if not stack[:1].isalpha():
        raise InvalidArgument("table name", "must begin with a letter to name a stack")
    return _CDK_APP.format(
        names=", ".join(sorted(used)), definition=definition, name=name, stack=stack
    )


_WRITERS: Final[Mapping[Format, Callable[[TableDefinition, str], str]]] = {
    Format.CLOUDFORMATION: _cloudformation,
    Format.TERRAFORM: _terraform,
    Format.CDK: _cdk,
}
_CDK_APP: Final = '''\
"""The table {name} in a stack. Needs: pip install 'dynamo_chat[cdk]'."""

from aws_cdk import App, CfnOutput, Stack

from dynamo_chat.provision.cdk import ChatTable
from dynamo_chat.provision.table import {names}

app = App()
stack = Stack(app, "{stack}")
chat = ChatTable(
    stack,
    "Chat",
    table_name="{name}",
    definition={definition!r},
)
CfnOutput(stack, "TableName", value=chat.table.table_name)
CfnOutput(stack, "TableArn", value=chat.table.table_arn)
app.synth()
'''
