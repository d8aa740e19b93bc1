"""The options for a table's settings, shared by all commands that take them.

A command has a parameter `definition: TableDefinition` and the decorator `defines_table`. With
`TableDefinition | None` it gets None if none of the options was given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, Final, TypeAlias, get_type_hints

import typer

from dynamo_chat.provision.definition import Capacity, TableDefinition

Command: TypeAlias = Callable[..., None]


class Encryption(StrEnum):
    """The owner of the key that encrypts a table."""

    AWS_MANAGED = "aws-managed"
    AWS_OWNED = "aws-owned"
    CUSTOMER = "customer"


TagOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Add a tag; may be repeated.")
]


def _given(  # noqa: PLR0913 - each option is a setting of the table
    *,
    provisioned: Annotated[
        bool, typer.Option("--provisioned", help="Use provisioned capacity instead of on-demand.")
    ] = False,
    read: Annotated[
        str,
        typer.Option(metavar="MIN:MAX", help="With --provisioned: the range of read units."),
    ] = "5:100",
    write: Annotated[
        str,
        typer.Option(metavar="MIN:MAX", help="With --provisioned: the range of write units."),
    ] = "5:100",
    utilization: Annotated[
        int, typer.Option(help="With --provisioned: the target utilization, in percent.")
    ] = 70,
    encryption: Annotated[
        Encryption | None,
        typer.Option(help="Whose key encrypts the table; aws-managed by default."),
    ] = None,
    kms_key: Annotated[
        str | None,
        typer.Option(metavar="ARN", help="With --encryption customer: the customer's key."),
    ] = None,
    deletion_protection: Annotated[
        bool, typer.Option(help="Forbid deleting the table until this is switched off.")
    ] = True,
    point_in_time_recovery: Annotated[
        bool, typer.Option(help="Keep point-in-time recovery to any time of the last 35 days.")
    ] = True,
    stream: Annotated[
        bool, typer.Option("--stream", help="Enable the stream of changes, with old and new items.")
    ] = False,
    contributor_insights: Annotated[
        bool, typer.Option("--contributor-insights", help="Report the most used keys.")
    ] = False,
    replica: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION",
            help="Add a replica in this region; may be repeated. Write in one region only.",
        ),
    ] = None,
    tag: TagOption = None,
) -> TableDefinition:
    """Make a definition from the options."""
    if (encryption is Encryption.CUSTOMER) != (kms_key is not None):
        raise typer.BadParameter("--encryption customer and --kms-key must be given together")
    units = {"read": read, "write": write, "utilization": utilization}
    if not provisioned and any(value != _OPTIONS[name].default for name, value in units.items()):
        raise typer.BadParameter("--read, --write and --utilization need --provisioned")
    return TableDefinition(
        point_in_time_recovery=point_in_time_recovery,
        deletion_protection=deletion_protection,
        encryption_managed=encryption is not Encryption.AWS_OWNED,
        kms_key=kms_key,
        tags=tags_of(tag or ()),
        provisioned=(
            Capacity(_range("--read", read), _range("--write", write), utilization)
            if provisioned
            else None
        ),
        stream=stream,
        contributor_insights=contributor_insights,
        replicas=tuple(replica or ()),
    )


_OPTIONS: Final = inspect.signature(_given, eval_str=True).parameters


def defines_table(command: Command) -> Command:
    """Replace a command's parameter `definition` by the options for a table's settings."""
    asked = inspect.signature(command, eval_str=True).parameters["definition"]
    is_optional = asked.annotation != TableDefinition

    def made(given: dict[str, Any]) -> TableDefinition | None:
        is_given = any(
            (value or None) != (_OPTIONS[name].default or None) for name, value in given.items()
        )
        return _given(**given) if is_given or not is_optional else None

    return _with_options(command, "definition", list(_OPTIONS.values()), made)


def takes(
    parameter: str, made_of: type[Any], options: Mapping[str, Any]
) -> Callable[[Command], Command]:
    """Replace one parameter of a command by an option for each field of a dataclass.

    `options` has a ``typer.Option`` for each field, whose default is the field's own.
    """
    hints = get_type_hints(made_of)
    asked = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[hints[field.name], options[field.name]],
        )
        for field in fields(made_of)
    ]
    return lambda command: _with_options(command, parameter, asked, lambda given: made_of(**given))


def _with_options(
    command: Command,
    parameter: str,
    options: Sequence[inspect.Parameter],
    make: Callable[[dict[str, Any]], Any],
) -> Command:
    """The command with one parameter replaced by these options; its value is made from them."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for each in signature.parameters.values():
        parameters += options if each.name == parameter else [each]

    @wraps(command)
    def run(**arguments: Any) -> None:
        given = {each.name: arguments.pop(each.name) for each in options}
        command(**{parameter: make(given)}, **arguments)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def tags_of(given: Sequence[str]) -> dict[str, str]:
    """Parse ``KEY=VALUE`` options into tags."""
    tags: dict[str, str] = {}
    for each in given:
        key, separator, value = each.partition("=")
        if not key or not separator:
            raise typer.BadParameter(f"--tag {each}: must be KEY=VALUE")
        if tags.get(key, value) != value:
            raise typer.BadParameter(f"--tag {each}: {key} was given another value before")
        tags[key] = value
    return tags


def _range(option: str, text: str) -> tuple[int, int]:
    least, separator, most = text.partition(":")
    if not separator:
        most = least
    if not least.isdecimal() or not most.isdecimal():
        raise typer.BadParameter(f"{option} {text}: must be MIN:MAX, such as 5:100, or one number")
    return int(least), int(most)
