"""Prunes a conversation: keeps only its last messages (C10)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    LIFE,
    Conversation,
    Life,
    head_key,
    is_part_of,
    live_head,
    through_head,
)
from dynamo_chat.chat.deletion import is_root
from dynamo_chat.chat.snapshot import Heads, Snapshot, life_of, snapshot_of, window_of
from dynamo_chat.chat.window import is_remembered
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import ItemTooLarge, NotFound, RequestRejected, ServiceError
from dynamo_chat.core.item import Item, is_kind, key_parts, plan
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, TTL, VERSION
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, Key, Update, contended, is_live, key_of

logger = logging.getLogger("dynamo_chat")

_PER_TRANSACTION = 99
_SOME_MORE = 50
"""Messages that may be left over from an append whose pruning failed, and the head."""

_OF_MESSAGES = (PK, SK, KIND, TTL, LIFE)


class Pruner(Repository):
    """Deletes a conversation's oldest messages."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def with_window(self, snapshot: Snapshot, user_id: str | None) -> Snapshot:
        """`snapshot` with its window, if it has a small `keep_last`: remembered, or read now.

        Without one if it can't be read, there are too many messages, or not as many as the head
        counts. NotFound.
        """
        keep = snapshot.keep_last
        is_known = snapshot.window is not None and not snapshot.is_shared
        if keep is None or not is_remembered(keep) or is_known:
            return snapshot
        conversation_id = snapshot.conversation_id
        messages = keyspace.MESSAGE.collection(TABLE, conversation_id)()
        try:
            items, rest = self._query(
                through_head(messages, conversation_id),
                limit=keep + _SOME_MORE,
                consistent=True,
                only=_keys_and_head(),
            )
        except ServiceError as error:
            logger.warning("the messages that an append pushes out were not read: %s", error)
            return replace(snapshot, window=None)
        there = items.pop() if items and is_root(items[-1]) else None
        if there is None and rest is not None:
            return replace(snapshot, window=None)  # there are more messages than were read
        head = self._heads.living(there, conversation_id, user_id)
        found = replace(
            snapshot_of(head),
            window=window_of(head, self._positions(items, head)),
            is_shared=snapshot.is_shared and head.last_position != snapshot.last_position,
        )
        return self._heads.snapshots.put(found, head.message_count)

    def _positions(self, items: Sequence[AttributeValues], head: Conversation) -> list[str]:
        """The positions of the live messages of this conversation among the items."""
        now = self._now()
        return [
            key_parts(keyspace.MESSAGE, item, SK)[0]
            for item in items
            if is_kind(item, keyspace.MESSAGE)
            and is_live(item, now)
            and is_part_of(item, head.life)
        ]

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


@cache
def _keys_and_head() -> tuple[str, ...]:
    """The attributes of messages that a window needs, and those of a head."""
    stored = plan(Conversation).attributes.items()
    of_head = [attribute.attr_name for name, attribute in stored if name != "preferences"]
    return tuple(dict.fromkeys((*_OF_MESSAGES, VERSION, *of_head)))
