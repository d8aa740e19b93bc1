"""ULIDs as positions in time: makes new ones, later ones, and the lowest one of a moment."""

from __future__ import annotations

import re
import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import StringConstraints
from ulid import ULID

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.forks import renew_after_fork

_PATTERN = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_CANONICAL = re.compile(_PATTERN, re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RANDOM_BITS = 80
_TIME_CHARACTERS = 10
_TO_PYTHON_BASE_32 = str.maketrans(
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ", "0123456789abcdefghijklmnopqrstuv"
)
_STEP_BITS = 64

Position = Annotated[str, StringConstraints(pattern=f"^{_PATTERN}$")]
"""A position in time order: a ULID."""


def is_ulid(text: str) -> bool:
    """True if `text` is a ULID in its canonical, upper-case form."""
    return _CANONICAL.fullmatch(text) is not None


def ulid_time(ulid: str) -> datetime:
    """The time part of a ULID, in UTC, to the millisecond."""
    # Called for every message read: Python's base 32 is ten times as fast as the ULID library.
    milliseconds = int(ulid[:_TIME_CHARACTERS].translate(_TO_PYTHON_BASE_32), 32)
    return _EPOCH + milliseconds * _MILLISECOND


class _Mint:
    """Makes the ULIDs of this process. Those of one millisecond ascend in the order made.

    The library's own generator continues from the same ULID in every forked process, and its lock
    may be held at a fork.
    """

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._last = -1

    def fresh(self, milliseconds: int) -> int:
        """A number that no other call returns, in this process or another."""
        with self._lock:
            if self._last >> _RANDOM_BITS == milliseconds:
                self._last += 1
            else:
                self._last = milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
            return self._last


_mint = _Mint()


def new_ulid(moment: datetime) -> str:
    """A new ULID whose time part is `moment`, in whole milliseconds."""
    # Computed with integers: with a float, one time in eighty would be a millisecond early.
    return str(ULID.from_int(_mint.fresh((moment - _EPOCH) // _MILLISECOND)))


def later_ulid(ulid: str) -> str:
    """A unique ULID shortly after `ulid`.

    The step is random, so two writers that both need a ULID after the same one get different ones,
    and an item at such a position can only be the writer's own. The random part of a new ULID would
    not do: those of one process and one millisecond may be neighbours.
    """
    step = secrets.randbits(_STEP_BITS) + 1
    return str(ULID.from_int(int(ULID.from_str(ulid)) + step))


def lowest_ulid(moment: datetime) -> str:
    """The lowest ULID of `moment`: later ULIDs sort after it, earlier ones before it."""
    milliseconds = max(0, -(-(moment - _EPOCH) // _MILLISECOND))
    return str(ULID.from_int(milliseconds << _RANDOM_BITS))


def check_after_1970(argument: str, moment: datetime) -> datetime:
    """`moment`, or InvalidArgument if it is before 1970: a ULID cannot hold that."""
    if moment < _EPOCH:
        raise InvalidArgument(argument, "must not be before 1970")
    return moment
