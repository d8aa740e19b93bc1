"""Prunes a conversation: keeps only its last messages (C10)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation, Life, head_key, live_head
from dynamo_chat.chat.snapshot import Heads, Snapshot, life_of
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.errors import ItemTooLarge, NotFound, RequestRejected, ServiceError
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.layout import PK, SK, TABLE, TTL
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, Key, Update, contended, is_live, key_of

logger = logging.getLogger("dynamo_chat")

_PER_TRANSACTION = 99


class Pruner(Repository):
    """Deletes a conversation's oldest messages."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def prune(
        self,
        conversation_id: str,
        keep: int,
        user_id: str | None = None,
        life: Life | None = None,
    ) -> int:
        """Delete all but the last `keep` messages; returns the number deleted.

        Counters stay exact. NotFound if the conversation of this `life` (by default, of the one
        read first) is gone.
        """
        gone = 0
        for attempt in range(self._connection.options.transaction_attempts):
            head = self._heads.read(conversation_id, user_id)
            life = life or life_of(head)
            if life_of(head) != life:
                raise NotFound("conversation", conversation_id)
            excess = head.message_count - keep
            if excess <= 0:
                return gone
            oldest = self._oldest(conversation_id, excess)
            try:
                while batch := list(islice(oldest, _PER_TRANSACTION)):
                    self._delete_counted(head, batch, keep)
                    gone += len(batch)
            except ConditionFailed:
                self._connection.pause(attempt)  # another prune took some of them
                continue
            return gone
        raise contended("the conversation")

    def prune_after_append(self, snapshot: Snapshot, keep: int) -> None:
        """`prune` after an append that has succeeded: a failure is logged, not raised."""
        try:
            self.prune(snapshot.conversation_id, keep, life=life_of(snapshot))
        except (ServiceError, NotFound) as error:
            # An error would make callers append again; the next append prunes these, too.
            logger.warning("messages beyond the last %d were not pruned: %s", keep, error)

    def _oldest(self, conversation_id: str, count: int) -> Iterator[Key]:
        """Keys of the `count` oldest messages, without expired ones of an earlier conversation."""
        collection = keyspace.MESSAGE.collection(TABLE, conversation_id)()
        pages = self._walk(collection, limit=min(count, 1_000), only=(PK, SK, TTL))
        now = self._now()
        living = (key_of(item) for items in pages for item in items if is_live(item, now))
        return islice(living, count)

    def _delete_counted(self, counted: Conversation, keys: Sequence[Key], keep: int) -> None:
        """Delete these messages and reduce the count, if all exist and `keep` remain.

        Another prune may have run between reading the count and finding the oldest: without the
        condition on the count, both together would delete too many.
        """
        head = plan(Conversation).model
        try:
            self._write(
                Update(
                    head_key(counted.conversation_id),
                    [head.message_count.add(-len(keys))],
                    live_head(self._now())
                    & life_of(counted).condition
                    & (head.message_count >= keep + len(keys)),
                ),
                *(Delete(key, Item.PK.exists()) for key in keys),
            )
        except (RequestRejected, ItemTooLarge):
            if len(keys) == 1:
                raise
            middle = len(keys) // 2  # the messages may add up to more than 4 MB
            for part in (keys[:middle], keys[middle:]):
                self._delete_counted(counted, part, keep)
