"""No acknowledged message of the living conversation is lost, whoever else clears and creates."""

import os
from contextlib import ExitStack

import pytest

from tests.chat.storm import SERVERS, Storm, slowed
from tests.scene import Scene

ROUNDS = int(os.environ.get("DYNAMO_CHAT_STORM_ROUNDS", "8"))
SEED = int(os.environ.get("DYNAMO_CHAT_STORM_SEED", "0"))


@pytest.mark.ministack
def test_a_storm_over_ids_that_are_given_anew(scene: Scene) -> None:
    """``DYNAMO_CHAT_STORM_ROUNDS=300`` for a long one."""
    stores = [scene.new_store() for _ in range(SERVERS)]
    storm = Storm(stores, scene.new_store(), scene.clock)
    with ExitStack() as stack:
        for number, store in enumerate(stores):
            stack.enter_context(slowed(store, SEED * SERVERS + number))
        storm.blow(ROUNDS)
    assert storm.lost == []
    assert storm.lives >= ROUNDS
