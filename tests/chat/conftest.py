"""A table of its own for each test, a clock that is moved, and any number of stores on both."""

from collections.abc import Iterator

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.testing import FakeClock
from dynamo_chat.testing.engine import Engine
from tests.chat.world import World


@pytest.fixture
def world(dynamo_chat_engine: Engine) -> Iterator[World]:
    """A table and a clock. Requests that DynamoDB would reject fail the test."""
    with World(dynamo_chat_engine) as made:
        yield made


@pytest.fixture
def store(world: World) -> ChatStore:
    """A store on the world's table, at the world's time."""
    return world.store()


@pytest.fixture
def clock(world: World) -> FakeClock:
    """The world's time."""
    return world.clock
