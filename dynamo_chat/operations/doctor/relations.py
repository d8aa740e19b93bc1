"""What a rule is: which items must be read beside one, and what they say about it together.

A rule says of a removal that nothing can reach what is removed. Where a list or an id of the
caller's still leads to it, the rule tells of the problem and leaves the item alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import identity_of
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.transaction import Check, Key, Put, Write, absent
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.doctor.conditions import delete, not_there, still
from dynamo_chat.operations.doctor.findings import Problem, Repair, kind_of
from dynamo_chat.operations.doctor.forms import Subject
from dynamo_chat.operations.doctor.stored import helper_fields

Found: TypeAlias = Sequence[AttributeValues | None]
"""What lies at the keys that were asked for; None for nothing, and for what has expired."""


class Relation(NamedTuple):
    """What must be read to judge an item, and the judgement."""

    keys: tuple[Key, ...]
    judge: Callable[[Found], Iterator[Problem]]


Rule: TypeAlias = Callable[[Subject], Relation]
Rules: TypeAlias = Mapping[str, Rule]
"""By the kind of item."""


def is_of(item: AttributeValues | None, *layouts: Layout) -> bool:
    """Whether an item is there, and of one of these kinds."""
    return item is not None and kind_of(item) in {layout.kind for layout in layouts}


def orphan(subject: Subject, says: str, *conditions: Write) -> Problem:
    """Something that nothing can reach: it is removed while that holds."""
    writes = (*conditions, delete(subject.item))
    return Problem("orphan", says, Repair("remove it", writes))


def leads_nowhere(subject: Subject, key: Key, says: str) -> Problem:
    """A helper item whose entity is not there: it is removed while there is none."""
    return orphan(subject, says, not_there(key, subject.now))


def reachable_orphan(says: str) -> Problem:
    """Something without what it belongs to, that readers still find: it is only told."""
    return Problem("orphan", says)


def missing(subject: Subject, item: AttributeValues, says: str, *conditions: Check) -> Problem:
    """An item that must be beside another one: it is made again, unless one came meanwhile."""
    given = conditions or (still(subject.item),)
    repair = Repair("make it again", (*given, Put(item, absent(subject.now))))
    return Problem("missing_item", says, repair)


def belongs(subject: Subject) -> Relation:
    """The rule of a kind that has no other: what it belongs to must be there.

    The key of that item is made of what this one says. A helper that leads to nothing is removed;
    an entity may still be found by readers, so it is only reported.
    """
    layout, owner = subject.layout, subject.layout.of
    if owner is None or layout.is_tombstone:
        return Relation((), lambda _: iter(()))
    if subject.entity is None:
        said = helper_fields(subject.item, layout)
    else:
        said = {**identity_of(layout, subject.item), **subject.entity.__dict__}
    key = owner.key(**said)
    there = KEY_SPACE.in_place_of(owner)

    def judge(found: Found) -> Iterator[Problem]:
        if found[0] is None or kind_of(found[0]) not in there:
            says = f"the {owner.kind.replace('_', ' ')} that it belongs to does not exist"
            is_helper = subject.entity is None
            yield leads_nowhere(subject, key, says) if is_helper else reachable_orphan(says)

    return Relation((key,), judge)
