"""Finds streams that nobody finished, and ends them (C25, C26).

The list is an index of the items that opening a stream writes, oldest first. The index may be late,
and a message may have been deleted meanwhile, so each page reads the messages and their heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import head_key, is_dead, is_part_of, life_in, part_of, still
from dynamo_chat.chat.editing import actions_of, changed_parts, encoded_parts
from dynamo_chat.chat.living import LivingLists, Placed
from dynamo_chat.chat.message import Message, MessageConflict
from dynamo_chat.chat.message_ids import MessageFinder
from dynamo_chat.chat.opening import WRITER, Streamed, stream_key, streamed, streams_until
from dynamo_chat.chat.snapshot import Heads, Snapshot
from dynamo_chat.chat.streaming import ending
from dynamo_chat.core.attributes import AttributeValue
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, ItemTooLarge
from dynamo_chat.core.item import encoded, plan
from dynamo_chat.core.page import Page
from dynamo_chat.core.repository import MAX_BATCH_GET, PageRequest, Repository
from dynamo_chat.core.transaction import Delete, Update, is_live, live
from dynamo_chat.core.ulids import lowest_ulid, ulid_time

MAX_AGE: Final = timedelta(days=36_500)
EndedAs = Literal["failed", "cancelled"]


class UnfinishedStreams(Repository):
    """Lists and ends streams whose writers are gone."""

    def __init__(self, binding: Binding, heads: Heads, finder: MessageFinder) -> None:
        super().__init__(binding)
        self._heads = heads
        self._finder = finder
        self._lists = LivingLists(binding)

    def page(self, older_than: timedelta, page_size: int, cursor: str | None) -> Page[Message]:
        """Messages whose last checkpoint is older than this; the stream begun first is first."""
        check_age(older_than)

        def sifted(page: Sequence[Placed[Streamed]]) -> Iterator[Placed[Message]]:
            return self._unfinished(page, older_than)

        return self._lists.sifted(
            PageRequest((older_than.total_seconds(),), False, page_size, cursor, one_way=True),
            streams_until(lowest_ulid(self._now() - older_than)),
            streamed,
            sifted,
            max_page_size=MAX_BATCH_GET,
        )

    def _unfinished(
        self, page: Sequence[Placed[Streamed]], older_than: timedelta
    ) -> Iterator[Placed[Message]]:
        now = self._now()
        whose = [each.found for each in page if not isinstance(each.found, CorruptItem)]
        keys = [
            key
            for each in whose
            for key in (head_key(each.conversation_id), keyspace.MESSAGE.key(**each._asdict()))
        ]
        items = self._get_items(keys, consistent=True)
        pairs = dict(zip(whose, zip(items[::2], items[1::2], strict=True), strict=True))
        for each in page:
            if isinstance(each.found, CorruptItem):
                yield Placed(each.item, each.key, each.found)
                continue
            head, item = pairs[each.found]
            if item is None or not is_live(item, now) or is_dead(head, now):
                continue
            if not is_part_of(item, life_in(head)):
                continue
            try:
                message = plan(Message).decode(item)
            except CorruptItem as error:
                yield Placed(each.item, each.key, error)
                continue
            if message.is_streaming and _seen_at(message) <= now - older_than:
                yield Placed(each.item, each.key, message)

    def end(
        self,
        conversation_id: str,
        message_id: str,
        status: EndedAs,
        errors: str | None,
        user_id: str | None,
    ) -> Message:
        """End a stream with what it has stored, and return the message. NotFound; Conflict."""
        if status not in get_args(EndedAs):
            raise InvalidArgument("status", "must be 'failed' or 'cancelled'")
        changes = changed_parts(errors=errors)
        values = encoded_parts(changes)
        there = self._finder.find(conversation_id, message_id, user_id, consistent=True)
        if not there.is_streaming:
            if there.status == status:
                return there
            raise MessageConflict(f"the message is {there.status}, not streaming", there)
        seen: dict[str, AttributeValue] = {}
        if there.checkpoint_at is not None:
            attribute = plan(Message).attributes["checkpoint_at"]
            seen["checkpoint_at"] = encoded(attribute, there.checkpoint_at)
        key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=there.position)
        ended = [*actions_of(changes, values), *ending(status), Path(WRITER).remove()]

        def attempt(snapshot: Snapshot) -> Message:
            streaming = plan(Message).model.is_streaming == True  # noqa: E712 - an expression
            alive = live(self._now()) & part_of(snapshot.life)
            try:
                self._write(
                    self._heads.check(snapshot),
                    Update(key, ended, alive & streaming & still(seen, "checkpoint_at")),
                    Delete(stream_key(conversation_id, there.position)),
                )
            except ItemTooLarge as error:
                raise self._finder.too_large(key, values) from error
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise
                return self._ended_before(there, failed, status, snapshot.life)
            return there.model_copy(
                update={**changes, "is_streaming": False, "status": status, "checkpoint_at": None}
            )

        return self._heads.with_snapshot(conversation_id, user_id, attempt)

    def _ended_before(
        self, there: Message, failed: ConditionFailed, status: EndedAs, life: str | None
    ) -> Message:
        item: AttributeValues | None = failed.items.get(1)
        now = self._finder.living(item, there.message_id, life)
        if now.status == status:  # by this call, whose first answer was lost, or by another
            return now
        what = "is being written" if now.is_streaming else f"is {now.status}"
        raise MessageConflict(f"the message {what}", now) from failed


def check_age(older_than: timedelta) -> None:
    """InvalidArgument unless it is a time that a stream can be old."""
    if not isinstance(older_than, timedelta) or not timedelta(0) <= older_than <= MAX_AGE:
        raise InvalidArgument("older_than", "must be a timedelta of 0 seconds to 36,500 days")


def _seen_at(message: Message) -> datetime:
    return message.checkpoint_at or ulid_time(message.position)
