"""Synchronous tests on an `AsyncChatStore`: its event loop runs in a thread of its own.

A `LoopStore` is used like a `ChatStore`. Each call of a repository is made through the asynchronous
one, in a task of the loop, and the test's thread waits for it. Calls from inside the loop, such as
from a hook that plays another server, run in the task that is there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, Self, TypeVar

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.aio.bridge import is_running, wait_for
from dynamo_chat.aio.facade import Bound, Scope
from dynamo_chat.aio.loop import LoopCarrier
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.testing import Fault

T = TypeVar("T")

_SLEEP: Final = time.sleep

_REPOSITORIES: Final = {
    name
    for name, member in vars(ChatStore).items()
    if isinstance(member, cached_property) and not name.startswith("_")
}


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Another loop in another thread, made when it is needed: threads are not forked."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._making = threading.Lock()

    @property
    def is_here(self) -> bool:
        """True in the loop's own thread."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it in a task of the loop, and wait for it in this thread."""
        with self._making:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


LOOP: Final = Loop()


class LoopStore(ChatStore):
    """A `ChatStore` for tests that is an `AsyncChatStore` inside."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.asynchronous = AsyncChatStore(*args, **kwargs)
        self._inside = self.asynchronous._synchronous
        self.connection = self._inside.connection
        self.connection.carried_by(Posting(self.asynchronous._runner))
        self._binding = self._inside._binding
        self._cursor_secret = self._inside._cursor_secret

    def close(self) -> None:
        """Close its connections."""
        LOOP.run(self.asynchronous.close())

    def __getattribute__(self, name: str) -> Any:
        if name == "_snapshots":
            return self._inside._snapshots
        if name not in _REPOSITORIES:
            return super().__getattribute__(name)
        if LOOP.is_here:
            return getattr(self._inside, name)
        return _Repository(getattr(self.asynchronous, name))


class Posting:
    """Carries requests that a test makes without a repository: in a task of the loop, too."""

    def __init__(self, carrier: LoopCarrier) -> None:
        self._carrier = carrier
        self.transport = carrier.transport

    def send(self, *call: Any) -> dict[str, Any]:
        if is_running():
            return self._carrier.send(*call)
        return LOOP.run(self._carrier.run(self._carrier.send, *call))

    def sleep(self, seconds: float) -> None:
        if is_running() and time.sleep is _SLEEP:
            self._carrier.sleep(seconds)
        else:  # a test's thread, or a test that does not want to wait
            time.sleep(seconds)

    def blocking(self, work: Callable[[], T]) -> T:
        return self._carrier.blocking(work) if is_running() else work()


class _Repository:
    """An asynchronous repository, for a test's thread."""

    def __init__(self, inside: Bound) -> None:
        self._inside = inside

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what a test looks at inside
            return getattr(self._inside.synchronous, name)
        found = getattr(self._inside, name)
        if isinstance(found, Bound):
            return _Repository(found)
        return partial(_called, found) if callable(found) else found


class _Opened(_Repository):
    """What an asynchronous context manager has opened."""

    def __init__(self, scope: Scope[Any], inside: Bound) -> None:
        super().__init__(inside)
        self._scope = scope

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        LOOP.run(self._scope.__aexit__(*error))


async def _awaited(scope: Scope[T]) -> T:
    return await scope


def _called(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    begun = method(*args, **kwargs)
    if isinstance(begun, Scope):
        return _Opened(begun, LOOP.run(_awaited(begun)))
    return _items(begun) if isinstance(begun, AsyncIterator) else LOOP.run(begun)


def _items(items: AsyncIterator[T]) -> Iterator[T]:
    while True:
        try:
            yield LOOP.run(anext(items))  # type: ignore[arg-type]
        except StopAsyncIteration:
            return


def hold_up(seconds: float) -> None:
    """Wait where a request is made: other tasks, or other threads, go on."""
    if is_running():
        wait_for(asyncio.sleep(seconds))
    else:
        time.sleep(seconds)


@dataclass(frozen=True)
class CancelTask(Fault):
    """The task that sends the request is cancelled: before it is sent, or before its answer."""

    is_sent: bool

    def happen(self, attempt: Any) -> Any:
        answer = attempt.forward() if self.is_sent else None
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        hold_up(0)  # a read ends here
        return attempt.forward() if answer is None else answer
