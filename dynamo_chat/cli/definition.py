"""The options that say what a table should be: the same for every command that takes them.

A command asks for `definition: TableDefinition`, or for `TableDefinition | None` to be told when
none of the options was given, and is decorated with `defines_table`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, Final

import typer

from dynamo_chat.provision.definition import Capacity, TableDefinition


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
_DEFAULTS: Final = {name: option.default or None for name, option in _OPTIONS.items()}


def defines_table(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a table in place of its parameter `definition`."""
    signature = inspect.signature(command, eval_str=True)
    asked = signature.parameters["definition"]
    is_optional = asked.annotation != TableDefinition
    own = [each for name, each in signature.parameters.items() if name != "definition"]
    parameters = [*own, *_OPTIONS.values()]

    @wraps(command)
    def run(**arguments: Any) -> None:
        options = {name: arguments.pop(name) for name in _OPTIONS}
        is_given = any(
            (value or None) != (_OPTIONS[name].default or None) for name, value in options.items()
        )
        definition = _given(**options) if is_given or not is_optional else None
        command(definition=definition, **arguments)

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
