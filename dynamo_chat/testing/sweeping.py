"""Expired items go late, one by one, in any order, as DynamoDB's TTL deletes them within days.

sweeper = Sweeper(store, seed=1)
clock.advance(timedelta(days=31))
...                     # everything that has expired is still in the table
sweeper.sweep(3)        # three of the items are gone
...
sweeper.sweep()         # all are
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dynamo_chat.testing.probe import second_client

if TYPE_CHECKING:
    from dynamo_chat.store import ChatStore
    from dynamo_chat.testing.changes import TableChanges

_CONDITION = "#ttl = :deadline"
"""A write in between gave the item another deadline, or none."""


class Sweeper:
    """Deletes the expired items of a store's table: those whose TTL the store's clock has reached.

    It works on any endpoint, by deletions with a condition. With `changes`, those of the same
    table, its deletions are `Expired` there, as DynamoDB's own are, and not `Deleted`. The same
    `seed` and items give the same order.
    """

    def __init__(self, store: ChatStore, *, seed: int, changes: TableChanges | None = None) -> None:
        self._table = store.connection.table_name
        self._clock = store._binding.clock  # noqa: SLF001 - of this package
        self._client = second_client(store.connection.client)
        self._random = random.Random(seed)  # noqa: S311 - the dice of a test
        self._changes = changes

    def sweep(self, most: int | None = None) -> int:
        """Delete up to `most` expired items, or all, in random order. Returns how many."""
        expired = sorted(self._expired(), key=lambda item: (item["PK"]["S"], item["SK"]["S"]))
        self._random.shuffle(expired)
        return sum(self._delete(item) for item in expired[:most])

    def _expired(self) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            ConsistentRead=True,
            FilterExpression="#ttl <= :now",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={":now": {"N": str(int(self._clock().timestamp()))}},
        )
        for page in pages:
            yield from page["Items"]

    def _delete(self, item: Mapping[str, Any]) -> bool:
        """False if the item is gone, or has another deadline by now."""
        with suppress(self._client.exceptions.ConditionalCheckFailedException):
            deleted = self._client.delete_item(
                TableName=self._table,
                Key={name: item[name] for name in ("PK", "SK")},
                ConditionExpression=_CONDITION,
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={":deadline": item["ttl"]},
                ReturnValues="ALL_OLD",
            )
            if self._changes is not None:
                self._changes.mark_expired(deleted["Attributes"])
            return True
        return False
