"""What one kind of item looks like in the table: its slots, and what it is for.

`keyspace` lists one `Layout` per kind. Component names are the names of entity fields, so an
entity's keys follow from its layout, and what a key says is not stored a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynamo_chat.core.keys import KeyRange, Shape

PK = "PK"
SK = "SK"
TTL = "ttl"
KIND = "kind"
VERSION = "v"


class Slot(NamedTuple):
    """The partition key and sort key of the table, or of one index."""

    pk: Shape
    sk: Shape


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot lives: the index's name and the two attributes that hold its keys."""

    index: str | None
    pk: str
    sk: str


TABLE = Place(None, PK, SK)
GSI1 = Place("GSI1", "GSI1PK", "GSI1SK")
GSI2 = Place("GSI2", "GSI2PK", "GSI2SK")
PLACES = (TABLE, GSI1, GSI2)
KEY_ATTRIBUTES = frozenset(name for place in PLACES for name in (place.pk, place.sk))


class Collection(NamedTuple):
    """A part of one partition that a query reads: where, which partition, which sort keys."""

    place: Place
    partition: str
    keys: KeyRange
    shape: Shape
    """The shape that a cursor's position must have."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of item: its ``kind``, its key shapes per place, and which patterns it serves."""

    kind: str
    table: Slot
    gsi1: Slot | None = None
    gsi2: Slot | None = None
    serves: str = ""
    status: str = "active"
    helper: bool = False
    """A helper item makes an entity findable or unique; it is no entity of its own."""
    version: int = 1
    """The schema version of a helper item; an entity says its own."""
    note: str = ""

    def slot(self, place: Place) -> Slot | None:
        """The slot of this kind in `place`, or None when it has none there."""
        return (self.table, self.gsi1, self.gsi2)[PLACES.index(place)]

    def key(self, **fields: Any) -> dict[str, dict[str, str]]:
        """The table key of the item with these fields, as DynamoDB's ``Key``."""
        return {
            PK: {"S": self.table.pk.encode(*(fields[name] for name in self.table.pk.names))},
            SK: {"S": self.table.sk.encode(*(fields[name] for name in self.table.sk.names))},
        }

    def index_key(self, place: Place, fields: dict[str, Any]) -> dict[str, str]:
        """Both key attributes of `place` from `fields`; never one alone."""
        slot = self.slot(place)
        if slot is None:
            raise TypeError(f"a {self.kind} has no slot in {place.index}")
        return {
            place.pk: slot.pk.encode(*(fields[name] for name in slot.pk.names)),
            place.sk: slot.sk.encode(*(fields[name] for name in slot.sk.names)),
        }

    def collection(self, place: Place, *partition: Any) -> Callable[..., Collection]:
        """The items of this kind in one partition of `place`, to be narrowed by sort key.

        ``collection(GSI1, user_id)(status, lower=…, until=…)``: the arguments of `Shape.range`.
        """
        slot = self.slot(place)
        if slot is None:
            raise TypeError(f"a {self.kind} has no slot in {place.index}")
        key = slot.pk.encode(*partition)

        def narrowed(*values: Any, lower: Any = None, until: Any = None) -> Collection:
            return Collection(place, key, slot.sk.range(*values, lower=lower, until=until), slot.sk)

        return narrowed
