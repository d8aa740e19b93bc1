"""The pytest plugin: fixtures, available wherever this package is installed.

    def test_it(chat_store):
        talk = chat_store.conversations.create(user_id="u-1")

Tests run on the embedded engine, or on the endpoint in ``DYNAMO_CHAT_TEST_ENDPOINT`` if that is
set. Unless that is AWS itself, the environment has dummy credentials from the first use of a
fixture to the end of the session, so no test can reach an account.

pytest loads this file at every start, so slow imports are inside the fixtures.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dynamo_chat.aio import AsyncChatStore
    from dynamo_chat.store import ChatStore
    from dynamo_chat.testing.changes import TableChanges
    from dynamo_chat.testing.clock import FakeClock
    from dynamo_chat.testing.engine import Engine

ENDPOINT_VARIABLE = "DYNAMO_CHAT_TEST_ENDPOINT"


@pytest.fixture(scope="session")
def dynamo_chat_engine() -> Iterator[Engine]:
    """The engine that tests run on. ``engine.store(name)`` creates a store and its table."""
    from dynamo_chat.testing.engine import DEFAULT_REGION, EmbeddedEngine, Engine

    endpoint = os.environ.get(ENDPOINT_VARIABLE)
    region = os.environ.get("AWS_REGION", DEFAULT_REGION)
    with Engine(endpoint, region=region) if endpoint else EmbeddedEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def chat_store_class() -> type[ChatStore]:
    """The class of `chat_store`. An application with its own kinds overrides this fixture."""
    from dynamo_chat.store import ChatStore

    return ChatStore


@pytest.fixture
def chat_clock() -> FakeClock:
    """A clock that stands still until ``chat_clock.advance(…)``, from the real time on.

    In a test that asks for it, it is the clock of `chat_store`.
    """
    from dynamo_chat.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def chat_changes(dynamo_chat_engine: Engine, chat_store: ChatStore) -> TableChanges:
    """The changes that the test makes with `chat_store`: ``chat_changes.read()``."""
    return dynamo_chat_engine.changes(chat_store)


@pytest.fixture
def async_chat_store(chat_store: ChatStore) -> Iterator[AsyncChatStore]:
    """An `AsyncChatStore` on the table of `chat_store`, with the strict hook.

    It belongs to the event loop that the test runs on. Needs the extra `async`.
    """
    from dynamo_chat.aio import AsyncChatStore
    from dynamo_chat.testing.strict import StrictHook

    # A copy has a connection of its own, and the class, the clock and the options of the other.
    store = AsyncChatStore._made_of(copy(chat_store))  # noqa: SLF001 - of this package
    try:
        with StrictHook(store.connection.client) as strict:
            yield store
    finally:
        store._runner.abandon()  # noqa: SLF001 - the test's loop does not run any more
    if strict.violations:
        raise strict.violations[0]


@pytest.fixture
def chat_store(
    request: pytest.FixtureRequest,
    dynamo_chat_engine: Engine,
    chat_store_class: type[ChatStore],
) -> Iterator[ChatStore]:
    """A `ChatStore` with its own table and the strict hook.

    A request that DynamoDB would reject fails the test, even if the test catches the error.
    """
    from dynamo_chat.testing.strict import StrictHook

    name = f"dynamo-chat-test-{uuid.uuid4()}"
    is_frozen = "chat_clock" in request.fixturenames
    options = {"clock": request.getfixturevalue("chat_clock")} if is_frozen else {}
    store = dynamo_chat_engine.store(name, store=chat_store_class, **options)
    client = store.connection.client
    try:
        with StrictHook(client) as strict:
            yield store
    finally:
        client.delete_table(TableName=store.connection.table_name)
    if strict.violations:
        raise strict.violations[0]
