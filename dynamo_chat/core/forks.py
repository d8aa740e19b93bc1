"""What a forked child must not share with its parent: sockets, held locks, the last ULID.

A server that loads the program once and then forks its workers copies all of that into each of
them. Two processes on one socket read each other's answers; a lock that another thread held is
never released; two generators that continue from the same state make the same ids.

An object that has such a thing registers itself, and its `after_fork` is called in the child before
anything else runs there. This costs nothing without a fork, and keeps no object alive.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """An object with something that only one process may use."""

    def after_fork(self) -> None:
        """Create it again; called in the child, on its only thread."""


_forkable: WeakSet[Forkable] = WeakSet()


def renew_after_fork(thing: Forkable) -> None:
    """Call the `after_fork` of `thing` in every forked child, as long as `thing` exists."""
    _forkable.add(thing)


class ProcessLock:
    """A lock of one process: in a forked child it is free, whoever held it at the fork.

    The thread that holds it may take it again.
    """

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a new lock: the one that was copied is never released."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _renew() -> None:
    for thing in list(_forkable):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew)
