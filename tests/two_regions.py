"""A small model of a global table: one call in two regions at once, and what both then hold.

Each region begins with the same items and does not see the other's writes. Then both are merged,
item by item: what the later call wrote stays. A transaction is not kept together.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from ulid import ULID

from dynamo_chat import ChatStore
from dynamo_chat.core import bearer, ulids
from dynamo_chat.core.errors import DynamoChatError

Item = dict[str, Any]
Items = Mapping[tuple[str, str], Item]


class Chance(random.Random):
    """Gives each region ids and secrets of its own, and the same ones each time."""

    def ulid(self, moment: datetime) -> str:
        milliseconds = int(moment.timestamp() * 1000)
        return str(ULID.from_int(milliseconds << 80 | self.getrandbits(80)))

    def randbits(self, bits: int) -> int:
        return self.getrandbits(bits)

    def token_urlsafe(self, size: int) -> str:
        return f"{self.getrandbits(8 * size):043x}"[:43]


class Outcome(NamedTuple):
    """What the first and the later call came to, and what is stored then."""

    came: tuple[str, str]
    items: Items


Call = Callable[[], object]


class TwoRegions:
    """Runs two calls in two regions of the table of `store`, or in one."""

    def __init__(self, store: ChatStore, chance: Chance) -> None:
        self._client = store.connection.client
        self._table = store.connection.table_name
        self._store = store
        self._chance = chance

    def apart(self, first: Call, later: Call, regions: str = "ab") -> Outcome:
        """Each in its region before either hears of the other; the table is left merged."""
        before = self.items()
        came = [self._run(first, regions[0])]
        changes = self._changes(before)
        self.restore(before)
        came.append(self._run(later, regions[1]))
        changes |= self._changes(before)
        merged = {key: each for key, each in (before | changes).items() if each}
        self.restore(merged)
        return Outcome((came[0], came[1]), merged)

    def together(self, first: Call, later: Call, regions: str = "ab") -> Outcome:
        """The same two calls in one region, one after the other."""
        came = self._run(first, regions[0]), self._run(later, regions[1])
        return Outcome(came, self.items())

    def restore(self, wanted: Items) -> None:
        """Make it what the table has."""
        now = self.items()
        for key in now.keys() - wanted.keys():
            names = {"PK": now[key]["PK"], "SK": now[key]["SK"]}
            self._client.delete_item(TableName=self._table, Key=names)
        for key, item in wanted.items():
            if now.get(key) != item:
                self._client.put_item(TableName=self._table, Item=item)
        self._forget()

    def _changes(self, before: Items) -> dict[tuple[str, str], Item]:
        after = self.items()
        keys = before.keys() | after.keys()
        return {key: after.get(key, {}) for key in keys if before.get(key) != after.get(key)}

    def _forget(self) -> None:
        cache: Any = self._store._snapshots
        cache._known.clear()  # a server of the other region has a memory of its own

    def _run(self, call: Callable[[], object], region: str) -> str:
        self._chance.seed(region)
        try:
            call()
        except DynamoChatError as error:
            return type(error).__name__
        return "done"

    def items(self) -> dict[tuple[str, str], Item]:
        """What is in the table now."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table)
        return {_key(item): item for page in pages for item in page["Items"]}


@contextmanager
def same_chance() -> Iterator[Chance]:
    """Whatever the package draws by chance is drawn from this."""
    chance = Chance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ulids, "secrets", chance)
        patch.setattr(bearer, "secrets", chance)
        patch.setattr(random, "SystemRandom", lambda: chance)
        yield chance


def _key(item: Item) -> tuple[str, str]:
    return item["PK"]["S"], item["SK"]["S"]
