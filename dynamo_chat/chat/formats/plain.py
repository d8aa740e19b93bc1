"""Everything that a message says, as plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from dynamo_chat.chat.formats.shared import Said, each_of
from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument

_SAID: Final = set(NewMessage.model_fields)
_TIMES: Final = ("at", "sent_at")


def message_dicts(messages: Iterable[Said]) -> list[dict[str, Any]]:
    """Each message as JSON: role and content, and its other fields if they are not empty.

    Without what the store made: position, feedback, turn and deadline.
    """
    dicts = []
    for message in messages:
        rest = message.model_dump(mode="json", include=_SAID, exclude_defaults=True)
        dicts.append({"role": message.role, "content": message.content, **rest})
    return dicts


def from_message_dicts(dicts: Sequence[Mapping[str, Any]]) -> list[NewMessage]:
    """The messages of such a list, to be appended. InvalidArgument names the entry and field."""
    return [_message(name, each) for name, each in each_of("messages", dicts)]


def _message(name: str, fields: Mapping[str, Any]) -> NewMessage:
    given = {key: _time(f"{name}.{key}", fields[key]) for key in _TIMES if key in fields}
    try:
        return validated(NewMessage, **{**fields, **given})
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}.{error.argument}", error.allowed) from error


def _time(name: str, value: Any) -> Any:
    """A time that is written as text, as JSON must; other values are checked with the message."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidArgument(name, "must be a time such as 2026-01-31T09:30:00Z") from error
