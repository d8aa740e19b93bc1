"""The property of a store that makes a repository, and what ``help()`` shows of it."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from typing import Any, TypeVar

from dynamo_chat.core.patterns import declared_pattern

R = TypeVar("R")


class _Help:
    """The docstring of a property: its own, and the methods of the repository.

    The repository is imported only when somebody reads it.
    """

    def __get__(self, member: Any, _: Any) -> str:
        if member is None:
            return "Makes a repository, once for each store."
        text = member.func.__doc__ or ""
        if member.owner is None:
            return text
        # Nothing is sent by making a store, or a repository.
        kind = type(member.func(member.owner("help", region="us-east-1")))
        methods = "".join(_shown(name, method) for name, method in inspect.getmembers(kind))
        return f"{text}\n\n`{kind.__module__}.{kind.__name__}`:\n{methods}"

    def __set__(self, member: Any, text: str | None) -> None:
        """The base class sets it to the function's, which is part of it."""


class repository_property(cached_property[R]):  # noqa: D101, N801 - a decorator, as its base is
    __doc__ = _Help()
    owner: Any = None

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, name)
        self.owner = owner

    def __repr__(self) -> str:
        kind = self.func.__annotations__.get("return", "?")
        return f"<{getattr(self.owner, '__name__', '?')}.{self.attrname}: {kind}>"


def _shown(name: str, method: Any) -> str:
    declared = declared_pattern(method)
    if declared is None:
        return ""
    signature = str(inspect.signature(method)).replace("(self, ", "(").replace("(self)", "()")
    signature = re.sub(r"""(: |-> )(["'])(.*?)\2(?=[,) ]|$)""", r"\1\3", signature)
    return f"\n{name}{signature}\n    {declared.description}.\n"
