"""An e-mail: the entity, its content, and what names it.

An e-mail is two items. Its record says who wrote when and what became of it; it stands in the
lists of its account and moves through its states. Its content (body, headers, attachments) is
written once and read where an e-mail is shown.

An e-mail is kept under its time and a fresh ULID, so that e-mails of one second keep the order in
which they came. One that came without a response id is named by where it is,
``<conversation_id>~<timestamp>~<entry_id>``: it is found by its id without a look-up. Ids that
the caller brought are kept in items of their own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, StringConstraints, model_validator

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import (
    Count,
    Entity,
    Id,
    Indexed,
    JsonObject,
    Many,
    Model,
    Number,
    Text,
    Time,
)
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import format_time, parse_time
from dynamo_chat.core.layout import GSI1, GSI2, Layout
from dynamo_chat.core.pairs import CONTENT, Pair
from dynamo_chat.core.ulids import is_ulid

EmailStatus = Literal["received", "processed", "responded", "scheduled"]

MAX_PREVIEW_CHARACTERS = 100

MessageId = Annotated[str, StringConstraints(min_length=1, max_length=998)]
"""The Message-ID header of an e-mail: 1 to 998 characters, the longest line of the standard."""

Party = Annotated[str, StringConstraints(min_length=1, max_length=998)]
"""Sender or recipient, as the e-mail has it: the world sends more than valid addresses."""

Subject = Annotated[str, StringConstraints(max_length=998)]
"""A subject: at most 998 characters. It is written again with each e-mail of its thread."""

MAX_ATTACHMENTS = 1_000

_MARK = "~"


class NewEmail(Model):
    """An e-mail to add to a conversation."""

    account_id: Id
    """The account it belongs to; that of the whole conversation."""
    sender_email: Party
    recipient_email: Party
    subject: Subject = ""
    body: Text = ""
    timestamp: Time | None = None
    """When it was sent, not ahead of now; now if not given. Any order of arrival is right."""
    message_id: MessageId | None = None
    """Its Message-ID, unique in the account: the same e-mail delivered twice is added once."""
    response_id: Annotated[Id, Field(max_length=200)] | None = None
    """The caller's own id, unique in the conversation: a retry with the same one adds once."""
    is_first_email: bool | None = None
    """None: true when there is no thread yet."""
    thread_id: Id | None = None
    """None: that of the thread; the conversation's id when there is no thread yet."""
    status: EmailStatus = "received"
    ai_response: Text | None = None
    ev_score: Number | None = None
    spam_score: Number | None = None
    headers: JsonObject = Field(default_factory=dict)
    attachments: Annotated[Many[JsonObject], Field(max_length=MAX_ATTACHMENTS)] = ()
    metadata: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> NewEmail:
        if self.response_id is not None and parse_minted(self.response_id) is not None:
            raise ValueError("response_id must not have the form of the store's own ids")
        return self


class EmailSummary(Entity):
    """An e-mail as lists of an account show it: everything but its content."""

    layout: ClassVar[Layout] = keyspace.EMAIL

    conversation_id: Id
    timestamp: Time
    """When it was sent."""
    entry_id: str
    """A ULID from when it was added: the order of e-mails of the same instant."""
    response_id: str
    """Its id in the conversation: the caller's, or one that says where it is."""
    account_id: Id
    thread_id: Id
    message_id: MessageId | None = None
    sender_email: Party
    recipient_email: Party
    subject: Text = ""
    preview: Text = ""
    """The beginning of the body, on one line."""
    body_length: Count = 0
    """Characters of the body."""
    is_first_email: bool = False
    status: EmailStatus
    ai_response: Text | None = None
    ev_score: Number | None = None
    """The expected value that it was given on its way."""
    spam_score: Number | None = None

    @property
    def part(self) -> str:
        """What tells its record and its content apart."""
        return "email"

    def implied(self) -> frozenset[str]:
        """What the key says already, and the usual thread id."""
        names = set()
        if self.response_id == minted_id(self.conversation_id, self.timestamp, self.entry_id):
            names.add("response_id")
        if self.thread_id == self.conversation_id:
            names.add("thread_id")
        return frozenset(names)

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        """Name the e-mail by its place, and its thread by the conversation, if nothing is said."""
        conversation_id = fields["conversation_id"]
        fields.setdefault("thread_id", conversation_id)
        if "response_id" not in fields:
            fields["response_id"] = minted_id(
                conversation_id, fields["timestamp"], fields["entry_id"]
            )

    def indexed(self) -> Indexed:
        """In GSI2 only with a Message-ID."""
        if self.message_id is None:
            return {GSI1: self.__dict__}
        message_hash = keyspace.digest_of(self.message_id)
        return {GSI1: self.__dict__, GSI2: {**self.__dict__, "message_hash": message_hash}}


class EmailMessage(EmailSummary):
    """An e-mail with its content."""

    body: Text = ""
    headers: JsonObject = Field(default_factory=dict)
    attachments: Many[JsonObject] = ()
    metadata: JsonObject = Field(default_factory=dict)


class EmailContent(Entity):
    """The content of an e-mail, as it is stored beside it."""

    layout: ClassVar[Layout] = keyspace.EMAIL_CONTENT

    conversation_id: Id
    timestamp: Time
    entry_id: str
    body: Text = ""
    headers: JsonObject = Field(default_factory=dict)
    attachments: Many[JsonObject] = ()
    metadata: JsonObject = Field(default_factory=dict)

    @property
    def part(self) -> str:
        """What tells an e-mail's record and its content apart."""
        return CONTENT


class EmailPlace(NamedTuple):
    """Where an e-mail is: what its key is made of."""

    conversation_id: str
    timestamp: datetime
    entry_id: str


def minted_id(conversation_id: str, timestamp: datetime, entry_id: str) -> str:
    """The response id of an e-mail that came without one."""
    return _MARK.join((conversation_id, format_time(timestamp), entry_id))


def parse_minted(response_id: str) -> EmailPlace | None:
    """Where the e-mail is that an id of the store's names; None for a caller's id."""
    parts = response_id.rsplit(_MARK, 2)
    if len(parts) != 3 or not parts[0] or not is_ulid(parts[2]):
        return None
    try:
        return EmailPlace(parts[0], parse_time(parts[1]), parts[2])
    except ValueError:
        return None


def preview_of(body: str) -> str:
    """The beginning of `body`, on one line, at most 100 characters."""
    # Twice as much is cut off first: a body may be long, and white space may shrink.
    words = " ".join(body[: 2 * MAX_PREVIEW_CHARACTERS].split())
    return words[:MAX_PREVIEW_CHARACTERS]


def digest_of(new: NewEmail, conversation_id: str) -> str:
    """What tells two e-mails under one id apart: everything but the id itself."""
    # Without defaults, so that a field added later does not tell old e-mails from their retries.
    said = new.model_dump(mode="json", exclude={"response_id"}, exclude_defaults=True)
    said["conversation_id"] = conversation_id
    return keyspace.digest_of(json_text(said, sort_keys=True))


def content_item(email: EmailMessage) -> AttributeValues:
    """The item of an e-mail's content."""
    fields = {name: getattr(email, name) for name in EmailContent.model_fields}
    return plan(EmailContent).encode(EmailContent(**fields))


def _joined(record: AttributeValues, content: AttributeValues | None) -> EmailMessage:
    said, email = plan(EmailContent).decode(content or {}), plan(EmailSummary).decode(record)
    # Both halves were validated when they were decoded.
    return EmailMessage.model_construct(**{**said.__dict__, **email.__dict__})


EMAIL_PAIR = Pair(keyspace.EMAIL, keyspace.EMAIL_CONTENT, _joined)
