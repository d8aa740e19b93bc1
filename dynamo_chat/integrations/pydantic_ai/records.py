"""The records of Pydantic AI's conversations: a kind of their own, in each conversation.

T CONV#id / APPPYDANTICAI            one for each conversation
1 USER#uid / APPPYDANTICAI#saved#id  a user's, by when they were saved
2 USER#uid / APPPYDANTICSCOPE#scope#saved#id
"""

from __future__ import annotations

from typing import ClassVar

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.layout import KIND
from dynamo_chat.core.owners import check_owner
from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    DEFAULT_PAGE_SIZE,
    GSI1,
    GSI2,
    USER_PARTITION,
    Check,
    Entity,
    ExpiresAt,
    Id,
    JsonObject,
    Layout,
    NotFound,
    OwnItem,
    Page,
    PageRequest,
    Repository,
    Slot,
    Talk,
    Text,
    Time,
    Write,
    access_pattern,
    fields,
    sort,
    text,
    time,
)

RECORD = Layout(
    "pydantic_ai_record",
    table=Slot(CONVERSATION_PARTITION, sort("APPPYDANTICAI")),
    gsi1=Slot(USER_PARTITION, sort("APPPYDANTICAI", time("updated_at"), text("conversation_id"))),
    gsi2=Slot(
        USER_PARTITION,
        sort("APPPYDANTICSCOPE", text("scope"), time("updated_at"), text("conversation_id")),
    ),
    of=CONVERSATION,
)


class StoredRecord(Entity):
    """What Pydantic AI keeps of a conversation beside its messages."""

    layout: ClassVar[Layout] = RECORD

    conversation_id: Id
    user_id: Id
    """Whose it was when it was saved last."""
    scope: Id | None = None
    updated_at: Time
    revision: Text
    """Another one after every save."""
    head_id: Text | None = None
    """The id of the last message of its history."""
    kept: JsonObject
    """Usage, what it waits for, and where its branches and it come from."""
    expires_at: ExpiresAt = None


def at_revision(expected: str) -> Condition:
    """A condition that the stored record has this revision."""
    same: Condition = fields(StoredRecord).revision == expected
    return same


def replacing(record: StoredRecord, expected: str | None) -> OwnItem:
    """The write of a record in place of the one with this revision; None for a new one."""
    if expected is None:
        return OwnItem(record, is_new=True)
    return OwnItem(record, only_if=at_revision(expected))


def only_at(conversation_id: str, expected: str) -> Check:
    """A check that the record of a conversation has this revision."""
    return Check(RECORD.key(conversation_id=conversation_id), at_revision(expected))


class ConversationRecords(Repository):
    """The records of Pydantic AI's conversations; in your store as ``pydantic_ai_records``."""

    kinds = (StoredRecord,)

    @access_pattern("PY1", "BatchGetItem", "1", owner="read")
    def find(self, conversation_id: str, *, user_id: str) -> StoredRecord | None:
        """The record of a user's conversation; None without one."""
        _check_user(user_id)
        try:
            return self.conversation_items.find(
                StoredRecord, conversation_id=conversation_id, user_id=user_id, consistent=True
            )
        except NotFound:
            return None

    @access_pattern(
        "PY2",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def save(self, record: StoredRecord, *, expected: str | None, user_id: str) -> StoredRecord:
        """Save a record without messages, in place of the one with the revision `expected`.

        None for a new one. Conflict if the stored one has another revision, or the conversation has
        no message `head_id`. NotFound if there is no such conversation of this user.
        """
        _check_user(user_id)

        def writes(talk: Talk) -> list[Write]:
            made: list[Write] = [
                talk.creating(record)
                if expected is None
                else talk.putting(record, only_if=at_revision(expected))
            ]
            if record.head_id is not None:
                key = keyspace.MESSAGE_ID.key(
                    conversation_id=record.conversation_id, message_id=record.head_id
                )
                made.append(Check(key, Path(KIND) == keyspace.MESSAGE_ID.kind))
            return made

        talk = self.conversation_items.write(record.conversation_id, writes, user_id=user_id)
        return talk.kept(record)

    @access_pattern("PY3", "Query, BatchGetItem", "2", index="GSI1 or GSI2, + table", owner="key")
    def list_by_user(
        self,
        user_id: str,
        *,
        scope: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[StoredRecord]:
        """The records that a user has saved, of one scope if given, the latest first.

        Of conversations that somebody else owns now, too.
        """
        _check_user(user_id)
        collection = (
            RECORD.collection(GSI1, user_id)()
            if scope is None
            else RECORD.collection(GSI2, user_id)(scope)
        )
        return self.conversation_items.page_across(
            PageRequest((user_id, scope), True, page_size, cursor), StoredRecord, collection
        )


def _check_user(user_id: str) -> None:
    check_owner("user_id", user_id or "")
