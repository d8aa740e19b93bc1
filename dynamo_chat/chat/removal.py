"""Removing a conversation with everything in its collection (C16), resumably.

    head ──tombstone──▶ no index shows it, no reader finds it, no writer's condition holds
         ──walk──────▶ messages, id items, reviews (with their own id items) are deleted
         ──finish────▶ title, state and tombstone go together; the id is free again

The tombstone stays until everything else is gone, so a crash at any step is finished by the next
call. Title and state go with it in one transaction because a new conversation of the same id
would use the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.head import Conversation, HeadReader, check_ids, head_key, live_head
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.item import is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK, SK, TABLE, TTL, Collection
from dynamo_chat.core.transaction import (
    Delete,
    Key,
    Update,
    is_live,
    key_of,
    remove_index_keys,
)

_KEPT_BY_TOMBSTONE = ("user_id", "ttl", "idle_until")
_LAST = (keyspace.CONVERSATION, keyspace.CONVERSATION_TITLE, keyspace.CONVERSATION_STATE)
_LAST_SORT_KEYS = {layout.table.sk.encode() for layout in _LAST}


class Remover(HeadReader):
    """The removal of whole conversations."""

    def _remove(self, conversation_id: str, user_id: str | None) -> int:
        check_ids(conversation_id, user_id)
        head = plan(Conversation).model
        owned: Condition = live_head(self._now()) | _is_tombstone()
        if user_id is not None:
            owned &= head.user_id == user_id
        return self._bury(conversation_id, owned)

    def _remove_idle(self, conversation_id: str) -> int:
        """Clear what a sliding conversation that nobody used any more has left behind."""
        head = plan(Conversation).model
        idle = (head.kind == keyspace.CONVERSATION.kind) | _is_tombstone()
        try:
            return self._bury(conversation_id, idle & (head.idle_until <= self._now()))
        except NotFound:
            return 0  # somebody else cleared it

    def _bury(self, conversation_id: str, allowed: Condition) -> int:
        key = head_key(conversation_id)
        self._memory.forget(conversation_id)
        try:
            self._write(Update(key, _tombstone_actions(), allowed))
        except ConditionFailed as failed:
            raise NotFound("conversation", conversation_id) from failed
        count = 0
        for items in self._collection_of(conversation_id):
            first = [item for item in items if item[SK]["S"] not in _LAST_SORT_KEYS]
            # What lists across conversations still show goes with the first request.
            first.sort(key=lambda item: GSI1.pk not in item)
            self._delete_items([key_of(item) for item in first] + self._review_ids(first))
            count += len(items)
        with suppress(ConditionFailed):  # another call of the same deletion finished first
            self._write(
                Delete(key, _is_tombstone()),
                *(Delete(each.key(conversation_id=conversation_id)) for each in _LAST[1:]),
            )
        return count

    def _collection_of(self, conversation_id: str) -> Iterator[list[AttributeValues]]:
        """Keys, kinds and deadlines of everything in the conversation's collection, by page."""
        partition = keyspace.CONVERSATION_PARTITION.encode(conversation_id)
        everything = KeyRange("A", "a")  # every tag begins with an upper-case letter
        collection = Collection(TABLE, partition, everything, keyspace.CONVERSATION.table.sk)
        return self._walk(collection, only=(PK, SK, KIND, TTL, GSI1.pk))

    def _review_ids(self, items: Sequence[AttributeValues]) -> list[Key]:
        """Keys of the id items of the reviews among `items`."""
        now = self._now()
        keys = []
        for item in items:
            # The id of an expired review may name another one by now.
            if is_kind(item, keyspace.REVIEW) and is_live(item, now):
                with suppress(CorruptItem):  # it leads nowhere, and goes like the rest
                    _, review_id = key_parts(keyspace.REVIEW, item, SK)
                    keys.append(keyspace.REVIEW_ID.key(review_id=review_id))
        return keys


def _tombstone_actions() -> list[Action]:
    stored = plan(Conversation).attributes.values()
    return [
        Path(KIND).set(keyspace.CONVERSATION_TOMBSTONE.kind),
        *remove_index_keys(GSI1, GSI2),
        *(
            Path(attribute.attr_name).remove()
            for attribute in stored
            if attribute.attr_name not in _KEPT_BY_TOMBSTONE
        ),
    ]


def _is_tombstone() -> Condition:
    condition: Condition = Path(KIND) == keyspace.CONVERSATION_TOMBSTONE.kind
    return condition
