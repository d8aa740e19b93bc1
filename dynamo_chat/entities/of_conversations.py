"""An application's own items in the partitions of conversations: files, checkpoints.

They are part of the conversation: each write is one transaction with a check of the conversation's
head, so nothing is added to a conversation that is gone or belongs to someone else. They note its
life, have its deadline, which moves with it, and are deleted with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pynamodb.expressions.condition import Condition

from dynamo_chat.chat.beside import kept_with
from dynamo_chat.chat.conversation import check_ids, head_key, in_life, is_part_of, part_of
from dynamo_chat.chat.living import LivingLists, item_in
from dynamo_chat.chat.snapshot import Heads, Snapshot, SnapshotCache
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import AlreadyExists, Conflict, CorruptItem, InvalidArgument
from dynamo_chat.core.item import is_kind, plan
from dynamo_chat.core.layout import Collection
from dynamo_chat.core.of_organization import check_user
from dynamo_chat.core.page import Page
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.settings import check_callable
from dynamo_chat.core.transaction import Delete, Put, Write, absent, is_live
from dynamo_chat.entities.given import (
    check_class,
    check_condition,
    check_entity,
    check_page,
    key_of_class,
    made_by,
)
from dynamo_chat.entities.items import as_stored, is_in_conversations, not_found

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation that one write is made for; a condition checks that it is still the same."""

    conversation_id: str
    user_id: str
    """Its owner."""
    now: datetime
    life: str | None
    kept_until: datetime | None
    """The deadline that its items get; None for never."""

    def kept(self, entity: E) -> E:
        """`entity` with the conversation's deadline."""
        check_entity(entity)
        return kept_with(entity, self.kept_until)

    def creating(self, entity: Entity) -> Put:
        """The write of a new item: its key must be free."""
        return Put(self._item(entity), absent(self.now))

    def putting(self, entity: Entity, *, only_if: Condition | None = None) -> Put:
        """The write of an item in place of any with its key."""
        check_condition("only_if", only_if)
        return Put(self._item(entity), only_if)

    def deleting(
        self, entity: type[Entity], *, only_if: Condition | None = None, **key: Any
    ) -> Delete:
        """The deletion of an item."""
        check_condition("only_if", only_if)
        condition = part_of(self.life)
        given = {**key, "conversation_id": self.conversation_id}
        return Delete(
            key_of_class(entity, given), condition if only_if is None else condition & only_if
        )

    def _item(self, entity: Entity) -> AttributeValues:
        check_entity(entity)
        if not is_in_conversations(entity.layout):
            raise TypeError(f"a {entity.layout.kind} is not in a conversation: use items")
        if entity.__dict__["conversation_id"] != self.conversation_id:
            raise InvalidArgument("entity", "is of another conversation")
        return item_in(self.kept(entity), self.life)


class ConversationItems(Repository):
    """Reads and writes an application's own items in the partitions of conversations.

    With `user_id`, only of that user's conversation: another one raises NotFound.
    """

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._heads = Heads(binding, snapshots)
        self._lists = LivingLists(binding)

    def now(self) -> datetime:
        """The current time of the store's clock, in UTC."""
        return self._now()

    def new_id(self) -> str:
        """A new ULID: 26 characters that sort by the time of their creation."""
        return self._new_id()

    # -- writing ------------------------------------------------------------------------------

    def write(
        self,
        conversation_id: str,
        make: Callable[[Talk], Sequence[Write]],
        *,
        user_id: str | None = None,
    ) -> Talk:
        """Apply the writes that `make` returns in one transaction, if the conversation lives.

        `make` is called again if the conversation's head has changed. One request; 2 when the
        store does not know the conversation. NotFound; Conflict if a condition fails: `current` is
        the first of the stored items that contradict, in DynamoDB's JSON.
        """

        def attempt(snapshot: Snapshot) -> Talk:
            talk = self._talk(snapshot)
            writes = made_by(make, talk)
            try:
                self._write(self._heads.check(snapshot), *writes)
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise
                raise Conflict(
                    "the stored data has changed, or doesn't allow this",
                    failed.items[min(failed.items)],
                ) from failed
            return talk

        _check(conversation_id, user_id)
        check_callable("make", make)
        return self._heads.with_snapshot(conversation_id, user_id, attempt)

    def create(self, entity: E, *, user_id: str | None = None) -> E:
        """Write a new item and return it with the conversation's deadline.

        A retry with an equal entity returns it again. NotFound if there is no such conversation;
        AlreadyExists if the key is another's.
        """
        check_entity(entity)
        try:
            talk = self.write(
                entity.__dict__.get("conversation_id", ""),
                lambda talk: [talk.creating(entity)],
                user_id=user_id,
            )
        except Conflict as conflict:
            there = _stored(type(entity), conflict.current)
            if there is not None and _without_deadline(there) == _without_deadline(
                as_stored(entity)
            ):
                return there
            words = entity.layout.kind.replace("_", " ")
            raise AlreadyExists(f"another {words} has this key", there) from conflict
        return talk.kept(entity)

    def put(self, entity: E, *, only_if: Condition | None = None, user_id: str | None = None) -> E:
        """Write an item in place of any with its key, and return it with its deadline.

        NotFound if there is no such conversation; Conflict if `only_if` fails.
        """
        check_entity(entity)
        try:
            talk = self.write(
                entity.__dict__.get("conversation_id", ""),
                lambda talk: [talk.putting(entity, only_if=only_if)],
                user_id=user_id,
            )
        except Conflict as conflict:
            current = _stored(type(entity), conflict.current)
            raise Conflict(str(conflict), current) from conflict
        return talk.kept(entity)

    def delete(
        self, entity: type[Entity], *, conversation_id: str, user_id: str | None = None, **key: Any
    ) -> None:
        """Delete an item; no error if there is none. NotFound if the conversation is gone."""

        def leaving(talk: Talk) -> Sequence[Write]:
            return [talk.deleting(entity, **key)]

        self.write(conversation_id, leaving, user_id=user_id)

    # -- reading ------------------------------------------------------------------------------

    def find(
        self,
        entity: type[E],
        *,
        conversation_id: str,
        user_id: str | None = None,
        consistent: bool = False,
        **key: Any,
    ) -> E | None:
        """The item with this key; None when there is none. One BatchGetItem, with the head.

        NotFound if the conversation is gone (or not this user's).
        """
        _check(conversation_id, user_id)
        own = key_of_class(entity, {**key, "conversation_id": conversation_id})
        head, item = self._get_items([head_key(conversation_id), own], consistent=consistent)
        life = self._heads.living(head, conversation_id, user_id).life
        if item is None or not is_live(item, self._now()) or not is_part_of(item, life):
            return None
        return plan(entity).decode(item)

    def get(
        self,
        entity: type[E],
        *,
        conversation_id: str,
        user_id: str | None = None,
        consistent: bool = False,
        **key: Any,
    ) -> E:
        """The item with this key. NotFound, also if the conversation is gone."""
        found = self.find(
            entity, conversation_id=conversation_id, user_id=user_id, consistent=consistent, **key
        )
        if found is None:
            raise not_found(entity, {**key, "conversation_id": conversation_id})
        return found

    def page(
        self,
        asked: PageRequest,
        entity: type[E],
        collection: Collection,
        *,
        conversation_id: str,
        user_id: str | None = None,
    ) -> Page[E]:
        """One page of a conversation's own items: a GetItem of the head, and a Query.

        NotFound if the conversation is gone (or not this user's).
        """
        _check(conversation_id, user_id)
        check_class(entity)
        check_page(asked, [collection])
        self._narrowed(asked, [collection])  # refuse a foreign cursor before any read
        life = self._heads.read(conversation_id, user_id, consistent=asked.consistent).life
        return self._page(asked, [collection], plan(entity).decode, is_kept=in_life(life))

    def page_across(self, asked: PageRequest, entity: type[E], *collections: Collection) -> Page[E]:
        """One page of items across conversations, from an index.

        Items of conversations that are gone are left out: a Query for each collection, and a
        BatchGetItem of the heads.
        """
        check_class(entity)
        check_page(asked, collections)
        return self._lists.page(
            asked,
            collections,
            plan(entity).decode,
            lambda found: str(found.__dict__["conversation_id"]),
        )

    def _talk(self, snapshot: Snapshot) -> Talk:
        return Talk(
            snapshot.conversation_id,
            snapshot.user_id,
            self._now(),
            snapshot.life,
            snapshot.kept_until,
        )


def _check(conversation_id: str, user_id: str | None) -> None:
    """InvalidArgument for an id that is none, or a text that only looks like an organization.

    An application's method may take them in arguments of other names.
    """
    check_ids(conversation_id, user_id)
    if user_id is not None:
        check_user("user_id", user_id, may_be_organization=True)


def _stored(entity: type[E], item: AttributeValues | None) -> E | None:
    """The stored entity of this kind; None if it is of another kind or can't be read."""
    if not item or not is_kind(item, entity.layout):
        return None
    try:
        return plan(entity).decode(item)
    except CorruptItem:
        return None


def _without_deadline(entity: E) -> E:
    return entity.model_copy(update={plan(type(entity)).deadline or "": None})
