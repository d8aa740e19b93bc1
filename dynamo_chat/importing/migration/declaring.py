"""What a document declares: its tables, how their records become entities, and what stores them.

A document is a list of steps, which run one after the other. A step takes the records of one or
more tables that belong together, such as a session with its messages: they have the same value of
the attribute that the table groups by. `make` turns such a bundle into what is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import DynamoChatError, InvalidArgument
from dynamo_chat.importing.migration.shaping import Record
from dynamo_chat.store import ChatStore

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Refused(DynamoChatError):
    """A record can't be loaded as it is. The message says why."""


class LeftOut(DynamoChatError):
    """A record is not loaded, on purpose: it has expired, for example."""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table of a document, as the document lays it out."""

    name: str
    key: tuple[str, ...]
    """The attributes of its primary key."""
    shape: type[BaseModel]
    group: str
    """The attribute whose value brings records of several tables together."""
    filled: Mapping[str, Callable[[Record], Any]] = field(default_factory=dict)
    """Values for missing attributes, from those that exist."""
    completed: Callable[[Record], Iterable[str]] | None = None
    """Completes values inside of a record, and yields what it changed."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Other names that the document uses for an attribute."""
    created: tuple[str, ...] = ()
    """The attributes that say how old a record is: of duplicates, the oldest is loaded."""
    changed: tuple[str, ...] = ()
    """The attributes that say when it was last changed, for a run over what changed since."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record of a table, in the types of its shape."""

    table: SourceTable
    key: str
    record: Record

    def read(self, shape: type[M]) -> M:
        """The record as its model. InvalidArgument names the wrong attribute."""
        return validated(shape, self.table.name, **self.record)

    def __str__(self) -> str:
        return f"{self.table.name} {self.key}"


class Bundle(Protocol):
    """The records of one group, and what is known about the others."""

    group: str
    now: datetime
    """The current time, which decides what has expired."""

    def head(self, table: str) -> Row:
        """The one record of the first table. Refused if it is missing: the others are orphans."""

    def rows(self, table: str) -> Sequence[Row]:
        """The readable records of a table, by key."""

    def refuse(self, row: Row, reason: str) -> None:
        """Report that a record can't be loaded."""

    def leave_out(self, row: Row, reason: str) -> None:
        """Report that a record is not loaded on purpose."""

    def change(self, row: Row, what: str) -> None:
        """Report that a record is loaded with a difference."""

    def holder(self, space: str, value: str, row: Row) -> str:
        """The key of the record that has a unique value; the first one that asks gets it."""

    def is_accepted(self, step: str, group: str) -> bool:
        """True if an earlier step has this group, and did not refuse it."""

    @property
    def has_refusals(self) -> bool:
        """True if a record of the group can't be loaded."""


def accepted(bundle: Bundle, row: Row, make: Callable[[], T]) -> T | None:
    """What is made of one record; None if that refuses it or leaves it out, which is reported."""
    try:
        return make()
    except LeftOut as error:
        bundle.leave_out(row, str(error))
    except (Refused, InvalidArgument) as error:
        bundle.refuse(row, str(error))
    return None


class Target(Protocol):
    """The store that is loaded, and its movable clock."""

    @property
    def store(self) -> ChatStore:
        """The store."""

    def now(self) -> datetime:
        """The current time."""

    def at(self, moment: datetime) -> AbstractContextManager[None]:
        """A context in which the store's clock stands at `moment`."""


@dataclass(frozen=True, slots=True)
class Made:
    """One thing to load: an entity, or a conversation with its messages."""

    rows: tuple[Row, ...]
    """The records that it comes from."""
    load: Callable[[Target], object] | None = None
    """Stores it; takes a `Target`. Storing it again changes nothing."""
    differences: Callable[[Target], Sequence[str]] | None = None
    """What is stored otherwise than the records say; takes a `Target`."""
    items: tuple[AttributeValues, ...] = ()
    """In place of both: items to write in batches. They never change, and nothing of them must be
    unique beside their keys."""


@dataclass(frozen=True, slots=True)
class Step:
    """Records that are brought in together."""

    name: str
    tables: tuple[SourceTable, ...]
    """The first one's record is what those of the others belong to."""
    make: Callable[[Bundle], Iterator[Made]]
    is_whole: bool = False
    """If one record of a group is refused, so are the others: they are loaded together or not."""


@dataclass(frozen=True, slots=True)
class Document:
    """How one document's tables are brought in."""

    name: str
    steps: tuple[Step, ...]
    settled: tuple[str, ...] = ()
    """What is stored otherwise than in the old tables, for every record."""

    @property
    def tables(self) -> tuple[SourceTable, ...]:
        """All tables, in the order they are brought in."""
        return tuple(table for step in self.steps for table in step.tables)

    def table(self, name: str) -> SourceTable | None:
        """The table with this name."""
        return next((each for each in self.tables if each.name == name), None)
