"""A conversation: the entity, its life, and its item, the head of its collection.

Every write into a conversation's collection is conditioned on its head: it exists, has not
expired, and is not being deleted. An id may be given anew: which life of it an item belongs to is
noted on the item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, StringConstraints
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Count, Deadline, Entity, Id, JsonObject, Time
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import check_size, kind_of, plan
from dynamo_chat.core.keys import parse_time
from dynamo_chat.core.layout import KIND, Layout
from dynamo_chat.core.owners import check_owner
from dynamo_chat.core.transaction import Key, is_live
from dynamo_chat.core.ulids import Position

LIFE = "life"
_LIFE_CHARACTERS = 10

MAX_TITLE_CHARACTERS = 200

Title = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE_CHARACTERS)]
"""1 to 200 characters (code points)."""

ConversationStatus = Literal["active", "archived"]


class Conversation(Entity):
    """A user's conversation: what a sidebar shows of it, and how long it is kept."""

    layout: ClassVar[Layout] = keyspace.CONVERSATION

    conversation_id: Id
    user_id: Id
    """The owner."""
    title: Title | None = None
    status: ConversationStatus = "active"
    created_at: Time
    updated_at: Time
    """When the latest message took its place; the creation time while there is none."""
    message_count: Count = 0
    """Messages stored."""
    appended_count: Count = 0
    """Messages ever appended, pruned and deleted ones included."""
    last_position: Position | None = None
    """The position of the latest append; new messages sort after it."""
    preferences: JsonObject = Field(default_factory=dict)
    """What the application inferred about the user's taste; see `merge_preferences`."""
    retention: timedelta | None = None
    """How long it is kept: after its creation or, when `is_sliding`, after its latest message."""
    is_sliding: bool = False
    keep_last: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Only this many latest messages are kept; None keeps all."""
    idle_until: Time | None = None
    """With sliding retention: when it expires unless a message is appended."""
    kept_until: Annotated[Time | None, Deadline()] = None
    """The deadline (TTL) of its items; with sliding retention it runs ahead of `idle_until`."""
    renewing_from: Time | None = None
    """While the deadlines of a sliding conversation are being moved: what they were before."""
    life: str | None = None
    """Tells this conversation from others under the same id, before and after it.

    Made when it is created, and noted on its messages, reviews and state. None for a conversation
    of before there were such notes."""

    @property
    def expires_at(self) -> datetime | None:
        """When it and everything in it stop existing for readers; None for never."""
        return self.idle_until or self.kept_until


class Life(NamedTuple):
    """What tells one conversation from another that has the same id before or after it."""

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
    """A mark for a conversation that is created now: short, for it is on every message."""
    return fresh_id[-_LIFE_CHARACTERS:]


def check_ids(conversation_id: str, user_id: str | None = None) -> None:
    """InvalidArgument unless both are text, not empty; `user_id` may be None."""
    if not isinstance(conversation_id, str) or not conversation_id:
        raise InvalidArgument("conversation_id", "must be text, not empty")
    check_owner("user_id", user_id)


def with_life(item: AttributeValues, life: str | None) -> AttributeValues:
    """`item`, with a note of which life of its conversation's id it is a part of."""
    if life is not None:
        item[LIFE] = {"S": life}
        check_size(item)
    return item


def life_in(head: Mapping[str, Any] | None) -> str | None:
    """The mark of a head as it is stored; None when it has none."""
    noted = (head or {}).get(LIFE)
    found = noted.get("S") if isinstance(noted, Mapping) else None
    return found if isinstance(found, str) else None


def is_part_of(item: Mapping[str, Any] | None, life: str | None) -> bool:
    """Whether nothing says that an item is of another life than this one.

    What a head and its items are read with in two requests may be of two conversations: the id may
    have been given anew in between. Items of before there were notes say nothing.
    """
    noted = (item or {}).get(LIFE)
    return noted is None or noted == {"S": life}


def in_life(life: str | None) -> Callable[[AttributeValues], bool]:
    """`is_part_of` of one life."""
    return lambda item: is_part_of(item, life)


def part_of(life: str | None) -> Condition:
    """What `is_part_of` says, as a condition."""
    path = Path(LIFE)
    unmarked: Condition = path.does_not_exist()
    return unmarked if life is None else unmarked | (path == life)


def head_key(conversation_id: str) -> Key:
    """The table key of a conversation's head."""
    return keyspace.CONVERSATION.key(conversation_id=conversation_id)


def is_live_head(item: AttributeValues | None, now: datetime) -> bool:
    """Whether `item` is a head that readers may see."""
    return _is_head(item) and is_live(item, now) and not _is_idle(item or {}, now)


def is_dead(item: AttributeValues | None, now: datetime) -> bool:
    """Whether it is no head that readers may see; a damaged one proves nothing."""
    try:
        return not is_live_head(item, now)
    except CorruptItem:
        return False


def is_idle_head(item: AttributeValues | None, now: datetime) -> bool:
    """Whether `item` is the head of a sliding conversation that expired before its items did.

    Or what is left of it, when clearing it was cut short.
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
        return False  # whoever reads it complains


def live_head(now: datetime) -> Condition:
    """What `is_live_head` says, as a condition."""
    head = plan(Conversation).model
    seconds = int(now.timestamp())
    condition: Condition = (
        (head.kind == keyspace.CONVERSATION.kind)
        & (head.ttl.does_not_exist() | (head.ttl > seconds))
        & (head.idle_until.does_not_exist() | (head.idle_until > now))
    )
    return condition
