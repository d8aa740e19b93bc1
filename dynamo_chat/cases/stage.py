"""What scenarios are made of: a stage to set things up on, and cases to play."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeAlias

from dynamo_chat.cases.words import tell
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.clock import FakeClock


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a method: what is special about it, what it gives, what it may cost."""

    label: str
    """What is special about it; empty for the plain call."""
    call: Callable[[], object]
    tell: Callable[[Any], str] = tell
    """What the call gave, in one short line."""
    budget: int | None = None
    """What the pattern's formula gives for this call; None where its plain number holds."""
    pattern: str = ""
    """The pattern that it shows, where that is another than the method's own."""
    is_empty: bool = False
    """Its reads are meant to find nothing. Without it, a call that only reads finds something."""
    is_shown: bool = False
    """The demo shows it after the one before it; it shows the first case of each method anyway."""


class Stage:
    """A store on a table, others beside it, a clock, and names that nobody used yet."""

    def __init__(self, new_store: Callable[[str | None], ChatStore], clock: FakeClock) -> None:
        self._new_store = new_store
        self.clock = clock
        self._extra_tables: list[ChatStore] = []

    @cached_property
    def store(self) -> ChatStore:
        """The store: it stays the same, and knows what went through it."""
        return self._new_store(None)

    def cold_store(self) -> ChatStore:
        """Another store on the same table, which knows no conversation yet."""
        return self._new_store(None)

    def without_table(self) -> ChatStore:
        """A store whose table does not exist; if it is made, it goes when the stage is left."""
        store = self._new_store(f"dynamo-chat-{uuid.uuid4().hex}")
        self._extra_tables.append(store)
        return store

    def fresh(self, what: str) -> str:
        """A name for a user, an account, a room, …: nobody used it yet."""
        return f"{what}-{uuid.uuid4().hex[:12]}"

    def later(self, by: timedelta = timedelta(seconds=1)) -> None:
        """Let time pass."""
        self.clock.advance(by)

    def close(self) -> None:
        """Delete the tables that were made beside the stage's own."""
        for store in self._extra_tables:
            client = store.connection.client
            if store.connection.table_name in _tables(store):
                client.delete_table(TableName=store.connection.table_name)
        self._extra_tables.clear()


Scenario: TypeAlias = Callable[[Stage], Iterator[Case]]


def _tables(store: ChatStore) -> list[str]:
    pages = store.connection.client.get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"]]
