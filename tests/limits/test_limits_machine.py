"""A rate limit against one that is written down plainly: any calls at any time."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dynamo_chat.core.errors import LimitExceeded
from dynamo_chat.testing import Engine
from tests.machines import walks
from tests.mail.scenes import open_scene
from tests.scene import Scene

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LENGTHS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1))

limits = st.integers(0, 4)
lengths = st.sampled_from(LENGTHS)
names = st.sampled_from(["generate_email", "llm.response", "a[1]"])


@dataclass
class Window:
    """The last window that was opened."""

    start: datetime
    end: datetime
    limit: int
    count: int = 0
    throttled: int = 0
    breakdown: dict[str, int] = field(default_factory=dict)


class LimitMachine(RuleBasedStateMachine):
    """One account, one resource, one clock."""

    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.scene: Scene = self.stack.enter_context(open_scene(self.engine))
        self.limits = self.scene.store.rate_limits
        self.window: Window | None = None
        self.blocked_until: datetime | None = None
        self.last_request: datetime | None = None

    def teardown(self) -> None:
        self.stack.close()

    @property
    def now(self) -> datetime:
        return self.scene.clock()

    def current(self, limit: int, length: timedelta) -> Window:
        if self.window is None or self.window.end <= self.now:
            passed = (self.now - EPOCH) % length
            self.window = Window(self.now - passed, self.now - passed + length, limit)
        return self.window

    @property
    def is_blocked(self) -> bool:
        return self.blocked_until is not None and self.blocked_until > self.now

    @rule(name=names, limit=limits, length=lengths)
    def count(self, name: str, limit: int, length: timedelta) -> None:
        window = self.current(limit, length)
        window.limit = limit
        if self.is_blocked or window.count >= limit:
            window.throttled += 1
            with pytest.raises(LimitExceeded) as refused:
                self.limits.count("a-1", "ai", name, limit=limit, window=length)
            assert refused.value.current.throttled_requests == window.throttled
            return
        window.count += 1
        window.breakdown[name] = window.breakdown.get(name, 0) + 1
        self.last_request = self.now
        counted = self.limits.count("a-1", "ai", name, limit=limit, window=length)
        assert counted.request_count == window.count

    @rule(seconds=st.integers(1, 200))
    def block(self, seconds: int) -> None:
        self.blocked_until = self.now + timedelta(seconds=seconds)
        self.limits.block("a-1", "ai", self.blocked_until)

    @rule()
    def unblock(self) -> None:
        self.blocked_until = None
        self.limits.unblock("a-1", "ai")

    @rule()
    def reset(self) -> None:
        if self.window is not None and self.window.end > self.now:
            self.window = None
        ended = self.limits.reset("a-1", "ai")
        assert (ended.request_count, ended.breakdown) == (0, {})

    @rule(limit=limits, length=lengths, seconds=st.none() | st.integers(-10, 200))
    def throttle(self, limit: int, length: timedelta, seconds: int | None) -> None:
        self.current(limit, length).throttled += 1
        until = None if seconds is None else self.now + timedelta(seconds=seconds)
        if until is not None and until > self.now:
            self.blocked_until = max(until, self.blocked_until or until)
        self.limits.record_throttle("a-1", "ai", limit=limit, window=length, blocked_until=until)

    @rule(seconds=st.sampled_from([1, 20, 59, 60, 299, 3_600]))
    def pass_time(self, seconds: int) -> None:
        self.scene.clock.advance(seconds)

    @invariant()
    def reads_the_same(self) -> None:
        there = self.limits.get("a-1", "ai")
        assert there.blocked_until == (self.blocked_until if self.is_blocked else None)
        assert there.last_request == self.last_request
        assert there.window_start <= self.now < there.window_end
        if self.window is None or self.window.end <= self.now:
            assert (there.request_count, there.throttled_requests, there.breakdown) == (0, 0, {})
            return
        assert (there.window_start, there.window_end) == (self.window.start, self.window.end)
        assert (there.limit, there.request_count) == (self.window.limit, self.window.count)
        assert there.throttled_requests == self.window.throttled
        assert there.breakdown == self.window.breakdown


@pytest.mark.once
@pytest.mark.engine
def test_a_rate_limit_does_what_it_says(dynamo_chat_engine: Engine) -> None:
    class Machine(LimitMachine):
        engine = dynamo_chat_engine

    run_state_machine_as_test(Machine, settings=walks(dynamo_chat_engine))
