"""Sixteen threads against one limit: exactly as many calls as it allows, in each window."""

import itertools
import threading
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dynamo_chat import RateLimit
from dynamo_chat.core.errors import LimitExceeded
from tests.scene import Scene, race

pytestmark = pytest.mark.ministack

LIMIT = 1_000
MINUTE = timedelta(minutes=1)


def test_five_thousand_calls_get_exactly_the_limit(scene: Scene) -> None:
    def call() -> RateLimit:
        return scene.store.rate_limits.count("a-1", "ai", "f", limit=LIMIT)

    results = race([call] * 5_000)
    assert not [r for r in results if not isinstance(r, RateLimit | LimitExceeded)]
    allowed = [result for result in results if isinstance(result, RateLimit)]
    assert sorted(each.request_count for each in allowed) == list(range(1, LIMIT + 1))
    window = scene.store.rate_limits.get("a-1", "ai", consistent=True)
    assert (window.request_count, window.throttled_requests) == (LIMIT, 4_000)


def test_throttles_at_one_moment_are_all_counted_and_the_longest_block_stays(scene: Scene) -> None:
    until = [scene.clock() + timedelta(seconds=37 * n % 101) for n in range(200)]
    calls = [
        partial(scene.store.rate_limits.record_throttle, "a-1", "aws", blocked_until=each)
        for each in until
    ]
    assert all(isinstance(result, RateLimit) for result in race(calls))
    window = scene.store.rate_limits.get("a-1", "aws", consistent=True)
    assert (window.throttled_requests, window.blocked_until) == (200, max(until))


def test_across_a_boundary_each_window_gets_exactly_the_limit(scene: Scene) -> None:
    """The clock passes the boundary in the middle of it all, for one thread before the other."""
    start = scene.clock().replace(second=0, microsecond=0) + MINUTE
    scene.clock.advance(start + timedelta(seconds=59) - scene.clock())
    turn, done = threading.Lock(), itertools.count(1)

    def call() -> RateLimit:
        with turn:
            if next(done) == 2_500:
                scene.clock.advance(1)
        return scene.store.rate_limits.count("a-1", "ai", "f", limit=LIMIT, window=MINUTE)

    results: list[Any] = race([call] * 5_000)
    assert not [r for r in results if not isinstance(r, RateLimit | LimitExceeded)]
    allowed = Counter(each.window_start for each in results if isinstance(each, RateLimit))
    assert allowed == {start: LIMIT, start + MINUTE: LIMIT}
    refused = Counter(
        each.current.window_start for each in results if isinstance(each, LimitExceeded)
    )
    window = scene.store.rate_limits.get("a-1", "ai", consistent=True)
    assert window.throttled_requests == refused[start + MINUTE]
    assert sum(refused.values()) == 3_000
