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
from datetime import datetime
from itertools import islice

from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation, Life, head_key, live_head
from dynamo_chat.chat.deletion import everything_in, is_root, review_pointer
from dynamo_chat.chat.living import HeadReader
from dynamo_chat.chat.snapshot import Snapshot, life_of, snapshot_of
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import ItemTooLarge, NotFound, RequestRejected, ServiceError
from dynamo_chat.core.fence import Fence, Group, Overtaken
from dynamo_chat.core.item import UNREADABLE, Item, plan
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, TTL
from dynamo_chat.core.transaction import (
    Check,
    Delete,
    Key,
    Update,
    contended,
    is_live,
    key_of,
)

logger = logging.getLogger("dynamo_chat")

_PER_TRANSACTION = 99


class Upkeep(HeadReader):
    """Pruning and renewing."""

    # -- only the last N ----------------------------------------------------------------------

    def _prune(
        self,
        conversation_id: str,
        keep: int,
        user_id: str | None = None,
        life: Life | None = None,
    ) -> int:
        """Delete all but the last `keep` messages; how many went. Counters stay exact.

        Of the life of the id that is given, or is found first: NotFound when it has ended.
        """
        gone = 0
        for attempt in range(self._connection.options.transaction_attempts):
            head = self._head(conversation_id, user_id)
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

    def _prune_after_append(self, snapshot: Snapshot, keep: int) -> None:
        """`_prune`, as the second half of an append, which has happened whatever happens here."""
        try:
            self._prune(snapshot.conversation_id, keep, life=life_of(snapshot))
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

    def _delete_counted(self, counted: Conversation, keys: Sequence[Key], keep: int) -> None:
        """Delete the oldest messages, all still there, and count them out, if `keep` are left.

        Another prune may have gone between the count and the look at the oldest: without that
        condition, both together would delete more than either meant to.
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

    # -- sliding deadlines --------------------------------------------------------------------

    def _kept_long_enough(
        self, snapshot: Snapshot, latest: datetime, user_id: str | None
    ) -> Snapshot:
        """`snapshot`, after the items' deadline was moved if a message at `latest` outlived it."""
        while _must_be_renewed(snapshot, latest):
            snapshot = self._renew(snapshot.conversation_id, latest, user_id)
        return snapshot

    def _renew(self, conversation_id: str, latest: datetime, user_id: str | None) -> Snapshot:
        """Move the deadline of every item to two periods ahead, then let appends go on."""
        attributes = plan(Conversation).model
        key = head_key(conversation_id)
        head = self._head(conversation_id, user_id)
        retention, before = head.retention, head.kept_until
        if retention is None or before is None:
            return self._snapshots.put(snapshot_of(head))
        if head.renewing_from is None:
            if latest + retention <= before:
                return self._snapshots.put(snapshot_of(head))  # somebody else renewed it
            until = whole_second(latest + 2 * retention)
            begun = [attributes.kept_until.set(until), attributes.renewing_from.set(before)]
            unmoved = (attributes.kept_until == before) & attributes.renewing_from.does_not_exist()
            same = live_head(self._now()) & life_of(head).condition
            try:
                self._write(Update(key, begun, same & unmoved))
            except ConditionFailed:
                return self._renew(conversation_id, latest, user_id)
        else:
            until = before
        goes_on = (
            life_of(head).condition
            & (attributes.kept_until == until)
            & attributes.renewing_from.exists()
        )
        try:
            self._move_deadlines(Check(key, goes_on), conversation_id, until)
            renewed = self._write(
                Update(key, [attributes.renewing_from.remove()], live_head(self._now()) & goes_on),
                returning=True,
            )
        except Overtaken:
            return self._renew(conversation_id, latest, user_id)
        except ConditionFailed as failed:
            renewed = failed.items.get(0) or {}
        return self._snapshots.put(snapshot_of(self._live_head(renewed, conversation_id, user_id)))

    def _move_deadlines(self, goes_on: Check, conversation_id: str, until: datetime) -> None:
        """Move the deadline of every item, while that renewal goes on. Overtaken.

        A review and its id item move together: one that expired alone would free the id of a
        review that is there.
        """
        fence = Fence(self._connection, goes_on)
        fence.apply(self._moves(conversation_id, epoch_seconds(until)))

    def _moves(self, conversation_id: str, seconds: int) -> Iterator[Group]:
        now = self._now()
        for items in self._walk(everything_in(conversation_id), only=(PK, SK, KIND, TTL)):
            moved: list[Key] = []
            for item in items:
                pointer = review_pointer(item)
                # What has expired is of an earlier conversation under this id: it stays expired.
                if not is_live(item, now) or is_root(item):
                    continue
                if _ends_before(item, seconds):
                    group = [_move(key_of(item), seconds)]
                    if pointer is not None:
                        group.append(_move_pointer(pointer, conversation_id, seconds))
                    yield group
                elif pointer is not None:
                    moved.append(pointer)
            yield from self._left_behind(moved, conversation_id, seconds)

    def _left_behind(
        self, pointers: Sequence[Key], conversation_id: str, seconds: int
    ) -> Iterator[Group]:
        """Moves of id items whose reviews were moved without them, by an older release."""
        for key, pointer in zip(pointers, self._get_items(pointers, consistent=True), strict=True):
            if pointer is not None and _ends_before(pointer, seconds):
                yield [_move_pointer(key, conversation_id, seconds)]


def _move(key: Key, seconds: int) -> Update:
    # One that was pruned, or moved by another renewal, in between: nothing left to do.
    return Update(key, [Item.ttl.set(seconds)], Item.ttl < seconds)


def _move_pointer(key: Key, conversation_id: str, seconds: int) -> Update:
    ours = Path("conversation_id") == conversation_id
    return Update(key, [Item.ttl.set(seconds)], (Item.ttl < seconds) & ours)


def _must_be_renewed(snapshot: Snapshot, latest: datetime) -> bool:
    """Whether the items' deadline must move before a message at `latest` is appended."""
    if not snapshot.is_sliding or snapshot.retention is None or snapshot.kept_until is None:
        return False
    return snapshot.is_renewing or latest + snapshot.retention > snapshot.kept_until


def _ends_before(item: AttributeValues, seconds: int) -> bool:
    """Whether an item has a deadline, and an earlier one. A damaged deadline is none."""
    try:
        return TTL in item and int(item[TTL]["N"]) < seconds
    except UNREADABLE:
        return False
