"""Fixtures of the tests of ADK sessions."""

from collections.abc import Iterator

import pytest
from google.adk.platform import time as platform_time

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.integrations.adk import DynamoSessionService
from dynamo_chat.testing import FakeClock
from tests.integrations.adk.kit import AdkStore


@pytest.fixture(scope="session")
def chat_store_class() -> type[ChatStore]:
    """A store with the kinds of sessions."""
    return AdkStore


@pytest.fixture
def frozen(chat_clock: FakeClock) -> Iterator[FakeClock]:
    """One clock for the store and the framework."""
    platform_time.set_time_provider(lambda: chat_clock().timestamp())
    yield chat_clock
    platform_time.reset_time_provider()


@pytest.fixture
def service(async_chat_store: AsyncChatStore) -> DynamoSessionService:
    """Sessions in a table of their own."""
    return DynamoSessionService(async_chat_store)
