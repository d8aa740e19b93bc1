"""Tombstones: deletions that have begun. One that goes on is none of the doctor's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dynamo_chat import keyspace
from dynamo_chat.chat.head import Memory
from dynamo_chat.chat.removal import Removal
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.identity.removal import is_retired
from dynamo_chat.mail.threads import EmailThreads
from dynamo_chat.operations.doctor.findings import Problem, Repair, kind_of
from dynamo_chat.orgs.organizations import Organizations
from dynamo_chat.workflows.delete_user import Accounts


class Deletions(Repository):
    """Tells deletions that were cut short, and finishes them with the repositories' own methods."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        # Each finishes the very deletion whose tombstone was seen, and no other one of the id.
        self._finish: Final[Mapping[str, Callable[[AttributeValues], int]]] = {
            keyspace.CONVERSATION_TOMBSTONE.kind: Removal(binding, Memory()).finish,
            # There are no memberships left to decide on when this is done: see `problems`.
            keyspace.USER_TOMBSTONE.kind: Accounts(binding).finish_deletion,
            keyspace.ORGANIZATION_TOMBSTONE.kind: Organizations(binding).finish_deletion,
            keyspace.EMAIL_THREAD_TOMBSTONE.kind: EmailThreads(binding).finish_deletion,
        }

    def is_tombstone(self, item: AttributeValues) -> bool:
        """Whether the deletion of something has begun here."""
        return kind_of(item) in self._finish and not is_retired(item)

    def problems(self, item: AttributeValues) -> Iterator[Problem]:
        """What a tombstone tells. Its evidence is what the walk of the deletion would take next."""
        finish = self._finish.get(kind_of(item))
        if finish is None or is_retired(item):
            return
        partition = item[PK]["S"]
        shape = keyspace.CONVERSATION.table.sk
        everything = Collection(TABLE, partition, KeyRange("A", "a"), shape)
        ends = [self._end(everything, forward=forward) for forward in (True, False)]
        evidence = " ".join(ends)
        says = "its deletion has begun, and does not go on"
        if kind_of(item) == keyspace.USER_TOMBSTONE.kind and self._has_memberships(partition):
            says += "; delete the user again, and say what becomes of the memberships"
            yield Problem("unfinished_deletion", says, evidence=evidence)
            return
        repair = Repair("finish it", finish=lambda: finish(item))
        yield Problem("unfinished_deletion", says, repair, evidence)

    def _end(self, everything: Collection, *, forward: bool) -> str:
        """The sort key at one end of a partition."""
        items, _ = self._query(everything, forward=forward, limit=1, consistent=True, only=(SK,))
        return str(items[0][SK]["S"]) if items else ""

    def _has_memberships(self, partition: str) -> bool:
        keys = keyspace.MEMBERSHIP.table.sk.range()
        memberships = Collection(TABLE, partition, keys, keyspace.MEMBERSHIP.table.sk)
        items, _ = self._query(memberships, limit=1, consistent=True, only=(PK, SK, KIND))
        return bool(items)
