"""Deletes everything that some collections show of an owner, until they show no more.

Items of an account have no root item that could be a tombstone. So each delete has a condition of
its own, that the item is still the owner's: an item that somebody else has written under the same
key since is left alone. A sweep that is part of a larger deletion is also fenced to that: each
transaction checks that it still goes on. An index may be behind, so what is found by an index is
looked for again until a whole look deletes nothing. After a crash, call it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import ItemTooLarge, RequestRejected
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.layout import PK, SK, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import MAX_TRANSACTION_WRITES, Check, Delete, Put, Update

Together: TypeAlias = Sequence[Put | Update | Delete | Check]
"""Writes that happen together or not at all, such as the deletes of a record and its content.

If the condition of one fails, all are left out: there is nothing left to do, or the item is
somebody else's by now."""


class Sweep(NamedTuple):
    """What a sweep deletes: the items of some collections."""

    collections: Sequence[Collection]
    writes_for: Callable[[AttributeValues], Together]
    """The writes for an item, which has its keys in the table and the attributes in `also`."""
    also: Sequence[str] = ()


class Sweeper(Repository):
    """Applies writes to all items of some collections; with `check`, only while it holds."""

    def __init__(self, binding: Binding, check: Check | None = None) -> None:
        super().__init__(binding)
        self._checks = () if check is None else (check,)

    def sweep(self, what: Sweep) -> int:
        """Apply the writes for each item, and return how many writes happened. Overtaken.

        What an index shows is looked at again until nothing happens.
        """
        is_index = any(each.place.index is not None for each in what.collections)
        only = (PK, SK, *what.also)
        count = 0
        while True:
            happened = self.apply(
                what.writes_for(item)
                for collection in what.collections
                for items in self._walk(
                    collection, consistent=collection.place.index is None, only=only
                )
                for item in items
            )
            count += happened
            if not happened or not is_index:
                return count

    def apply(self, groups: Iterable[Together]) -> int:
        """Apply all groups, up to 100 writes in a transaction; how many writes happened.

        Overtaken if the check no longer holds.
        """
        room = MAX_TRANSACTION_WRITES - len(self._checks)
        return sum(self._happened(batch) for batch in _batches(groups, room))

    def _happened(self, groups: list[Together]) -> int:
        left = groups
        while left:
            try:
                self._write(*self._checks, *chain.from_iterable(left), once=True)
            except ConditionFailed as failed:
                first = len(self._checks)
                if first and 0 in failed.items:
                    raise Overtaken(failed.items[0]) from failed
                left = _without(left, (at - first for at in failed.items))
            except (RequestRejected, ItemTooLarge):
                if len(left) == 1:
                    raise
                # Their items add up to more than 4 MB.
                middle = len(left) // 2
                return self._happened(left[:middle]) + self._happened(left[middle:])
            else:
                return sum(map(len, left))
        return 0


def _batches(groups: Iterable[Together], room: int) -> Iterator[list[Together]]:
    """`groups` in lists of at most `room` writes, which fit into a transaction; none is empty."""
    batch: list[Together] = []
    size = 0
    for group in groups:
        if batch and size + len(group) > room:
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
