"""Deleting an organization with its members and invites (O9). After a crash, it can be resumed.

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
from dynamo_chat.core.deletion import Deletion, begin, resume
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


class OrganizationRemover(Repository):
    """Deletes whole organizations."""

    def delete(self, organization_id: str) -> int:
        """Delete an organization. Returns the number of items deleted. NotFound."""
        stored = (each.attr_name for each in plan(Organization).attributes.values())
        actions = [
            Path(KIND).set(_TOMBSTONE.kind),
            *(Path(name).remove() for name in stored),
        ]
        bury = Update(organization_key(organization_id), actions, organization_exists())
        try:
            deletion = begin(self._connection, bury, self._new_id(), _TOMBSTONE)
        except ConditionFailed as failed:
            raise NotFound("organization", organization_id) from failed
        return self._clear(organization_id, deletion)

    def finish(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone. Returns the number of items deleted.

        0 if another worker has finished it, even if the id has been used again since.
        """
        deletion = resume(self._connection, tombstone, self._new_id(), _TOMBSTONE)
        (organization_id,) = key_parts(_TOMBSTONE, tombstone, PK)
        return 0 if deletion is None else self._clear(organization_id, deletion)

    def _clear(self, organization_id: str, deletion: Deletion) -> int:
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
