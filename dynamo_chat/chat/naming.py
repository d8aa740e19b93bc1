"""Changes a conversation's title (C6): the head and the title item in one transaction.

A title is taken away in the same way, and then no message gives the conversation another one.

The head is read first, and the write's condition is that nothing in it has changed since: so what
is returned is the conversation as it is after the write, which a transaction does not return.
"""

from __future__ import annotations

from typing import Any

from pynamodb.expressions.update import Action

from dynamo_chat.chat.conversation import Conversation, head_key, live_head, still
from dynamo_chat.chat.snapshot import Heads, life_of, snapshot_of
from dynamo_chat.chat.titles import title_item, title_key
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.item import plan
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, Put, Update, contended

_TITLE = "title"
_CHANGED = (_TITLE, "auto_title")


class Namer(Repository):
    """Changes titles, and takes them away."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def rename(self, conversation_id: str, title: str | None, user_id: str | None) -> Conversation:
        """Give the conversation this title or none, and return it. NotFound; Contended."""
        there = self._get_item(head_key(conversation_id), consistent=True)
        for attempt in range(self._connection.options.transaction_attempts):
            head = self._heads.living(there, conversation_id, user_id)
            try:
                return self._renamed(head, there or {}, title)
            except ConditionFailed as failed:
                there = failed.items.get(0)
                self._connection.pause(attempt)
        raise contended("the conversation")

    def _renamed(
        self, head: Conversation, item: AttributeValues, title: str | None
    ) -> Conversation:
        planned = plan(Conversation)
        rest = (each.attr_name for each in planned.attributes.values())
        unchanged = still(item, *(name for name in rest if name not in _CHANGED))
        key, attributes = head_key(head.conversation_id), planned.model
        condition = live_head(self._now()) & life_of(head).condition & unchanged
        if title is None:
            actions: list[Action] = [attributes.title.remove(), attributes.auto_title.set(False)]
            changes: dict[str, Any] = {_TITLE: None, "auto_title": False}
            self._write(Update(key, actions, condition), Delete(title_key(head.conversation_id)))
        else:
            changes = {_TITLE: title}
            self._write(
                Update(key, [attributes.title.set(title)], condition),
                Put(title_item(snapshot_of(head), title)),
            )
        renamed = head.model_copy(update=changes)
        self._heads.remember(renamed)
        return renamed
