"""An e-mail: the entity, its content and its ids.

An e-mail is two items. Its record (sender, time, status and more) is in the lists of its account
and changes with its status. Its content (body, headers, attachments) is written once and read only
when the e-mail is shown.

The keys are made of its time and a new ULID, so that e-mails of the same instant keep the order in
which they were added. An e-mail added without a response id gets one that says where it is,
``<conversation_id>~<timestamp>~<entry_id>``: it is found without a look-up. Caller-supplied ids
are items of their own.
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
from dynamo_chat.core.errors import AlreadyExists, IllegalTransition
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import format_time, parse_time
from dynamo_chat.core.layout import GSI1, GSI2, Layout
from dynamo_chat.core.pairs import CONTENT, Pair
from dynamo_chat.core.ulids import is_ulid

EmailStatus = Literal["received", "processed", "responded", "scheduled"]

MAX_PREVIEW_CHARACTERS = 100

MessageId = Annotated[str, StringConstraints(min_length=1, max_length=998)]
"""The Message-ID header of an e-mail: 1 to 998 characters, the line limit of RFC 5322."""

Party = Annotated[str, StringConstraints(min_length=1, max_length=998)]
"""Sender or recipient as the e-mail has it; it need not be a valid address."""

Subject = Annotated[str, StringConstraints(max_length=998)]
"""A subject of at most 998 characters: each e-mail rewrites the thread with its subject."""

MAX_ATTACHMENTS = 1_000

_MARK = "~"


class NewEmail(Model):
    """An e-mail to add to a conversation."""

    account_id: Id
    """The account that owns the whole conversation."""
    sender_email: Party
    recipient_email: Party
    subject: Subject = ""
    body: Text = ""
    timestamp: Time | None = None
    """When it was sent; not in the future. The default is now. Any order of arrival works."""
    message_id: MessageId | None = None
    """Its Message-ID, unique in the account: an e-mail that is delivered twice is added once."""
    response_id: Annotated[Id, Field(max_length=200)] | None = None
    """The caller's own id, unique in the conversation: retries with the same id add it once."""
    is_first_email: bool | None = None
    """The default is True if the thread does not exist yet, otherwise False."""
    thread_id: Id | None = None
    """The default is the thread's own; for a new thread, the conversation's id."""
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
            raise ValueError("response_id must not look like an id that the store generates")
        return self


class EmailSummary(Entity):
    """An e-mail without its content, as in the lists of an account."""

    layout: ClassVar[Layout] = keyspace.EMAIL

    conversation_id: Id
    timestamp: Time
    """When it was sent."""
    entry_id: str
    """A ULID made when it was added: it orders e-mails of the same instant."""
    response_id: str
    """Its id in the conversation: the caller's, or a generated one."""
    account_id: Id
    thread_id: Id
    message_id: MessageId | None = None
    sender_email: Party
    recipient_email: Party
    subject: Text = ""
    preview: Text = ""
    """The beginning of the body, on one line."""
    body_length: Count = 0
    """The number of characters in the body."""
    is_first_email: bool = False
    status: EmailStatus
    ai_response: Text | None = None
    ev_score: Number | None = None
    """The expected value of a reply to it."""
    spam_score: Number | None = None

    @property
    def part(self) -> str:
        """The last part of the sort key: record or content."""
        return "email"

    def implied(self) -> frozenset[str]:
        """A generated response id and the default thread id are not stored."""
        names = set()
        if self.response_id == minted_id(self.conversation_id, self.timestamp, self.entry_id):
            names.add("response_id")
        if self.thread_id == self.conversation_id:
            names.add("thread_id")
        return frozenset(names)

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        """Set response id and thread id if they are not stored."""
        conversation_id = fields["conversation_id"]
        fields.setdefault("thread_id", conversation_id)
        if "response_id" not in fields:
            fields["response_id"] = minted_id(
                conversation_id, fields["timestamp"], fields["entry_id"]
            )

    def indexed(self) -> Indexed:
        """GSI2 has it only with a Message-ID."""
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


class EmailExists(AlreadyExists):
    """An id of the e-mail is taken."""

    current: EmailMessage | None


class EmailStatusFixed(IllegalTransition):
    """The e-mail's status cannot change to the requested one."""

    current: EmailMessage


class EmailContent(Entity):
    """The content of an e-mail, stored next to its record."""

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
        """The last part of the sort key: record or content."""
        return CONTENT


class EmailPlace(NamedTuple):
    """Where an e-mail is stored: the parts of its key."""

    conversation_id: str
    timestamp: datetime
    entry_id: str


def minted_id(conversation_id: str, timestamp: datetime, entry_id: str) -> str:
    """The response id of an e-mail that was added without one."""
    return _MARK.join((conversation_id, format_time(timestamp), entry_id))


def parse_minted(response_id: str) -> EmailPlace | None:
    """The place of the e-mail with this generated id; None for a caller's id."""
    parts = response_id.rsplit(_MARK, 2)
    if len(parts) != 3 or not parts[0] or not is_ulid(parts[2]):
        return None
    try:
        return EmailPlace(parts[0], parse_time(parts[1]), parts[2])
    except ValueError:
        return None


def preview_of(body: str) -> str:
    """The beginning of `body`, on one line, at most 100 characters."""
    # Twice that length is enough to split: a body may be long, and white space shrinks.
    words = " ".join(body[: 2 * MAX_PREVIEW_CHARACTERS].split())
    return words[:MAX_PREVIEW_CHARACTERS]


def digest_of(new: NewEmail, conversation_id: str) -> str:
    """A hash of all fields except the response id, to compare a retry with what was added."""
    # Without defaults, so that a field added later does not change the hash of old e-mails.
    said = new.model_dump(mode="json", exclude={"response_id"}, exclude_defaults=True)
    said["conversation_id"] = conversation_id
    return keyspace.digest_of(json_text(said, sort_keys=True))


def content_item(email: EmailMessage) -> AttributeValues:
    """The content item of an e-mail."""
    fields = {name: getattr(email, name) for name in EmailContent.model_fields}
    return plan(EmailContent).encode(EmailContent(**fields))


def _joined(record: AttributeValues, content: AttributeValues | None) -> EmailMessage:
    said, email = plan(EmailContent).decode(content or {}), plan(EmailSummary).decode(record)
    # Both halves were validated when they were decoded.
    return EmailMessage.model_construct(**{**said.__dict__, **email.__dict__})


EMAIL_PAIR = Pair(keyspace.EMAIL, keyspace.EMAIL_CONTENT, _joined)
