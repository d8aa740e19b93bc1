"""Pydantic AI with its conversations in a chat table.

    python examples/pydantic_ai_chat.py

It runs on the embedded engine, with a model that only pretends. Needs the extras `pydantic-ai` and
`testing`.
"""

import asyncio
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.entities import repository
from dynamo_chat.integrations.pydantic_ai import (
    ConversationRecords,
    DynamoConversationStore,
    as_history,
    as_messages,
)
from dynamo_chat.testing import EmbeddedEngine


class MyStore(ChatStore):
    """The application's store: the package's repositories, and Pydantic AI's records."""

    pydantic_ai_records = repository(ConversationRecords)


class AsyncMyStore(AsyncChatStore, of=MyStore):
    """The same on an event loop."""

    pydantic_ai_records: Any


def pretended(heard: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Count the questions."""
    asked = [each for each in heard if isinstance(each, ModelRequest)]
    return ModelResponse([TextPart(f"That was question {len(asked)}.")])


AGENT = Agent(FunctionModel(pretended))


async def with_histories(store: AsyncMyStore) -> None:
    """Any conversation's messages are a history: one request to read it, one for the turn."""
    talk = await store.conversations.create("ann")
    for question in ("What is DynamoDB?", "And what is a transaction?"):
        latest = await store.messages.latest(talk.conversation_id, 50, user_id="ann")
        result = await AGENT.run(question, message_history=as_history(latest))
        turn = as_messages(result.new_messages())
        await store.messages.append_turn(talk.conversation_id, turn, user_id="ann")
        print(f"{question} {result.output}")


async def with_conversations(store: AsyncMyStore) -> None:
    """Pydantic AI's own store of conversations: with usage, branches and forks."""
    kept = DynamoConversationStore(store, "ann")
    await kept.save(await AGENT.run("Hello", conversation=Conversation(conversation_id="talk")))
    loaded = await kept.load("talk")
    await kept.save(await AGENT.run("Hello again", conversation=loaded))
    fork = await kept.fork("talk", at=2)
    await kept.save(await AGENT.run("Another way", conversation=fork))
    for record in await kept.list_conversations():
        messages = await kept.load(record.conversation_id)
        print(
            f"{len(messages.messages if messages else [])} messages, {record.usage.requests} runs"
        )


async def main() -> None:
    """Make a table that lives as long as this program."""
    with EmbeddedEngine() as engine:
        made = engine.store("pydantic-ai-chat", store=MyStore)
        async with AsyncMyStore(
            made.connection.table_name, region=engine.region, endpoint_url=engine.endpoint_url
        ) as store:
            await with_histories(store)
            await with_conversations(store)
            for talk in await store.conversations.list_by_activity("ann"):
                print(f"{talk.title!r} has {talk.message_count} messages")


if __name__ == "__main__":
    asyncio.run(main())
