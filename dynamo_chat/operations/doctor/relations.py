"""Rules: which related items must be read to judge an item, and how it is judged by them.

A rule removes only items that nothing can reach. If a list or a caller's id still leads to an
item, the rule reports the problem and leaves the item alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import identity_of
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.transaction import Check, Key, Put, Write, absent
from dynamo_chat.operations.doctor.conditions import delete, not_there, still
from dynamo_chat.operations.doctor.findings import Problem, Repair, kind_of
from dynamo_chat.operations.doctor.forms import Subject
from dynamo_chat.operations.doctor.kinds import known_kinds
from dynamo_chat.operations.doctor.stored import helper_fields

Found: TypeAlias = Sequence[AttributeValues | None]
"""The items at the keys that were asked for; None for a missing or expired one."""


class Relation(NamedTuple):
    """The keys that must be read to judge an item, and the judgement."""

    keys: tuple[Key, ...]
    judge: Callable[[Found], Iterator[Problem]]


Rule: TypeAlias = Callable[[Subject], Relation]
Rules: TypeAlias = Mapping[str, Rule]
"""By the kind of item."""


def is_of(item: AttributeValues | None, *layouts: Layout) -> bool:
    """True if the item exists and is of one of these kinds."""
    return item is not None and kind_of(item) in {layout.kind for layout in layouts}


def orphan(subject: Subject, says: str, *conditions: Write) -> Problem:
    """The problem of an item that nothing can reach; removed on condition that this still holds."""
    writes = (*conditions, delete(subject.item))
    return Problem("orphan", says, Repair("delete the item", writes))


def leads_nowhere(subject: Subject, key: Key, says: str) -> Problem:
    """The problem of a helper item whose entity is missing; removed if it still is."""
    return orphan(subject, says, not_there(key, subject.now))


def reachable_orphan(says: str) -> Problem:
    """The problem of an orphan that reads still return: it is reported, not removed."""
    return Problem("orphan", says)


def missing(subject: Subject, item: AttributeValues, says: str, *conditions: Check) -> Problem:
    """The problem of a missing item; it is created again unless it exists by then."""
    given = conditions or (still(subject.item),)
    repair = Repair("create the missing item again", (*given, Put(item, absent(subject.now))))
    return Problem("missing_item", says, repair)


def belongs(subject: Subject) -> Relation:
    """The rule of kinds without one of their own: the item's owner must exist.

    The owner's key is made of the item's key and attributes. An orphaned helper item is removed;
    an orphaned entity may still be found by reads, so it is only reported.
    """
    layout, owner = subject.layout, subject.layout.of
    if owner is None or layout.is_tombstone:
        return Relation((), lambda _: iter(()))
    if subject.entity is None:
        said = helper_fields(subject.item, layout)
    else:
        said = {**identity_of(layout, subject.item), **subject.entity.__dict__}
    key = owner.key(**said)
    there = known_kinds().in_place_of(owner)

    def judge(found: Found) -> Iterator[Problem]:
        if found[0] is None or kind_of(found[0]) not in there:
            says = f"its {owner.kind.replace('_', ' ')} doesn't exist"
            is_helper = subject.entity is None
            yield leads_nowhere(subject, key, says) if is_helper else reachable_orphan(says)

    return Relation((key,), judge)
