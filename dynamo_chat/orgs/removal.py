"""The steps of deleting an organization (O9); `workflows.delete_organization` calls them in order.

    organization ──tombstone──▶ no reader finds it, no condition of a writer holds
                 ──walk──────▶ each member and invite is deleted together with its pointers
                 ──finish────▶ the tombstone is deleted with the last of them; the id is free

A new organization with the same id has members under the same keys. Each step is fenced to this
deletion, so that a slow second worker deletes none of them: see `dynamo_chat.core.deletion`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import Deletion, begin
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.fence import Group
from dynamo_chat.core.item import is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, Update, key_of
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, pointer_deletes
from dynamo_chat.orgs.organization import Organization, organization_exists, organization_key

_TOMBSTONE = keyspace.ORGANIZATION_TOMBSTONE
_BELONGINGS = tuple(
    each.table.sk.range()
    for each in keyspace.KEY_SPACE
    if each.table.pk == keyspace.ORGANIZATION_PARTITION
    and each.table.sk != keyspace.ORGANIZATION.table.sk
)
"""Where whatever belongs to an organization sorts in its partition."""


class OrganizationDeletionSteps(Repository):
    """Buries an organization; deletes its members and invites."""

    def begin(self, organization_id: str) -> Deletion:
        """Replace the organization by a tombstone, or go on where that was done. NotFound."""
        stored = (each.attr_name for each in plan(Organization).attributes.values())
        actions = [
            Path(KIND).set(_TOMBSTONE.kind),
            *(Path(name).remove() for name in stored),
        ]
        bury = Update(organization_key(organization_id), actions, organization_exists())
        try:
            return begin(self._connection, bury, self._new_id(), _TOMBSTONE)
        except ConditionFailed as failed:
            raise NotFound("organization", organization_id) from failed

    def finish(self, organization_id: str, deletion: Deletion) -> int:
        """Delete members, invites and the tombstone. Returns the number of items deleted.

        Overtaken as by `Deletion.run`.
        """
        return deletion.run(self._belongings(organization_id))

    def _belongings(self, organization_id: str) -> Iterator[Group]:
        """Members and invites, each with its pointers in other partitions; own kinds."""
        partition = keyspace.ORGANIZATION_PARTITION.encode(organization_id)
        own = (
            each.table.sk.range()
            for each in self._binding.own
            if each.table.pk.tag == keyspace.ORGANIZATION_PARTITION.tag
        )
        ranges = [*_BELONGINGS, *own]
        first = min(keys.lower for keys in ranges)
        last = max(keys.upper for keys in ranges)
        shape = keyspace.ORGANIZATION.table.sk
        collection = Collection(TABLE, partition, KeyRange(first, last), shape)
        for items in self._walk(collection, only=(PK, SK, KIND, HASH_ATTRIBUTE)):
            for item in items:
                if not is_kind(item, _TOMBSTONE):
                    yield _with_pointers(item, organization_id)


def _with_pointers(item: AttributeValues, organization_id: str) -> Group:
    # The pointers of a damaged item are unknown, but it must not block the deletion.
    group = [Delete(key_of(item))]
    with suppress(CorruptItem):
        if is_kind(item, keyspace.MEMBER):
            (user_id,) = key_parts(keyspace.MEMBER, item, SK)
            key = keyspace.MEMBERSHIP.key(user_id=user_id, organization_id=organization_id)
            group.append(Delete(key))
        elif is_kind(item, keyspace.INVITE):
            group.extend(pointer_deletes(item))  # those whose key it gives
    return group
