"""Reads that lag: they show the past, and only what may."""

from datetime import timedelta

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.testing import FakeClock, Lag
from tests.scene import Scene

pytestmark = pytest.mark.engine


def test_a_list_is_behind_and_a_consistent_read_is_not(scene: Scene) -> None:
    store = scene.store
    with Lag(timedelta(seconds=5), seed=1, clock=scene.clock) as lag:
        lag.attach(store)
        seen = set()
        for number in range(30):
            talk = store.conversations.create("ann", conversation_id=f"t{number}")
            assert store.conversations.get(talk.conversation_id, consistent=True) == talk
            seen.add(number + 1 - len(store.conversations.list_by_user("ann", page_size=100)))
            scene.clock.advance(1)
        assert max(seen) > 1
        assert min(seen) >= 0
        assert lag.late
        lag.settle()
        assert len(store.conversations.list_by_user("ann", page_size=100)) == 30
    assert len(store.conversations.list_by_user("ann", page_size=100)) == 30
