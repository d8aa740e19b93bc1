"""What this release stores of a conversation: `stored.json`, which later releases must read.

python -m tests.integrations.pydantic_ai.stored        # only for a new form; old ones stay
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_ai import DeferredToolRequests, RunUsage
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    RetryInfo,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.entities import repository
from dynamo_chat.integrations.pydantic_ai import ConversationRecords, DynamoConversationStore
from tests.integrations.served import write_stored

FILE = Path(__file__).with_name("stored.json")
AT = datetime(2026, 11, 22, 8, 30, 0, 123456, UTC)


class RecordStore(ChatStore):
    """A store with the records."""

    cases = ("dynamo_chat.integrations.pydantic_ai.cases",)
    pydantic_ai_records = repository(ConversationRecords)


class AsyncRecordStore(AsyncChatStore, of=RecordStore):
    """The same on an event loop."""

    pydantic_ai_records: Any


CALL = ToolCallPart("add", {"a": 2, "b": 2}, tool_call_id="call-1")
HISTORY: list[ModelMessage] = [
    ModelRequest(
        [
            SystemPromptPart("Be brief.", timestamp=AT),
            UserPromptPart("What is 2 + 2?", timestamp=AT),
        ],
        instructions="In English.",
        timestamp=AT,
        run_id="run-1",
        metadata={"tag": [1, None]},
    ),
    ModelResponse([ThinkingPart("Hm.", signature="s"), CALL], model_name="m-1", timestamp=AT),
    ModelRequest([ToolReturnPart("add", 4, tool_call_id="call-1", timestamp=AT)], timestamp=AT),
    ModelResponse([TextPart("It is 4.")], timestamp=AT),
    ModelRequest(
        [
            UserPromptPart(
                [
                    "And this?",
                    ImageUrl("https://example.com/a.png"),
                    BinaryContent(b"\x00\xff", media_type="application/pdf"),
                    "Or that?",
                ],
                timestamp=AT,
            )
        ],
        timestamp=AT,
    ),
    ModelResponse([TextPart("One."), TextPart("Two.")], timestamp=AT),
    ModelRequest(
        [RetryFeedbackPart("Again.", retry=RetryInfo("model_retry"), timestamp=AT)], timestamp=AT
    ),
    ModelResponse([], timestamp=AT),
]
CONVERSATION_ID = "talk-1"


def conversation() -> Conversation:
    """A conversation that waits for an approval."""
    return Conversation(
        conversation_id=CONVERSATION_ID,
        messages=list(HISTORY),
        usage=RunUsage(requests=4, input_tokens=70, details={"x": 1}),
        deferred_tool_requests=DeferredToolRequests(approvals=[CALL]),
    )


async def write(store: AsyncRecordStore) -> None:
    """Save a conversation, and a fork of its first two messages."""
    kept = DynamoConversationStore(store, "u-1")
    await kept.save(conversation(), scope="work")
    await kept.fork(CONVERSATION_ID, at=2, new_conversation_id="talk-2")


if __name__ == "__main__":
    write_stored(FILE, write, AsyncRecordStore)
