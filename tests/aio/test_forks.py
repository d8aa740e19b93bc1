"""An asynchronous store is used before a fork: the child has a loop and connections of its own."""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from dynamo_chat import ConnectionOptions, NewMessage, UnusableStore
from dynamo_chat.aio import AsyncChatStore
from tests.core.forked import echo_server, forked
from tests.places import INSTALLED, ROOT
from tests.scene import Scene

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # What Python 3.12 warns of, deadlocks in the child, is what these tests look for.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]

OPTIONS = ConnectionOptions(
    aws_access_key_id="testing",
    aws_secret_access_key="testing",
    # The parent's loop stands still while its children run.
    connect_timeout=100,
    read_timeout=100,
    max_attempts=1,
)


@pytest.fixture
def store() -> Iterator[AsyncChatStore]:
    """On a server that answers with what it was asked for."""
    with echo_server() as url:
        yield AsyncChatStore("chat", region="eu-west-1", endpoint_url=url, options=OPTIONS)


async def gets(store: AsyncChatStore, name: str, times: int) -> int:
    """How many of so many gets, all at once, were answered with somebody else's item."""

    async def get(number: int) -> bool:
        key = {"PK": {"S": f"{name}#{number}"}, "SK": {"S": name}}
        request = {"TableName": "chat", "Key": key}
        found = await store.run_sync(lambda plain: plain.connection.call("GetItem", request))
        return bool(found["Item"] != key)

    return sum(await asyncio.gather(*map(get, range(times))))


def in_a_loop_of_its_own(store: AsyncChatStore, name: str) -> int:
    async def main() -> int:
        async with store:
            return await gets(store, name, 20) + await gets(store, name, 20)

    return asyncio.run(main())


def test_no_child_gets_another_s_answer(store: AsyncChatStore) -> None:
    """Forked while the parent's loop runs: its connections are open, and it goes on using them."""

    async def main() -> None:
        children = [partial(in_a_loop_of_its_own, store, f"c{n}") for n in range(3)]
        async with store:
            assert await gets(store, "warm", 10) == 0
            beside = asyncio.create_task(gets(store, "parent", 30))
            await asyncio.sleep(0.001)
            assert forked(*children) == [0, 0, 0]
            assert await beside == await gets(store, "parent", 10) == 0

    asyncio.run(main())


def test_what_the_parent_had_begun_is_not_the_child_s(store: AsyncChatStore) -> None:
    """Its tasks never end there, and closing does not wait for them."""

    async def main() -> None:
        task = asyncio.create_task(gets(store, "parent", 3))
        left.append(task)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # its requests are on their way

        def child() -> int:
            asyncio.events._set_running_loop(None)
            left.clear()
            gc.collect()
            return in_a_loop_of_its_own(store, "child")

        del task
        assert forked(child) == [0]
        assert await left.pop() == 0
        await store.close()

    left: list[Any] = []
    asyncio.run(main())


def test_a_closed_store_is_closed_in_the_child(store: AsyncChatStore) -> None:
    def child() -> str:
        try:
            return str(in_a_loop_of_its_own(store, "child"))
        except UnusableStore as error:
            return str(error)

    in_a_loop_of_its_own(store, "parent")
    (said,) = forked(child)
    assert "is closed" in said


FORKS = """
import asyncio, os, threading
from tests.aio.test_lifecycle import arrived, get, late, local
from tests.wire.scripted import answer, serving

async def main():
    async with local(server) as store:
        await get(store)
        call = asyncio.create_task(get(store))
        await arrived(server, 2)
        child = os.fork()
        if not child:
            raise SystemExit
        os.waitpid(child, 0)
        release.set()
        assert await call == {}
        assert len(server.asked) == 2

release = threading.Event()
with serving(answer({}), late(release, answer({}))) as server:
    asyncio.run(main())
"""
ABANDONS = """
import asyncio
from dynamo_chat.aio import http
from tests.aio.test_lifecycle import get, local
from tests.wire.scripted import answer, serving

with serving(answer({})) as server:
    store = local(server)
    asyncio.run(get(store))
store._runner.abandon()
del store
http._INHERITED.clear()  # as at the end of the program, sooner or later
"""


@pytest.mark.parametrize("program", [FORKS, ABANDONS])
def test_connections_that_are_left_end_without_a_word(program: str) -> None:
    """A child that ends, its loop included, leaves the parent's request alone. No complaints."""
    command = [sys.executable, "-W", "ignore", "-c", program]
    environment = {**os.environ, "PYTHONPATH": f"{INSTALLED}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_iterator_goes_on_in_both(scene: Scene) -> None:
    """Each asks for the rest itself."""
    scene.store.conversations.create("u-1", conversation_id="c-1")
    for content in "abcd":
        scene.store.messages.append("c-1", NewMessage(role="user", content=content))
    store = AsyncChatStore(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        clock=scene.clock,
    )

    async def rest(items: AsyncIterator[Any]) -> str:
        return "".join([each.content async for each in items])

    async def main() -> None:
        items = store.messages.iterate("c-1", page_size=1)
        assert (await anext(items)).content == "a"
        assert forked(lambda: asyncio.run(rest(items))) == ["bcd"]
        assert await rest(items) == "bcd"
        await store.close()

    asyncio.run(main())
