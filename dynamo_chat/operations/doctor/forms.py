"""Check one item by itself: its kind, table key, TTL, schema version and index keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

from dynamo_chat.core.attributes import AttributeValue
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import UNREADABLE, Item, plan
from dynamo_chat.core.layout import GSI1, GSI2, PK, SK, TTL, VERSION, Layout
from dynamo_chat.core.transaction import Check, Delete, Write, is_live, key_of
from dynamo_chat.keyspace import KEY_SPACE, SPREAD
from dynamo_chat.operations.doctor.conditions import set_attributes
from dynamo_chat.operations.doctor.findings import Problem, Repair, kind_of
from dynamo_chat.operations.doctor.kinds import known_kinds
from dynamo_chat.operations.doctor.stored import (
    helper_fields,
    helper_index_keys,
    index_keys,
    may_expire,
)

E = TypeVar("E", bound=Entity)
_INDEXES: Final = (GSI1, GSI2)


@dataclass(frozen=True, slots=True)
class Subject:
    """A live, readable item that is to be checked together with related items."""

    item: AttributeValues
    """The stored attributes."""
    layout: Layout
    entity: Entity | None
    """None for a helper item."""
    now: datetime
    longest_call: timedelta

    def of(self, entity: type[E]) -> E:
        """Return the item as this entity. TypeError if it is of another kind."""
        if not isinstance(self.entity, entity):
            raise TypeError(f"{self.layout.kind} is not stored as {entity.__name__}")
        return self.entity


@dataclass(slots=True)
class Form:
    """The result of checking an item by itself."""

    problems: list[Problem] = field(default_factory=list)
    subject: Subject | None = None
    """None if the item is not to be checked further."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """Checks items one by one."""

    clock: Callable[[], datetime]
    slack: timedelta
    """How long after its TTL an item may still exist."""
    longest_call: timedelta

    def form(self, item: AttributeValues) -> Form:
        """Check `item` by itself."""
        form = Form()
        now = self.clock()
        layout = known_kinds().layouts.get(kind_of(item))
        if layout is None:
            form.problems.append(Problem("unknown_kind", f"unknown kind {kind_of(item)!r}"))
            return form
        read, wrong_ttl = _with_right_ttl(item, layout)
        form.problems += wrong_ttl
        if read is None:
            return form
        if not is_live(read, now):
            form.problems += self._expired(item, now) if read is item else ()
            return form
        try:
            entity = _entity(read, layout)
            form.problems += _key_problems(item, layout, entity)
            if any(each.code == "wrong_key" for each in form.problems):
                return form
            form.problems += _index_problems(item, read, layout, entity)
        except _Stop as stop:
            form.problems.append(stop.problem)
            return form
        except (CorruptItem, InvalidArgument) as error:
            reason = error.reason if isinstance(error, CorruptItem) else str(error)
            form.problems.append(Problem("unreadable", reason))
            return form
        form.subject = Subject(item, layout, entity, now, self.longest_call)
        return form

    def _expired(self, item: AttributeValues, now: datetime) -> Iterator[Problem]:
        deadline = int(item[TTL]["N"])
        late = int(now.timestamp()) - deadline
        if late > self.slack.total_seconds():
            gone = Delete(key_of(item), Item.ttl == deadline)
            says = f"expired {late // 86_400:,} days ago; no read returns it"
            yield Problem("expired", says, Repair("delete the item", (gone,)))


class _Stop(Exception):
    """A problem that makes further checks of the item pointless."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.says)
        self.problem = problem


def _with_right_ttl(
    item: AttributeValues, layout: Layout
) -> tuple[AttributeValues | None, list[Problem]]:
    """The item with its TTL corrected, or None if that isn't possible; and its TTL problems."""
    stored = item.get(TTL)
    if stored is None:
        return item, []
    if not may_expire(layout):
        repair = Repair("remove its TTL", (set_attributes(item, {TTL: None}),))
        without = {name: value for name, value in item.items() if name != TTL}
        return without, [Problem("wrong_ttl", "items of this kind have no TTL", repair)]
    number = stored.get("N")
    if number is not None and _is_whole(number):
        return item, []
    meant = _meant(stored)
    if meant is None:
        return None, [Problem("wrong_ttl", "its TTL can't be converted to a whole number")]
    right = {"N": str(meant)}
    repair = Repair(f"set its TTL to the number {meant}", (set_attributes(item, {TTL: right}),))
    says = f"its TTL is of type {'/'.join(stored)}: DynamoDB would never delete the item"
    return {**item, TTL: right}, [Problem("wrong_ttl", says, repair)]


def _is_whole(number: str) -> bool:
    try:
        int(number)
    except ValueError:
        return False
    return True


def _meant(stored: AttributeValue) -> int | None:
    """The seconds that a TTL of another type stands for; None if it isn't a number of seconds."""
    ((_, content),) = stored.items()
    if not isinstance(content, str):
        return None
    try:
        seconds = Decimal(content)
        return math.ceil(seconds) if 0 < seconds < 10**12 else None
    except InvalidOperation:
        return None


def _entity(item: AttributeValues, layout: Layout) -> Entity | None:
    """The entity read from the item; None for a helper item. CorruptItem, _Stop."""
    for name, shape in ((PK, layout.table.pk), (SK, layout.table.sk)):
        if not shape.matches(item[name]["S"]):
            says = f"its {name} doesn't have the form {shape.pattern()}"
            raise _Stop(Problem("wrong_key", says))
    entity = known_kinds().entities.get(layout.kind)
    version = _version(item, layout)
    if version > layout.newest:
        says = f"schema version {version}; the newest that is known is {layout.newest}"
        raise _Stop(Problem("newer_version", says))
    if entity is None:
        if version < 1:
            raise CorruptItem(layout.kind, f"schema version {version} doesn't exist")
        return None
    return plan(entity).decode(item)


def _version(item: AttributeValues, layout: Layout) -> int:
    try:
        return int(item[VERSION]["N"])
    except (LookupError, TypeError, ValueError) as error:
        raise CorruptItem(layout.kind, "its schema version is missing or not an integer") from error


def _key_problems(
    item: AttributeValues, layout: Layout, entity: Entity | None
) -> Iterator[Problem]:
    """A problem if the item's table key doesn't match its attributes."""
    if entity is None:
        return
    made = plan(type(entity)).encode(entity)
    for name in (PK, SK):
        if made[name] != item[name]:
            yield Problem(
                "wrong_key", f"its {name} doesn't match the attributes of this {layout.kind}"
            )


def _index_problems(
    item: AttributeValues, read: AttributeValues, layout: Layout, entity: Entity | None
) -> Iterator[Problem]:
    """Problems of the item's index keys, and of an older schema version."""
    if entity is None:
        wanted = helper_index_keys(layout, helper_fields(item, layout))
        if wanted is not None:
            yield from index_difference(item, wanted)
        return
    made = plan(type(entity)).encode(entity)
    version = int(item[VERSION]["N"])
    if version == entity.schema_version:
        yield from index_difference(item, index_keys(made))
        return
    # Older versions may have other index keys: the upgrade sets the current ones.
    upgraded = plan(type(entity)).upgraded(dict(read), version)
    changes: dict[str, AttributeValue | None] = dict.fromkeys(
        name for name in item if name not in upgraded
    )
    changes |= {name: value for name, value in made.items() if item.get(name) != value}
    changes |= _index_changes(item, index_keys(made))
    yield older_version(version, entity.schema_version, set_attributes(item, changes))


def older_version(version: int, newest: int, *upgrade: Write) -> Problem:
    """The problem of an item with an older schema version, repaired by the writes of `upgrade`."""
    says = f"schema version {version}; the current one is {newest}"
    return Problem("older_version", says, Repair(f"upgrade it to schema version {newest}", upgrade))


def index_difference(
    item: AttributeValues, wanted: Mapping[str, AttributeValue], *checks: Check
) -> Iterator[Problem]:
    """A problem if the item's index keys aren't `wanted`; `checks` are conditions of its repair."""
    changes = _index_changes(item, _where_it_is_spread(item, wanted))
    if not changes:
        return
    repair = Repair("correct its index keys", (*checks, set_attributes(item, changes)))
    for place in _INDEXES:
        if (place.pk in item) != (place.sk in item):
            says = f"one of its two key attributes of {place.index} is missing"
            yield Problem("half_index_key", says, repair)
            return
    places = [place.index for place in _INDEXES if place.pk in changes]
    says = f"its key in {' and '.join(map(str, places))} is wrong or missing"
    yield Problem("wrong_index_key", says, repair)


def _where_it_is_spread(
    item: AttributeValues, wanted: Mapping[str, AttributeValue]
) -> Mapping[str, AttributeValue]:
    """`wanted`, in the shards that the item is in: any of those that lists read is right."""
    found = dict(wanted)
    for (kind, place), spread in SPREAD.items():
        if kind != kind_of(item) or place.pk not in found or place.pk not in item:
            continue
        slot = KEY_SPACE.layouts[kind].slot(place)
        with suppress(*UNREADABLE):
            *same, shard = () if slot is None else slot.pk.decode(item[place.pk]["S"])
            if slot is not None and shard in spread.shards():
                *others, _ = slot.pk.decode(found[place.pk]["S"])
                if same == others:
                    found[place.pk] = item[place.pk]
    return found


def _index_changes(
    item: AttributeValues, wanted: Mapping[str, AttributeValue]
) -> dict[str, AttributeValue | None]:
    """Changes that set an item's index keys to `wanted`: both attributes of an index, or none."""
    return {
        name: wanted.get(name)
        for place in _INDEXES
        if any(item.get(each) != wanted.get(each) for each in (place.pk, place.sk))
        for name in (place.pk, place.sk)
    }
