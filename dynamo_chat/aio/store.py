"""`AsyncChatStore`: a `ChatStore` on an event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from dynamo_chat.aio.derived import DerivedStore
from dynamo_chat.aio.loop import LoopCarrier
from dynamo_chat.core.connection import Connection
from dynamo_chat.store import ChatStore

P = ParamSpec("P")
T = TypeVar("T")


class AsyncChatStore(DerivedStore):
    """One table on one endpoint, for a service that awaits. For the tasks of one event loop.

        async with AsyncChatStore("chat-prod", region="eu-west-1") as store:
            talk = await store.conversations.create("u-1")

    The arguments are those of `ChatStore`, and so are the repositories: every method is awaited,
    and what iterates is iterated over with ``async for``. The store belongs to the loop that uses
    it first. UnusableStore on another loop, and after `close`.

    A store of your own is served by a subclass: ``class AsyncMyStore(AsyncChatStore, of=MyStore)``.
    """

    _of: ClassVar[type[ChatStore]] = ChatStore

    def __init_subclass__(cls, of: type[ChatStore] | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if of is not None:
            cls._of = of

    def _take(self, synchronous: ChatStore) -> None:
        self._synchronous = synchronous
        self._runner = LoopCarrier(repr(self), synchronous.connection.options)
        synchronous.connection.carried_by(self._runner)

    @classmethod
    def _made_of(cls, synchronous: ChatStore) -> Self:
        made = cls.__new__(cls)
        made._take(synchronous)  # noqa: SLF001 - its own
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.table_name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """How to make it again: a copy, here or in another process, belongs to no loop yet."""
        return self._made_of, (self._synchronous,)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connection(self) -> Connection:
        """The connection. Its `client` is a botocore client: using it blocks the event loop."""
        return self._synchronous.connection

    async def open(self) -> Self:
        """Prepare the first request: import the repositories, find credentials. Sends nothing.

        ``async with`` calls it. Without it the first calls do this, and take as long.
        """
        await self._runner.open(self._synchronous)
        return self

    async def close(self) -> None:
        """Wait for the calls that run, and close all connections. Calling it again is allowed."""
        await self._runner.close()

    async def run_sync(
        self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `function` with the synchronous store, and return what it returns.

        For code that is written for a `ChatStore`: its requests are awaited, one after the other.
        It must not block in another way, and must not use the store from other threads.
        """
        return await self._runner.run(function, self._synchronous, *args, **kwargs)
