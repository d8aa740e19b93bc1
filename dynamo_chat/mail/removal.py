"""Removing a conversation by e-mail with everything in its collection (M12), resumably.

    thread ──tombstone──▶ no list shows the thread, no reader finds it, no e-mail can be added
           ──walk──────▶ everything is deleted, page by page
           ──finish────▶ the tombstone goes; the id is free again

The tombstone has an id, which a call that finds one takes over. Two calls may delete at once, and
one may be so slow that the other has finished and the conversation has begun anew: what it finds
under the same keys then is not its own. So nothing is deleted that was not read under that
tombstone:

* Keys that can come again (e-mails with their ids, scores) are deleted in transactions that check
  the tombstone. An e-mail and the item that keeps its Message-ID unique go together, because only
  the e-mail says where that is; and that item goes only if it is still this e-mail's.
* Keys that never come again (contents) are deleted in batches, which can check nothing, once the
  tombstone was seen to be there after they were read: by such a transaction or, as the walk goes
  backwards and the tombstone sorts first, at the end of the last page.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import CorruptItem, InvalidKey, NotFound
from dynamo_chat.core.item import helper_item, helper_text, key_parts
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.owners import is_owned
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Check,
    Delete,
    Put,
    Write,
    absent,
    key_of,
)
from dynamo_chat.mail.thread import ThreadReader, exists_thread, thread_key

_ID = "deletion_id"
_READ = (PK, SK, KIND, _ID, "account_id", "message_id")
_KEYS_NEVER_COME_AGAIN = frozenset(
    layout.kind
    for layout in (
        keyspace.EMAIL_CONTENT,
        keyspace.EMAIL_THREAD_TOMBSTONE,
        keyspace.LLM_USAGE,
        keyspace.LLM_CONTENT,
    )
)

_Together: TypeAlias = tuple[Delete, ...]
"""Deletes of which all happen or none."""


class Remover(ThreadReader):
    """The removal of whole conversations."""

    def _remove(self, conversation_id: str, account_id: str | None) -> int:
        everything = _everything_of(conversation_id)
        deletion = self._mark(conversation_id, everything, account_id)
        tombstone = thread_key(conversation_id)
        is_there: Condition = Path(_ID) == deletion
        deleted = 0
        waiting: list[_Together] = []
        for items in self._walk(everything, forward=False, only=_READ):
            waiting += [_deletes_of(item) for item in items if _comes_again(item)]
            is_last = bool(items) and items[-1][SK] == tombstone[SK]
            if is_last and items[-1].get(_ID) != {"S": deletion}:
                return deleted  # another call finished, and there is another thread by now
            while waiting and (not is_last or _number(waiting) >= MAX_TRANSACTION_WRITES):
                some = _filled(waiting)
                if not self._delete_together(Check(tombstone, is_there), some):
                    return deleted
                deleted += len(some)
            deleted += self._delete_items(
                key_of(item)
                for item in items
                if not _comes_again(item) and item[SK] != tombstone[SK]
            )
        rest = _filled(waiting)
        if not self._delete_together(Delete(tombstone, is_there), rest):
            return deleted
        return deleted + len(rest) + 1

    def _mark(self, conversation_id: str, everything: Collection, account_id: str | None) -> str:
        """Put a tombstone in the thread's place, or take over the one that is there; its id.

        NotFound when there is nothing to delete, or nothing that says it is this account's.
        """
        deletion = self._new_id()
        tombstone = helper_item(
            keyspace.EMAIL_THREAD_TOMBSTONE,
            {"conversation_id": conversation_id},
            deletion_id=deletion,
        )
        if account_id is not None:
            tombstone["account_id"] = {"S": account_id}
        try:
            self._write(Put(tombstone, exists_thread(account_id)))
        except ConditionFailed as failed:
            there = failed.items.get(0)
            # What a thread left behind without it says nothing of whose it was.
            if account_id is not None and not is_owned(there or {}, "account_id", account_id):
                raise NotFound("e-mail thread", conversation_id) from failed
            if there is not None:
                return helper_text(there, _ID, keyspace.EMAIL_THREAD_TOMBSTONE)
            # LLM interactions may have been recorded without a thread, or after it was deleted.
            left, _ = self._query(everything, limit=1, consistent=True, only=(PK,))
            if not left:
                raise NotFound("e-mail thread", conversation_id) from failed
            try:
                self._write(Put(tombstone, exists_thread() | absent(self._now())))
            except ConditionFailed as taken:
                return helper_text(taken.items[0] or {}, _ID, keyspace.EMAIL_THREAD_TOMBSTONE)
        return deletion

    def _delete_together(self, first: Write, deletes: Sequence[Delete]) -> bool:
        """Do all of this in one transaction; False when the condition of `first` does not hold.

        The others' conditions say whose an item is: one that is not ours is left alone.
        """
        while True:
            try:
                self._write(first, *deletes)
            except ConditionFailed as failed:
                if 0 in failed.items:
                    # A single delete that was sent again finds that it has happened.
                    return failed.was_resent
                deletes = [
                    each for at, each in enumerate(deletes, start=1) if at not in failed.items
                ]
            else:
                return True


def _everything_of(conversation_id: str) -> Collection:
    # Every tag begins with an upper-case letter.
    partition = keyspace.MAIL_PARTITION.encode(conversation_id)
    return Collection(TABLE, partition, KeyRange("A", "a"), keyspace.EMAIL_THREAD.table.sk)


def _deletes_of(item: AttributeValues) -> _Together:
    """The delete of an item; with the one that keeps the Message-ID of an e-mail unique."""
    deletes = [Delete(key_of(item))]
    # Damage must not keep an e-mail in the table: what it says of its Message-ID is then lost.
    with suppress(CorruptItem, InvalidKey):
        if "message_id" in item:
            layout = keyspace.EMAIL
            key = keyspace.EMAIL_MESSAGE_ID.key(
                account_id=helper_text(item, "account_id", layout),
                message_hash=keyspace.digest_of(helper_text(item, "message_id", layout)),
            )
            _, entry_id, _ = key_parts(layout, item, SK)
            deletes.append(Delete(key, Path("entry_id") == entry_id))
    return tuple(deletes)


def _comes_again(item: AttributeValues) -> bool:
    """Whether the key of an item can come again; of one that does not say its kind, it may."""
    return all(item.get(KIND) != {"S": kind} for kind in _KEYS_NEVER_COME_AGAIN)


def _number(waiting: Sequence[_Together]) -> int:
    return sum(map(len, waiting))


def _filled(waiting: list[_Together]) -> list[Delete]:
    """As many deletes as fit in a transaction beside its check, taken from `waiting`."""
    taken: list[Delete] = []
    while waiting and len(taken) + len(waiting[0]) < MAX_TRANSACTION_WRITES:
        taken += waiting.pop(0)
    return taken
