"""What an asynchronous store has on its event loop: whose it is, what runs, how it ends."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from botocore import exceptions as aws

from dynamo_chat.aio.bridge import as_step, run, wait_for
from dynamo_chat.aio.http import LoopTransport
from dynamo_chat.core.answers import READING
from dynamo_chat.core.carrier import Sender
from dynamo_chat.core.client import ConnectionOptions
from dynamo_chat.core.errors import UnusableStore
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.transport import HttpSettings
from dynamo_chat.core.wire import Facts

T = TypeVar("T")

_MOST_THREADS: Final = 16


class _Calls:
    """The calls that run on a store's loop."""

    def __init__(self) -> None:
        self.running = 0
        self.ended: asyncio.Event | None = None
        """Set when the last one ends, for `close`, which waits for it."""


class LoopCarrier:
    """Carries the requests of one store on one event loop: the first that uses it."""

    def __init__(self, name: str, options: ConnectionOptions) -> None:
        self._name = name
        self._options = options
        self._is_closed = False
        self.after_fork()
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"LoopCarrier({self._name})"

    def after_fork(self) -> None:
        """Belong to no loop yet: the parent's loop does not run in the child."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._calls = _Calls()
        self._transports: list[LoopTransport] = []

    # -- calls --------------------------------------------------------------------------------

    async def run(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call synchronous code of the store. UnusableStore."""
        self._check_loop()
        calls = self._calls  # a forked child counts its own: what its parent began ends nowhere
        calls.running += 1
        try:
            return await run(function, *args, **kwargs)
        finally:
            calls.running -= 1
            if calls.ended is not None and not calls.running:
                calls.ended.set()

    async def open(self, store: Any) -> None:
        """Do in a thread what the first calls would block the loop with. UnusableStore."""
        await self.run(self.blocking, partial(_prepare, store))

    def _check_loop(self) -> None:
        if self._is_closed:
            raise UnusableStore(f"{self._name} is closed; create another one")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise UnusableStore(
                f"{self._name} belongs to another event loop; create one store per loop"
            )

    async def close(self) -> None:
        """Refuse new calls, wait for those that run, and close every connection."""
        if self._is_closed:
            return
        if self._loop is not None:
            self._check_loop()
        self._is_closed = True
        if self._calls.running:
            self._calls.ended = asyncio.Event()
            await self._calls.ended.wait()
        for transport in self._transports:
            await transport.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def abandon(self) -> None:
        """Drop every connection of a loop that does not run any more. For a test's end."""
        self._is_closed = True
        for transport in self._transports:
            transport.let_go()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    # -- what a connection waits for ----------------------------------------------------------

    def send(
        self, client: Sender, operation: str, request: dict[str, Any], facts: Facts
    ) -> dict[str, Any]:
        """Make one API call. A write that was begun is not ended by a cancellation."""
        is_write = not operation.startswith(READING)
        try:
            return as_step(is_write, client.send, operation, request, facts)
        except asyncio.CancelledError as error:
            if not (is_write and facts.tries):
                raise
            # Only a loop that ends and cancels all of its tasks can do this to a write.
            raise aws.HTTPClientError(error="the event loop was closed") from error

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        wait_for(asyncio.sleep(seconds))

    def blocking(self, work: Callable[[], T]) -> T:
        """The result of `work`, which runs in a thread: it blocks, as a search of credentials."""
        if self._threads is None:
            most = min(_MOST_THREADS, self._options.max_pool_connections)
            self._threads = ThreadPoolExecutor(most, thread_name_prefix="dynamo_chat")
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return wait_for(loop.run_in_executor(self._threads, partial(context.run, work)))

    def transport(self, http: HttpSettings) -> LoopTransport:
        """What sends requests on the loop. Unfit."""
        made = LoopTransport(self, http)
        self._transports.append(made)
        return made


def _prepare(store: Any) -> None:
    """Create the client, which looks for credentials, and import the repositories."""
    _ = store.connection.client
    for name in dir(type(store)):
        if not name.startswith("_"):
            getattr(store, name)
