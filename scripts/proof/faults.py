"""The faults that a worker's requests meet, and how often.

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
"""The share of botocore's usual pause before a retry: the run is short."""

SLOW: Final = 0.08
"""The share of requests that are slow."""
SLOWEST: Final = 0.2
"""The longest time that a slow request waits, in seconds."""

_met = threading.local()


@dataclass(frozen=True, slots=True)
class Noted(Fault):
    """A fault that the call can see afterwards."""

    fault: Fault

    def strikes(self, operation: str) -> bool:
        """The name of the fault."""
        return self.fault.strikes(operation)

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Note the fault for this thread's call, then inject it."""
        known().append(type(self.fault).__name__)
        return self.fault.happen(attempt)


class Slow(ClientHook):
    """Makes a share of one client's requests wait before they are sent."""

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
    """Return the faults that this thread has met, and forget them."""
    met = list(known())
    known().clear()
    return met


@contextmanager
def troubled(
    client: Any, seed: str, scale: float, *, slow: float = SLOW, fatal: bool = True
) -> Iterator[None]:
    """Make requests of `client` fail, `scale` times as often as planned, and make some slow.

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
    """Replaces the `time` module in botocore's retries: the same, with shorter pauses."""

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep for a part of the time."""
        time.sleep(seconds * PATIENCE)


@dataclass(frozen=True, slots=True)
class ShiftedClock:
    """The machine's clock, moved forward by `ahead`."""

    ahead: timedelta

    def __call__(self) -> datetime:
        """The time: aware, in UTC."""
        return datetime.now(UTC) + self.ahead


def to_noon(dice: random.Random) -> timedelta:
    """The time until about the next noon: a run must not cross midnight, when points expire.

    Ahead, never behind: a server deletes what has expired by its own clock.
    """
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return noon - now + timedelta(minutes=dice.randrange(60))
