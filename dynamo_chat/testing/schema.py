"""The table's schema for the testing tools: its keys, its indexes, its TTL attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from dynamo_chat.core import layout

TABLE = "table"
"""The name of the base table where units are counted by table and index."""


class KeyNames(NamedTuple):
    """The names of the partition key and sort key attributes of the table or an index."""

    partition: str
    sort: str


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table with string keys, whose indexes all have string keys and project ALL."""

    keys: KeyNames
    indexes: Mapping[str, KeyNames]
    ttl: str

    def keys_of(self, index: str | None) -> KeyNames:
        """The keys of `index`, or of the table if it is None. KeyError for an unknown index."""
        return self.keys if index is None else self.indexes[index]

    @property
    def index_keys(self) -> frozenset[str]:
        """The names of all key attributes of the indexes."""
        return frozenset(name for keys in self.indexes.values() for name in keys)


CHAT_TABLE = TableSchema(
    keys=KeyNames(layout.TABLE.pk, layout.TABLE.sk),
    indexes=MappingProxyType(
        {str(place.index): KeyNames(place.pk, place.sk) for place in (layout.GSI1, layout.GSI2)}
    ),
    ttl=layout.TTL,
)
"""The one table of this package."""
