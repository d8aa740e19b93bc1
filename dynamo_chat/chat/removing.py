"""Deletes single messages (C18), and takes the last one (C20).

A message goes in one transaction with the head's count. Nothing is kept of it but its id item, if
the caller supplied the id.

Taking the last message is a read and then a delete on the condition that the message is still the
last one and still as it was read. Positions only grow within a life of a conversation, so the head
proves the first (`last_position`), and it need not be read again after losing a race: the next
message down is the last one then.
"""

from __future__ import annotations

from itertools import chain

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    Conversation,
    check_ids,
    head_key,
    is_part_of,
    live_head,
    still,
    through_head,
)
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.message_ids import MessageFinder
from dynamo_chat.chat.snapshot import Heads, life_of
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed, unheard
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import SK, TABLE
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, Update, contended, is_live, key_of, live

_CHANGED_BY = ("edited_at", "is_streaming", "checkpoint_at", "feedback")
"""Every change of a message changes one of these attributes."""
_LOOK_AGAIN = 50
"""Messages to read after a lost race: others are taking them, too."""


class _Changed(Exception):
    """Something was appended, or the message was changed, since it was read."""


class MessageRemover(Repository):
    """Deletes single messages."""

    def __init__(self, binding: Binding, heads: Heads, finder: MessageFinder) -> None:
        super().__init__(binding)
        self._heads = heads
        self._finder = finder

    def delete(self, conversation_id: str, message_id: str, user_id: str | None) -> bool:
        """Delete a message; True if this call deleted it. NotFound without the conversation."""
        check_ids(conversation_id, user_id)
        try:
            position = self._finder.own_position(conversation_id, message_id)
        except NotFound:
            self._heads.read(conversation_id, user_id)
            return False
        if position is None:
            try:
                position = self._finder.place(conversation_id, message_id, user_id).position
            except NotFound as error:
                if error.what == "conversation":
                    raise
                return False
        head = plan(Conversation).model
        owner = live_head(self._now())
        if user_id is not None:
            owner &= head.user_id == user_id
        key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=position)
        try:
            self._write(
                Update(head_key(conversation_id), [head.message_count.add(-1)], owner),
                Delete(key, live(self._now())),
            )
        except ConditionFailed as failed:
            if 0 in failed.items:
                raise NotFound("conversation", conversation_id) from failed
            return False
        self._heads.snapshots.forget_window(conversation_id)
        return True

    def pop(
        self, conversation_id: str, user_id: str | None, *, finished_only: bool
    ) -> Message | None:
        """Delete the last message and return it; None if there is none. NotFound; Contended."""
        check_ids(conversation_id, user_id)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            try:
                look = _LOOK_AGAIN if attempt else 1
                return self._pop(conversation_id, user_id, look, finished_only=finished_only)
            except _Changed:
                continue
        raise contended("the conversation")

    def _pop(
        self, conversation_id: str, user_id: str | None, look: int, *, finished_only: bool
    ) -> Message | None:
        messages = keyspace.MESSAGE.collection(TABLE, conversation_id)()
        pages = self._walk(
            through_head(messages, conversation_id), forward=False, limit=1 + look, consistent=True
        )
        items = chain.from_iterable(pages)
        there = next(items, None)
        if there is None or there[SK] != head_key(conversation_id)[SK]:
            raise NotFound("conversation", conversation_id)
        head = self._heads.living(there, conversation_id, user_id)
        self._heads.remember(head)
        for item in items:
            if is_live(item, self._now()) and is_part_of(item, head.life):
                message = plan(Message).decode(item)
                if finished_only and message.is_streaming:
                    continue
                if self._take(head, still(there, "last_position"), item):
                    return message
        return None

    def _take(self, head: Conversation, is_last: Condition, item: AttributeValues) -> bool:
        """Delete the message if it is unchanged and still the last one; False if it is gone."""
        attributes = plan(Conversation).model
        now = self._now()
        try:
            self._write(
                Update(
                    head_key(head.conversation_id),
                    [attributes.message_count.add(-1)],
                    live_head(now) & life_of(head).condition & is_last,
                ),
                Delete(key_of(item), live(now) & still(item, *_CHANGED_BY)),
            )
        except ConditionFailed as failed:
            if 0 in failed.items:
                self._heads.living(failed.items[0], head.conversation_id, head.user_id)
                raise _Changed from failed
            if is_live(failed.items.get(1), now):
                raise _Changed from failed
            if failed.was_resent:  # this call may have taken it: another one must not go, too
                raise unheard("ConditionalCheckFailed", "TransactWriteItems") from failed
            return False
        self._heads.snapshots.forget_window(head.conversation_id)
        return True
