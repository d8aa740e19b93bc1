"""Removing an organization with its members and invites (O9), resumably.

    organization ──tombstone──▶ no reader finds it, no condition of a writer holds
                 ──walk──────▶ members and invites go, each with what leads to it from elsewhere
                 ──finish────▶ the tombstone goes; the id is free again

A new organization of the same id would use the keys of the old members. A slow second call must
not delete those, so each batch is a transaction that holds only while the tombstone is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.item import is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Key, Update, key_of
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, token_hash_of
from dynamo_chat.orgs.organization import Organization, organization_exists, organization_key

DELETES_OF_ONE_TRANSACTION = 99


class OrganizationRemover(Repository):
    """The removal of whole organizations."""

    def _remove(self, organization_id: str) -> int:
        key = organization_key(organization_id)
        stored = (each.attr_name for each in plan(Organization).attributes.values())
        actions = [
            Path(KIND).set(keyspace.ORGANIZATION_TOMBSTONE.kind),
            *(Path(name).remove() for name in stored),
        ]
        try:
            self._write(Update(key, actions, organization_exists() | _is_tombstone()))
        except ConditionFailed as failed:
            raise NotFound("organization", organization_id) from failed
        count = 0
        try:
            for keys in self._belongings(organization_id):
                for start in range(0, len(keys), DELETES_OF_ONE_TRANSACTION):
                    batch = keys[start : start + DELETES_OF_ONE_TRANSACTION]
                    self._write(Check(key, _is_tombstone()), *map(Delete, batch))
                    count += len(batch)
            self._write(Delete(key, _is_tombstone()))
        except ConditionFailed:
            return count  # another call of the same removal finished first
        return count + 1

    def _belongings(self, organization_id: str) -> Iterator[list[Key]]:
        """Keys of members and invites, and of what leads to them from elsewhere, by page."""
        partition = keyspace.ORGANIZATION_PARTITION.encode(organization_id)
        first = keyspace.INVITE.table.sk.range().lower
        last = keyspace.MEMBER.table.sk.range().upper
        shape = keyspace.ORGANIZATION.table.sk
        collection = Collection(TABLE, partition, KeyRange(first, last), shape)
        for items in self._walk(collection, only=(PK, SK, KIND, HASH_ATTRIBUTE)):
            yield [key for item in items for key in _keys_of(item, organization_id)]


def _keys_of(item: AttributeValues, organization_id: str) -> Iterator[Key]:
    # What a damaged item led to is lost; the item itself must not keep the organization here.
    yield key_of(item)
    with suppress(CorruptItem):
        if is_kind(item, keyspace.MEMBER):
            (user_id,) = key_parts(keyspace.MEMBER, item, SK)
            yield keyspace.MEMBERSHIP.key(user_id=user_id, organization_id=organization_id)
        elif is_kind(item, keyspace.INVITE):
            _, invite_id = key_parts(keyspace.INVITE, item, SK)
            yield keyspace.INVITE_ID.key(invite_id=invite_id)
            yield keyspace.INVITE_TOKEN.key(token_hash=token_hash_of(item))


def _is_tombstone() -> Condition:
    condition: Condition = Path(KIND) == keyspace.ORGANIZATION_TOMBSTONE.kind
    return condition
