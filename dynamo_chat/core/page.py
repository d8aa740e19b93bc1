"""Pages and the cursors between them.

A cursor holds only the sort key of the last entity of a page. The partition is always rebuilt from
the arguments of the call that receives the cursor, and the position must be in that query's range
and have its shape (unless it is stray). So even a forged cursor can only reach what the call may
read anyway. A digest (an HMAC, when the store has a secret) binds it to the access pattern, the
arguments and the table, so that a cursor of another query is rejected.

A damaged item may have a sort key that no shape allows. The cursor of a page that ends with such
an item is marked as stray; otherwise no caller could get past the item. It must be in the range,
too.

The next page is a narrower range of the same query, not an ExclusiveStartKey: it does not matter
whether the item at the cursor still exists, and several partitions can be merged under one cursor.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from dynamo_chat.core.errors import CorruptItem, InvalidArgument, InvalidCursor
from dynamo_chat.core.keys import MAX_SORT_KEY_BYTES, KeyRange, Shape, format_time

MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 20

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MARK_BYTES = 16
_VERSION = b"\x01"
_STRAY = b"\x02"


class Items(tuple[T_co, ...]):
    """Items in order. Those that cannot be read are listed in `unreadable` instead.

    `is_cut` is True if there are fewer than requested because their bodies exceed 16 MiB.
    """

    unreadable: tuple[CorruptItem, ...] = ()
    is_cut: bool = False

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from dynamo_chat.core.responses import schema_of_items

        return schema_of_items(cls, source, handler)

    @staticmethod
    def of(
        items: Iterable[T], unreadable: Iterable[CorruptItem] = (), *, is_cut: bool = False
    ) -> Items[T]:
        """`items`, with the errors of those that cannot be read."""
        made: Items[T] = Items(items)
        made.unreadable = tuple(unreadable)
        made.is_cut = is_cut
        return made


class Found(Items[T_co]):
    """Items found by their ids, in the order of the ids; an id that is given twice counts once.

    `missing` are the ids that were not found. `remaining` are the last ids, not looked for because
    the bodies of the others exceed 16 MiB: ask for them again. It is empty unless `is_cut`.
    """

    missing: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()

    @staticmethod
    def among(
        items: Iterable[T],
        unreadable: Iterable[CorruptItem],
        missing: Iterable[str],
        remaining: Iterable[str],
    ) -> Found[T]:
        """`items`, and the ids of what is not among them."""
        made: Found[T] = Found(items)
        made.unreadable = tuple(unreadable)
        made.missing = tuple(missing)
        made.remaining = tuple(remaining)
        made.is_cut = bool(made.remaining)
        return made


class CursorsOfPage:
    """The cursor after each item of a page, made when it is asked for.

    In a copy or a pickle of the page they are already made: the store's secret stays where it is.
    """

    __slots__ = ("_after", "_positions")

    def __init__(self, after: Callable[[str], str], positions: Sequence[str]) -> None:
        self._after = after
        self._positions = positions

    def __reduce__(self) -> tuple[Any, ...]:
        return CursorsOfPage, (str, tuple(map(self._after, self._positions)))

    def only(self, places: Iterable[int]) -> CursorsOfPage:
        """The cursors of the items at these places."""
        return CursorsOfPage(self._after, [self._positions[place] for place in places])

    def at(self, place: int) -> str:
        """The cursor after the item at this place."""
        return self._after(self._positions[place])


class _SchemaOfPage:
    """Tells pydantic about pages of a type of items."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: Any) -> Any:
        return Page.__get_pydantic_core_schema__(source, handler)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Part of a list, in order. `cursor` leads to the next page; None on the last page.

    A page holds `page_size` items unless there are no more, or their bodies exceed 16 MiB in total.
    Only `cursor` shows whether it is the last page; the next page may be empty. Items that cannot
    be read are not in `items` but in `unreadable`.
    """

    items: tuple[T_co, ...]
    cursor: str | None = None
    unreadable: tuple[CorruptItem, ...] = ()
    _cursors: CursorsOfPage | None = field(default=None, repr=False, compare=False)

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> Any:
            # Pydantic looks for the method below on a plain class only, not on a generic dataclass.
            alias = super(Page, cls).__class_getitem__(item)  # by name: slots make another class
            return Annotated[alias, _SchemaOfPage]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from dynamo_chat.core.responses import schema_of_page

        return schema_of_page(cls, source, handler)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.items)

    def without_none(self: Page[T | None]) -> Page[T]:
        """The same page without the items that are None."""
        kept = [(place, each) for place, each in enumerate(self.items) if each is not None]
        cursors = self._cursors and self._cursors.only([place for place, _ in kept])
        return Page(tuple(each for _, each in kept), self.cursor, self.unreadable, cursors)

    def made(self, make: Callable[[T_co], T | None]) -> Page[T]:
        """The same page with what `make` makes of each item, without those that it makes None of.

        An item of which it raises CorruptItem is unreadable.
        """
        made: list[T | None] = []
        unreadable = list(self.unreadable)
        for each in self.items:
            try:
                made.append(make(each))
            except CorruptItem as error:
                made.append(None)
                unreadable.append(error)
        return Page(tuple(made), self.cursor, tuple(unreadable), self._cursors).without_none()

    def cursor_after(self, item: object) -> str:
        """The cursor of the page that begins after this item of the page. InvalidArgument."""
        places = range(len(self.items))
        found = next((at for at in places if self.items[at] is item), None)
        if found is None:
            found = next((at for at in places if self.items[at] == item), None)
        if found is None or self._cursors is None:
            raise InvalidArgument("item", "must be an item of this page")
        return self._cursors.at(found)

    def __len__(self) -> int:
        return len(self.items)


def check_page_size(page_size: int, maximum: int = MAX_PAGE_SIZE) -> int:
    """`page_size`, or InvalidArgument when it is not an integer from 1 to `maximum`."""
    if not isinstance(page_size, int) or isinstance(page_size, bool):
        raise InvalidArgument("page_size", f"must be an integer, not {type(page_size).__name__}")
    if not 1 <= page_size <= maximum:
        raise InvalidArgument("page_size", f"must be from 1 to {maximum:,}")
    return page_size


class CursorCodec:
    """Makes cursors from positions, and reads them back for the same query only."""

    def __init__(self, table_name: str, secret: bytes | None = None) -> None:
        if secret is not None and (not isinstance(secret, bytes) or not secret):
            raise InvalidArgument("cursor_secret", "must be bytes, not empty")
        self._table = table_name
        self._secret = secret or b""

    def seal(
        self, pattern: str, arguments: Sequence[Any], position: str, *, is_stray: bool = False
    ) -> str:
        """The cursor for the page after `position`.

        A stray position is a damaged item's sort key, which does not have the list's shape.
        """
        body = position.encode()
        packed = (_STRAY if is_stray else _VERSION) + self._mark(pattern, arguments, body) + body
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def open(
        self, pattern: str, arguments: Sequence[Any], cursor: str, shape: Shape, keys: KeyRange
    ) -> str:
        """The position in `cursor`, or InvalidCursor."""
        if not isinstance(cursor, str):
            raise InvalidCursor(f"it is {type(cursor).__name__}, not text")
        if len(cursor) > 2_048:
            raise InvalidCursor("it is too long")
        packed = _unpacked(cursor)
        version, mark, body = packed[:1], packed[1 : 1 + _MARK_BYTES], packed[1 + _MARK_BYTES :]
        position = body.decode(errors="replace")
        if position.encode() != body:
            raise InvalidCursor
        canonical = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        if version not in {_VERSION, _STRAY} or canonical != cursor:
            raise InvalidCursor
        if shape.matches(position) is not (version == _VERSION):
            raise InvalidCursor
        if not 1 <= len(body) <= MAX_SORT_KEY_BYTES:
            raise InvalidCursor
        if not hmac.compare_digest(mark, self._mark(pattern, arguments, body)):
            raise InvalidCursor
        if not keys.lower <= position <= keys.upper:
            raise InvalidCursor
        return position

    def _mark(self, pattern: str, arguments: Sequence[Any], body: bytes) -> bytes:
        bound = json.dumps([self._table, pattern, *map(_plain, arguments)]).encode()
        message = len(bound).to_bytes(4, "big") + bound + body
        # Without a secret this does not prevent forgery, which is harmless: see above.
        return hmac.new(self._secret, message, hashlib.sha256).digest()[:_MARK_BYTES]


def _unpacked(cursor: str) -> bytes:
    """The bytes of a cursor; empty if it is not base64."""
    # The decoder's error contains the cursor, so it must not be chained to ours.
    with suppress(ValueError, binascii.Error):
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    return b""


def _plain(argument: Any) -> Any:
    return format_time(argument) if isinstance(argument, datetime) else argument
