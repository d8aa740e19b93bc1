"""The capacity units of a write, from the item before and after it.

The table is charged for the larger of the two. Each index is charged for the change of its entry,
which with projection ALL is the whole item:

    entry not changed              0
    entry added or deleted         one write of it
    other attributes changed       one write of the larger of the two
    key changed                    two: the old entry is deleted, the new one put
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamo_chat.core.size import item_size, write_units
from dynamo_chat.testing.schema import TABLE, KeyNames, TableSchema

Item = Mapping[str, Mapping[str, Any]]
Units = dict[str, float]
"""Capacity units by ``table`` and name of index."""

INDEX_FACTOR_IN_TRANSACTIONS = 1
"""How often index writes of a transaction are counted.

AWS documents that a transaction costs the table twice, once to prepare and once to commit, but not
what its indexes cost. They are written after the commit, so they are counted once.
"""


def write_cost(old: Item | None, new: Item | None, schema: TableSchema) -> Units:
    """Units of a write that took effect; None means that there is no item."""
    units = {TABLE: write_units(max(_size(old), _size(new)))}
    for index, keys in schema.indexes.items():
        spent = index_write_units(old, new, keys)
        if spent:
            units[index] = spent
    return units


def failed_write_cost(old: Item | None, new: Item | None) -> Units:
    """Units of a write whose condition failed; only the table is charged. `new` is a put's item."""
    return {TABLE: write_units(max(_size(old), _size(new)))}


def index_write_units(old: Item | None, new: Item | None, keys: KeyNames) -> float:
    """Units that one index is charged for this change."""
    before, after = _entry(old, keys), _entry(new, keys)
    if before == after:
        return 0.0
    if before is None or after is None:
        return write_units(_size(before) or _size(after))
    if all(before[name] == after[name] for name in keys):
        return write_units(max(_size(before), _size(after)))
    return write_units(_size(before)) + write_units(_size(after))


def _entry(item: Item | None, keys: KeyNames) -> Item | None:
    """The entry of `item` in the index: the whole item, or None if it lacks a key of the index."""
    return item if item is not None and all(name in item for name in keys) else None


def _size(item: Item | None) -> int:
    return 0 if item is None else item_size(item)
