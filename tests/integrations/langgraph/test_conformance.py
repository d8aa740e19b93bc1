"""The framework's own conformance suite, awaited and called."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate

from dynamo_chat.integrations.langgraph import DynamoCheckpointSaver
from tests.integrations.langgraph.stores import AsyncGraphStore, GraphStore, made
from tests.scene import Scene

ALL = 81


class Called(DynamoCheckpointSaver):
    """A saver whose awaited methods call the synchronous ones: the suite awaits."""

    async def aget_tuple(self, config: Any) -> Any:
        return self.get_tuple(config)

    async def alist(self, config: Any, **chosen: Any) -> AsyncIterator[Any]:
        for each in self.list(config, **chosen):
            yield each

    async def aput(self, *args: Any) -> Any:
        return self.put(*args)

    async def aput_writes(self, *args: Any, **named: Any) -> None:
        self.put_writes(*args, **named)

    async def adelete_thread(self, thread_id: str) -> None:
        self.delete_thread(thread_id)

    async def adelete_for_runs(self, run_ids: Any) -> None:
        self.delete_for_runs(run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.copy_thread(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Any, *, strategy: str = "keep_latest") -> None:
        self.prune(thread_ids, strategy=strategy)


@pytest.mark.engine
@pytest.mark.once
@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited", "called"])
def test_the_conformance_suite_passes(scene: Scene, is_awaited: bool) -> None:

    async def run() -> None:
        store = made(AsyncGraphStore if is_awaited else GraphStore, scene)
        kind = DynamoCheckpointSaver if is_awaited else Called

        @checkpointer_test(name="dynamo_chat")
        async def saver() -> AsyncIterator[Any]:
            yield kind(store, user_id="u-1")

        report = await validate(saver)
        for capability in report.results.values():
            assert not capability.failures, capability.failures
            assert capability.passed is True
        count = sum(each.tests_passed for each in report.results.values())
        if is_awaited:
            await store.close()
        assert count == ALL

    asyncio.run(run())
