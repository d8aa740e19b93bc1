"""Tombstones: deletions that have begun. One that goes on is none of the doctor's business.

A repair finishes the deletion that was seen, and no other: a tombstone has the id of its deletion,
and every step checks it. When somebody else has finished it by then, the repair changes nothing,
whatever lives or is deleted under the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.deletion import ConversationRemover
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.deletion import DELETION_ID
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Update, key_of
from dynamo_chat.identity.removal import is_retired
from dynamo_chat.mail.removal import ThreadRemover
from dynamo_chat.operations.doctor.conditions import unchanged
from dynamo_chat.operations.doctor.findings import Place, Problem, Repair, kind_of, place_of
from dynamo_chat.orgs.removal import OrganizationRemover
from dynamo_chat.workflows.delete_user import UserRemover

Finish = Callable[[AttributeValues], int]
"""Finishes the deletion that left a tombstone; how many items went."""


class Deletions(Repository):
    """Tells deletions that were cut short, and finishes them with the repositories' own methods."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        snapshots = SnapshotCache()
        self._finish: Final[Mapping[str, Finish]] = {
            keyspace.CONVERSATION_TOMBSTONE.kind: ConversationRemover(binding, snapshots).finish,
            keyspace.USER_TOMBSTONE.kind: UserRemover(binding, snapshots).finish,
            keyspace.ORGANIZATION_TOMBSTONE.kind: OrganizationRemover(binding).finish,
            keyspace.EMAIL_THREAD_TOMBSTONE.kind: ThreadRemover(binding).finish,
        }
        self._named: dict[Place, str] = {}
        """The ids that were given here to deletions of before there were any."""

    def is_unfinished(self, item: AttributeValues) -> bool:
        """Whether the deletion of something has begun here. A retired id is not being deleted."""
        return kind_of(item) in self._finish and not is_retired(item)

    def problems(self, item: AttributeValues) -> Iterator[Problem]:
        """What a tombstone tells. Its evidence is what the walk of the deletion would take next."""
        if not self.is_unfinished(item):
            return
        shape = keyspace.CONVERSATION.table.sk
        everything = Collection(TABLE, item[PK]["S"], KeyRange("A", "a"), shape)
        deletion_id = item.get(DELETION_ID, {}).get("S", "")
        if deletion_id == self._named.get(place_of(item)):
            deletion_id = ""  # as it was when it was found
        ends = [self._end(everything, forward=forward) for forward in (True, False)]
        says = "its deletion has begun, and does not go on"
        repair: Repair | None = Repair("finish it", finish=lambda: self._finished(item))
        if self._is_for_the_caller(item):
            says += "; delete the user again, and say what becomes of the memberships"
            repair = None
        evidence = " ".join((deletion_id, *ends))
        yield Problem("unfinished_deletion", says, repair, evidence, of=deletion_id)

    def _finished(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone. ConditionFailed when it goes on by now."""
        if DELETION_ID not in tombstone:
            tombstone = self._name(tombstone)
        return self._finish[kind_of(tombstone)](tombstone)

    def _name(self, tombstone: AttributeValues) -> AttributeValues:
        """Give an old deletion an id, so that it can be told from any that follows."""
        path, deletion_id = Path(DELETION_ID), self._new_id()
        nameless: Condition = unchanged(tombstone) & path.does_not_exist()
        self._write(Update(key_of(tombstone), [path.set(deletion_id)], nameless), once=True)
        self._named[place_of(tombstone)] = deletion_id
        return {**tombstone, DELETION_ID: {"S": deletion_id}}

    def _is_for_the_caller(self, item: AttributeValues) -> bool:
        """Whether only the caller knows how to go on: older versions noted no wishes."""
        if kind_of(item) != keyspace.USER_TOMBSTONE.kind or "memberships" in item:
            return False
        keys = keyspace.MEMBERSHIP.table.sk.range()
        memberships = Collection(TABLE, item[PK]["S"], keys, keyspace.MEMBERSHIP.table.sk)
        items, _ = self._query(memberships, limit=1, consistent=True, only=(PK, SK, KIND))
        return bool(items)

    def _end(self, everything: Collection, *, forward: bool) -> str:
        """The sort key at one end of a partition."""
        items, _ = self._query(everything, forward=forward, limit=1, consistent=True, only=(SK,))
        return str(items[0][SK]["S"]) if items else ""
