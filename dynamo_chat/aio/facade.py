"""The asynchronous form of repositories, made from the synchronous classes by a few rules.

- a method is awaited;
- a method that returns an iterator returns an asynchronous one;
- a method that returns a context manager returns an asynchronous one, whose methods are awaited;
- a part of a repository, such as `store.table.backups`, is a repository;
- everything else is what it is.

`dynamo_chat.aio.stubs` writes by the same rules what type checkers and readers see.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from functools import cache, partial, wraps
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from dynamo_chat.core.errors import UnusableStore
from dynamo_chat.core.patterns import declared_pattern
from dynamo_chat.core.renamed import is_old_name
from dynamo_chat.core.repository import Repository

T = TypeVar("T")

_ITERATING = ("Iterator[", "Generator[")
_END: Any = object()


class Runner(Protocol):
    """Runs synchronous code on its event loop."""

    def run(
        self, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, T]:
        """Call `function`; its requests are awaited."""


def is_repository(kind: type) -> bool:
    """True if objects of this class are served asynchronously: they have access patterns."""
    return issubclass(kind, Repository) or any(
        inspect.isfunction(member) and declared_pattern(member)
        for owner in kind.__mro__
        for member in [*vars(owner).values()]
    )


def is_iterating(method: Callable[..., Any]) -> bool:
    """True if the method returns an iterator, which sends more requests as it goes."""
    function = inspect.unwrap(method)
    returned = str(getattr(function, "__annotations__", {}).get("return", ""))
    if inspect.isgeneratorfunction(function):
        return True
    return returned.removeprefix("collections.abc.").removeprefix("typing.").startswith(_ITERATING)


def scoped_kind(method: Callable[..., Any]) -> type | None:
    """The context manager's class that the method returns; None if it returns something else."""
    function = inspect.unwrap(method)
    returned: Any = getattr(function, "__annotations__", {}).get("return")
    if isinstance(returned, str):
        returned = vars(sys.modules[function.__module__]).get(returned)
    if not isinstance(returned, type) or not hasattr(returned, "__exit__"):
        return None
    return None if is_repository(returned) else returned


def scoped_kinds(kind: type) -> list[type]:
    """The classes of the context managers that the methods of a repository return."""
    methods = (member for owner in kind.__mro__ for member in vars(owner).values())
    found = (scoped_kind(each) for each in methods if inspect.isfunction(each))
    return list(dict.fromkeys(each for each in found if each is not None))


def asynchronous(runner: Runner, thing: Any) -> Any:
    """The asynchronous form of a store's attribute."""
    if is_repository(type(thing)):
        kind: Any = type(thing)
        return derived(kind)(runner, thing)
    if inspect.ismethod(thing) and not isinstance(thing.__self__, type):
        return _method(thing.__func__).__get__(Bound(runner, thing.__self__))
    return thing


class Bound:
    """A synchronous object, and what runs its methods."""

    def __init__(self, runner: Runner, synchronous: Any) -> None:
        self.runner = runner
        self.synchronous = synchronous

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.runner!r}>"


@cache
def derived(kind: type) -> type:
    """The asynchronous class of a repository's class: ``AsyncMessages`` of `Messages`."""
    members: dict[str, Any] = {"__doc__": kind.__doc__, "__module__": __name__}
    for owner in reversed(kind.__mro__[:-1]):
        for name, member in vars(owner).items():
            if not name.startswith("_") and not is_old_name(member):
                members[name] = _member(member)
    bases = tuple(
        derived(base) for base in kind.__bases__ if base is not Repository and is_repository(base)
    )
    return type(f"Async{kind.__name__}", bases or (Bound,), members)


def _member(member: Any) -> Any:
    if inspect.isfunction(member):
        return _method(member)
    if isinstance(member, (staticmethod, classmethod)) or not hasattr(member, "__get__"):
        return member
    return property(_Part(member), doc=member.__doc__)


class _Part:
    """Reads a property, or another attribute, of the synchronous object."""

    def __init__(self, member: Any) -> None:
        self._member = member

    def __call__(self, bound: Bound) -> Any:
        found = self._member.__get__(bound.synchronous, type(bound.synchronous))
        return asynchronous(bound.runner, found)


@cache
def _method(function: Callable[..., Any]) -> Any:
    if is_iterating(function):
        return _walk(function)
    return _call(function) if scoped_kind(function) is None else _scope(function)


def _call(function: Callable[..., Any]) -> Any:
    @wraps(function)
    async def call(bound: Bound, /, *args: Any, **kwargs: Any) -> Any:
        return await bound.runner.run(function, bound.synchronous, *args, **kwargs)

    return call


class Scope(Generic[T]):
    """What ``async with`` opens; ``await`` opens it too, and leaves its end to the caller."""

    def __init__(self, runner: Runner, begin: Callable[[], Any]) -> None:
        self._runner = runner
        self._begin = begin
        self._begun: list[Any] = []
        self._is_opened = False

    def __await__(self) -> Generator[Any, None, T]:
        return self._open().__await__()

    async def _open(self) -> T:
        if self._is_opened:
            raise RuntimeError("it was opened before; call the method again")
        self._is_opened = True
        try:
            await self._runner.run(lambda: self._begun.append(self._begin()))
        except BaseException as error:
            if self._begun:  # it had been opened when the task was cancelled
                await self._close(type(error), error, error.__traceback__)
            raise
        opened: Any = self._begun[0]
        kind: type = type(opened)
        made: T = derived(kind)(self._runner, opened)
        return made

    async def _close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._runner.run(self._begun[0].__exit__, kind, error, trace)
        except UnusableStore:  # closed meanwhile: what ended the block goes on
            if error is None:
                raise

    async def __aenter__(self) -> T:
        return await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(kind, error, trace)


def _scope(function: Callable[..., Any]) -> Any:
    @wraps(function)
    def scope(bound: Bound, /, *args: Any, **kwargs: Any) -> Scope[Any]:
        return Scope(bound.runner, partial(function, bound.synchronous, *args, **kwargs))

    return scope


def _walk(function: Callable[..., Any]) -> Any:
    is_lazy = inspect.isgeneratorfunction(inspect.unwrap(function))

    @wraps(function)
    def walk(bound: Bound, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        def begin() -> Iterator[Any]:
            return iter(function(bound.synchronous, *args, **kwargs))

        # A generator sends nothing yet, but its arguments are checked: at the call, as usual.
        return _items(bound.runner, begin() if is_lazy else None, begin)

    return walk


async def _items(
    runner: Runner, begun: Iterator[Any] | None, begin: Callable[[], Iterator[Any]]
) -> AsyncGenerator[Any, None]:
    items = await runner.run(begin) if begun is None else begun
    try:
        while True:
            item = await runner.run(next, items, _END)
            if item is _END:
                return
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            try:
                await runner.run(close)
            except UnusableStore:  # the iterator was kept for longer than its store, or its loop
                close()
