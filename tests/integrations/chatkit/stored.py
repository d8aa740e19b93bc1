"""What this release stores of a thread: `stored.json`, which later releases must read.

python -m tests.integrations.chatkit.stored      # only for a new form; old ones stay
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatkit.types import Attachment, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter

from dynamo_chat.integrations.chatkit import AsyncChatKitStore, DynamoChatKitStore
from tests.integrations.served import write_stored

FILE = Path(__file__).with_name("stored.json")
USER = "ann"
_AT = {"thread_id": "thr_1", "created_at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)}
_FILE = {"id": "atc_1", "type": "file", "name": "a.pdf", "mime_type": "application/pdf"}

THREADS = [
    ThreadMetadata.model_validate(
        {
            "id": "thr_1",
            "title": "Plans",
            "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "status": {"type": "locked", "reason": "wait"},
            "allowed_image_domains": ["a.example"],
            "metadata": {"a": None, "b": [1, 1.5, "x"]},
        }
    ),
    ThreadMetadata(id="thr_2", title="long " * 60, created_at=datetime(2026, 1, 3, tzinfo=UTC)),
]

_DATA: list[dict[str, Any]] = [
    {
        "id": "msg_1",
        "type": "user_message",
        "content": [
            {"type": "input_text", "text": "Ask "},
            {"type": "input_tag", "id": "t", "text": "Ann", "data": {"n": 1}, "group": "people"},
        ],
        "attachments": [{**_FILE, "thread_id": "thr_1"}],
        "quoted_text": "a line",
        "inference_options": {"tool_choice": {"id": "search"}, "model": "m-1"},
    },
    {
        "id": "msg_2",
        "type": "assistant_message",
        "content": [
            {
                "text": "It is here.",
                "annotations": [
                    {
                        "type": "annotation",
                        "source": {"type": "url", "title": "A", "url": "https://a.example"},
                        "index": 5,
                    }
                ],
            },
            {"text": " And there.", "annotations": []},
        ],
    },
    {
        "id": "tc_1",
        "type": "client_tool_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "pick",
        "arguments": {"n": [1]},
        "output": {"picked": None},
    },
    {
        "id": "msg_3",
        "type": "widget",
        "widget": {"type": "Card", "children": [{"type": "Text", "value": "Hi"}]},
        "copy_text": "Hi",
    },
    {"id": "msg_4", "type": "generated_image", "image": {"id": "i", "url": "https://a.example/i"}},
    {
        "id": "msg_5",
        "type": "structured_input",
        "inputs": [{"type": "freeform", "id": "q", "question": "Where to?"}],
    },
    {
        "id": "wf_1",
        "type": "workflow",
        "workflow": {
            "type": "reasoning",
            "tasks": [{"type": "thought", "content": "Hm."}],
            "summary": {"duration": 3},
        },
    },
    {"id": "tsk_1", "type": "task", "task": {"type": "custom", "title": "T", "icon": "bolt"}},
    {"id": "hc_1", "type": "hidden_context_item", "content": {"tokens": 7}},
    {"id": "shcx_1", "type": "sdk_hidden_context", "content": "The user cancelled."},
    {"id": "end_1", "type": "end_of_turn"},
]
ITEMS: list[ThreadItem] = [
    TypeAdapter(ThreadItem).validate_python({**each, **_AT}) for each in _DATA
]
ATTACHMENTS: list[Attachment] = [
    TypeAdapter(Attachment).validate_python(each)
    for each in (
        {**_FILE, "thread_id": "thr_1", "metadata": {"etag": "e"}},
        {
            "id": "atc_2",
            "type": "image",
            "name": "b.png",
            "mime_type": "image/png",
            "preview_url": "https://b.example/p",
            "upload_descriptor": {"url": "https://b.example/u", "method": "PUT"},
        },
    )
]


async def write(store: AsyncChatKitStore) -> None:
    """Store all of it."""
    kit: DynamoChatKitStore[str] = DynamoChatKitStore(store, lambda context: context)
    for thread in THREADS:
        await kit.save_thread(thread, USER)
    for attachment in ATTACHMENTS:
        await kit.save_attachment(attachment, USER)
    for item in ITEMS:
        await kit.add_thread_item("thr_1", item, USER)


if __name__ == "__main__":
    write_stored(FILE, write, AsyncChatKitStore)
