"""What goes wrong with the requests of a worker, and by how much.

Two injectors look at each request. One strikes the first attempt alone, so that botocore's own
retry meets the real server: a lost answer becomes a request that is sent twice. The other strikes
every attempt, so that the error comes out at the caller. A third hook lets some attempts wait
before they are sent, so that others overtake them.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest.mock import patch

from botocore.awsrequest import AWSResponse

from dynamo_chat.testing import (
    Attempt,
    DropAnswer,
    Fault,
    FaultInjector,
    Kill,
    ServerError,
    Throttled,
    TransactionConflict,
    Unprocessed,
    Unreachable,
)
from dynamo_chat.testing.hook import Client, ClientHook, Handler

PATIENCE: Final = 0.1
"""Of the pauses that botocore makes before it sends again; the run is short."""

SLOW: Final = 0.08
"""The share of requests that are slow."""
SLOWEST: Final = 0.2
"""Seconds that a slow request waits at the most."""

_met = threading.local()


@dataclass(frozen=True, slots=True)
class Noted(Fault):
    """A fault that the call which meets it knows of afterwards."""

    fault: Fault

    def strikes(self, operation: str) -> bool:
        """What the fault says."""
        return self.fault.strikes(operation)

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Note it for this thread's call, and let it happen."""
        known().append(type(self.fault).__name__)
        return self.fault.happen(attempt)


class Slow(ClientHook):
    """Lets a share of the requests of one client wait before they are sent."""

    def __init__(self, client: Client, seed: str, share: float) -> None:
        super().__init__(client)
        self._dice = random.Random(f"{seed}/slow")
        self._share = share

    def handlers(self) -> dict[str, Handler]:
        """One event per attempt."""
        return {"before-send.dynamodb": self._before_send}

    def _before_send(self, **_: Any) -> None:
        if self._dice.random() < self._share:
            known().append("Slow")
            time.sleep(self._dice.uniform(0, SLOWEST))


ONCE: Final = {
    Noted(DropAnswer()): 0.020,
    Noted(Throttled()): 0.010,
    Noted(ServerError()): 0.010,
    Noted(TransactionConflict()): 0.015,
    Noted(Unprocessed()): 0.05,
    Noted(Unreachable()): 0.005,
}
EVERY: Final = {
    Noted(DropAnswer()): 0.003,
    Noted(Throttled()): 0.002,
    Noted(ServerError()): 0.001,
    Noted(Kill()): 0.001,
    Noted(Kill(after_sending=True)): 0.002,
}


def known() -> list[str]:
    """The faults that this thread has met since it last forgot them."""
    if not hasattr(_met, "faults"):
        _met.faults = []
    faults: list[str] = _met.faults
    return faults


def forget() -> list[str]:
    """The faults that this thread has met; from now on it has met none."""
    met = list(known())
    known().clear()
    return met


@contextmanager
def troubled(
    client: Any, seed: str, scale: float, *, slow: float = SLOW, fatal: bool = True
) -> Iterator[None]:
    """Make requests of `client` fail, `scale` times as often as planned, and some be slow.

    Unless it is `fatal`, no fault strikes every attempt, and nobody is killed.
    """
    with ExitStack() as stack:
        stack.enter_context(Slow(client, seed, slow))
        for rates, every in ((ONCE, False), (EVERY if fatal else {}, True)):
            injector = stack.enter_context(FaultInjector(client))
            digest = hashlib.sha256(f"{seed} {every}".encode()).digest()
            injector.gamble(
                {fault: rate * scale for fault, rate in rates.items()},
                seed=int.from_bytes(digest[:8], "big"),
                every_attempt=every,
            )
        stack.enter_context(patch("botocore.endpoint.time", _Impatient()))
        yield


class _Impatient:
    """Stands for the `time` of botocore's retries: the same, in shorter pauses."""

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep a part of it."""
        time.sleep(seconds * PATIENCE)


@dataclass(frozen=True, slots=True)
class ShiftedClock:
    """The machine's clock, `ahead` of itself."""

    ahead: timedelta

    def __call__(self) -> datetime:
        """The time: aware, in UTC."""
        return datetime.now(UTC) + self.ahead


def to_noon(dice: random.Random) -> timedelta:
    """How far ahead the next noon or so is: a run must not meet midnight, when points turn.

    Ahead, never behind: a server deletes what has expired by its own clock.
    """
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return noon - now + timedelta(minutes=dice.randrange(60))
