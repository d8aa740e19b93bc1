"""Changes stored messages: edits and finishes them (C18), and replaces them as a whole (C22)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.appending import Appender
from dynamo_chat.chat.conversation import part_of
from dynamo_chat.chat.message import Message, MessageBody, MessageConflict, NewMessage
from dynamo_chat.chat.message_ids import MessageFinder, Spot
from dynamo_chat.chat.opening import STEP, WRITER, unlisting
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, validated
from dynamo_chat.core.errors import InvalidArgument, ItemTooLarge, MessageDeleted, NotFound
from dynamo_chat.core.item import check_size, encoded, plan
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Update, contended, live
from dynamo_chat.core.ulids import ulid_time

_OF_STREAMS = ("status", "checkpoint_at", WRITER)
_REPLACED = (*MessageBody.model_fields, "role", "is_streaming")


class MessageEditor(Repository):
    """Changes stored messages."""

    def __init__(self, binding: Binding, finder: MessageFinder, appender: Appender) -> None:
        super().__init__(binding)
        self._finder = finder
        self._appender = appender

    def update(
        self,
        conversation_id: str,
        message_id: str,
        changes: dict[str, Any],
        user_id: str | None,
        *,
        finishing: bool = False,
    ) -> Message:
        """Change these parts of a message, and return it. NotFound; MessageConflict."""
        position, life = self._finder.place(conversation_id, message_id, user_id)
        planned = plan(Message)
        values = encoded_parts(changes)
        actions = actions_of(changes, values)
        condition = live(self._now()) & part_of(life)
        if changes.get("tool_calls"):
            condition &= planned.model.role == "assistant"
        if finishing:
            actions += [Path(each).remove() for each in ("is_streaming", "checkpoint_at", WRITER)]
            condition &= planned.model.is_streaming == True  # noqa: E712 - an expression
        key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=position)
        try:
            changed = self._write(Update(key, actions, condition), returning=True)
            if finishing and STEP in changed:  # a stream, which is listed as unfinished
                with suppress(ConditionFailed):  # it has been begun anew
                    self._write(*unlisting(conversation_id, position))
            return plan(Message).decode(changed)
        except ItemTooLarge as error:
            raise self._finder.too_large(key, values) from error
        except ConditionFailed as failed:
            item = failed.items.get(0)
            there = self._finder.living(item, message_id, life)
            if changes.get("tool_calls") and there.role != "assistant":
                raise InvalidArgument("tool_calls", "belong to assistant messages only") from failed
            if finishing and says(there, changes):
                return there
            raise MessageConflict(
                "the message was finished before with other content", there
            ) from failed

    def put(
        self,
        conversation_id: str,
        message: NewMessage,
        edited_at: datetime | None,
        user_id: str | None,
    ) -> Message:
        """Append a message, or replace the one with its id. MessageDeleted; NotFound."""
        if not isinstance(message, NewMessage):
            raise InvalidArgument("message", f"must be NewMessage, not {type(message).__name__}")
        if message.message_id is None:
            raise InvalidArgument("message.message_id", "is needed to know the message by")
        if edited_at is not None:
            edited_at = not_ahead("at", utc("at", edited_at), self._now())
        for attempt in range(self._connection.options.transaction_attempts):
            try:
                spot = self._finder.place(conversation_id, message.message_id, user_id)
            except NotFound as error:
                if error.what == "conversation":
                    raise
            else:
                return self._replace(conversation_id, spot, message, edited_at)
            try:
                return self._appender.append(
                    conversation_id, [message], user_id, "message", edited_at=edited_at
                )[0]
            except MessageConflict:  # it was appended just now: replace it
                self._connection.pause(attempt)
        raise contended("the message")

    def _replace(
        self,
        conversation_id: str,
        spot: Spot,
        message: NewMessage,
        edited_at: datetime | None,
    ) -> Message:
        """Replace what the message at this position says, unless it was edited later."""
        changes: dict[str, Any] = {name: getattr(message, name) for name in _REPLACED}
        changes["edited_at"] = edited_at or self._now()
        if message.sent_at is not None:
            changes["sent_at"] = message.sent_at
        values = encoded_parts(changes)
        if message.sent_at == ulid_time(spot.position):
            del values["sent_at"]  # it follows from the position
        condition = live(self._now()) & part_of(spot.life)
        if edited_at is not None:
            last = plan(Message).model.edited_at
            condition &= last.does_not_exist() | (last <= edited_at)
        key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=spot.position)
        try:
            # It is nobody's stream any more.
            actions = [*actions_of(changes, values), *(Path(name).remove() for name in _OF_STREAMS)]
            changed = self._write(Update(key, actions, condition), returning=True)
        except ItemTooLarge as error:
            raise self._finder.too_large(key, values) from error
        except ConditionFailed as failed:
            try:
                return self._finder.living(failed.items.get(0), message.message_id or "", spot.life)
            except NotFound:
                raise MessageDeleted(
                    f"message id {message.message_id!r} was appended before and has been deleted"
                ) from failed
        return plan(Message).decode(changed)


def changed_parts(**wanted: Any) -> dict[str, Any]:
    """The arguments that are not UNCHANGED, validated as message fields."""
    given = {name: value for name, value in wanted.items() if value is not UNCHANGED}
    body = validated(MessageBody, **given)
    return {name: getattr(body, name) for name in given}


def encoded_parts(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The new values as they are stored, without those that are left out."""
    planned = plan(Message)
    values = {
        name: encoded(planned.attributes[name], value)
        for name, value in changes.items()
        if not planned.is_left_out(name, value)
    }
    check_size(values)
    return values


def actions_of(changes: Iterable[str], values: Mapping[str, Any]) -> list[Any]:
    """The actions that set these attributes to their new values, or remove them."""
    return [
        Path(name).set(Raw(values[name])) if name in values else Path(name).remove()
        for name in changes
    ]


def says(there: Message, changes: Mapping[str, Any]) -> bool:
    """True if a message already has the values of `changes`."""
    return all(_same(name, value, getattr(there, name)) for name, value in changes.items())


def _same(name: str, one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    # Compared as stored, because in Python 1 == True.
    attribute = plan(Message).attributes[name]
    return encoded(attribute, one) == encoded(attribute, other)
