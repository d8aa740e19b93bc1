"""How many calls a second one partition key bears: DynamoDB's limit over the measured units.

Each method's first case is called on the embedded engine. What it is charged is added up for each
partition key of the table and the indexes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from dynamo_chat.cases.playing import Played, Player
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import PLACES, KeySpace, Slot
from dynamo_chat.operations.partitions import (
    EVERYWHERE,
    HALVES,
    PARTITION_UNITS,
    Kind,
    Leg,
    Span,
    item,
    newest,
)
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.capacity import Charge
from dynamo_chat.testing.engine import EmbeddedEngine
from dynamo_chat.testing.schema import TABLE

_WITHOUT_KEYS: Final = "provision"
"""The domain whose methods are about the whole table."""


@dataclass(frozen=True, slots=True)
class KeyLimit:
    """What one call of a method is charged at one partition key, at most, and what that allows."""

    pattern: str
    method: str
    case: str
    place: str
    """``table`` or the index."""
    key: str
    """The shape of the partition key, such as ``CONV#<conversation_id>``."""
    kind: Kind
    units: float

    @property
    def calls(self) -> int:
        """How many such calls a second a partition takes that has nothing but this key."""
        return int(PARTITION_UNITS[self.kind] / self.units)

    def as_dict(self) -> dict[str, Any]:
        """The limit as JSON values."""
        names = ("pattern", "method", "case", "place", "key", "kind", "units", "calls")
        return {name: getattr(self, name) for name in names}


def measure_limits(
    methods: Iterable[str] | None = None,
    store: type[ChatStore] = ChatStore,
    progress: Callable[[str], object] = lambda _: None,
) -> list[KeyLimit]:
    """The limits of these methods, or of all; the narrowest key of each method first.

    InvalidArgument if the store has no such method, or the embedded engine is not installed.
    """
    found: list[KeyLimit] = []
    for played in play_embedded(methods, store, progress):
        found += sorted(key_limits(played, store.key_space), key=lambda each: each.calls)
    return found


def play_embedded(
    methods: Iterable[str] | None = None,
    store: type[ChatStore] = ChatStore,
    progress: Callable[[str], object] = lambda _: None,
    *,
    cases: int = 1,
) -> Iterator[Played]:
    """The first cases of each of these methods, or of all. Errors as for `measure_limits`."""
    entries, known = _entries(methods, store), scenarios(store)
    with _player(store) as player:
        for entry in entries:
            progress(f"{entry.id} {entry.method}")
            if scenario := known.get(entry.method):
                yield from islice(player.play(entry, scenario), cases)


def key_limits(played: Played, key_space: KeySpace) -> list[KeyLimit]:
    """The limits of one call: the most that is charged at one key of each shape."""
    charged: dict[tuple[str, str, Kind], float] = {}
    for kind, charge in _charges(played):
        at = charge.place, charge.partition, kind
        charged[at] = charged.get(at, 0) + charge.units
    most: dict[tuple[str, str, Kind], float] = {}
    for (place, partition, kind), units in charged.items():
        shape = _slot(key_space, place, partition).pk.pattern()
        most[place, shape, kind] = max(units, most.get((place, shape, kind), 0))
    return [
        KeyLimit(played.pattern, played.entry.method, played.case.label, *at, units)
        for at, units in most.items()
    ]


def legs(played: Played, hot: Mapping[str, int], key_space: KeySpace) -> tuple[Leg, ...]:
    """One call as the model takes it, where `hot` are shapes of keys that all calls share.

    Its values are the numbers of keys, such as the shards of a list. Items of such a key that are
    of a time, and pages of it, are at its end. All other keys are different in each call.
    """
    halves: dict[tuple[str, Kind, tuple[Span, ...]], int] = {}
    for kind, charge in _charges(played):
        slot = _slot(key_space, charge.place, charge.partition, charge.sort)
        shape = slot.pk.pattern()
        spans: tuple[Span, ...] = (EVERYWHERE,)
        if shape in hot:
            is_fixed = charge.sort != "" and not slot.sk.components
            keys = [f"{shape} {shard}" for shard in range(hot[shape])]
            spans = tuple(item(each, charge.sort) if is_fixed else newest(each) for each in keys)
        at = charge.place, kind, spans
        halves[at] = halves.get(at, 0) + int(charge.units * HALVES)
    return tuple(
        Leg(place, kind, units, spans) for (place, kind, spans), units in halves.items() if units
    )


def _charges(played: Played) -> Iterator[tuple[Kind, Charge]]:
    for record in played.taken.records:
        for charge in record.charges:
            yield ("write" if record.wcu else "read"), charge


def _slot(key_space: KeySpace, place: str, partition: str, sort: str = "") -> Slot:
    """The slot of a kind with this partition key, and with this sort key if there is one."""
    (where,) = (each for each in PLACES if (each.index or TABLE) == place)
    slots = [slot for layout in key_space if (slot := layout.slot(where)) is not None]
    for slot in slots:
        if slot.pk.matches(partition) and (not sort or slot.sk.matches(sort)):
            return slot
    raise InvalidArgument("methods", f"a key of {place} has no layout: {partition!r}")


def _entries(methods: Iterable[str] | None, store: type[ChatStore]) -> list[Entry]:
    entries = {entry.method: entry for entry in catalogue(store)}
    if methods is None:
        return [entry for entry in entries.values() if entry.domain != _WITHOUT_KEYS]
    chosen = list(methods)
    for method in chosen:
        if method not in entries or entries[method].domain == _WITHOUT_KEYS:
            raise InvalidArgument(
                "methods", f"{method}: {store.__name__} has no such method that reads or writes"
            )
    return [entries[method] for method in chosen]


@contextmanager
def _player(store: type[ChatStore]) -> Iterator[Player]:
    """A player on a table of its own, because nested engines share their tables."""
    name = f"limits-{uuid.uuid4().hex}"
    try:
        with EmbeddedEngine() as engine:
            engine.store(name, store=store)

            def factory(table_name: str | None = None, **options: Any) -> ChatStore:
                return store(table_name or name, region=engine.region, **options)

            try:
                with Player(factory, keeps_items=True) as player:
                    yield player
            finally:
                engine.client().delete_table(TableName=name)
    except ModuleNotFoundError as error:  # moto is looked for when its engine starts
        raise InvalidArgument(
            "limits", "needs the embedded engine: pip install 'dynamo_chat[cli,testing]'"
        ) from error
