"""What is too large for an item is found before anything is written."""

import random
from typing import Any

import pytest
from pydantic_ai import DeferredToolRequests
from pydantic_ai.conversation import Conversation

from dynamo_chat.core.errors import ItemTooLarge
from dynamo_chat.integrations.pydantic_ai import DynamoConversationStore
from tests.integrations.pydantic_ai.test_conversations import ID, LONG, run, said
from tests.scene import Scene

pytestmark = pytest.mark.engine


@pytest.mark.once
def test_what_is_too_large_writes_nothing(scene: Scene) -> None:
    """Neither a conversation, nor what would be written before it."""
    text = random.Random(1).randbytes(400_000).hex()
    large = said(text)
    requests = DeferredToolRequests(metadata={"call": {"page": text}})

    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")

        async def refused(**fields: Any) -> None:
            before = scene.items()
            with pytest.raises(ItemTooLarge):
                await kept.save(Conversation(conversation_id=ID, **fields))
            assert scene.items() == before

        for _ in range(2):  # of a new conversation, and of one that the user has
            await refused(messages=large)
            await refused(messages=[*LONG, *large])
            await refused(messages=LONG, deferred_tool_requests=requests)
            await store.conversations.create("u-1", conversation_id=ID)

    run(scene, work)
