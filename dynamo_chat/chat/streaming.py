"""Streams an answer into a message (C25).

    open  ──▶ append a message with status ``streaming``, and the item that lists it: a transaction
    write ──▶ now and then a checkpoint, the text so far: an update
    end   ──▶ the whole text and the status; the listing item goes: a transaction

Each write of a checkpoint or an end has the writer's mark in its condition. Whoever opens a stream
of the same message id again sets another mark: the slow writer that it replaces changes nothing any
more. A checkpoint has a number, too: one that was held up on the wire does not undo a later one.

A checkpoint costs what the text so far takes. So both the time and the text between two of them
grow with that (`Pace`), and a whole stream costs in proportion to its final text.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.appending import Appender
from dynamo_chat.chat.conversation import check_ids, part_of, still
from dynamo_chat.chat.editing import actions_of, changed_parts, encoded_parts, says
from dynamo_chat.chat.message import (
    Message,
    MessageConflict,
    MessageStatus,
    NewMessage,
    Role,
    StreamLost,
)
from dynamo_chat.chat.message_ids import MessageFinder
from dynamo_chat.chat.opening import STEP, WRITER, Opening, stream_item, stream_key, unlisting
from dynamo_chat.chat.snapshot import Heads, Snapshot
from dynamo_chat.core.attributes import AttributeValue, Raw
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Json, JsonObject, Unchanged, validated
from dynamo_chat.core.errors import (
    DynamoChatError,
    InvalidArgument,
    ItemTooLarge,
    MessageDeleted,
    ServiceError,
)
from dynamo_chat.core.item import plan
from dynamo_chat.core.patterns import running
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.size import item_size, write_units
from dynamo_chat.core.transaction import Delete, Put, Update, is_live, live

logger = logging.getLogger("dynamo_chat")

PATTERN: Final = "C25"
MAX_EVERY: Final = timedelta(hours=1)
MAX_CHARACTERS: Final = 100_000
_SLOW: Final = 15
"""After this many times the time between two checkpoints, few characters are enough for one."""
_BESIDE_TEXT: Final = 400
"""About the bytes of a message's item beside its content."""


class Pace:
    """When the next checkpoint is due.

    With a text that costs `units`, after `units` times `every` and `units` times `characters`: a
    stream costs at most a write unit for each `every` and for each `characters`. After 15 times as
    long one new character is enough, so that the message shows that its writer lives.
    """

    def __init__(self, every: timedelta, characters: int) -> None:
        if not isinstance(every, timedelta) or not timedelta(0) <= every <= MAX_EVERY:
            raise InvalidArgument("every", "must be a timedelta of 0 seconds to an hour")
        if type(characters) is not int or not 1 <= characters <= MAX_CHARACTERS:
            raise InvalidArgument("characters", f"must be an integer from 1 to {MAX_CHARACTERS:,}")
        self._every = every
        self._characters = characters
        self._units = 1
        self._length = 0
        self._at = datetime.max.replace(tzinfo=UTC)

    def is_due(self, length: int, now: datetime) -> bool:
        """True if a text of this length should be stored now."""
        grown, waited = length - self._length, now - self._at
        if grown <= 0:
            return False
        wait = self._units * self._every
        if grown >= self._units * self._characters:
            return waited >= wait
        return waited >= _SLOW * max(wait, timedelta(seconds=1))

    def stored(self, length: int, units: int, now: datetime) -> None:
        """A text of this length was stored, at this cost."""
        self._length, self._units, self._at = length, units, now

    def failed(self, length: int, now: datetime) -> None:
        """A text of this length was not stored: the next try is as far away as this one was."""
        self.stored(length, self._units, now)


@dataclass(slots=True)
class Held:
    """A stream as its writer knows it."""

    message: Message
    writer: str
    step: int = 0
    edited_at: AttributeValue | None = None
    """As the message had it when this writer began."""

    @property
    def key(self) -> dict[str, dict[str, str]]:
        """The message's table key."""
        place = {"conversation_id": self.message.conversation_id, "position": self.message.position}
        return keyspace.MESSAGE.key(**place)


class Streamer(Repository):
    """Opens streams, and writes what they store."""

    def __init__(
        self, binding: Binding, heads: Heads, finder: MessageFinder, appender: Appender
    ) -> None:
        super().__init__(binding)
        self._heads = heads
        self._finder = finder
        self._appender = appender

    def open(
        self,
        conversation_id: str,
        message_id: str | None,
        role: Role,
        user_id: str | None,
        pace: Pace,
    ) -> MessageStream:
        """Begin a stream, or take over an unfinished one. NotFound; MessageConflict."""
        check_ids(conversation_id, user_id)
        now = self._now()
        pace.stored(0, 1, now)
        opening = Opening.by(self._new_id(), now)
        if message_id is None or self._finder.own_position(conversation_id, message_id) is None:
            new = validated(NewMessage, role=role, message_id=message_id, is_streaming=True)
            (message,) = self._appender.append(
                conversation_id, [new], user_id, "message_id", opening=opening
            )
            if message.position in opening.tried:
                return MessageStream(self, Held(message, opening.writer), pace)
        else:  # an id that the store made: the stream was begun before
            message = self._finder.find(conversation_id, message_id, user_id, consistent=True)
        return MessageStream(self, self._taken(message, opening, user_id), pace)

    def _taken(self, there: Message, opening: Opening, user_id: str | None) -> Held:
        """Make this writer the one of a message that is not complete."""
        taken = there.model_copy(
            update={
                "is_streaming": True,
                "status": "streaming",
                "checkpoint_at": opening.at,
                "errors": None,
            }
        )
        attributes = plan(Message).model
        actions: list[Action] = [
            attributes.is_streaming.set(True),
            attributes.checkpoint_at.set(opening.at),
            Path("status").remove(),
            Path("errors").remove(),
            Path(WRITER).set(Raw({"S": opening.writer})),
            Path(STEP).set(Raw({"N": "0"})),
        ]
        held = Held(taken, opening.writer)
        if there.edited_at is not None:
            held.edited_at = {"S": attributes.edited_at.serialize(there.edited_at)}
        unfinished: Condition = (attributes.is_streaming == True) | Path("status").exists()  # noqa: E712

        def attempt(snapshot: Snapshot) -> Held:
            condition = live(self._now()) & part_of(snapshot.life) & unfinished
            condition &= _as_edited(held)
            try:
                self._write(
                    self._heads.check(snapshot),
                    Update(held.key, actions, condition),
                    Put(stream_item(taken, snapshot.life, snapshot.kept_until)),
                )
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise
                self._refuse(held, failed.items.get(1), snapshot.life, failed)
            return held

        return self._heads.with_snapshot(there.conversation_id, user_id, attempt)

    def _refuse(
        self, held: Held, item: AttributeValues | None, life: str | None, failed: Exception
    ) -> None:
        try:
            current = self._finder.living(item, held.message.message_id, life)
        except LookupError:
            raise _deleted(held) from failed
        raise MessageConflict(
            f"message {held.message.message_id!r} was finished or edited before", current
        ) from failed

    # -- the steps of a stream ----------------------------------------------------------------

    def checkpoint(self, held: Held, content: str) -> int:
        """Store the text so far; returns its write units. StreamLost; MessageDeleted."""
        held.step = step = held.step + 1
        now = self._now()
        values = _parts({"content": content, "checkpoint_at": now})
        number: AttributeValue = {"N": str(step)}
        actions = [*actions_of(("content", "checkpoint_at"), values), Path(STEP).set(Raw(number))]
        is_later: Condition = Path(STEP) < Raw(number)
        try:
            self._write(Update(held.key, actions, self._is_ours(held) & is_later))
        except ItemTooLarge as error:
            raise self._finder.too_large(held.key, values) from error
        except ConditionFailed as failed:
            item = failed.items.get(0)
            if not _is_streamed_by(held, item) or _step_in(item) < step:
                self._lost(held, item, failed)
            # The answer to an earlier attempt was lost, or a later checkpoint was faster.
        held.message = held.message.model_copy(update={"content": content, "checkpoint_at": now})
        return int(write_units(item_size(values) + _BESIDE_TEXT))

    def end(self, held: Held, status: MessageStatus, changes: dict[str, Any]) -> Message:
        """Store the rest and the status, once. StreamLost; MessageDeleted; ItemTooLarge."""
        values = _parts(changes)
        actions = [*actions_of(changes, values), *ending(status)]
        condition = self._is_ours(held)
        if changes.get("tool_calls") and held.message.role != "assistant":
            raise InvalidArgument("tool_calls", "belong to assistant messages only")
        ended = held.message.model_copy(update={**changes, **_ended(status)})
        place = (ended.conversation_id, ended.position)
        try:
            self._write(Update(held.key, actions, condition), Delete(stream_key(*place)))
        except ItemTooLarge as error:
            raise self._finder.too_large(held.key, values) from error
        except ConditionFailed as failed:
            item = failed.items.get(0)
            if not _was_ended_by(held, item):
                self._lost(held, item, failed)
            there = plan(Message).decode(item or {})
            is_edited = there.edited_at != held.message.edited_at
            if there.status != status or not (is_edited or says(there, changes)):
                raise StreamLost("the answer was ended otherwise before", there) from failed
            return there  # the answer to an earlier attempt was lost
        return ended

    def _is_ours(self, held: Held) -> Condition:
        """The message is still streamed by this writer, and nobody edited it."""
        condition: Condition = (
            live(self._now())
            & (plan(Message).model.is_streaming == True)  # noqa: E712 - an expression
            & (Path(WRITER) == held.writer)
            & _as_edited(held)
        )
        return condition

    def _lost(self, held: Held, item: AttributeValues | None, failed: ConditionFailed) -> NoReturn:
        """Raise why the stream is not this writer's any more; clean up behind it."""
        if item is None or not is_live(item, self._now()):
            self._unlist(held)
            raise _deleted(held) from failed
        there = plan(Message).decode(item)
        if _is_streamed_by(held, item):
            raise StreamLost(
                "the answer was edited while it was written", self._cancelled(held, there)
            ) from failed
        self._unlist(held)
        if not there.is_streaming:
            raise StreamLost(
                f"the answer was ended by another: it is {there.status}", there
            ) from failed
        raise StreamLost("another writer has taken the answer over", there) from failed

    def _cancelled(self, held: Held, there: Message) -> Message:
        """The edited message: the edit counts, and the stream ends."""
        ours = (plan(Message).model.is_streaming == True) & (Path(WRITER) == held.writer)  # noqa: E712
        ended = Update(held.key, ending("cancelled"), ours)
        try:
            self._write(ended, Delete(stream_key(there.conversation_id, there.position)))
        except ConditionFailed as failed:  # it was ended, taken over or deleted meanwhile
            self._lost(held, failed.items.get(0), failed)
        return there.model_copy(update=_ended("cancelled"))

    def _unlist(self, held: Held) -> None:
        with suppress(ConditionFailed):  # it is streamed by another
            self._write(*unlisting(held.message.conversation_id, held.message.position))


class MessageStream:
    """An answer that is being written; see `Messages.stream`.

    Use it as a context manager: at its end the answer is finished. If an Exception ends the block,
    the message's status becomes ``failed`` and `errors` the name of its class; anything else, such
    as CancelledError, GeneratorExit or KeyboardInterrupt, makes it ``cancelled``. What has arrived
    is stored, and the exception goes on.

    Only one thread may use it; on an event loop, several tasks may.
    """

    def __init__(self, streamer: Streamer, held: Held, pace: Pace) -> None:
        self._streamer = streamer
        self._held = held
        self._pace = pace
        self._pieces: list[str] = []
        self._length = 0
        self._bytes = 0
        self._end: tuple[MessageStatus, dict[str, Any], Message] | None = None
        self._is_lost = False

    def __repr__(self) -> str:
        return f"MessageStream({self.message.message_id!r}, {self._length:,} characters)"

    @property
    def message(self) -> Message:
        """The message as this writer last stored it."""
        return self._end[2] if self._end is not None else self._held.message

    @property
    def content(self) -> str:
        """Everything that was written."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def write(self, piece: str) -> None:
        """Add a piece of text; it is stored with the next checkpoint.

        StreamLost if another writer took the answer over, or it was ended or edited;
        MessageDeleted; ItemTooLarge. A checkpoint that fails otherwise is logged, and tried again.
        """
        self._check_open()
        if not isinstance(piece, str):
            raise InvalidArgument("piece", f"must be text, not {type(piece).__name__}")
        size = len(piece) if piece.isascii() else _size_of(piece)
        most = self._streamer._connection.options.max_body_bytes  # noqa: SLF001
        if self._bytes + size > most:
            raise ItemTooLarge("piece", self._bytes + size, most, "text", "this store")
        self._bytes += size
        self._length += len(piece)
        self._pieces.append(piece)
        now = self._streamer._now()  # noqa: SLF001
        if self._pace.is_due(self._length, now):
            try:
                self.checkpoint()
            except ServiceError as error:
                logger.warning("a checkpoint of an answer was not stored: %s", error)
                self._pace.failed(self._length, now)

    def checkpoint(self) -> None:
        """Store what was written until now. StreamLost; MessageDeleted; ItemTooLarge."""
        self._check_open()
        with self._running():
            units = self._streamer.checkpoint(self._held, self.content)
        self._pace.stored(self._length, units, self._streamer._now())  # noqa: SLF001

    def finish(
        self,
        *,
        response_time: float | Unchanged | None = UNCHANGED,
        errors: str | Unchanged | None = UNCHANGED,
        documents: Sequence[JsonObject] | Unchanged = UNCHANGED,
        tool_calls: Sequence[Any] | Unchanged = UNCHANGED,
        metadata: Mapping[str, Json] | Unchanged = UNCHANGED,
    ) -> Message:
        """Store the whole text and what came with it, and return the complete message.

        Again with the same values returns it; with others, MessageConflict. StreamLost;
        MessageDeleted; ItemTooLarge.
        """
        changes = changed_parts(
            response_time=response_time,
            errors=errors,
            documents=documents,
            tool_calls=tool_calls,
            metadata=metadata,
        )
        return self._ended("complete", changes)

    def fail(self, errors: str | None = None) -> Message:
        """Store what was written, with status ``failed``; errors as for `finish`."""
        return self._ended("failed", changed_parts(errors=errors))

    def cancel(self, errors: str | None = None) -> Message:
        """Store what was written, with status ``cancelled``; errors as for `finish`."""
        return self._ended("cancelled", changed_parts(errors=errors))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._end is not None or self._is_lost:
            return
        if error is not None:
            self._mark(error)
            return
        try:
            self.finish()
        except ItemTooLarge as too_large:
            self._mark(too_large)
            raise

    def _mark(self, error: BaseException) -> None:
        """End the message so that it says what happened."""
        status: MessageStatus = "failed" if isinstance(error, Exception) else "cancelled"
        why = type(error).__name__ if status == "failed" else None
        try:
            self._end_with(status, why)
        except DynamoChatError as failed:
            # The error of the block goes on; `list_unfinished` finds the message.
            logger.warning("an answer could not be marked as %s: %s", status, failed)

    def _end_with(self, status: MessageStatus, why: str | None) -> None:
        try:
            self._ended(status, {"errors": why})
        except ItemTooLarge:  # what the latest checkpoint stored stays
            with self._running():
                message = self._streamer.end(self._held, status, {"errors": why})
            self._end = (status, {"errors": why}, message)

    def _ended(self, status: MessageStatus, changes: dict[str, Any]) -> Message:
        if self._end is not None:
            before, _, message = self._end
            if before != status or not says(message, changes):
                raise MessageConflict("the answer was ended before, otherwise", message)
            return message
        self._check_open()
        with self._running():
            message = self._streamer.end(self._held, status, {"content": self.content, **changes})
        self._end = (status, changes, message)
        return message

    def _check_open(self) -> None:
        if self._end is not None:
            raise StreamLost("the answer was ended", self._end[2])
        if self._is_lost:
            raise StreamLost("the answer is another writer's, or gone")

    def _running(self) -> _Step:
        return _Step(self)


class _Step:
    """A step of a stream: counted as its pattern; remembers that the stream was lost."""

    def __init__(self, stream: MessageStream) -> None:
        self._stream = stream
        self._pattern = running(PATTERN, stream._streamer)  # noqa: SLF001

    def __enter__(self) -> None:
        self._pattern.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (StreamLost, MessageDeleted)):
            self._stream._is_lost = True  # noqa: SLF001
        self._pattern.__exit__(kind, error, trace)


def ending(status: MessageStatus) -> list[Action]:
    """What ends a stream: the writer's mark stays, by which a repeated end is recognised."""
    stored = plan(Message).model.status
    return [
        Path("is_streaming").remove(),
        Path("checkpoint_at").remove(),
        Path(STEP).remove(),
        stored.remove() if status == "complete" else stored.set(status),
    ]


def _parts(changes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """The new values as they are stored: no content is not stored, as in an append."""
    return encoded_parts({n: value for n, value in changes.items() if n != "content" or value})


def _ended(status: MessageStatus) -> dict[str, Any]:
    return {"is_streaming": False, "status": status, "checkpoint_at": None}


def _as_edited(held: Held) -> Condition:
    """The message was not edited since this writer began."""
    there = {} if held.edited_at is None else {"edited_at": held.edited_at}
    return still(there, "edited_at")


def _is_streamed_by(held: Held, item: AttributeValues | None) -> bool:
    is_streaming = (item or {}).get("is_streaming") == {"BOOL": True}
    return is_streaming and (item or {}).get(WRITER) == {"S": held.writer}


def _step_in(item: AttributeValues | None) -> int:
    """The number of the latest checkpoint; -1 if it is damaged."""
    stored = (item or {}).get(STEP, {})
    return int(stored.get("N", "-1"))


def _was_ended_by(held: Held, item: AttributeValues | None) -> bool:
    return (
        bool(item)
        and "is_streaming" not in (item or {})
        and (item or {}).get(WRITER) == {"S": held.writer}
    )


def _deleted(held: Held) -> MessageDeleted:
    return MessageDeleted(f"message {held.message.message_id!r} has been deleted")


def _size_of(piece: str) -> int:
    try:
        return len(piece.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument("piece", "must not contain lone surrogates") from error
