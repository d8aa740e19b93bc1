"""Anthropic's messages format: calls and results are blocks, and the system prompt is apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from dynamo_chat.chat.formats.shared import (
    IS_ERROR,
    TOOL_CALL_ID,
    Said,
    answered_call,
    arguments_of,
    content_fields,
    content_of,
    each_of,
    joined,
    kept,
    made,
    refused,
    text_of,
    text_part,
    with_results,
)
from dynamo_chat.chat.message import NewMessage, ToolCall
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument

_FORMAT: Final = "anthropic"


class AnthropicPrompt(NamedTuple):
    """The arguments ``system`` and ``messages`` of a request; `system` is empty if there is none.

    `system` is a list of blocks if a system message has more than text.
    """

    system: str | list[dict[str, Any]]
    messages: list[dict[str, Any]]


def anthropic_messages(messages: Iterable[Said]) -> AnthropicPrompt:
    """The messages for Anthropic's API; the texts of system messages are joined in `system`.

    The results of one message's calls are in one message of the user's, as the API requires. An
    empty message is left out, because the API refuses it. InvalidArgument as for `openai_messages`.
    """
    system: list[str | list[dict[str, Any]]] = []
    theirs: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] | None = None
    for message, calls in with_results(messages):
        if message.role == "system":
            system.append(_content(message))
            continue
        if message.role == "tool":
            if answers is None:
                answers = []
                theirs.append({"role": "user", "content": answers})
            answers.append(_result(message))
            continue
        answers = None
        content = _content(message)
        if calls:
            blocks = content if isinstance(content, list) else [text_part(content)][: len(content)]
            content = [*blocks, *map(_use, calls)]
        if content:
            theirs.append({"role": message.role, "content": content})
    return AnthropicPrompt(_system(system), theirs)


def from_anthropic_messages(
    messages: Sequence[Mapping[str, Any]], system: str | Sequence[Mapping[str, Any]] = ""
) -> list[NewMessage]:
    """The messages of a request or response of Anthropic's API, to be appended. InvalidArgument.

    Each result of a tool is a message of its own, in front of what else the user's message says.
    """
    made_: list[NewMessage] = []
    if system:
        made_.append(made("system", **_fields("system", system)))
    for name, each in each_of("messages", messages):
        role, content = each.get("role"), each.get("content")
        if role not in {"user", "assistant"}:
            raise InvalidArgument(f"{name}.role", "must be 'user' or 'assistant'")
        if isinstance(content, str):
            made_.append(made(role, content=content))
            continue
        blocks = list(each_of(f"{name}.content", content))
        results = [(at, block) for at, block in blocks if block.get("type") == "tool_result"]
        uses = [(at, block) for at, block in blocks if block.get("type") == "tool_use"]
        rest = [
            block for _, block in blocks if block.get("type") not in {"tool_result", "tool_use"}
        ]
        if (uses and role != "assistant") or (results and role != "user"):
            raise InvalidArgument(name, "calls are the assistant's, and results the user's")
        made_ += [_from_result(at, block) for at, block in results]
        if rest or uses or not results:
            fields = content_fields([_part_from(block) for block in rest]) if rest else {}
            made_.append(made(role, **fields, tool_calls=[_from_use(*use) for use in uses]))
    return made_


def _system(said: Sequence[str | list[dict[str, Any]]]) -> str | list[dict[str, Any]]:
    texts = [each for each in said if isinstance(each, str)]
    if len(texts) == len(said):
        return "\n\n".join(texts)
    return [
        block
        for each in said
        for block in ([text_part(each)] if isinstance(each, str) and each else each)
        if isinstance(block, dict)
    ]


def _use(call: ToolCall) -> dict[str, Any]:
    args = {} if call.args is None else call.args
    found = arguments_of(args) if isinstance(args, str) else args
    given = found if isinstance(found, dict) else {"arguments": found}
    return {"type": "tool_use", "id": call.call_id, "name": call.tool, "input": given}


def _from_use(name: str, block: Mapping[str, Any]) -> ToolCall:
    given = block.get("input")
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"{name}.input", "must be an object")
    return validated(
        ToolCall,
        tool=text_of(f"{name}.name", block.get("name")),
        args=dict(given),
        call_id=text_of(f"{name}.id", block.get("id")),
    )


def _result(message: Said) -> dict[str, Any]:
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": answered_call(message)}
    result["content"] = _content(message)
    return {**result, "is_error": True} if message.metadata.get(IS_ERROR) is True else result


def _from_result(name: str, block: Mapping[str, Any]) -> NewMessage:
    metadata: dict[str, Any] = {
        TOOL_CALL_ID: text_of(f"{name}.tool_use_id", block.get("tool_use_id"))
    }
    if block.get("is_error") is True:
        metadata[IS_ERROR] = True
    fields = _fields(f"{name}.content", block.get("content", ""))
    return made("tool", **joined(fields, metadata))


def _fields(name: str, content: Any) -> dict[str, Any]:
    if isinstance(content, str):
        return {"content": content}
    return content_fields([_part_from(each) for _, each in each_of(name, content)])


def _part_from(theirs: Mapping[str, Any]) -> dict[str, Any]:
    match theirs:
        case {"type": "text", "text": str(text), **more}:
            return kept(text_part(text), _FORMAT, theirs, is_all=not more)
        case {
            "type": "image",
            "source": {"type": "base64", "media_type": str(media), "data": str(data)},
            **more,
        }:
            part = {"type": "image", "media_type": media, "data": data}
            return kept(part, _FORMAT, theirs, is_all=not more)
        case {"type": "image", "source": {"type": "url", "url": str(url)}, **more}:
            return kept({"type": "image", "url": url}, _FORMAT, theirs, is_all=not more)
    return kept({"type": "other"}, _FORMAT, theirs, is_all=False)


def _content(message: Said) -> str | list[dict[str, Any]]:
    return content_of(message, _FORMAT, _part)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": text}:
            return text_part(text)
        case {"type": "image", "url": url}:
            return {"type": "image", "source": {"type": "url", "url": url}}
        case {"type": "image", "media_type": media, "data": data}:
            source = {"type": "base64", "media_type": media, "data": data}
            return {"type": "image", "source": source}
    raise refused(part, "Anthropic's messages")
