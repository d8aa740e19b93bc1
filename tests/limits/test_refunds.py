"""Amounts, and what is taken back of them."""

from functools import partial
from typing import Any

import pytest

from dynamo_chat import RateLimit, RateLimitExceeded, RefundRefused
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.limits.rate_limits import MAX_NAMES, OTHERS
from dynamo_chat.testing import DropAnswer, Engine, FaultInjector, RequestMeter
from tests.mail.scenes import open_scene
from tests.scene import Scene, cut_short, each_fault, race

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff")]


def reserve(scene: Scene, amount: int, function: str = "f", **terms: Any) -> RateLimit:
    usual: dict[str, Any] = {"limit": 1_000}
    return scene.store.rate_limits.count(
        "a-1", "tokens", function, amount=amount, **{**usual, **terms}
    )


def there(scene: Scene) -> RateLimit:
    return scene.store.rate_limits.get("a-1", "tokens", limit=1_000, consistent=True)


def test_an_amount_is_counted_as_a_whole_or_not_at_all(scene: Scene) -> None:
    assert reserve(scene, 600).remaining == 400
    with pytest.raises(RateLimitExceeded, match="400 of the window's 1,000 calls are left") as over:
        reserve(scene, 401)
    assert (over.value.current.request_count, over.value.current.throttled_requests) == (600, 1)
    assert over.value.retry_after is not None
    assert reserve(scene, 400).breakdown == {"f": 1_000}
    with pytest.raises(RateLimitExceeded, match="used up"):
        reserve(scene, 1)


@pytest.mark.parametrize("first", [True, False])
def test_more_than_the_limit_is_refused_without_a_time_to_wait(scene: Scene, first: bool) -> None:
    if not first:
        reserve(scene, 1)
    with pytest.raises(RateLimitExceeded, match="1,001 is more than the limit of 1,000") as refused:
        reserve(scene, 1_001)
    assert refused.value.retry_after is None
    assert reserve(scene, 999).remaining == (1 if first else 0)


@pytest.mark.parametrize("amount", [0, -1, 1.0, True, "3", None, 10**12 + 1])
def test_an_amount_is_an_integer_from_1(scene: Scene, amount: Any) -> None:
    with RequestMeter(scene.store.connection.client) as meter:
        with pytest.raises(InvalidArgument, match="amount"):
            reserve(scene, amount)
        assert meter.count == 0
    held = reserve(scene, 3)
    with pytest.raises(InvalidArgument, match="amount"):
        scene.store.rate_limits.refund(held, "f", amount)
    with pytest.raises(InvalidArgument, match="counted"):
        scene.store.rate_limits.refund("a-1", "f", 1)  # type: ignore[arg-type]


def test_resources_have_any_name_and_other_names_need_a_limit(scene: Scene) -> None:
    limits = scene.store.rate_limits
    for name in ("tokens", "uploads/day", "größe 🙂", "a#b"):
        assert limits.count("a-1", name, "f", limit=3).resource == name
        assert limits.get("a-1", name, limit=3).request_count == 1
    wrong: Any
    for wrong in ("", "x" * 101, None, []):
        with pytest.raises(InvalidArgument, match="resource"):
            limits.count("a-1", wrong, "f", limit=1)
    with pytest.raises(InvalidArgument, match="limit: must be given"):
        limits.count("a-1", "tokens", "f")
    with pytest.raises(InvalidArgument, match="limit: must be given"):
        limits.get("a-1", "tokens")
    blocked = limits.block("a-1", "new", scene.clock().replace(year=scene.clock().year + 1))
    assert (blocked.limit, blocked.resource) == (0, "new")
    limits.unblock("a-1", "new")
    assert limits.count("a-1", "new", "f", limit=5).remaining == 4


def test_what_was_not_used_can_be_reserved_again(scene: Scene) -> None:
    held = reserve(scene, 800)
    with pytest.raises(RateLimitExceeded):
        reserve(scene, 300)
    left = scene.store.rate_limits.refund(held, "f", 500)
    assert (left.request_count, left.breakdown, left.refunds) == (300, {"f": 300}, 1)
    assert there(scene) == left
    assert reserve(scene, 700).remaining == 0


def test_a_refund_is_one_request_and_two_after_another_one(scene: Scene) -> None:
    one, two = reserve(scene, 10), reserve(scene, 10)
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.rate_limits.refund(two, "f", 1)
        assert meter.count == 1
        scene.store.rate_limits.refund(one, "f", 1)
        assert meter.count == 3
    assert there(scene).request_count == 18


def test_more_than_was_counted_is_not_refunded(scene: Scene) -> None:
    held = reserve(scene, 10)
    reserve(scene, 5, "g")
    for function, amount in (("f", 11), ("h", 1), (OTHERS, 1)):
        with pytest.raises(RefundRefused, match="fewer than") as refused:
            scene.store.rate_limits.refund(held, function, amount)
        assert refused.value.current.request_count == 15
    assert there(scene).breakdown == {"f": 10, "g": 5}


def test_a_function_beyond_the_fiftieth_gets_its_calls_back(scene: Scene) -> None:
    for number in range(MAX_NAMES):
        reserve(scene, 1, f"f-{number}")
    held = reserve(scene, 9, "the last")
    assert scene.store.rate_limits.refund(held, "the last", 4).breakdown[OTHERS] == 5


def test_nothing_of_a_window_that_is_over_is_refunded(scene: Scene) -> None:
    held = reserve(scene, 800)
    scene.clock.advance(3_600)
    assert scene.store.rate_limits.refund(held, "f", 800).request_count == 0
    new = reserve(scene, 700)
    assert scene.store.rate_limits.refund(held, "f", 100).request_count == 700
    assert there(scene) == new


def test_a_refund_finds_its_part_of_a_sliding_window(scene: Scene) -> None:
    scene.clock.advance(-(scene.clock().timestamp() % 3_600))
    held = reserve(scene, 800, sliding=True)
    scene.clock.advance(359)
    assert scene.store.rate_limits.refund(held, "f", 50).request_count == 750
    scene.clock.advance(1)  # nobody has opened the next part
    assert scene.store.rate_limits.refund(held, "f", 50).request_count == 700
    other = reserve(scene, 10, "g", sliding=True)
    left = scene.store.rate_limits.refund(held, "f", 600)
    assert (left.request_count, sum(left.earlier.values())) == (110, 100)
    assert left.breakdown == {"g": 10}
    with pytest.raises(RefundRefused):
        scene.store.rate_limits.refund(held, "f", 101)
    assert scene.store.rate_limits.refund(other, "g", 10).request_count == 100
    scene.clock.advance(3_600)
    assert reserve(scene, 1, sliding=True).request_count == 1
    assert scene.store.rate_limits.refund(held, "f", 100).request_count == 1


def test_a_refund_whose_answer_is_lost_is_applied_once(scene: Scene) -> None:
    """Whoever else counts or refunds before the request is sent again."""
    held = reserve(scene, 500)
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), at=1)
        left = scene.store.rate_limits.refund(held, "f", 200)
        assert faults.injected
    assert left.request_count == there(scene).request_count == 300


def test_a_cut_off_refund_is_applied_once_or_not(dynamo_chat_engine: Engine) -> None:
    for number, fault in each_fault(1):
        with open_scene(dynamo_chat_engine) as scene:
            held = reserve(scene, 500)
            refund = partial(scene.store.rate_limits.refund, held, "f", 200)
            cut_short(scene, number, fault, refund)
            window = there(scene)
            assert window.request_count in {300, 500}
            assert window.request_count == sum(window.breakdown.values())


def test_refunds_at_once_all_count(scene: Scene) -> None:
    held = [reserve(scene, 10) for _ in range(20)]
    results = race([partial(scene.store.rate_limits.refund, each, "f", 3) for each in held])
    assert all(isinstance(each, RateLimit) for each in results)
    assert (there(scene).request_count, there(scene).refunds) == (140, 20)
