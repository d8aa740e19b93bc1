"""Agents run with a `DynamoSession`; what the guide and the example show is so."""

import asyncio
import runpy
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, ModelBehaviorError, Runner, set_tracing_disabled

from dynamo_chat.integrations.openai_agents import DynamoSession
from dynamo_chat.testing import RequestMeter
from tests.integrations.served import program_of, served
from tests.scene import Scene

ROOT = Path(__file__).parents[3]
EXAMPLE: dict[str, Any] = runpy.run_path(str(ROOT / "examples/openai_agents_chat.py"))


def agent_of(model: Any) -> Agent[Any]:
    set_tracing_disabled(True)
    return Agent(name="Helper", model=model, tools=[EXAMPLE["weather"]])


def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(EXAMPLE["main"]())
    shown = capsys.readouterr().out.splitlines()
    assert shown[1] == "How much have I asked? You have asked 2 questions."
    assert shown[2] == "'How is the weather?' has 6 messages"
    assert [line.partition(":")[0].strip() for line in shown[3:9]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert shown[9] == "Eve sees 0 of them"


def test_the_guide(scene: Scene) -> None:
    names: dict[str, Any] = {}
    program = program_of(ROOT / "docs/guide/integrations/openai-agents.md")
    exec(compile(program, "guide", "exec"), names)  # noqa: S102 - the page is ours

    async def work(store: Any) -> None:
        agent = agent_of(EXAMPLE["PretendedModel"]())
        assert await names["answer"](store, agent, "u-1", "t-1", "weather") == "Rain in Oslo."
        assert len(await DynamoSession("t-1", store, "u-1").get_items()) == 4

    served(scene, work)


@pytest.mark.engine
def test_what_a_run_costs(scene: Scene) -> None:
    """One read; then each step of the agent is one append."""

    async def work(store: Any) -> None:
        agent = agent_of(EXAMPLE["PretendedModel"]())
        session = DynamoSession("t-1", store, "u-1")
        await Runner.run(agent, "Hello", session=session)
        with RequestMeter(store.connection.client) as meter:
            await Runner.run(agent, "Hello again", session=session)
        assert meter.operations() == {"Query": 1, "TransactWriteItems": 2}

    served(scene, work)


@pytest.mark.engine
def test_a_run_that_fails_leaves_a_history_that_goes_on(scene: Scene) -> None:
    async def failing(*_: Any, **__: Any) -> Any:
        raise ModelBehaviorError("no answer")

    async def work(store: Any) -> None:
        session = DynamoSession("t-1", store, "u-1")
        broken = EXAMPLE["PretendedModel"]()
        broken.get_response = failing
        with pytest.raises(ModelBehaviorError):
            await Runner.run(agent_of(broken), "Hello", session=session)
        agent = agent_of(EXAMPLE["PretendedModel"]())
        result = await Runner.run(agent, "Hello", session=session)
        assert result.final_output == "You have asked 2 questions."

    served(scene, work)


@pytest.mark.engine
@pytest.mark.once
def test_runs_of_many_sessions_on_one_loop(scene: Scene) -> None:
    async def work(store: Any) -> None:
        agent = agent_of(EXAMPLE["PretendedModel"]())

        async def run(number: int) -> int:
            session = DynamoSession(f"t-{number}", store, f"u-{number}")
            for _ in range(2):
                await Runner.run(agent, "How is the weather?", session=session)
            return len(await session.get_items())

        assert await asyncio.gather(*(run(number) for number in range(16))) == [8] * 16

    served(scene, work)
