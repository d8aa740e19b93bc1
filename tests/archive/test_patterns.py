"""Every access pattern answers the same after a move: its cases, played on a table that moves.

The cases of each method are played twice, with equal clocks, ids and random numbers: on one table,
and on a table that is exported and restored into a new one just before each call.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dynamo_chat import ChatStore, TableDefinition
from dynamo_chat.archive.exporting import ExportOptions, StoreExport
from dynamo_chat.archive.restoring import RestoreOptions, StoreRestore
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.text import cut
from dynamo_chat.core.transaction import is_live
from dynamo_chat.testing import Engine, FakeClock
from tests.archive.scenes import same

pytestmark = [pytest.mark.engine, pytest.mark.long]

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
NAME = "chat-moved"
CASES = 2
"""The most cases of a method that are played: the plain one, and the next if there was nothing to
move before that. Others differ in cost."""
MANAGEMENT = "provision"
BARE = TableDefinition(deletion_protection=False, point_in_time_recovery=False)


@dataclass
class Played:
    """What a case gave, and what was in the table then."""

    given: Any
    items: list[Any]


class Mover:
    """Moves tables. Its two connections are used for all of them: to make one takes long."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = engine.client()
        self.clock = FakeClock(NOW)
        store = ChatStore("nowhere", region=engine.region, endpoint_url=engine.endpoint_url)
        now = self._now
        self._export = StoreExport(store, "", ExportOptions(segments=1), clock=now)
        self._restore = StoreRestore(store, "", RestoreOptions(workers=1), clock=now)

    def _now(self) -> datetime:
        return self.clock()

    def create(self, name: str) -> None:
        """Create a table."""
        self.client.create_table(**BARE.create_request(name))

    def move(self, old: str, new: str) -> None:
        """Restore a table into a new one, and delete it."""
        self.create(new)
        with tempfile.TemporaryDirectory() as folder:
            self._export.folder = self._restore.folder = Path(folder) / "archive"
            self._export.connection.table_name = old
            self._restore.connection.table_name = new
            self._export.run()
            assert self._restore.run().is_clean
        self.client.delete_table(TableName=old)


@pytest.fixture(scope="module")
def mover(dynamo_chat_engine: Engine) -> Mover:
    return Mover(dynamo_chat_engine)


class Theatre:
    """A table under one name, which is another one after each move."""

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self._ids = count(1)
        self._stores: list[ChatStore] = []
        self.clock = mover.clock = FakeClock(NOW)
        self.moves = 0
        self._table = NAME
        mover.create(NAME)

    def new_store(self, name: str | None) -> ChatStore:
        """A store as a stage makes them. It is on the table, wherever that is."""
        assert name is None, "a case of a data method needs no other table"
        engine = self._mover.engine
        made = ChatStore(
            NAME,
            region=engine.region,
            endpoint_url=engine.endpoint_url,
            clock=self.clock,
            ids=lambda _: f"01KF{next(self._ids):022}",
        )
        made.connection.table_name = self._table
        self._stores.append(made)
        return made

    def move(self) -> None:
        """Restore the table into a new one, and let all stores use that."""
        self.moves += 1
        old, self._table = self._table, f"{NAME}-{self.moves}"
        self._mover.move(old, self._table)
        for store in self._stores:
            store.connection.table_name = self._table

    def items(self) -> list[Any]:
        """What is in the table for readers: what has expired does not move."""
        pages = self._mover.client.get_paginator("scan").paginate(TableName=self._table)
        now = self.clock()
        items = (item for page in pages for item in page["Items"])
        found = same(item for item in items if is_live(item, now))
        return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))

    def close(self) -> None:
        """Delete the table."""
        self._mover.client.delete_table(TableName=self._table)


class Dice:
    """Random bytes that are the same each time."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def bytes(self, number: int) -> bytes:
        return self._random.randbytes(number)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What draws inside draws for itself."""
        before = self._random.getstate()
        try:
            yield
        finally:
            self._random.setstate(before)


_tokens = count()


def _token() -> str:
    return f"token-{os.getpid()}-{next(_tokens)}"


@contextmanager
def same_luck() -> Iterator[Dice]:
    """All that is random is the same in each block like this."""
    dice = Dice()
    with pytest.MonkeyPatch.context() as patched:
        # Apart from what names a transaction: two of them are never the same.
        patched.setattr("dynamo_chat.core.transaction.uuid", SimpleNamespace(uuid4=_token))
        patched.setattr(os, "urandom", dice.bytes)
        patched.setattr(random, "_urandom", dice.bytes)
        yield dice


def play(mover: Mover, entry: Entry, *, is_moved: bool) -> list[Played]:
    """Play the cases of a method."""
    with same_luck() as dice:
        with dice.aside():
            theatre = Theatre(mover)
        try:
            stage = Stage(theatre.new_store, theatre.clock)
            played = []
            for case in islice(scenarios()[entry.method](stage), CASES):
                stage.later()
                was_empty = not theatre.items()
                if is_moved:
                    with dice.aside():
                        theatre.move()
                played.append(Played(given_by(case.call), theatre.items()))
                if not was_empty:
                    break
            assert theatre.moves == (len(played) if is_moved else 0)
            return played
        finally:
            theatre.close()


def given_by(call: Callable[[], Any]) -> Any:
    """What a call returns or raises, in a form that can be compared."""
    try:
        found = call()
    except DynamoChatError as error:
        return type(error), str(error), repr(vars(error))
    if hasattr(found, "items") and hasattr(found, "cursor"):  # a page, with what it leads to
        return repr(tuple(found)), found.cursor
    return repr(found)


DATA = [entry for entry in catalogue() if entry.domain != MANAGEMENT]


@pytest.mark.parametrize("entry", DATA, ids=lambda entry: cut(str(entry.method), 60))
def test_a_pattern_answers_the_same_after_a_move(mover: Mover, entry: Entry) -> None:
    """It returns the same, and leaves the same items."""
    stayed = play(mover, entry, is_moved=False)
    moved = play(mover, entry, is_moved=True)
    assert stayed
    for one, other in zip(stayed, moved, strict=True):
        assert other.given == one.given
        assert other.items == one.items
