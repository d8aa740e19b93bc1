"""Which entity each kind of item is read as: every kind of the key space but the helpers.

An entity that is stored as two items (an e-mail, an LLM interaction) has two classes here, one
for each item: a stream tells of items, and the halves change apart from one another.
"""

from __future__ import annotations

from typing import Final

from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import Caller
from dynamo_chat.calls.ticket import QueueTicket
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.chat.states import ConversationState
from dynamo_chat.core.entity import Entity
from dynamo_chat.identity.activity import Activity
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.limits.rate_limits import RateLimit
from dynamo_chat.mail.email import EmailContent, EmailSummary
from dynamo_chat.mail.scores import EVScore
from dynamo_chat.mail.thread import EmailThread
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from dynamo_chat.telemetry.invocations import Invocation
from dynamo_chat.telemetry.llm import LLMContent, LLMUsage
from dynamo_chat.telemetry.reports import LLMReport

ENTITIES: Final[tuple[type[Entity], ...]] = (
    Conversation,
    ConversationState,
    Message,
    Review,
    User,
    Activity,
    LoginSession,
    Organization,
    Member,
    Invite,
    EmailThread,
    EmailSummary,
    EmailContent,
    EVScore,
    RateLimit,
    LLMUsage,
    LLMContent,
    LLMReport,
    Invocation,
    Caller,
    QueueTicket,
    Call,
)
"""One class for every kind of item that is no helper; a new domain adds its own."""

ENTITY_OF: Final = {entity.layout.kind: entity for entity in ENTITIES}
"""The entity of a kind."""

HELPER_KINDS: Final = frozenset(
    layout.kind for layouts in KEY_SPACE.values() for layout in layouts if layout.helper
)
"""Kinds that make an entity findable or unique, or stand in its place while it is deleted."""
