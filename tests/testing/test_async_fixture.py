"""The fixture of asynchronous tests."""

import asyncio

import pytest

from dynamo_chat import ChatStore, NewMessage, UnusableStore
from dynamo_chat.aio import AsyncChatStore


def test_a_store_on_the_test_s_loop(
    async_chat_store: AsyncChatStore, chat_store: ChatStore
) -> None:
    """It shares its table with `chat_store`, and is made on no loop yet."""

    async def main() -> str:
        talk = await async_chat_store.conversations.create("u-1")
        new = NewMessage(role="user", content="Hello")
        await async_chat_store.messages.append(talk.conversation_id, new)
        return talk.conversation_id

    (message,) = chat_store.messages.list(asyncio.run(main()), consistent=True)
    assert message.content == "Hello"


def test_a_test_may_close_it(async_chat_store: AsyncChatStore) -> None:
    async def main() -> None:
        async with async_chat_store as store:
            await store.conversations.create("u-1")
        with pytest.raises(UnusableStore):
            await store.conversations.create("u-1")

    asyncio.run(main())
