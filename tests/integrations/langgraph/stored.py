"""What this release stores of graphs: `stored.json`, which later releases must read.

python -m tests.integrations.langgraph.stored      # only for a new form; old ones stay
"""

from pathlib import Path
from typing import Any
from unittest.mock import patch

from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.serde.types import ERROR

from dynamo_chat.integrations.langgraph import DynamoCheckpointSaver, DynamoMemoryStore, checkpoints
from tests.integrations.langgraph.stores import AsyncGraphStore
from tests.integrations.served import write_stored

FILE = Path(__file__).with_name("stored.json")

FIRST: Checkpoint = {
    "v": 2,
    "id": "1f1e64fd-ff7a-6580-bffe-69a432b6b467",
    "ts": "2026-11-22T08:00:00+00:00",
    "channel_values": {"messages": ["Hello", "Hi " * 300], "n": 1},
    "channel_versions": {"messages": 2, "n": 1},
    "versions_seen": {"node": {"messages": 1}},
    "updated_channels": ["messages"],
}
SECOND: Checkpoint = {
    **FIRST,
    "id": "1f1e64fe-ff7a-6580-bffe-69a432b6b467",
    "channel_values": {"noise": bytes(range(256)) * 2},
}
METADATA: Any = {"source": "loop", "step": 1, "parents": {}, "run_id": "run-1"}
WRITES: list[tuple[str, Any]] = [("messages", "How are you?"), (ERROR, "timeout"), ("n", 2)]
NAMESPACE = "|".join(["child:1"] * 40)
VALUE = {"name": "Ann", "cups": 2.5, "notes": [None, True, "é"]}


def config(namespace: str = "", **more: Any) -> Any:
    """The configuration of the thread."""
    return {"configurable": {"thread_id": "t-1", "checkpoint_ns": namespace, **more}}


async def write(store: AsyncGraphStore) -> None:
    """Store checkpoints, what a task wrote, pieces, and a memory."""
    saver = DynamoCheckpointSaver(store, user_id="u-1")
    first = await saver.aput(config(), FIRST, METADATA, {})
    await saver.aput_writes(first, WRITES, "task-1", "~__pregel_pull, node")
    await saver.aput(config(NAMESPACE), FIRST, METADATA, {})
    with patch.object(checkpoints, "PIECE_BYTES", 300):
        await saver.aput(first, SECOND, METADATA, {})
    memory = DynamoMemoryStore(store, user_id="u-1")
    await memory.aput(("profile", "ann"), "about", VALUE)


if __name__ == "__main__":
    write_stored(FILE, write, AsyncGraphStore)
