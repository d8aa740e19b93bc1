"""Requests and capacity units of each operation as a conversation grows, in two designs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.designs import Design, DynamoChat, EmbeddedList, embedded_capacity
from dynamo_chat.testing import Engine, MinistackServer, RequestMeter

SIZES = (10, 100, 1_000)
SERVER_HOME = Path(__file__).resolve().parents[2] / ".venv-tools" / "ministack"

Row = dict[str, object]
NOTHING: Row = {"requests": None, "wcu": None, "rcu": None}


def measure(endpoint: str | None) -> list[Row]:
    """One row per operation, design and size: requests, write units and read units.

    Units are computed from the sizes of the items by DynamoDB's rules. A design that cannot hold
    so many messages has None. Without an endpoint a ministack server is started for it.
    """
    with ExitStack() as stack:
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer(cache=SERVER_HOME)).endpoint_url
        engine = stack.enter_context(Engine(endpoint))
        rows = list(_rows(engine))
    order = list(dict.fromkeys(row["operation"] for row in rows))
    return sorted(rows, key=lambda row: order.index(row["operation"]))


def table_rows(rows: list[Row]) -> list[Row]:
    """The same with one row per operation and design, and a column per size."""
    wide: dict[tuple[object, object], Row] = {}
    for row in rows:
        place = (row["operation"], row["design"])
        cells = wide.setdefault(place, {"operation": place[0], "design": place[1]})
        cells[f"{row['messages']:,}"] = _cell(row)
    return list(wide.values())


def caption() -> str:
    """What the table does not show."""
    return f"A list in one item is full at {embedded_capacity()} messages of 1,000 characters."


def _cell(row: Row) -> str:
    if row["requests"] is None:
        return "full"
    units = (f"{row[name]:,g}" if row[name] else "–" for name in ("wcu", "rcu"))
    return " / ".join((f"{row['requests']:,}", *units))


def _rows(engine: Engine) -> Iterator[Row]:
    for size in SIZES:
        for make in (DynamoChat, EmbeddedList):
            design: Design = make(engine, f"chat-{make.__name__.lower()}-{size}")
            fits = make is DynamoChat or size < embedded_capacity()
            if fits:
                design.fill(size)
            for name, run in design.operations().items():
                row: Row = {"operation": name, "design": design.name, "messages": size}
                yield row | (_metered(design, run) if fits else NOTHING)


def _metered(design: Design, run: Callable[[], object]) -> Row:
    with RequestMeter(design.client) as meter:
        run()
    return {"requests": meter.count, "wcu": meter.wcu, "rcu": meter.rcu}
