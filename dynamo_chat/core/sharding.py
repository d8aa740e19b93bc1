"""Lists that are spread over several partitions, and over how many.

How many is a setting of the store's class. Which store a call is made on is known from the running
access pattern, so that an entity can make its keys without being given the store's settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Self, TypeAlias

from dynamo_chat.core.patterns import running_repository


class Count(NamedTuple):
    """Over how many partitions a list is spread."""

    written: int
    """New items are put into so many."""
    read: int
    """So many may have items, because other servers or earlier settings have another number."""


Counts: TypeAlias = Mapping[str, Count]
"""The numbers that differ from the usual ones, by the name of the list."""

_given: ContextVar[Counts | None] = ContextVar("dynamo_chat_counts", default=None)


class Spread(int):
    """A list that is spread over partitions. The integer is their usual number."""

    name: str

    def __new__(cls, name: str, usual: int) -> Self:
        made = super().__new__(cls, usual)
        made.name = name
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Spread, (self.name, int(self))

    def shard_of(self, identifier: str) -> int:
        """The partition of a new item with this id."""
        return shard_of(identifier, self._count().written)

    def shards(self) -> range:
        """The partitions that may have items."""
        return range(self._count().read)

    def _count(self) -> Count:
        return _running_counts().get(self.name) or Count(self, self)


@contextmanager
def counted(counts: Counts) -> Iterator[None]:
    """Use these numbers inside, where no method of a repository runs."""
    token = _given.set(counts)
    try:
        yield
    finally:
        _given.reset(token)


def shard_of(identifier: str, shards: int) -> int:
    """The shard of `identifier`, always the same one; ids spread evenly over the shards."""
    digest = hashlib.blake2b(identifier.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % shards


def _running_counts() -> Counts:
    given = _given.get()
    if given is not None:
        return given
    binding: Any = getattr(running_repository(), "_binding", None)
    return {} if binding is None else binding.counts
