"""Wait for DynamoDB's long-running work: backups, restores, exports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from dynamo_chat.core.errors import StillRunning

SHORTEST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
_GROWTH: Final = 1.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a wait; DynamoDB gives no percentage."""

    what: str
    """What is waited for, such as ``restore to chat-2``."""
    status: str
    """DynamoDB's status, such as ``CREATING``."""
    seconds: float
    """Seconds since the wait began."""

    def __str__(self) -> str:
        return f"{self.what}: {self.status}, {self.seconds:.0f} s"


ProgressHook = Callable[[Progress], None]


class Seen(NamedTuple):
    """The result of one check."""

    status: str
    is_done: bool


def wait_until(
    what: str,
    look: Callable[[], tuple[Seen, T]],
    *,
    arn: str,
    timeout_seconds: float,
    sleep: Callable[[float], None],
    on_progress: ProgressHook | None = None,
) -> T:
    """Check until it is done, at growing intervals, and return the last result.

    `on_progress` is called after every check. StillRunning after `timeout_seconds`.
    """
    started = time.monotonic()
    pause = SHORTEST_PAUSE
    while True:
        seen, found = look()
        passed = time.monotonic() - started
        if on_progress is not None:
            on_progress(Progress(what, seen.status, passed))
        if seen.is_done:
            return found
        if passed >= timeout_seconds:
            raise StillRunning(
                f"{what}: still {seen.status} after {timeout_seconds:g} seconds; it goes on by "
                "itself",
                arn,
            )
        sleep(min(pause, timeout_seconds - passed))
        pause = min(pause * _GROWTH, LONGEST_PAUSE)
