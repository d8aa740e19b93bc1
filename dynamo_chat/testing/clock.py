"""A clock for tests that moves only when it is advanced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dynamo_chat.core.forks import ProcessLock


class FakeClock:
    """A clock for `ChatStore(clock=…)` whose time changes only by `advance`. Thread-safe.

    It starts at `start`, by default at the real time. In a forked process it is independent, and
    starts at the time that it had.
    """

    def __init__(self, start: datetime | None = None) -> None:
        start = datetime.now(UTC) if start is None else start
        if start.utcoffset() is None:
            raise ValueError("start must be an aware datetime (with a time zone)")
        self._now = start.astimezone(UTC)
        self._lock = ProcessLock()

    def __call__(self) -> datetime:
        """The time of this clock: aware, in UTC."""
        return self.now()

    def now(self) -> datetime:
        """The time of this clock: aware, in UTC."""
        with self._lock:
            return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Move by a timedelta or by seconds, backwards if negative, and return the new time."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        with self._lock:
            self._now += step
            return self._now

    def skewed(self, by: timedelta) -> SkewedClock:
        """The clock of another machine, which is always ahead of this one by `by`."""
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
