"""Deletes everything that some collections show of an owner, until they show no more.

There is no tombstone: items of an account have no root item that could be one. So each delete has a
condition of its own, that the item is still the owner's: an item that somebody else has written
under the same key since is left alone. An index may be behind, so what is found by an index is
looked for again until a whole look deletes nothing. After a crash, call it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import ItemTooLarge, RequestRejected
from dynamo_chat.core.layout import PK, SK, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import MAX_TRANSACTION_WRITES, Check, Delete, Put, Update

Together: TypeAlias = Sequence[Put | Update | Delete | Check]
"""Writes that happen together or not at all, such as the deletes of a record and its content.

If the condition of one fails, all are left out: there is nothing left to do, or the item is
somebody else's by now."""


class Sweeper(Repository):
    """Applies writes to all items of some collections."""

    def sweep(
        self,
        collections: Sequence[Collection],
        writes_for: Callable[[AttributeValues], Together],
        *,
        also: Sequence[str] = (),
    ) -> int:
        """Apply `writes_for` each item, and return how many writes happened.

        Items have their keys in the table and the attributes in `also`. What an index shows is
        looked at again until nothing happens.
        """
        is_index = any(each.place.index is not None for each in collections)
        count = 0
        while True:
            happened = self.apply(
                writes_for(item)
                for collection in collections
                for items in self._walk(
                    collection, consistent=collection.place.index is None, only=(PK, SK, *also)
                )
                for item in items
            )
            count += happened
            if not happened or not is_index:
                return count

    def apply(self, groups: Iterable[Together]) -> int:
        """Apply all groups, up to 100 writes in a transaction; how many writes happened."""
        return sum(self._happened(batch) for batch in _batches(groups))

    def _happened(self, groups: list[Together]) -> int:
        left = groups
        while left:
            try:
                self._write(*chain.from_iterable(left), once=True)
            except ConditionFailed as failed:
                left = _without(left, failed.items.keys())
            except (RequestRejected, ItemTooLarge):
                if len(left) == 1:
                    raise
                # Their items add up to more than 4 MB.
                middle = len(left) // 2
                return self._happened(left[:middle]) + self._happened(left[middle:])
            else:
                return sum(map(len, left))
        return 0


def _batches(groups: Iterable[Together]) -> Iterator[list[Together]]:
    """`groups` in lists that each fit into a transaction; none for no writes."""
    batch: list[Together] = []
    size = 0
    for group in groups:
        if batch and size + len(group) > MAX_TRANSACTION_WRITES:
            yield batch
            batch, size = [], 0
        if group:
            batch.append(group)
            size += len(group)
    if batch:
        yield batch


def _without(groups: Sequence[Together], failed: Iterable[int]) -> list[Together]:
    """The groups none of whose writes, counted through all groups, failed."""
    places = set(failed)
    kept, at = [], 0
    for group in groups:
        if places.isdisjoint(range(at, at + len(group))):
            kept.append(group)
        at += len(group)
    return kept
