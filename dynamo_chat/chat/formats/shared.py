"""What all formats share: parts of contents, tool calls with their results, and roles.

In a message's `metadata` a format may keep:

    role          "developer", where the stored role is "system"
    tool_call_id  of a message with role "tool": the call that it answers
    is_error      of a message with role "tool": the tool failed
    parts         the content, if it is more than text: a list of parts

A part is ``{"type": "text", "text": …}``, ``{"type": "image", "url": …}``, ``{"type": "image",
"media_type": …, "data": …}`` or ``{"type": "other"}``. If a format says more than that, the part
has ``"format"`` and ``"value"``: what the format says. Other formats then use the text or image of
the part, and refuse a part of type "other".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from dynamo_chat.chat.message import Message, NewMessage, Role, ToolCall
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import json_copy, validated
from dynamo_chat.core.errors import InvalidArgument

Said: TypeAlias = Message | NewMessage
"""A message that is stored, or is to be appended."""

ROLE: Final = "role"
TOOL_CALL_ID: Final = "tool_call_id"
IS_ERROR: Final = "is_error"
PARTS: Final = "parts"

_DATA_URL = "data:"
_BASE64 = ";base64,"


def made(role: str, **fields: Any) -> NewMessage:
    """A message to append. InvalidArgument."""
    return validated(NewMessage, role=role, **fields)


def each_of(argument: str, given: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The entries of a list of objects, with their names for errors. InvalidArgument."""
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise InvalidArgument(argument, f"must be a list, not {type(given).__name__}")
    for place, each in enumerate(given):
        name = f"{argument}.{place}"
        if not isinstance(each, Mapping):
            raise InvalidArgument(name, f"must be an object, not {type(each).__name__}")
        yield name, each


def text_of(name: str, given: Any) -> str:
    """`given`, or InvalidArgument when it is not text."""
    if not isinstance(given, str):
        raise InvalidArgument(name, f"must be text, not {type(given).__name__}")
    return given


# -- contents -----------------------------------------------------------------------------------


def text_part(text: str) -> dict[str, Any]:
    """A part that is text."""
    return {"type": "text", "text": text}


def kept(
    part: Mapping[str, Any], format_name: str, value: Mapping[str, Any], *, is_all: bool
) -> dict[str, Any]:
    """`part`, with what this format says of it unless that is all in the part."""
    return dict(part) if is_all else {**part, "format": format_name, "value": dict(value)}


def kept_by(format_name: str, part: Mapping[str, Any]) -> dict[str, Any] | None:
    """What this format said of the part, if it said more than the part does."""
    value = part.get("value")
    return value if part.get("format") == format_name and isinstance(value, dict) else None


def filled(value: Any, path: Sequence[str | int], text: str | None) -> Any:
    """A copy of a JSON value with this text at the path; `value` if it has no such place."""
    copied = json_copy(value)
    place = copied
    try:
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = text
    except (LookupError, TypeError):
        return value
    return copied


def image_part(url: str) -> dict[str, Any]:
    """A part that is an image, at an address or in a data URL."""
    head, is_data, data = url.partition(_BASE64)
    if is_data and head.startswith(_DATA_URL):
        return {"type": "image", "media_type": head.removeprefix(_DATA_URL), "data": data}
    return {"type": "image", "url": url}


def image_url(part: Mapping[str, Any]) -> str:
    """The address of an image part, or a data URL."""
    if "url" in part:
        return str(part["url"])
    return f"{_DATA_URL}{part['media_type']}{_BASE64}{part['data']}"


def content_fields(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of a message with these parts: its text, and its parts if that is not all."""
    texts = [str(part["text"]) for part in parts if part["type"] == "text"]
    fields: dict[str, Any] = {"content": "\n".join(texts)}
    if len(parts) != 1 or not texts or "value" in parts[0]:
        fields["metadata"] = {PARTS: [dict(part) for part in parts]}
    return fields


def parts_of(message: Said) -> list[dict[str, Any]] | None:
    """The parts of a message's content; None if it is plain text.

    An edit changes the content and not the parts: then the text that was edited is what it says.
    """
    kept = message.metadata.get(PARTS)
    if not isinstance(kept, list) or not all(isinstance(each, dict) for each in kept):
        return None
    parts: list[dict[str, Any]] = [dict(each) for each in kept]
    texts = [str(each.get("text")) for each in parts if each.get("type") == "text"]
    if "\n".join(texts) == message.content:
        return parts
    others = [each for each in parts if each.get("type") != "text"]
    return [text_part(message.content), *others] if message.content else others


def content_of(
    message: Said, format_name: str, made_of: Callable[[dict[str, Any]], dict[str, Any]]
) -> str | list[dict[str, Any]]:
    """A message's content in a format: plain text, or its parts as `made_of` makes them.

    A part is as this format said it, if that was more than the part says.
    """
    parts = parts_of(message)
    if parts is None:
        return message.content
    own = ((each, kept_by(format_name, each)) for each in parts)
    return [made_of(each) if said is None else said for each, said in own]


def refused(part: Mapping[str, Any], format_name: str) -> InvalidArgument:
    """The error of a part that another format does not know."""
    value = part.get("value")
    what = value.get("type") if isinstance(value, dict) else part.get("type")
    return InvalidArgument("messages", f"a part of type {what!r} has no form in {format_name}")


# -- tool calls ---------------------------------------------------------------------------------


def arguments_of(text: str) -> Any:
    """The arguments of a tool call, from the JSON that a model wrote; the text if it is no object.

    A model may write JSON that is cut off or is none: that must survive, too.
    """
    try:
        found = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


def _no_json(name: str) -> Any:
    raise ValueError(name)


def arguments_text(call: ToolCall) -> str:
    """The arguments of a tool call as JSON."""
    if isinstance(call.args, str):
        return call.args
    return json_text({} if call.args is None else call.args)


def result_text(result: Any) -> str:
    """The result of a tool call as a model reads it."""
    return result if isinstance(result, str) else json_text(result)


def with_results(messages: Iterable[Said]) -> Iterator[tuple[Said, tuple[ToolCall, ...]]]:
    """Each message with its tool calls, which have ids; then the results as messages.

    A call without an id gets one from its place. A result that is stored in its call becomes a
    message with role "tool" directly behind it.
    """
    for number, message in enumerate(messages):
        calls = tuple(
            call if call.call_id else call.model_copy(update={"call_id": f"call_{number}_{place}"})
            for place, call in enumerate(message.tool_calls)
        )
        yield message, calls
        for call in calls:
            if call.result is not None:
                answer = made(
                    "tool",
                    content=result_text(call.result),
                    metadata={TOOL_CALL_ID: call.call_id},
                )
                yield answer, ()


def answered_call(message: Said) -> str:
    """The id of the call that a message with role "tool" answers. InvalidArgument."""
    found = message.metadata.get(TOOL_CALL_ID)
    if not isinstance(found, str):
        raise InvalidArgument(
            "messages", f"a message with role 'tool' needs {TOOL_CALL_ID!r} in its metadata"
        )
    return found


# -- roles --------------------------------------------------------------------------------------

_STORED_ROLES: Final[Mapping[str, tuple[Role, dict[str, Any]]]] = {
    "user": ("user", {}),
    "assistant": ("assistant", {}),
    "system": ("system", {}),
    "developer": ("system", {ROLE: "developer"}),
}


def stored_role(name: str, role: Any) -> tuple[Role, dict[str, Any]]:
    """The role of a message to store, and the metadata that tells which it was."""
    found = _STORED_ROLES.get(role) if isinstance(role, str) else None
    if found is None:
        raise InvalidArgument(f"{name}.role", f"must be one of {', '.join(_STORED_ROLES)}")
    return found


def shown_role(message: Said) -> str:
    """The role in a format that knows "developer"."""
    is_developer = message.role == "system" and message.metadata.get(ROLE) == "developer"
    return "developer" if is_developer else message.role


def joined(fields: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with more metadata."""
    return {**fields, "metadata": {**fields.get("metadata", {}), **metadata}}
