"""Whatever is cut short: no window allows more than its limit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat.core.errors import LimitExceeded
from dynamo_chat.testing import Engine, RequestMeter
from tests.mail.scenes import open_scene
from tests.scene import Scene, cut_short, each_fault

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff"), pytest.mark.once]

HOUR = timedelta(hours=1)


def calls(scene: Scene, number: int) -> int:
    """How many of so many calls are allowed."""
    allowed = 0
    for _ in range(number):
        try:
            scene.store.rate_limits.count("a-1", "ai", "f", limit=5)
        except LimitExceeded:
            continue
        allowed += 1
    return allowed


CASES: dict[str, tuple[int, int, Callable[[Scene], Any]]] = {
    "the first call": (2, 0, lambda scene: calls(scene, 1)),
    "a call": (1, 3, lambda scene: calls(scene, 1)),
    "the last call": (1, 4, lambda scene: calls(scene, 1)),
    "a call too many": (2, 5, lambda scene: calls(scene, 1)),
    "a throttle": (1, 3, lambda scene: scene.store.rate_limits.record_throttle("a-1", "ai")),
    "a throttle under a longer block": (
        3,
        3,
        lambda scene: (
            scene.store.rate_limits.block("a-1", "ai", scene.clock() + 2 * HOUR),
            scene.store.rate_limits.record_throttle(
                "a-1", "ai", blocked_until=scene.clock() + HOUR
            ),
        ),
    ),
    "a block": (
        1,
        3,
        lambda scene: scene.store.rate_limits.block("a-1", "ai", scene.clock() + HOUR),
    ),
}


def test_a_disturbed_reset_leaves_one_window(dynamo_chat_engine: Engine) -> None:
    """The old one or an empty one; called again, it is empty."""
    for number, fault in each_fault(1):
        with open_scene(dynamo_chat_engine) as scene:
            calls(scene, 3)
            cut_short(scene, number, fault, lambda: scene.store.rate_limits.reset("a-1", "ai"))
            assert scene.store.rate_limits.get("a-1", "ai").request_count in {0, 3}
            assert scene.store.rate_limits.reset("a-1", "ai").request_count == 0
            assert calls(scene, 7) == 5


@pytest.mark.parametrize("name", CASES)
def test_a_disturbed_call_allows_nothing_more(dynamo_chat_engine: Engine, name: str) -> None:
    requests, before, call = CASES[name]
    with open_scene(dynamo_chat_engine) as scene:
        calls(scene, before)
        with RequestMeter(scene.store.connection.client) as meter:
            call(scene)
            assert meter.count == requests
    for number, fault in each_fault(requests):
        with open_scene(dynamo_chat_engine) as scene:
            assert calls(scene, before) == before
            cut_short(scene, number, fault, lambda: call(scene))
            window = scene.store.rate_limits.get("a-1", "ai")
            assert window.request_count >= before
            assert sum(window.breakdown.values()) == window.request_count
            scene.store.rate_limits.unblock("a-1", "ai")
            assert before + calls(scene, 7) <= 5
            assert scene.store.rate_limits.get("a-1", "ai").request_count <= 5
