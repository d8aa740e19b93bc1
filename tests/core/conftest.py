"""A repository of things."""

import pytest

from dynamo_chat import ChatStore
from tests.core.things import Things


@pytest.fixture
def things(store: ChatStore) -> Things:
    """On the scene's table."""
    return Things(store._binding)
