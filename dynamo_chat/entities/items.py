"""Reads and writes of an application's own items, each by the entity that it is.

An expired item is absent for every read and every condition. A write that contradicts what is
stored raises a `Conflict`, whose `current` is the stored entity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.changes import actions, checked
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import AlreadyExists, Conflict, CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.item import is_kind, plan
from dynamo_chat.core.layout import GSI1, GSI2, Collection, Layout, Place
from dynamo_chat.core.page import Page
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Check,
    Delete,
    Put,
    Update,
    Write,
    absent,
    is_live,
    live,
)
from dynamo_chat.entities.given import (
    check_changes,
    check_class,
    check_condition,
    check_entity,
    check_page,
    check_writes,
    key_of_class,
    listed,
    pairs,
)
from dynamo_chat.identity.user import user_exists, user_key

E = TypeVar("E", bound=Entity)

_INDEXES: tuple[Place, ...] = (GSI1, GSI2)


class OwnItems(Repository):
    """Reads and writes items of an application's own kinds."""

    def now(self) -> datetime:
        """The current time of the store's clock, in UTC."""
        return self._now()

    def new_id(self) -> str:
        """A new ULID: 26 characters that sort by the time of their creation."""
        return self._new_id()

    # -- reading ------------------------------------------------------------------------------

    def find(self, entity: type[E], *, consistent: bool = False, **key: Any) -> E | None:
        """The entity with this key; None when there is none or it has expired. One GetItem."""
        item = self._get_item(key_of_class(entity, key), consistent=consistent)
        if item is None or not is_live(item, self._now()):
            return None
        return plan(entity).decode(item)

    def get(self, entity: type[E], *, consistent: bool = False, **key: Any) -> E:
        """The entity with this key. NotFound when there is none or it has expired."""
        found = self.find(entity, consistent=consistent, **key)
        if found is None:
            raise not_found(entity, key)
        return found

    def find_many(
        self, entity: type[E], keys: Sequence[Mapping[str, Any]], *, consistent: bool = False
    ) -> list[E | None]:
        """The entities with these keys, in the same order; None for a missing one.

        One BatchGetItem per 100 keys.
        """
        check_class(entity)
        asked = [key_of_class(entity, key, "keys") for key in listed("keys", keys)]
        now, decode = self._now(), plan(entity).decode
        items = self._get_items(asked, consistent=consistent)
        return [decode(item) if item is not None and is_live(item, now) else None for item in items]

    def find_each(
        self, *wanted: tuple[type[E], Mapping[str, Any]], consistent: bool = False
    ) -> list[E | None]:
        """Entities of several kinds, each by its key, in the same order; None for a missing one.

        One BatchGetItem per 100 keys.
        """
        asked = [key_of_class(*each, "wanted") for each in pairs("wanted", wanted)]
        now = self._now()
        items = self._get_items(asked, consistent=consistent)
        return [
            plan(entity).decode(item) if item is not None and is_live(item, now) else None
            for (entity, _), item in zip(wanted, items, strict=True)
        ]

    def page(self, asked: PageRequest, entity: type[E], *collections: Collection) -> Page[E]:
        """One page of these collections, merged in the order of their sort keys.

        One Query for each collection; more if expired items are skipped.
        """
        check_class(entity)
        check_page(asked, collections)
        return self._page(asked, collections, plan(entity).decode)

    # -- writing ------------------------------------------------------------------------------

    def create(self, entity: E, *beside: Write) -> E:
        """Write a new entity, with `beside` in one transaction, and return it.

        A retry with an equal entity returns it again. AlreadyExists if the key is another's;
        Conflict if a condition of `beside` fails.
        """
        writes = self._with(self.creating(entity), beside)
        try:
            self._write(*writes)
        except ConditionFailed as failed:
            there = _stored(type(entity), failed.items.get(0))
            if there is None:
                raise _refused(failed) from failed
            if there != as_stored(entity):
                raise AlreadyExists(f"another {_words(entity)} has this key", there) from failed
            return there
        return entity

    def put(self, entity: E, *beside: Write, only_if: Condition | None = None) -> E:
        """Write an entity in place of any with its key, with `beside` in one transaction.

        Conflict if `only_if`, a condition on the stored item, or one of `beside` fails.
        """
        writes = self._with(self.putting(entity, only_if=only_if), beside)
        try:
            self._write(*writes)
        except ConditionFailed as failed:
            raise _refused(failed, type(entity)) from failed
        return entity

    def update(
        self,
        entity: type[E],
        changes: Mapping[str, Any],
        *,
        only_if: Condition | None = None,
        **key: Any,
    ) -> E:
        """Change fields of the entity with this key, unread, and return it as it is then.

        NotFound when there is none; Conflict if `only_if` fails. InvalidArgument for a field that
        is part of a key: see `change`.
        """
        change = self.updating(entity, changes, only_if=only_if, **key)
        try:
            item = self._write(change, returning=True)
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if not is_live(there, self._now()):
                raise not_found(entity, key) from failed
            raise _refused(failed, entity) from failed
        return plan(entity).decode(item)

    def change(self, before: E, *beside: Write, **changes: Any) -> E:
        """Change fields of an entity that was read, with its index keys, and return the new one.

        NotFound if it no longer exists; Conflict if `changes` touch index keys that have changed
        since. The key in the table stays.
        """
        check_entity(before, "before")
        check_changes(type(before), changes)
        after, written = changed(before, changes, self._now())
        writes = self._with(written, beside)
        try:
            self._write(*writes)
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if 0 in failed.items and not is_live(there, self._now()):
                raise not_found(type(before), before.__dict__) from failed
            if _stored(type(before), there) == after:
                return after  # an earlier attempt, whose answer was lost, did it
            raise _refused(failed, type(before)) from failed
        return after

    def delete(
        self, entity: type[Entity], *beside: Write, only_if: Condition | None = None, **key: Any
    ) -> None:
        """Delete the entity with this key, with `beside`; no error if there is none.

        Conflict if `only_if` fails.
        """
        writes = self._with(self.deleting(entity, only_if=only_if, **key), beside)
        try:
            self._write(*writes)
        except ConditionFailed as failed:
            raise _refused(failed, entity) from failed

    def write(self, *writes: Write) -> None:
        """Apply all of `writes` or none: one request. Conflict if a condition fails."""
        check_writes("writes", writes)
        try:
            self._write(*writes)
        except ConditionFailed as failed:
            raise _refused(failed) from failed

    # -- writes as values, for `beside` and `write` -------------------------------------------

    def creating(self, entity: Entity) -> Put:
        """The write of a new entity: its key must be free."""
        check_entity(entity)
        return Put(own_item(entity), absent(self._now()))

    def putting(self, entity: Entity, *, only_if: Condition | None = None) -> Put:
        """The write of an entity in place of any with its key."""
        check_entity(entity)
        check_condition("only_if", only_if)
        return Put(own_item(entity), only_if)

    def updating(
        self,
        entity: type[Entity],
        changes: Mapping[str, Any],
        *,
        only_if: Condition | None = None,
        **key: Any,
    ) -> Update:
        """The change of some fields of the entity with this key, which must exist."""
        check_class(entity)
        check_changes(entity, changes)
        check_condition("only_if", only_if)
        refuse_key_fields(entity.layout, changes)
        refuse_conversations(entity.layout)
        values = checked(entity, **changes)
        condition = live(self._now()) if only_if is None else live(self._now()) & only_if
        return Update(key_of_class(entity, key), actions(entity, values), condition)

    def deleting(
        self, entity: type[Entity], *, only_if: Condition | None = None, **key: Any
    ) -> Delete:
        """The deletion of the entity with this key."""
        check_class(entity)
        check_condition("only_if", only_if)
        refuse_conversations(entity.layout)
        return Delete(key_of_class(entity, key), only_if)

    def requiring(
        self, entity: type[Entity], *, only_if: Condition | None = None, **key: Any
    ) -> Check:
        """No change, but the entity with this key must exist, and `only_if` hold."""
        check_condition("only_if", only_if)
        condition = live(self._now()) if only_if is None else live(self._now()) & only_if
        return Check(key_of_class(entity, key), condition)

    def _with(self, first: Write, beside: Sequence[Write]) -> Sequence[Write]:
        """A write and those `beside` it, checked."""
        check_writes("beside", beside, MAX_TRANSACTION_WRITES - 1)
        return first, *beside


def requires_user(user_id: str) -> Check:
    """No change, but the user must exist and not be in deletion.

    Beside the writes of what belongs to a user, so that nothing is left after `users.delete`.
    """
    return Check(user_key(user_id), user_exists())


def own_item(entity: Entity) -> AttributeValues:
    """The item of an entity that isn't part of a conversation. TypeError for one that is."""
    refuse_conversations(entity.layout)
    return plan(type(entity)).encode(entity)


def as_stored(entity: E) -> E:
    """`entity` as it is read back: deadlines are whole seconds."""
    item_plan = plan(type(entity))
    return item_plan.decode(item_plan.encode(entity))


def refuse_conversations(layout: Layout) -> None:
    """TypeError for a kind in the partitions of conversations: its writes must check the head."""
    if is_in_conversations(layout):
        raise TypeError(f"a {layout.kind} is part of a conversation: use conversation_items")


def is_in_conversations(layout: Layout) -> bool:
    """True if items of this kind are in the partitions of conversations."""
    return layout.table.pk.pattern() == keyspace.CONVERSATION_PARTITION.pattern()


def refuse_key_fields(layout: Layout, changes: Mapping[str, Any]) -> None:
    """InvalidArgument if a change is of a field that is part of a key."""
    slots = [slot for slot in (layout.table, layout.gsi1, layout.gsi2) if slot is not None]
    for name in changes:
        if any(name in (*slot.pk.names, *slot.sk.names) for slot in slots):
            raise InvalidArgument(name, "is part of a key: read the entity and use `change`")


def changed(before: E, changes: Mapping[str, Any], now: datetime) -> tuple[E, Update]:
    """The entity with `changes`, and the update that writes them with all its index keys."""
    entity = type(before)
    layout, values = entity.layout, checked(entity, **changes)
    for name in (*layout.table.pk.names, *layout.table.sk.names):
        if name in values:
            raise InvalidArgument(name, "is part of the key in the table: delete and create")
    after = entity.model_validate({**before.__dict__, **values})
    made = actions(entity, values)
    condition = live(now)
    old, new = plan(entity).encode(before), plan(entity).encode(after)
    for place in _INDEXES:
        slot = layout.slot(place)
        if slot is None or values.keys().isdisjoint((*slot.pk.names, *slot.sk.names)):
            continue
        for name in (place.pk, place.sk):
            path = Path(name)
            made.append(path.set(Raw(new[name])) if name in new else path.remove())
            # Proven by the condition: the components that are not changed are those that were read.
            condition &= path == Raw(old[name]) if name in old else path.does_not_exist()
    return after, Update(layout.key(**before.__dict__), made, condition)


def not_found(entity: type[Entity], key: Mapping[str, Any]) -> NotFound:
    """The error for an entity that doesn't exist: it names the last component of its key."""
    layout = entity.layout
    names = (*layout.table.pk.names, *layout.table.sk.names)
    return NotFound(layout.kind.replace("_", " "), str(key.get(names[-1], "")))


def _stored(entity: type[E], item: AttributeValues | None) -> E | None:
    """The stored entity of this kind; None if it is of another kind or can't be read."""
    if not item or not is_kind(item, entity.layout):
        return None
    try:
        return plan(entity).decode(item)
    except CorruptItem:
        return None


def _refused(failed: ConditionFailed, entity: type[Entity] | None = None) -> Conflict:
    """The error of a write whose condition failed, with the stored entity."""
    first = min(failed.items, default=0)
    current = None if entity is None or first else _stored(entity, failed.items.get(0))
    return Conflict("the stored data has changed, or doesn't allow this", current)


def _words(entity: Entity) -> str:
    return entity.layout.kind.replace("_", " ")
