"""The iterating form of every list: one function, typed by the list that it is made from.

    @access_pattern(…)
    def list(self, conversation_id: str, *, …, cursor: str | None = None) -> Page[Message]: …

    iterate = iterating(list)        # (conversation_id: str, *, …) -> Iterator[Message]

It is no access pattern of its own: each page is a call of the list, checked and counted as such.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from dynamo_chat.core.page import Page

logger = logging.getLogger("dynamo_chat")

NEXT_PAGE_SIZE: Final = 100
"""The page size from the second page on, unless the caller gives one; every list allows it."""

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")


def iterating(
    method: Callable[Concatenate[S, P], Page[T]],
) -> Callable[Concatenate[S, P], Iterator[T]]:
    """The generator of what `method` lists, page by page, with the same arguments.

    Called without `page_size`, the first page is small and the further ones are larger, so that
    stopping early costs little. With `cursor`, it begins there.
    """

    def iterate(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        ask: Callable[..., Page[T]] = method
        options: dict[str, Any] = dict(kwargs)
        while True:
            page = ask(self, *args, **options)
            for damaged in page.unreadable:
                logger.warning("left out while iterating: %s", damaged)
            yield from page
            if page.cursor is None:
                return
            options.pop("after", None)
            options["cursor"] = page.cursor
            options.setdefault("page_size", NEXT_PAGE_SIZE)

    name = method.__name__
    signature = inspect.signature(method)
    item = str(signature.return_annotation).removeprefix("Page[").removesuffix("]")
    iterate.__name__ = name.replace("list", "iterate").replace("find", "iterate")
    iterate.__qualname__ = f"{method.__qualname__.removesuffix(name)}{iterate.__name__}"
    iterate.__module__ = method.__module__
    iterate.__annotations__ = {**method.__annotations__, "return": f"Iterator[{item}]"}
    iterate.__signature__ = signature.replace(  # type: ignore[attr-defined]
        return_annotation=iterate.__annotations__["return"]
    )
    iterate.__doc__ = (
        f"Iterate over all that `{name}` lists, without cursors, one page at a time in memory.\n\n"
        f"The arguments, the order and the errors are those of `{name}`; nothing is requested "
        f"before the first item is. What cannot be read is left out and logged: `{name}` returns "
        "it in `unreadable`."
    )
    iterate.__iterates__ = method  # type: ignore[attr-defined]
    return iterate


def iterated(method: Any) -> Callable[..., Page[Any]] | None:
    """The list that this method iterates over, or None if it is no iterating form."""
    found: Callable[..., Page[Any]] | None = getattr(method, "__iterates__", None)
    return found
