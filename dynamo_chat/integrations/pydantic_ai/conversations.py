"""`DynamoConversationStore`: the store of conversations of Pydantic AI. Experimental.

An entry of its log is a message, whose id is the entry's; its record is beside them. Each save is
one transaction with the condition that the record's revision is the expected one. A history is read
from the latest message down: each entry names the one before it, which is further down.

Pydantic AI lets a fork share the entries of the conversation that it is made of. Here a fork is a
conversation too, and has copies: so each of them is complete, has one owner, and is deleted alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import TypeAdapter
from pydantic_ai import DeferredToolRequests, RunUsage, UserError
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_core import PydanticSerializationError

from dynamo_chat.chat.message import Message, NewMessage, as_appended
from dynamo_chat.chat.turns import is_one_turn, turns_of
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import json_copy, validated
from dynamo_chat.core.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.page import MAX_PAGE_SIZE
from dynamo_chat.integrations.pydantic_ai.history import KEPT, PARENT, kept_in, message_of
from dynamo_chat.integrations.pydantic_ai.records import StoredRecord, only_at, replacing

if TYPE_CHECKING:
    from datetime import timedelta

    from dynamo_chat.aio import AsyncChatStore

logger = logging.getLogger("dynamo_chat")

_NO_REVISION: Final = "-"

_ASKED: ContextVar[str | None] = ContextVar("dynamo_chat_pydantic_ai_asked", default=None)
"""The conversation whose record this task has read last: its history is asked for next, by the
entry that it ends with."""

_USAGE: Final = TypeAdapter(RunUsage)
_DEFERRED: Final = TypeAdapter(DeferredToolRequests | None)


class _Save(NamedTuple):
    """What is written together."""

    record: StoredRecord
    messages: Sequence[NewMessage]
    expected: str | None
    is_copy: bool = False
    """True for a fork: another fork of the same id has the same messages."""


class DynamoConversationStore(ConversationStore):
    """A store of conversations of Pydantic AI, for one user. Experimental.

    `store` must have the records: a `ChatStore` of yours with ``pydantic_ai_records =
    repository(ConversationRecords)``, on an event loop. Conversations are made with `retention` and
    `sliding` as in `conversations.create`; one that the user has without a record is used as it is.
    InvalidArgument if the store has no records, or `user_id` is not text, or empty.
    """

    def __init__(
        self,
        store: AsyncChatStore,
        user_id: str,
        *,
        retention: timedelta | None = None,
        sliding: bool = False,
    ) -> None:
        if not isinstance(user_id, str) or not user_id:
            raise InvalidArgument("user_id", "must be text, not empty")
        if not hasattr(store, "pydantic_ai_records"):
            raise InvalidArgument(
                "store",
                "needs `pydantic_ai_records = repository(ConversationRecords)` in its class",
            )
        self.user_id = user_id
        self._store = store
        self._records: Any = store.pydantic_ai_records
        self._creation: dict[str, Any] = {"retention": retention, "sliding": sliding}

    def __repr__(self) -> str:
        return f"DynamoConversationStore({self._store!r})"

    # -- reading ----------------------------------------------------------------------------------

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """The record of a conversation; None without one, and of another user's. One request."""
        _ASKED.set(conversation_id)
        found: StoredRecord | None = await self._records.find(conversation_id, user_id=self.user_id)
        return None if found is None else _record_of(found)

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """The user's records, of one scope if given, the latest saved first."""
        _check_limit(limit)
        found: list[ConversationRecord] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            missing = MAX_PAGE_SIZE if limit is None else limit - len(found)
            page = await self._records.list_by_user(
                self.user_id, scope=scope, page_size=min(100, missing), cursor=cursor
            )
            ids = [each.conversation_id for each in page]
            if ids:  # some may have been given to somebody else since
                owned = await self._store.conversations.get_many(ids, user_id=self.user_id)
                mine = {each.conversation_id for each in owned}
                found += [_record_of(each) for each in page if each.conversation_id in mine]
            cursor = page.cursor
            if cursor is None:
                break
        return found[:limit]

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """The last `limit` entries up to `head_id`, in order. One request for up to 1 MB.

        The history begins behind an entry that has been deleted. LookupError if `head_id` has, or
        is another user's.
        """
        _check_limit(limit)
        if head_id is None or limit == 0:
            return []
        found = await self._upwards(head_id, limit)
        return [_entry_of(each) for each in reversed(found)]

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """The entry with this id. LookupError, also of another user's conversation."""
        return _entry_of(await self._message(entry_id))

    # -- writing ----------------------------------------------------------------------------------

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store the record with its new entries, if the stored one has the expected revision.

        One request for up to 45 entries and 3 MB, all or nothing; a new conversation takes two
        more. More entries are written before, in further requests. Called again with the same
        arguments it finishes, and changes nothing if it had. ConversationConflict.
        """
        save = _Save(
            self._stored(record),
            [_message_of(entry, at) for at, entry in enumerate(new_entries)],
            expected_revision,
        )
        if not new_entries and expected_revision is None and record.head_id is not None:
            save = save._replace(messages=await self._copied(record), is_copy=True)
        try:
            await self._write(save)
        except AlreadyExists as taken:
            if not await self._is_deletion_finished(record.conversation_id):
                raise ConversationConflict(record.conversation_id) from taken
            await self._write(save)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete the conversation with all its messages, also those of branches that it left.

        Only if its record has this revision: else ConversationConflict, and nothing is deleted.
        Copies of its messages in forks stay.
        """
        try:
            await self._store.conversations.delete(
                conversation_id,
                user_id=self.user_id,
                only_if=only_at(conversation_id, expected_revision),
            )
        except (NotFound, Conflict) as error:
            raise ConversationConflict(conversation_id) from error

    # -- inside -----------------------------------------------------------------------------------

    async def _write(self, save: _Save) -> None:
        """Write, in a new conversation if there is none. AlreadyExists; ConversationConflict."""
        conversation_id = save.record.conversation_id
        try:
            await self._write_once(save)
        except NotFound as missing:
            if save.expected is not None:
                raise ConversationConflict(conversation_id) from missing
            _turns_of(save, are_checked=True)  # none is made for what is too large for it
            await self._store.conversations.create(
                self.user_id, conversation_id=conversation_id, **self._creation
            )
            await self._write_once(save)

    async def _write_once(self, save: _Save) -> None:
        """Write in a conversation that exists. NotFound; ConversationConflict."""
        conversation_id = save.record.conversation_id
        messages = self._store.messages
        written: list[str] = []
        *before, last = _turns_of(save)
        try:
            if before:
                await self._check_revision(save)
            for part in before:
                await messages.append_turn(conversation_id, part, user_id=self.user_id)
                written += [each.message_id or "" for each in part]
            if last:
                record = replacing(save.record, save.expected)
                await messages.append_turn(
                    conversation_id, last, user_id=self.user_id, also=[record]
                )
            else:
                await self._records.save(save.record, expected=save.expected, user_id=self.user_id)
        except Conflict as conflict:
            there = await self._records.find(conversation_id, user_id=self.user_id)
            if there is not None and there.revision == save.record.revision:
                return  # an earlier call with these arguments, whose answer was lost
            for message_id in [] if save.is_copy else written:
                await messages.delete(conversation_id, message_id, user_id=self.user_id)
            raise ConversationConflict(conversation_id) from conflict

    async def _check_revision(self, save: _Save) -> None:
        """Before the first of several writes. Conflict."""
        found = await self._records.find(save.record.conversation_id, user_id=self.user_id)
        if (found.revision if found else None) not in {save.expected, save.record.revision}:
            raise Conflict("the record has another revision")

    async def _is_deletion_finished(self, conversation_id: str) -> bool:
        """Finish a deletion that was interrupted; False if none has begun, or it isn't the user's.

        A conversation that is there is not deleted: its record has no such revision.
        """
        try:
            await self._store.conversations.delete(
                conversation_id,
                user_id=self.user_id,
                only_if=only_at(conversation_id, _NO_REVISION),
            )
        except NotFound:
            return False
        except Conflict:  # somebody else finished it, and has made another one
            return True
        return True

    async def _copied(self, record: ConversationRecord) -> list[NewMessage]:
        """Copies of the entries that a fork begins with. ConversationConflict."""
        head_id, source = record.head_id, record.forked_from
        if head_id is None or source is None:
            raise ConversationConflict(record.conversation_id)
        _ASKED.set(source)
        try:
            found = await self._upwards(head_id, None)
        except LookupError as error:
            raise ConversationConflict(record.conversation_id) from error
        return [
            as_appended(each).model_copy(
                update={"message_id": each.message_id, "sent_at": each.sent_at}
            )
            for each in reversed(found)
        ]

    async def _upwards(self, head_id: str, limit: int | None) -> list[Message]:
        """The last `limit` messages of the history that ends with `head_id`, the last one first.

        LookupError.
        """
        asked = _ASKED.get()
        found = [] if asked is None else await self._upwards_in(asked, head_id, limit)
        if not found:
            elsewhere = (await self._message(head_id)).conversation_id
            found = await self._upwards_in(elsewhere, head_id, limit)
        if not found:
            raise LookupError(f"entry {head_id!r} is gone")
        return found

    async def _upwards_in(
        self, conversation_id: str, head_id: str, limit: int | None
    ) -> list[Message]:
        """The same, in one conversation. Empty if it has no such entry, or is gone."""
        found: list[Message] = []
        wanted: str | None = head_id
        cursor: str | None = None
        while True:
            try:
                page = await self._store.messages.list(
                    conversation_id,
                    user_id=self.user_id,
                    newest_first=True,
                    page_size=min(limit or MAX_PAGE_SIZE, MAX_PAGE_SIZE),
                    cursor=cursor,
                    consistent=True,
                )
            except NotFound:
                return []
            for message in page:
                if message.message_id == wanted and _is_entry(message):
                    found.append(message)
                    wanted = message.metadata[KEPT][PARENT]
                    if wanted is None or len(found) == limit:
                        return found
            cursor = page.cursor
            if cursor is None:
                if found:
                    logger.warning("a history begins behind a deleted entry, %r", wanted)
                return found

    async def _message(self, entry_id: str) -> Message:
        """The message that is an entry, in any conversation of the user. LookupError."""
        asked = _ASKED.get()
        found: Message | None = None
        try:
            if asked is not None:
                found = await self._store.messages.get(
                    asked, entry_id, user_id=self.user_id, consistent=True
                )
        except NotFound:
            found = None
        try:
            found = found or await self._store.messages.get_by_id(entry_id, user_id=self.user_id)
        except NotFound as error:
            raise LookupError(f"there is no entry {entry_id!r}") from error
        if not _is_entry(found):
            raise LookupError(f"message {entry_id!r} is not an entry")
        return found

    def _stored(self, record: ConversationRecord) -> StoredRecord:
        try:
            usage = _USAGE.dump_python(record.usage, mode="json")
            deferred = _DEFERRED.dump_python(record.deferred_tool_requests, mode="json")
            kept = {
                "usage": json_copy(usage),
                "deferred_tool_requests": json_copy(deferred),
                "forked_from": record.forked_from,
                "forked_at": record.forked_at,
                "branches": list(record.branches),
                "format_version": record.format_version,
            }
        except (PydanticSerializationError, ValueError) as error:
            raise InvalidArgument("record", str(error)) from error
        return validated(
            StoredRecord,
            "record",
            conversation_id=record.conversation_id,
            user_id=self.user_id,
            scope=record.scope,
            updated_at=record.updated_at,
            revision=record.revision,
            head_id=record.head_id,
            kept=kept,
        )


def _turns_of(save: _Save, *, are_checked: bool = False) -> list[Sequence[NewMessage]]:
    """The messages in turns that fit in a transaction; the record goes with the last one.

    ItemTooLarge for a message, or the record, if they are checked: several turns are.
    """
    if is_one_turn(save.messages) and not are_checked:
        return [save.messages]
    plan(StoredRecord).encode(save.record)
    return turns_of(save.record.conversation_id, save.messages) or [()]


# -- records and entries --------------------------------------------------------------------------


def _check_limit(limit: object) -> None:
    if limit is not None and (type(limit) is not int or limit < 0):
        raise InvalidArgument("limit", "must be an integer from 0, or None")


def _record_of(stored: StoredRecord) -> ConversationRecord:
    kept: dict[str, Any] = stored.kept
    version = kept.get("format_version", 1)
    if version != 1:
        raise UserError(
            f"Conversation {stored.conversation_id!r} was saved in format {version} by a later "
            "release of Pydantic AI."
        )
    return ConversationRecord(
        conversation_id=stored.conversation_id,
        head_id=stored.head_id,
        usage=_USAGE.validate_json(json_text(kept.get("usage", {}))),
        deferred_tool_requests=_DEFERRED.validate_json(
            json_text(kept.get("deferred_tool_requests"))
        ),
        scope=stored.scope,
        forked_from=kept.get("forked_from"),
        forked_at=kept.get("forked_at"),
        branches=list(kept.get("branches", ())),
        revision=stored.revision,
        updated_at=stored.updated_at,
    )


def _message_of(entry: ConversationEntry, at: int) -> NewMessage:
    return message_of(
        entry.message,
        f"new_entries.{at}",
        message_id=entry.id,
        beside={PARENT: entry.parent_id},
    )


def _is_entry(message: Message) -> bool:
    kept = message.metadata.get(KEPT)
    return isinstance(kept, dict) and PARENT in kept and kept_in(message) is not None


def _entry_of(message: Message) -> ConversationEntry:
    said = kept_in(message)
    assert said is not None  # noqa: S101 - `_is_entry`
    return ConversationEntry(
        id=message.message_id, parent_id=message.metadata[KEPT][PARENT], message=said
    )
