"""The fake clock stands still until it is moved."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dynamo_chat.testing import FakeClock

START = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_it_stands_still() -> None:
    """Calling it and asking it for the time give the same, twice."""
    clock = FakeClock(START)
    assert clock() == clock.now() == clock() == START


def test_it_moves_by_what_it_is_told() -> None:
    """By a timedelta or by seconds, backwards too."""
    clock = FakeClock(START)
    assert clock.advance(timedelta(days=30)) == START + timedelta(days=30)
    assert clock.advance(0.5) == clock() == START + timedelta(days=30, seconds=0.5)
    assert clock.advance(-0.5) == START + timedelta(days=30)


def test_it_starts_at_the_real_time() -> None:
    """So that an engine's own clock agrees with it."""
    assert abs(FakeClock()() - datetime.now(UTC)) < timedelta(seconds=5)


def test_it_tells_utc() -> None:
    """Whatever zone it was started in; a naive start is refused."""
    clock = FakeClock(START.astimezone(timezone(timedelta(hours=9))))
    assert clock().tzinfo is UTC
    with pytest.raises(ValueError, match="aware"):
        FakeClock(START.replace(tzinfo=None))


def test_a_skewed_view_moves_along() -> None:
    """It stays as far ahead, or behind, as it was made."""
    clock = FakeClock(START)
    ahead, behind = clock.skewed(timedelta(seconds=1)), clock.skewed(timedelta(seconds=-1))
    clock.advance(10)
    assert ahead() - clock() == timedelta(seconds=1) == clock() - behind.now()


def test_threads_lose_no_step() -> None:
    """Steps of several threads add up."""
    clock = FakeClock(START)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [clock.advance(1) for _ in range(200)], range(8)))
    assert clock() == START + timedelta(seconds=1_600)
