"""Own items in the package's partitions never change what a read of the package returns.

Every partition that a read queries, of the table and of the indexes, gets random items of random
layouts that the checks accept. Then the read is repeated, and returns the same.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from dynamo_chat import ChatStore
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.keys import Shape
from dynamo_chat.core.layout import GSI1, GSI2, TABLE, Layout, Place
from dynamo_chat.entities import (
    Entity,
    ExpiresAt,
    Id,
    LayoutError,
    Repository,
    Slot,
    Time,
    Whose,
    integer,
    partition,
    repository,
    sort,
    text,
    time,
)
from dynamo_chat.entities.checks import OWN_TAG, ROOTS
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.policies import is_read
from dynamo_chat.testing import FakeClock
from dynamo_chat.testing.engine import Engine
from tests.laws.strategies import modern

READS = [entry for entry in catalogue() if is_read(entry) and entry.domain != "provision"]
PLACE = {None: TABLE, "GSI1": GSI1, "GSI2": GSI2}
TYPES: dict[Any, Any] = {text: Id, time: Time, integer: int}
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    text: st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    time: modern,
    integer: st.integers(0, 999_999),
}

_SECOND = timedelta(seconds=1)

Read = set[tuple[Place, str]]


@st.composite
def sort_keys(draw: st.DrawFn) -> tuple[Shape, str]:
    """A sort key's shape that an application may have beside the package's, and a key."""
    tag = OWN_TAG + draw(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=6))
    kinds = draw(st.lists(st.sampled_from([text, time, integer]), max_size=3))
    parts = [
        integer(f"c{place}", 6) if kind is integer else kind(f"c{place}")
        for place, kind in enumerate(kinds)
    ]
    shape = sort(tag, *parts)
    return shape, shape.encode(*(draw(VALUES[kind]) for kind in kinds))


def check(layout: Layout) -> None:
    """The checks of a store with this layout. LayoutError."""
    slots = [slot for slot in (layout.table, layout.gsi1, layout.gsi2) if slot is not None]
    parts = {each.name: each for slot in slots for shape in slot for each in shape.components}
    hints = {name: TYPES.get(type(each), bool) for name, each in parts.items()}
    body = {
        "__annotations__": {"layout": ClassVar[Layout], **hints, "expires_at": ExpiresAt},
        "layout": layout,
        "expires_at": None,
        "__module__": __name__,
    }
    owns = {"kinds": (type("Own", (Entity,), body),), "__module__": __name__}
    type("OwnStore", (ChatStore,), {"owns": repository(type("Owns", (Repository,), owns))})


def layout_in(place: Place, tag: str, shape: Shape) -> Layout | None:
    """An own layout in the package's partitions with this tag; None if the checks refuse it."""
    hosts = (slot for each in KEY_SPACE if (slot := each.slot(place)) is not None)
    host = next(slot.pk for slot in hosts if slot.pk.tag == tag)
    if place is TABLE:
        root = next((each for each in ROOTS if each.table.pk.tag == tag), None)
        layout = Layout("own", table=Slot(host, shape), of=root)
    else:
        own = Slot(partition("OWN", text("own_id")), sort("OWN"))
        listed = Slot(host, sort(shape.tag, *shape.components, text("own_id")))
        layout = Layout(
            "own",
            table=own,
            gsi1=listed if place is GSI1 else None,
            gsi2=listed if place is GSI2 else None,
            whose=Whose("nobody"),
        )
    try:
        check(layout)
    except LayoutError:
        return None
    return layout


@contextmanager
def partitions_read() -> Iterator[Read]:
    """The partitions that queries read inside."""
    read: Read = set()
    call = Connection.call

    def noted(connection: Connection, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation == "Query":
            place = PLACE[request.get("IndexName")]
            read.add((place, request["ExpressionAttributeValues"][":p"]["S"]))
        return call(connection, operation, request)

    with patch.object(Connection, "call", noted):
        yield read


def own_item(place: Place, key: str, shape: Shape, sort_key: str) -> dict[str, Any] | None:
    """An own item in this partition; None where the checks let none in."""
    if layout_in(place, key.partition("#")[0], shape) is None:
        return None
    own_id = uuid.uuid4().hex
    item = {"kind": "own", place.pk: key, place.sk: sort_key, "conversation_id": "c", "life": "l"}
    if place is not TABLE:
        item |= {"PK": f"OWN#{own_id}#", "SK": "OWN#", place.sk: f"{sort_key}{own_id}#"}
    return {**{name: {"S": value} for name, value in item.items()}, "v": {"N": "1"}}


def told(given: Any) -> Any:
    """A result that can be compared: what iterates is run through."""
    return list(given) if isinstance(given, Iterator) else given


@pytest.mark.once
@pytest.mark.parametrize("entry", READS, ids=lambda entry: entry.method)
@settings(
    max_examples=1,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(keys=st.lists(sort_keys(), min_size=4, max_size=4))
def test_own_items_change_no_read(
    dynamo_chat_engine: Engine, entry: Entry, keys: list[tuple[Shape, str]]
) -> None:
    clock, table = FakeClock(), f"harmless-{uuid.uuid4()}"
    first = dynamo_chat_engine.store(table, clock=clock)
    client = first.connection.client

    def new_store(name: str | None) -> ChatStore:
        return ChatStore(name or table, region=dynamo_chat_engine.region, clock=clock)

    stage = Stage(new_store, clock)
    try:
        for case in scenarios()[entry.method](stage):
            clock.advance(_SECOND)
            with partitions_read() as read:
                before = told(case.call())
            for place, key in read:
                for shape, sort_key in keys:
                    item = own_item(place, key, shape, sort_key)
                    if item is not None:
                        client.put_item(TableName=table, Item=item)
            assert told(case.call()) == before, case.label
    finally:
        client.delete_table(TableName=table)


def test_the_partitions_of_conversations_take_own_items() -> None:
    """The property above is about something: these layouts are accepted."""
    shape = sort("APPX", text("c0"))
    for place, tag in [(TABLE, "CONV"), (TABLE, "USER"), (TABLE, "ORG"), (TABLE, "MAIL")]:
        assert layout_in(place, tag, shape) is not None
    for place, tag in [(GSI1, "USER"), (GSI2, "USER")]:
        assert layout_in(place, tag, shape) is not None
    for place, tag in [(GSI1, "TITLE"), (GSI1, "FEEDBACK"), (GSI2, "MESSAGE")]:
        assert layout_in(place, tag, shape) is None
    assert layout_in(TABLE, "QUEUE", shape) is None
    assert layout_in(TABLE, "CONV", sort("CHATX", text("c0"))) is None
