"""Many messages as turns that each fit in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dynamo_chat.chat.message import Message, NewMessage
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import validated
from dynamo_chat.core.item import plan
from dynamo_chat.core.size import MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, item_size
from dynamo_chat.core.ulids import ulid_time

MAX_TURN: Final = 45
"""Messages that one transaction holds, with an item of their own beside them."""
_SURELY_FITS: Final = MAX_TRANSACTION_BYTES - 2 * MAX_ITEM_BYTES - 65_536
"""Texts of so many bytes fit in a transaction, with all that is written beside them."""
_SURELY_FITS_STORED: Final = _SURELY_FITS * 3 // 4
"""Items of so many bytes do, if all of them is compressed: on the wire that is base64, which some
servers count."""
_ANY_POSITION: Final = "0" * 26
_ANY_TIME: Final = ulid_time(_ANY_POSITION)


def is_one_turn(messages: Sequence[NewMessage]) -> bool:
    """True if the messages surely fit in one transaction, unless one is too large for an item."""
    if len(messages) > MAX_TURN:
        return False
    return sum(map(_most_bytes, messages)) <= _SURELY_FITS


def turns_of(conversation_id: str, messages: Sequence[NewMessage]) -> list[Sequence[NewMessage]]:
    """The messages in turns that surely fit in a transaction each. ItemTooLarge.

    So a message that fits nowhere is found before the first of them is written.
    """
    turns: list[Sequence[NewMessage]] = []
    turn: list[NewMessage] = []
    room = _SURELY_FITS_STORED
    for message in messages:
        size = stored_size(conversation_id, message)
        if turn and (len(turn) == MAX_TURN or size > room):
            turns.append(turn)
            turn, room = [], _SURELY_FITS_STORED
        turn.append(message)
        room -= size
    return [*turns, turn] if turn else turns


def stored_size(conversation_id: str, message: NewMessage) -> int:
    """How many bytes the message's item has. ItemTooLarge."""
    stored = validated(
        Message,
        **message.model_dump(exclude={"at", "sent_at", "message_id"}),
        message_id=message.message_id or _ANY_POSITION,
        conversation_id=conversation_id,
        position=_ANY_POSITION,
        sent_at=_ANY_TIME,
    )
    return item_size(plan(Message).encode(stored))


def _most_bytes(message: NewMessage) -> int:
    """At least as many bytes as the message's item has; found without compressing anything."""
    return len(json_text(message.model_dump(mode="json")).encode())
