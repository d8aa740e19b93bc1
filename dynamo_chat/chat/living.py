"""Lists across conversations, without items of deleted or expired conversations.

An item of a sliding conversation outlives it. So each item notes how long its conversation surely
lives (`ALIVE_UNTIL`): a list reads the heads only of items whose note is in the past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import head_key, is_dead, is_part_of, life_in, with_life
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import check_size, plan
from dynamo_chat.core.layout import PK, Collection
from dynamo_chat.core.page import MAX_PAGE_SIZE, Page, check_page_size
from dynamo_chat.core.repository import MIN_FOLLOW_UP, PageRequest, Repository

ALIVE_UNTIL = "sure_until"
_NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
"""For the note how long a conversation surely lives: lists always look at its head."""
NO_LIFE = "-"
"""How other domains mark what is part of a conversation that an older release created."""

T = TypeVar("T")
U = TypeVar("U")


class Placed(NamedTuple, Generic[T]):
    """An item of a page: as stored, its sort key in the list, and as decoded."""

    item: AttributeValues
    key: str
    found: T | CorruptItem


class LivingLists(Repository):
    """Reads pages of lists across conversations."""

    def page(
        self,
        asked: PageRequest,
        collections: Sequence[Collection],
        decode: Callable[[AttributeValues], T],
        owner: Callable[[T], str],
    ) -> Page[T]:
        """`_page` across conversations, without items of conversations that have expired.

        Heads are read only for items whose conversation may have expired (see `with_alive_until`).
        """

        def living(page: Sequence[Placed[T]]) -> Iterator[Placed[T]]:
            return self._living(page, owner)

        return self.sifted(asked, collections, decode, living)

    def sifted(
        self,
        asked: PageRequest,
        collections: Sequence[Collection],
        decode: Callable[[AttributeValues], T],
        sift: Callable[[Sequence[Placed[T]]], Iterator[Placed[U]]],
        *,
        max_page_size: int = MAX_PAGE_SIZE,
    ) -> Page[U]:
        """`_page` of the items, filtered or converted by `sift`.

        The page is still full, unless there are no more items.
        """
        sort_key = collections[0].place.sk

        def placed(item: AttributeValues) -> Placed[T]:
            try:
                return Placed(item, item[sort_key]["S"], decode(item))
            except CorruptItem as error:  # the page returns it in `unreadable`
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
            # A short page that is not the last one has reached the limit of bytes.
            is_heavy = len(page) < rest.page_size
            if cursor is None or len(kept) >= size or is_heavy:
                shown = [each for each in kept[:size] if not isinstance(each.found, CorruptItem)]
                positions = [each.key for each in shown]
                return Page(
                    tuple(each.found for each in shown if not isinstance(each.found, CorruptItem)),
                    cursor,
                    tuple(
                        each.found for each in kept[:size] if isinstance(each.found, CorruptItem)
                    ),
                    self._cursors_of_page(asked, collections, positions),
                )
            # After many items that are left out, small steps would cost a request each.
            step = min(max(size - len(kept), follow_up), max_page_size)
            rest = replace(rest, cursor=cursor, page_size=step)
            follow_up = min(2 * follow_up, max_page_size)

    def _living(self, page: Sequence[Placed[T]], owner: Callable[[T], str]) -> Iterator[Placed[T]]:
        """Items of live conversations; one request per 100 conversations that may have expired."""
        now = self._now()
        doubtful = {
            owner(each.found)
            for each in page
            if not isinstance(each.found, CorruptItem) and not _is_surely_alive(each.item, now)
        }
        asked = sorted(doubtful)
        heads = self._get_items([head_key(name) for name in asked], consistent=True)
        known = dict(zip(asked, heads, strict=True))
        for each in page:
            if isinstance(each.found, CorruptItem) or owner(each.found) not in known:
                yield each
                continue
            head = known[owner(each.found)]
            if not is_dead(head, now) and is_part_of(each.item, life_in(head)):
                yield each


class LivingSieve(Repository):
    """Leaves out items of conversations that have expired, in lists that other domains page.

    For one page. The conversation is the one that the item's key in the table names.
    """

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._heads: dict[str, AttributeValues | None] = {}

    def look(self, items: Sequence[AttributeValues]) -> None:
        """Read the heads of those that may have expired: one request per 100 conversations."""
        now = self._now()
        doubtful = {_named_in(each) for each in items if not _is_surely_alive(each, now)}
        asked = sorted(name for name in doubtful if name and name not in self._heads)
        heads = self._get_items([head_key(name) for name in asked], consistent=True)
        self._heads.update(zip(asked, heads, strict=True))

    def keeps(self, item: AttributeValues) -> bool:
        """False if the item's conversation has expired, or is not the one it was part of."""
        name = _named_in(item)
        if name not in self._heads or ALIVE_UNTIL not in item:
            return True
        head = self._heads[name]
        return not is_dead(head, self._now()) and is_part_of(item, life_in(head) or NO_LIFE)


def _named_in(item: AttributeValues) -> str:
    """The only component of the item's partition key; empty if it is unreadable."""
    try:
        (name,) = keyspace.MAIL_PARTITION.decode(item[PK]["S"])
    except (LookupError, TypeError, ValueError):
        return ""
    return str(name)


def item_in(entity: Entity, life: str | None) -> AttributeValues:
    """The item of an application's entity in a conversation with this mark of its life."""
    item = with_life(plan(type(entity)).encode(entity), life)
    return with_alive_until(item, _NEVER) if entity.indexed() else item


def with_alive_until(item: AttributeValues, alive_until: datetime | None) -> AttributeValues:
    """`item`, with a note of how long its conversation lives at least, if it slides.

    Until then only a deletion can end the conversation, so lists need not read the head.
    """
    if alive_until is not None:
        item[ALIVE_UNTIL] = {"N": str(int(alive_until.timestamp()))}
        check_size(item)
    return item


def _is_surely_alive(item: AttributeValues, now: datetime) -> bool:
    noted = item.get(ALIVE_UNTIL)
    try:
        return noted is None or int(noted["N"]) > now.timestamp()
    except (LookupError, TypeError, ValueError):
        return False  # unknown: read the head
