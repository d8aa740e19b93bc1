"""Chooses the latest messages that fit into a model's context (C23)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dynamo_chat.chat.formats.shared import TOOL_CALL_ID
from dynamo_chat.chat.message import Message
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.errors import InvalidArgument

_CHARACTERS_OF_A_TOKEN = 4
_TOKENS_OF_A_MESSAGE = 4

CountTokens = Callable[[Message], int]


def estimated_tokens(message: Message) -> int:
    """About how many tokens a message has: a quarter of its characters, and 4 for its role.

    English text has fewer, other scripts may have up to four times as many: pass a tokenizer's
    count where it matters.
    """
    said = len(message.content)
    for call in message.tool_calls:
        said += len(call.tool) + len(json_text([call.args, call.result]))
    return _TOKENS_OF_A_MESSAGE + -(-said // _CHARACTERS_OF_A_TOKEN)


def fitting(
    latest_first: Iterable[Message], max_tokens: int, count: CountTokens
) -> tuple[list[Message], bool]:
    """The latest messages of at most `max_tokens` in total, in order; and whether any is left out.

    A call and its results go together: each result is directly behind its call, as models' APIs
    want it, also if something was said in between. Results whose call is not there, which an API
    would refuse, are left out.
    """
    groups: list[list[Message]] = []
    left = max_tokens
    for group in _groups(latest_first):
        left -= sum(_tokens(each, count) for each in group)
        if left < 0:
            return [each for group in reversed(groups) for each in group], True
        groups.append(group)
    return [each for group in reversed(groups) for each in group], False


def _groups(latest_first: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages, latest first, in groups that are not separated; each in order.

    A group is a message, with the results of its tool calls. An answer that is still arriving, or
    that ended before it said anything, is left out with its results.
    """
    behind: list[Message] = []  # results directly behind the next message, latest first
    late: dict[str, list[Message]] = {}  # results behind something else, by the call they name
    for message in latest_first:
        if message.role == "tool":
            behind.append(message)
            continue
        calls = {call.call_id: None for call in message.tool_calls}
        results: list[Message] = []
        for result in behind:
            named = _named(result)
            if calls and (named is None or named in calls or None in calls):
                results.append(result)
            elif named is not None:
                late.setdefault(named, []).append(result)
        after = [late.pop(each, []) for each in calls if each is not None]
        if not _is_unsaid(message):
            further = (each for found in after for each in reversed(found))
            yield [message, *reversed(results), *further]
        behind = []


def _named(result: Message) -> str | None:
    """The call that a result says it is of; None if it does not say."""
    found = result.metadata.get(TOOL_CALL_ID)
    return found if isinstance(found, str) else None


def _is_unsaid(message: Message) -> bool:
    if message.is_streaming:
        return True
    return message.status != "complete" and not message.content and not message.tool_calls


def _tokens(message: Message, count: CountTokens) -> int:
    found = count(message)
    if type(found) is not int or found < 0:
        raise InvalidArgument("count", "must return an integer from 0")
    return found


def check_limits(max_tokens: int, count: CountTokens) -> None:
    """Raise InvalidArgument unless both are what `Messages.context` needs."""
    if type(max_tokens) is not int or max_tokens < 0:
        raise InvalidArgument("max_tokens", "must be an integer from 0")
    if not callable(count):
        raise InvalidArgument("count", "must be a function of a message")
