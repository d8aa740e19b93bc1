"""Old names of methods and arguments: they keep working for one release, with a warning.

Neither type checkers nor the catalogue know them, so that nobody learns them anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar

from dynamo_chat.core.errors import InvalidArgument

P = ParamSpec("P")
R = TypeVar("R")


def formerly(old: str, method: Callable[P, R]) -> Callable[P, R]:
    """A method under its old name, which warns and calls `method`.

    open = formerly("open", create)
    """
    new = method.__name__

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        _warn(f"{old}() is now {new}()", callers=2)
        current: Callable[..., R] = getattr(type(args[0]), new)  # a subclass may have its own
        return current(*args, **kwargs)

    update_wrapper(call, method, updated=())
    call.__name__ = old
    call.__qualname__ = f"{method.__qualname__.removesuffix(new)}{old}"
    call.__doc__ = f"The old name of `{new}`. It works for one more release."
    call.__formerly__ = method  # type: ignore[attr-defined]
    return call


def is_old_name(method: Any) -> bool:
    """True if this is a method under its old name."""
    return hasattr(method, "__formerly__")


def take_old_names(kwargs: dict[str, Any], names: Mapping[str, str], *, callers: int) -> None:
    """Give arguments that have an old name their new one, in place.

    InvalidArgument if both are given. The warning names the line `callers` frames further up.
    """
    for old, new in names.items():
        if old not in kwargs:
            continue
        if new in kwargs:
            raise InvalidArgument(new, f"is the new name of {old}: give one of them")
        _warn(f"the argument {old}= is now {new}=", callers=callers + 1)
        kwargs[new] = kwargs.pop(old)


def _warn(change: str, *, callers: int) -> None:
    warnings.warn(
        f"{change}; the old name works for one more release",
        DeprecationWarning,
        stacklevel=callers + 1,
    )
