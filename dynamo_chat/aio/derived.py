"""What is derived from `ChatStore` and its repositories: see `facade`.

Type checkers and readers see `derived.pyi`, which ``scripts/generate`` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamo_chat.aio.facade import Bound, asynchronous, derived, scoped_kinds
from dynamo_chat.store import ChatStore


class DerivedStore:
    """The repositories of a store, asynchronous; each is made when it is first used."""

    # `AsyncChatStore` has these; `_take` binds it to a store, and sets the last two.
    _of: type[ChatStore]
    _take: Callable[[ChatStore], None]
    _runner: Any
    _synchronous: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._take(self._of(*args, **kwargs))

    from_env = classmethod(ChatStore.from_env.__func__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = asynchronous(self._runner, getattr(self._synchronous, name))
        if isinstance(found, Bound):
            self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        public = (name for name in dir(self._synchronous) if not name.startswith("_"))
        return sorted({*super().__dir__(), *public})


def __getattr__(name: str) -> type:
    """``AsyncMessages`` and its like."""
    from dynamo_chat.catalogue import repositories

    for kind in repositories().values():
        for each in (kind, *scoped_kinds(kind)):
            if name == f"Async{each.__name__}":
                return derived(each)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
