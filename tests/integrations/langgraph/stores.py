"""A store with checkpoints and memories, synchronous and awaited."""

from typing import Any

from dynamo_chat import ChatStore
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.entities import repository
from dynamo_chat.integrations.langgraph import Checkpoints, Memories
from tests.scene import Scene


class GraphStore(ChatStore):
    """An application's store."""

    cases = ("dynamo_chat.integrations.langgraph.cases",)

    checkpoints = repository(Checkpoints)
    memories = repository(Memories)


class AsyncGraphStore(AsyncChatStore, of=GraphStore):
    """The same store, awaited."""

    checkpoints: Any
    memories: Any


def made(kind: Any, scene: Scene, **options: Any) -> Any:
    """A store of this class on the scene's table, at its time."""
    return kind(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        **{"clock": scene.clock, **options},
    )
