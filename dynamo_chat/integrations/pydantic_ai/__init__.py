"""Pydantic AI: message histories as messages of a conversation, and its store of conversations.

    history = as_history(await store.messages.latest(conversation_id, 50, user_id=user_id))
    result = await agent.run(prompt, message_history=history)
    turn = as_messages(result.new_messages())
    await store.messages.append_turn(conversation_id, turn, user_id=user_id)

`DynamoConversationStore` is experimental, like the interface of Pydantic AI that it serves.
"""

from dynamo_chat.integrations.pydantic_ai.conversations import (
    DynamoConversationStore as DynamoConversationStore,
)
from dynamo_chat.integrations.pydantic_ai.history import (
    as_history as as_history,
    as_messages as as_messages,
)
from dynamo_chat.integrations.pydantic_ai.records import (
    ConversationRecords as ConversationRecords,
    StoredRecord as StoredRecord,
)
