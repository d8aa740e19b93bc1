"""Deletes a collection step by step, limited to one life of its id.

    begin ──▶ a tombstone with a new deletion id replaces the root item:
              readers find nothing, and writers' conditions fail
    clear ──▶ everything else is deleted, each transaction only while this deletion goes on
    finish ─▶ the tombstone is deleted with the last items; the id is free again

Anyone who finds a tombstone continues its deletion: the next call after a crash, a second worker,
the doctor. When one of them has finished, the others' next step finds that the deletion id is gone,
and changes nothing, even if the id is in use again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat.core.connection import AttributeValues, ConditionFailed, Connection
from dynamo_chat.core.errors import ItemTooLarge, RequestRejected
from dynamo_chat.core.fence import Fence, Group, Overtaken
from dynamo_chat.core.item import helper_text, is_kind
from dynamo_chat.core.layout import KIND, Layout
from dynamo_chat.core.transaction import Check, Delete, Key, Put, Update, Write, key_of, write

DELETION_ID: Final = "deletion_id"


class Deletion:
    """A deletion that has begun."""

    def __init__(
        self,
        connection: Connection,
        tombstone: Key,
        deletion_id: str,
        also: Condition | None = None,
    ) -> None:
        self._connection = connection
        self._tombstone = tombstone
        self._deletion_id = deletion_id
        goes_on: Condition = Path(DELETION_ID) == deletion_id
        self._goes_on = goes_on if also is None else goes_on & also
        self._fence = Fence(connection, Check(tombstone, self._goes_on))

    @property
    def check(self) -> Check:
        """The check that this deletion still goes on, for transactions that are part of it."""
        return self._fence.check

    def only_if(self, condition: Condition) -> Deletion:
        """The same deletion, but each step also requires `condition` at the tombstone."""
        return Deletion(self._connection, self._tombstone, self._deletion_id, condition)

    def goes_on_at(self, there: AttributeValues | None) -> bool:
        """True if `there` is the tombstone of this deletion."""
        return bool(there) and (there or {}).get(DELETION_ID) == {"S": self._deletion_id}

    def clear(self, groups: Iterable[Group]) -> int:
        """Apply `groups`, without splitting one, and return the number of writes. Overtaken."""
        return self._fence.apply(groups)

    def finish(self, groups: Iterable[Group] = ()) -> int:
        """Delete the tombstone and `groups` together; the number of deleted items. Overtaken."""
        return 1 + self._fence.together(Delete(self._tombstone, self._goes_on), groups)

    def run(self, groups: Iterable[Group], last: Group = ()) -> int:
        """`clear` and `finish` in as few requests as possible; the number of deleted items.

        `last` is deleted together with the tombstone, not before. What someone else deleted is not
        counted. Overtaken only if the deletion still goes on, but `only_if`'s condition failed.
        """
        count = 0
        try:
            for batch in self._fence.batches(groups, beside=last):
                if batch.is_last:
                    return count + self._finish_with(batch.groups, last)
                count += self.clear(batch.groups)
        except Overtaken as overtaken:
            if self.goes_on_at(overtaken.there):
                raise
        return count

    def _finish_with(self, groups: Sequence[Group], last: Group) -> int:
        try:
            return self.finish([*groups, last])
        except (RequestRejected, ItemTooLarge):
            if not groups:
                raise
        return self.clear(groups) + self.finish([last])


def begin(
    connection: Connection,
    bury: Put | Update,
    deletion_id: str,
    tombstone: Layout,
    *,
    may_resume: Callable[[AttributeValues], bool] = lambda _: True,
    beside: Sequence[Group] = (),
    part_of: Update | None = None,
    only_if: Check | None = None,
) -> Deletion:
    """Replace a root item with a tombstone, or continue the deletion that has begun there.

    `bury` has the condition that the root item is live and the caller's. ConditionFailed, with the
    stored item, if it is neither that nor a tombstone that the caller `may_resume`. `beside` must
    not stay in a list after the root item: it is deleted in the same transaction, as far as it
    fits; `clear` deletes the rest. `part_of` notes this deletion at the tombstone of a larger one;
    Overtaken if that one no longer goes on. ConditionFailed also if the check `only_if` fails when
    the deletion begins.
    """
    key = key_of(bury.item) if isinstance(bury, Put) else bury.key
    try:
        # A transaction: after a lost answer, a resent plain write could delete the next item that
        # uses this id.
        _write_with(connection, _marked(bury, deletion_id), beside, part_of, only_if)
    except ConditionFailed as failed:
        there = failed.items.get(0) or {}
        if not is_kind(there, tombstone) or not may_resume(there):
            raise
        found = resume(connection, there, deletion_id, tombstone, part_of=part_of)
        if found is None:
            raise
        return found
    return Deletion(connection, key, deletion_id)


def _write_with(
    connection: Connection,
    bury: Put | Update,
    beside: Sequence[Group],
    part_of: Update | None,
    only_if: Check | None,
) -> None:
    first: list[Write] = [bury]
    first += [each for each in (part_of, only_if) if each is not None]
    writes: list[Write] = list(chain.from_iterable(beside))
    while True:
        try:
            write(connection, *first, *writes, once=True)
        except ConditionFailed as failed:
            if part_of is not None and 1 in failed.items:
                raise Overtaken(failed.items[1]) from failed
            if any(place in failed.items for place in range(len(first))):
                raise
            rest = enumerate(writes, len(first))
            writes = [each for at, each in rest if at not in failed.items]
        except (RequestRejected, ItemTooLarge):
            if not writes:
                raise
            # Their items add up to more than 4 MB.
            beside = beside[: len(beside) // 2]
            writes = list(chain.from_iterable(beside))
        else:
            return


def resume(
    connection: Connection,
    there: AttributeValues,
    deletion_id: str,
    tombstone: Layout,
    *,
    part_of: Update | None = None,
) -> Deletion | None:
    """The deletion that left the tombstone `there`; None if someone else has finished it.

    A tombstone from older versions, without a deletion id, gets `deletion_id` first. `part_of` is
    as in `begin`: without that note, nobody who finishes the larger deletion would look here.
    Overtaken.
    """
    key = key_of(there)
    is_named = DELETION_ID in there
    if is_named:
        deletion_id = helper_text(there, DELETION_ID, tombstone)
    deletion = Deletion(connection, key, deletion_id)
    path = Path(DELETION_ID)
    unnamed: Condition = (Path(KIND) == tombstone.kind) & path.does_not_exist()
    first = deletion.check if is_named else Update(key, [path.set(deletion_id)], unnamed)
    noted = [] if part_of is None else [part_of]
    if is_named and not noted:
        return deletion
    try:
        write(connection, first, *noted)
    except ConditionFailed as failed:
        if 1 in failed.items:
            raise Overtaken(failed.items[1]) from failed
        now = failed.items.get(0) or {}
        if is_named or not is_kind(now, tombstone) or DELETION_ID not in now:
            return None
        return resume(connection, now, deletion_id, tombstone, part_of=part_of)
    return deletion


def _marked(bury: Put | Update, deletion_id: str) -> Put | Update:
    if isinstance(bury, Put):
        return Put({**bury.item, DELETION_ID: {"S": deletion_id}}, bury.condition)
    return Update(bury.key, [*bury.actions, Path(DELETION_ID).set(deletion_id)], bury.condition)
