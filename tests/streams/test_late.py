"""What is kept by a stream handler is the same, however late, often and cut up its records come."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from dynamo_chat import (
    Change,
    Changed,
    Created,
    Deleted,
    Expired,
    Message,
    NewMessage,
    stream_handler,
)
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.testing import Engine, FakeClock, LateStream, Sweeper
from dynamo_chat.testing.late_stream import as_event_record
from tests.scene import DAY, Item, Scene, address
from tooling.everything import populate

pytestmark = [pytest.mark.engine, pytest.mark.once]
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "streams.md"
Kept = dict[tuple[str, str], Entity]


class Copy:
    """A copy of the table's entities that a handler keeps."""

    def __init__(self) -> None:
        self.kept: Kept = {}
        self.handler = stream_handler(self._react)

    def _react(self, change: Change) -> None:
        match change:
            case Created(entity) | Changed(_, entity):
                self.kept[_place(entity)] = entity
            case Deleted(entity) | Expired(entity):
                self.kept.pop(_place(entity), None)


def _place(entity: Entity) -> tuple[str, str]:
    return address(plan(type(entity)).encode(entity))


def _entities(items: list[Item]) -> Kept:
    """The entities in a table."""
    found: Kept = {}
    for item in items:
        layout = KEY_SPACE.layouts[item[KIND]["S"]]
        entity = None if layout.helper else layout.resolved()
        if entity is not None:
            found[address(item)] = plan(entity).decode(item)
    return found


@pytest.fixture(scope="module")
def played(dynamo_chat_engine: Engine) -> tuple[list[dict[str, Any]], Kept]:
    """The records of a table's life, and the entities that are left in it at the end."""
    clock = FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with Scene(dynamo_chat_engine, clock) as scene:
        store = scene.store
        changes = dynamo_chat_engine.changes(store)
        ids = populate(store)
        for name in ("short", "shorter"):
            store.conversations.create(
                "ann", conversation_id=name, retention=timedelta(days=len(name))
            )
            store.messages.append(name, NewMessage(role="user", content=name))
        store.conversations.rename(ids.conversation_id, "Renamed")
        store.messages.delete(ids.conversation_id, ids.brought_id)
        clock.advance(8 * DAY)
        Sweeper(store, seed=1, changes=changes).sweep()
        store.conversations.delete(ids.sliding_id)
        store.conversations.create("bob", conversation_id=ids.sliding_id)
        store.organizations.delete(ids.organization_id)
        store.conversations.create("bob", conversation_id="short")
        return changes.records(), _entities(scene.items())


def handed_over(records: list[dict[str, Any]], seed: int, handler: Callable[..., Any]) -> None:
    """Give the records to a handler late, in parts and again and again."""
    stream = LateStream(seed=seed, again=0.5)
    for start in range(0, len(records), 7):
        stream.add(records[start : start + 7])
        stream.deliver(handler)
    stream.settle(handler)
    assert stream.repeated


def test_in_order_and_once_it_is_what_is_in_the_table(
    played: tuple[list[dict[str, Any]], Kept],
) -> None:
    records, left = played
    copy = Copy()
    copy.handler({"Records": [as_event_record(each) for each in records]}, None)
    assert copy.kept == left
    assert any("userIdentity" in each for each in records)


@pytest.mark.parametrize("seed", range(8))
def test_late_and_again_it_is_the_same(
    played: tuple[list[dict[str, Any]], Kept], seed: int
) -> None:
    records, left = played
    copy = Copy()
    handed_over(records, seed, copy.handler)
    assert copy.kept == left


@pytest.mark.parametrize("seed", range(3))
def test_the_guides_handler_is_repeatable(
    played: tuple[list[dict[str, Any]], Kept], seed: int
) -> None:
    records, left = played
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": f"guide_{uuid.uuid4().hex}"}
    exec(compile(program, "streams", "exec"), names)  # noqa: S102 - the page is ours
    handed_over(records, seed, cast("Callable[..., Any]", names["handler"]))
    messages = [each for each in left.values() if isinstance(each, Message)]
    assert messages
    assert names["index"] == {each.message_id: each.content for each in messages}


def test_a_handler_that_counts_is_told_apart(
    played: tuple[list[dict[str, Any]], Kept],
) -> None:
    """The tests above can fail: one that adds up counts what comes again."""
    records, _ = played
    made: list[Change] = []
    handed_over(records, 1, stream_handler(made.append))
    once: list[Change] = []
    stream_handler(once.append)({"Records": [as_event_record(each) for each in records]}, None)
    assert len(made) > len(once)
