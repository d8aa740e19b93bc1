"""Lists of members and invites: what belongs to an organization that is gone is in none of them.

Deleting an organization takes a while, and may be cut short behind its tombstone. So each list
reads the organization, too: in the same query where its item is next to what is listed, else by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from dynamo_chat import keyspace
from dynamo_chat.core.clock import MAX_AHEAD
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import helper_time, is_kind
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import PK, SK, TABLE, Collection
from dynamo_chat.core.page import Page, check_page_size
from dynamo_chat.core.repository import PageRequest, QueryResult, Repository
from dynamo_chat.orgs.organization import organization_key

T = TypeVar("T")
_ROOT = keyspace.ORGANIZATION.table.sk.encode()
_NOTHING: QueryResult = ([], None)


class Lists(Repository):
    """Pages of what belongs to organizations."""

    def invites(
        self,
        asked: PageRequest,
        organization_id: str,
        collection: Collection,
        decode: Callable[[AttributeValues], T],
    ) -> Page[T]:
        """A page of an organization's invites."""
        self._narrowed(asked, [collection])  # refuses a cursor before anything is read
        check_page_size(asked.page_size)
        item = self._get_item(organization_key(organization_id), consistent=asked.consistent)
        begun = None if _is_living(item) else _NOTHING
        return self._page(asked, [collection], decode, begun=begun)

    def members(
        self, asked: PageRequest, organization_id: str, decode: Callable[[AttributeValues], T]
    ) -> Page[T]:
        """A page of an organization's members, whose items are followed by the organization's."""
        shape = keyspace.MEMBER.table.sk
        keys = KeyRange(shape.range().lower, keyspace.ORGANIZATION.table.sk.range().upper)
        partition = keyspace.ORGANIZATION_PARTITION.encode(organization_id)
        collection = Collection(TABLE, partition, keys, shape)
        (narrowed,) = self._narrowed(asked, [collection])
        size = check_page_size(asked.page_size)

        def read() -> QueryResult:
            return self._query(
                narrowed, forward=asked.forward, limit=size + 1, consistent=asked.consistent
            )

        begun = read()
        root = next((item for item in begun[0] if item[SK]["S"] == _ROOT), None)
        if root is None and begun[0]:
            root = self._get_item(organization_key(organization_id), consistent=asked.consistent)
            if _is_living(root) and self._may_be_newer(root):
                begun = read()
        if not _is_living(root):
            begun = _NOTHING
        return self._page(
            asked, [collection], decode, is_kept=lambda item: item[SK]["S"] != _ROOT, begun=begun
        )

    def across(
        self,
        asked: PageRequest,
        collection: Collection,
        decode: Callable[[AttributeValues], T],
    ) -> Page[T]:
        """A page of what belongs to several organizations."""
        living: dict[str, bool] = {}

        def look(items: Sequence[AttributeValues]) -> None:
            unknown = sorted({item[PK]["S"] for item in items} - living.keys())
            keys = [{PK: {"S": partition}, SK: {"S": _ROOT}} for partition in unknown]
            for partition, item in zip(unknown, self._get_items(keys), strict=True):
                living[partition] = _is_living(item)

        return self._page(
            asked, [collection], decode, is_kept=lambda item: living[item[PK]["S"]], look=look
        )

    def _may_be_newer(self, root: AttributeValues | None) -> bool:
        """Whether the organization may have been made anew after its members were read."""
        try:
            created_at = helper_time(root or {}, "created_at", keyspace.ORGANIZATION)
        except CorruptItem:
            return False
        return created_at + MAX_AHEAD >= self._now()


def _is_living(item: AttributeValues | None) -> bool:
    """Whether it is an organization; one that cannot be read is not gone."""
    return item is not None and not is_kind(item, keyspace.ORGANIZATION_TOMBSTONE)
