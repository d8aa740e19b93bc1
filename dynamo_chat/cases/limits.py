"""Scenarios of rate limits (R1–R3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

from dynamo_chat.cases.stage import Case, Scenarios, Stage
from dynamo_chat.core.errors import LimitExceeded


def _refused(call: Callable[[], object]) -> Callable[[], None]:
    """The call, which is refused: that is an error to its caller, and a request all the same."""

    def run() -> None:
        with suppress(LimitExceeded):
            call()

    return run


def count(stage: Stage) -> Iterator[Case]:
    """Allowed, at the turn of the window, refused."""
    limits, account, other = stage.store.rate_limits, stage.fresh("account"), stage.fresh("account")
    day = timedelta(days=1)
    yield Case("a new window", lambda: limits.count(account, "ai", "generate_email", window=day))
    yield Case(
        "allowed", lambda: limits.count(account, "ai", "generate_email", window=day), budget=1
    )
    limits.count(other, "aws", "s3", limit=1, window=day)
    yield Case("refused", _refused(lambda: limits.count(other, "aws", "s3", limit=1, window=day)))


def get(stage: Stage) -> Iterator[Case]:
    """The current window."""
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.count(account, "aws", "dynamodb")
    yield Case("", lambda: limits.get(account, "aws"))


def block(stage: Stage) -> Iterator[Case]:
    """For an hour."""
    limits, account = stage.store.rate_limits, stage.fresh("account")
    yield Case("", lambda: limits.block(account, "ai", stage.clock() + timedelta(hours=1)))


def reset(stage: Stage) -> Iterator[Case]:
    """A window of a year."""
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.count(account, "ai", "generate_email", window=timedelta(days=365))
    yield Case("", lambda: limits.reset(account, "ai"))


def unblock(stage: Stage) -> Iterator[Case]:
    """After a block."""
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.block(account, "ai", stage.clock() + timedelta(hours=1))
    yield Case("", lambda: limits.unblock(account, "ai"))


def record_throttle(stage: Stage) -> Iterator[Case]:
    """That a provider told of, in a window that runs."""
    limits, account, day = stage.store.rate_limits, stage.fresh("account"), timedelta(days=1)
    limits.count(account, "ai", "generate_email", window=day)
    yield Case("", lambda: limits.record_throttle(account, "ai", window=day))


def load(stage: Stage) -> Iterator[Case]:
    """Counted elsewhere."""
    limits, account = stage.store.rate_limits, stage.fresh("account")
    counted = limits.get(account, "ai").model_copy(update={"request_count": 150})
    yield Case("", lambda: limits.load(counted))


LIMITS: Final[Scenarios] = {
    "rate_limits.count": count,
    "rate_limits.get": get,
    "rate_limits.block": block,
    "rate_limits.unblock": unblock,
    "rate_limits.reset": reset,
    "rate_limits.record_throttle": record_throttle,
    "rate_limits.load": load,
}
