"""Removing a conversation by e-mail with everything in its collection (M12), resumably.

    thread ──tombstone──▶ no list shows the thread, no reader finds it, nothing can be added
           ──walk──────▶ everything is deleted, page by page
           ──finish────▶ the tombstone goes; the id is free again

Each step is fenced to this deletion: see `dynamo_chat.core.deletion`. An e-mail, its content and
the item that keeps its Message-ID unique go together, because only the e-mail says where that item
is; and that item goes only if it is still this e-mail's. The walk goes backwards, so ids that lead
to e-mails go before the e-mails.

LLM interactions may have been recorded before there was a thread, by another account than the
thread's. Those are not the thread's, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import Deletion, begin, resume
from dynamo_chat.core.errors import CorruptItem, InvalidKey, NotFound
from dynamo_chat.core.fence import Group
from dynamo_chat.core.item import helper_item, helper_text, is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import GSI1, KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.owners import is_owned
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import (
    Delete,
    Put,
    Update,
    absent,
    contended,
    key_of,
    remove_index_keys,
)
from dynamo_chat.mail.thread import EmailThread, exists_thread, thread_key

_TOMBSTONE: Final = keyspace.EMAIL_THREAD_TOMBSTONE
_ACCOUNT: Final = "account_id"
_READ: Final = (PK, SK, KIND, _ACCOUNT, "message_id")
_PAIRED: Final = (
    keyspace.EMAIL,
    keyspace.EMAIL_CONTENT,
    keyspace.LLM_USAGE,
    keyspace.LLM_CONTENT,
)

_Name: TypeAlias = tuple[object, ...]
"""What the sort keys of a record and of its content have in common."""


class ThreadRemover(Repository):
    """Deletes whole threads."""

    def delete(self, conversation_id: str, account_id: str | None) -> int:
        """Delete a thread, of this account if one is given; the number of items. NotFound."""
        return self._clear(conversation_id, self._begin(conversation_id, account_id))

    def finish(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone; returns the number of items deleted.

        0 if another worker has finished it, whatever has been created under the id since.
        """
        deletion = resume(self._connection, tombstone, self._new_id(), _TOMBSTONE)
        (conversation_id,) = keyspace.MAIL_PARTITION.decode(tombstone[PK]["S"])
        return 0 if deletion is None else self._clear(conversation_id, deletion)

    def _clear(self, conversation_id: str, deletion: Deletion) -> int:
        return deletion.run(_together(self._leaving(conversation_id)))

    def _begin(self, conversation_id: str, account_id: str | None) -> Deletion:
        """Put a tombstone in the thread's place, or take over the one that is there.

        NotFound when there is nothing to delete, or nothing that says it is this account's.
        """

        def may_resume(there: AttributeValues) -> bool:
            return is_owned(there, _ACCOUNT, account_id)

        bury = Update(thread_key(conversation_id), _burying(), exists_thread(account_id))
        identity = self._new_id()
        try:
            return begin(self._connection, bury, identity, _TOMBSTONE, may_resume=may_resume)
        except ConditionFailed as failed:
            # What a thread left behind without it says nothing of whose it was.
            if account_id is not None or failed.items.get(0) is not None:
                raise NotFound("e-mail thread", conversation_id) from failed
        # LLM interactions may have been recorded without a thread.
        left, _ = self._query(_everything_of(conversation_id), limit=1, consistent=True, only=(PK,))
        if not left:
            raise NotFound("e-mail thread", conversation_id)
        empty = helper_item(_TOMBSTONE, {"conversation_id": conversation_id})
        for write in (Put(empty, absent(self._now())), bury):  # unless a thread has begun
            with suppress(ConditionFailed):
                return begin(self._connection, write, identity, _TOMBSTONE)
        raise contended("the e-mail thread")

    def _leaving(self, conversation_id: str) -> Iterator[AttributeValues]:
        """What goes, from the end of the collection on: everything but other accounts' usage."""
        tombstone = thread_key(conversation_id)
        is_owner_known, owner = False, None
        foreign: _Name | None = None
        for items in self._walk(_everything_of(conversation_id), forward=False, only=_READ):
            for item in items:
                if is_kind(item, keyspace.LLM_USAGE):
                    if not is_owner_known:
                        is_owner_known, owner = True, self._owner(conversation_id, items)
                    if _ACCOUNT in item and not is_owned(item, _ACCOUNT, owner):
                        foreign = _name_of(item)
                        continue
                elif foreign is not None and _name_of(item) == foreign:
                    continue  # its content
                if item[SK] != tombstone[SK]:
                    yield item

    def _owner(self, conversation_id: str, items: Sequence[AttributeValues]) -> str | None:
        """Whose thread is being deleted; None when its tombstone does not say."""
        # It sorts first, so a walk backwards ends with it: usually in the same answer.
        last = items[-1]
        tombstone: AttributeValues | None = last
        if not is_kind(last, _TOMBSTONE):
            tombstone = self._get_item(thread_key(conversation_id), consistent=True)
        if not tombstone or _ACCOUNT not in tombstone:
            return None
        return helper_text(tombstone, _ACCOUNT, _TOMBSTONE)


def _burying() -> list[Action]:
    """Actions that make a thread a tombstone: of what it said, only whose it was is left."""
    attributes = plan(EmailThread).attributes
    return [
        Path(KIND).set(_TOMBSTONE.kind),
        *(each.remove() for name, each in attributes.items() if name != _ACCOUNT),
        *remove_index_keys(GSI1),
    ]


def _everything_of(conversation_id: str) -> Collection:
    # Every tag begins with an upper-case letter.
    partition = keyspace.MAIL_PARTITION.encode(conversation_id)
    return Collection(TABLE, partition, KeyRange("A", "a"), keyspace.EMAIL_THREAD.table.sk)


def _together(items: Iterable[AttributeValues]) -> Iterator[Group]:
    """The deletes of `items`; one group for a record and its content, which comes next."""
    group: list[Delete] = []
    of: _Name | None = None
    for item in items:
        name = _name_of(item)
        if name is None or name != of:
            if group:
                yield group
            group, of = [], name
        group += _deletes_of(item)
    if group:
        yield group


def _name_of(item: AttributeValues) -> _Name | None:
    """What an item shares with its other half; None for an item that has none."""
    for layout in _PAIRED:
        if is_kind(item, layout):
            with suppress(CorruptItem):
                return (layout.table.sk.tag, *key_parts(layout, item, SK)[:-1])
    return None


def _deletes_of(item: AttributeValues) -> list[Delete]:
    """The delete of an item; with the one that keeps the Message-ID of an e-mail unique."""
    deletes = [Delete(key_of(item))]
    # Damage must not keep an e-mail in the table: what it says of its Message-ID is then lost.
    with suppress(CorruptItem, InvalidKey):
        if "message_id" in item:
            layout = keyspace.EMAIL
            key = keyspace.EMAIL_MESSAGE_ID.key(
                account_id=helper_text(item, _ACCOUNT, layout),
                message_hash=keyspace.digest_of(helper_text(item, "message_id", layout)),
            )
            _, entry_id, _ = key_parts(layout, item, SK)
            deletes.append(Delete(key, Path("entry_id") == entry_id))
    return deletes
