"""Appending to a conversation (C7): one transaction, one request, each message once.

    Update head   counters, activity, last position   if the head is live and as the snapshot says,
                                                       and its last position is below the new one
    Put message   …each                                if no message has its position
    Put id item   …each caller-supplied id             if the id is new in this conversation
    Put title     from the first user message          if the conversation has none
    Delete        …each message beyond `keep_last`     if the head has the messages that are known

Order and identity conflict: under clock skew a message may need a later position than its first
one, but a retry must not store it twice. So each has its own mechanism. The head's condition keeps
the order: a writer whose position is not above the last one reads the last one from the failed
condition and tries again above it. A caller-supplied id is unique by its id item, in the same
transaction. A message without such an id is identified by its position: no two writers ever draw
the same position, so a message found there after a lost response is the writer's own.

With a small `keep_last` the store remembers which messages there are (`window`), and reads them if
it does not know. If other writers keep changing them first, it appends alone, and what falls out is
deleted afterwards (`pruning`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.beside import Also, Beside
from dynamo_chat.chat.conversation import (
    MAX_TITLE_CHARACTERS,
    Conversation,
    Life,
    head_key,
    is_part_of,
    with_life,
)
from dynamo_chat.chat.living import with_alive_until
from dynamo_chat.chat.message import (
    Message,
    MessageConflict,
    NewMessage,
    content_digest,
    stored_message,
)
from dynamo_chat.chat.message_ids import message_id_item, pointed_position
from dynamo_chat.chat.opening import Opening
from dynamo_chat.chat.pruning import Pruner
from dynamo_chat.chat.sliding import SlidingExpiry
from dynamo_chat.chat.snapshot import Heads, Snapshot, holds
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.attributes import AttributeValue, Raw
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import MAX_AHEAD, not_ahead
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import (
    CorruptItem,
    InvalidArgument,
    ItemTooLarge,
    MessageDeleted,
    RequestRejected,
)
from dynamo_chat.core.item import Item, helper_text, plan
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import GSI2
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.size import MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, item_size
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Delete,
    Filled,
    Prepared,
    Put,
    Update,
    Write,
    absent,
    contended,
    hole,
)
from dynamo_chat.core.ulids import check_after_1970, later_ulid, ulid_time

MAX_TURN = 45
_WINDOW_ATTEMPTS = 3
"""Attempts to append and delete what falls out in one transaction, before it is done in two."""

_SURELY_FITS = MAX_TRANSACTION_BYTES - MAX_ITEM_BYTES - 16_384
"""A turn of this many bytes fits in a transaction with any head; with a small head, more fit."""


_SURELY_FIT = MAX_TRANSACTION_BYTES // MAX_ITEM_BYTES
"""So many items fit in a transaction, whatever their sizes are."""


class Appender(Repository):
    """Appends messages and turns."""

    def __init__(self, binding: Binding, heads: Heads, pruner: Pruner) -> None:
        super().__init__(binding)
        self._heads = heads
        self._pruner = pruner
        self._expiry = SlidingExpiry(binding, heads)

    def append(
        self,
        conversation_id: str,
        turn: Sequence[NewMessage],
        user_id: str | None,
        argument: str = "messages",
        *,
        edited_at: datetime | None = None,
        also: Sequence[Also] = (),
        opening: Opening | None = None,
    ) -> tuple[Message, ...]:
        """Append a turn once, prune if the conversation has `keep_last`, return the messages.

        `opening` is what begins a stream with the one message of the turn.

        `argument` is the argument that an error names; `edited_at` is as in `Messages.put`,
        `also` as in `Messages.append_turn`.
        """
        _check_turn(turn, argument)
        snapshot, stored, is_full = self._put_once(
            conversation_id, turn, user_id, edited_at, Beside(also, opening)
        )
        if is_full and snapshot.keep_last is not None:
            self._pruner.prune_after_append(snapshot, snapshot.keep_last)
        return stored

    def _put_once(
        self,
        conversation_id: str,
        turn: Sequence[NewMessage],
        user_id: str | None,
        edited_at: datetime | None,
        beside: Beside,
    ) -> tuple[Snapshot, tuple[Message, ...], bool]:
        """Append the turn unless it was appended before.

        Returns the snapshot, the messages, and whether older ones may have to be deleted. With
        writes `beside` it, what falls out is deleted afterwards.
        """
        snapshot = self._heads.snapshot(conversation_id, user_id)
        last_of_window, is_shared = 0 if beside else _WINDOW_ATTEMPTS, False
        for attempt in range(self._connection.options.transaction_attempts):
            snapshot = (
                self._pruner.with_window(snapshot, user_id)
                if attempt < last_of_window
                else replace(snapshot, window=None)
            )
            now = self._now()
            positions = self._positions(turn, now, snapshot.last_position)
            snapshot = self._expiry.kept_long_enough(snapshot, ulid_time(positions[-1]), user_id)
            drafts = [
                stored_message(_dated(new, position, now), snapshot, position, index, edited_at)
                for index, (new, position) in enumerate(zip(turn, positions, strict=True))
            ]
            title = title_from(turn) if snapshot.takes_title else None
            messages = beside.begun(drafts)
            snapshot, old = _falling_out(snapshot, turn, title)
            writes = beside.with_stream(
                self._writes(snapshot, turn, messages, title, now), snapshot, messages
            )
            beside_at = len(writes)
            writes += [*beside.writes(snapshot, now), *_deletes(conversation_id, old)]
            try:
                self._write(*writes)
            except ConditionFailed as failed:
                there = failed.items.get(0)
                life = snapshot.life  # confirmed by the transaction, if it failed elsewhere
                if 0 not in failed.items:
                    there = self._get_item(head_key(conversation_id), consistent=True)
                head = self._heads.living(there, conversation_id, user_id)
                if 0 in failed.items:
                    life = head.life
                landed = self._landed(failed, snapshot, life, turn, messages)
                if landed is None and 0 not in failed.items:
                    beside.check(failed, beside_at, now)
                if (head.last_position or "") < (snapshot.last_position or ""):
                    self._heads.snapshots.forget(
                        conversation_id
                    )  # it was of an earlier conversation with this id
                if any(at in failed.items for at in range(len(writes) - len(old), len(writes))):
                    self._heads.snapshots.forget_window(conversation_id)
                is_shared |= snapshot.last_position != head.last_position
                snapshot = self._heads.remember(head)
                if landed is not None:
                    return snapshot, landed, head.message_count > (snapshot.keep_last or 0)
                if attempt:
                    self._connection.pause(attempt)
                continue
            except (RequestRejected, ItemTooLarge) as error:
                if old:  # together with what falls out, it may be more than 4 MB
                    last_of_window = 0
                    continue
                size = _size_of(writes)
                if size <= _SURELY_FITS:
                    raise
                raise ItemTooLarge("messages", size, _SURELY_FITS, "appended turn") from error
            window = snapshot.window
            snapshot = replace(
                snapshot,
                last_position=positions[-1],
                has_title=snapshot.has_title or title is not None,
                window=None if window is None else window.moved(len(old), positions),
                is_shared=snapshot.is_shared or is_shared,
            )
            self._heads.snapshots.put(snapshot)
            return snapshot, tuple(messages), window is None
        raise contended("the conversation")

    def _writes(
        self,
        snapshot: Snapshot,
        turn: Sequence[NewMessage],
        messages: Sequence[Message],
        title: str | None,
        now: datetime,
    ) -> list[Write]:
        """The writes that append `messages`: first the head's, then the messages' in order."""
        alive_until = snapshot.alive_until(ulid_time(messages[-1].position))
        items = [
            with_alive_until(with_life(plan(Message).encode(message), snapshot.life), alive_until)
            for message in messages
        ]
        writes: list[Write] = [_head_update(snapshot, messages, title, now)]
        writes += [Put(item, absent(now)) for item in items]
        for new, message in zip(turn, messages, strict=True):
            if new.message_id is not None:
                named = message_id_item(message, content_digest(new), snapshot.user_id)
                writes.append(Put(named, absent(now)))
        if title is not None:
            writes.append(Put(title_item(snapshot, title)))
        if len(writes) > _SURELY_FIT and (size := _size_of(writes)) > MAX_TRANSACTION_BYTES:
            raise ItemTooLarge("messages", size, MAX_TRANSACTION_BYTES, "appended turn")
        return writes

    def _positions(self, turn: Sequence[NewMessage], now: datetime, last: str | None) -> list[str]:
        """A position for each message: at its time, above `last`, and in turn order."""
        positions: list[str] = []
        for index, new in enumerate(turn):
            moment = now if new.at is None else new.at
            check_after_1970("at", not_ahead("at", moment, now))
            fresh = self._new_id(moment)
            before = positions[-1] if index else last
            follows = index > 0 and new.at is None
            if before is not None and (follows or fresh <= before):
                fresh = _later(before)
            positions.append(fresh)
        return positions

    def _landed(
        self,
        failed: ConditionFailed,
        snapshot: Snapshot,
        life: str | None,
        turn: Sequence[NewMessage],
        messages: Sequence[Message],
    ) -> tuple[Message, ...] | None:
        """The stored messages if the turn was appended before; None if it can be tried again.

        Conflict if an id of the turn exists with other content, or only some of its ids exist;
        MessageDeleted if their messages were deleted. `life` is that of the head read last.
        """
        first_id = 1 + len(messages)
        if turn[0].message_id is not None:
            ids = [failed.items.get(first_id + index) for index in range(len(turn))]
            if any(ids):
                return self._appended_before(snapshot, life, turn, ids)
        elif failed.was_resent or any(1 + index in failed.items for index in range(len(turn))):
            keys = [keyspace.MESSAGE.key(**message.__dict__) for message in messages]
            there = self._get_items(keys, consistent=True)
            if all(
                item is not None
                and is_part_of(item, life)
                and plan(Message).decode(item) == message
                for item, message in zip(there, messages, strict=True)
            ):
                return tuple(messages)
        return None

    def _appended_before(
        self,
        snapshot: Snapshot,
        life: str | None,
        turn: Sequence[NewMessage],
        ids: Sequence[AttributeValues | None],
    ) -> tuple[Message, ...]:
        """The messages that an earlier append of the same ids stored."""
        known = [item for item in ids if item is not None]
        if len(known) < len(ids):
            raise MessageConflict(
                "some message ids of this turn were appended before, and some were not"
            )
        differing = [
            new.message_id
            for new, item in zip(turn, known, strict=True)
            if helper_text(item, "digest", keyspace.MESSAGE_ID) != content_digest(new)
        ]
        places = [pointed_position(item) for item in known]
        keys = [
            keyspace.MESSAGE.key(conversation_id=snapshot.conversation_id, position=place)
            for place in places
        ]
        stored = [
            plan(Message).decode(item) if item and is_part_of(item, life) else None
            for item in self._get_items(keys, consistent=True)
        ]
        if differing:
            at = [new.message_id for new in turn].index(differing[0])
            raise MessageConflict(
                f"message id {differing[0]!r} was appended before with other content", stored[at]
            )
        gone = [new.message_id for new, message in zip(turn, stored, strict=True) if not message]
        # A turn longer than what the conversation keeps loses its first messages at once.
        is_pruned = snapshot.keep_last is not None and all(stored[len(gone) :]) and stored[-1]
        if gone and not is_pruned:
            raise MessageDeleted(f"message id {gone[0]!r} was appended before and has been deleted")
        return tuple(
            message or stored_message(new, snapshot, place, index)
            for index, (message, new, place) in enumerate(zip(stored, turn, places, strict=True))
        )


def _dated(new: NewMessage, position: str, now: datetime) -> NewMessage:
    """`new`, with `sent_at` set if its position is far ahead of its time.

    After an append by a server whose clock is ahead, later positions must be ahead, too. The
    message's own time stays correct.
    """
    if new.sent_at is not None or ulid_time(position) <= now + MAX_AHEAD:
        return new
    return new.model_copy(update={"sent_at": new.at or now})


def _size_of(writes: Sequence[Write]) -> int:
    return sum(item_size(each.item) for each in writes if isinstance(each, Put))


def title_from(turn: Sequence[NewMessage]) -> str | None:
    """A title from the first user message of a turn: its words, cut at 200 characters."""
    for new in turn:
        if new.role == "user":
            words = " ".join(new.content.split())
            if not words:
                return None
            if len(words) <= MAX_TITLE_CHARACTERS:
                return words
            cut = words[: MAX_TITLE_CHARACTERS - 1]
            return (cut.rsplit(" ", 1)[0] or cut) + "…"
    return None


def _falling_out(
    snapshot: Snapshot, turn: Sequence[NewMessage], title: str | None
) -> tuple[Snapshot, list[str]]:
    """The positions of the messages that a turn pushes out, if one transaction can do both.

    If not, the snapshot is returned without its window.
    """
    if snapshot.window is None:
        return snapshot, []
    excess = _excess(snapshot, len(turn))
    writes = 1 + len(turn) + sum(new.message_id is not None for new in turn) + (title is not None)
    if excess > snapshot.window.count or writes + excess > MAX_TRANSACTION_WRITES:
        return replace(snapshot, window=None), []
    return snapshot, snapshot.window.oldest(excess)


def _excess(snapshot: Snapshot, added: int) -> int:
    """How many of the known messages are too many after so many more; 0 if they are not known."""
    if snapshot.window is None or snapshot.keep_last is None:
        return 0
    return max(0, snapshot.window.count + added - snapshot.keep_last)


def _deletes(conversation_id: str, positions: Sequence[str]) -> list[Delete]:
    return [
        Delete(
            keyspace.MESSAGE.key(conversation_id=conversation_id, position=position),
            Item.PK.exists(),
        )
        for position in positions
    ]


class _Shape(NamedTuple):
    """What the expressions of an append depend on, besides its values."""

    has_mark: bool
    has_position: bool
    has_window: bool
    is_limited: bool
    has_title: bool
    sets_title: bool


def _head_update(
    snapshot: Snapshot, messages: Sequence[Message], title: str | None, now: datetime
) -> Update | Filled:
    if snapshot.kept_until is not None or snapshot.is_sliding:
        return _update_anew(snapshot, messages, title, now)
    values = _values(snapshot, messages, title, _activity(snapshot, messages, now))
    values["user_id"] = {"S": snapshot.user_id}
    values["created_at"] = {"S": format_time(snapshot.created_at)}
    if snapshot.life is not None:
        values["mark"] = {"S": snapshot.life}
    prepared = _prepared(_shape(snapshot, title))
    return Filled(head_key(snapshot.conversation_id), prepared, values)


def _update_anew(
    snapshot: Snapshot, messages: Sequence[Message], title: str | None, now: datetime
) -> Update:
    """The update of any head, its expressions made for it alone."""
    updated_at = _activity(snapshot, messages, now)
    values = _values(snapshot, messages, title, updated_at)
    given = {name: Raw(value) for name, value in values.items()}
    actions, condition = _head_expressions(_shape(snapshot, title), given, holds(snapshot, now))
    if snapshot.is_sliding and snapshot.retention is not None:
        head = plan(Conversation).model
        latest = max(updated_at, ulid_time(messages[-1].position))
        # Until a renewal is finished, some items still have the old deadline.
        condition &= head.renewing_from.does_not_exist()
        actions.append(head.idle_until.set(latest + snapshot.retention))
    return Update(head_key(snapshot.conversation_id), actions, condition)


def _activity(snapshot: Snapshot, messages: Sequence[Message], now: datetime) -> datetime:
    """The time of the conversation's activity after these messages."""
    place = ulid_time(messages[-1].position)
    return max(snapshot.created_at, place if place <= now + MAX_AHEAD else now)


def _shape(snapshot: Snapshot, title: str | None) -> _Shape:
    return _Shape(
        has_mark=snapshot.life is not None,
        has_position=snapshot.last_position is not None,
        has_window=snapshot.window is not None,
        is_limited=snapshot.keep_last is not None,
        has_title=snapshot.has_title,
        sets_title=title is not None,
    )


def _values(
    snapshot: Snapshot, messages: Sequence[Message], title: str | None, updated_at: datetime
) -> dict[str, AttributeValue]:
    """The values of `_head_expressions`, by name."""
    values: dict[str, AttributeValue] = {
        "added": {"N": str(len(messages) - _excess(snapshot, len(messages)))},
        "appended": {"N": str(len(messages))},
        "first": {"S": messages[0].position},
        "last": {"S": messages[-1].position},
        "updated_at": {"S": format_time(updated_at)},
    }
    activity = {
        "user_id": snapshot.user_id,
        "status": "active",
        "updated_at": updated_at,
        "conversation_id": snapshot.conversation_id,
    }
    for name, key in keyspace.CONVERSATION.index_key(GSI2, activity).items():
        values[name] = {"S": key}
    if snapshot.last_position is not None:
        values["known_last"] = {"S": snapshot.last_position}
    if snapshot.window is not None:
        values["known_count"] = {"N": str(snapshot.window.count)}
    if snapshot.keep_last is not None:
        values["keep_last"] = {"N": str(snapshot.keep_last)}
    if title is not None:
        values["title"] = {"S": title}
    return values


@cache
def _prepared(shape: _Shape) -> Prepared:
    """The expressions of an append to a conversation without a deadline."""
    head = plan(Conversation).model
    life = Life(hole("user_id"), hole("created_at"), hole("mark") if shape.has_mark else None)
    alive = (head.kind == keyspace.CONVERSATION.kind) & head.ttl.does_not_exist() & life.condition
    return Prepared(*_head_expressions(shape, _Holes(), alive))


class _Holes(dict[str, Any]):
    """A hole of every name."""

    def __missing__(self, name: str) -> Any:
        return hole(name)


def _head_expressions(
    shape: _Shape, given: Mapping[str, Any], alive: Condition
) -> tuple[list[Action], Condition]:
    """What an append does to the head, and under which condition; `given` has the operands."""
    head = plan(Conversation).model
    actions = [
        head.message_count.add(given["added"]),
        head.appended_count.add(given["appended"]),
        head.last_position.set(given["last"]),
        head.updated_at.set(given["updated_at"]),
        head.status.set("active"),
        *(Path(name).set(given[name]) for name in (GSI2.pk, GSI2.sk)),
    ]
    is_above: Condition = head.last_position < given["first"]
    if shape.has_position:  # it never moves back, unless the id was reused
        is_above &= head.last_position >= given["known_last"]
    else:
        is_above |= head.last_position.does_not_exist()
    condition = alive & is_above
    if shape.has_window:  # it is of this last position and this number of messages
        condition &= head.message_count == given["known_count"]
        if shape.has_position:
            condition &= head.last_position == given["known_last"]
        else:
            condition &= head.last_position.does_not_exist()
    if shape.is_limited:
        condition &= head.keep_last == given["keep_last"]
    else:
        condition &= head.keep_last.does_not_exist()
    if shape.sets_title:
        actions.append(head.title.set(given["title"]))
        condition &= head.auto_title.does_not_exist()
    condition &= head.title.exists() if shape.has_title else head.title.does_not_exist()
    return actions, condition


def _check_turn(turn: Sequence[NewMessage], argument: str = "messages") -> None:
    if not 1 <= len(turn) <= MAX_TURN:
        raise InvalidArgument("messages", f"a turn has from 1 to {MAX_TURN} messages")
    for new in turn:
        if not isinstance(new, NewMessage):
            raise InvalidArgument(argument, f"must be NewMessage, not {type(new).__name__}")
    supplied = [new.message_id for new in turn if new.message_id is not None]
    if supplied and len(supplied) < len(turn):
        raise InvalidArgument("messages", "either all messages of a turn have an id, or none has")
    if len(set(supplied)) < len(supplied):
        raise InvalidArgument("messages", "two messages of the turn have the same id")


def _later(position: str) -> str:
    """The next position above this one. CorruptItem if it is the highest (in the year 10889)."""
    try:
        return later_ulid(position)
    except OverflowError as error:
        raise CorruptItem(
            keyspace.CONVERSATION.kind, "last_position leaves no room for another message"
        ) from error
