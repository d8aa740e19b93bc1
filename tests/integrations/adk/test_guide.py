"""The guide's program makes a runner that works, and the store's tools know its kinds."""

import re
from pathlib import Path
from typing import Any

from google.adk.agents import LlmAgent

from dynamo_chat import ChatStore
from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import catalogue
from dynamo_chat.testing.engine import Engine
from tests.integrations.adk.kit import APP, USER, AdkStore, awaited
from tests.integrations.adk.test_runner import Echo, new

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "integrations" / "adk.md"


@awaited
async def test_the_program(dynamo_chat_engine: Engine) -> None:
    programs = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(programs) == 1
    names: dict[str, Any] = {"__name__": "service"}
    exec(compile(programs[0], GUIDE, "exec"), names)  # noqa: S102 - the guide's own
    store = dynamo_chat_engine.store("guide-adk", store=names["MyStore"])
    async with names["AsyncMyStore"]._made_of(store) as served:
        runner = names["runner"](LlmAgent(name="clerk", model=Echo()), served)
        ids = {"user_id": USER, "session_id": "s-1"}
        await runner.session_service.create_session(app_name=APP, **ids)
        said = [event async for event in runner.run_async(**ids, new_message=new("Hello"))]
    assert said[-1].content.parts[0].text == "heard 1"
    store.connection.client.delete_table(TableName="guide-adk")


def test_the_catalogue_knows_the_patterns(dynamo_chat_engine: Engine) -> None:
    """Each has a worked call, which keeps its budget."""

    def factory(table_name: str | None = None, **options: Any) -> ChatStore:
        made: ChatStore = dynamo_chat_engine.store(
            table_name or "adk-cases", store=AdkStore, **options
        )
        return made

    entries = [entry for entry in catalogue(AdkStore) if entry.method.startswith("adk_sessions.")]
    measured = list(measure_all(factory, entries))
    assert len(measured) >= 5
    assert [(each.entry.method, each.problems) for each in measured if each.problems] == []
