"""The OpenAI Agents SDK, with sessions in a chat table.

    python examples/openai_agents_chat.py

It runs on the embedded engine, with a model that only pretends. Needs the extras `openai-agents`
and `testing`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.integrations.openai_agents import DynamoSession
from dynamo_chat.testing import EmbeddedEngine


class PretendedModel(Model):
    """Asks for the weather once, then repeats what it heard."""

    async def get_response(self, *_: Any, **given: Any) -> Any:
        """Return a call of the tool, or the answer."""
        heard = [dict(item) for item in given["input"]]
        last = heard[-1]
        if last.get("role") == "user" and "weather" in last["content"]:
            call = ResponseFunctionToolCall(
                call_id="call-1", name="weather", arguments='{"city": "Oslo"}', type="function_call"
            )
            return ModelResponse(output=[call], usage=Usage(), response_id=None)
        asked = [item["content"] for item in heard if item.get("role") == "user"]
        text = last.get("output") or f"You have asked {len(asked)} questions."
        said = ResponseOutputText(text=text, type="output_text", annotations=[])
        answer = ResponseOutputMessage(
            id="answer", content=[said], role="assistant", status="completed", type="message"
        )
        return ModelResponse(output=[answer], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Not used here."""
        raise NotImplementedError


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


async def chat(store: AsyncChatStore) -> None:
    """Talk with the agent as Ann; then look at the table as the application does."""
    agent = Agent(name="Helper", model=PretendedModel(), tools=[weather])
    session = DynamoSession("talk-1", store, "ann")
    for question in ("How is the weather?", "How much have I asked?"):
        result = await Runner.run(agent, question, session=session)
        print(f"{question} {result.final_output}")

    (talk,) = await store.conversations.list_by_activity("ann")
    print(f"{talk.title!r} has {talk.message_count} messages")
    for message in await store.messages.latest("talk-1", 10, user_id="ann"):
        print(f"  {message.role}: {message.content or message.tool_calls[0].tool}")

    stranger = DynamoSession("talk-1", store, "eve")
    print(f"Eve sees {len(await stranger.get_items())} of them")


async def main() -> None:
    """Make a table that lives as long as this program."""
    set_tracing_disabled(True)
    with EmbeddedEngine() as engine:
        made = engine.store("openai-agents-chat")
        where = made.connection
        async with AsyncChatStore(
            where.table_name, region=engine.region, endpoint_url=engine.endpoint_url
        ) as store:
            await chat(store)


if __name__ == "__main__":
    asyncio.run(main())
