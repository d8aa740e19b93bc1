"""`messages.stream` on an event loop: the same, and a cancelled task marks its answer."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import httpx
import pytest

from dynamo_chat import Message, StreamLost
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.core.errors import UnusableStore
from dynamo_chat.testing import FaultInjector
from tests.on_loop import CancelTask
from tests.scene import Scene
from tests.tutorial import PAGE, written

pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.UnsupportedFieldAttributeWarning"
)

Talk = Callable[[AsyncChatStore], Coroutine[Any, Any, None]]


@pytest.fixture
def play(scene: Scene) -> Callable[[Talk], None]:
    """Runs a test on an asynchronous store, in which there is a conversation `c-1`."""
    scene.store.conversations.create("ann", conversation_id="c-1", title="T")

    async def run(talk: Talk) -> None:
        async with AsyncChatStore(
            scene.table,
            region=scene.engine.region,
            endpoint_url=scene.engine.endpoint_url,
            clock=scene.clock,
        ) as store:
            await talk(store)

    return lambda talk: asyncio.run(run(talk))


def test_an_answer_is_written_and_finished(scene: Scene, play: Callable[[Talk], None]) -> None:
    """Each step is awaited; `await` opens it, too."""

    async def talk(store: AsyncChatStore) -> None:
        async with store.messages.stream("c-1", message_id="s-1") as answer:
            await answer.write("Hello")
            await answer.checkpoint()
            assert [each.content async for each in _unfinished(store)] == ["Hello"]
            done = await answer.finish(metadata={"tokens": 1})
        assert answer.message == done == await store.messages.get("c-1", "s-1")
        opened = await store.messages.stream("c-1", message_id="s-2")
        await opened.write("by hand")
        assert (await opened.cancel()).status == "cancelled"
        assert (await store.messages.list_unfinished()).items == ()

    play(talk)
    assert [each.content for each in scene.store.messages.list("c-1")] == ["Hello", "by hand"]


def _unfinished(store: AsyncChatStore) -> AsyncIterator[Message]:
    return store.messages.iterate_unfinished(older_than=timedelta(0))


def test_a_cancelled_task_marks_its_answer(scene: Scene, play: Callable[[Talk], None]) -> None:
    """Wherever it waits, and with what has arrived."""

    async def talk(store: AsyncChatStore) -> None:
        async def write(started: asyncio.Event) -> None:
            async with store.messages.stream("c-1", message_id="s-1") as answer:
                await answer.write("half")
                started.set()
                await asyncio.Event().wait()

        started = asyncio.Event()
        task = asyncio.create_task(write(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(talk)
    found = scene.store.messages.get("c-1", "s-1")
    assert (found.content, found.status) == ("half", "cancelled")


@pytest.mark.parametrize("operation", ["GetItem", "TransactWriteItems"])
def test_a_task_that_is_cancelled_while_it_opens(
    scene: Scene, play: Callable[[Talk], None], operation: str
) -> None:
    """Before the write there is no answer; a write is waited out, and its answer is ended."""

    async def talk(store: AsyncChatStore) -> None:
        async def write() -> None:
            async with store.messages.stream("c-1", message_id="s-1"):
                raise AssertionError("it was cancelled before")

        with FaultInjector(store.connection.client) as injector:
            injector.plan(CancelTask(is_sent=True), operation=operation)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(write())
            assert injector.injected
        assert [each async for each in _unfinished(store)] == []

    play(talk)
    found = [each.status for each in scene.store.messages.list("c-1")]
    assert found == (["cancelled"] if operation == "TransactWriteItems" else [])


def test_an_error_marks_it_and_goes_on(scene: Scene, play: Callable[[Talk], None]) -> None:
    async def talk(store: AsyncChatStore) -> None:
        with pytest.raises(ZeroDivisionError):
            async with store.messages.stream("c-1", message_id="s-1"):
                raise ZeroDivisionError
        first = await store.messages.stream("c-1", message_id="s-1")
        second = await store.messages.stream("c-1", message_id="s-1")
        with pytest.raises(StreamLost):
            await first.finish()
        await second.fail("why")

    play(talk)
    assert scene.store.messages.get("c-1", "s-1").errors == "why"


def test_an_error_goes_on_when_the_store_was_closed(
    scene: Scene, play: Callable[[Talk], None]
) -> None:
    """As without a loop: nothing can be stored any more, and the answer is found later."""

    async def write(store: AsyncChatStore, error: BaseException | None) -> None:
        async with store.messages.stream("c-1", message_id="s-1"):
            await store.close()
            if error is not None:
                raise error

    for error, expected in (
        (ZeroDivisionError(), ZeroDivisionError),
        (asyncio.CancelledError(), asyncio.CancelledError),
        (None, UnusableStore),
    ):

        async def talk(store: AsyncChatStore) -> None:
            with pytest.raises(expected):  # noqa: B023 - called at once
                await write(store, error)  # noqa: B023

        play(talk)
    (left,) = scene.store.messages.list_unfinished(older_than=timedelta(0))
    assert left.message_id == "s-1"


def test_it_is_opened_once(scene: Scene, play: Callable[[Talk], None]) -> None:
    """Like a coroutine: otherwise a second answer would be begun, which nobody can end."""

    async def talk(store: AsyncChatStore) -> None:
        scope = store.messages.stream("c-1")
        async with scope as answer:
            await answer.write("x")
        with pytest.raises(RuntimeError, match="opened before"):
            await scope
        with pytest.raises(RuntimeError, match="opened before"):
            async with scope:
                pass

    play(talk)
    assert [each.content for each in scene.store.messages.list("c-1")] == ["x"]


# -- the tutorial's service ------------------------------------------------------------------------


@pytest.fixture
def app(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The service of the tutorial, on the scene's table."""
    scene.store.conversations.create("ann", conversation_id="c-1", title="T")
    monkeypatch.setenv("DYNAMODB_TABLE_NAME", scene.table)
    monkeypatch.setenv("AWS_REGION", scene.engine.region)
    if scene.engine.endpoint_url is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", scene.engine.endpoint_url)
    names: dict[str, Any] = {"__name__": "service"}
    exec(compile(written()["service.py"], PAGE, "exec"), names)  # noqa: S102 - the page is ours
    return names["app"]


def test_the_service_of_the_tutorial(scene: Scene, app: Any) -> None:
    """The client gets the pieces, and the table has the answer."""

    async def talk() -> str:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            url = "/conversations/c-1/answers"
            ask = {"prompt": "a b c"}
            return (await client.post(url, headers={"x-user": "ann"}, params=ask)).text

    assert asyncio.run(talk()) == "A B C "
    question, answer = scene.store.messages.list("c-1")
    assert (question.content, answer.content, answer.status) == ("a b c", "A B C ", "complete")


def test_its_client_goes_away(scene: Scene, app: Any) -> None:
    """After the first piece: the server cancels the response, and the answer says so."""

    async def talk() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                gone.set()
                await asyncio.Event().wait()  # until the server cancels it

        asked: list[bool] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/conversations/c-1/answers",
            "raw_path": b"/conversations/c-1/answers",
            "query_string": b"prompt=a+b+c",
            "headers": [(b"x-user", b"ann")],
        }
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)
            # Nothing holds the generator any more: Python closes it in a task of its own.
            gc.collect()
            for _ in range(3):
                await asyncio.sleep(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others)

    asyncio.run(talk())
    _, answer = scene.store.messages.list("c-1")
    assert (answer.content, answer.status) == ("A ", "cancelled")
    assert scene.store.messages.list_unfinished().items == ()
