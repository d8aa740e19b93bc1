"""What the guide and the example show is so, and what a release stored is read."""

import operator
import runpy
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from dynamo_chat.integrations.langgraph import DynamoCheckpointSaver, DynamoMemoryStore
from tests.integrations.langgraph import stored
from tests.integrations.langgraph.stores import GraphStore, made
from tests.integrations.langgraph.test_saver import thread
from tests.integrations.served import program_of, read_items, served
from tests.scene import Scene

ROOT = Path(__file__).parents[3]


def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/langgraph_agent.py"))["main"]()
    assert capsys.readouterr().out.splitlines() == [
        "Hello Ann, I have heard 1 things. Is that right?",
        "Ann said: yes",
        "4 checkpoints",
        "Hello Ann, I have heard 1 things.",
        "Eve sees {}",
        "Hello stranger, I have heard 1 things.",
        "Ann's thread is {}",
    ]


def test_the_guide(scene: Scene) -> None:
    names: dict[str, Any] = {}
    program = program_of(ROOT / "docs/guide/integrations/langgraph.md")
    exec(compile(program, "guide", "exec"), names)  # noqa: S102 - the page is ours

    class State(TypedDict):
        said: Annotated[list[str], operator.add]

    async def work(store: Any) -> None:
        builder = StateGraph(State)
        builder.add_node("answer", lambda state: {"said": [f"{len(state['said'])}"]})
        builder.add_edge(START, "answer")
        for text, count in (("Hello", 2), ("Again", 4)):
            found = await names["answer"](store, builder, "u-1", "t-1", text)
            assert len(found["said"]) == count

    served(scene, work, names["AsyncMyStore"])
    assert all("ttl" in item for item in scene.items())


@pytest.mark.engine
def test_what_this_release_stored_is_read(scene: Scene) -> None:
    """`stored.json`, written by the release that added the adapter."""
    scene.put(*read_items(stored.FILE))
    store = made(GraphStore, scene)
    saver = DynamoCheckpointSaver(store, user_id="u-1")
    first = saver.get_tuple(stored.config(checkpoint_id=stored.FIRST["id"]))
    assert first is not None
    assert (first.checkpoint, first.metadata, first.parent_config) == (
        stored.FIRST,
        stored.METADATA,
        None,
    )
    assert [each[1:] for each in first.pending_writes or ()] == [
        stored.WRITES[1],
        stored.WRITES[0],
        stored.WRITES[2],
    ]
    second = saver.get_tuple(stored.config())
    assert second is not None
    assert (second.checkpoint, second.parent_config) == (stored.SECOND, first.config)
    deep = saver.get_tuple(stored.config(stored.NAMESPACE))
    assert deep is not None
    assert deep.config["configurable"]["checkpoint_ns"] == stored.NAMESPACE
    saver.prune(["t-1"])
    assert saver.get_tuple(stored.config()) == second
    memory = DynamoMemoryStore(store, user_id="u-1").get(("profile", "ann"), "about")
    assert memory is not None
    assert memory.value == stored.VALUE


@pytest.mark.engine
@pytest.mark.parametrize("frequency", [3, 1_000])
def test_pruning_keeps_what_delta_channels_need(scene: Scene, frequency: int) -> None:
    """And nothing else: from the latest checkpoint back to the last snapshot."""

    def extended(state: list[str], writes: Any) -> list[str]:
        return [*state, *(each for write in writes for each in write)]

    class State(TypedDict):
        said: Annotated[list[str], DeltaChannel(extended, snapshot_frequency=frequency)]

    def graph_on(saver: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("answer", lambda state: {"said": [f"{len(state['said'])}"]})
        builder.add_edge(START, "answer")
        return builder.compile(checkpointer=saver)

    saver = DynamoCheckpointSaver(made(GraphStore, scene), user_id="u-1")
    graph, reference = graph_on(saver), graph_on(InMemorySaver())
    for number in range(5):
        for each in (graph, reference):
            each.invoke({"said": [f"q{number}"]}, thread())
        before = len(list(saver.list(thread())))
        saver.prune(["t-1"])
        after = len(list(saver.list(thread())))
        assert after == before if frequency > 5 else after <= 3 * frequency
        assert graph.get_state(thread()).values == reference.get_state(thread()).values
    assert graph.get_state(thread()).values["said"][0] == "q0"
