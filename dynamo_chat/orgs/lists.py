"""Lists of members and invites, without those of deleted organizations.

Deleting an organization takes a while, and may be interrupted after its tombstone is written. So
each list reads the organization, too: in the same query if its item sorts next to the listed
items, otherwise in a request of its own.
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
    """Reads pages of members and invites."""

    def invites(
        self,
        asked: PageRequest,
        organization_id: str,
        collection: Collection,
        decode: Callable[[AttributeValues], T],
    ) -> Page[T]:
        """A page of an organization's invites."""
        self._narrowed(asked, [collection])  # refuses an invalid cursor before any request
        check_page_size(asked.page_size)
        item = self._get_item(organization_key(organization_id), consistent=asked.consistent)
        begun = None if _is_living(item) else _NOTHING
        return self._page(asked, [collection], decode, begun=begun)

    def members(
        self, asked: PageRequest, organization_id: str, decode: Callable[[AttributeValues], T]
    ) -> Page[T]:
        """A page of an organization's members; the organization's item sorts after them."""
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
        """A page of items from several organizations."""
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
        """True if the organization may have been created after its members were read."""
        try:
            created_at = helper_time(root or {}, "created_at", keyspace.ORGANIZATION)
        except CorruptItem:
            return False
        return created_at + MAX_AHEAD >= self._now()


def _is_living(item: AttributeValues | None) -> bool:
    """True if the organization exists and has no tombstone, even if it is unreadable."""
    return item is not None and not is_kind(item, keyspace.ORGANIZATION_TOMBSTONE)
