"""Work in many transactions, limited to one life of an id.

Working through a collection takes a while. The worker may stop between two steps, another one may
finish the work, and the id may be used again. So each step is a transaction that first checks, at
one key, that the item is still the one that the work began on. A worker that was overtaken changes
nothing.

    fence = Fence(connection, Check(key, condition))
    fence.apply(groups)       99 writes per transaction; Overtaken when the check no longer holds
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

from dynamo_chat.core.connection import AttributeValues, ConditionFailed, Connection
from dynamo_chat.core.errors import ItemTooLarge, RequestRejected
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Check,
    Delete,
    Put,
    Update,
    Write,
    write,
)

Group: TypeAlias = Sequence[Put | Update | Delete]
"""Writes that must be in one transaction, such as those of an item and its pointer.

A write whose own condition fails is left out, and the rest of its group still happens: a failed
condition means that there is nothing left to do, or that the item is someone else's.
"""

_ROOM: Final = MAX_TRANSACTION_WRITES - 1


@dataclass(slots=True)
class Batch:
    """Groups for one transaction."""

    groups: list[Group] = field(default_factory=list)
    is_last: bool = False


class Overtaken(Exception):
    """The check no longer holds: someone else finished the work, and the id may be in use again."""

    def __init__(self, there: AttributeValues | None = None) -> None:
        super().__init__()
        self.there = there
        """The item at the key of the check, if known."""


class Fence:
    """Applies groups of writes while a check holds."""

    def __init__(self, connection: Connection, check: Check) -> None:
        self._connection = connection
        self.check: Final = check
        self._room = _ROOM

    def apply(self, groups: Iterable[Group]) -> int:
        """Apply all `groups` in order and return the number of writes that happened. Overtaken."""
        return sum(self._in_parts(batch.groups) for batch in self.batches(groups) if batch.groups)

    def batches(self, groups: Iterable[Group], beside: Group = ()) -> Iterator[Batch]:
        """`groups` in batches that each fit into a transaction with the check and `beside`.

        The last one has `is_last` and may be empty.
        """
        reserved = keys_of(beside)
        batch, keys = Batch(), set(reserved)
        for group in groups:
            added = keys_of(group)
            # DynamoDB allows an item only once in a transaction.
            is_full = len(keys) + len(added) > self._room or not keys.isdisjoint(added)
            if batch.groups and is_full:
                yield batch
                batch, keys = Batch(), set(reserved)
            batch.groups.append(group)
            keys |= added
        batch.is_last = True
        yield batch

    def _in_parts(self, groups: Sequence[Group]) -> int:
        """Apply `groups` in one transaction, or in two halves if it is too large for DynamoDB."""
        try:
            return self.together(self.check, groups)
        except (RequestRejected, ItemTooLarge):
            if len(groups) == 1:
                raise
        # Their items add up to more than 4 MB, and the next ones are probably as large.
        middle = len(groups) // 2
        self._room = max(1, sum(map(len, groups[:middle])))
        return self._in_parts(groups[:middle]) + self._in_parts(groups[middle:])

    def together(self, first: Check | Delete, groups: Iterable[Group]) -> int:
        """Apply `first`, which has the check, and all `groups` in one transaction. Overtaken.

        Returns the number of writes of `groups` that happened.
        """
        writes: list[Write] = list(chain.from_iterable(groups))
        while writes or isinstance(first, Delete):
            try:
                write(self._connection, first, *writes)
            except ConditionFailed as failed:
                if 0 in failed.items:
                    if failed.was_resent and failed.items[0] is None and isinstance(first, Delete):
                        return len(writes)  # an earlier attempt, whose answer was lost, deleted it
                    raise Overtaken(failed.items[0]) from failed
                writes = [each for at, each in enumerate(writes, 1) if at not in failed.items]
            else:
                break
        return len(writes)


def keys_of(group: Group) -> set[tuple[str, str]]:
    """The table keys that a group writes to."""
    keys = (each.item if isinstance(each, Put) else each.key for each in group)
    return {(key[PK]["S"], key[SK]["S"]) for key in keys}
