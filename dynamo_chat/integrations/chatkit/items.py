"""ChatKit's thread items as messages.

What a person or the assistant said is the content of the message, and nowhere else; so an edit of
the message is an edit of the item. Whatever else an item has is in the metadata, under ``chatkit``:
nothing for a plain text, the place of each part in the content if there are several, the
framework's JSON for widgets, tasks and the like.

    user_message          user        the text as typed, tags as @name
    assistant_message     assistant   the text of its parts
    client_tool_call      assistant   a tool call of the message
    widget                assistant   its copy_text; system if it has none
    hidden context        system      its content, if that is text
    everything else       system      empty
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any, Final

from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
)
from pydantic import TypeAdapter, ValidationError

from dynamo_chat.chat.message import Message, NewMessage, Role, ToolCall
from dynamo_chat.core.entity import validated
from dynamo_chat.integrations.chatkit.moments import instant, local, note
from dynamo_chat.integrations.chatkit.threads import NAME, json_of, unreadable

_ITEM: Final[TypeAdapter[ThreadItem]] = TypeAdapter(ThreadItem)
_ELSEWHERE: Final = {"id", "thread_id", "created_at"}
"""Fields that the message itself has."""

_CALL: Final = {"name": "tool", "arguments": "args", "output": "result", "call_id": "call_id"}
"""Fields of a client tool call, and what a message's tool call names them."""


def message_of(item: ThreadItem) -> NewMessage:
    """The message that a thread item is stored as. InvalidArgument if it can't be one."""
    fields = json_of(item, "item", exclude=_ELSEWHERE)
    role: Role = "system"
    content, calls = "", tuple[ToolCall, ...]()
    match item:
        case UserMessageItem():
            role, said = "user", [_shown(part) for part in item.content]
            content = "".join(said)
            fields = _rest(_with_lengths(fields, said), plain(role, content))
        case AssistantMessageItem():
            role, said = "assistant", [part.text for part in item.content]
            content = "".join(said)
            fields = _rest(_with_lengths(fields, said), plain(role, content))
        case ClientToolCallItem():
            role = "assistant"
            named = {ours: fields.pop(theirs) for theirs, ours in _CALL.items()}
            calls = (validated(ToolCall, "item", **named),)
        case WidgetItem(copy_text=str(text)) if text:
            role, content = "assistant", fields.pop("copy_text")
        case HiddenContextItem(content=str()) | SDKHiddenContextItem():
            content = fields.pop("content")
    sent_at = instant(item.created_at)
    moment = note(item.created_at, sent_at)
    if moment is not None:
        fields["created_at"] = moment
    return validated(
        NewMessage,
        "item",
        role=role,
        content=content,
        message_id=item.id,
        sent_at=sent_at,
        tool_calls=calls,
        metadata={NAME: fields} if fields else {},
    )


def item_of(message: Message) -> ThreadItem:
    """The thread item that a message is, whoever appended it. CorruptItem."""
    noted = message.metadata.get(NAME) or {}
    fields: dict[str, Any] = dict(noted) if isinstance(noted, dict) else {NAME: noted}
    match fields.get("type"):
        case None:
            there = plain(message.role, message.content)
            fields = {**there, **fields}
            if there["type"] != "hidden_context_item":
                fields["content"] = _with_texts(
                    fields["content"], there["content"], message.content
                )
        case "client_tool_call" if message.tool_calls:
            call = message.tool_calls[0]
            fields.update({theirs: getattr(call, ours) for theirs, ours in _CALL.items()})
        case "widget" if message.content:
            fields["copy_text"] = message.content
        case "hidden_context_item" | "sdk_hidden_context":
            fields.setdefault("content", message.content)
    fields.setdefault("created_at", local(message.sent_at))
    fields.update(id=message.message_id, thread_id=message.conversation_id)
    try:
        return _ITEM.validate_python(fields)
    except ValidationError as error:
        raise unreadable(
            "message",
            error,
            conversation_id=message.conversation_id,
            message_id=message.message_id,
        ) from None


def plain(role: Role, content: str) -> dict[str, Any]:
    """The JSON of the item that a message is if nothing is noted, with lengths for its texts."""
    if role == "user":
        part: dict[str, Any] = {"type": "input_text", "text": len(content)}
        return {
            "type": "user_message",
            "content": [part] if content else [],
            "attachments": [],
            "quoted_text": None,
            "inference_options": {"tool_choice": None, "model": None},
        }
    if role == "assistant":
        part = {"annotations": [], "text": len(content), "type": "output_text"}
        return {"type": "assistant_message", "content": [part] if content else []}
    return {"type": "hidden_context_item", "content": content}


def _shown(part: Any) -> str:
    """A part of what a user said, as it was typed."""
    return f"@{part.text}" if isinstance(part, UserMessageTagContent) else str(part.text)


def _rest(fields: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """The fields that differ from what is there."""
    return {name: value for name, value in fields.items() if there.get(name, ...) != value}


def _with_lengths(fields: dict[str, Any], said: Sequence[str]) -> dict[str, Any]:
    """The JSON of a message with the length of each part's text, which is in the content."""
    parts = zip(fields["content"], said, strict=True)
    return {**fields, "content": [{**part, "text": len(text)} for part, text in parts]}


def _with_texts(parts: Any, there: list[Any], content: str) -> list[Any]:
    """The parts with their texts from the content; those of a plain text if it was edited."""
    if not isinstance(parts, list) or sum(map(_length, parts)) != len(content):
        parts = there
    said, start = [], 0
    for part in parts:
        mark = 1 if part.get("type") == "input_tag" else 0
        end = start + part["text"]
        said.append({**part, "text": content[start + mark : end]})
        start = end
    return said


def _length(part: Any) -> float:
    """The length of a part's text; not a number if it has none."""
    length = part.get("text") if isinstance(part, dict) else None
    return length if type(length) is int and length >= 0 else nan
