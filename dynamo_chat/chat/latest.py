"""Reads a conversation and its latest messages with one descending query (C8)."""

from __future__ import annotations

from dataclasses import replace

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation, head_key, in_life, through_head
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.preferences import PreferenceKeeper, is_preferences, through_preferences
from dynamo_chat.chat.snapshot import Heads, window_of
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import SK, TABLE, Collection
from dynamo_chat.core.page import MAX_PAGE_SIZE, Items, Page, check_page_size
from dynamo_chat.core.repository import PageRequest, Repository


class LatestReader(Repository):
    """Reads the latest messages with the head of their conversation."""

    def __init__(self, binding: Binding, heads: Heads, keeper: PreferenceKeeper) -> None:
        super().__init__(binding)
        self._heads = heads
        self._keeper = keeper

    def latest(
        self,
        conversation_id: str,
        count: int,
        user_id: str | None,
        *,
        consistent: bool,
        with_preferences: bool = False,
    ) -> tuple[Conversation, Items[Message]]:
        """The conversation and its latest messages in order. NotFound; InvalidArgument."""
        if type(count) is not int or not 1 <= count <= MAX_PAGE_SIZE:
            raise InvalidArgument("count", f"must be an integer from 1 to {MAX_PAGE_SIZE:,}")
        collection = keyspace.MESSAGE.collection(TABLE, conversation_id)()
        asked = PageRequest(
            (conversation_id, user_id, None, None), True, count, consistent=consistent
        )
        head, page = self.with_head(asked, collection, user_id, with_preferences=with_preferences)
        found = len(page.items) + len(page.unreadable)
        is_cut = found < count and page.cursor is not None
        return head, Items.of(page.items[::-1], page.unreadable[::-1], is_cut=is_cut)

    def with_head(
        self,
        asked: PageRequest,
        collection: Collection,
        user_id: str | None,
        *,
        with_preferences: bool = False,
    ) -> tuple[Conversation, Page[Message]]:
        """The head and a page of the latest messages, in one descending query over both."""
        conversation_id = asked.chosen[0]
        size = check_page_size(asked.page_size)
        through = through_preferences if with_preferences else through_head
        items, start = self._query(
            through(collection, conversation_id),
            forward=False,
            limit=size + 1 + with_preferences,
            consistent=asked.consistent,
        )
        beside = items.pop(0) if items and is_preferences(items[0]) else None
        first = items.pop(0) if items else None
        if first is None or first[SK] != head_key(conversation_id)[SK]:
            raise NotFound("conversation", conversation_id)
        head = self._heads.living(first, conversation_id, user_id)
        snapshot = self._heads.remember(head, is_late=not asked.consistent)
        if with_preferences:
            head = self._keeper.joined(head, beside, consistent=asked.consistent)
        # If only the head was read, the next query of messages starts at the top.
        begun = (items, start) if items or start is None else None
        is_kept = in_life(head.life)
        page = self._page(asked, [collection], plan(Message).decode, is_kept=is_kept, begun=begun)
        if snapshot.window is None and snapshot.last_position == head.last_position:
            # If these are all messages, the next append knows them. DynamoDB gives a page that
            # ends with the last item a cursor, so only the number tells.
            window = window_of(head, [message.position for message in reversed(page.items)])
            found_all = replace(snapshot, window=window)
            self._heads.snapshots.put(found_all, head.message_count, is_late=not asked.consistent)
        return head, page
