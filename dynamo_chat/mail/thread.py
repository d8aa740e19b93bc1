"""A thread: the data of an e-mail conversation as a whole. Adding an e-mail updates it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Count, Entity, Id, Number, Text, TextSet, Time
from dynamo_chat.core.errors import Conflict, NotFound
from dynamo_chat.core.item import kind_of, plan
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.owners import check_owner, is_owned
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Key

MAX_PARTICIPANTS = 100
"""A thread lists at most this many addresses; more are only in its e-mails."""

ThreadStatus = Literal["active", "closed", "archived"]
Urgency = Literal["high", "medium", "low"]
Category = Literal["support", "sales", "general"]
Sentiment = Literal["positive", "neutral", "negative"]


class EmailThread(Entity):
    """An e-mail conversation."""

    layout: ClassVar[Layout] = keyspace.EMAIL_THREAD

    conversation_id: Id
    account_id: Id
    thread_id: Id
    created_at: Time
    """When its first e-mail was added."""
    updated_at: Time
    """When an e-mail was last added or the thread last changed."""
    status: ThreadStatus = "active"
    subject: Text = ""
    """The subject of its first e-mail; until that one arrives, of the e-mail added first."""
    participants: TextSet = frozenset()
    """Senders and recipients, at most 100, as normalised addresses."""
    message_count: Count = 0
    last_message_at: Time
    """The time of its latest e-mail."""
    urgency: Urgency | None = None
    category: Category | None = None
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    sentiment: Sentiment | None = None
    auto_response_enabled: bool = False
    response_delay_hours: Annotated[Number, Field(ge=0)] | None = None
    max_response_length: Count | None = None


class ThreadConflict(Conflict):
    """The conversation's e-mail thread does not allow the call."""

    current: EmailThread | None


def thread_key(conversation_id: str) -> Key:
    """The table key of a thread."""
    return keyspace.EMAIL_THREAD.key(conversation_id=conversation_id)


def is_thread(item: AttributeValues | None) -> bool:
    """True if `item` is a thread; False if it is missing or a tombstone."""
    layout = keyspace.EMAIL_THREAD
    return bool(item) and kind_of(item or {}, layout) == layout.kind


def exists_thread(account_id: str | None = None) -> Condition:
    """`is_thread` as a condition; with `account_id`, the thread must be that account's."""
    check_owner("account_id", account_id)
    thread = plan(EmailThread).model
    condition: Condition = thread.kind == keyspace.EMAIL_THREAD.kind
    if account_id is not None:
        condition &= thread.account_id == account_id
    return condition


class ThreadReader(Repository):
    """Reads a conversation's thread."""

    def item(
        self, conversation_id: str, account_id: str | None, *, consistent: bool
    ) -> AttributeValues:
        """The item of a thread, of this account if one is given. NotFound."""
        check_owner("account_id", account_id)
        item = self._get_item(thread_key(conversation_id), consistent=consistent)
        if item is None or not is_thread(item) or not is_owned(item, "account_id", account_id):
            raise NotFound("e-mail thread", conversation_id)
        return item
