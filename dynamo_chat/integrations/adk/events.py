"""Events of the framework as messages. The event's JSON is in the metadata, under ``adk``.

What the message says itself is not in there twice: the id, and an event's only text, in whose place
is null. So an edit of the message is an edit of the event that has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.adk.events.event import Event
from google.adk.sessions.state import State
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from dynamo_chat.chat.formats.shared import TOOL_CALL_ID
from dynamo_chat.chat.message import Message, NewMessage, Role, ToolCall
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import json_copy
from dynamo_chat.core.errors import CorruptItem, InvalidArgument

EVENT: Final = "adk"
"""In a message's metadata: the event."""


class Scopes:
    """A change of state, by its scope. Keys of the scope ``temp:`` are left out.

    InvalidArgument, which names `argument`, for a value that is not JSON.
    """

    def __init__(self, argument: str, delta: Mapping[str, Any] | None) -> None:
        if not isinstance(delta or {}, Mapping) or not all(
            isinstance(key, str) for key in delta or ()
        ):
            raise InvalidArgument(argument, "must be an object: its keys are text")
        self.app: dict[str, Any] = {}
        self.user: dict[str, Any] = {}
        self.session: dict[str, Any] = {}
        for key, value in _as_json(argument, _stored_part(delta or {})).items():
            if key.startswith(State.APP_PREFIX):
                self.app[key.removeprefix(State.APP_PREFIX)] = value
            elif key.startswith(State.USER_PREFIX):
                self.user[key.removeprefix(State.USER_PREFIX)] = value
            else:
                self.session[key] = value

    def __bool__(self) -> bool:
        return bool(self.app or self.user or self.session)


def message_of(event: Event) -> NewMessage:
    """The message that an event becomes, without the state that is not stored.

    InvalidArgument names what of the event cannot be stored.
    """
    delta = _stored_part(event.actions.state_delta)
    actions = event.actions.model_copy(update={"state_delta": delta})
    try:
        dumped = event.model_copy(update={"actions": actions}).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
    except PydanticSerializationError as error:
        raise InvalidArgument("event", "must be JSON") from error
    parts = (dumped.get("content") or {}).get("parts") or []
    shown = [part for part in parts if part.get("text") and not part.get("thought")]
    said = "\n".join(part["text"] for part in shown)
    answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
    role = _role(event, said, answers)
    at = _moment("event.timestamp", event.timestamp)
    del dumped["id"]
    metadata: dict[str, Any] = {EVENT: dumped}
    if len(shown) == 1:
        shown[0]["text"] = None
    if role == "tool":
        responses = [each.get("response") for each in answers]
        said = json_text(responses[0] if len(answers) == 1 else responses)
        if len(answers) == 1 and isinstance(answers[0].get("id"), str):
            metadata[TOOL_CALL_ID] = answers[0]["id"]
    try:
        return NewMessage(
            role=role,
            content=said,
            message_id=event.id,
            at=at,
            sent_at=at,
            errors=event.error_message,
            tool_calls=_calls(parts) if role == "assistant" else [],
            metadata=metadata,
        )
    except InvalidArgument as error:
        named = "event.id" if error.argument == "message_id" else "event"
        raise InvalidArgument(named, error.allowed) from error


def event_of(message: Message) -> Event | None:
    """The event that a message holds; None if it holds none. CorruptItem."""
    stored = message.metadata.get(EVENT)
    if stored is None:
        return None
    try:
        return Event.model_validate(_whole(stored, message))
    except ValidationError as error:
        raise CorruptItem("message", f"metadata.{EVENT} is no event") from error


def _whole(stored: Any, message: Message) -> Any:
    """The JSON of an event, with what the message says itself."""
    match stored:
        case {"content": {"parts": list(parts), **content}, **others}:
            parts = [_with_text(part, message.content) for part in parts]
            return {"id": message.message_id, **others, "content": {**content, "parts": parts}}
        case dict():
            return {"id": message.message_id, **stored}
    return stored


def _with_text(part: Any, text: str) -> Any:
    match part:
        case {"text": None, **others}:
            return {**others, "text": text}
    return part


def since(timestamp: float | None) -> datetime | None:
    """The time from which on the messages of events with this timestamp, or a later one, are."""
    if not timestamp or timestamp < 0:
        return None
    return _moment("config.after_timestamp", timestamp)


def _stored_part(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in delta.items() if not key.startswith(State.TEMP_PREFIX)}


def _as_json(argument: str, value: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json_copy(to_jsonable_python(value))
    except ValueError as error:  # the framework's services would store such a value's repr
        raise InvalidArgument(argument, "must be JSON") from error
    return found


def _role(event: Event, said: str, answers: Sequence[Any]) -> Role:
    if answers and not said:
        return "tool"
    return "user" if event.author == "user" else "assistant"


def _calls(parts: Sequence[Mapping[str, Any]]) -> list[ToolCall]:
    """The tool calls among the parts of an event."""
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return [
        ToolCall(tool=each.get("name") or "", args=each.get("args"), call_id=each.get("id"))
        for each in calls
    ]


def _moment(argument: str, timestamp: float) -> datetime:
    """A timestamp to the millisecond, rounded down, as positions of messages are."""
    try:
        found = datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidArgument(argument, "must be a time in seconds since 1970") from error
    return found.replace(microsecond=found.microsecond // 1000 * 1000)
