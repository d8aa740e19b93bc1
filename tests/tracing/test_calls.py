"""Calls of repositories as spans: what is whose parent, in threads and tasks, after failures."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

from dynamo_chat import ChatStore, ConversationExists, NewMessage, RequestEvent
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.core.errors import (
    Contended,
    InvalidArgument,
    NotFound,
    Throttled,
    Unreachable,
)
from dynamo_chat.testing import (
    DropAnswer,
    Fault,
    ServerError,
    Throttled as ThrottledAnswer,
    TransactionConflict,
)
from dynamo_chat.testing.engine import Engine
from tests.on_loop import hold_up
from tests.scene import Scene, faults
from tests.traced import Traced, attributes, id_of, is_error, parent_of


@pytest.fixture
def traced() -> Traced:
    """What is recorded."""
    return Traced()


@pytest.fixture(params=["synchronous", "on a loop"])
def store(
    request: pytest.FixtureRequest,
    dynamo_chat_engine: Engine,
    traced: Traced,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ChatStore]:
    """A store that is watched; synchronous, or on an event loop."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with Scene(dynamo_chat_engine, on_loop=request.param == "on a loop") as made:
        yield made.new_store(options=traced.options(max_attempts=3, transaction_attempts=2))


def test_a_call_and_its_requests(store: ChatStore, traced: Traced) -> None:
    """The method's span has its pattern; each request is below it, and has both."""
    store.conversations.create("u-1", conversation_id="c-1")
    store.messages.append("c-1", NewMessage(role="user", content="hi"))
    assert [span.name.partition(" ")[0] for span in traced.spans] == [
        "PutItem",
        "Conversations.create",
        "TransactWriteItems",
        "Messages.append",
    ]
    for call, pattern in zip(traced.calls, ("C1", "C7"), strict=True):
        assert attributes(call) == {"dynamo_chat.pattern": pattern}
        assert parent_of(call) is None
        assert not is_error(call)
    for request, call in zip(traced.requests, traced.calls, strict=True):
        assert parent_of(request) == id_of(call)
        assert attributes(request)["server.address"]  # of the first one, too
        assert attributes(request)["dynamo_chat.pattern"] == attributes(call)["dynamo_chat.pattern"]
    assert attributes(traced.requests[1])["db.operation.batch.size"] > 1


def test_one_method_built_on_another_is_one_call(store: ChatStore, traced: Traced) -> None:
    """However many requests it makes."""
    for number in range(3):
        store.conversations.create("u-1", conversation_id=f"c-{number}")
    traced.exporter.clear()
    store.conversations.delete("c-0")
    (call,) = traced.calls
    assert call.name == "Conversations.delete"
    assert len(traced.requests) > 1
    assert {parent_of(request) for request in traced.requests} == {id_of(call)}


def test_each_page_of_an_iterator_is_a_call(store: ChatStore, traced: Traced) -> None:
    """No span stays open while the program handles an item."""
    store.conversations.create("u-1", conversation_id="c-1")
    for number in range(3):
        store.messages.append("c-1", NewMessage(role="user", content=str(number)))
    traced.exporter.clear()
    for number, _ in enumerate(store.messages.iterate("c-1", page_size=2)):
        assert not trace.get_current_span().get_span_context().is_valid
        assert len(traced.calls) == number // 2 + 1
    assert [call.name for call in traced.calls] == ["Messages.list"] * 2


def test_table_management(store: ChatStore, traced: Traced) -> None:
    """Its requests have no capacity."""
    store.table.describe()
    assert [span.name.partition(" ")[0] for span in traced.spans] == [
        "DescribeTable",
        "Table.describe",
    ]
    assert attributes(traced.calls[0]) == {"dynamo_chat.pattern": "T1"}
    assert traced.points("dynamo_chat.consumed_capacity") == []


def test_what_a_caller_is_told_is_no_failure(store: ChatStore, traced: Traced) -> None:
    """The call has its error's type. Only what nobody expects makes it a failed one."""
    store.conversations.create("u-1", conversation_id="c-1")
    traced.exporter.clear()
    with pytest.raises(NotFound):
        store.conversations.get("talk-of-ann")
    with pytest.raises(ConversationExists):
        store.conversations.create("u-2", conversation_id="c-1")
    with pytest.raises(InvalidArgument):
        store.conversations.list_by_user("u-1", page_size=0)
    assert [attributes(call).get("error.type") for call in traced.calls] == [
        "NotFound",
        "ConversationExists",
        "InvalidArgument",
    ]
    assert not any(is_error(span) for span in traced.spans)
    failed = [attributes(span).get("db.response.status_code") for span in traced.requests]
    assert "ConditionalCheckFailedException" in failed
    assert "talk-of-ann" not in traced.everything()


def test_nothing_of_a_person_is_recorded(store: ChatStore, traced: Traced) -> None:
    """No id, address, title, text, secret or cursor, whether it is written, read or not found."""
    user = store.users.create("ann.jansen@example.com", name="Ann Jansen")
    store.conversations.create("member of Ann", conversation_id="talk of Ann", title="Divorce")
    store.messages.append("talk of Ann", NewMessage(role="user", content="About my divorce"))
    page = store.messages.list("talk of Ann", page_size=1)
    assert store.users.get_by_email("ann.jansen@example.com") == user
    with pytest.raises(NotFound):
        store.conversations.rename("nowhere of Ann", "Wedding")
    recorded = traced.everything().casefold()
    assert "messages.append" in recorded
    # Long ones: the ids of requests are random.
    secrets = ["example.com", "jansen", " of ann", "divorce", "wedding", "conv#", "user#"]
    assert [secret for secret in secrets if secret in recorded] == []
    assert user.user_id.casefold() not in recorded
    assert page.items[0].message_id.casefold() not in recorded


@pytest.mark.once
@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (ThrottledAnswer(), Throttled),
        (ServerError(), Unreachable),
        (DropAnswer(), Unreachable),
    ],
)
def test_a_failed_call(
    store: ChatStore, traced: Traced, fault: Fault, raised: type[Exception]
) -> None:
    """It and its request are failed ones, with all attempts."""
    with faults(store) as injector:
        injector.plan(fault, every_attempt=True)
        with pytest.raises(raised):
            store.conversations.get("c-1")
    assert all(is_error(span) for span in traced.spans)
    assert attributes(traced.calls[0])["error.type"] == raised.__name__
    assert attributes(traced.requests[0])["http.request.resend_count"] == 2
    assert traced.total("dynamo_chat.retries", "C2") == 2


@pytest.mark.once
def test_writers_that_collide(store: ChatStore, traced: Traced) -> None:
    """Each try of a transaction is a request below the call; the reasons are codes."""
    store.conversations.create("u-1", conversation_id="c-1")
    traced.exporter.clear()
    with faults(store) as injector:
        injector.plan(TransactionConflict(), times=9, operation="TransactWriteItems")
        with pytest.raises(Contended):
            store.messages.append("c-1", NewMessage(role="user", content="hi"))
    tries = [span for span in traced.requests if span.name.startswith("Transact")]
    assert len(tries) > 1
    for span in tries:
        reasons = attributes(span)["dynamo_chat.cancellation_reasons"]
        assert "TransactionConflict" in reasons
        assert is_error(span)
    assert is_error(traced.calls[0])


def test_an_error_of_the_program_is_a_failure(scene: Scene, traced: Traced) -> None:
    """Such as a source of ids that raises; what it says is not recorded."""

    def broken(_: Any) -> str:
        raise RuntimeError("u-1's diary")

    store = scene.new_store(options=traced.options(), ids=broken)
    with pytest.raises(RuntimeError):
        store.conversations.create("u-1")
    (call,) = traced.spans
    assert is_error(call)
    assert attributes(call)["error.type"] == "RuntimeError"
    assert "diary" not in traced.everything()


# -- whose child it is ----------------------------------------------------------------------------


def of_the_same_table(scene: Scene) -> dict[str, Any]:
    """The arguments of another store."""
    return {
        "table_name": scene.table,
        "region": scene.engine.region,
        "endpoint_url": scene.engine.endpoint_url,
        "clock": scene.clock,
    }


def test_threads(scene: Scene, traced: Traced) -> None:
    """Each call is below the span of its own thread, and leaves it the current one."""
    store = ChatStore(**of_the_same_table(scene), options=traced.options())
    barrier = threading.Barrier(8)
    wrong: list[object] = []

    def work(number: int) -> None:
        with traced.tracer.start_as_current_span(f"thread {number}") as own:
            barrier.wait()
            for _ in range(5):
                store.conversations.list_by_user("u-1")
                if trace.get_current_span() is not own:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    parents = {id_of(traced.named(f"thread {number}")): 0 for number in range(8)}
    for call in traced.calls:
        if call.name == "Conversations.list_by_user":
            parents[parent_of(call) or 0] += 1
    assert set(parents.values()) == {5}


def test_a_hook_runs_in_the_span_of_the_call(scene: Scene, traced: Traced) -> None:
    """So what it logs leads to the trace; a request of its own is the call's child."""
    seen: list[tuple[RequestEvent, int]] = []

    def hook(event: RequestEvent) -> None:
        seen.append((event, id_of(trace.get_current_span())))

    store = scene.new_store(options=traced.options(), on_request=hook)
    store.conversations.create("u-1")
    ((event, current),) = seen
    assert (event.pattern, event.method) == ("C1", "Conversations.create")
    assert current == id_of(traced.calls[0])


def watched(scene: Scene, traced: Traced, **options: Any) -> AsyncChatStore:
    """An asynchronous store for a loop of the test's own."""
    return AsyncChatStore(**of_the_same_table(scene), options=traced.options(**options))


@pytest.mark.parametrize("http_client", [None, "botocore"])
def test_tasks(scene: Scene, traced: Traced, http_client: Any) -> None:
    """Each call is below the span of its own task, although all share a thread.

    By botocore's own steps, too, which run in other threads.
    """
    store = watched(scene, traced, http_client=http_client)
    current: list[bool] = []

    async def work(number: int) -> None:
        with traced.tracer.start_as_current_span(f"task {number}") as own:
            pages = store.conversations.iterate_by_user("u-1", page_size=1)
            current.extend([trace.get_current_span() is own async for _ in pages])
            await store.conversations.list_by_activity("u-1")
            current.append(trace.get_current_span() is own)

    async def everything() -> None:
        async with store:
            for number in range(2):
                await store.conversations.create("u-1", conversation_id=f"c-{number}")
            await asyncio.gather(*map(work, range(8)))
            assert not trace.get_current_span().get_span_context().is_valid

    asyncio.run(everything())
    assert current == [True] * 24
    calls = {id_of(call): call for call in traced.calls}
    for number in range(8):
        task = traced.named(f"task {number}")
        below = [call.name for call in calls.values() if parent_of(call) == id_of(task)]
        assert below[-1] == "Conversations.list_by_activity"
        assert set(below[:-1]) == {"Conversations.list_by_user"}
    assert all(parent_of(request) in calls for request in traced.requests)


class Holding(Fault):
    """The task that sends the request is cancelled while it waits."""

    def happen(self, attempt: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        hold_up(0)  # a read ends here
        return attempt.forward()


@pytest.mark.parametrize("writes", [False, True])
def test_a_cancelled_task(scene: Scene, traced: Traced, writes: bool) -> None:
    """Every span ends, and the task has its own current one again. A write is waited out."""
    store = watched(scene, traced)

    async def call() -> None:
        if writes:
            await store.conversations.create("u-1", conversation_id="c-1")
        else:
            await store.conversations.get("c-1")

    async def work() -> None:
        with traced.tracer.start_as_current_span("task") as own:
            with faults(store._synchronous) as injector:
                injector.plan(Holding())
                with pytest.raises(asyncio.CancelledError):
                    await call()
            assert trace.get_current_span() is own

    async def everything() -> None:
        async with store:
            task = asyncio.create_task(work())
            await task
            traced.named("task")

    asyncio.run(everything())
    (request,), (call_span, task) = traced.requests, traced.calls
    assert parent_of(request) == id_of(call_span)
    assert parent_of(call_span) == id_of(task)
    assert not any(is_error(span) for span in traced.spans)
    ended_by = None if writes else "CancelledError"
    assert attributes(request).get("error.type") == ended_by
    assert attributes(call_span).get("error.type") == ended_by
