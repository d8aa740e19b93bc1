"""A table, and a repository of things on it."""

from collections.abc import Iterator

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.testing.engine import Engine
from tests.chat.world import World
from tests.core.things import Things


@pytest.fixture
def world(dynamo_chat_engine: Engine) -> Iterator[World]:
    """A table and a clock."""
    with World(dynamo_chat_engine) as made:
        yield made


@pytest.fixture
def store(world: World) -> ChatStore:
    """A store on it."""
    return world.store()


@pytest.fixture
def things(store: ChatStore) -> Things:
    """A repository on it."""
    return Things(store._binding)
