"""Deletions that started and stopped, found by their tombstones; running ones are left alone.

A repair finishes only the deletion that was found: the tombstone has the deletion's id, and every
step checks it. If another process has finished it by then, the repair changes nothing, even if the
same key is in use or being deleted again.
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
from dynamo_chat.workflows.delete_organization import OrganizationRemover
from dynamo_chat.workflows.delete_user import UserRemover

Finish = Callable[[AttributeValues], int]
"""Finishes the deletion that left a tombstone; returns how many items it deleted."""


class Deletions(Repository):
    """Finds deletions that stopped halfway, and finishes them with the repositories' methods."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        snapshots = SnapshotCache()
        self._finish: Final[Mapping[str, Finish]] = {
            keyspace.CONVERSATION_TOMBSTONE.kind: ConversationRemover(binding, snapshots).finish,
            keyspace.USER_TOMBSTONE.kind: UserRemover(binding, snapshots).finish,
            keyspace.ORGANIZATION_TOMBSTONE.kind: OrganizationRemover(binding, snapshots).finish,
            keyspace.EMAIL_THREAD_TOMBSTONE.kind: ThreadRemover(binding).finish,
        }
        self._named: dict[Place, str] = {}
        """Ids given here to tombstones of older versions, which have none."""

    def is_unfinished(self, item: AttributeValues) -> bool:
        """True for the tombstone of a deletion; False for the tombstone of a retired id."""
        return kind_of(item) in self._finish and not is_retired(item)

    def problems(self, item: AttributeValues) -> Iterator[Problem]:
        """The problem of an unfinished deletion; its evidence is what would be deleted next."""
        if not self.is_unfinished(item):
            return
        shape = keyspace.CONVERSATION.table.sk
        everything = Collection(TABLE, item[PK]["S"], KeyRange("A", "a"), shape)
        deletion_id = item.get(DELETION_ID, {}).get("S", "")
        if deletion_id == self._named.get(place_of(item)):
            deletion_id = ""  # as in the finding
        ends = [self._end(everything, forward=forward) for forward in (True, False)]
        says = "its deletion started but has stopped"
        repair: Repair | None = Repair("finish the deletion", finish=lambda: self._finished(item))
        if self._is_for_the_caller(item):
            says += "; delete the user again with the wanted `memberships`"
            repair = None
        evidence = " ".join((deletion_id, *ends))
        yield Problem("unfinished_deletion", says, repair, evidence, of=deletion_id)

    def _finished(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone. ConditionFailed if it is running again."""
        if DELETION_ID not in tombstone:
            tombstone = self._name(tombstone)
        return self._finish[kind_of(tombstone)](tombstone)

    def _name(self, tombstone: AttributeValues) -> AttributeValues:
        """Give an old deletion an id, to distinguish it from any later one."""
        path, deletion_id = Path(DELETION_ID), self._new_id()
        nameless: Condition = unchanged(tombstone) & path.does_not_exist()
        self._write(Update(key_of(tombstone), [path.set(deletion_id)], nameless), once=True)
        self._named[place_of(tombstone)] = deletion_id
        return {**tombstone, DELETION_ID: {"S": deletion_id}}

    def _is_for_the_caller(self, item: AttributeValues) -> bool:
        """True if only the caller can continue: older versions didn't store what was asked for."""
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
