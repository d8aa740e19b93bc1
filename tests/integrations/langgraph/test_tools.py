"""The package's tools know the kinds and the patterns of the adapter."""

from typing import Any

import pytest

from dynamo_chat import ChatStore, Created, Deleted, parse_stream_record
from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import catalogue
from dynamo_chat.integrations.langgraph import DynamoCheckpointSaver, DynamoMemoryStore
from dynamo_chat.integrations.langgraph.kinds import CheckpointItem
from dynamo_chat.integrations.langgraph.memories import Memory
from dynamo_chat.testing.engine import Engine
from tests.integrations.langgraph.costs import costs
from tests.integrations.langgraph.stores import GraphStore, made
from tests.integrations.langgraph.test_saver import put
from tests.scene import Scene

PATTERNS = {
    *(f"checkpoints.{name}" for name in ("save", "save_writes", "latest", "get", "items_before",
                                         "outlines", "remove", "copy")),
    *(f"memories.{name}" for name in ("put", "delete", "get", "list", "next_namespace", "refresh")),
}  # fmt: skip


@pytest.mark.engine
@pytest.mark.once
def test_every_pattern_keeps_its_budget(dynamo_chat_engine: Engine) -> None:
    def factory(table_name: str | None = None, **options: Any) -> ChatStore:
        return GraphStore(
            table_name or "graphs",
            region=dynamo_chat_engine.region,
            endpoint_url=dynamo_chat_engine.endpoint_url,
            **options,
        )

    dynamo_chat_engine.store("graphs")
    entries = [each for each in catalogue(GraphStore) if each.domain == "application"]
    assert {each.method for each in entries} == PATTERNS
    assert len({each.id for each in entries}) == len(PATTERNS)
    measured = list(measure_all(factory, entries))
    assert {each.entry.method for each in measured} == PATTERNS
    assert [(each.entry.method, each.problems) for each in measured if each.problems] == []


def test_streams_know_checkpoints_and_memories(scene: Scene) -> None:
    store = made(GraphStore, scene)
    put(DynamoCheckpointSaver(store, user_id="u-1"))
    DynamoMemoryStore(store, user_id="u-1").put(("a",), "k", {"n": 1})
    found = []
    for item in scene.items():
        record = {
            "eventName": "INSERT",
            "eventID": "1",
            "dynamodb": {
                "Keys": {name: item[name] for name in ("PK", "SK")},
                "NewImage": item,
                "SequenceNumber": "1",
            },
        }
        match parse_stream_record(record, GraphStore):
            case Created(CheckpointItem() as checkpoint):
                found.append(checkpoint.user_id)
            case Created(Memory() as memory):
                found.append(memory.key)
            case Deleted() | Created() as other:
                found.append(str(other))
    assert sorted(found) == ["k", "u-1"]


@pytest.mark.parametrize(("turns", "wcu", "rcu"), [(1, 1, 1), (10, 4, 1.5), (100, 32, 8)])
def test_what_a_chat_costs(scene: Scene, turns: int, wcu: float, rcu: float) -> None:
    """One request each, whose units grow with the compressed state."""
    store = made(GraphStore, scene)
    found = costs(DynamoCheckpointSaver(store, user_id="u-1"), store.connection.client, turns)
    assert {name: each["requests"] for name, each in found.items()} == dict.fromkeys(found, 1)
    assert found["put"]["wcu"] <= wcu
    assert found["put_writes"]["wcu"] == 1
    assert found["latest"]["rcu"] <= rcu
