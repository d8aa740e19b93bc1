"""The fixtures of the desk's tests."""

from collections.abc import Iterator

import pytest
from desk.store import DeskStore

from dynamo_chat.testing import FakeClock
from dynamo_chat.testing.engine import Engine


@pytest.fixture(scope="session")
def chat_store_class() -> type[DeskStore]:
    """`chat_store` is a store of the desk's own class."""
    return DeskStore


@pytest.fixture
def clock() -> FakeClock:
    """A time that is moved."""
    return FakeClock()


@pytest.fixture
def store(dynamo_chat_engine: Engine, clock: FakeClock) -> Iterator[DeskStore]:
    """A store of the desk, at that time."""
    made = dynamo_chat_engine.store("desk-test", store=DeskStore, clock=clock)
    yield made
    made.connection.client.delete_table(TableName="desk-test")
