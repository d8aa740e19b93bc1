"""What the item of each kind must look like: made by the same code that writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call, CallRoom, call_in_room, call_item, room_item
from dynamo_chat.chat.conversation import Conversation, head_item
from dynamo_chat.chat.feedback import message_item
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.reviews import Review, review_item
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import helper_text, helper_time, plan, with_index_keys
from dynamo_chat.core.layout import GSI1, GSI2, KEY_ATTRIBUTES, PK, SK, Layout
from dynamo_chat.identity.logins import LoginSession, login_item
from dynamo_chat.identity.removal import is_retired
from dynamo_chat.mail.email import EmailSummary, record_item
from dynamo_chat.mail.thread import EmailThread, thread_item
from dynamo_chat.orgs.invite import Invite, invite_items, token_hash_of
from dynamo_chat.orgs.seats import Member, member_item
from dynamo_chat.streams.entities import ENTITIES
from dynamo_chat.telemetry.invocations import Invocation, invocation_item
from dynamo_chat.telemetry.llm import LLMUsage, usage_item
from dynamo_chat.telemetry.reports import LLMReport, report_item

INDEX_ATTRIBUTES: Final = tuple(sorted(KEY_ATTRIBUTES - {PK, SK}))

LAYOUTS: Final[Mapping[str, Layout]] = {
    layout.kind: layout for layouts in keyspace.KEY_SPACE.values() for layout in layouts
}
"""Every kind of item."""

_ENTITIES: Final[tuple[type[Entity], ...]] = (*ENTITIES, CallRoom)
ENTITY_OF: Final[Mapping[str, type[Entity]]] = {each.layout.kind: each for each in _ENTITIES}
"""The kinds that are read as an entity: those of the streams, and the room of a live call."""

_INDEXED: Final[Mapping[type[Entity], Callable[[Any], AttributeValues]]] = {
    Conversation: head_item,
    Message: message_item,
    Review: review_item,
    LoginSession: login_item,
    Member: member_item,
    EmailThread: thread_item,
    EmailSummary: record_item,
    LLMUsage: usage_item,
    LLMReport: report_item,
    Invocation: invocation_item,
    Call: call_item,
    CallRoom: lambda room: room_item(call_in_room(plan(CallRoom).encode(room))),
}
"""What writes the item of an entity that stands in an index; an invite needs its token, too."""


def stored_item(entity: Entity, there: AttributeValues | None = None) -> AttributeValues:
    """The item of an entity with its index keys; `there` is what is stored of it.

    InvalidArgument when it has none; CorruptItem when `there` lacks what no entity has.
    """
    if isinstance(entity, Invite):
        return invite_items(entity, token_hash_of(there or {}))[0]
    write = _INDEXED.get(type(entity))
    return plan(type(entity)).encode(entity) if write is None else write(entity)


_KNOWN_TO_OTHERS: Final = {
    keyspace.CONVERSATION_TITLE.kind,
    keyspace.MESSAGE_ID.kind,
    keyspace.EMAIL_RESPONSE_ID.kind,
}

_INDEXED_HELPERS: Final = {
    keyspace.PROBE.kind: (GSI1, GSI2),
}

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    keyspace.CONVERSATION_TOMBSTONE.kind: ("user_id",),
    keyspace.MESSAGE_ID.kind: ("position", "digest"),
    keyspace.REVIEW_ID.kind: ("conversation_id", "reviewed_by", "reviewed_at"),
    keyspace.USER_EMAIL.kind: ("user_id",),
    keyspace.USER_RESPONSE_EMAIL.kind: ("user_id",),
    keyspace.INVITE_ID.kind: ("organization_id", "created_at"),
    keyspace.INVITE_TOKEN.kind: ("organization_id", "created_at", "invite_id"),
    keyspace.EMAIL_THREAD_TOMBSTONE.kind: ("deletion_id",),
    keyspace.EMAIL_RESPONSE_ID.kind: ("timestamp", "entry_id", "digest"),
    keyspace.EMAIL_MESSAGE_ID.kind: ("timestamp", "entry_id", "digest", "conversation_id"),
}
"""What a helper item must say."""
_TIMES: Final = frozenset({"created_at", "reviewed_at", "timestamp"})

FOR_EVER: Final = frozenset(
    {
        *(kind for kind, entity in ENTITY_OF.items() if plan(entity).deadline is None),
        keyspace.USER_TOMBSTONE.kind,
        keyspace.USER_EMAIL.kind,
        keyspace.USER_RESPONSE_EMAIL.kind,
        keyspace.ORGANIZATION_TOMBSTONE.kind,
        keyspace.MEMBERSHIP.kind,
        keyspace.INVITE_ID.kind,
        keyspace.INVITE_TOKEN.kind,
        keyspace.EMAIL_THREAD_TOMBSTONE.kind,
        keyspace.EMAIL_RESPONSE_ID.kind,
        keyspace.EMAIL_MESSAGE_ID.kind,
    }
)
"""Kinds that never have a TTL: with one, DynamoDB would remove them."""


def check_helper(item: AttributeValues, layout: Layout) -> None:
    """CorruptItem when a helper item lacks what it must say."""
    if is_retired(item):
        helper_time(item, "retired_at", layout)
        return
    for name in _TEXTS.get(layout.kind, ()):
        (helper_time if name in _TIMES else helper_text)(item, name, layout)


def helper_index_keys(item: AttributeValues, layout: Layout) -> AttributeValues | None:
    """The index keys of a helper item; None for those that what it leads to knows."""
    if layout.kind in _KNOWN_TO_OTHERS:
        return None
    fields = dict(zip(layout.table.pk.names, layout.table.pk.decode(item[PK]["S"]), strict=True))
    fields |= zip(layout.table.sk.names, layout.table.sk.decode(item[SK]["S"]), strict=True)
    places = _INDEXED_HELPERS.get(layout.kind, ())
    return with_index_keys({}, layout, fields, *places)


def index_keys(item: AttributeValues) -> AttributeValues:
    """The index keys that an item has."""
    return {name: item[name] for name in INDEX_ATTRIBUTES if name in item}
