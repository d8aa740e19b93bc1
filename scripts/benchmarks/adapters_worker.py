"""Measures the adapters and the frameworks' own stores; see `adapters`. Prints rows as JSON."""

import asyncio
import gc
import json
import random
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from agents import SQLiteSession
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    InferenceOptions,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)
from google.adk.events.event import Event
from google.adk.sessions import DatabaseSessionService
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph_checkpoint_aws import DynamoDBSaver
from pydantic_ai import messages as pydantic_messages

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.entities import repository
from dynamo_chat.integrations.adk import AdkSessions, DynamoSessionService
from dynamo_chat.integrations.chatkit import ChatKitAttachments, DynamoChatKitStore
from dynamo_chat.integrations.langgraph import Checkpoints, DynamoCheckpointSaver
from dynamo_chat.integrations.openai_agents import DynamoSession
from dynamo_chat.integrations.pydantic_ai import as_history, as_messages
from dynamo_chat.testing import Engine, RequestMeter, TableSchema
from dynamo_chat.testing.schema import CHAT_TABLE, KeyNames

LENGTHS = (10, 200)
SAMPLES = 15
"""Turns that are measured: their CPU is the median, the rest is of the last one."""
OURS = "dynamo_chat"
WORDS = ENGLISH.split()
AWS_TABLE = TableSchema(KeyNames("PK", "SK"), {}, "ttl")


def said(number: int) -> str:
    """Some 300 characters, of other words each time: repeated texts would shrink to nothing."""
    return " ".join(random.Random(number).sample(WORDS, 60))


class BenchStore(ChatStore):
    """A store with what the adapters keep beside messages."""

    checkpoints = repository(Checkpoints)
    adk_sessions = repository(AdkSessions)
    chatkit_attachments = repository(ChatKitAttachments)


class AsyncBenchStore(AsyncChatStore, of=BenchStore):
    """The same, awaited."""

    checkpoints: Any
    adk_sessions: Any
    chatkit_attachments: Any


@dataclass
class Tally:
    """What one call took."""

    requests: int = 0
    wcu: float = 0.0
    rcu: float = 0.0
    bytes: int = 0


Metered = Callable[[], Any]
"""Opens a context whose `Tally` is complete when it is left."""


@dataclass
class Kept:
    """A conversation in some store: how to add its next turn, and how to read the latest."""

    turn: Callable[[int], Awaitable[object]]
    read: Callable[[], Awaitable[object]]
    metered: Metered


# -- meters ---------------------------------------------------------------------------------------


def requests_of(client: Any, schema: TableSchema = CHAT_TABLE) -> Metered:
    """Counts the requests of a DynamoDB client."""

    @contextmanager
    def metered() -> Iterator[Tally]:
        tally = Tally()
        with RequestMeter(client, schema=schema) as meter:
            yield tally
        tally.requests = meter.count
        tally.wcu = sum(sum(each.wcu.values()) for each in meter.requests)
        tally.rcu = sum(sum(each.rcu.values()) for each in meter.requests)
        tally.bytes = sum(each.bytes_sent + each.bytes_received for each in meter.requests)

    return metered


@dataclass
class Statements:
    """The statements of all SQLite connections that were opened since `watch`."""

    seen: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Look at every connection that is opened from now on."""
        connect = sqlite3.connect

        def watched(*args: Any, **options: Any) -> sqlite3.Connection:
            made: sqlite3.Connection = connect(*args, **options)
            made.set_trace_callback(self.seen.append)
            return made

        sqlite3.connect = sqlite3.dbapi2.connect = watched  # type: ignore[assignment]

    @contextmanager
    def metered(self) -> Iterator[Tally]:
        """Count statements as requests. Units are DynamoDB's, and bytes stay in the process."""
        tally = Tally()
        self.seen.clear()
        yield tally
        tally.requests = sum(each.lstrip()[:6].upper() != "PRAGMA" for each in self.seen)


# -- LangGraph: the whole state is a checkpoint ---------------------------------------------------


def graph(saver: Any, metered: Metered) -> Kept:
    """A graph's turn: a checkpoint of the state with all messages, and the write of one task."""
    thread: dict[str, Any] = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    messages: list[Any] = []
    at = thread

    async def turn(number: int) -> None:
        nonlocal at
        messages.append(HumanMessage(said(2 * number), id=f"q-{number}"))
        messages.append(AIMessage(said(2 * number + 1), id=f"a-{number}"))
        made: Any = empty_checkpoint()
        made["channel_values"] = {"messages": list(messages)}
        made["channel_versions"] = {"messages": number}
        about = {"source": "loop", "step": number, "parents": {}}
        at = saver.put(at, made, about, {"messages": number})
        saver.put_writes(at, [("messages", messages[-1])], f"task-{number}")

    async def read() -> object:
        return saver.get_tuple(thread)

    return Kept(turn, read, metered)


@asynccontextmanager
async def langgraph(store: BenchStore, _: Any, where: Path, sql: Statements) -> AsyncIterator[Any]:
    """Ours, and two savers of the package index."""
    saver = DynamoCheckpointSaver(store, user_id="ann")
    client = store.connection.client
    client.create_table(
        TableName="theirs",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "PK", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")
        ],
    )
    theirs = DynamoDBSaver(
        "theirs",
        region_name=store.connection.region,
        endpoint_url=client.meta.endpoint_url,
        enable_checkpoint_compression=True,
    )
    with SqliteSaver.from_conn_string(str(where / "checkpoints.db")) as lite:
        yield {
            OURS: graph(saver, requests_of(client)),
            "langgraph-checkpoint-aws": graph(theirs, requests_of(theirs.client, AWS_TABLE)),
            "langgraph-checkpoint-sqlite": graph(lite, sql.metered),
        }
    client.delete_table(TableName="theirs")


# -- sessions -------------------------------------------------------------------------------------


def agents_session(session: Any, metered: Metered) -> Kept:
    """A turn of the OpenAI Agents SDK: two items."""

    async def turn(number: int) -> None:
        await session.add_items(
            [
                {"role": "user", "content": said(2 * number)},
                {"role": "assistant", "content": said(2 * number + 1)},
            ]
        )

    return Kept(turn, lambda: session.get_items(20), metered)


@asynccontextmanager
async def openai_agents(_: Any, store: Any, where: Path, sql: Statements) -> AsyncIterator[Any]:
    """Ours, and the session that comes with the SDK."""
    client = store.connection.client
    theirs = SQLiteSession("talk-agents", where / "agents.db")
    yield {
        OURS: agents_session(DynamoSession("talk-agents", store, "ann"), requests_of(client)),
        "SQLiteSession": agents_session(theirs, sql.metered),
    }
    theirs.close()


async def adk_session(service: Any, metered: Metered) -> Kept:
    """A turn of ADK: two events."""
    from google.adk.sessions.base_session_service import GetSessionConfig

    asked = {"app_name": "app", "user_id": "ann", "session_id": "talk-adk"}
    session = await service.create_session(**asked)

    async def turn(number: int) -> None:
        for author, text in (("user", said(2 * number)), ("model", said(2 * number + 1))):
            content = types.Content(role=author, parts=[types.Part(text=text)])
            event = Event(author=author, invocation_id=f"i-{number}", content=content)
            await service.append_event(session, event)

    async def read() -> object:
        return await service.get_session(**asked, config=GetSessionConfig(num_recent_events=20))

    return Kept(turn, read, metered)


@asynccontextmanager
async def adk(_: Any, store: Any, where: Path, sql: Statements) -> AsyncIterator[Any]:
    """Ours, and the framework's service for SQL databases."""
    theirs = DatabaseSessionService(f"sqlite+aiosqlite:///{where / 'adk.db'}")
    client = store.connection.client
    yield {
        OURS: await adk_session(DynamoSessionService(store), requests_of(client)),
        "DatabaseSessionService": await adk_session(theirs, sql.metered),
    }
    await theirs.close()


# -- without a store of their own -----------------------------------------------------------------


@asynccontextmanager
async def pydantic_ai(_: Any, store: Any, *__: Any) -> AsyncIterator[Any]:
    """Ours: a history in an ordinary conversation."""
    talk = (await store.conversations.create("ann", auto_title=False)).conversation_id

    async def turn(number: int) -> None:
        history: list[pydantic_messages.ModelMessage] = [
            pydantic_messages.ModelRequest([pydantic_messages.UserPromptPart(said(2 * number))]),
            pydantic_messages.ModelResponse([pydantic_messages.TextPart(said(2 * number + 1))]),
        ]
        await store.messages.append_turn(talk, as_messages(history), user_id="ann")

    async def read() -> object:
        return as_history(await store.messages.latest(talk, 20, user_id="ann"))

    yield {OURS: Kept(turn, read, requests_of(store.connection.client))}


@asynccontextmanager
async def chatkit(_: Any, store: Any, *__: Any) -> AsyncIterator[Any]:
    """Ours: the framework's server adds the items of a turn one by one."""
    kept = DynamoChatKitStore(store, str)
    thread = ThreadMetadata(id="talk-chatkit", created_at=datetime.now(UTC))
    await kept.save_thread(thread, "ann")

    async def turn(number: int) -> None:
        known: dict[str, Any] = {"thread_id": thread.id, "created_at": datetime.now(UTC)}
        question = UserMessageItem(
            id=f"q-{number}",
            content=[UserMessageTextContent(text=said(2 * number))],
            attachments=[],
            inference_options=InferenceOptions(),
            **known,
        )
        answer = AssistantMessageItem(
            id=f"a-{number}",
            content=[AssistantMessageContent(text=said(2 * number + 1))],
            **known,
        )
        for item in (question, answer):
            await kept.add_thread_item(thread.id, item, "ann")

    async def read() -> object:
        return await kept.load_thread_items(thread.id, None, 20, "desc", "ann")

    yield {OURS: Kept(turn, read, requests_of(store.connection.client))}


FRAMEWORKS = (langgraph, openai_agents, adk, pydantic_ai, chatkit)


# -- measuring ------------------------------------------------------------------------------------


async def rows(endpoint: str) -> list[dict[str, object]]:
    """All rows."""
    found: list[dict[str, object]] = []
    sql = Statements()
    sql.watch()
    async with AsyncExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        engine = stack.enter_context(Engine(endpoint))
        store = engine.store("bench-adapters", store=BenchStore)
        stack.callback(store.connection.client.delete_table, TableName="bench-adapters")
        awaiting = await stack.enter_async_context(
            AsyncBenchStore("bench-adapters", region=engine.region, endpoint_url=endpoint)
        )
        for framework in FRAMEWORKS:
            async with framework(store, awaiting, where, sql) as stores:
                done = dict.fromkeys(stores, 0)
                for turns in LENGTHS:
                    for name, kept in stores.items():
                        for number in range(done[name], turns):
                            await kept.turn(number)
                        done[name] = turns + SAMPLES
                        for call in ("turn", "read"):
                            row = {"framework": framework.__name__, "turns": turns, "store": name}
                            found.append({**row, "call": call, **await taken(kept, call, turns)})
    return found


async def taken(kept: Kept, call: str, turns: int) -> dict[str, object]:
    """Requests, units and bytes of a call, and its CPU in milliseconds."""

    def made(number: int) -> Awaitable[object]:
        return kept.turn(number) if call == "turn" else kept.read()

    cpu = []
    gc.disable()
    for number in range(turns, turns + SAMPLES - 1):
        began = time.process_time()
        await made(number)
        cpu.append(time.process_time() - began)
    gc.enable()
    with kept.metered() as tally:
        await made(turns + SAMPLES - 1)
    return {**tally.__dict__, "cpu_ms": round(median(cpu) * 1_000, 2)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(asyncio.run(rows(sys.argv[1]))))
