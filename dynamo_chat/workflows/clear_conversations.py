"""Deletes all conversations of an owner, inside the deletion of the owner.

They are found by an index, which shows none whose own deletion has begun. So the owner's tombstone
notes which conversation that is: whoever goes on after a crash finishes it. The tombstone has room
for one: the next begins only when that one is finished.
"""

from __future__ import annotations

from collections.abc import Callable

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.astray import AstrayRemover
from dynamo_chat.chat.conversation import head_key
from dynamo_chat.chat.deletion import ConversationRemover
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.deletion import Deletion
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.item import helper_text, is_kind, key_parts
from dynamo_chat.core.layout import GSI1, PK, SK, Layout
from dynamo_chat.core.owners import is_owned
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Update
from dynamo_chat.identity.removal import CLEARING


class ConversationsOfOwner(Repository):
    """Deletes the conversations of users, or of organizations, whose tombstones are of one kind."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache, tombstone: Layout) -> None:
        super().__init__(binding)
        self._remover = ConversationRemover(binding, snapshots)
        self._astray = AstrayRemover(binding)
        self._tombstone = tombstone

    def delete(
        self,
        owner: str,
        deletion: Deletion,
        finished: str | None,
        told: Callable[[int], object] | None = None,
    ) -> tuple[int, str | None]:
        """Delete the owner's conversations until the index shows no more. Overtaken.

        `finished` is what the tombstone notes: see `noted`. `told` is called with the number of
        items after each conversation. Returns the number of all, and what the tombstone notes then.
        """
        collection = keyspace.CONVERSATION.collection(GSI1, owner)()
        count = 0
        while True:
            before = count
            for items in self._walk(collection, consistent=False, only=(PK, SK)):
                for item in items:
                    deleted, finished = self._delete_one(item, owner, deletion, finished)
                    count += deleted
                    if told is not None:
                        told(deleted)
            if count == before:
                return count, finished

    def finish(self, owner: str, tombstone: AttributeValues) -> int:
        """Finish the conversation that a crashed call began to delete; the number of items."""
        conversation_id = self.noted(tombstone)
        if conversation_id is None:
            return 0
        head = self._get_item(head_key(conversation_id), consistent=True)
        is_begun = head is not None and is_kind(head, keyspace.CONVERSATION_TOMBSTONE)
        if head is None or not is_begun or not is_owned(head, "user_id", owner):
            return 0
        return self._remover.finish(head)

    def noted(self, tombstone: AttributeValues) -> str | None:
        """The conversation that the tombstone notes as begun last; None if it notes none."""
        if CLEARING not in tombstone:
            return None
        return helper_text(tombstone, CLEARING, self._tombstone)

    def _delete_one(
        self, item: AttributeValues, owner: str, deletion: Deletion, finished: str | None
    ) -> tuple[int, str | None]:
        count = 0
        while True:
            try:
                (conversation_id,) = key_parts(keyspace.CONVERSATION, item, PK)
                condition = deletion.check.condition & has_noted(finished)
                note = Path(CLEARING).set(conversation_id)
                part_of = Update(deletion.check.key, [note], condition)
                count += self._remover.delete(conversation_id, owner, part_of=part_of)
            except (CorruptItem, NotFound):
                # Deleted or expired, and the index is behind; or its key is damaged.
                return count + self._astray.delete(item, owner, deletion), finished
            except Overtaken as overtaken:
                if overtaken.there is None or not deletion.goes_on_at(overtaken.there):
                    raise
                # Another worker of this deletion has begun a conversation.
                count += self.finish(owner, overtaken.there)
                finished = self.noted(overtaken.there)
            else:
                return count, conversation_id


def has_noted(conversation_id: str | None) -> Condition:
    """`ConversationsOfOwner.noted` as a condition."""
    path = Path(CLEARING)
    missing: Condition = path.does_not_exist()
    return missing if conversation_id is None else path == conversation_id
