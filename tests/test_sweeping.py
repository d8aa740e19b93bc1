"""Expired means the same, whatever DynamoDB has deleted of it so far, and in whichever order."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from dynamo_chat.core.entity import Deadline
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE, PROBE
from dynamo_chat.testing import Engine, FakeClock, Sweeper
from tests.doctor.scene import doctor_of
from tests.reads import READS, calls, fill, outcome, values
from tests.scene import DAY, Item, Scene

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
AGES = timedelta(days=36_500)
PLAN: Final = "people.plan_erasure"
"""It counts what is stored: an erasure deletes what has expired, too."""
HELPERS: Final = {
    "call_room",
    "conversation_title",
    "login_listing",
    "message_id",
    "message_stream",
    "review_id",
}
"""What leads to an item that expires, or lists it, expires with it."""


class Swept:
    """A table in which everything is, and what its reads say."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.known = values(fill(scene.store))
        self.items = scene.items()
        self._at_first: dict[datetime, dict[str, Any]] = {}

    def at_first(self) -> dict[str, Any]:
        """What every read says now, while nothing has been deleted."""
        now = self.scene.clock.now()
        if now not in self._at_first:
            self._at_first[now] = self.said()
        return self._at_first[now]

    def said(self) -> dict[str, Any]:
        """What every read returns or raises now, to a server that remembers nothing."""
        store, found = self.scene.new_store(), {}
        for entry in READS:
            if entry.method == PLAN:
                continue
            for arguments in calls(entry, self.known):
                found[f"{entry.method} {arguments}"] = outcome(store, entry, arguments)
        return found


@pytest.fixture(scope="module")
def swept(dynamo_chat_engine: Engine) -> Iterator[Swept]:
    with Scene(dynamo_chat_engine, FakeClock(START)) as scene:
        yield Swept(scene)


@pytest.mark.once
def test_every_kind_that_can_expire_is_there_and_does(swept: Swept) -> None:
    kinds = {item[KIND]["S"] for item in mortal(swept)}
    wanted = {
        kind
        for kind, layout in KEY_SPACE.layouts.items()
        if (entity := layout.resolved() if layout.entity else None) is not None
        if any(
            isinstance(mark, Deadline)
            for field in entity.model_fields.values()
            for mark in field.metadata
        )
    }
    assert kinds == (wanted | HELPERS) - {PROBE.kind}


@pytest.mark.once
@settings(
    max_examples=4,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    after=st.sampled_from([31, 61]),
    seed=st.integers(0, 2**16),
    share=st.floats(0.05, 1),
)
def test_no_read_and_no_examination_notices_a_sweep(
    swept: Swept, after: int, seed: int, share: float
) -> None:
    """After 31 days an idle conversation has expired, of which no item has; after 61 all have."""
    scene = swept.scene
    scene.restore(swept.items)
    scene.clock.advance(START + after * DAY - scene.clock.now())
    before = swept.at_first()
    expired = sum(int(item["ttl"]["N"]) < scene.clock.now().timestamp() for item in mortal(swept))
    assert Sweeper(scene.store, seed=seed).sweep(math.ceil(share * expired))
    now = swept.said()
    assert {name: each for name, each in now.items() if before[name] != each} == {}
    assert alarms(scene) == []


def mortal(swept: Swept) -> list[Item]:
    """The items that expire one day."""
    return [item for item in swept.items if "ttl" in item]


def alarms(scene: Scene) -> list[Any]:
    """What a doctor finds that is not patient at all, except with what DynamoDB may leave."""
    with doctor_of(scene, slack=AGES, longest_call=AGES) as doctor:
        return list(doctor.examine().findings)
