"""What export and restore share: the connection, the progress, the checks of options."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NamedTuple

from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.events import RequestEvent
from dynamo_chat.importing.migration.pace import Pace
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.differences import described_differences
from dynamo_chat.provision.table import Table

MAX_WORKERS: Final = 64


class Progress(NamedTuple):
    """How far a step is."""

    phase: str
    """``export``; or ``check``, ``restore`` or ``verify``."""
    done: int
    """Items."""
    total: int | None
    """About how many there are; None if that is unknown."""


ProgressHook = Callable[[Progress], object]


def paced(connection: Connection, pace: Pace) -> Connection:
    """A separate connection to the same table, whose units are counted by `pace`."""
    also = connection.on_request

    def told(event: RequestEvent) -> None:
        pace.count(event)
        if also is not None:
            also(event)

    return Connection(
        connection.table_name,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
        options=connection.options,
        on_request=told,
    )


def described(connection: Connection) -> dict[str, Any]:
    """DynamoDB's description of the table. TableNotFound."""
    return Table(connection).describe()


def table_id(description: dict[str, Any]) -> str:
    """What tells a table from another one that had or gets its name."""
    return str(description.get("TableId") or description.get("CreationDateTime", ""))


def check_layout(description: dict[str, Any], *, key_only: bool = False) -> None:
    """InvalidArgument if the table has another key than a store, or other indexes."""
    found = described_differences(description, TableDefinition())
    wrong = [
        each
        for each in found
        if each.is_essential and (each.setting == "key schema" or not key_only)
    ]
    if wrong:
        raise InvalidArgument("table", "; ".join(map(str, wrong)))


def check_number(name: str, value: Any, most: int) -> None:
    """InvalidArgument unless it is a whole number from 1 on."""
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidArgument(name, f"must be an integer from 1 to {most:,}")


def package_version() -> str:
    """The version of this package."""
    try:
        return version("dynamo_chat")
    except PackageNotFoundError:
        return "unknown"
