"""What an atlas shows, as plain values: kinds, patterns, the items that they touch, and bills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dynamo_chat.testing.touched import How

Key = tuple[str, str]
"""A partition key and a sort key."""
OfBill = Literal["own", "other"]


@dataclass(frozen=True, slots=True)
class Item:
    """An item as a pattern met it; the same item before and after a change is two of them."""

    kind: str
    """Empty if its key is of no kind."""
    keys: tuple[Key | None, Key | None, Key | None]
    """In the table, in GSI1 and in GSI2."""
    bytes: int
    """Its size; 0 if it doesn't exist or was read in part."""
    what: str
    """Its content in a few words."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request."""

    operation: str
    place: str
    """``table``, ``GSI1`` or ``GSI2``; empty for the management of tables."""
    asked: str
    """The key condition of a Query."""
    error: str
    """DynamoDB's code, if it refused the request."""
    wcu: Mapping[str, float]
    rcu: Mapping[str, float]
    touched: tuple[tuple[How, int], ...]
    """The first items that it read or wrote, each by its number in the atlas."""
    more: int
    """How many further items it touched."""


@dataclass(frozen=True, slots=True)
class PlayedCase:
    """One way of calling a method, and what it cost."""

    label: str
    result: str
    requests: int
    budget: int
    wcu: float
    rcu: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One method of the catalogue."""

    id: str
    method: str
    domain: str
    description: str
    index: str
    operation: str
    requests: str
    owner: str
    """How it is made sure that only the owner is served, or why not."""
    cases: tuple[PlayedCase, ...]
    unplayed: str
    """Why no case is shown; empty if one is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item."""

    kind: str
    domain: str
    entity: str
    """The name of its class; empty for a helper."""
    about: str
    """The first sentence about that class."""
    helper: bool
    of: str
    """The kind that it belongs to; empty for a root."""
    status: str
    note: str
    keys: tuple[Key | None, Key | None, Key | None]
    """As the documentation writes them, in the table, in GSI1 and in GSI2."""
    fields: tuple[tuple[str, str], ...]
    """The name and the type of each field of its class."""
    patterns: tuple[str, ...]
    """The methods whose cases read or wrote such an item."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A month in one design, in dollars."""

    design: str
    of: OfBill
    total: str
    lines: tuple[tuple[str, str], ...]
    """What is paid for, and how much."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """All that the page shows."""

    store: str
    version: str
    kinds: tuple[Kind, ...]
    patterns: tuple[Pattern, ...]
    items: tuple[Item, ...]
    loaded: tuple[int, ...] = ()
    """The numbers of the items that were loaded, apart from those of the cases."""
    bills: tuple[Bill, ...] = ()
    workload: str = ""
    """What the bills are for, and at which prices."""
    places: tuple[str, ...] = field(default=("table", "GSI1", "GSI2"))
