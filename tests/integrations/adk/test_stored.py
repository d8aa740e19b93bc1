"""What this release has stored is read by later ones.

The file is never changed. To make one for a new form of storing, under another name:

    python -m tests.integrations.adk.test_stored FILE
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.platform import time as platform_time
from google.genai import types

from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.integrations.adk import DynamoSessionService
from dynamo_chat.testing import EmbeddedEngine, FakeClock
from tests.integrations.adk.kit import APP, USER, AdkStore, awaited, said, texts

FILE = Path(__file__).with_name("stored.json")
START = datetime(2026, 1, 30, 14, tzinfo=UTC)
STATE = {"own": 1, "user:name": "Ann", "app:open": True}


def _events() -> list[Event]:
    at = START.timestamp()
    look = types.FunctionCall(name="look", args={"at": "4K"}, id="c-1")
    found = types.FunctionResponse(name="look", response={"found": 2}, id="c-1")
    return [
        said(
            "Show me 4K renders", id="e-1", timestamp=at + 1, state={"asked": 1, "user:last": "4K"}
        ),
        Event(
            id="e-2",
            author="agent",
            timestamp=at + 2.5,
            content=types.Content(role="model", parts=[types.Part(function_call=look)]),
        ),
        Event(
            id="e-3",
            author="agent",
            timestamp=at + 2.5,
            content=types.Content(role="user", parts=[types.Part(function_response=found)]),
            actions=EventActions(state_delta={"app:seen": [None, 1.5]}),
        ),
        said("Two", author="agent", id="e-4", timestamp=at + 3, state={"asked": None}),
    ]


async def _fill(store: AsyncChatStore) -> None:
    service = DynamoSessionService(store)
    session = await service.create_session(
        app_name=APP, user_id=USER, session_id="s-1", state=STATE
    )
    for event in _events():
        await service.append_event(session, event)


def _write(file: Path) -> None:
    """Write what the present release stores."""
    clock = FakeClock(START)
    platform_time.set_time_provider(lambda: clock().timestamp())
    with EmbeddedEngine() as engine:
        store = engine.store("stored", store=AdkStore, clock=clock)
        clock.advance(10)
        asyncio.run(_fill(AsyncChatStore._made_of(store)))
        items = store.connection.client.scan(TableName="stored")["Items"]
    items.sort(key=lambda item: (item["PK"]["S"], item["SK"]["S"]))
    file.write_text(json.dumps(items, indent=1, sort_keys=True) + "\n", "utf-8")


@awaited
async def test_stored_sessions_are_read(
    async_chat_store: AsyncChatStore, chat_store: AdkStore
) -> None:
    client, table = chat_store.connection.client, chat_store.connection.table_name
    for item in json.loads(FILE.read_text("utf-8")):
        client.put_item(TableName=table, Item=item)
    service = DynamoSessionService(async_chat_store)
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s-1")
    assert found is not None
    assert [each.model_dump() for each in found.events] == [each.model_dump() for each in _events()]
    assert found.state == {
        **STATE,
        "asked": None,
        "user:last": "4K",
        "app:seen": [None, 1.5],
    }
    listed = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert [(each.id, each.last_update_time) for each in listed] == [("s-1", START.timestamp() + 3)]
    await service.append_event(found, said("More"))
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s-1")
    assert texts(found)[-1] == "More"


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
