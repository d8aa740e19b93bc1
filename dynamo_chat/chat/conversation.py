"""A conversation: the entity, its life, and its item, the head of its collection.

Every write into a conversation's collection is conditioned on its head: it exists, has not
expired, and is not being deleted. An id may be reused after a deletion: each conversation that had
it is one *life* of the id, and every item notes the life that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import MAX_ID_CHARACTERS, Count, Deadline, Entity, Id, JsonObject, Time
from dynamo_chat.core.errors import AlreadyExists, Conflict, CorruptItem, InvalidArgument
from dynamo_chat.core.item import check_size, kind_of, plan
from dynamo_chat.core.keys import KeyRange, parse_time
from dynamo_chat.core.layout import KIND, SK, Collection, Layout
from dynamo_chat.core.of_organization import OfOrganization, as_owner
from dynamo_chat.core.owners import check_owner
from dynamo_chat.core.transaction import Check, Key, is_live
from dynamo_chat.core.ulids import Position

LIFE = "life"
PREFERENCES = "preferences"
_LIFE_CHARACTERS = 10

MAX_TITLE_CHARACTERS = 200

Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE_CHARACTERS)]
"""1 to 200 characters (code points)."""


def _owner(stored: str) -> str:
    owner = as_owner(stored)
    bare = owner.organization_id if isinstance(owner, OfOrganization) else owner
    if len(bare) > MAX_ID_CHARACTERS:
        raise ValueError(f"String should have at most {MAX_ID_CHARACTERS} characters")
    return owner


Owner = Annotated[str, StringConstraints(min_length=1), AfterValidator(_owner)]
"""A user's id; of an organization's conversation, its `OfOrganization`."""

ConversationStatus = Literal["active", "archived"]


def _upgraded(item: AttributeValues) -> AttributeValues:
    """A head of version 1, whose preferences are in it; they are moved by their next change."""
    return {"has_preferences": {"BOOL": True}, **item} if PREFERENCES in item else item


class Conversation(Entity):
    """A conversation: its owner, title, status, counters, preferences and retention."""

    layout: ClassVar[Layout] = keyspace.CONVERSATION
    schema_version: ClassVar[int] = 2
    beside: ClassVar[frozenset[str]] = frozenset({PREFERENCES})
    upgrades: ClassVar[dict[int, Callable[[AttributeValues], AttributeValues]]] = {1: _upgraded}

    conversation_id: Id
    user_id: Owner
    """The owner: a user's id; of an organization's conversation, an `OfOrganization`."""
    title: Title | None = None
    auto_title: bool = True
    """True if it gets a title from its first user message while it has none."""
    status: ConversationStatus = "active"
    created_at: Time
    updated_at: Time
    """The time of the latest message's position, to the millisecond; without one, of creation."""
    message_count: Count = 0
    """Messages stored."""
    appended_count: Count = 0
    """Messages ever appended, including pruned and deleted ones."""
    last_position: Position | None = None
    """The position of the latest append; new messages sort after it."""
    has_preferences: bool = False
    """True if its preferences are not empty."""
    preferences: JsonObject | None = Field(default_factory=dict)
    """What the application inferred about the user's taste; see `merge_preferences`.

    None if it has some that were not read: only `get`, `create`, `set_preferences`,
    `merge_preferences` and `messages.latest_with_conversation` read them. Lists and all others do
    not."""
    retention: timedelta | None = None
    """How long it is kept: after its creation or, when `is_sliding`, after its latest message."""
    is_sliding: bool = False
    keep_last: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Only this many of the latest messages are kept; None keeps all."""
    idle_until: Time | None = None
    """With sliding retention: when it expires unless another message is appended."""
    kept_until: Annotated[Time | None, Deadline()] = None
    """The deadline (TTL) of its items; with sliding retention it is later than `idle_until`."""
    renewing_from: Time | None = None
    """The old deadline, while the deadlines of a sliding conversation are being moved."""
    life: str | None = None
    """Distinguishes this conversation from earlier and later ones with the same id.

    Made at creation, and stored on its messages, reviews and state. None if an older release
    created the conversation."""
    given_from: str | None = None
    """A hash of the owner before and of what was given; None if it was never given away."""

    def implied(self) -> frozenset[str]:
        """Fields that are not stored: an automatic title is the rule."""
        return frozenset({"auto_title"}) if self.auto_title else frozenset()

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        """Preferences that are not in the head, as in version 1, were not read."""
        if fields.get("has_preferences"):
            fields.setdefault(PREFERENCES, None)

    @property
    def organization_id(self) -> str | None:
        """The organization that it belongs to; None if it is a user's."""
        owner = as_owner(self.user_id)
        return owner.organization_id if isinstance(owner, OfOrganization) else None

    @property
    def expires_at(self) -> datetime | None:
        """When readers stop seeing it and everything in it; None for never."""
        return self.idle_until or self.kept_until


class ConversationExists(AlreadyExists):
    """The conversation's id is taken."""

    current: Conversation | None


class ConversationChanged(Conflict):
    """The conversation is not as the caller has seen it."""

    current: Conversation | None


class Life(NamedTuple):
    """What distinguishes a conversation from earlier and later ones with the same id."""

    user_id: str
    created_at: datetime
    mark: str | None

    @property
    def condition(self) -> Condition:
        """The head is of this life."""
        head = plan(Conversation).model
        mark = head.life.does_not_exist() if self.mark is None else head.life == self.mark
        same: Condition = (
            mark & (head.user_id == self.user_id) & (head.created_at == self.created_at)
        )
        return same


def new_life(fresh_id: str) -> str:
    """A mark for a new conversation; short, because every message stores it."""
    return fresh_id[-_LIFE_CHARACTERS:]


def check_ids(conversation_id: str, user_id: str | None = None) -> None:
    """Raise InvalidArgument unless both are non-empty text; `user_id` may be None."""
    if not isinstance(conversation_id, str) or not conversation_id:
        raise InvalidArgument("conversation_id", "must be text, not empty")
    check_owner("user_id", user_id)


def with_life(item: AttributeValues, life: str | None) -> AttributeValues:
    """`item`, marked with the life of its conversation."""
    if life is not None:
        item[LIFE] = {"S": life}
        check_size(item)
    return item


def life_in(head: Mapping[str, Any] | None) -> str | None:
    """The mark in a stored head; None if it has none."""
    noted = (head or {}).get(LIFE)
    found = noted.get("S") if isinstance(noted, Mapping) else None
    return found if isinstance(found, str) else None


def is_part_of(item: Mapping[str, Any] | None, life: str | None) -> bool:
    """False if the item is marked with another life than this one.

    A head and its items that were read in two requests may belong to two conversations: the id may
    have been reused in between. Items without a mark are from an older release, and pass.
    """
    noted = (item or {}).get(LIFE)
    return noted is None or noted == {"S": life}


def in_life(life: str | None) -> Callable[[AttributeValues], bool]:
    """`is_part_of` for one life."""
    mark = {"S": life}
    return lambda item: item.get(LIFE) in (None, mark)


def part_of(life: str | None) -> Condition:
    """`is_part_of` as a condition."""
    path = Path(LIFE)
    unmarked: Condition = path.does_not_exist()
    return unmarked if life is None else unmarked | (path == life)


def still(item: AttributeValues, *names: str) -> Condition:
    """A condition that these attributes of an item are as they were read."""
    conditions: list[Condition] = []
    for name in names:
        path = Path(name)
        conditions.append(path == Raw(item[name]) if name in item else path.does_not_exist())
    return reduce(and_, conditions)


def head_key(conversation_id: str) -> Key:
    """The table key of a conversation's head."""
    return keyspace.CONVERSATION.key(conversation_id=conversation_id)


def organization_exists(organization_id: str) -> Check:
    """Check that the organization exists and is not being deleted: no new ones come then."""
    key = keyspace.ORGANIZATION.key(organization_id=organization_id)
    return Check(key, Path(KIND) == keyspace.ORGANIZATION.kind)


def through_head(messages: Collection, conversation_id: str) -> Collection:
    """These messages and the head behind them: in descending order, the head is first."""
    end: str = head_key(conversation_id)[SK]["S"]
    return messages._replace(keys=KeyRange(messages.keys.lower, end))


def is_live_head(item: AttributeValues | None, now: datetime) -> bool:
    """True if `item` is the head of a conversation that has not expired."""
    return _is_head(item) and is_live(item, now) and not _is_idle(item or {}, now)


def is_dead(item: AttributeValues | None, now: datetime) -> bool:
    """True if the conversation is gone or expired; False if the item is unreadable."""
    try:
        return not is_live_head(item, now)
    except CorruptItem:
        return False


def is_idle_head(item: AttributeValues | None, now: datetime) -> bool:
    """True if `item` is the head of a sliding conversation that expired before its items did.

    Also for its tombstone, if clearing it was interrupted.
    """
    is_left = (item or {}).get(KIND) == {"S": keyspace.CONVERSATION_TOMBSTONE.kind}
    return (_is_head(item) or is_left) and is_live(item, now) and _is_idle(item or {}, now)


def _is_head(item: AttributeValues | None) -> bool:
    layout = keyspace.CONVERSATION
    return bool(item) and kind_of(item or {}, layout) == layout.kind


def _is_idle(item: AttributeValues, now: datetime) -> bool:
    idle = item.get("idle_until")
    if idle is None:
        return False
    try:
        return parse_time(idle["S"]) <= now
    except (LookupError, TypeError, ValueError):
        return False  # decoding the item reports it


def live_head(now: datetime) -> Condition:
    """`is_live_head` as a condition."""
    head = plan(Conversation).model
    seconds = int(now.timestamp())
    condition: Condition = (
        (head.kind == keyspace.CONVERSATION.kind)
        & (head.ttl.does_not_exist() | (head.ttl > seconds))
        & (head.idle_until.does_not_exist() | (head.idle_until > now))
    )
    return condition
