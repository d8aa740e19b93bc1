"""A conversation: the entity, kept as the head of its collection, and what writers know of it.

Every write into a conversation's collection is conditioned on its head: it exists, has not
expired, is not being deleted, and the facts that go into the new items' keys and deadlines still
hold. Facts that never or seldom change are remembered per store, which is what makes an append
one request; a wrong memory fails the condition and is replaced from the same response.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field, StringConstraints
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import Raw, epoch_seconds
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Count, Deadline, Entity, Id, JsonObject, Time
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.item import check_size, encoded, kind_of, plan, with_index_keys
from dynamo_chat.core.keys import parse_time
from dynamo_chat.core.layout import GSI1, GSI2, KIND, Collection, Layout
from dynamo_chat.core.owners import check_owner
from dynamo_chat.core.page import MAX_PAGE_SIZE, Page, check_page_size
from dynamo_chat.core.repository import MIN_FOLLOW_UP, PageRequest, Repository
from dynamo_chat.core.transaction import Check, Key, contended, is_live
from dynamo_chat.core.ulids import Position, ulid_time

REMEMBERED_CONVERSATIONS = 10_000
SURE_UNTIL = "sure_until"
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What an append must know of a conversation and confirm by its condition."""

    conversation_id: str
    user_id: str
    created_at: datetime
    life: str | None
    has_title: bool
    retention: timedelta | None
    is_sliding: bool
    kept_until: datetime | None
    """The deadline that new items of the collection get."""
    keep_last: int | None
    is_renewing: bool
    last_position: str | None
    """A hint, not a fact: where the last append seen by this store landed."""

    def sure_until(self, latest: datetime | None = None) -> datetime | None:
        """Until when the conversation lives at least, with a message at `latest` in it.

        None when its items expire when it does: unless it slides, they need no look at the head.
        """
        if not self.is_sliding or self.retention is None:
            return None
        known = [] if self.last_position is None else [ulid_time(self.last_position)]
        return max([self.created_at, *known, *([latest] if latest else [])]) + self.retention


def facts_of(conversation: Conversation) -> Facts:
    """The facts in a head that was read."""
    return Facts(
        conversation_id=conversation.conversation_id,
        user_id=conversation.user_id,
        created_at=conversation.created_at,
        life=conversation.life,
        has_title=conversation.title is not None,
        retention=conversation.retention,
        is_sliding=conversation.is_sliding,
        kept_until=conversation.kept_until,
        keep_last=conversation.keep_last,
        is_renewing=conversation.renewing_from is not None,
        last_position=conversation.last_position,
    )


def life_of(known: Conversation | Facts) -> Life:
    """Which life of its id a conversation is."""
    return Life(known.user_id, known.created_at, known.life)


def new_life(fresh_id: str) -> str:
    """A mark for a conversation that is created now: short, for it is on every message."""
    return fresh_id[-_LIFE_CHARACTERS:]


class Memory:
    """The facts of the conversations that a store used last. Safe to share between threads."""

    def __init__(self, size: int = REMEMBERED_CONVERSATIONS) -> None:
        self._size = size
        self._facts: OrderedDict[str, Facts] = OrderedDict()
        self.after_fork()
        renew_after_fork(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """One that remembers nothing: a repository that is sent elsewhere takes this along."""
        return type(self), (self._size,)

    def after_fork(self) -> None:
        """A lock that no thread of another process holds; what is remembered is as true here."""
        self._lock = threading.Lock()

    def get(self, conversation_id: str) -> Facts | None:
        """What is remembered of a conversation; None when nothing is."""
        with self._lock:
            found = self._facts.get(conversation_id)
            if found is not None:
                self._facts.move_to_end(conversation_id)
            return found

    def put(self, facts: Facts) -> Facts:
        """Remember `facts`, with the latest position known; returns what is remembered now."""
        with self._lock:
            known = self._facts.get(facts.conversation_id)
            if (
                known is not None
                and life_of(known) == life_of(facts)
                and (known.last_position or "") > (facts.last_position or "")
            ):
                facts = replace(facts, last_position=known.last_position)
            self._facts[facts.conversation_id] = facts
            self._facts.move_to_end(facts.conversation_id)
            while len(self._facts) > self._size:
                self._facts.popitem(last=False)
        return facts

    def forget(self, conversation_id: str) -> None:
        """Forget a conversation."""
        with self._lock:
            self._facts.pop(conversation_id, None)


T = TypeVar("T")
U = TypeVar("U")


class Placed(NamedTuple, Generic[T]):
    """An item of a page: what is stored, its sort key in the list, and what it was read as."""

    item: AttributeValues
    key: str
    found: T | CorruptItem


class HeadReader(Repository):
    """Base of the chat repositories: reads heads, remembers their facts, words their conditions."""

    def __init__(self, binding: Binding, memory: Memory) -> None:
        super().__init__(binding)
        self._memory = memory

    def _facts(self, conversation_id: str, user_id: str | None = None) -> Facts:
        """Remembered facts, or those of the head: NotFound when it is gone or another user's."""
        check_ids(conversation_id, user_id)
        facts = self._memory.get(conversation_id)
        if facts is None:
            facts = facts_of(self._head(conversation_id, user_id))
            self._memory.put(facts)
        elif user_id is not None and facts.user_id != user_id:
            # The memory may be of an earlier conversation under the same id: the table decides.
            facts = self._memory.put(facts_of(self._head(conversation_id, user_id)))
        return facts

    def _head(
        self, conversation_id: str, user_id: str | None = None, *, consistent: bool = True
    ) -> Conversation:
        """The live head, of this user if one is given; NotFound otherwise."""
        check_ids(conversation_id, user_id)
        item = self._get_item(head_key(conversation_id), consistent=consistent)
        return self._live_head(item, conversation_id, user_id)

    def _live_head(
        self, item: AttributeValues | None, conversation_id: str, user_id: str | None = None
    ) -> Conversation:
        """The head stored as `item`; NotFound when it is none, expired, or another user's."""
        check_ids(conversation_id, user_id)
        if not is_live_head(item, self._now()):
            self._memory.forget(conversation_id)
            raise NotFound("conversation", conversation_id)
        found: Conversation = plan(Conversation).decode(item or {})
        if user_id is not None and found.user_id != user_id:
            raise NotFound("conversation", conversation_id)
        return found

    def _with_facts(
        self, conversation_id: str, user_id: str | None, attempt: Callable[[Facts], T]
    ) -> T:
        """`attempt`, whose first write is conditioned on the head, with facts that hold.

        Tried with remembered facts first; a failed condition on the head brings the true ones.
        """
        facts = self._facts(conversation_id, user_id)
        for tries in range(self._connection.options.transaction_attempts):
            try:
                return attempt(facts)
            except ConditionFailed as failed:
                if 0 not in failed.items:
                    raise
                head = self._live_head(failed.items[0], conversation_id, user_id)
                facts = self._memory.put(facts_of(head))
                if tries:
                    self._connection.pause(tries)
        raise contended("the conversation")

    def _page_of_living(
        self,
        asked: PageRequest,
        collections: Sequence[Collection],
        decode: Callable[[AttributeValues], T],
        owner: Callable[[T], str],
    ) -> Page[T]:
        """`_page` across conversations, without what is of one that expired before its items did.

        Only items that may be so are looked up (see `vouched`): a page without them costs nothing
        more.
        """

        def living(page: Sequence[Placed[T]]) -> Iterator[Placed[T]]:
            return self._living(page, owner)

        return self._sifted(asked, collections, decode, living)

    def _sifted(
        self,
        asked: PageRequest,
        collections: Sequence[Collection],
        decode: Callable[[AttributeValues], T],
        sift: Callable[[Sequence[Placed[T]]], Iterator[Placed[U]]],
        *,
        max_page_size: int = MAX_PAGE_SIZE,
    ) -> Page[U]:
        """`_page` of what `sift` leaves of the items, or makes of them.

        The page is full all the same, unless there are no more.
        """
        sort_key = collections[0].place.sk

        def placed(item: AttributeValues) -> Placed[T]:
            try:
                return Placed(item, item[sort_key]["S"], decode(item))
            except CorruptItem as error:  # it has its place on the page, and is told there
                return Placed(item, item[sort_key]["S"], error)

        size = check_page_size(asked.page_size, max_page_size)
        kept: list[Placed[U]] = []
        rest, follow_up = asked, MIN_FOLLOW_UP
        while True:
            page = self._page(rest, collections, placed)
            kept += sift(page.items)
            cursor = page.cursor
            if len(kept) > size:
                cursor = self._cursor_after(asked, collections, kept[size - 1].key)
            # A page that is short, and not the last, had bodies enough for one.
            is_heavy = len(page) < rest.page_size
            if cursor is None or len(kept) >= size or is_heavy:
                found = [each.found for each in kept[:size]]
                return Page(
                    tuple(each for each in found if not isinstance(each, CorruptItem)),
                    cursor,
                    tuple(each for each in found if isinstance(each, CorruptItem)),
                )
            # Behind a run of items that are not shown, small steps would cost a request each.
            step = min(max(size - len(kept), follow_up), max_page_size)
            rest = replace(rest, cursor=cursor, page_size=step)
            follow_up = min(2 * follow_up, max_page_size)

    def _living(self, page: Sequence[Placed[T]], owner: Callable[[T], str]) -> Iterator[Placed[T]]:
        """Those of living conversations; one request per 100 that may not be."""
        now = self._now()
        doubtful = {
            owner(each.found)
            for each in page
            if not isinstance(each.found, CorruptItem) and not _is_vouched(each.item, now)
        }
        asked = sorted(doubtful)
        heads = self._get_items([head_key(name) for name in asked], consistent=True)
        known = dict(zip(asked, heads, strict=True))
        for each in page:
            if isinstance(each.found, CorruptItem) or owner(each.found) not in known:
                yield each
                continue
            head = known[owner(each.found)]
            if not _is_dead(head, now) and is_part_of(each.item, life_in(head)):
                yield each

    def _check_head(self, facts: Facts) -> Check:
        """The condition that the head is live and its facts hold."""
        return Check(head_key(facts.conversation_id), holds(facts, self._now()))


def check_ids(conversation_id: str, user_id: str | None = None) -> None:
    """InvalidArgument unless both are text, not empty; `user_id` may be None."""
    if not isinstance(conversation_id, str) or not conversation_id:
        raise InvalidArgument("conversation_id", "must be text, not empty")
    check_owner("user_id", user_id)


def vouched(item: AttributeValues, sure_until: datetime | None) -> AttributeValues:
    """`item`, with a note of how long its conversation lives at least, if it slides.

    Items of a sliding conversation outlive it. A list across conversations looks at the head only
    of those whose note has run out: until then nothing but a deletion could have ended them.
    """
    if sure_until is not None:
        item[SURE_UNTIL] = {"N": str(int(sure_until.timestamp()))}
        check_size(item)
    return item


def _is_vouched(item: AttributeValues, now: datetime) -> bool:
    noted = item.get(SURE_UNTIL)
    try:
        return noted is None or int(noted["N"]) > now.timestamp()
    except (LookupError, TypeError, ValueError):
        return False  # the head knows


def marked(item: AttributeValues, life: str | None) -> AttributeValues:
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


def head_item(conversation: Conversation) -> AttributeValues:
    """The item of a conversation, with its index keys. Its size is the writer's to check."""
    return with_index_keys(
        plan(Conversation).encode(conversation, is_checked=False),
        keyspace.CONVERSATION,
        conversation.__dict__,
        GSI1,
        GSI2,
    )


def head_key(conversation_id: str) -> Key:
    """The table key of a conversation's head."""
    return keyspace.CONVERSATION.key(conversation_id=conversation_id)


def is_live_head(item: AttributeValues | None, now: datetime) -> bool:
    """Whether `item` is a head that readers may see."""
    return _is_head(item) and is_live(item, now) and not _is_idle(item or {}, now)


def _is_dead(item: AttributeValues | None, now: datetime) -> bool:
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


def holds(facts: Facts, now: datetime) -> Condition:
    """The head is live, its owner and how long its items are kept are what `facts` say."""
    head = plan(Conversation).model
    if facts.kept_until is None:
        deadline = head.ttl.does_not_exist()
        alive: Condition = head.kind == keyspace.CONVERSATION.kind
    else:
        # An id given anew at the same creation time may keep its messages in another way.
        deadline = (head.ttl == epoch_seconds(facts.kept_until)) & _retention_is(facts.retention)
        alive = live_head(now)
    same: Condition = alive & deadline & life_of(facts).condition
    return same


def _retention_is(retention: timedelta | None) -> Condition:
    path = Path("retention")
    if retention is None:
        missing: Condition = path.does_not_exist()
        return missing
    stored = encoded(plan(Conversation).attributes["retention"], retention)
    same: Condition = path == Raw(stored)
    return same
