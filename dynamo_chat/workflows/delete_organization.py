"""Deleting an organization with what belongs to it (O9). After a crash, it can be resumed.

    bury      a tombstone replaces the organization: nobody is let in, nothing can be added to it
    clear     its conversations are deleted
    finish    members, invites and the tombstone are deleted; the id is free

Every step is conditional on this deletion's tombstone: see `core.deletion`. Conversations can only
be found by the index; the check at their creation lets none begin once the tombstone is there.
"""

from __future__ import annotations

from dynamo_chat import keyspace
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.deletion import Deletion, resume
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.item import key_parts
from dynamo_chat.core.layout import PK
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.core.repository import Repository
from dynamo_chat.orgs.removal import OrganizationDeletionSteps
from dynamo_chat.workflows.clear_conversations import ConversationsOfOwner, has_noted

_TOMBSTONE = keyspace.ORGANIZATION_TOMBSTONE


class OrganizationRemover(Repository):
    """Deletes organizations with their conversations, members and invites."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._steps = OrganizationDeletionSteps(binding)
        self._conversations = ConversationsOfOwner(binding, snapshots, _TOMBSTONE)

    def delete(self, organization_id: str) -> int:
        """Delete an organization. Returns the number of items deleted. NotFound."""
        return self._carry_on(organization_id, self._steps.begin(organization_id))

    def finish(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone. Returns the number of items deleted.

        0 if another worker has finished it, even if the id has been used again since.
        """
        (organization_id,) = key_parts(_TOMBSTONE, tombstone, PK)
        deletion = resume(self._connection, tombstone, self._new_id(), _TOMBSTONE)
        return 0 if deletion is None else self._carry_on(organization_id, deletion)

    def _carry_on(self, organization_id: str, deletion: Deletion) -> int:
        """All steps after the tombstone."""
        owner = OfOrganization(organization_id)
        count, noted = 0, None
        try:
            while True:
                deleted, noted = self._conversations.delete(owner, deletion, noted)
                count += deleted
                # A call that crashed, or another worker, may have begun to delete a conversation,
                # which no index shows then.
                finishing = deletion.only_if(has_noted(noted))
                try:
                    return count + self._steps.finish(organization_id, finishing)
                except Overtaken as overtaken:
                    there = overtaken.there or {}
                    if not deletion.goes_on_at(there):
                        raise
                count += self._conversations.finish(owner, there)
                noted = self._conversations.noted(there)
        except Overtaken:
            return count  # another worker has finished
