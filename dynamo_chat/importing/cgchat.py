"""Conversations of `cgchat`: one item each, with its messages and tool results inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message, NewMessage, ToolCall
from dynamo_chat.core.entity import Count, Id, Many, Model, Text, validated
from dynamo_chat.importing.records import TOOL_CALL_ID, ConversationRecord, numbered_id
from dynamo_chat.importing.shapes import Moment, known, plain


class CgchatMessage(Model):
    """A message object of `cgchat`."""

    role: Literal["user", "assistant", "system"]
    content: Text
    timestamp: Moment
    tool_calls: Many[ToolCall] = ()
    """Without the ids that other formats give to calls."""


class CgchatConversation(Model):
    """An item of ``cg-chatbot-conversations``."""

    conversation_id: Id
    user_id: Id
    title: Text
    created_at: Moment
    updated_at: Moment
    message_count: Count
    messages: Many[CgchatMessage]


def cgchat_record(item: Mapping[str, Any]) -> ConversationRecord:
    """Convert an item of ``cg-chatbot-conversations``; its messages get numbered ids.

    InvalidArgument names the wrong field.
    """
    given = validated(CgchatConversation, "", **item)
    messages = [
        NewMessage(
            role=message.role,
            content=message.content,
            message_id=numbered_id(given.conversation_id, place),
            at=message.timestamp,
            sent_at=message.timestamp,
            tool_calls=message.tool_calls,
        )
        for place, message in enumerate(given.messages)
    ]
    return ConversationRecord(
        conversation_id=given.conversation_id,
        user_id=given.user_id,
        title=given.title or None,
        created_at=given.created_at,
        messages=messages,
    )


def cgchat_document(conversation: Conversation, messages: Sequence[Message]) -> dict[str, Any]:
    """The conversation as one item of ``cg-chatbot-conversations``, with its messages inside.

    A tool message becomes the result of its call, and is not counted; without a call it becomes a
    system message, because the document has no role for it.
    """
    shown = _with_tool_results(messages)
    return plain(
        CgchatConversation(
            conversation_id=conversation.conversation_id,
            user_id=conversation.user_id,
            title=conversation.title or "",
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
            message_count=conversation.message_count - (len(messages) - len(shown)),
            messages=tuple(shown),
        )
    )


def _with_tool_results(messages: Sequence[Message]) -> list[CgchatMessage]:
    """Messages in `cgchat`'s shape, with tool messages as the results of their calls."""
    shown: list[tuple[Message, list[ToolCall]]] = []
    for message in messages:
        if message.role != "tool" or not _is_taken(message, shown):
            shown.append((message, list(message.tool_calls)))
    return [_shown(message, calls) for message, calls in shown]


def _is_taken(result: Message, shown: Sequence[tuple[Message, list[ToolCall]]]) -> bool:
    """Set the result of the earlier call that waits for it; False if there is none."""
    wanted = result.metadata.get(TOOL_CALL_ID)
    for _, calls in reversed(shown):
        for place, call in enumerate(calls):
            if call.call_id is not None and call.call_id == wanted and call.result is None:
                calls[place] = call.model_copy(update={"result": result.content})
                return True
    return False


def _shown(message: Message, calls: Sequence[ToolCall]) -> CgchatMessage:
    return known(
        CgchatMessage,
        role="system" if message.role == "tool" else message.role,
        content=message.content,
        timestamp=message.sent_at,
        # Without the ids that other formats give to calls.
        tool_calls=tuple(ToolCall(tool=c.tool, args=c.args, result=c.result) for c in calls)
        or None,
    )
