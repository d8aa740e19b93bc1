"""What the tests of chats say."""

from typing import Any

from dynamo_chat import ChatStore, Message, NewMessage


def user(content: str = "hello", **fields: Any) -> NewMessage:
    """A message of the user's."""
    return NewMessage(role="user", content=content, **fields)


def assistant(content: str = "hi", **fields: Any) -> NewMessage:
    """A message of the assistant's."""
    return NewMessage(role="assistant", content=content, **fields)


def say(store: ChatStore, conversation_id: str, *contents: str, **fields: Any) -> list[Message]:
    """Append user messages, one by one."""
    return [store.messages.append(conversation_id, user(each, **fields)) for each in contents]


def said(store: ChatStore, conversation_id: str) -> list[str]:
    """The contents of a conversation, in order."""
    page = store.messages.list(conversation_id, page_size=1_000, consistent=True)
    assert page.cursor is None
    return [message.content for message in page]
