"""What a round is judged by: the history of its calls, and the table after them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK, Layout
from proof.history import Call, Json

Item = Mapping[str, Any]

LONGEST: Final = 30.0
"""The longest time that a call can take, in seconds."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never happen, with the evidence for it."""

    check: str
    text: str
    about: str = ""
    """The id that it is about, if known."""

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement that an item is in the table, or is not, if the call that makes it happened."""

    thing: str
    is_there: bool = True


def kind_of(item: Item) -> str:
    """The kind of an item; an empty text if it has none."""
    return str(item.get(KIND, {}).get("S", ""))


@dataclass(frozen=True)
class Evidence:
    """Everything that is known about a round."""

    calls: Sequence[Call]
    items: Sequence[Item]
    """Every item of the table."""
    indexed: Mapping[str, Sequence[Item]]
    """Every item of each index."""
    restarts: Sequence[tuple[float, float]]
    """When the server was down, by the clock of the calls."""

    def of(self, *kinds: str) -> list[Call]:
        """The calls of these kinds, in the order in which they began."""
        wanted = set(kinds)
        return [call for call in self.calls if call.kind in wanted]

    def grouped(self, argument: str, *kinds: str) -> dict[str, list[Call]]:
        """The calls of these kinds, by one of their arguments."""
        groups: dict[str, list[Call]] = defaultdict(list)
        for call in self.of(*kinds):
            groups[call.args[argument]].append(call)
        return groups

    @cached_property
    def by_kind(self) -> dict[str, list[Item]]:
        """The table's items by their kind."""
        kinds: dict[str, list[Item]] = defaultdict(list)
        for item in self.items:
            kinds[kind_of(item)].append(item)
        return kinds

    def stored(self, layout: Layout) -> list[Item]:
        """The items of one kind."""
        return self.by_kind.get(layout.kind, [])

    def entities(self, entity: type[Entity]) -> Iterator[Any]:
        """The entities of one kind. Unreadable ones are left out: another check reports them."""
        for item in self.stored(entity.layout):
            with suppress(CorruptItem):
                yield plan(entity).decode(item)

    def was_restarted(self, call: Call) -> bool:
        """True if the server was down during a call. A call that died counts up to its death."""
        end = min(call.returned, call.invoked + LONGEST)
        return any(down < end and up > call.invoked for down, up in self.restarts)


def read_evidence(
    client: Any, table: str, calls: Sequence[Call], restarts: Sequence[tuple[float, float]]
) -> Evidence:
    """Read the history, the whole table and both of its indexes."""
    indexed = {str(place.index): _scan(client, table, place.index) for place in (GSI1, GSI2)}
    return Evidence(calls, _scan(client, table, None), indexed, restarts)


def _scan(client: Any, table: str, index: str | None) -> list[Item]:
    more: dict[str, Json] = {"ConsistentRead": True} if index is None else {"IndexName": index}
    pages = client.get_paginator("scan").paginate(TableName=table, **more)
    return [item for page in pages for item in page["Items"]]


def told(calls: Iterable[Call], most: int = 12) -> str:
    """The last few calls, one a line, for the text of a violation."""
    lines = [f"\n    {call}" for call in calls]
    left_out = f"\n    … {len(lines) - most} calls before" if len(lines) > most else ""
    return left_out + "".join(lines[-most:])


def left_behind(
    evidence: Evidence, layout: Layout, key_field: str, *, of: str, made_by: str, deleted_by: str
) -> Iterator[Violation]:
    """Report what an acknowledged deletion left in a partition with no writes after it.

    `of` is the argument that names the partition in both calls; `key_field` is its name in the key.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for item in evidence.items:
        kinds[item[PK]["S"]].append(kind_of(item))
    made = evidence.grouped(of, made_by)
    for name, calls in evidence.grouped(of, deleted_by).items():
        if not any(call.is_ok for call in calls):
            continue
        last = max(call.invoked for call in calls if call.is_ok)
        if all(call.returned < last for call in made.get(name, []) if call.may_count):
            partition = layout.key(**{key_field: name})[PK]["S"]
            if partition in kinds:
                left = f"{name}: {kinds[partition]}{told(calls)}"
                yield Violation("left behind by a deletion", left)
