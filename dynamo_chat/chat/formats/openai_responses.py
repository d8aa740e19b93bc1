"""OpenAI's responses format: a list of items, in which calls and results stand beside messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
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

_FORMAT: Final = "openai_responses"
ITEM: Final = "openai_item"
"""In the metadata of an empty assistant message: an item that is none, such as reasoning."""


def openai_items(messages: Iterable[Said]) -> list[dict[str, Any]]:
    """The messages as input of OpenAI's responses API. InvalidArgument as for `openai_messages`."""
    items: list[dict[str, Any]] = []
    for message, calls in with_results(messages):
        if message.role == "tool":
            output = {"type": "function_call_output", "call_id": answered_call(message)}
            items.append({**output, "output": _content(message)})
            continue
        other = message.metadata.get(ITEM)
        if isinstance(other, dict):
            items.append(other)
        content = _content(message)
        if content or not (calls or other):
            items.append({"type": "message", "role": shown_role(message), "content": content})
        items += [
            {
                "type": "function_call",
                "call_id": call.call_id,
                "name": call.tool,
                "arguments": arguments_text(call),
            }
            for call in calls
        ]
    return items


def from_openai_items(items: Sequence[Mapping[str, Any]]) -> list[NewMessage]:
    """The input or output items of the responses API, to be appended. InvalidArgument.

    Calls belong to the assistant's message before them. An item that is neither message nor call
    (reasoning, a hosted tool) becomes an empty message of the assistant that keeps it.
    """
    messages: list[NewMessage] = []
    for name, item in each_of("items", items):
        kind = item.get("type", "message" if "role" in item else None)
        if kind == "message":
            role, metadata = stored_role(name, item.get("role"))
            fields = _fields(f"{name}.content", item.get("content"))
            messages.append(made(role, **joined(fields, metadata)))
        elif kind == "function_call":
            call = validated(
                ToolCall,
                tool=text_of(f"{name}.name", item.get("name")),
                args=arguments_of(text_of(f"{name}.arguments", item.get("arguments"))),
                call_id=text_of(f"{name}.call_id", item.get("call_id")),
            )
            if not messages or messages[-1].role != "assistant":
                messages.append(made("assistant"))
            last = messages[-1]
            messages[-1] = last.model_copy(update={"tool_calls": (*last.tool_calls, call)})
        elif kind == "function_call_output":
            call_id = text_of(f"{name}.call_id", item.get("call_id"))
            fields = _fields(f"{name}.output", item.get("output"))
            messages.append(made("tool", **joined(fields, {TOOL_CALL_ID: call_id})))
        elif isinstance(kind, str):
            messages.append(made("assistant", metadata={ITEM: dict(item)}))
        else:
            raise InvalidArgument(f"{name}.type", "must be text")
    return messages


def _fields(name: str, content: Any) -> dict[str, Any]:
    if isinstance(content, str):
        return {"content": content}
    return content_fields([_part_from(each) for _, each in each_of(name, content)])


def _part_from(theirs: Mapping[str, Any]) -> dict[str, Any]:
    match theirs:
        case {"type": "input_text" | "output_text", "text": str(text), **more}:
            return kept(text_part(text), _FORMAT, theirs, is_all=not more)
        case {"type": "input_image", "image_url": str(url), **more}:
            return kept(image_part(url), _FORMAT, theirs, is_all=not more)
    return kept({"type": "other"}, _FORMAT, theirs, is_all=False)


def _content(message: Said) -> str | list[dict[str, Any]]:
    text_type = "output_text" if message.role == "assistant" else "input_text"
    return content_of(message, _FORMAT, partial(_part, text_type=text_type))


def _part(part: dict[str, Any], *, text_type: str) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": text}:
            return {"type": text_type, "text": text}
        case {"type": "image"}:
            return {"type": "input_image", "image_url": image_url(part)}
    raise refused(part, "OpenAI's responses")
