"""Sliding windows: no period of the window's length has more calls than the limit."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat import RateLimit, RateLimitExceeded
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.keys import format_time
from dynamo_chat.limits.rate_limit import SLIDING_PARTS
from dynamo_chat.testing import Engine, RequestMeter
from tests.mail.scenes import open_scene
from tests.scene import Scene, cut_short, each_fault, race

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)
LIMIT = 10


def call(scene: Scene, amount: int = 1, **terms: Any) -> RateLimit:
    """Tokens of a minute, which slides."""
    usual: dict[str, Any] = {"limit": LIMIT, "window": MINUTE, "sliding": True}
    return scene.store.rate_limits.count("a-1", "tokens", "f", amount=amount, **{**usual, **terms})


def tried(scene: Scene, amount: int = 1) -> RateLimit | RateLimitExceeded:
    try:
        return call(scene, amount)
    except RateLimitExceeded as refused:
        return refused


def at_a_minute(scene: Scene) -> datetime:
    """Move the clock to the start of a minute, and return it."""
    start = scene.clock().replace(second=0, microsecond=0) + MINUTE
    scene.clock.advance(start - scene.clock())
    return start


def test_calls_stop_counting_part_by_part(scene: Scene) -> None:
    start = at_a_minute(scene)
    scene.clock.advance(55)
    first = call(scene, 7)
    assert (first.window_start, first.window_end) == (
        start + timedelta(seconds=54),
        start + MINUTE,
    )
    assert (first.request_count, first.remaining, first.sliding_seconds) == (7, 3, 60)
    scene.clock.advance(6)  # a fixed window would be new
    second = call(scene, 3)
    assert (second.request_count, second.breakdown) == (10, {"f": 3})
    assert second.earlier == {format_time(start + MINUTE): 7}
    with pytest.raises(RateLimitExceeded, match="10 calls are used up until") as refused:
        call(scene)
    # The 7 count until a minute after the end of their part.
    assert refused.value.current.room_at(1) == start + 2 * MINUTE
    assert refused.value.retry_after == 59
    scene.clock.advance(58)
    with pytest.raises(RateLimitExceeded):
        call(scene)
    scene.clock.advance(1)
    assert call(scene, 7).request_count == 10
    scene.clock.advance(10 * MINUTE)
    assert scene.store.rate_limits.get("a-1", "tokens", limit=LIMIT).request_count == 0
    assert call(scene).request_count == 1


def test_a_call_is_one_request_and_the_first_of_a_part_is_two(scene: Scene) -> None:
    at_a_minute(scene)
    with RequestMeter(scene.store.connection.client) as meter:
        call(scene)
        assert meter.count == 2
        call(scene)
        assert meter.count == 3
        scene.clock.advance(6)
        call(scene)
        assert meter.count == 5
        call(scene)
        assert meter.count == 6


@pytest.mark.once
@settings(max_examples=max(12, settings().max_examples // 100), deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0, 1, 3, 6, 7, 29, 59, 60, 61, 66]), st.integers(1, LIMIT)),
        min_size=5,
        max_size=30,
    )
)
def test_no_period_of_its_length_has_more_than_the_limit(
    dynamo_chat_engine: Engine, steps: list[tuple[int, int]]
) -> None:
    """And nobody waits longer than they are told, nor is told to wait longer than two windows."""
    allowed: list[tuple[datetime, int]] = []
    with open_scene(dynamo_chat_engine) as scene:
        for seconds, amount in steps:
            scene.clock.advance(seconds)
            result = tried(scene, amount)
            if isinstance(result, RateLimitExceeded):
                assert result.retry_after is not None
                assert 1 <= result.retry_after <= 60 + 60 // SLIDING_PARTS
                assert scene.store.rate_limits.get("a-1", "tokens", limit=LIMIT) == result.current
                scene.clock.advance(result.retry_after)
                result = tried(scene, amount)
            assert isinstance(result, RateLimit)
            allowed.append((scene.clock(), amount))
            within = [n for at, n in allowed if at > scene.clock() - MINUTE]
            assert sum(within) <= result.request_count <= LIMIT


def test_of_many_at_once_exactly_the_limit_is_allowed_across_a_part(scene: Scene) -> None:
    """The first of a part takes over the calls before it, whoever else comes."""
    at_a_minute(scene)
    before = race([lambda: call(scene)] * 6)
    assert all(isinstance(each, RateLimit) for each in before)
    scene.clock.advance(6)
    after = race([lambda: call(scene)] * 40)
    assert sum(isinstance(each, RateLimit) for each in after) == LIMIT - 6
    scene.clock.advance(6)
    assert not any(isinstance(each, RateLimit) for each in race([lambda: call(scene)] * 10))
    there = scene.store.rate_limits.get("a-1", "tokens", limit=LIMIT, consistent=True)
    assert (there.request_count, sum(there.earlier.values())) == (LIMIT, LIMIT)


def test_a_late_call_in_the_part_before_is_not_lost(scene: Scene) -> None:
    """It is counted between the reading and the writing of what the next part takes over."""
    at_a_minute(scene)
    call(scene, 5)
    scene.clock.advance(6)

    def late() -> None:
        scene.clock.advance(-1)
        call(scene, 2)
        scene.clock.advance(1)

    other = scene.interrupted(None, 1, late)
    counted = other.rate_limits.count(
        "a-1", "tokens", "f", limit=LIMIT, window=MINUTE, sliding=True
    )
    assert (counted.request_count, counted.breakdown) == (8, {"f": 1})


@pytest.mark.parametrize("turns", [False, True])
def test_a_cut_off_call_allows_nothing_more(dynamo_chat_engine: Engine, turns: bool) -> None:
    for number, fault in each_fault(2 if turns else 1):
        with open_scene(dynamo_chat_engine) as scene:
            at_a_minute(scene)
            call(scene, 4)
            if turns:
                scene.clock.advance(6)
            cut_short(scene, number, fault, partial(call, scene, 3))
            counted = 0
            while isinstance(tried(scene), RateLimit):
                counted += 1
            assert counted <= LIMIT - 4
            assert counted % 3 == 0  # the 3 were counted never, once or twice, but as a whole
            assert tried(scene).current.request_count == LIMIT  # type: ignore[union-attr]


def test_a_fixed_window_before_it_is_taken_over(scene: Scene) -> None:
    start = at_a_minute(scene)
    call(scene, 8, sliding=False)
    scene.clock.advance(30)
    running = call(scene, 1)  # still the fixed one
    assert (running.request_count, running.sliding_seconds) == (9, None)
    scene.clock.advance(31)
    slides = call(scene, 1)
    assert (slides.request_count, sum(slides.earlier.values())) == (10, 9)
    with pytest.raises(RateLimitExceeded) as refused:
        call(scene)
    assert refused.value.current.room_at() == start + 2 * MINUTE
    scene.clock.advance(2 * MINUTE)
    fixed = call(scene, 1, sliding=False)
    assert (fixed.request_count, fixed.earlier, fixed.sliding_seconds) == (1, {}, None)


def test_a_throttle_of_the_provider_forgets_no_call(scene: Scene) -> None:
    """Also if it is what opens the next part."""
    at_a_minute(scene)
    call(scene, 6)
    scene.clock.advance(7)
    throttled = scene.store.rate_limits.record_throttle("a-1", "tokens")
    assert (throttled.request_count, throttled.throttled_requests) == (6, 1)
    assert (throttled.limit, throttled.sliding_seconds) == (LIMIT, 60)
    with pytest.raises(RateLimitExceeded):
        call(scene, 5)
    assert call(scene, 4).request_count == 10


def test_a_reset_forgets_earlier_parts(scene: Scene) -> None:
    at_a_minute(scene)
    call(scene, 6)
    scene.clock.advance(7)
    call(scene, 4)
    assert scene.store.rate_limits.reset("a-1", "tokens").request_count == 0
    assert call(scene, 10).request_count == 10


def test_a_sliding_window_has_whole_seconds(offline: Any) -> None:
    half = timedelta(seconds=1.5)
    with pytest.raises(InvalidArgument, match="whole seconds"):
        offline.rate_limits.count("a-1", "x", "f", limit=1, window=half, sliding=True)


def test_a_damaged_part_is_a_corrupt_item(scene: Scene) -> None:
    call(scene)
    (item,) = scene.items()
    item["earlier"] = {"M": {"yesterday": {"N": "1"}}}
    scene.store.connection.client.put_item(TableName=scene.store.connection.table_name, Item=item)
    with pytest.raises(CorruptItem, match="cannot be read"):
        scene.store.rate_limits.get("a-1", "tokens", limit=1)
    scene.store.connection.client.delete_item(
        TableName=scene.store.connection.table_name, Key={"PK": item["PK"], "SK": item["SK"]}
    )
