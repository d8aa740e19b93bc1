"""What this release stores of a session: `stored.json`, which later releases must read.

python -m tests.integrations.openai_agents.stored      # only for a new form; old ones stay
"""

from pathlib import Path
from typing import Any

from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.integrations.openai_agents import DynamoSession
from tests.integrations.served import write_stored

FILE = Path(__file__).with_name("stored.json")

ITEMS: list[Any] = [
    {"role": "user", "content": "What is 2 + 2, and what is on the picture?"},
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "An addition."}],
        "encrypted_content": "gAAAA",
    },
    {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "add",
        "arguments": '{"a": 2, "b": 2}',
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "4"},
    {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": [{"type": "input_text", "text": "4"}],
    },
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "This one:"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            {"type": "input_file", "file_id": "file_1"},
        ],
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "It is 4.", "annotations": [], "logprobs": []}],
    },
    {
        "id": "msg_2",
        "type": "message",
        "role": "assistant",
        "status": "incomplete",
        "content": [
            {"type": "output_text", "text": "One", "annotations": []},
            {"type": "output_text", "text": "Two", "annotations": [{"type": "file_path"}]},
            {"type": "refusal", "refusal": "No."},
        ],
    },
    {"type": "message", "role": "developer", "content": "Be brief."},
    {"role": "system", "content": ""},
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}},
    {"type": "item_reference", "id": "msg_0"},
    {"type": "compaction", "encrypted_content": "x" * 3_000},
    {"role": "tool", "content": "of no known form"},
    {},
]


async def write(store: AsyncChatStore) -> None:
    """Store the items, as a session does."""
    await DynamoSession("talk-1", store, "u-1").add_items(ITEMS)


if __name__ == "__main__":
    write_stored(FILE, write)
