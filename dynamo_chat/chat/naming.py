"""Changes a conversation's title (C6): the head and the title item in one transaction.

A title is taken away in the same way, and then no message gives the conversation another one.

The head is read first, and the write's condition is that nothing in it has changed since: so what
is returned is the conversation as it is after the write, which a transaction does not return.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from pynamodb.expressions.condition import Condition
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
        naming = naming_of(head, item, title, self._now())
        self._write(Update(head_key(head.conversation_id), *naming.head), naming.title)
        renamed = head.model_copy(update=naming.changes)
        self._heads.remember(renamed)
        return renamed


class Naming(NamedTuple):
    """What gives a conversation another title, or none."""

    changes: dict[str, Any]
    head: tuple[list[Action], Condition]
    """How its head is updated, on the condition that nothing else in it has changed."""
    title: Put | Delete


def naming_of(
    head: Conversation, item: AttributeValues, title: str | None, now: datetime
) -> Naming:
    """What gives this title to the conversation, whose head was read as `item`."""
    planned = plan(Conversation)
    rest = (each.attr_name for each in planned.attributes.values())
    unchanged = still(item, *(name for name in rest if name not in _CHANGED))
    attributes = planned.model
    condition = live_head(now) & life_of(head).condition & unchanged
    if title is None:
        return Naming(
            {_TITLE: None, "auto_title": False},
            ([attributes.title.remove(), attributes.auto_title.set(False)], condition),
            Delete(title_key(head.conversation_id)),
        )
    return Naming(
        {_TITLE: title},
        ([attributes.title.set(title)], condition),
        Put(title_item(snapshot_of(head), title)),
    )
