"""The deadlines of sliding conversations (C17).

A sliding conversation expires one retention period after its latest message. Moving the deadline
of every item at every append would cost more than the append. So items are kept for up to two
periods, and only the head stores when the conversation expires for readers (`idle_until`). When an
append would move that past the items' deadline, all items first get a deadline two periods ahead:
at most once per period. The next append finishes a renewal that was interrupted, before it writes
anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pynamodb.expressions.operand import Path

from dynamo_chat.chat.conversation import LIFE, Conversation, head_key, live_head
from dynamo_chat.chat.deletion import everything_in, interactions_of, is_root, review_pointer
from dynamo_chat.chat.snapshot import Heads, Snapshot, life_of
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.fence import Fence, Group, Overtaken
from dynamo_chat.core.item import UNREADABLE, Item, plan
from dynamo_chat.core.layout import KIND, PK, SK, TTL
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Key, Update, is_live, key_of


class SlidingExpiry(Repository):
    """Moves the deadlines of sliding conversations."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def kept_long_enough(
        self, snapshot: Snapshot, latest: datetime, user_id: str | None
    ) -> Snapshot:
        """`snapshot`, after moving the items' deadline if a message at `latest` needs it."""
        while _must_be_renewed(snapshot, latest):
            snapshot = self._renew(snapshot.conversation_id, latest, user_id)
        return snapshot

    def _renew(self, conversation_id: str, latest: datetime, user_id: str | None) -> Snapshot:
        """Move the deadline of every item to two periods after `latest`, then allow appends."""
        attributes = plan(Conversation).model
        key = head_key(conversation_id)
        head = self._heads.read(conversation_id, user_id)
        retention, before = head.retention, head.kept_until
        if retention is None or before is None:
            return self._heads.remember(head)
        if head.renewing_from is None:
            if latest + retention <= before:
                return self._heads.remember(head)  # somebody else renewed it
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
        return self._heads.remember(self._heads.living(renewed, conversation_id, user_id))

    def _move_deadlines(self, goes_on: Check, conversation_id: str, until: datetime) -> None:
        """Move the deadline of every item, while this renewal is current. Overtaken.

        A review and its id item move together: if the id item expired first, the id of an existing
        review could be reused.
        """
        fence = Fence(self._connection, goes_on)
        fence.apply(self._moves(conversation_id, epoch_seconds(until)))

    def _moves(self, conversation_id: str, seconds: int) -> Iterator[Group]:
        now = self._now()
        for items in self._walk(everything_in(conversation_id), only=(PK, SK, KIND, TTL)):
            moved: list[Key] = []
            for item in items:
                pointer = review_pointer(item)
                # Expired items belong to an earlier conversation with this id: leave them.
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
        for items in self._walk(interactions_of(conversation_id), only=(PK, SK, LIFE, TTL)):
            for item in items:
                if LIFE in item and is_live(item, now) and _ends_before(item, seconds):
                    yield [_move(key_of(item), seconds)]

    def _left_behind(
        self, pointers: Sequence[Key], conversation_id: str, seconds: int
    ) -> Iterator[Group]:
        """Moves for id items that an older release did not move with their reviews."""
        for key, pointer in zip(pointers, self._get_items(pointers, consistent=True), strict=True):
            if pointer is not None and _ends_before(pointer, seconds):
                yield [_move_pointer(key, conversation_id, seconds)]


def _move(key: Key, seconds: int) -> Update:
    # The condition skips an item that was pruned, or moved by another renewal, in between.
    return Update(key, [Item.ttl.set(seconds)], Item.ttl < seconds)


def _move_pointer(key: Key, conversation_id: str, seconds: int) -> Update:
    ours = Path("conversation_id") == conversation_id
    return Update(key, [Item.ttl.set(seconds)], (Item.ttl < seconds) & ours)


def _must_be_renewed(snapshot: Snapshot, latest: datetime) -> bool:
    """True if the items' deadline must move before a message at `latest` is appended."""
    if not snapshot.is_sliding or snapshot.retention is None or snapshot.kept_until is None:
        return False
    return snapshot.is_renewing or latest + snapshot.retention > snapshot.kept_until


def _ends_before(item: AttributeValues, seconds: int) -> bool:
    """True if an item has an earlier deadline. A damaged deadline counts as none."""
    try:
        return TTL in item and int(item[TTL]["N"]) < seconds
    except UNREADABLE:
        return False
