"""Who asks, and whether the store is awaited: the same for checkpoints and memories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dynamo_chat.core.own import own_repositories
from dynamo_chat.entities import InvalidArgument, Repository
from dynamo_chat.store import ChatStore

if TYPE_CHECKING:
    from dynamo_chat.aio import AsyncChatStore

R = TypeVar("R", bound=Repository)
T = TypeVar("T")

USER_ID: Final = "user_id"
"""The name of who asks in a graph's configuration."""
_MOST: Final = timedelta(days=36_500)


class Kept(Generic[R]):
    """One of the application's repositories, in a store that is called or awaited."""

    def __init__(self, store: ChatStore | AsyncChatStore, kind: type[R]) -> None:
        self._store = store
        self._kind = kind
        if isinstance(store, ChatStore):
            self._found(store)
        elif not hasattr(store, "run_sync"):
            raise InvalidArgument("store", "must be a ChatStore or an AsyncChatStore")

    def call(self, work: Callable[[R], T]) -> T:
        """What `work` returns. InvalidArgument if the store must be awaited."""
        if not isinstance(self._store, ChatStore):
            raise InvalidArgument(
                "store", "is an AsyncChatStore: await the graph (ainvoke, astream, aget_state)"
            )
        return work(self._found(self._store))

    async def wait(self, work: Callable[[R], T]) -> T:
        """What `work` returns; its requests are awaited. InvalidArgument if they would block."""
        if isinstance(self._store, ChatStore):
            raise InvalidArgument(
                "store", "would block the event loop: give an AsyncChatStore to await the graph"
            )
        return await self._store.run_sync(lambda store: work(self._found(store)))

    async def iterate(self, work: Callable[[R], Iterator[T]]) -> AsyncIterator[T]:
        """What the iterator of `work` yields; its requests are awaited."""
        found = await self.wait(work)
        end: Any = object()
        while (item := await self.wait(lambda _: next(found, end))) is not end:
            yield item

    def _found(self, store: ChatStore) -> R:
        for name, kind in own_repositories(type(store)).items():
            if isinstance(kind, type) and issubclass(kind, self._kind):
                found: R = getattr(store, name)
                return found
        name = self._kind.__name__
        raise InvalidArgument(
            "store", f"has no {name}: add `{name.lower()} = repository({name})` to its class"
        )


def checked_user(user_id: object) -> str:
    """The id of a user. InvalidArgument."""
    if not isinstance(user_id, str) or not user_id:
        raise InvalidArgument(USER_ID, "must be the id of who asks: text, not empty")
    return user_id


def who_asks(bound: str | None, configurable: Mapping[str, Any]) -> str:
    """The user that a call is for: the bound one, or the one in the graph's configuration.

    InvalidArgument if there is none, or if they differ.
    """
    named = configurable.get(USER_ID)
    if bound is None:
        if named is None:
            raise InvalidArgument(
                "config", 'say who asks: {"configurable": {"user_id": …}}, or for_user(…)'
            )
        return checked_user(named)
    if named is not None and named != bound:
        raise InvalidArgument("config", "its user_id is not the one that this was made for")
    return bound


def checked_retention(retention: timedelta | None) -> timedelta | None:
    """How long things are kept. InvalidArgument."""
    if retention is None:
        return None
    if not isinstance(retention, timedelta) or not timedelta(minutes=1) <= retention <= _MOST:
        raise InvalidArgument("retention", "must be a timedelta from one minute to 36,500 days")
    return retention
