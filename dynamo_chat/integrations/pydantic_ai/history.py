"""A message of Pydantic AI as a message of a conversation, and back.

Everything that Pydantic AI says of it is in the message's metadata, under ``pydantic_ai``:

    {"message": …, "text": path}    the message as JSON; its one text is not in it, but is the
                                    content of the message of the conversation
    {"message": …}                  the message as JSON; it has several texts, or none
    {…, "parent": id}               the entry before it, in a store of conversations

Role, content and tool calls are what people, and other models' formats, read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic import ValidationError
from pydantic_ai import messages as theirs
from pydantic_core import PydanticSerializationError

from dynamo_chat.chat.formats.shared import (
    TOOL_CALL_ID,
    Said,
    arguments_of,
    filled,
    result_text,
    with_results,
)
from dynamo_chat.chat.message import NewMessage, ToolCall
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import json_copy, validated
from dynamo_chat.core.errors import InvalidArgument

KEPT: Final = "pydantic_ai"
"""In a message's metadata: what Pydantic AI says of it."""
PARENT: Final = "parent"

_KINDS_OF_REQUESTS: Final[Mapping[str, Sequence[str]]] = {
    "user": ("user-prompt", "speech"),
    "tool": ("tool-return", "retry-prompt"),
}
"""The parts that a request shows, by its role; else it is the system's."""

Path: TypeAlias = list[str | int]


class _Shown(NamedTuple):
    """What people read of a message: its role, and its texts with where they are."""

    role: str
    texts: list[tuple[Path, str]]


def as_messages(history: Sequence[theirs.ModelMessage]) -> list[NewMessage]:
    """Messages of Pydantic AI, one for each, to be appended to a conversation. InvalidArgument."""
    if not isinstance(history, Sequence) or isinstance(history, (str, bytes)):
        raise InvalidArgument("history", f"must be a list, not {type(history).__name__}")
    return [message_of(said, f"history.{at}") for at, said in enumerate(history)]


def as_history(messages: Iterable[Said]) -> list[theirs.ModelMessage]:
    """The messages of a conversation, as `message_history` of Pydantic AI.

    Messages that `as_messages` made come back with every field. Others become requests and
    responses with their text and tool calls; a message that is still being streamed is left out.
    """
    history: list[theirs.ModelMessage] = []
    names: dict[str, str] = {}
    for message, calls in with_results(messages):
        names |= {call.call_id or "": call.tool for call in calls}
        if not message.is_streaming:
            kept = kept_in(message)
            history.append(_plain(message, calls, names) if kept is None else kept)
    return history


def message_of(
    said: theirs.ModelMessage,
    argument: str = "message",
    *,
    message_id: str | None = None,
    beside: Mapping[str, Any] | None = None,
) -> NewMessage:
    """The message that keeps one of Pydantic AI, with more to keep `beside` it. InvalidArgument."""
    if not isinstance(said, (theirs.ModelRequest, theirs.ModelResponse)):
        raise InvalidArgument(
            argument, f"must be a ModelRequest or ModelResponse, not {type(said).__name__}"
        )
    try:
        dumped = theirs.ModelMessagesTypeAdapter.dump_python([said], mode="json")[0]
        data: dict[str, Any] = json_copy(dumped)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidArgument(argument, str(error)) from error
    shown = _shown(data)
    kept: dict[str, Any] = {"message": data, **(beside or {})}
    if len(shown.texts) == 1:
        path = shown.texts[0][0]
        kept |= {"message": filled(data, path, None), "text": path}
    metadata: dict[str, Any] = {KEPT: kept}
    answered = [each["tool_call_id"] for each in data["parts"] if each.get("tool_call_id")]
    if shown.role == "tool" and len(answered) == 1:
        metadata[TOOL_CALL_ID] = answered[0]
    return validated(
        NewMessage,
        argument,
        role=shown.role,
        content="\n\n".join(text for _, text in shown.texts),
        tool_calls=[_call(each) for each in _parts(data, "tool-call")],
        metadata=metadata,
        message_id=message_id,
    )


def kept_in(message: Said) -> theirs.ModelMessage | None:
    """What Pydantic AI said in this message; None if it was another program's."""
    kept = message.metadata.get(KEPT)
    if not isinstance(kept, dict) or "message" not in kept:
        return None
    data, path = kept["message"], kept.get("text")
    if isinstance(path, list) and path:
        data = filled(data, path, message.content)
    try:
        return theirs.ModelMessagesTypeAdapter.validate_json(json_text([data]))[0]
    except ValidationError:  # of a later release, or damaged: its text is readable
        return None


# -- what people read -----------------------------------------------------------------------------


def _shown(data: Mapping[str, Any]) -> _Shown:
    """The role and texts of a message in JSON: of a request, what matters most of its parts."""
    if data["kind"] == "response":
        return _Shown("assistant", list(_texts(data, "text", "speech")))
    for role, kinds in _KINDS_OF_REQUESTS.items():
        if any(part["part_kind"] in kinds for part in data["parts"]):
            return _Shown(role, list(_texts(data, *kinds)))
    return _Shown("system", list(_texts(data, "system-prompt", "retry-feedback")))


def _texts(data: Mapping[str, Any], *kinds: str) -> Iterator[tuple[Path, str]]:
    for at, part in enumerate(data["parts"]):
        field = "transcript" if part["part_kind"] == "speech" else "content"
        content = part.get(field)
        if part["part_kind"] not in kinds or content is None:
            continue
        if isinstance(content, str):
            yield ["parts", at, field], content
        elif part["part_kind"] != "user-prompt":
            yield [], result_text(content)
        elif isinstance(content, list):
            for place, each in enumerate(content):
                if isinstance(each, str):
                    yield ["parts", at, "content", place], each


def _parts(data: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (part for part in data["parts"] if part["part_kind"] == kind)


def _call(part: Mapping[str, Any]) -> ToolCall:
    args = part.get("args")
    return validated(
        ToolCall,
        tool=part["tool_name"],
        args=arguments_of(args) if isinstance(args, str) else args,
        call_id=part["tool_call_id"],
    )


# -- messages of other programs -------------------------------------------------------------------


def _plain(
    message: Said, calls: Sequence[ToolCall], names: Mapping[str, str]
) -> theirs.ModelMessage:
    """A message that Pydantic AI did not write, with its text and tool calls."""
    if message.role == "assistant":
        said: list[theirs.ModelResponsePart] = []
        if message.content or not calls:
            said.append(theirs.TextPart(message.content))
        said += [
            theirs.ToolCallPart(call.tool, args=call.args, tool_call_id=call.call_id or "")
            if isinstance(call.args, (dict, str))
            else theirs.ToolCallPart(call.tool, tool_call_id=call.call_id or "")
            for call in calls
        ]
        return theirs.ModelResponse(said)
    if message.role == "tool":
        answered = str(message.metadata.get(TOOL_CALL_ID, ""))
        name = names.get(answered, "tool")
        return theirs.ModelRequest(
            [theirs.ToolReturnPart(name, message.content, tool_call_id=answered)]
        )
    if message.role == "system":
        return theirs.ModelRequest([theirs.SystemPromptPart(message.content)])
    return theirs.ModelRequest([theirs.UserPromptPart(message.content)])
