"""How the doctor reads: a Scan, limited to a given number of read units.

A Scan returns one partition after another, each in sort key order, so items that belong together
are read together and little has to be remembered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import Clock, ulid_ids
from dynamo_chat.core.connection import AttributeValues, Connection
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.size import item_size, read_units

_MOST_POSITION: Final = 32_768
"""Characters: keys have at most 3 KB, plus JSON escapes."""
_READS: Final = frozenset({"BatchGetItem", "GetItem", "Query", "Scan"})


class Pace:
    """Counts read units, and waits if they exceed the rate."""

    def __init__(
        self,
        units_per_second: float | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.units = 0.0
        self._rate = units_per_second
        self._sleep = sleep
        self._seconds = seconds
        self._free_at = seconds()

    def spend(self, units: float) -> None:
        """Count `units`, and wait until the rate allows the next request."""
        self.units += units
        if self._rate is None:
            return
        now = self._seconds()
        # Unused units of a slow time are not saved up: they would be used in a burst.
        self._free_at = max(now, self._free_at) + units / self._rate
        if self._free_at > now:
            self._sleep(self._free_at - now)


class PacedConnection(Connection):
    """A separate connection to the same table, whose reads keep to a rate."""

    def __init__(self, connection: Connection, pace: Pace) -> None:
        super().__init__(
            connection.table_name,
            region=connection.region,
            endpoint_url=connection.endpoint_url,
            options=connection.options,
            on_request=connection.on_request,
        )
        self.pace = pace

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return the parsed response; wait after a read."""
        answer = super().call(operation, request)
        if operation in _READS:
            self.pace.spend(_units(answer))
        return answer


class Reader(Repository):
    """Reads the whole table page by page."""

    def __init__(
        self, connection: PacedConnection, clock: Clock, own: tuple[Layout, ...] = ()
    ) -> None:
        cursors = CursorCodec(connection.table_name)
        super().__init__(Binding(connection, clock, ulid_ids, cursors, own))

    @property
    def binding(self) -> Binding:
        """The binding for repositories on this connection."""
        return self._binding

    def scan(
        self, page_size: int, position: str | None = None
    ) -> Iterator[tuple[list[AttributeValues], str | None]]:
        """Yield each page of the table's items, and where the next page starts; None at the end."""
        start = None if position is None else parse_position(position)
        while True:
            request: dict[str, Any] = {
                "TableName": self._connection.table_name,
                "Limit": page_size,
                "ReturnConsumedCapacity": "TOTAL",
            }
            if start is not None:
                request["ExclusiveStartKey"] = start
            answer = self._connection.call("Scan", request)
            start = answer.get("LastEvaluatedKey") or None
            yield answer.get("Items", []), None if start is None else json.dumps(start)
            if start is None:
                return


def parse_position(position: str) -> dict[str, Any]:
    """Parse a position into a key. InvalidArgument for any other text."""
    try:
        key = json.loads(position if len(position) <= _MOST_POSITION else "")
        if key.keys() == {"PK", "SK"} and all(isinstance(each["S"], str) for each in key.values()):
            return {name: {"S": each["S"]} for name, each in key.items()}
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        pass
    raise InvalidArgument("start", "must be a position from a report, unchanged")


def _units(answer: Mapping[str, Any]) -> float:
    """Read units as DynamoDB reports them; for an engine that doesn't, by the items' sizes."""
    consumed = answer.get("ConsumedCapacity") or []
    entries = consumed if isinstance(consumed, list) else [consumed]
    told = [float(entry["CapacityUnits"]) for entry in entries if "CapacityUnits" in entry]
    if told:
        return sum(told)
    items = [*answer.get("Items", ()), *filter(None, [answer.get("Item")])]
    for found in answer.get("Responses", {}).values():
        items += found
    return read_units(sum(map(item_size, items)), consistent=True)
