"""A runner of the framework with sessions in the table, and the example application."""

import asyncio
import runpy
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from google.adk.agents import LlmAgent, ParallelAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.genai import types

from dynamo_chat import ChatStore
from dynamo_chat.integrations.adk import DynamoSessionService, conversation_id_of
from tests.integrations.adk.kit import APP, USER, awaited

EXAMPLE = Path(__file__).parents[3] / "examples" / "adk_agent.py"


class Echo(BaseLlm):
    """A model that streams back, in two parts, how much it has heard."""

    model: str = "echo"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Two partial answers and the whole one."""
        heard = f"heard {len(llm_request.contents)}"
        for part in (heard[:5], heard[5:]):
            await asyncio.sleep(0)
            yield self._said(part, is_partial=True)
        yield self._said(heard, is_partial=False)

    def _said(self, text: str, *, is_partial: bool) -> LlmResponse:
        content = types.Content(role="model", parts=[types.Part(text=text)])
        return LlmResponse(content=content, partial=is_partial)


def new(text: str) -> types.Content:
    """What the user says."""
    return types.Content(role="user", parts=[types.Part(text=text)])


@awaited
async def test_two_turns(service: DynamoSessionService, chat_store: ChatStore) -> None:
    """The second turn hears the first; partial events are streamed, but not stored."""
    agent = LlmAgent(name="clerk", model=Echo(), output_key="answer")
    runner = Runner(app_name=APP, agent=agent, session_service=service)
    names: dict[str, Any] = {"user_id": USER, "session_id": "s-1"}
    await service.create_session(app_name=APP, **names)
    partial = 0
    for words in ("One", "Two"):
        async for event in runner.run_async(**names, new_message=new(words)):
            partial += bool(event.partial)
    assert partial == 4
    found = await service.get_session(app_name=APP, **names)
    assert found is not None
    assert found.state["answer"] == "heard 3"
    talk = conversation_id_of(APP, USER, "s-1")
    assert [(each.role, each.content) for each in chat_store.messages.list(talk)] == [
        ("user", "One"),
        ("assistant", "heard 1"),
        ("user", "Two"),
        ("assistant", "heard 3"),
    ]
    assert chat_store.conversations.get(talk).title == "One"


@pytest.mark.filterwarnings("ignore:ParallelAgent is deprecated:DeprecationWarning")
@awaited
async def test_parallel_agents(service: DynamoSessionService) -> None:
    """They append to one session at once."""
    agents = [LlmAgent(name=f"a{n}", model=Echo(), output_key=f"o{n}") for n in range(4)]
    parallel = ParallelAgent(name="all", sub_agents=[*agents])
    runner = Runner(app_name=APP, agent=parallel, session_service=service)
    names: dict[str, Any] = {"user_id": USER, "session_id": "s-1"}
    await service.create_session(app_name=APP, **names)
    async for _ in runner.run_async(**names, new_message=new("Go")):
        pass
    found = await service.get_session(app_name=APP, **names)
    assert found is not None
    assert {f"o{n}" for n in range(4)} <= found.state.keys()
    assert {each.author for each in found.events} == {"user", "a0", "a1", "a2", "a3"}


@pytest.mark.once
def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "monday: A red bicycle -> I have noted it."
    assert "wishes: {'wishes': ['A red bicycle', 'A bell for it']}" in printed
    assert printed[-1].startswith("exported: {'adk_session': 2, 'adk_session_state': 2,")
