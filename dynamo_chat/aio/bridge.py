"""Runs synchronous code on an event loop: where it waits, only its own call waits.

    async def get(key):
        return await run(repository.get, key)      # repository.get is an ordinary method …

    def send(request):
        return wait_for(session.post(request))     # … which waits for the loop somewhere below

`run` starts the method in a greenlet: a stack that can be left and entered again. `wait_for` leaves
it with something to await, and returns in it with the result. The code between the two knows
nothing of this, and every `await` is a real one: no thread takes part.

Cancelling a task ends a wait at once, except in a step that must finish: a write, whose outcome
nobody would know. It is waited out. The cancellation is raised before the next step, or when the
method ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from dynamo_chat.core.errors import UnusableStore

try:
    from greenlet import getcurrent, greenlet
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "AsyncChatStore needs the extra `async`: pip install 'dynamo_chat[async]'", name=error.name
    ) from error

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_MOST_SPARE: Final = 100
_END: Final = object()


class _Ended(NamedTuple):
    """How a call ended."""

    result: Any
    error: BaseException | None


class _Call(greenlet):
    """The stack of one call of synchronous code. It serves further calls afterwards.

    A new stack takes memory from the system, which is what takes most of a call's time in a
    process with threads.
    """

    def __init__(self) -> None:
        super().__init__(_serve)
        self.ended = _Ended(None, None)

    def begin(self, function: Callable[[], Any]) -> Any:
        """Run `function` until it waits or ends."""
        current = getcurrent()
        self.parent = current
        self.gr_context = current.gr_context  # it has the context variables of the task
        self.must_finish = False
        self.cancelled: asyncio.CancelledError | None = None
        return self.switch(function)

    def end(self) -> None:
        """Keep it for the next call of this thread."""
        self.gr_context = None
        self.cancelled = None
        self.ended = _Ended(None, None)
        if len(_spare.calls) < _MOST_SPARE:
            _spare.calls.append(self)

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """The result of what the call waits for."""
        if self.must_finish:
            return await self._waited_out(asyncio.ensure_future(awaitable))
        if self.cancelled is not None:
            _discard(awaitable)
            raise self.cancelled
        return await awaitable

    async def _waited_out(self, work: asyncio.Future[Any]) -> Any:
        """The result of `work`, however often the waiting task is cancelled meanwhile."""
        while not work.done():
            # A future of its own: cancelling the task cancels what it waits for.
            ended = work.get_loop().create_future()
            work.add_done_callback(partial(_end, ended))
            try:
                await ended
            except asyncio.CancelledError as error:
                self.cancelled = self.cancelled or error
        # Cancelled itself only if the loop ends and cancels every task that there is.
        return work.result()


def _serve(function: Any) -> None:
    """Make one call after the other. Between two of them nothing of a call is held here."""
    while True:
        try:
            getcurrent().ended = _Ended(function(), None)
        except BaseException as error:  # noqa: BLE001 - raised in the task
            getcurrent().ended = _Ended(None, error)
        function = None
        function = getcurrent().parent.switch(_END)


class _Spare(threading.local):
    """The stacks that wait for a call. A stack belongs to the thread that made it."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []


_spare = _Spare()


async def run(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call synchronous code that may use `wait_for`, and return what it returns.

    If the task is cancelled in a step that must finish, CancelledError is raised after it: caused
    by the error that the code ended with, or with a note that it had finished.
    """
    call = _spare.calls.pop() if _spare.calls else _Call()
    asked = call.begin(partial(function, *args, **kwargs))
    while asked is not _END:
        try:
            found = await call.wait(asked)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the code is to see it
            asked = call.throw(error)
        else:
            asked = call.switch(found)
    cancelled, ended = call.cancelled, call.ended
    call.end()
    if cancelled is not None:
        if ended.error is None:
            cancelled.add_note(f"{_name_of(function)} had finished when it was cancelled")
        raise cancelled from (None if ended.error is cancelled else ended.error)
    if ended.error is not None:
        raise ended.error
    returned: R = ended.result
    return returned


def wait_for(awaitable: Awaitable[T]) -> T:
    """Wait for `awaitable` without blocking the loop. UnusableStore outside of `run`."""
    call = getcurrent()
    if not isinstance(call, _Call) or call.parent is None:
        _discard(awaitable)
        raise _outside()
    found: T = call.parent.switch(awaitable)
    return found


def as_step(must_finish: bool, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` as one step of the running call. UnusableStore outside of `run`.

    A step that `must_finish` is not ended by a cancellation. No step begins after one.
    """
    call = getcurrent()
    if not isinstance(call, _Call):
        raise _outside()
    if call.cancelled is not None:
        raise call.cancelled
    before, call.must_finish = call.must_finish, must_finish
    try:
        return function(*args, **kwargs)
    finally:
        call.must_finish = before


def is_running() -> bool:
    """True in code that `run` has called."""
    return isinstance(getcurrent(), _Call)


def _outside() -> UnusableStore:
    return UnusableStore("this store belongs to an AsyncChatStore: call it through that one")


def _end(ended: asyncio.Future[None], _: object) -> None:
    if not ended.done():
        ended.set_result(None)


def _discard(awaitable: Awaitable[Any]) -> None:
    """Drop what nobody will await, without Python's warning about it."""
    if asyncio.iscoroutine(awaitable):
        awaitable.close()
    elif isinstance(awaitable, asyncio.Future):
        awaitable.cancel()


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or "the call"
