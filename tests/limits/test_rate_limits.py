"""Rate limits: counted, refused, read, blocked (R1–R3)."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import RateLimit, RateLimitExceeded
from dynamo_chat.core.errors import InvalidArgument, LimitExceeded
from dynamo_chat.limits.rate_limit import DEFAULT_LIMITS, Resource, window_at
from dynamo_chat.limits.rate_limits import MAX_NAMES, OTHERS, RateLimits
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def limits(scene: Scene) -> RateLimits:
    """At half past ten, by the clock."""
    half_past = scene.clock().replace(hour=10, minute=30, second=0, microsecond=0)
    scene.clock.advance(half_past - scene.clock())
    return scene.store.rate_limits


@pytest.mark.parametrize("resource", ["ai", "aws"])
def test_the_documented_limits_hold_by_default(
    scene: Scene, limits: RateLimits, resource: Resource
) -> None:
    window = limits.count("a-1", resource, "generate_email")
    start = scene.clock() - timedelta(minutes=30)
    assert window == RateLimit(
        account_id="a-1",
        resource=resource,
        limit={"ai": 100, "aws": 1_000}[resource],
        window_start=start,
        window_end=start + HOUR,
        request_count=1,
        throttled_requests=0,
        breakdown={"generate_email": 1},
        last_request=scene.clock(),
    )
    assert window.reset_time == start + HOUR
    assert window.remaining == window.limit - 1
    assert limits.get("a-1", resource, consistent=True) == window


def test_calls_are_told_apart_by_function_whatever_its_name(limits: RateLimits) -> None:
    names = ["generate_email", "llm.response", "a[0]", "[", "#0", ":x", "S", "N", "größe 🙂", " "]
    for name in names:
        limits.count("a-1", "ai", name)
        limits.count("a-1", "ai", name)
    window = limits.get("a-1", "ai")
    assert window.breakdown == dict.fromkeys(names, 2)
    assert window.request_count == 20


@pytest.mark.once
def test_functions_beyond_the_fiftieth_are_counted_together(limits: RateLimits) -> None:
    for number in range(MAX_NAMES + 3):
        limits.count("a-1", "ai", f"function-{number}", limit=1_000)
    window = limits.get("a-1", "ai")
    assert len(window.breakdown) == MAX_NAMES + 1
    assert window.breakdown[OTHERS] == 3
    window = limits.count("a-1", "ai", "function-0", limit=1_000)
    assert window.breakdown["function-0"] == 2
    assert sum(window.breakdown.values()) == window.request_count == MAX_NAMES + 4


def test_over_the_limit_calls_are_refused_and_counted_as_throttled(
    scene: Scene, limits: RateLimits
) -> None:
    for _ in range(3):
        limits.count("a-1", "ai", "f", limit=3)
    scene.clock.advance(MINUTE)
    for refusals in (1, 2):
        with pytest.raises(LimitExceeded, match="3 calls are used up until") as refused:
            limits.count("a-1", "ai", "g", limit=3)
        window = refused.value.current
        assert (window.request_count, window.throttled_requests) == (3, refusals)
        assert (window.breakdown, window.remaining) == ({"f": 3}, 0)
        assert window.last_request == scene.clock() - MINUTE
    # A call with a higher limit is the caller's to allow; other accounts are their own.
    assert limits.count("a-1", "ai", "f", limit=4).request_count == 4
    assert limits.count("a-2", "ai", "f", limit=3).request_count == 1
    assert limits.count("a-1", "aws", "s3", limit=3).request_count == 1


def test_a_refusal_says_when_to_call_again(scene: Scene, limits: RateLimits) -> None:
    """In whole seconds that are enough: the end of the window, of the block, or of both."""

    def refused() -> int | None:
        with pytest.raises(RateLimitExceeded) as error:
            limits.count("a-1", "ai", "f", limit=1)
        return error.value.retry_after

    limits.count("a-1", "ai", "f", limit=1)
    assert refused() == 30 * 60
    scene.clock.advance(timedelta(microseconds=1))
    assert refused() == 30 * 60
    limits.block("a-1", "ai", scene.clock() + 2 * HOUR)
    assert refused() == 2 * 60 * 60
    scene.clock.advance(HOUR)
    assert refused() == 60 * 60
    limits.block("a-1", "ai", scene.clock() + timedelta(seconds=90))
    assert refused() == 90  # the window has room
    scene.clock.advance(90)
    assert limits.count("a-1", "ai", "f", limit=1).request_count == 1


def test_a_window_turns_by_the_clock(scene: Scene, limits: RateLimits) -> None:
    start = scene.clock() - timedelta(minutes=30)
    limits.count("a-1", "ai", "f", limit=1)
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "f", limit=1)
    scene.clock.advance(timedelta(minutes=30) - timedelta(microseconds=1))
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "f", limit=1)
    scene.clock.advance(timedelta(microseconds=1))
    window = limits.count("a-1", "ai", "g", limit=1)
    assert (window.window_start, window.window_end) == (start + HOUR, start + 2 * HOUR)
    assert (window.request_count, window.throttled_requests) == (1, 0)
    assert window.breakdown == {"g": 1}
    scene.clock.advance(timedelta(days=3))
    assert limits.count("a-1", "ai", "g", limit=1).window_start == start + 73 * HOUR


def test_a_clock_that_lags_counts_in_the_window_that_is_there(
    scene: Scene, limits: RateLimits
) -> None:
    """A window never comes back, so nothing is allowed twice."""
    scene.clock.advance(timedelta(minutes=30))
    ahead = limits.count("a-1", "ai", "f", limit=2)
    scene.clock.advance(-timedelta(seconds=5))
    behind = limits.count("a-1", "ai", "f", limit=2)
    assert (behind.window_start, behind.request_count) == (ahead.window_start, 2)
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "f", limit=2)
    scene.clock.advance(timedelta(seconds=5))
    with pytest.raises(LimitExceeded) as refused:
        limits.count("a-1", "ai", "f", limit=2)
    assert refused.value.current.throttled_requests == 2


def test_another_length_takes_effect_when_the_window_is_over(
    scene: Scene, limits: RateLimits
) -> None:
    limits.count("a-1", "ai", "f", limit=2)
    assert limits.count("a-1", "ai", "f", limit=2, window=MINUTE).request_count == 2
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "f", limit=2, window=MINUTE)
    scene.clock.advance(timedelta(minutes=30))
    window = limits.count("a-1", "ai", "f", limit=2, window=MINUTE)
    assert (window.window_start, window.window_end) == (scene.clock(), scene.clock() + MINUTE)
    scene.clock.advance(MINUTE)
    longer = limits.count("a-1", "ai", "f", window=timedelta(days=1))
    assert longer.window_start == scene.clock().replace(hour=0, minute=0)
    assert longer.window_end == longer.window_start + timedelta(days=1)


def test_somebody_else_turns_the_window_in_between(scene: Scene, limits: RateLimits) -> None:
    """It is turned once: their call stays counted."""
    other = scene.interrupted(None, 1, lambda: limits.count("a-1", "ai", "theirs", limit=5))
    window = other.rate_limits.count("a-1", "ai", "ours", limit=5)
    assert window.breakdown == {"theirs": 1, "ours": 1}
    scene.clock.advance(HOUR)
    blocking = scene.interrupted(
        None, 1, lambda: limits.block("a-1", "ai", scene.clock() + timedelta(minutes=1))
    )
    with pytest.raises(LimitExceeded, match="blocked"):
        blocking.rate_limits.count("a-1", "ai", "ours", limit=5)


def test_the_window_turns_between_a_refusal_and_its_throttle(
    scene: Scene, limits: RateLimits
) -> None:
    """The throttle is no throttle of the new window, and that has room for the call."""
    for _ in range(2):
        limits.count("a-1", "ai", "f", limit=2)

    def turn() -> None:
        scene.clock.advance(HOUR)
        limits.count("a-1", "ai", "theirs", limit=2)

    window = scene.interrupted(None, 1, turn).rate_limits.count("a-1", "ai", "f", limit=2)
    assert (window.request_count, window.throttled_requests) == (2, 0)
    assert window.breakdown == {"theirs": 1, "f": 1}


def test_a_limit_of_zero_allows_nothing(scene: Scene, limits: RateLimits) -> None:
    for refusals in (1, 2):
        with pytest.raises(LimitExceeded) as refused:
            limits.count("a-1", "ai", "f", limit=0)
        window = refused.value.current
        assert (window.request_count, window.throttled_requests) == (0, refusals)


def test_a_past_window_reads_as_an_empty_one(scene: Scene, limits: RateLimits) -> None:
    nothing = limits.get("a-1", "ai")
    assert (nothing.limit, nothing.request_count, nothing.last_request) == (100, 0, None)
    counted = limits.count("a-1", "ai", "f", limit=7, window=MINUTE)
    scene.clock.advance(HOUR)
    now = limits.get("a-1", "ai")
    assert (now.limit, now.request_count, now.breakdown) == (7, 0, {})
    assert (now.window_start, now.window_end) == (scene.clock(), scene.clock() + MINUTE)
    assert now.last_request == counted.last_request
    told = limits.get("a-1", "ai", limit=9, window=HOUR)
    assert (told.limit, told.window_end - told.window_start) == (9, HOUR)


def test_a_block_refuses_everything_until_its_end(scene: Scene, limits: RateLimits) -> None:
    limits.count("a-1", "ai", "f")
    until = scene.clock() + timedelta(minutes=45)  # past the end of the window
    assert limits.block("a-1", "ai", until).blocked_until == until
    with pytest.raises(LimitExceeded, match="blocked until") as refused:
        limits.count("a-1", "ai", "f")
    assert refused.value.current.blocked_until == until
    assert refused.value.current.throttled_requests == 1
    limits.count("a-1", "aws", "s3")
    scene.clock.advance(timedelta(minutes=40))
    with pytest.raises(LimitExceeded) as refused:
        limits.count("a-1", "ai", "f")
    window = refused.value.current
    assert (window.request_count, window.throttled_requests) == (0, 1)
    assert limits.get("a-1", "ai") == window
    scene.clock.advance(timedelta(minutes=5))
    assert limits.get("a-1", "ai").blocked_until is None
    assert limits.count("a-1", "ai", "f").request_count == 1


def test_a_block_of_an_account_without_calls(scene: Scene, limits: RateLimits) -> None:
    until = scene.clock() + MINUTE
    blocked = limits.block("a-1", "ai", until)
    assert (blocked.limit, blocked.request_count, blocked.breakdown) == (100, 0, {})
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "f")
    free = limits.unblock("a-1", "ai")
    assert (free.blocked_until, free.throttled_requests) == (None, 1)
    assert limits.count("a-1", "ai", "f").request_count == 1
    assert limits.unblock("a-1", "aws").request_count == 0
    assert scene.kinds() == {"rate_limit": 1}


def test_throttles_of_the_provider_are_counted(scene: Scene, limits: RateLimits) -> None:
    first = limits.record_throttle("a-1", "aws")
    assert (first.throttled_requests, first.request_count, first.limit) == (1, 0, 1_000)
    limits.count("a-1", "aws", "s3")
    until = scene.clock() + 2 * HOUR
    second = limits.record_throttle("a-1", "aws", blocked_until=until)
    assert (second.throttled_requests, second.blocked_until) == (2, until)
    scene.clock.advance(HOUR)
    third = limits.record_throttle("a-1", "aws")
    assert (third.throttled_requests, third.request_count, third.blocked_until) == (1, 0, until)


def test_a_reported_throttle_never_shortens_a_block(scene: Scene, limits: RateLimits) -> None:
    """A provider's Retry-After of seconds, or of the past, does not undo a block of a day."""
    day = scene.clock() + timedelta(days=1)
    for moment in (HOUR, -HOUR, timedelta()):
        limits.block("a-1", "ai", day)
        throttled = limits.record_throttle("a-1", "ai", blocked_until=scene.clock() + moment)
        assert throttled.blocked_until == day
    assert limits.get("a-1", "ai").throttled_requests == 3
    later = limits.record_throttle("a-1", "ai", blocked_until=day + MINUTE)
    assert later.blocked_until == day + MINUTE
    free = limits.record_throttle("a-2", "ai", blocked_until=scene.clock() - HOUR)
    assert (free.throttled_requests, free.blocked_until) == (1, None)
    assert limits.count("a-2", "ai", "f").request_count == 1


def test_a_longer_block_that_goes_in_between_is_replaced(scene: Scene, limits: RateLimits) -> None:
    soon = scene.clock() + MINUTE
    limits.block("a-1", "ai", soon + HOUR)
    other = scene.interrupted(None, 1, lambda: limits.unblock("a-1", "ai"))
    assert other.rate_limits.record_throttle("a-1", "ai", blocked_until=soon).blocked_until == soon


def test_a_block_opens_no_window(scene: Scene, limits: RateLimits) -> None:
    """An account that is counted by the minute is not given an hour because it was blocked."""
    limits.block("a-1", "ai", scene.clock() + MINUTE)
    limits.unblock("a-1", "ai")
    window = limits.count("a-1", "ai", "f", limit=2, window=MINUTE)
    assert (window.window_start, window.window_end) == (scene.clock(), scene.clock() + MINUTE)


def test_a_window_counted_elsewhere_is_loaded_as_it_is(scene: Scene, limits: RateLimits) -> None:
    """The document's own: 150 calls over a limit of 100, and nobody blocked."""
    start = scene.clock() - timedelta(minutes=30)
    counted = RateLimit(
        account_id="a-1",
        resource="ai",
        limit=100,
        window_start=start,
        window_end=start + HOUR,
        request_count=150,
        throttled_requests=0,
        breakdown={"generate_email": 50, "llm_response": 100},
        last_request=start + timedelta(minutes=5),
    )
    assert limits.load(counted) == limits.load(counted) == limits.get("a-1", "ai") == counted
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "f")
    # Loading again takes nothing back that was counted since.
    assert limits.load(counted).throttled_requests == 1
    elsewhere = counted.model_copy(update={"account_id": "a-2"})
    backwards = elsewhere.model_copy(update={"window_end": start})
    nameless = elsewhere.model_copy(update={"breakdown": {"": 150}})
    # What is counted on top of it could be stored, and no reader would take it back.
    absurd = [
        elsewhere.model_copy(update={field: 10**15 + 1})
        for field in ("limit", "request_count", "throttled_requests")
    ]
    absurd.append(elsewhere.model_copy(update={"breakdown": {"f": 10**30}}))
    absurd.append(
        elsewhere.model_copy(update={"breakdown": dict.fromkeys(map(str, range(1_001)), 1)})
    )
    for wrong in (backwards, nameless, *absurd, counted.model_dump(), None):
        with pytest.raises(InvalidArgument, match="counted"):
            limits.load(wrong)  # type: ignore[arg-type]
    assert scene.kinds() == {"rate_limit": 1}


def test_budgets(scene: Scene, limits: RateLimits) -> None:
    with RequestMeter(scene.store.connection.client) as meter:

        def costs(requests: int, call: Any) -> None:
            meter.reset()
            with suppress(LimitExceeded):
                call()
            assert meter.count == requests
            assert meter.wcu <= requests

        costs(2, lambda: limits.count("a-1", "ai", "f", limit=2))  # opens the window
        costs(1, lambda: limits.count("a-1", "ai", "g", limit=2))
        costs(2, lambda: limits.count("a-1", "ai", "f", limit=2))  # refused
        costs(1, lambda: limits.get("a-1", "ai"))
        costs(1, lambda: limits.record_throttle("a-1", "ai"))
        costs(1, lambda: limits.block("a-1", "ai", scene.clock() + HOUR))
        costs(2, lambda: limits.count("a-1", "ai", "f", limit=3))  # blocked
        costs(1, lambda: limits.unblock("a-1", "ai"))
        scene.clock.advance(HOUR)
        costs(2, lambda: limits.count("a-1", "ai", "f", limit=2))  # the window turns


@pytest.mark.usefixtures("no_backoff")
def test_no_call_is_left_uncounted_whatever_is_retried(scene: Scene, limits: RateLimits) -> None:
    """A lost answer may count a call twice: the limit errs on the safe side."""
    allowed = 0
    for at in range(1, 9):
        with FaultInjector(scene.store.connection.client) as faults:
            faults.plan(DropAnswer(), at=1 + at % 2)
            try:
                limits.count("a-1", "ai", "f", limit=12)
            except LimitExceeded:
                continue
            finally:
                scene.clock.advance(10)
        allowed += 1
        assert limits.get("a-1", "ai").request_count >= allowed
    assert 6 <= allowed < 12


def test_windows_are_laid_out_from_1970() -> None:
    for moment, length, start in (
        (datetime(2024, 1, 1, 0, 55, tzinfo=UTC), HOUR, datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(2024, 1, 1, tzinfo=UTC), HOUR, datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(1969, 12, 31, 23, 59, tzinfo=UTC), HOUR, datetime(1969, 12, 31, 23, tzinfo=UTC)),
        (datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC), 5 * MINUTE, datetime(1970, 1, 1, tzinfo=UTC)),
    ):
        assert window_at(moment, length) == (start, start + length)


def test_bad_input_writes_nothing(scene: Scene, limits: RateLimits) -> None:
    bad: tuple[tuple[str, dict[str, Any]], ...] = (
        ("limit", {"limit": -1}),
        ("limit", {"limit": 1.5}),
        ("limit", {"limit": True}),
        ("limit", {"limit": 10**12 + 1}),
        ("window", {"window": timedelta()}),
        ("window", {"window": timedelta(days=367)}),
        ("window", {"window": 3600}),
        ("resource", {"resource": ""}),
        ("account_id", {"account_id": ""}),
        ("account_id", {"account_id": "x" * 257}),
        ("account_id", {"account_id": "\ud800"}),
        ("function", {"function": ""}),
        ("function", {"function": "x" * 101}),
        ("function", {"function": None}),
        ("function", {"function": "\ud800"}),
    )
    usual: dict[str, Any] = {"account_id": "a-1", "resource": "ai", "function": "f"}
    with RequestMeter(scene.store.connection.client) as meter:
        for argument, wrong in bad:
            with pytest.raises(InvalidArgument) as refused:
                limits.count(**{**usual, **wrong})
            assert refused.value.argument == argument
        for until in (scene.clock(), scene.clock().replace(tzinfo=None), None):
            with pytest.raises(InvalidArgument, match="until"):
                limits.block("a-1", "ai", until)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="blocked_until"):
            limits.record_throttle("a-1", "ai", blocked_until="soon")  # type: ignore[arg-type]
        resource: Any
        for resource in ("", [], {}, None):
            with pytest.raises(InvalidArgument, match="resource"):
                limits.get("a-1", resource)
        assert meter.count == 0
    assert scene.items() == []
    assert dict(DEFAULT_LIMITS) == {"ai": 100, "aws": 1_000}


# -- a window that was opened by mistake --------------------------------------------------------


def test_a_window_of_a_year_is_ended(scene: Scene, limits: RateLimits) -> None:
    """The next call opens one of its own length; the block, the limit and the last call stay."""
    year = timedelta(days=365)
    with suppress(LimitExceeded):
        for _ in range(3):
            limits.count("a-1", "ai", "generate_email", limit=2, window=year)
    with pytest.raises(LimitExceeded):
        limits.count("a-1", "ai", "generate_email", limit=2, window=HOUR)
    ended = limits.reset("a-1", "ai")
    assert (ended.request_count, ended.throttled_requests, ended.breakdown) == (0, 0, {})
    assert (ended.limit, ended.last_request) == (2, scene.clock())
    assert ended.window_end - ended.window_start == HOUR
    assert ended == limits.get("a-1", "ai", consistent=True)
    counted = limits.count("a-1", "ai", "generate_email", limit=2, window=10 * MINUTE)
    assert (counted.request_count, counted.window_end) == (1, scene.clock() + 10 * MINUTE)


def test_ending_a_window_takes_no_block_back(scene: Scene, limits: RateLimits) -> None:
    until = scene.clock() + HOUR
    limits.count("a-1", "ai", "generate_email", window=timedelta(days=300))
    limits.block("a-1", "ai", until)
    assert limits.reset("a-1", "ai").blocked_until == until
    with pytest.raises(LimitExceeded, match="blocked until"):
        limits.count("a-1", "ai", "generate_email")


def test_where_no_window_runs_nothing_is_ended(scene: Scene, limits: RateLimits) -> None:
    assert limits.reset("a-1", "ai").request_count == 0
    assert scene.items() == []
    limits.count("a-1", "ai", "generate_email")
    scene.clock.advance(3_600)
    before = scene.items()
    assert limits.reset("a-1", "ai").request_count == 0
    assert scene.items() == before
    with pytest.raises(InvalidArgument, match="resource"):
        limits.reset("a-1", "")


def test_a_call_that_meets_a_reset_is_counted_once(scene: Scene, limits: RateLimits) -> None:
    limits.count("a-1", "ai", "generate_email", limit=1, window=timedelta(days=300))
    # Refused by the year's window, it meets the reset before it is counted as throttled.
    other = scene.interrupted(None, 1, lambda: limits.reset("a-1", "ai")).rate_limits
    counted = other.count("a-1", "ai", "generate_email", limit=1)
    assert (counted.request_count, counted.throttled_requests) == (1, 0)
    assert counted.window_end - counted.window_start == HOUR


def test_a_window_ahead_of_the_clock_is_not_loaded(scene: Scene, limits: RateLimits) -> None:
    """It would be in force until its end."""
    running = limits.get("a-1", "ai")
    bad: tuple[dict[str, Any], ...] = (
        {"window_start": scene.clock() + 6 * MINUTE, "window_end": scene.clock() + HOUR},
        {"last_request": scene.clock() + 6 * MINUTE},
    )
    for fields in bad:
        with pytest.raises(InvalidArgument, match=next(iter(fields))):
            limits.load(running.model_copy(update=fields))
    assert scene.items() == []
    soon = {"window_start": scene.clock() + 4 * MINUTE}
    assert limits.load(running.model_copy(update=soon)).window_start == soon["window_start"]
