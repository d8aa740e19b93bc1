"""A walk through the access patterns of rate limits (R1–R3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dynamo_chat import keyspace
from dynamo_chat.cli.item_words import words
from dynamo_chat.cli.walks.step import Step, Walk, clock_time, forget, own, refused
from dynamo_chat.store import ChatStore


def walk_through_limits(store: ChatStore, shown: str) -> Walk:
    """R1–R3 on this store; `shown` is the account that reading looks at."""
    limits, account, day = store.rate_limits, own("account"), timedelta(days=1)
    yield Step(
        "rate_limits.count",
        lambda: limits.count(account, "ai", "generate_email", limit=1, window=day),
        words,
    )
    yield Step(
        "rate_limits.count",
        refused(lambda: limits.count(account, "ai", "llm_response", limit=1, window=day)),
        lambda refusal: f"refused: {words(refusal.current)}",
    )
    yield Step("rate_limits.get", lambda: limits.get(shown, "ai"), words)
    yield Step("rate_limits.get", lambda: limits.get(shown, "aws"), words)
    counted = limits.get(account, "aws").model_copy(update={"request_count": 1_500})
    yield Step("rate_limits.load", lambda: limits.load(counted), words)
    yield Step(
        "rate_limits.record_throttle",
        lambda: limits.record_throttle(account, "ai", window=day),
        lambda window: f"{window.throttled_requests} throttled, one by the provider",
    )
    yield Step(
        "rate_limits.block",
        lambda: limits.block(account, "ai", datetime.now(UTC) + timedelta(minutes=30)),
        lambda window: f"every call is refused until {clock_time(window.blocked_until)}",
    )
    yield Step(
        "rate_limits.unblock",
        lambda: limits.unblock(account, "ai"),
        lambda _: "the block is taken back",
    )
    yield Step(
        "rate_limits.reset",
        lambda: limits.reset(account, "ai"),
        lambda window: f"the day is over early: {window.request_count} calls are counted",
    )
    forget(store, keyspace.RATE_LIMIT.table.pk.encode(account))
