"""The kinds of items that an examination knows: the package's, and an application's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from dynamo_chat.core.layout import KeySpace, Layout
from dynamo_chat.keyspace import KEY_SPACE

_known: Final[ContextVar[KeySpace]] = ContextVar("dynamo_chat_doctor_kinds", default=KEY_SPACE)


@contextmanager
def knowing(key_space: KeySpace) -> Iterator[None]:
    """Examine and repair items of these kinds inside."""
    token = _known.set(key_space)
    try:
        yield
    finally:
        _known.reset(token)


def known_kinds() -> KeySpace:
    """The kinds of the running examination; outside of any, the package's."""
    return _known.get()


def is_own(layout: Layout) -> bool:
    """True if the application declared this kind."""
    return any(layout is each for each in known_kinds().own)
