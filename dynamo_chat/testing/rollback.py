"""How the embedded engine undoes a cancelled transaction: it copies only the items it writes.

moto copies the whole table for each member of a transaction, so transactions get slower as the
table grows. But only the items that the members name can change.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch


class _Running:
    """A running transaction: its members, and a copy of each table from before it."""

    def __init__(self, members: Sequence[Mapping[str, Any]]) -> None:
        self.parts = [part for member in members for part in member.values()]
        self.copies: dict[int, Any] = {}


_running: ContextVar[_Running | None] = ContextVar("dynamo_chat_transaction", default=None)


@contextmanager
def small_rollbacks() -> Iterator[None]:
    """Make moto's transactions copy only the items that they write, not the whole table."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.models.table import Table

    transact = DynamoDBBackend.transact_write_items

    def transact_write_items(backend: Any, transact_items: Any) -> Any:
        token = _running.set(_Running(transact_items))
        try:
            return transact(backend, transact_items)
        finally:
            _running.reset(token)

    def deepcopy(table: Any, memo: dict[int, Any]) -> Any:
        running = _running.get()
        if running is None:
            return _whole(table, memo)
        if id(table) not in running.copies:
            running.copies[id(table)] = _snapshot(table, running.parts)
        return running.copies[id(table)]

    with (
        patch.object(DynamoDBBackend, "transact_write_items", transact_write_items),
        patch.object(Table, "__deepcopy__", deepcopy, create=True),
    ):
        yield


def _whole(table: Any, memo: dict[int, Any]) -> Any:
    """A deep copy, as copy.deepcopy makes it by default."""
    clone: Any = object.__new__(type(table))
    memo[id(table)] = clone
    clone.__dict__.update(copy.deepcopy(table.__dict__, memo))
    return clone


def _snapshot(table: Any, parts: Sequence[Mapping[str, Any]]) -> Any:
    """A copy of `table` that later writes to the items that `parts` name do not change."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    clone = copy.copy(table)
    clone.items = defaultdict(dict)
    for partition, items in table.items.items():
        clone.items[partition] = dict(items) if isinstance(items, dict) else items
    for part in parts:
        key = part.get("Key") or part["Item"]
        partition = DynamoType(key[table.hash_key_attr])
        if partition not in clone.items:
            continue
        if table.range_key_attr is None:
            clone.items[partition] = copy.deepcopy(clone.items[partition])
            continue
        items, sort = clone.items[partition], DynamoType(key[table.range_key_attr])
        if sort in items:
            items[sort] = copy.deepcopy(items[sort])
    if table.stream_shard is not None:
        clone.stream_shard = copy.copy(table.stream_shard)
        clone.stream_shard.table = clone
        clone.stream_shard.items = list(table.stream_shard.items)
    return clone
