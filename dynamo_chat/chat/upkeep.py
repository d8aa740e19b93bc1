"""Keeping a conversation within its bounds: the last N messages (C10), sliding deadlines (C17).

A sliding conversation expires one retention period after its latest message. Moving the deadline
of every item at every append would cost more than the append, so items are kept for up to two
periods and only the head tells when the conversation expires for readers (`idle_until`). When an
append would push that past the items' deadline, all items get a deadline two periods ahead first:
at most once per period. A renewal that was cut short is finished by whoever appends next, before
anything else is written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice

from dynamo_chat import keyspace
from dynamo_chat.chat.head import Conversation, Facts, HeadReader, facts_of, head_key, live_head
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import (
    CorruptItem,
    ItemTooLarge,
    NotFound,
    RequestRejected,
    ServiceError,
)
from dynamo_chat.core.item import UNREADABLE, Item, is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, TTL, Collection
from dynamo_chat.core.transaction import Delete, Key, Update, contended, is_live, key_of

logger = logging.getLogger("dynamo_chat")

_PER_TRANSACTION = 99


class Upkeep(HeadReader):
    """Pruning and renewing."""

    # -- only the last N ----------------------------------------------------------------------

    def _prune(self, conversation_id: str, keep: int, user_id: str | None = None) -> int:
        """Delete all but the last `keep` messages; how many went. Counters stay exact."""
        gone = 0
        for attempt in range(self._connection.options.transaction_attempts):
            head = self._head(conversation_id, user_id)
            excess = head.message_count - keep
            if excess <= 0:
                return gone
            oldest = self._oldest(conversation_id, excess)
            try:
                while batch := list(islice(oldest, _PER_TRANSACTION)):
                    self._delete_counted(conversation_id, batch, keep)
                    gone += len(batch)
            except ConditionFailed:
                self._connection.pause(attempt)  # another prune took some of them
                continue
            return gone
        raise contended("the conversation")

    def _prune_after_append(self, conversation_id: str, keep: int) -> None:
        """`_prune`, as the second half of an append, which has happened whatever happens here."""
        try:
            self._prune(conversation_id, keep)
        except (ServiceError, NotFound) as error:
            # To raise would make callers append again; the next append prunes these, too.
            logger.warning("messages beyond the last %d were not pruned: %s", keep, error)

    def _oldest(self, conversation_id: str, count: int) -> Iterator[Key]:
        """Keys of the `count` oldest messages, without what an expired namesake left behind."""
        collection = keyspace.MESSAGE.collection(TABLE, conversation_id)()
        pages = self._walk(collection, limit=min(count, 1_000), only=(PK, SK, TTL))
        now = self._now()
        living = (key_of(item) for items in pages for item in items if is_live(item, now))
        return islice(living, count)

    def _delete_counted(self, conversation_id: str, keys: Sequence[Key], keep: int) -> None:
        """Delete the oldest messages, all still there, and count them out, if `keep` are left.

        Another prune may have gone between the count and the look at the oldest: without that
        condition, both together would delete more than either meant to.
        """
        head = plan(Conversation).model
        try:
            self._write(
                Update(
                    head_key(conversation_id),
                    [head.message_count.add(-len(keys))],
                    live_head(self._now()) & (head.message_count >= keep + len(keys)),
                ),
                *(Delete(key, Item.PK.exists()) for key in keys),
            )
        except (RequestRejected, ItemTooLarge):
            if len(keys) == 1:
                raise
            for part in _halves(keys):
                self._delete_counted(conversation_id, part, keep)

    # -- sliding deadlines --------------------------------------------------------------------

    def _kept_long_enough(self, facts: Facts, latest: datetime, user_id: str | None) -> Facts:
        """`facts`, after the items' deadline was moved if a message at `latest` outlived it."""
        while _must_be_renewed(facts, latest):
            facts = self._renew(facts.conversation_id, latest, user_id)
        return facts

    def _renew(self, conversation_id: str, latest: datetime, user_id: str | None) -> Facts:
        """Move the deadline of every item to two periods ahead, then let appends go on."""
        attributes = plan(Conversation).model
        key = head_key(conversation_id)
        head = self._head(conversation_id, user_id)
        retention, before = head.retention, head.kept_until
        if retention is None or before is None:
            return facts_of(head)
        if head.renewing_from is None:
            if latest + retention <= before:
                return self._memory.put(facts_of(head))  # somebody else renewed it
            until = whole_second(latest + 2 * retention)
            try:
                self._write(
                    Update(
                        key,
                        [
                            attributes.kept_until.set(until),
                            attributes.renewing_from.set(before),
                        ],
                        live_head(self._now())
                        & (attributes.kept_until == before)
                        & attributes.renewing_from.does_not_exist(),
                    )
                )
            except ConditionFailed:
                return self._renew(conversation_id, latest, user_id)
        else:
            until = before
        self._move_deadlines(conversation_id, until)
        try:
            renewed = self._write(
                Update(
                    key,
                    [attributes.renewing_from.remove()],
                    live_head(self._now()) & (attributes.kept_until == until),
                ),
                returning=True,
            )
        except ConditionFailed as failed:
            renewed = failed.items.get(0) or {}
        return self._memory.put(facts_of(self._live_head(renewed, conversation_id, user_id)))

    def _move_deadlines(self, conversation_id: str, until: datetime) -> None:
        seconds, now = epoch_seconds(until), self._now()
        partition = keyspace.CONVERSATION_PARTITION.encode(conversation_id)
        collection = Collection(
            TABLE, partition, KeyRange("A", "a"), keyspace.CONVERSATION.table.sk
        )
        for items in self._walk(collection, only=(PK, SK, KIND, TTL)):
            keys: list[Key] = []
            for item in items:
                # What has expired is of an earlier conversation under this id: it stays expired.
                if is_live(item, now) and _ends_before(item, seconds):
                    keys += _with_relatives(item)
            for start in range(0, len(keys), _PER_TRANSACTION):
                self._set_deadlines(keys[start : start + _PER_TRANSACTION], seconds)

    def _set_deadlines(self, keys: Sequence[Key], seconds: int) -> None:
        waiting = list(keys)
        while waiting:
            try:
                self._write(
                    *(Update(key, [Item.ttl.set(seconds)], Item.ttl < seconds) for key in waiting)
                )
            except ConditionFailed as failed:
                # Pruned, or moved by another renewal, in between: nothing left to do for those.
                waiting = [key for at, key in enumerate(waiting) if at not in failed.items]
            except (RequestRejected, ItemTooLarge):
                if len(waiting) == 1:
                    raise
                for part in _halves(waiting):
                    self._set_deadlines(part, seconds)
                return
            else:
                return


def _must_be_renewed(facts: Facts, latest: datetime) -> bool:
    """Whether the items' deadline must move before a message at `latest` is appended."""
    if not facts.is_sliding or facts.retention is None or facts.kept_until is None:
        return False
    return facts.is_renewing or latest + facts.retention > facts.kept_until


def _halves(keys: Sequence[Key]) -> tuple[Sequence[Key], Sequence[Key]]:
    """Both halves of a transaction that was refused: its items may add up to more than 4 MB."""
    middle = len(keys) // 2
    return keys[:middle], keys[middle:]


def _with_relatives(item: AttributeValues) -> list[Key]:
    """The key of an item, and that of the id item of a review."""
    keys = [key_of(item)]
    with suppress(CorruptItem):  # a damaged review leads nowhere
        if is_kind(item, keyspace.REVIEW):
            _, review_id = key_parts(keyspace.REVIEW, item, SK)
            keys.append(keyspace.REVIEW_ID.key(review_id=review_id))
    return keys


def _ends_before(item: AttributeValues, seconds: int) -> bool:
    """Whether an item has a deadline, and an earlier one. A damaged deadline is none."""
    try:
        return TTL in item and int(item[TTL]["N"]) < seconds
    except UNREADABLE:
        return False
