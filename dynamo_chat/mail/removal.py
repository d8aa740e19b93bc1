"""Deleting an e-mail conversation with everything in it (M12). After a crash, it can be resumed.

    thread ──tombstone──▶ no list shows the thread, no reader finds it, nothing can be added
           ──walk──────▶ everything is deleted, page by page
           ──finish────▶ the tombstone is deleted; the id is free again

Each step is fenced to this deletion: see `dynamo_chat.core.deletion`. An e-mail, its content and
its Message-ID item are deleted together, because only the e-mail says where that item is; it stays
if it is another e-mail's by now. The walk goes backwards, so that response id items are deleted
before their e-mails.

LLM interactions that another account recorded before the thread existed are not the thread's, and
stay.
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
_BARE: Final = "without_thread"
"""Attribute of a tombstone that was put where there was no thread, only interactions."""
_READ: Final = (PK, SK, KIND, _ACCOUNT, "message_id", _BARE)
_PAIRED: Final = (
    keyspace.EMAIL,
    keyspace.EMAIL_CONTENT,
    keyspace.LLM_USAGE,
    keyspace.LLM_CONTENT,
)

_Name: TypeAlias = tuple[object, ...]
"""The common part of the sort keys of a record and its content."""


class ThreadRemover(Repository):
    """Deletes whole threads."""

    def delete(
        self, conversation_id: str, account_id: str | None, *, part_of: Update | None = None
    ) -> int:
        """Delete a thread, of this account if one is given; the number of items. NotFound.

        `part_of` is as in `core.deletion.begin`. Overtaken.
        """
        return self._clear(conversation_id, self._begin(conversation_id, account_id, part_of))

    def finish(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone. Returns the number of items deleted.

        0 if another worker has finished it, even if the id has been used again since.
        """
        deletion = resume(self._connection, tombstone, self._new_id(), _TOMBSTONE)
        (conversation_id,) = keyspace.MAIL_PARTITION.decode(tombstone[PK]["S"])
        return 0 if deletion is None else self._clear(conversation_id, deletion)

    def _clear(self, conversation_id: str, deletion: Deletion) -> int:
        tombstones: list[AttributeValues] = []
        count = deletion.run(_together(self._leaving(conversation_id, tombstones)))
        # One that was put where there was no thread has replaced nothing.
        is_bare = any(_BARE in each for each in tombstones)
        return max(0, count - 1) if is_bare else count

    def _begin(
        self, conversation_id: str, account_id: str | None, part_of: Update | None
    ) -> Deletion:
        """Replace the thread with a tombstone, or take over an existing one.

        NotFound if there is nothing to delete, or nothing known to be this account's.
        """

        def may_resume(there: AttributeValues) -> bool:
            return is_owned(there, _ACCOUNT, account_id)

        bury = Update(thread_key(conversation_id), _burying(), exists_thread(account_id))
        identity = self._new_id()
        try:
            return begin(
                self._connection,
                bury,
                identity,
                _TOMBSTONE,
                may_resume=may_resume,
                part_of=part_of,
            )
        except ConditionFailed as failed:
            # Somebody else's thread takes as many requests as none.
            is_free = failed.items.get(0) is None
            if (account_id is None and not is_free) or not (
                self._has_interactions(conversation_id, account_id) and is_free
            ):
                raise NotFound("e-mail thread", conversation_id) from failed
        bare = helper_item(_TOMBSTONE, {"conversation_id": conversation_id})
        bare[_BARE] = {"BOOL": True}
        if account_id is not None:
            bare[_ACCOUNT] = {"S": account_id}
        for write in (Put(bare, absent(self._now())), bury):  # unless a thread exists by now
            with suppress(ConditionFailed):
                return begin(
                    self._connection,
                    write,
                    identity,
                    _TOMBSTONE,
                    may_resume=may_resume,
                    part_of=part_of,
                )
        raise contended("the e-mail thread")

    def _has_interactions(self, conversation_id: str, account_id: str | None) -> bool:
        """True if something is stored without a thread, of this account if one is given."""
        for items in self._walk(_everything_of(conversation_id), only=(PK, _ACCOUNT)):
            if any(account_id is None or is_owned(each, _ACCOUNT, account_id) for each in items):
                return True
        return False

    def _leaving(
        self, conversation_id: str, tombstones: list[AttributeValues]
    ) -> Iterator[AttributeValues]:
        """The items to delete, last first: all except other accounts' interactions.

        The tombstone, if it is met, is added to `tombstones`.
        """
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
                    continue  # the content of another account's interaction
                if item[SK] != tombstone[SK]:
                    yield item
                else:
                    tombstones.append(item)

    def _owner(self, conversation_id: str, items: Sequence[AttributeValues]) -> str | None:
        """The account whose thread is being deleted; None if the tombstone does not say."""
        # The tombstone sorts first, so a backward walk ends with it: usually in the same page.
        last = items[-1]
        tombstone: AttributeValues | None = last
        if not is_kind(last, _TOMBSTONE):
            tombstone = self._get_item(thread_key(conversation_id), consistent=True)
        if not tombstone or _ACCOUNT not in tombstone:
            return None
        return helper_text(tombstone, _ACCOUNT, _TOMBSTONE)


def _burying() -> list[Action]:
    """Update actions that make a thread a tombstone and keep only its account."""
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
    """The deletes of `items`, grouped: a record and its content, which is next to it, together."""
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
    """The part of the key that a record and its content share; None for any other item."""
    for layout in _PAIRED:
        if is_kind(item, layout):
            with suppress(CorruptItem):
                return (layout.table.sk.tag, *key_parts(layout, item, SK)[:-1])
    return None


def _deletes_of(item: AttributeValues) -> list[Delete]:
    """The deletes of an item and, for an e-mail, of its Message-ID item."""
    deletes = [Delete(key_of(item))]
    # A damaged e-mail is deleted, too, even if its Message-ID item cannot be found.
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
