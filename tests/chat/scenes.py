"""What the tests of chats say."""

from collections.abc import Callable
from typing import Any

from dynamo_chat import ChatStore, Message, NewMessage, ToolCall
from tests.scene import DAY, SECOND, Scene


def user(content: str = "hello", **fields: Any) -> NewMessage:
    """A message of the user's."""
    return NewMessage(role="user", content=content, **fields)


def assistant(content: str = "hi", **fields: Any) -> NewMessage:
    """A message of the assistant's."""
    return NewMessage(role="assistant", content=content, **fields)


IN_FULL = assistant(
    "words",
    message_id="m-1",
    errors="slow",
    documents=[{"title": "A"}],
    tool_calls=[ToolCall(tool="t")],
    metadata={"n": 1},
    response_time=1.5,
    recommendations=["Heat"],
)
"""A message with something in every part, and an id of the caller's."""


def not_there(
    scene: Scene, store: ChatStore, fill: Callable[[str], object] = lambda _: None
) -> tuple[str, ...]:
    """Conversations that were never created, were deleted, have expired, and have slid away.

    The last three were filled while they lived; the store remembers them.
    """
    for identity, options in {
        "gone": {},
        "fixed": {"retention": DAY},
        "slid": {"retention": DAY, "sliding": True},
    }.items():
        store.conversations.create("u-1", conversation_id=identity, **options)  # type: ignore[arg-type]
        fill(identity)
    scene.new_store().conversations.delete("gone")
    scene.clock.advance(DAY + SECOND)
    return "never", "gone", "fixed", "slid"


def say(store: ChatStore, conversation_id: str, *contents: str, **fields: Any) -> list[Message]:
    """Append user messages, one by one."""
    return [store.messages.append(conversation_id, user(each, **fields)) for each in contents]


def said(store: ChatStore, conversation_id: str) -> list[str]:
    """The contents of a conversation, in order."""
    page = store.messages.list(conversation_id, page_size=1_000, consistent=True)
    assert page.cursor is None
    return [message.content for message in page]
