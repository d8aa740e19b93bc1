"""Chooses the latest messages that fit into a model's context (C23)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

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

    A call and its results go together. Results whose call is not there, which a model's API would
    refuse, are left out.
    """
    groups: list[list[Message]] = []
    left = max_tokens
    for group in _groups(latest_first):
        if group[0].role == "tool":
            continue
        left -= sum(_tokens(each, count) for each in group)
        if left < 0:
            return [each for group in reversed(groups) for each in group], True
        groups.append(group)
    return [each for group in reversed(groups) for each in group], False


def _groups(latest_first: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages, latest first, in groups that are not separated; each in order.

    Results of tools belong to the message before them, if that is the assistant's with calls.
    """
    results: list[Message] = []
    for message in latest_first:
        if message.role == "tool":
            results.insert(0, message)
        elif message.role == "assistant" and message.tool_calls:
            yield [message, *results]
            results = []
        else:
            if results:
                yield results
                results = []
            yield [message]
    if results:
        yield results


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
