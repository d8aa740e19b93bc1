"""An agent of Google's ADK whose sessions are kept in the table: what it remembers, and for whom.

python examples/adk_agent.py
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.entities import repository
from dynamo_chat.integrations.adk import AdkSessions, DynamoSessionService, conversation_id_of
from dynamo_chat.testing import EmbeddedEngine


class ShopStore(ChatStore):
    """The shop's table."""

    adk_sessions = repository(AdkSessions)


class AsyncShopStore(AsyncChatStore, of=ShopStore):
    """The shop's table, for a service that awaits."""

    adk_sessions: Any


class FakeModel(BaseLlm):
    """A model that notes each wish with a tool, and then answers."""

    model: str = "fake"

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: ARG002 - the framework's
    ) -> AsyncGenerator[LlmResponse, None]:
        """One answer of the model."""
        last = llm_request.contents[-1].parts or [types.Part(text="")]
        if last[0].function_response is not None:
            part = types.Part(text="I have noted it.")
        else:
            part = types.Part(
                function_call=types.FunctionCall(name="note", args={"wish": last[0].text})
            )
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def note(wish: str, tool_context: ToolContext) -> dict[str, str]:
    """Note a wish of the user, for all of their sessions."""
    wishes = tool_context.state.get("user:wishes", [])
    tool_context.state["user:wishes"] = [*wishes, wish]
    return {"status": "noted"}


async def main() -> None:
    """Two sessions of one user, and what is in the table afterwards."""
    with EmbeddedEngine() as engine:
        shop = engine.store("shop", store=ShopStore)
        async with AsyncShopStore("shop", region=engine.region) as store:
            service = DynamoSessionService(store)
            agent = LlmAgent(name="clerk", model=FakeModel(), tools=[note], output_key="answer")
            runner = Runner(app_name="shop", agent=agent, session_service=service)

            for session_id, words in (("monday", "A red bicycle"), ("friday", "A bell for it")):
                await service.create_session(app_name="shop", user_id="u-1", session_id=session_id)
                said = types.Content(role="user", parts=[types.Part(text=words)])
                async for event in runner.run_async(
                    user_id="u-1", session_id=session_id, new_message=said
                ):
                    if event.is_final_response() and event.content and event.content.parts:
                        print(f"{session_id}: {words} -> {event.content.parts[0].text}")

            print("wishes:", await service.get_user_state(app_name="shop", user_id="u-1"))

        # For everything else, sessions are conversations like all others.
        for talk in shop.conversations.list_by_user("u-1", newest_first=False):
            print(f"conversation {talk.title!r}")
        for message in shop.messages.list(conversation_id_of("shop", "u-1", "monday")):
            print(f"  {message.role:9} {message.content or [c.tool for c in message.tool_calls]}")
        exported = [record.kind for record in shop.people.export("u-1")]
        print("exported:", {kind: exported.count(kind) for kind in sorted(set(exported))})


if __name__ == "__main__":
    asyncio.run(main())
