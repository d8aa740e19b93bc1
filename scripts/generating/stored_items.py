"""Items as the released schema versions write them: ``tests/compatibility/v*/<kind>.json``.

``scripts/generate`` adds what is not there yet: a new kind, a new schema version, an attribute that
no example has. It takes them from what `populate` makes. It never changes an example that is there:
what was released was written so, and must be read for ever.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from dynamo_chat import ChatStore
from dynamo_chat.core.item import plan
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.testing import EmbeddedEngine, FakeClock, FaultInjector, Kill
from dynamo_chat.testing.faults import Killed
from tooling.environment import ROOT
from tooling.everything import DELETIONS, Everything, populate

FOLDER = Path("tests", "compatibility")
NOW = datetime(2025, 12, 30, 14, 0, 0, 123456, tzinfo=UTC)

Item = dict[str, Any]
Examples = dict[str, dict[str, Any]]
"""An item, and the entity that it is read as, by name."""


def files() -> Mapping[Path, str]:
    """The text of each file of examples, with the missing examples added."""
    kept: dict[Path, Examples] = {
        path.relative_to(ROOT): json.loads(path.read_text("utf-8"))
        for path in sorted((ROOT / FOLDER).glob("v*/*.json"))
    }
    for item in items():
        path = FOLDER / f"v{item['v']['N']}" / f"{item['kind']['S']}.json"
        add(item, kept.setdefault(path, {}))
    return {
        path: json.dumps(held, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for path, held in kept.items()
    }


def add(item: Item, examples: Examples) -> None:
    """Add the item if it has an attribute that none of the examples has."""
    known = {name for each in examples.values() for name in each["item"]}
    if new := sorted(item.keys() - known):
        name = f"with {new[0]}" if known else "full"
        entity = KEY_SPACE.entities.get(item["kind"]["S"])
        read = None if entity is None else plan(entity).decode(item).model_dump(mode="json")
        examples[name] = {"item": item, "entity": read}


@cache
def items() -> Sequence[Item]:
    """Every kind of item as it is written now: first those with the most attributes."""
    with EmbeddedEngine() as engine:
        store = engine.store(f"stored-items-{uuid4()}", clock=FakeClock(NOW))
        made = populate(store)
        found = sorted(_scanned(store), key=len, reverse=True)
        found += [_cut_short(store, kind, delete, made) for kind, delete in DELETIONS.items()]
        store.connection.client.delete_table(TableName=store.connection.table_name)
    return found


def _cut_short(
    store: ChatStore,
    tombstone: str,
    delete: Callable[[ChatStore, Everything], object],
    made: Everything,
) -> Item:
    """Interrupt a deletion as soon as it has put a tombstone in the place of a head."""
    for requests in range(1, 10):
        with FaultInjector(store.connection.client) as faults, suppress(Killed):
            faults.plan(Kill(), at=requests + 1)
            delete(store, made)
        for item in _scanned(store):
            if item["kind"]["S"] == tombstone:
                return item
    raise AssertionError(f"no {tombstone} was left")


def _scanned(store: ChatStore) -> list[Item]:
    """Every item of a small table, as JSON."""
    found = store.connection.client.scan(TableName=store.connection.table_name)["Items"]
    return [_plain(item) for item in found]


def _plain(value: Any) -> Any:
    """The value as JSON: bytes become base64 text, as DynamoDB itself sends them."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
