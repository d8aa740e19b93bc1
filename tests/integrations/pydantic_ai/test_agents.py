"""Agents run with both ways to keep a conversation; what the guide and the example show is so."""

import asyncio
import runpy
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat.testing import RequestMeter
from tests.integrations.pydantic_ai.stored import AsyncRecordStore
from tests.integrations.served import program_of, served
from tests.scene import Scene

ROOT = Path(__file__).parents[3]
EXAMPLE: dict[str, Any] = runpy.run_path(str(ROOT / "examples/pydantic_ai_chat.py"))


def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(EXAMPLE["main"]())
    assert capsys.readouterr().out.splitlines() == [
        "What is DynamoDB? That was question 1.",
        "And what is a transaction? That was question 2.",
        "4 messages, 1 runs",
        "4 messages, 2 runs",
        "'Hello' has 4 messages",
        "'Hello' has 4 messages",
        "'What is DynamoDB?' has 4 messages",
    ]


@pytest.mark.engine
@pytest.mark.parametrize(("number", "requests"), [(0, 2), (1, 4)], ids=["history", "store"])
def test_the_guide(scene: Scene, number: int, requests: int) -> None:
    """The second turn takes as many requests as the page says."""
    names: dict[str, Any] = {"__name__": "guide"}
    program = program_of(ROOT / "docs/guide/integrations/pydantic-ai.md", number)
    exec(compile(program, "guide", "exec"), names)  # noqa: S102 - the page is ours

    async def work(store: Any) -> None:
        await store.conversations.create("u-1", conversation_id="t-1")
        agent = EXAMPLE["AGENT"]
        said = await names["answer"](store, agent, "u-1", "t-1", "Hello")
        assert said == "That was question 1."
        with RequestMeter(store.connection.client) as meter:
            said = await names["answer"](store, agent, "u-1", "t-1", "Hello")
        assert said == "That was question 2."
        assert meter.count == requests

    served(scene, work, names.get("AsyncMyStore", AsyncRecordStore))
