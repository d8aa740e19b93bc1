"""A clock that moves only when told."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from dynamo_chat.core.forks import renew_after_fork


class FakeClock:
    """A clock for `ChatStore(clock=…)`: calling it gives the time, which stands still.

    It starts at `start`, or at the real time, and moves by `advance`. Safe between threads.
    """

    def __init__(self, start: datetime | None = None) -> None:
        start = datetime.now(UTC) if start is None else start
        if start.utcoffset() is None:
            raise ValueError("start must be an aware datetime (with a time zone)")
        self._now = start.astimezone(UTC)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """In a forked process it goes on alone, from the same time."""
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """The time of this clock: aware, in UTC."""
        return self.now()

    def now(self) -> datetime:
        """The time of this clock: aware, in UTC."""
        with self._lock:
            return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Move on by a timedelta or by seconds, backwards when negative; the new time."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        with self._lock:
            self._now += step
            return self._now

    def skewed(self, by: timedelta) -> SkewedClock:
        """The clock of another machine, which is ahead of this one by `by`, always."""
        return SkewedClock(self, by)


class SkewedClock:
    """A view of a `FakeClock` that shows another time, and moves with it."""

    def __init__(self, clock: FakeClock, by: timedelta) -> None:
        self._clock = clock
        self._by = by

    def __call__(self) -> datetime:
        """The time of this clock: aware, in UTC."""
        return self.now()

    def now(self) -> datetime:
        """The time of this clock: aware, in UTC."""
        return self._clock.now() + self._by
