"""Scenarios of rate limits (R1–R4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import deleted, words
from dynamo_chat.limits.rate_limit import RateLimit, RateLimitExceeded


class NotRefused(Exception):
    """A call that a case expects to be refused was not."""


def _refused(call: Callable[[], object]) -> Callable[[], RateLimit]:
    """A function that expects the call to be refused, and returns the error's window."""

    def run() -> RateLimit:
        try:
            call()
        except RateLimitExceeded as refusal:
            return refusal.current
        raise NotRefused("the call should have been refused")

    return run


def _blocked(window: RateLimit) -> str:
    return f"calls are refused until {window.blocked_until:%H:%M}"


def rate_limits_count(stage: Stage) -> Iterator[Case]:
    limits, account, other = stage.store.rate_limits, stage.fresh("account"), stage.fresh("account")
    day = timedelta(days=1)
    yield Case("a new window", lambda: limits.count(account, "ai", "generate_email", window=day))
    yield Case(
        "allowed",
        lambda: limits.count(account, "ai", "generate_email", window=day),
        budget=1,
        is_shown=True,
    )
    limits.count(other, "aws", "s3", limit=1, window=day)
    tokens: dict[str, Any] = {"amount": 500, "limit": 10_000, "window": day, "sliding": True}
    yield Case("a new part", lambda: limits.count(account, "tokens", "reply", **tokens))
    yield Case(
        "tokens in a sliding window",
        lambda: limits.count(account, "tokens", "reply", **tokens),
        budget=1,
        is_shown=True,
    )
    yield Case(
        "refused",
        _refused(lambda: limits.count(other, "aws", "s3", limit=1, window=day)),
        lambda window: f"refused: {words(window)}",
        is_shown=True,
    )


def rate_limits_refund(stage: Stage) -> Iterator[Case]:
    limits, account, day = stage.store.rate_limits, stage.fresh("account"), timedelta(days=1)
    held, other = (
        limits.count(account, "tokens", "reply", amount=900, limit=10_000, window=day)
        for _ in range(2)
    )
    yield Case(
        "tokens that were not used",
        lambda: limits.refund(held, "reply", 500),
        budget=1,
        is_shown=True,
    )
    yield Case("after another refund", lambda: limits.refund(other, "reply", 500))


def rate_limits_get(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.count(account, "aws", "dynamodb")
    yield Case("", lambda: limits.get(account, "aws"))


def rate_limits_block(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    yield Case(
        "", lambda: limits.block(account, "ai", stage.clock() + timedelta(hours=1)), _blocked
    )


def rate_limits_reset(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.count(account, "ai", "generate_email", window=timedelta(days=365))
    yield Case("", lambda: limits.reset(account, "ai"), lambda _: "a new window starts")


def rate_limits_unblock(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.block(account, "ai", stage.clock() + timedelta(hours=1))
    yield Case("", lambda: limits.unblock(account, "ai"), lambda _: "the block is lifted")


def rate_limits_record_throttle(stage: Stage) -> Iterator[Case]:
    limits, account, day = stage.store.rate_limits, stage.fresh("account"), timedelta(days=1)
    limits.count(account, "ai", "generate_email", window=day)
    yield Case("", lambda: limits.record_throttle(account, "ai", window=day))


def rate_limits_load(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    counted = limits.get(account, "ai").model_copy(update={"request_count": 150})
    yield Case("", lambda: limits.load(counted))


def rate_limits_delete(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.count(account, "ai", "generate_email")
    yield Case("", lambda: limits.delete(account, "ai"), lambda _: "deleted")


def rate_limits_delete_all(stage: Stage) -> Iterator[Case]:
    limits, account = stage.store.rate_limits, stage.fresh("account")
    limits.count(account, "ai", "generate_email")
    limits.count(account, "aws", "s3")
    yield Case("", lambda: limits.delete_all(account), deleted)
