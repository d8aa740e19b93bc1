"""A service that awaits. It is never run: mypy and pyright look at it as they would in one."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import assert_type

from dynamo_chat import (
    ChatStore,
    ConnectionOptions,
    Conversation,
    ConversationState,
    Difference,
    Feedback,
    Found,
    Items,
    Message,
    NewMessage,
    Page,
    RateLimitExceeded,
    User,
)
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.aio.derived import AsyncMessages


async def stores() -> None:
    """The ways to make a store, and its two ends."""
    async with AsyncChatStore("chat-prod", region="eu-west-1") as store:
        assert_type(store, AsyncChatStore)
        assert_type(store.connection.table_name, str)
    options = ConnectionOptions(read_timeout=2.0, max_attempts=3)
    other = AsyncChatStore("chat-dev", endpoint_url="http://127.0.0.1:8000", options=options)
    assert_type(await other.open(), AsyncChatStore)
    assert_type(await other.close(), None)
    assert_type(AsyncChatStore.from_env(), AsyncChatStore)


async def table(store: AsyncChatStore) -> None:
    """Creating and checking the table, and a part of a repository."""
    await store.table.create()
    for difference in await store.table.check():
        assert_type(difference, Difference)
    await store.table.backups.create("nightly")


async def converse(store: AsyncChatStore) -> str:
    """A conversation, from its creation to its latest messages."""
    talk = await store.conversations.create("u-1", retention=timedelta(days=30), keep_last=10)
    assert_type(talk, Conversation)
    asked = await store.messages.append(
        talk.conversation_id, NewMessage(role="user", content="Show me 4K renders")
    )
    assert_type(asked, Message)
    turn = await store.messages.append_turn(
        talk.conversation_id,
        [
            NewMessage(role="user", content="And at night?", message_id="client-7"),
            NewMessage(role="assistant", content="Here.", message_id="run-7"),
        ],
    )
    assert_type(turn, tuple[Message, ...])
    head, latest = await store.messages.latest_with_conversation(talk.conversation_id, 20)
    assert_type(head, Conversation)
    assert_type(latest, Items[Message])
    given = await store.messages.give_feedback(
        talk.conversation_id, asked.message_id, Feedback(type="positive")
    )
    assert_type(given, Feedback)
    assert_type(await store.states.get(talk.conversation_id), ConversationState | None)
    assert_type(await store.conversations.get_many(["c-1"]), Found[Conversation])
    return latest[-1].content


async def sidebar(store: AsyncChatStore, user_id: str) -> AsyncIterator[str]:
    """Every conversation of a user, page by page."""
    cursor: str | None = None
    while True:
        page = await store.conversations.list_by_activity(user_id, page_size=20, cursor=cursor)
        assert_type(page, Page[Conversation])
        for talk in page:
            yield talk.title or "untitled"
        cursor = page.cursor
        if cursor is None:
            return


async def everything(store: AsyncChatStore, user_id: str) -> AsyncIterator[Message]:
    """Without cursors: an iterator is not awaited."""
    async for talk in store.conversations.iterate_by_user(user_id, newest_first=False):
        assert_type(talk, Conversation)
        said = store.messages.iterate(talk.conversation_id, user_id=user_id, page_size=50)
        assert_type(said, AsyncGenerator[Message, None])
        async for message in said:
            yield message
    async with aclosing(store.messages.iterate("c-1")) as some:
        assert_type(await anext(some), Message)


async def kept(messages: AsyncMessages) -> list[str | None]:
    """A repository is an argument like any other, and a call a coroutine."""
    waiting = messages.get("c-1", "m-1")
    return [(await waiting).content]


def imported(store: ChatStore, count: int) -> list[User]:
    """Written for a `ChatStore`."""
    return [store.users.create(f"{number}@example.com") for number in range(count)]


async def moved(store: AsyncChatStore) -> list[User]:
    """What `run_sync` returns is what the function returns; its arguments are checked."""
    try:
        await store.rate_limits.count("account", "ai", "reply")
    except RateLimitExceeded as over:
        assert_type(over.retry_after, int | None)
    found = await store.run_sync(imported, 3)
    assert_type(found, list[User])
    return found
