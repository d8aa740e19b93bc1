"""What every repository can do: get, query in pages, write, delete in bulk.

Small on purpose. A domain's repository builds the keys and decides what a failed condition means;
nothing here depends on a domain.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from dynamo_chat.core import errors
from dynamo_chat.core.attributes import inflated
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import utc
from dynamo_chat.core.connection import AttributeValues, TransactionClash
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import PK, SK, Collection
from dynamo_chat.core.page import MAX_PAGE_SIZE, CursorsOfPage, Found, Page, check_page_size
from dynamo_chat.core.patterns import check_text, running_cursor_id
from dynamo_chat.core.settings import fresh_id, present
from dynamo_chat.core.size import MAX_BODY_BYTES
from dynamo_chat.core.transaction import Key, Write, is_live, write

MAX_BATCH_GET = 100
MAX_BATCH_WRITE = 25
MAX_IDS = 1_000
"""The most ids that one call reads."""
_BATCH_ATTEMPTS = 10
MIN_FOLLOW_UP = 25
MAX_PAGE_BODY_BYTES = MAX_BODY_BYTES
"""The most bytes that decompressing one page may take; its last item may go over it."""

QueryResult: TypeAlias = tuple[list[AttributeValues], Mapping[str, Any] | None]
"""The items of one Query, and the start key of the next one; None at the end."""

T = TypeVar("T")
E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list the caller wants. Created in the method that declares the pattern."""

    chosen: tuple[Any, ...]
    """The arguments that select the list. A cursor is bound to them."""
    descending: bool
    page_size: int
    cursor: str | None = None
    consistent: bool = False
    _: KW_ONLY
    after: str | None = None
    """The sort key after which the page begins, if the caller named an item instead of a cursor."""
    one_way: bool = False
    """True if the list has only this direction. Otherwise a cursor is bound to it, too."""
    cursor_id: str = field(default_factory=running_cursor_id, init=False)

    def __post_init__(self) -> None:
        if self.after is not None and self.cursor is not None:
            raise errors.InvalidArgument("after", "must not be given together with cursor")

    @property
    def forward(self) -> bool:
        """True if the page is in ascending order."""
        return not self.descending

    @property
    def bound(self) -> tuple[Any, ...]:
        """Everything that a cursor is bound to, except the pattern."""
        return self.chosen if self.one_way else (*self.chosen, self.descending)


class Repository:
    """Base of all repositories."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._connection = binding.connection

    def _now(self) -> datetime:
        """The current time of the store's clock, in UTC."""
        return present(self._binding.clock())

    def _new_id(self, moment: datetime | None = None) -> str:
        """A new ULID with the time `moment`, by default the current time."""
        return fresh_id(self._binding.ids(self._now() if moment is None else moment))

    # -- reading ------------------------------------------------------------------------------

    def _get_item(self, key: Key, *, consistent: bool = False) -> AttributeValues | None:
        """The item at `key`, even if it has expired; None when there is none."""
        request: dict[str, Any] = {"TableName": self._connection.table_name, "Key": key}
        if consistent:
            request["ConsistentRead"] = True
        found: AttributeValues | None = self._connection.call("GetItem", request).get("Item")
        return found or None

    def _get(self, entity: type[E], *, consistent: bool = False, **key: Any) -> E | None:
        """The entity with this key; None when there is none or it has expired."""
        item = self._get_item(entity.layout.key(**key), consistent=consistent)
        if item is None or not is_live(item, self._now()):
            return None
        return plan(entity).decode(item)

    def _get_items(
        self, keys: Sequence[Key], *, consistent: bool = False
    ) -> list[AttributeValues | None]:
        """The items at `keys`, in the same order; None for a missing one. One request per 100."""
        found: dict[tuple[str, str], AttributeValues] = {}
        table = self._connection.table_name
        unique = list({(key[PK]["S"], key[SK]["S"]): key for key in keys}.values())
        for start in range(0, len(unique), MAX_BATCH_GET):
            wanted: list[Key] = unique[start : start + MAX_BATCH_GET]
            attempt = 0
            while wanted:
                request = {
                    "RequestItems": {table: {"Keys": wanted, "ConsistentRead": bool(consistent)}}
                }
                answer = self._connection.call("BatchGetItem", request)
                items = answer.get("Responses", {}).get(table, [])
                for item in items:
                    found[item[PK]["S"], item[SK]["S"]] = item
                wanted = (answer.get("UnprocessedKeys") or {}).get(table, {}).get("Keys", [])
                attempt = 0 if items else attempt + 1
                self._hold_back(attempt, len(wanted))
        return [found.get((key[PK]["S"], key[SK]["S"])) for key in keys]

    def _get_many(
        self,
        argument: str,
        ids: Sequence[str],
        key: Callable[[str], Key],
        decode: Callable[[AttributeValues], T | None],
        *,
        consistent: bool = False,
    ) -> Found[T]:
        """What `decode` makes of the items of these ids; None means that one is not shown.

        One request for each 100 ids, and more for what DynamoDB leaves over. `argument` names the
        ids in an error.
        """
        unique = _distinct(argument, ids)
        found: list[T] = []
        unreadable: list[errors.CorruptItem] = []
        missing: list[str] = []
        begun_at = inflated()
        for start in range(0, len(unique), MAX_BATCH_GET):
            named = unique[start : start + MAX_BATCH_GET]
            items = self._get_items([key(each) for each in named], consistent=consistent)
            for place, (each, item) in enumerate(zip(named, items, strict=True), start):
                if inflated() - begun_at >= MAX_PAGE_BODY_BYTES:
                    return Found.among(found, unreadable, missing, unique[place:])
                try:
                    decoded = None if item is None else decode(item)
                except errors.CorruptItem as error:
                    unreadable.append(error)
                    continue
                if decoded is None:
                    missing.append(each)
                else:
                    found.append(decoded)
        return Found.among(found, unreadable, missing, ())

    def _query(
        self,
        collection: Collection,
        *,
        forward: bool = True,
        limit: int | None = None,
        consistent: bool = False,
        start: Mapping[str, Any] | None = None,
        only: Sequence[str] = (),
    ) -> QueryResult:
        """Send one Query; its items, with the attributes in `only` if given, and the next start."""
        place, keys = collection.place, collection.keys
        if keys.is_empty:
            return [], None
        request: dict[str, Any] = {
            "TableName": self._connection.table_name,
            "KeyConditionExpression": "#p = :p AND #s BETWEEN :l AND :u",
            "ExpressionAttributeNames": {"#p": place.pk, "#s": place.sk},
            "ExpressionAttributeValues": {
                ":p": {"S": collection.partition},
                ":l": {"S": keys.lower},
                ":u": {"S": keys.upper},
            },
            "ScanIndexForward": forward,
        }
        if place.index is not None:
            request["IndexName"] = place.index
        elif consistent:
            request["ConsistentRead"] = True
        if limit is not None:
            request["Limit"] = limit
        if start is not None:
            request["ExclusiveStartKey"] = start
        if only:
            names = {f"#a{place}": name for place, name in enumerate(only)}
            request["ProjectionExpression"] = ", ".join(names)
            request["ExpressionAttributeNames"].update(names)
        answer = self._connection.call("Query", request)
        # A list of our own: pages empty it, and a handler may have kept the answer.
        return list(answer["Items"]), answer.get("LastEvaluatedKey") or None

    def _walk(
        self,
        collection: Collection,
        *,
        forward: bool = True,
        consistent: bool = True,
        limit: int | None = None,
        only: Sequence[str] = (),
    ) -> Iterator[list[AttributeValues]]:
        """Every item of a collection, in DynamoDB's own pages. Expired items are included."""
        start: Mapping[str, Any] | None = None
        while True:
            items, start = self._query(
                collection,
                forward=forward,
                limit=limit,
                consistent=consistent,
                start=start,
                only=only,
            )
            yield items
            if start is None:
                return

    def _page(
        self,
        asked: PageRequest,
        collections: Sequence[Collection],
        decode: Callable[[AttributeValues], T],
        *,
        is_kept: Callable[[AttributeValues], bool] | None = None,
        look: Callable[[Sequence[AttributeValues]], None] | None = None,
        max_page_size: int = MAX_PAGE_SIZE,
        begun: QueryResult | None = None,
    ) -> Page[T]:
        """One page of `collections`, merged in the order of their sort keys.

        Expired items, and those that `is_kept` rejects, are skipped until the page is full or
        nothing is left. The page is shorter if its decompressed bodies exceed
        `MAX_PAGE_BODY_BYTES`. `begun` is the first query's result, if the caller sent it already;
        its list of items is emptied. `look` is called with each query's items before they are
        filtered.
        """
        size = check_page_size(asked.page_size, max_page_size)
        narrowed = self._narrowed(asked, collections)
        now = self._now()

        def keeps(item: AttributeValues) -> bool:
            try:
                return is_live(item, now) and (is_kept is None or is_kept(item))
            except errors.CorruptItem:
                return True  # it takes a place on the page: decoding reports it

        def kept_of(items: Sequence[AttributeValues]) -> list[AttributeValues]:
            if look is not None:
                look(items)
            return [item for item in items if keeps(item)]

        runs = [self._run(each, asked, size, kept_of, begun) for each in narrowed]
        # Each item with its sort key in its collection's index: the collections may differ in that.
        keyed = [
            [(item[each.place.sk]["S"], item) for item in kept]
            for each, (kept, _) in zip(narrowed, runs, strict=True)
        ]
        merged: Iterable[tuple[str, AttributeValues]] = keyed[0]
        if len(keyed) > 1:
            merged = _once(heapq.merge(*keyed, key=itemgetter(0), reverse=not asked.forward))
        taken = list(islice(merged, size))
        more = sum(map(len, keyed)) > len(taken) or any(unfinished for _, unfinished in runs)
        cursor = None
        if more and taken:
            cursor = self._cursor_after(asked, collections, taken[-1][0])
        # Each item is let go of once it is decoded: the next one takes the memory that it leaves,
        # which is still in the processor's cache.
        del runs, keyed, merged
        taken.reverse()
        decoded: list[T] = []
        positions: list[str] = []
        unreadable: list[errors.CorruptItem] = []
        begun_at = inflated()
        while taken:
            position, item = taken.pop()
            try:
                decoded.append(decode(item))
                positions.append(position)
            except errors.CorruptItem as error:
                unreadable.append(error)
            if inflated() - begun_at >= MAX_PAGE_BODY_BYTES and taken:
                cursor = self._cursor_after(asked, collections, position)
                break
        cursors = self._cursors_of_page(asked, collections, positions)
        return Page(tuple(decoded), cursor, tuple(unreadable), cursors)

    def _cursors_of_page(
        self, asked: PageRequest, collections: Sequence[Collection], positions: Sequence[str]
    ) -> CursorsOfPage:
        """The cursors after items with these sort keys."""
        return CursorsOfPage(partial(self._cursor_after, asked, collections), positions)

    def _cursor_after(
        self, asked: PageRequest, collections: Sequence[Collection], position: str
    ) -> str:
        """The cursor for the page after this sort key."""
        is_stray = not collections[0].shape.matches(position)
        return self._binding.cursors.seal(asked.cursor_id, asked.bound, position, is_stray=is_stray)

    def _cursor_position(self, asked: PageRequest, collection: Collection) -> str | None:
        """The sort key in the cursor, or `after`; None without both. InvalidCursor."""
        if asked.cursor is None:
            return asked.after
        return self._binding.cursors.open(
            asked.cursor_id, asked.bound, asked.cursor, collection.shape, collection.keys
        )

    def _narrowed(
        self, asked: PageRequest, collections: Sequence[Collection]
    ) -> Sequence[Collection]:
        first = collections[0]
        position = self._cursor_position(asked, first)
        if position is None:
            return collections
        move = first.keys.after if asked.forward else first.keys.before
        rest = move(position, is_stray=not first.shape.matches(position))
        return [each._replace(keys=rest) for each in collections]

    def _run(
        self,
        collection: Collection,
        asked: PageRequest,
        size: int,
        kept_of: Callable[[Sequence[AttributeValues]], list[AttributeValues]],
        begun: QueryResult | None,
    ) -> tuple[list[AttributeValues], bool]:
        """Up to `size` kept items of one collection, and whether there may be more."""
        kept: list[AttributeValues] = []
        start: Mapping[str, Any] | None = None
        limit, follow_up = size, MIN_FOLLOW_UP
        while True:
            items, start = begun or self._query(
                collection,
                forward=asked.forward,
                limit=limit,
                consistent=asked.consistent,
                start=start,
            )
            begun = None
            kept.extend(kept_of(items))
            items.clear()
            if len(kept) >= size:
                return kept[:size], start is not None or len(kept) > size
            if start is None:
                return kept, False
            # Ask for more after many skipped items: small steps would cost a request each.
            limit = max(size - len(kept), follow_up)
            follow_up = min(2 * follow_up, MAX_PAGE_SIZE)

    # -- writing ------------------------------------------------------------------------------

    def _write(
        self, *writes: Write, returning: bool = False, once: bool = False
    ) -> AttributeValues:
        return write(self._connection, *writes, returning=returning, once=once)

    def _delete_items(self, keys: Iterable[Key]) -> int:
        """Delete the items at `keys`, 25 per request, and return their number. BatchIncomplete."""
        deletes = [{"DeleteRequest": {"Key": key}} for key in keys]
        self._batch_write(deletes)
        return len(deletes)

    def _batch_write(self, requests: Sequence[dict[str, Any]]) -> None:
        table = self._connection.table_name
        for start in range(0, len(requests), MAX_BATCH_WRITE):
            waiting = list(requests[start : start + MAX_BATCH_WRITE])
            attempt = 0
            while waiting:
                left = self._sent_batch(table, waiting)
                attempt = 0 if len(left) < len(waiting) else attempt + 1
                waiting = left
                self._hold_back(attempt, len(waiting))

    def _sent_batch(self, table: str, waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The writes that DynamoDB left undone: all of them if a transaction conflicted."""
        request = {"RequestItems": {table: waiting}}
        try:
            answer = self._connection.call("BatchWriteItem", request)
        except TransactionClash:
            return waiting
        left: list[dict[str, Any]] = (answer.get("UnprocessedItems") or {}).get(table, [])
        return left

    def _hold_back(self, attempt: int, remaining: int) -> None:
        """Pause before the rest of a batch is sent again; give up when nothing gets done."""
        if not remaining:
            return
        if attempt >= _BATCH_ATTEMPTS:
            raise errors.BatchIncomplete(
                f"DynamoDB left {remaining} items of a batch undone after {_BATCH_ATTEMPTS} tries; "
                "call again to finish",
                remaining,
            )
        self._connection.pause(attempt + 1)


def _once(
    merged: Iterable[tuple[str, AttributeValues]],
) -> Iterator[tuple[str, AttributeValues]]:
    """Each item once: while it moves between partitions of an index, both may have it."""
    seen: set[tuple[str, str]] = set()
    for position, item in merged:
        address = item[PK]["S"], item[SK]["S"]
        if address not in seen:
            seen.add(address)
            yield position, item


def _distinct(argument: str, ids: Sequence[str]) -> list[str]:
    """Each of the ids once, in order. InvalidArgument."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise errors.InvalidArgument(argument, f"must be a list of ids, not {type(ids).__name__}")
    if len(ids) > MAX_IDS:
        raise errors.InvalidArgument(argument, f"must have at most {MAX_IDS:,} ids")
    for place, each in enumerate(ids):
        if not isinstance(each, str) or not each:
            raise errors.InvalidArgument(f"{argument}.{place}", "must be text, not empty")
        check_text(f"{argument}.{place}", each)
    return list(dict.fromkeys(ids))


def time_range(since: datetime | None, until: datetime | None) -> tuple[Any, Any]:
    """`since` and `until` in UTC, as the range [since, until). InvalidArgument names a bad one."""
    lower = None if since is None else utc("since", since)
    upper = None if until is None else utc("until", until)
    if lower is not None and upper is not None and lower > upper:
        raise errors.InvalidArgument("since", "must not be later than until")
    return lower, upper
