"""Closed, or on another loop: every kind of call says so, and nothing is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewMessage, UnusableStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.testing import RequestMeter
from tests.scene import Scene

Kind = Callable[[AsyncChatStore], Awaitable[object]]


async def begun(store: AsyncChatStore) -> object:
    return await anext(store.messages.iterate("c-1"))


async def walked(store: AsyncChatStore) -> object:
    return [each async for each in store.conversations.iterate_by_user("u-1")]


def named(store: ChatStore) -> object:
    return store.conversations.get("c-1")


KINDS: dict[str, Kind] = {
    "read": lambda store: store.conversations.get("c-1"),
    "list": lambda store: store.conversations.list_by_user("u-1"),
    "write": lambda store: store.conversations.rename("c-1", "T"),
    "transaction": lambda store: store.messages.append("c-1", NewMessage(role="user", content="")),
    "iterator": begun,
    "loop over an iterator": walked,
    "table": lambda store: store.table.check(),
    "part of a repository": lambda store: store.table.backups.list(),
    "synchronous code": lambda store: store.run_sync(named),
    "open": lambda store: store.open(),
}


@contextmanager
def nothing_sent(store: AsyncChatStore) -> Iterator[None]:
    with RequestMeter(store.connection.client) as meter:
        yield
    assert not meter.count


@contextmanager
def a_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that leaves what runs on it as it is when it ends, as a loop in another thread does."""
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture
def store(scene: Scene) -> AsyncChatStore:
    scene.store.conversations.create("u-1", conversation_id="c-1")
    for content in "abc":
        scene.store.messages.append("c-1", NewMessage(role="user", content=content))
    return AsyncChatStore(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        clock=scene.clock,
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_closed_store(store: AsyncChatStore, kind: Kind) -> None:
    async def main() -> None:
        async with store:
            pass
        with nothing_sent(store), pytest.raises(UnusableStore, match="is closed"):
            await kind(store)

    asyncio.run(main())


@pytest.mark.parametrize("kind", [*KINDS.values(), AsyncChatStore.close], ids=[*KINDS, "close"])
def test_another_loop(store: AsyncChatStore, kind: Kind) -> None:
    async def elsewhere() -> None:
        with nothing_sent(store), pytest.raises(UnusableStore, match="another event loop"):
            await kind(store)

    with a_loop() as mine, a_loop() as other:
        mine.run_until_complete(store.open())
        other.run_until_complete(elsewhere())
        mine.run_until_complete(store.close())


def test_in_the_middle_of_an_iterator(store: AsyncChatStore) -> None:
    """The next item is refused on another loop, and after the store was closed."""
    talked: list[AsyncIterator[Any]] = []

    async def begin() -> None:
        for _ in range(2):
            talked.append(store.messages.iterate("c-1", page_size=1))
            assert (await anext(talked[-1])).content == "a"

    async def refused(items: AsyncIterator[Any], reason: str) -> None:
        with nothing_sent(store), pytest.raises(UnusableStore, match=reason):
            await anext(items)

    with a_loop() as mine, a_loop() as other:
        mine.run_until_complete(begin())
        other.run_until_complete(refused(talked[0], "another event loop"))
        mine.run_until_complete(store.close())
        mine.run_until_complete(refused(talked[1], "is closed"))


def test_a_loop_that_is_left_at_the_end(store: AsyncChatStore) -> None:
    """Python closes the iterator after the store: nothing is left to say."""
    said: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        async with store:
            async for message in store.messages.iterate("c-1", page_size=1):
                assert message.content == "a"
                break
        kept = store.messages.iterate("c-1", page_size=1)
        del kept  # it was never begun

    asyncio.run(main())
    assert not said


def test_an_iterator_that_is_kept_beyond_the_store(store: AsyncChatStore) -> None:
    """`asyncio.run` closes it, and has nothing to report."""
    said: list[dict[str, Any]] = []
    kept: list[AsyncIterator[Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        async with store:
            kept.append(store.messages.iterate("c-1", page_size=1))
            await anext(kept[0])

    asyncio.run(main())
    assert not said
