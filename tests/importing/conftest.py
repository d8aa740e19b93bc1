"""Stores on a table of the test's own, at any time."""

from typing import Any

import pytest

from dynamo_chat.store import ChatStore, StoreFactory
from tests.chat.conftest import clock, store, world
from tests.chat.world import World

__all__ = ["clock", "factory", "store", "world"]


@pytest.fixture
def factory(world: World) -> StoreFactory:
    """Stores on the world's table."""

    def make(table_name: str | None = None, **options: Any) -> ChatStore:
        return world.store(**options)

    return make
