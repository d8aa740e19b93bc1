"""Keeps a migration below a rate of records and of capacity units a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.events import RequestEvent

_READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})


class _Bucket:
    """Tells when so much may be used that the rate is kept."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    def take(self, amount: float, now: float) -> float:
        """Use an amount. Returns the seconds to wait before it is used."""
        if self._rate is None:
            return 0.0
        begins = max(now, self._free_at)
        self._free_at = begins + amount / self._rate
        return begins - now


class Pace:
    """Waits as long as needed to keep both rates. Safe to share by threads."""

    def __init__(
        self,
        records_per_second: float | None = None,
        units_per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        of_reads: bool = False,
    ) -> None:
        """Units are those of writes, or with `of_reads` those of reads."""
        for name, rate in (
            ("records_per_second", records_per_second),
            ("units_per_second", units_per_second),
        ):
            if rate is not None and not 0 < rate < float("inf"):
                raise InvalidArgument(name, "must be above 0, or None for no limit")
        self._records, self._units = _Bucket(records_per_second), _Bucket(units_per_second)
        self._clock, self._sleep, self._of_reads = clock, sleep, of_reads
        self._lock = threading.Lock()
        self._used = 0.0

    @property
    def units(self) -> float:
        """The units used so far, as DynamoDB reported them."""
        return self._used

    def take(self, records: int) -> None:
        """Wait until so many records may be handled, and the units used so far are paid."""
        with self._lock:
            now = self._clock()
            pause = max(self._records.take(records, now), self._units.take(0, now))
        if pause > 0:
            self._sleep(pause)

    def count(self, event: RequestEvent) -> None:
        """Count the units of a request, which the next records wait for."""
        if event.capacity is None or (event.operation in _READS) is not self._of_reads:
            return
        with self._lock:
            self._used += event.capacity
            self._units.take(event.capacity, self._clock())
