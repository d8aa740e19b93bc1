"""Changes a conversation's title and preferences together (C6): one read, and one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from dynamo_chat.chat.conversation import Conversation, check_ids, head_key
from dynamo_chat.chat.naming import naming_of
from dynamo_chat.chat.preferences import PreferenceKeeper, with_preferences
from dynamo_chat.chat.snapshot import Heads
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Unchanged
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Update, Write, contended


class Changer(Repository):
    """Changes titles and preferences together."""

    def __init__(self, binding: Binding, heads: Heads, keeper: PreferenceKeeper) -> None:
        super().__init__(binding)
        self._heads = heads
        self._keeper = keeper

    def change(
        self,
        conversation_id: str,
        user_id: str | None,
        title: str | Unchanged | None,
        preferences: Mapping[str, Any],
    ) -> Conversation:
        """Give it this title and these preferences, and return it. NotFound; Contended."""
        check_ids(conversation_id, user_id)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            there, beside = self._keeper.look(conversation_id, consistent=True)
            head = self._heads.living(there, conversation_id, user_id)
            before = self._keeper.joined(head, beside, consistent=True)
            try:
                wanted = self._changed(before, there or {}, beside, title, preferences)
            except ConditionFailed:
                continue
            self._heads.remember(wanted)
            return wanted
        raise contended("the conversation")

    def _changed(
        self,
        before: Conversation,
        there: AttributeValues,
        beside: AttributeValues | None,
        title: str | Unchanged | None,
        preferences: Mapping[str, Any],
    ) -> Conversation:
        """Write what differs from `before`, which was read as these items. ConditionFailed."""
        wanted, actions, conditions = before, list[Action](), list[Condition]()
        writes: list[Write] = []
        kept = _replaced(before.preferences or {}, preferences)
        if _text(kept) != _text(before.preferences or {}):
            wanted = with_preferences(wanted, kept)
            actions, same, writes = self._keeper.changing(wanted, there, beside)
            conditions.append(same)
        if not isinstance(title, Unchanged):
            naming = naming_of(before, there, title, self._now())
            if wanted.model_copy(update=naming.changes) != wanted:
                wanted = wanted.model_copy(update=naming.changes)
                actions += naming.head[0]
                conditions.append(naming.head[1])
                writes.append(naming.title)
        if conditions:
            key, condition = head_key(before.conversation_id), reduce(and_, conditions)
            self._write(
                Update(key, actions, condition) if actions else Check(key, condition), *writes
            )
        return wanted


def _replaced(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The known values with those that are given; None takes one away."""
    removed = {name for name, value in given.items() if value is None}
    return {name: value for name, value in {**known, **given}.items() if name not in removed}


def _text(preferences: Mapping[str, Any]) -> str:
    # Compared as text, because in Python 1 == True.
    return json_text(preferences, sort_keys=True)
