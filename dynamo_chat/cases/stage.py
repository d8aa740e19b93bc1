"""The parts of scenarios: a stage to prepare data on, and cases to run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from dynamo_chat.cases.words import tell
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.clock import FakeClock

S = TypeVar("S", bound=ChatStore)


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a method, with its label, expected result and budget."""

    label: str
    """What is special about the call; empty for the plain call."""
    call: Callable[[], object]
    tell: Callable[[Any], str] = tell
    """The result in one short line."""
    budget: int | None = None
    """The result of the pattern's formula for this call; None if the pattern has a number."""
    pattern: str = ""
    """The pattern that it shows, if it isn't the method's own."""
    is_empty: bool = False
    """True if its reads must find nothing. Otherwise a call that only reads must find items."""
    is_shown: bool = False
    """True if the demo shows it too; it always shows the first case of each method."""


class Stage:
    """A store on a table, further stores, a clock, and unused names."""

    def __init__(self, new_store: Callable[[str | None], ChatStore], clock: FakeClock) -> None:
        self._new_store = new_store
        self.clock = clock
        self._extra_tables: list[ChatStore] = []

    @cached_property
    def store(self) -> ChatStore:
        """The stage's store: always the same one, which remembers conversations."""
        return self._new_store(None)

    def of(self, store: type[S]) -> S:
        """The stage's store, as an application's class. TypeError if it is another one."""
        if not isinstance(self.store, store):
            raise TypeError(f"the stage has a {type(self.store).__name__}")
        return self.store

    def cold_store(self) -> ChatStore:
        """A new store on the same table, which remembers no conversation."""
        return self._new_store(None)

    def without_table(self) -> ChatStore:
        """A store whose table doesn't exist; if it is created, `close` deletes it."""
        store = self._new_store(f"dynamo-chat-{uuid.uuid4().hex}")
        self._extra_tables.append(store)
        return store

    def fresh(self, what: str) -> str:
        """An unused name for a user, an account, a room and so on."""
        return f"{what}-{uuid.uuid4().hex[:12]}"

    def later(self, by: timedelta = timedelta(seconds=1)) -> None:
        """Let time pass."""
        self.clock.advance(by)

    def close(self) -> None:
        """Delete the tables of `without_table`."""
        for store in self._extra_tables:
            client = store.connection.client
            if store.connection.table_name in _tables(store):
                client.delete_table(TableName=store.connection.table_name)
        self._extra_tables.clear()


Scenario: TypeAlias = Callable[[Stage], Iterator[Case]]


def _tables(store: ChatStore) -> list[str]:
    pages = store.connection.client.get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"]]
