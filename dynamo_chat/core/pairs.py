"""Things stored as two items: a record and its content.

Large data that never changes (an e-mail's body, a prompt) has its own item beside the record, so it
is not copied into the indexes, and not written again when the record changes. The two sort keys
differ only in their last component, and the content sorts directly before the record; so one query
reads both, thing by thing, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import key_parts, kind_of
from dynamo_chat.core.layout import PK, SK, TABLE, Collection, Layout
from dynamo_chat.core.owners import check_owner, is_owned
from dynamo_chat.core.page import Page, check_page_size
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.transaction import is_live

CONTENT: Final = "content"
"""The last component of a content item's sort key. A record's must sort after it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """Two kinds of item that make one thing, and how to join them."""

    record: Layout
    content: Layout
    join: Callable[[AttributeValues, AttributeValues | None], T]
    """Makes the thing from a record and its content, which may be None."""
    has_content: Callable[[AttributeValues], bool] = bool
    """Whether content was written with this record; by default always, as no record is empty. Must
    be a named function, because repositories are pickled with it."""

    def made_of(self, record: AttributeValues, content: AttributeValues | None) -> T | None:
        """The thing; None if its content is missing, because it is being deleted."""
        is_half = content is None and self.has_content(record)
        return None if is_half else self.join(record, content)


class Sieve(Protocol):
    """Leaves items out of one page, by what it reads of other items."""

    def look(self, items: Sequence[AttributeValues], /) -> None:
        """Called with the items of each query before `keeps`, to read in bulk."""

    def keeps(self, item: AttributeValues, /) -> bool:
        """False for an item to leave out."""


class PairReader(Repository, Generic[T]):
    """Reads things of one kind that are stored as two items."""

    def __init__(self, binding: Binding, pair: Pair[T]) -> None:
        super().__init__(binding)
        self._pair = pair

    def get(self, partition: str, *group: Any, consistent: bool = False) -> T | None:
        """The thing at `group`, the key components that its items share; None if it is missing."""
        pair = self._pair
        collection = pair.record.collection(TABLE, partition)(*group)
        items, _ = self._query(collection, limit=2, consistent=consistent)
        now = self._now()
        found = {kind_of(item, pair.record): item for item in items if is_live(item, now)}
        record, content = found.get(pair.record.kind), found.get(pair.content.kind)
        if record is None:
            return None
        if content is None and not consistent and pair.has_content(record):
            content = self._content(record, group)
        return pair.made_of(record, content)

    def _content(self, record: AttributeValues, group: tuple[Any, ...]) -> AttributeValues | None:
        """The content of a record that came alone: it may only be late, so this read is strong."""
        shape = self._pair.record.table.sk
        key = {PK: record[PK], SK: {"S": shape.encode(*group, CONTENT)}}
        return self._get_item(key, consistent=True)

    def page(
        self,
        asked: PageRequest,
        collection: Collection,
        *,
        beside: dict[str, AttributeValues] | None = None,
        account_id: str | None = None,
        is_shared: bool = False,
        sieve: Sieve | None = None,
    ) -> Page[T]:
        """One page of things, records and contents read together.

        Items of other kinds in the range are added to `beside`, by kind. Things that are being
        deleted are left out, so the page may be short. With `account_id`, those of other accounts
        are left out; unless the collection `is_shared`, one such item means that all of it is. So
        are things whose record `sieve` does not keep.
        """
        check_owner("account_id", account_id)
        size = check_page_size(asked.page_size)
        pair = self._pair
        contents: dict[tuple[Any, ...], AttributeValues] = {}
        passed: tuple[Any, ...] | None = None

        def is_record(item: AttributeValues) -> bool:
            nonlocal passed
            kind = kind_of(item, pair.record)
            is_record = kind == pair.record.kind
            is_ours = _may_be_of(item, account_id)
            if kind == pair.content.kind:
                group = key_parts(pair.content, item, SK)[:-1]
                if group != passed:
                    contents[group] = item
            elif is_record and not is_ours:  # nor is its content, which may come before or after
                passed = key_parts(pair.record, item, SK)[:-1]
                contents.pop(passed, None)
            elif is_ours and not is_record and beside is not None:
                beside[kind] = item
            return is_record and is_ours and (sieve is None or sieve.keeps(item))

        def joined(record: AttributeValues) -> T | None:
            group = key_parts(pair.record, record, SK)[:-1]
            content = contents.get(group)
            if content is None and pair.has_content(record):
                # The query ended between the two, at DynamoDB's megabyte, or its answer is late.
                content = self._content(record, group)
            return pair.made_of(record, content)

        (narrowed,) = self._narrowed(asked, [collection])
        begun = self._query(
            narrowed,
            forward=asked.forward,
            # A page of whole things, and one item more to know whether it is the last page.
            limit=2 * size + 1 + (beside is not None),
            consistent=asked.consistent,
        )
        if not is_shared and not all(_may_be_of(item, account_id) for item in begun[0]):
            begun = ([], None)
        look = None if sieve is None else sieve.look
        page = self._page(asked, [collection], joined, is_kept=is_record, look=look, begun=begun)
        return page.without_none()


def _may_be_of(item: AttributeValues, account_id: str | None) -> bool:
    """False if the item has another account's id. Content items have none."""
    return "account_id" not in item or is_owned(item, "account_id", account_id)
