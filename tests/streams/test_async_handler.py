"""The handler of an async function: in order, on one loop, and every failure as of a plain one."""

import asyncio
import gc
import logging
from typing import Any

import pytest

from dynamo_chat import Change, Created, InvalidArgument, async_stream_handler
from dynamo_chat.streams import async_process_batch
from tests.streams.test_handler import DAMAGED, batch, failure
from tests.streams.test_records import ITEM, TOMBSTONE

GOOD: dict[str, Any] = {"batchItemFailures": []}


def test_changes_are_awaited_in_order() -> None:
    """The next one begins when the one before has ended, and all invocations share a loop."""
    seen: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def react(change: Change) -> None:
        seen.append(f"began {change.sequence_number}")
        await asyncio.sleep(0)
        seen.append(f"ended {change.sequence_number}")
        assert isinstance(change, Created)
        loops.append(asyncio.get_running_loop())

    handler = async_stream_handler(react)
    assert handler(batch((None, ITEM), (None, ITEM)), None) == GOOD
    assert seen == ["began 100", "ended 100", "began 101", "ended 101"]
    assert handler(batch((None, ITEM)), None) == GOOD
    assert len(set(loops)) == 1


def test_a_handler_may_be_let_go_while_another_loop_runs() -> None:
    """Its loop is closed where the garbage collector happens to find it."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def react(_: Change) -> None:
        loops.append(asyncio.get_running_loop())

    async def let_go(handlers: list[Any]) -> None:
        handlers.clear()
        gc.collect(1)

    handlers = [async_stream_handler(react)]
    assert handlers[0](batch((None, ITEM)), None) == GOOD
    asyncio.run(let_go(handlers))
    assert loops[0].is_closed()


def test_the_first_failure_ends_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []

    async def react(change: Change) -> None:
        seen.append(change.sequence_number)
        await asyncio.sleep(0)
        if change.sequence_number == "101":
            raise LookupError("not today")

    event = batch((None, ITEM), (None, ITEM), (None, ITEM))
    with caplog.at_level(logging.ERROR):
        assert async_stream_handler(react)(event, None) == failure(101)
    assert seen == ["100", "101"]
    assert "not today" in caplog.text


def test_a_record_that_cannot_be_read_ends_it_too() -> None:
    async def react(_: Change) -> None:
        pytest.fail("it is not to be called")

    assert asyncio.run(async_process_batch(batch((None, DAMAGED)), react)) == failure(100)


def test_a_failure_without_a_number_is_raised() -> None:
    """Then Lambda sends the whole batch again."""

    async def react(_: Change) -> None:
        raise LookupError("not today")

    event = batch((None, ITEM))
    del event["Records"][0]["dynamodb"]["SequenceNumber"]
    with pytest.raises((LookupError, InvalidArgument)):
        asyncio.run(async_process_batch(event, react))


def test_helper_items_are_skipped() -> None:
    async def react(_: Change) -> None:
        pytest.fail("it is not to be called")

    assert asyncio.run(async_process_batch(batch((None, TOMBSTONE)), react)) == GOOD


def test_an_ordinary_function_is_refused() -> None:
    """Nobody would know whether it did what it should."""
    with pytest.raises(InvalidArgument, match="react: must be async"):
        async_stream_handler(lambda _: None)(batch((None, ITEM)), None)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidArgument, match="react: must be a function"):
        async_stream_handler(None)  # type: ignore[arg-type]


def test_an_event_that_is_none() -> None:
    async def react(_: Change) -> None:
        pytest.fail("it is not to be called")

    with pytest.raises(InvalidArgument, match="event"):
        async_stream_handler(react)({}, None)
