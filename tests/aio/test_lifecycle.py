"""Whose loop a store is on, how it ends, and what a cancelled call leaves behind."""

import asyncio
import copy
import pickle
import socket
import threading
from typing import Any

import pytest
from botocore.credentials import Credentials

from dynamo_chat import ChatStore, ConnectionOptions, NewMessage, Unreachable, UnusableStore
from dynamo_chat.aio import AsyncChatStore
from tests.scene import Scene
from tests.wire.scripted import Action, Server, answer, error, serving

KEY = {"PK": {"S": "p"}, "SK": {"S": "s"}}
OPTIONS = ConnectionOptions(
    aws_access_key_id="testing", aws_secret_access_key="testing", max_attempts=2, read_timeout=5
)


def made(scene: Scene, **options: Any) -> AsyncChatStore:
    return AsyncChatStore(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        clock=scene.clock,
        **options,
    )


def test_a_closed_store_refuses() -> None:
    async def main() -> None:
        store = AsyncChatStore("nowhere", region="eu-west-1", options=OPTIONS)
        async with store:
            pass
        await store.close()  # once more does nothing
        with pytest.raises(UnusableStore, match="is closed"):
            await store.messages.get("c", "m")
        with pytest.raises(UnusableStore, match="is closed"):
            await store.open()

    asyncio.run(main())


def test_another_loop_is_refused(scene: Scene) -> None:
    """Also the next one of the same thread, and closing there."""
    store = made(scene)
    asyncio.run(opened(store))

    async def elsewhere() -> None:
        with pytest.raises(UnusableStore, match="another event loop"):
            await store.conversations.get("c-1")
        with pytest.raises(UnusableStore, match="another event loop"):
            await store.close()

    asyncio.run(elsewhere())


async def opened(store: AsyncChatStore) -> None:
    await store.open()


def test_the_synchronous_store_inside_refuses(scene: Scene) -> None:
    """Whoever gets hold of it cannot block the loop with it."""

    async def main() -> None:
        async with made(scene) as store:
            inside = await store.run_sync(lambda plain: plain)
            with pytest.raises(UnusableStore, match="belongs to an AsyncChatStore"):
                inside.conversations.get("c-1")

    asyncio.run(main())


def test_several_stores_on_several_loops(scene: Scene) -> None:
    """Each in a thread of its own, on the same table."""

    async def append(name: str) -> None:
        async with made(scene) as store:
            await store.conversations.create("u-1", conversation_id=name)
            for number in range(5):
                new = NewMessage(role="user", content=str(number))
                await store.messages.append(name, new)

    names = [f"c-{number}" for number in range(4)]
    threads = [threading.Thread(target=lambda n=name: asyncio.run(append(n))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        assert len(scene.store.messages.list(name, consistent=True).items) == 5


def test_a_copy_belongs_to_no_loop_yet(scene: Scene) -> None:
    """A pickled one neither; and it is of the same class, with the same arguments."""
    store = AsyncChatStore(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        cursor_secret=b"s",
    )

    async def main() -> None:
        await store.open()
        await store.close()

    asyncio.run(main())
    for other in (copy.copy(store), pickle.loads(pickle.dumps(store))):
        assert type(other) is AsyncChatStore
        assert other.connection.table_name == scene.table
        assert other._synchronous._cursor_secret == b"s"
        asyncio.run(used(other))


async def used(store: AsyncChatStore) -> None:
    async with store:
        assert (await store.conversations.list_by_user("u-1")).items == ()


def late(release: threading.Event, then: Action) -> Action:
    """An answer that somebody must release."""

    def act(server: Server, there: socket.socket) -> bool:
        release.wait(10)
        return then(server, there)

    return act


async def get(store: AsyncChatStore) -> Any:
    def ask(plain: Any) -> Any:
        answer = plain.connection.call("GetItem", {"TableName": "chat", "Key": KEY})
        answer.pop("ResponseMetadata", None)
        return answer

    return await store.run_sync(ask)


async def arrived(server: Server, count: int) -> None:
    while len(server.asked) < count:  # noqa: ASYNC110 - the server is in another thread
        await asyncio.sleep(0.001)


def test_closing_waits_for_what_runs() -> None:
    """A call that was begun gets its answer, and a new one none."""
    release = threading.Event()

    async def main(server: Server) -> None:
        store = local(server)
        call = asyncio.create_task(get(store))
        await arrived(server, 1)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        with pytest.raises(UnusableStore):
            await get(store)
        assert not closing.done()
        release.set()
        await closing
        assert await call == {}

    with serving(late(release, answer({}))) as server:
        asyncio.run(main(server))
    assert len(server.asked) == 1


def local(server: Server) -> AsyncChatStore:
    return AsyncChatStore("chat", region="eu-west-1", endpoint_url=server.url, options=OPTIONS)


async def put(store: AsyncChatStore) -> Any:
    def ask(plain: ChatStore) -> Any:
        return plain.connection.call("PutItem", {"TableName": "chat", "Item": KEY})

    return await store.run_sync(ask)


def test_a_cancelled_read_does_not_wait_for_its_answer() -> None:
    release = threading.Event()

    async def main(server: Server) -> None:
        async with local(server) as store:
            call = asyncio.create_task(get(store))
            await arrived(server, 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            release.set()

    with serving(late(release, answer({}))) as server:
        asyncio.run(main(server))


def test_a_cancelled_write_waits_for_its_answer() -> None:
    """And for its retries: when CancelledError comes, nothing is on its way."""
    release = threading.Event()

    async def main(server: Server) -> None:
        async with local(server) as store:
            call = asyncio.create_task(put(store))
            await arrived(server, 1)
            call.cancel()
            await asyncio.sleep(0.02)
            assert not call.done()
            release.set()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
            assert "had finished when it was cancelled" in caught.value.__notes__[0]

    with serving(late(release, error("InternalServerError", 500)), answer({})) as server:
        asyncio.run(main(server))
    assert len(server.asked) == 2


def test_a_loop_that_ends_leaves_no_write_untold() -> None:
    """`asyncio.run` cancels every task; the error says that the write may have happened."""
    release = threading.Event()
    told: list[BaseException] = []

    async def main(server: Server) -> None:
        async def write(store: AsyncChatStore) -> None:
            try:
                await put(store)
            except asyncio.CancelledError as error:
                told.append(error)
                raise

        # Never closed: it is the end of a program that nobody planned.
        store = local(server)
        left.extend([store, asyncio.create_task(write(store))])
        await arrived(server, 1)

    left: list[Any] = []
    with serving(late(release, answer({}))) as server:
        asyncio.run(main(server))
        release.set()
    left[0]._runner.abandon()
    (error_told,) = told
    assert isinstance(error_told.__cause__, Unreachable)
    assert "call again with the same ids" in str(error_told.__cause__)


def test_nothing_blocks_the_loop_while_credentials_are_found() -> None:
    """A slow search is in a thread: the loop goes on meanwhile."""
    release = threading.Event()

    class Slow(Credentials):  # type: ignore[misc]
        def get_frozen_credentials(self) -> Any:
            assert release.wait(10)  # set by the loop, which must be free for that
            return super().get_frozen_credentials()

    async def main(server: Server) -> None:
        async with local(server) as store:
            store.connection.client._request_signer._credentials = Slow("key", "secret")
            call = asyncio.create_task(get(store))
            await asyncio.sleep(0.01)
            release.set()
            assert await call == {}

    with serving(answer({})) as server:
        asyncio.run(main(server))
