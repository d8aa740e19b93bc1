"""The options that say what a table should be: the same for every command that takes them.

A command asks for `definition: TableDefinition`, or for `TableDefinition | None` to be told when
none of the options was given, and is decorated with `defines_table`.
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
    """Whose key a table is encrypted with."""

    AWS_MANAGED = "aws-managed"
    AWS_OWNED = "aws-owned"
    CUSTOMER = "customer"


TagOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="A tag; may be repeated.")
]


def _given(  # noqa: PLR0913 - each option is a setting of the table
    *,
    provisioned: Annotated[
        bool, typer.Option("--provisioned", help="Provisioned capacity instead of on-demand.")
    ] = False,
    read: Annotated[
        str,
        typer.Option(
            metavar="LEAST:MOST", help="With --provisioned: read units, scaled between these."
        ),
    ] = "5:100",
    write: Annotated[
        str,
        typer.Option(
            metavar="LEAST:MOST", help="With --provisioned: write units, scaled between these."
        ),
    ] = "5:100",
    utilization: Annotated[
        int, typer.Option(help="With --provisioned: the share to have in use, in percent.")
    ] = 70,
    encryption: Annotated[
        Encryption | None,
        typer.Option(help="Whose key the table is encrypted with; aws-managed if nothing is said."),
    ] = None,
    kms_key: Annotated[
        str | None,
        typer.Option(metavar="ARN", help="The customer's key, for --encryption customer."),
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
        ),
    ] = None,
    tag: TagOption = None,
) -> TableDefinition:
    """The definition that the options make."""
    if (encryption is Encryption.CUSTOMER) != (kms_key is not None):
        raise typer.BadParameter("--encryption customer and --kms-key belong together")
    units = {"read": read, "write": write, "utilization": utilization}
    if not provisioned and any(value != _OPTIONS[name].default for name, value in units.items()):
        raise typer.BadParameter("--read, --write and --utilization are for --provisioned")
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
    """Give a command the options of a table in place of its parameter `definition`."""
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
    """Give a command an option for each field of a dataclass in place of one parameter.

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
    """The command with these options in place of one parameter, which is made of them."""
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
    """The tags of ``KEY=VALUE`` options."""
    tags: dict[str, str] = {}
    for each in given:
        key, separator, value = each.partition("=")
        if not key or not separator:
            raise typer.BadParameter(f"--tag {each}: write KEY=VALUE")
        if tags.get(key, value) != value:
            raise typer.BadParameter(f"--tag {each}: there is another value for {key}")
        tags[key] = value
    return tags


def _range(option: str, text: str) -> tuple[int, int]:
    least, separator, most = text.partition(":")
    if not separator:
        most = least
    if not least.isdecimal() or not most.isdecimal():
        raise typer.BadParameter(f"{option} {text}: write LEAST:MOST, as in 5:100, or 5")
    return int(least), int(most)
