"""OpenAI's chat completions format, which many other APIs understand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dynamo_chat.chat.formats.shared import (
    TOOL_CALL_ID,
    Said,
    answered_call,
    arguments_of,
    arguments_text,
    content_fields,
    content_of,
    each_of,
    image_part,
    image_url,
    joined,
    kept,
    made,
    refused,
    shown_role,
    stored_role,
    text_of,
    text_part,
    with_results,
)
from dynamo_chat.chat.message import NewMessage, ToolCall
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument

_FORMAT: Final = "openai"


def openai_messages(messages: Iterable[Said]) -> list[dict[str, Any]]:
    """The messages for OpenAI's chat completions, each result of a tool behind its call.

    InvalidArgument for a part that this format does not know, or a result without its call's id.
    """
    theirs = []
    for message, calls in with_results(messages):
        if message.role == "tool":
            answer = {"role": "tool", TOOL_CALL_ID: answered_call(message)}
            theirs.append({**answer, "content": _content(message)})
            continue
        said: dict[str, Any] = {"role": shown_role(message), "content": _content(message)}
        if calls:
            said["content"] = said["content"] or None
            said["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.tool, "arguments": arguments_text(call)},
                }
                for call in calls
            ]
        theirs.append(said)
    return theirs


def from_openai_messages(messages: Sequence[Mapping[str, Any]]) -> list[NewMessage]:
    """The messages of a chat completions request or response, to be appended. InvalidArgument."""
    return [_message(name, each) for name, each in each_of("messages", messages)]


def _message(name: str, theirs: Mapping[str, Any]) -> NewMessage:
    fields = _fields(f"{name}.content", theirs.get("content"))
    if theirs.get("role") == "tool":
        call_id = text_of(f"{name}.{TOOL_CALL_ID}", theirs.get(TOOL_CALL_ID))
        return made("tool", **joined(fields, {TOOL_CALL_ID: call_id}))
    role, metadata = stored_role(name, theirs.get("role"))
    calls = [
        _call(place, each)
        for place, each in each_of(f"{name}.tool_calls", theirs.get("tool_calls") or [])
    ]
    return made(role, **joined(fields, metadata), tool_calls=calls)


def _call(name: str, theirs: Mapping[str, Any]) -> ToolCall:
    function = theirs.get("function")
    if not isinstance(function, Mapping):
        raise InvalidArgument(f"{name}.function", "must be an object: only functions are known")
    return validated(
        ToolCall,
        tool=text_of(f"{name}.function.name", function.get("name")),
        args=arguments_of(text_of(f"{name}.function.arguments", function.get("arguments"))),
        call_id=text_of(f"{name}.id", theirs.get("id")),
    )


def _fields(name: str, content: Any) -> dict[str, Any]:
    if content is None or isinstance(content, str):
        return {"content": content or ""}
    return content_fields([_part_from(each) for _, each in each_of(name, content)])


def _part_from(theirs: Mapping[str, Any]) -> dict[str, Any]:
    match theirs:
        case {"type": "text", "text": str(text), **more}:
            return kept(text_part(text), _FORMAT, theirs, is_all=not more)
        case {"type": "image_url", "image_url": {"url": str(url), **options}, **more}:
            return kept(image_part(url), _FORMAT, theirs, is_all=not options and not more)
    return kept({"type": "other"}, _FORMAT, theirs, is_all=False)


def _content(message: Said) -> str | list[dict[str, Any]]:
    return content_of(message, _FORMAT, _part)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": text}:
            return text_part(text)
        case {"type": "image"}:
            return {"type": "image_url", "image_url": {"url": image_url(part)}}
    raise refused(part, "OpenAI's chat completions")
