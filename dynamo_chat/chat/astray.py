"""Deletes a conversation whose head has a damaged key, so that no id leads to it.

An index still lists it for its owner, with its id. There may be another conversation with this id
by now. So these go alone: items that are marked with the same life, the owner's title, the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import LIFE, head_key, life_in, still
from dynamo_chat.chat.deletion import all_of, everything_in, interactions_of, review_pointer
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.deletion import Deletion
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.fence import Group
from dynamo_chat.core.item import index_key_parts, is_kind, key_parts
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK, SK, Collection
from dynamo_chat.core.owners import is_owned
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, key_of


class AstrayRemover(Repository):
    """Deletes conversations whose heads have damaged keys."""

    def delete(self, listed: AttributeValues, owner: str, deletion: Deletion) -> int:
        """Delete the conversation that a list of this owner shows; the number of items. Overtaken.

        `deletion` is that of the owner. 0 if the key is not damaged, or nothing is there.
        """
        if not _is_damaged(listed):
            return 0
        head = self._get_item(key_of(listed), consistent=True) or {}
        if not is_kind(head, keyspace.CONVERSATION) or not is_owned(head, "user_id", owner):
            return 0
        return deletion.clear(self._groups(head))

    def _groups(self, head: AttributeValues) -> Iterator[Group]:
        conversation_id = None
        with suppress(CorruptItem):
            conversation_id = index_key_parts(keyspace.CONVERSATION, head, GSI1)[-1]
        for partition in _partitions(head, conversation_id):
            for items in self._walk(partition, only=(PK, SK, KIND, LIFE, GSI2.pk)):
                for item in items:
                    belongs = _belongs_to(head, item)
                    if belongs is not None and key_of(item) != key_of(head):
                        yield (Delete(key_of(item), belongs), *_pointer(item, conversation_id))
        yield (Delete(key_of(head), still(head, KIND, "user_id", LIFE)),)


def _is_damaged(listed: AttributeValues) -> bool:
    try:
        (conversation_id,) = key_parts(keyspace.CONVERSATION, listed, PK)
    except CorruptItem:
        return True
    return key_of(listed) != head_key(conversation_id)


def _partitions(head: AttributeValues, conversation_id: str | None) -> Iterator[Collection]:
    """Where something of the conversation may be: beside the head, and where its id leads."""
    beside = all_of(head[PK]["S"])
    yield beside
    if conversation_id is not None:
        if (named := everything_in(conversation_id)) != beside:
            yield named
        yield interactions_of(conversation_id)


def _belongs_to(head: AttributeValues, item: AttributeValues) -> Condition | None:
    """What shows, as a condition, that an item is of this head's conversation; None if nothing."""
    life, owner = life_in(head), head.get(GSI1.pk)
    if life is not None and life_in(item) == life:
        return Path(LIFE) == life
    if owner is not None and is_kind(item, keyspace.CONVERSATION_TITLE):
        return still(item, GSI2.pk) if item.get(GSI2.pk) == owner else None
    return None


def _pointer(item: AttributeValues, conversation_id: str | None) -> Group:
    """The delete of a review's id item."""
    pointer = review_pointer(item)
    return () if pointer is None else (Delete(pointer, Path("conversation_id") == conversation_id),)
