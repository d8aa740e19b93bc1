"""Synchronous code on an event loop: what it waits for, who is cancelled, and what ends when."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from dynamo_chat import UnusableStore
from dynamo_chat.aio.bridge import as_step, is_running, run, wait_for

PLACE: ContextVar[str] = ContextVar("PLACE", default="nowhere")


def slept(seconds: float = 0.001, result: Any = "awake") -> Any:
    return wait_for(asyncio.sleep(seconds, result))


def test_synchronous_code_awaits() -> None:
    """Its result, its errors and what it waited for are its own."""

    def work(name: str) -> list[str]:
        return [name, slept(), slept(result="again")]

    def broken() -> None:
        slept()
        raise LookupError("mine")

    assert asyncio.run(run(work, "me")) == ["me", "awake", "again"]
    with pytest.raises(LookupError, match="mine"):
        asyncio.run(run(broken))


def test_an_awaited_error_is_raised_where_it_was_waited_for() -> None:
    async def fails() -> None:
        raise OSError("no answer")

    def work() -> str:
        try:
            wait_for(fails())
        except OSError as error:
            return str(error)
        return "nothing"

    assert asyncio.run(run(work)) == "no answer"


def test_calls_overlap() -> None:
    """Each waits for itself alone: all reach the barrier."""

    async def main() -> list[int]:
        barrier = asyncio.Barrier(50)
        return await asyncio.gather(*(run(lambda: wait_for(barrier.wait())) for _ in range(50)))

    assert sorted(asyncio.run(main())) == list(range(50))


def test_context_variables_are_the_task_s() -> None:
    """What a task has set is seen inside, and tasks do not see each other's."""

    def work(name: str) -> tuple[str, str]:
        before = PLACE.get()
        token = PLACE.set(name)
        slept()
        found = PLACE.get()
        PLACE.reset(token)
        return before, found

    async def task(name: str) -> tuple[str, str]:
        PLACE.set(f"task of {name}")
        return await run(work, name)

    async def main() -> tuple[Any, ...]:
        return tuple(await asyncio.gather(task("a"), task("b")))

    assert asyncio.run(main()) == (("task of a", "a"), ("task of b", "b"))


def test_outside_of_a_call() -> None:
    """Nothing can wait there; the loop would stand still."""
    assert not is_running()
    with pytest.raises(UnusableStore, match="belongs to an AsyncChatStore"):
        slept()
    with pytest.raises(UnusableStore):
        as_step(False, slept)

    async def main() -> None:
        slept()

    with pytest.raises(UnusableStore):
        asyncio.run(main())


class Cancelled:
    """A call that is cancelled while it waits for the first of its steps."""

    def __init__(self, must_finish: bool, steps: int = 1, fails: bool = False) -> None:
        self.must_finish = must_finish
        self.steps = steps
        self.fails = fails
        self.seen: list[str] = []

    async def happen(self, times: int = 1) -> BaseException:
        go, reached = asyncio.Event(), asyncio.Event()

        async def request(number: int) -> None:
            self.seen.append(f"sent {number}")
            reached.set()
            await go.wait()
            self.seen.append(f"answered {number}")
            if self.fails:
                raise OSError("lost")

        def waited(number: int) -> None:
            wait_for(request(number))

        def work() -> None:
            try:
                for number in range(self.steps):
                    as_step(self.must_finish, waited, number)
            finally:
                self.seen.append("left")

        task = asyncio.create_task(run(work))
        await reached.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        assert task.done() is not self.must_finish
        go.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return caught.value


def test_a_cancelled_read_ends_at_once() -> None:
    call = Cancelled(must_finish=False)
    asyncio.run(call.happen())
    assert call.seen == ["sent 0", "left"]


@pytest.mark.parametrize("times", [1, 3])
def test_a_cancelled_write_is_waited_out(times: int) -> None:
    """However often it is cancelled; when CancelledError comes, nothing is on its way."""
    call = Cancelled(must_finish=True)
    error = asyncio.run(call.happen(times))
    assert call.seen == ["sent 0", "answered 0", "left"]
    assert "had finished when it was cancelled" in error.__notes__[0]


def test_no_step_begins_after_a_cancellation() -> None:
    call = Cancelled(must_finish=True, steps=2)
    error = asyncio.run(call.happen())
    assert call.seen == ["sent 0", "answered 0", "left"]
    assert not hasattr(error, "__notes__")


def test_a_cancelled_write_that_failed() -> None:
    """The cancellation says why, so that nobody takes the write for done."""
    call = Cancelled(must_finish=True, fails=True)
    assert isinstance(asyncio.run(call.happen()).__cause__, OSError)


def test_a_timeout_is_a_timeout() -> None:
    """`asyncio.timeout` recognises its own cancellation, also after a write was waited out."""

    async def main(must_finish: bool) -> None:
        async with asyncio.timeout(0.001):
            await run(as_step, must_finish, slept, 0.05)

    for must_finish in (False, True):
        with pytest.raises(TimeoutError):
            asyncio.run(main(must_finish))


def test_an_abandoned_call_is_closed() -> None:
    """Its code leaves, as it would in a coroutine that is closed."""
    left: list[str] = []

    def work() -> None:
        try:
            slept(60)
        finally:
            left.append("left")

    async def main() -> None:
        coroutine = run(work)
        coroutine.send(None)
        coroutine.close()

    asyncio.run(main())
    assert left == ["left"]
