"""What a forked child must not share with its parent: sockets, held locks, the last ULID.

A server that loads the program once and then forks its workers copies all of that into each of
them. Two processes on one socket read one another's answers; a lock that another thread held is
held for ever; two generators that go on from the same state make the same ids.

Whoever keeps such a thing registers itself, and is told in the child before anything else runs
there. It costs nothing while no process forks, and keeps nothing alive.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that holds what is of one process only."""

    def after_fork(self) -> None:
        """Make it anew; called in the child, whose only thread this is."""


_forkable: WeakSet[Forkable] = WeakSet()


def renew_after_fork(thing: Forkable) -> None:
    """Call the `after_fork` of `thing` in every child, for as long as `thing` lives."""
    _forkable.add(thing)


def _renew() -> None:
    for thing in list(_forkable):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_renew)
