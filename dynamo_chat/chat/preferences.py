"""A conversation's preferences, in an item beside its head.

They may be large and seldom change. Every append rewrites the head, in the table and in both
indexes, and every list of conversations reads it there: in the head they would be paid for each
time. Their item sorts directly after the head: one query returns both. The head says whether
there are any. Until version 2 they were in the head: they are read there, and moved by their next
change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    LIFE,
    PREFERENCES,
    Conversation,
    check_ids,
    head_key,
    is_live_head,
    is_part_of,
    live_head,
    with_life,
)
from dynamo_chat.chat.snapshot import Heads, life_of
from dynamo_chat.core.attributes import Raw, epoch_seconds
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity, ExpiresAt, Id, JsonObject, validated
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import SK, TABLE, Collection, Layout
from dynamo_chat.core.owners import is_owned
from dynamo_chat.core.page import Page
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import (
    Check,
    Delete,
    Key,
    Put,
    Update,
    Write,
    absent,
    contended,
    is_live,
)


class ConversationPreferences(Entity):
    """The preferences of a conversation that has some."""

    layout: ClassVar[Layout] = keyspace.CONVERSATION_PREFERENCES

    conversation_id: Id
    preferences: JsonObject
    expires_at: ExpiresAt = None


class PreferenceKeeper(Repository):
    """Reads conversations with their preferences, and changes those."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def read(
        self, conversation_id: str, user_id: str | None = None, *, consistent: bool = False
    ) -> Conversation:
        """The live conversation with its preferences, of this user if given; NotFound otherwise."""
        check_ids(conversation_id, user_id)
        there, beside = self.look(conversation_id, consistent=consistent)
        head = self._heads.living(there, conversation_id, user_id)
        return self.joined(head, beside, consistent=consistent)

    def joined(
        self, head: Conversation, beside: AttributeValues | None, *, consistent: bool
    ) -> Conversation:
        """`head` with the preferences in the item beside it, if that was read, too."""
        if beside is not None and self._is_current(beside, head):
            found = plan(ConversationPreferences).decode(beside).preferences
            return with_preferences(head, found)
        if head.preferences is not None:
            return head
        if consistent:
            return with_preferences(head, {})  # its item is missing: the doctor reports it
        # The two were read at two moments of a change.
        return self.read(head.conversation_id, head.user_id, consistent=True)

    def change(
        self,
        conversation_id: str,
        user_id: str | None,
        change: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Conversation:
        """Replace the preferences by `change` of them; again if another writer was first."""
        check_ids(conversation_id, user_id)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            there, beside = self.look(conversation_id, consistent=True)
            head = self._heads.living(there, conversation_id, user_id)
            before = self.joined(head, beside, consistent=True)
            wanted = with_preferences(before, change(before.preferences or {}))
            actions, same, writes = self.changing(wanted, there or {}, beside)
            if not actions and not writes:
                return wanted
            key = head_key(conversation_id)
            first = Update(key, actions, same) if actions else Check(key, same)
            try:
                self._write(first, *writes)
            except ConditionFailed:
                continue
            return wanted
        raise contended("the conversation")

    def joined_all(self, page: Page[Conversation], user_id: str) -> Page[Conversation]:
        """`page` with the preferences of each conversation: a request for each 50 that have some.

        They are those of now: what has lost its own since the index was read has none, and what is
        no longer this user's is left out.
        """
        without = [each.conversation_id for each in page if each.preferences is None]
        if not without:
            return page
        keys = [each(identity) for identity in without for each in (head_key, preferences_key)]
        items = self._get_items(keys, consistent=True)
        there = dict(zip(without, zip(items[::2], items[1::2], strict=True), strict=True))

        def whole(listed: Conversation) -> Conversation | None:
            if listed.preferences is not None:
                return listed
            head, beside = there[listed.conversation_id]
            if not is_live_head(head, self._now()) or not is_owned(head or {}, "user_id", user_id):
                return None
            return self.joined(listed, beside, consistent=True)

        return page.made(whole)

    def look(
        self, conversation_id: str, *, consistent: bool
    ) -> tuple[AttributeValues | None, AttributeValues | None]:
        """The head, and the item beside it; one request."""
        head = head_key(conversation_id)[SK]["S"]
        keys = KeyRange(head, preferences_key(conversation_id)[SK]["S"])
        partition = keyspace.CONVERSATION_PARTITION.encode(conversation_id)
        collection = Collection(TABLE, partition, keys, keyspace.CONVERSATION.table.sk)
        items, _ = self._query(collection, consistent=consistent)
        found = {item[SK]["S"]: item for item in items}
        return found.get(keys.lower), found.get(keys.upper)

    def changing(
        self, wanted: Conversation, there: AttributeValues, beside: AttributeValues | None
    ) -> tuple[list[Action], Condition, list[Write]]:
        """What gives the conversation of the head `there` its wanted preferences.

        The actions on the head, if any, its condition, and the writes of the item beside it.
        """
        attributes = plan(Conversation).model
        deadline = (
            attributes.ttl.does_not_exist()
            if wanted.kept_until is None
            else attributes.ttl == epoch_seconds(wanted.kept_until)
        )
        in_head = Path(PREFERENCES)
        same: Condition = live_head(self._now()) & life_of(wanted).condition & deadline
        same &= in_head == Raw(there[PREFERENCES]) if PREFERENCES in there else _missing(in_head)
        actions: list[Action] = []
        if PREFERENCES in there:
            actions.append(in_head.remove())
        if wanted.has_preferences != ("has_preferences" in there):
            flag = attributes.has_preferences
            actions.append(flag.set(True) if wanted.has_preferences else flag.remove())
        if actions:
            actions.append(Item.v.set(Conversation.schema_version))
        unchanged = self._unchanged(wanted, beside)
        writes: list[Write] = []
        if wanted.has_preferences:
            writes.append(Put(preferences_item(wanted), unchanged))
        elif beside is not None:
            writes.append(Delete(preferences_key(wanted.conversation_id), unchanged))
        return actions, same, writes

    def _unchanged(self, head: Conversation, beside: AttributeValues | None) -> Condition:
        """The item beside the head is still as it was read."""
        now = self._now()
        if beside is None or not is_live(beside, now):
            return absent(now)
        # One that is of an earlier conversation with this id is told by its mark.
        name = PREFERENCES if self._is_current(beside, head) else LIFE
        unchanged: Condition = Path(name) == Raw(beside[name])
        return unchanged

    def _is_current(self, beside: AttributeValues, head: Conversation) -> bool:
        return is_live(beside, self._now()) and is_part_of(beside, head.life)


def preferences_key(conversation_id: str) -> Key:
    """The table key of a conversation's preferences."""
    return keyspace.CONVERSATION_PREFERENCES.key(conversation_id=conversation_id)


def preferences_item(conversation: Conversation) -> AttributeValues:
    """The item of a conversation's preferences. ItemTooLarge."""
    made = validated(
        ConversationPreferences,
        conversation_id=conversation.conversation_id,
        preferences=conversation.preferences,
        expires_at=conversation.kept_until,
    )
    return with_life(plan(ConversationPreferences).encode(made), conversation.life)


def through_preferences(messages: Collection, conversation_id: str) -> Collection:
    """These messages, the head and the preferences: those come first in descending order."""
    end: str = preferences_key(conversation_id)[SK]["S"]
    return messages._replace(keys=KeyRange(messages.keys.lower, end))


def is_preferences(item: AttributeValues) -> bool:
    """True if the item has the sort key of a conversation's preferences."""
    return bool(item[SK] == {"S": keyspace.CONVERSATION_PREFERENCES.table.sk.encode()})


def with_preferences(head: Conversation, preferences: dict[str, Any]) -> Conversation:
    """`head` with these preferences."""
    changes = {"preferences": preferences, "has_preferences": bool(preferences)}
    return head.model_copy(update=changes)


def _missing(path: Path) -> Condition:
    missing: Condition = path.does_not_exist()
    return missing
