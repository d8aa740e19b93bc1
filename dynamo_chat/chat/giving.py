"""Gives a conversation to another user, or to an organization (C24).

    give ──▶ owner and lists: the head and the title item, in one transaction
    move ──▶ the id items of caller-supplied message ids: `get_by_id` finds them by the owner

What lets someone in goes first: the owner is part of each write's condition (`Life`), so after the
first step whatever still counts on the old owner is refused. The second step is fenced by the head:
if the conversation is given on meanwhile, it ends. The head notes a hash of who gave it and of what
it was then, so after a crash, or a lost answer, the same call finishes the rest. Once anything has
changed, only the new owner or staff may repeat it: who gave it is not shown what comes after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    Conversation,
    check_ids,
    head_key,
    live_head,
    organization_exists,
    still,
)
from dynamo_chat.chat.message_ids import message_id_fields
from dynamo_chat.chat.snapshot import Heads, life_of, snapshot_of
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.attributes import Raw, json_text
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import checked_as
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.fence import Fence, Group, Overtaken
from dynamo_chat.core.item import Item, is_kind, plan, with_index_keys
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK, SK, TABLE, TTL, VERSION
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import (
    Check,
    Put,
    Update,
    Write,
    contended,
    is_live,
    key_of,
    set_index_keys,
)

_NOT_NOTED: Final = {"given_from", "preferences", "idle_until", "kept_until", "renewing_from"}
"""What the owner does not change, or a head does not show."""


class Giver(Repository):
    """Changes the owner of conversations."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def give(self, conversation_id: str, new_user_id: str, user_id: str | None) -> Conversation:
        """Make `new_user_id` the owner, and return the conversation. NotFound; Contended."""
        check_ids(conversation_id, user_id)
        new_user_id = checked_as(Conversation, "user_id", new_user_id, "new_user_id")
        given = self._given(conversation_id, new_user_id, user_id)
        self._heads.remember(given)
        self._move_ids(given)
        return given

    def _given(self, conversation_id: str, new_user_id: str, user_id: str | None) -> Conversation:
        there = self._get_item(head_key(conversation_id), consistent=True)
        for attempt in range(self._connection.options.transaction_attempts):
            head = self._heads.living(there, conversation_id)
            if head.user_id == new_user_id and _may_see(head, user_id):
                return head  # an earlier call has given it
            if user_id is not None and head.user_id != user_id:
                raise NotFound("conversation", conversation_id)
            try:
                return self._give(head, there or {}, new_user_id)
            except ConditionFailed as failed:
                if 0 not in failed.items:
                    raise NotFound("organization", _organization_in(new_user_id)) from failed
                there = failed.items.get(0)
                self._connection.pause(attempt)
        raise contended("the conversation")

    def _give(self, head: Conversation, item: AttributeValues, new_user_id: str) -> Conversation:
        """Write the head and the title item, if nothing in the head has changed."""
        planned = plan(Conversation)
        given = head.model_copy(update={"user_id": new_user_id})
        given = given.model_copy(update={"given_from": _mark_of(given, head.user_id)})
        unchanged = still(item, *(each.attr_name for each in planned.attributes.values()))
        actions = [
            planned.model.user_id.set(given.user_id),
            planned.model.given_from.set(given.given_from),
            *set_index_keys(keyspace.CONVERSATION, GSI1, **given.__dict__),
            *set_index_keys(keyspace.CONVERSATION, GSI2, **given.__dict__),
        ]
        condition = live_head(self._now()) & life_of(head).condition & unchanged
        writes: list[Write] = [Update(head_key(head.conversation_id), actions, condition)]
        if head.title is not None:
            writes.append(Put(title_item(snapshot_of(given), head.title)))
        if given.organization_id is not None:
            writes.append(organization_exists(given.organization_id))
        self._write(*writes)
        return given

    def _move_ids(self, given: Conversation) -> None:
        """Index the message ids by their new owner, while it is the owner."""
        head = plan(Conversation).model
        goes_on = (head.kind == keyspace.CONVERSATION.kind) & life_of(given).condition
        fence = Fence(self._connection, Check(head_key(given.conversation_id), goes_on))
        with suppress(Overtaken):  # deleted, or given on: then that call moves them
            fence.apply(self._moves(given))

    def _moves(self, given: Conversation) -> Iterator[Group]:
        layout = keyspace.MESSAGE_ID
        ids = layout.collection(TABLE, given.conversation_id)()
        now = self._now()
        for items in self._walk(ids, only=(PK, SK, KIND, TTL, VERSION, GSI2.pk, GSI2.sk)):
            for item in items:
                if not is_kind(item, layout) or not is_live(item, now):
                    continue
                with suppress(CorruptItem):  # the doctor reports it
                    fields = message_id_fields(item, given.user_id)
                    wanted = with_index_keys({}, layout, fields, GSI2)
                    wanted[VERSION] = {"N": str(layout.version)}
                    if any(item.get(name) != value for name, value in wanted.items()):
                        actions = [Path(name).set(Raw(value)) for name, value in wanted.items()]
                        yield [Update(key_of(item), actions, Item.PK.exists())]


def _organization_in(owner: str) -> str:
    return owner.organization_id if isinstance(owner, OfOrganization) else owner


def _may_see(head: Conversation, user_id: str | None) -> bool:
    """True if this user owns the conversation, or gave it and it is still as it was given."""
    return user_id in (None, head.user_id) or head.given_from == _mark_of(head, user_id or "")


def _mark_of(head: Conversation, user_id: str) -> str:
    """What a head notes of its owner before: recognised by that owner, and naming nobody."""
    said = head.model_dump(mode="json", exclude=_NOT_NOTED, exclude_defaults=True)
    return keyspace.digest_of("\n".join([json_text(said, sort_keys=True), user_id]))
