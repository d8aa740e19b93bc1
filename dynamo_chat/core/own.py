"""Repositories that an application adds to its store, as attributes of the store's class.

    class MyStore(ChatStore):
        notes = repository(Notes)

        @repository
        def messages(self) -> MyMessages:              # extends the package's repository
            return self.attached("messages", MyMessages)

They are cached, like the package's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, TypeVar, get_type_hints

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class _Store(Protocol):
    """A store, which makes its repositories."""

    def attached(self, name: str, made: type[R]) -> R:
        """The repository with this name."""


class repository(cached_property[R_co]):  # noqa: N801 - reads as a declaration in a store
    """An attribute of a store's class: one of the application's own repositories.

    A repository that extends one of the package's takes its name: ``messages``. Type checkers
    accept that if it is a method with this decorator, which returns ``self.attached(…)``.
    """

    def __init__(self, made: Callable[..., R_co]) -> None:
        if isinstance(made, type):
            kind: type[R_co] = made

            def make(store: _Store) -> R_co:
                return store.attached(self.attrname or "", kind)

            make.__doc__ = made.__doc__
            super().__init__(make)
        else:
            super().__init__(made)
        self._made = made

    @property
    def made(self) -> Any:
        """The repository's class."""
        if isinstance(self._made, type):
            return self._made
        return get_type_hints(self._made).get("return")


def own_repositories(store: type) -> dict[str, Any]:
    """The classes of the repositories that a store's class declares, by name; inherited first."""
    found: dict[str, Any] = {}
    for owner in reversed(store.__mro__):
        for name, member in vars(owner).items():
            if isinstance(member, repository):
                found[name] = member.made
    return found


def made_like(other: object, made: type[R]) -> R:
    """A `made` with the collaborators of `other`, whose class it extends."""
    if not issubclass(made, type(other)):
        raise TypeError(f"{made.__name__} must extend {type(other).__name__}")
    new: Any = made.__new__(made)
    vars(new).update(vars(other))
    found: R = new
    return found
