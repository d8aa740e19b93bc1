"""The capacity units of a write, from the item before and after it.

The table is charged for the larger of the two. Each index is charged for the change of its entry,
which with projection ALL is the whole item:

    entry not changed              0
    entry added or deleted         one write of it
    other attributes changed       one write of the larger of the two
    key changed                    two: the old entry is deleted, the new one put
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dynamo_chat.core.size import TRANSACTION_FACTOR, item_size, write_units
from dynamo_chat.testing.schema import TABLE, KeyNames, TableSchema

Item = Mapping[str, Mapping[str, Any]]
Units = dict[str, float]
"""Capacity units by ``table`` and name of index."""

INDEX_FACTOR_IN_TRANSACTIONS = 1
"""How often index writes of a transaction are counted.

AWS documents that a transaction costs the table twice, once to prepare and once to commit, but not
what its indexes cost. They are written after the commit, so they are counted once.
"""


class Charge(NamedTuple):
    """What a request was charged for one item, or a Query for its page."""

    place: str
    """``table`` or the index."""
    partition: str
    """The partition key there; empty for a Scan."""
    sort: str
    """The sort key there; empty for a Query or Scan."""
    units: float


def write_charges(
    key: tuple[str, str],
    old: Item | None,
    new: Item | None,
    schema: TableSchema,
    *,
    is_in_transaction: bool,
) -> Iterator[Charge]:
    """The charges of a write that took effect; None means that there is no item.

    `key` is the item's, in the table.
    """
    on_table = TRANSACTION_FACTOR if is_in_transaction else 1
    on_indexes = INDEX_FACTOR_IN_TRANSACTIONS if is_in_transaction else 1
    spent = write_units(max(_size(old), _size(new)))
    yield Charge(TABLE, *key, on_table * spent)
    for index, keys in schema.indexes.items():
        for entry, units in _changed_entries(old, new, keys):
            at = entry[keys.partition]["S"], entry[keys.sort]["S"]
            yield Charge(index, *at, on_indexes * units)


def failed_write_units(old: Item | None, new: Item | None) -> float:
    """Units of a write whose condition failed; only the table is charged. `new` is a put's item."""
    return write_units(max(_size(old), _size(new)))


def by_place(charges: Iterable[Charge]) -> Units:
    """The sum of these charges in the table and in each index."""
    total: Units = {}
    for charge in charges:
        total[charge.place] = total.get(charge.place, 0.0) + charge.units
    return total


def _changed_entries(
    old: Item | None, new: Item | None, keys: KeyNames
) -> list[tuple[Item, float]]:
    """The entries of one index that this change writes, with the units of each."""
    before, after = _entry(old, keys), _entry(new, keys)
    if before == after:
        return []
    if before is None or after is None:
        return [(each, write_units(_size(each))) for each in (before, after) if each is not None]
    if all(before[name] == after[name] for name in keys):
        return [(after, write_units(max(_size(before), _size(after))))]
    return [(each, write_units(_size(each))) for each in (before, after)]


def _entry(item: Item | None, keys: KeyNames) -> Item | None:
    """The entry of `item` in the index: the whole item, or None if it lacks a key of the index."""
    return item if item is not None and all(name in item for name in keys) else None


def _size(item: Item | None) -> int:
    return 0 if item is None else item_size(item)
