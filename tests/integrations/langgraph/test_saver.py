"""Checkpoints of graphs: what they cost, whose they are, how long they are kept."""

import asyncio
import operator
import random
from datetime import timedelta
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from hypothesis import given, settings, strategies as st
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from dynamo_chat import ChatStore, InvalidArgument
from dynamo_chat.integrations.langgraph import DynamoCheckpointSaver
from dynamo_chat.integrations.langgraph.kinds import PIECE_BYTES
from dynamo_chat.integrations.langgraph.payload import joined, split
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import EmbeddedEngine, RequestMeter
from tests.integrations.langgraph.stores import AsyncGraphStore, GraphStore, made
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine

NOISE = random.Random(7).randbytes(1_000_000)
"""What no compression makes smaller."""


@pytest.fixture
def graph_store(scene: Scene) -> GraphStore:
    store: GraphStore = made(GraphStore, scene)
    return store


@pytest.fixture
def saver(graph_store: GraphStore) -> DynamoCheckpointSaver:
    return DynamoCheckpointSaver(graph_store, user_id="u-1")


def thread(name: str = "t-1", namespace: str = "", **more: Any) -> Any:
    return {"configurable": {"thread_id": name, "checkpoint_ns": namespace, **more}}


def put(
    saver: DynamoCheckpointSaver, config: Any = None, values: Any = None, **metadata: Any
) -> Any:
    """Write a checkpoint that follows the one in `config`, and return what names it."""
    values = {"messages": ["hello"]} if values is None else values
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = values
    checkpoint["channel_versions"] = dict.fromkeys(values, 1)
    about: Any = {"source": "loop", "step": 1, "parents": {}, **metadata}
    return saver.put(config or thread(), checkpoint, about, dict.fromkeys(values, 1))


def history(saver: DynamoCheckpointSaver, config: Any, count: int, **metadata: Any) -> list[Any]:
    """So many checkpoints, each with a write of a task."""
    made = []
    for step in range(count):
        config = put(saver, config, {"messages": [f"{step}"]}, **metadata, step=step)
        saver.put_writes(config, [("messages", step)], f"task-{step}")
        made.append(config)
    return made


def ids(found: Any) -> list[str]:
    return [each.config["configurable"]["checkpoint_id"] for each in found]


# -- what it costs --------------------------------------------------------------------------------


def test_requests_and_units(graph_store: GraphStore, saver: DynamoCheckpointSaver) -> None:
    """A small checkpoint is 1 request and 1 write unit; the latest 1 request and 0.5 or 1."""
    with RequestMeter(graph_store.connection.client) as meter:
        config = put(saver)
    assert [(each.operation, each.wcu) for each in meter.requests] == [("PutItem", {"table": 1})]
    with RequestMeter(graph_store.connection.client) as meter:
        saver.put_writes(config, [("messages", "hi"), ("other", 1)], "task-1")
    assert [(each.operation, each.wcu) for each in meter.requests] == [("PutItem", {"table": 1})]
    last = history(saver, config, 30)[-1]
    put(saver, last)
    for config in (thread(), last):
        with RequestMeter(graph_store.connection.client) as meter:
            assert saver.get_tuple(config) is not None
        assert [(each.operation, each.rcu) for each in meter.requests] == [("Query", {"table": 1})]
    with RequestMeter(graph_store.connection.client) as meter:
        assert len(list(saver.list(thread(), limit=30))) == 30
    assert meter.count <= 2
    with RequestMeter(graph_store.connection.client) as meter:
        saver.delete_thread("t-1")
    assert [each.operation for each in meter.requests] == ["Query", "Query", "TransactWriteItems"]


def test_a_long_state_is_compressed(graph_store: GraphStore, saver: DynamoCheckpointSaver) -> None:
    talk = [f"message {number}: what is kept of a thread is the state of its graph. " * 5
            for number in range(40)]  # fmt: skip
    with RequestMeter(graph_store.connection.client) as meter:
        config = put(saver, values={"messages": talk})
    (record,) = meter.requests
    assert record.wcu["table"] < sum(map(len, talk)) / 1024 / 3
    found = saver.get_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"messages": talk}


# -- whose it is ----------------------------------------------------------------------------------


def test_threads_of_others_do_not_exist(graph_store: GraphStore) -> None:
    shared = DynamoCheckpointSaver(graph_store)
    mine, theirs = shared.for_user("u-1"), shared.for_user("u-2")
    config = put(mine)
    mine.put_writes(config, [("messages", 1)], "task")
    named: Any = {"configurable": {**config["configurable"], "user_id": "u-2"}}
    assert theirs.get_tuple(config) is None
    assert shared.get_tuple(named) is None
    assert list(theirs.list(thread())) == list(theirs.list(None)) == []
    theirs.delete_thread("t-1")
    theirs.prune(["t-1"], strategy="delete")
    theirs.copy_thread("t-1", "t-2")
    theirs.put_writes(config, [("messages", 2)], "task")
    assert list(theirs.list(None)) == []
    found = mine.get_tuple(config)
    assert found is not None
    assert found.pending_writes == [("task", "messages", 1)]
    assert ids(shared.list(thread(user_id="u-1"))) == ids(mine.list(thread()))


def test_who_asks_must_be_said(graph_store: GraphStore) -> None:
    shared = DynamoCheckpointSaver(graph_store)
    mine = shared.for_user("u-1")
    calls: list[Any] = [
        lambda: shared.get_tuple(thread()),
        lambda: put(shared),
        lambda: list(shared.list(None)),
        lambda: shared.delete_thread("t-1"),
        lambda: shared.delete_for_runs(["r-1"]),
        lambda: shared.copy_thread("t-1", "t-2"),
        lambda: shared.prune(["t-1"]),
        lambda: shared.get_tuple(thread(user_id="")),
        lambda: shared.get_tuple(thread(user_id=7)),
        lambda: mine.get_tuple(thread(user_id="u-2")),
        lambda: mine.for_user("u-2"),
        lambda: shared.for_user(""),
        lambda: DynamoCheckpointSaver(graph_store, user_id=""),
    ]
    with RequestMeter(graph_store.connection.client) as meter:
        for call in calls:
            with pytest.raises(InvalidArgument):
                call()
    assert not meter.requests
    config = put(shared, thread(user_id="u-1"))
    assert config["configurable"]["user_id"] == "u-1"
    found = shared.get_tuple(config)
    assert found is not None
    assert found.config == config
    assert "user_id" not in put(mine)["configurable"]


def test_what_is_not_allowed_is_named(graph_store: GraphStore, scene: Scene) -> None:
    saver = DynamoCheckpointSaver(graph_store, user_id="u-1")
    named: list[tuple[str, Any]] = [
        ("config", lambda: saver.get_tuple({"configurable": {}})),
        ("config", lambda: saver.put_writes(thread(), [("a", 1)], "task")),
        ("thread_id", lambda: put(saver, thread("t" * 300))),
        ("thread_id", lambda: saver.delete_thread("")),
        ("strategy", lambda: saver.prune(["t-1"], strategy="keep_all")),
        ("retention", lambda: DynamoCheckpointSaver(graph_store, retention=timedelta(0))),
        ("store", lambda: DynamoCheckpointSaver(ChatStore("chat-prod", region="eu-west-1"))),
        ("store", lambda: DynamoCheckpointSaver("chat-prod")),  # type: ignore[arg-type]
    ]
    for argument, call in named:
        with pytest.raises(InvalidArgument, match=argument) as refused:
            call()
        assert refused.value.argument == argument
    assert not scene.items()


def test_a_store_is_called_or_awaited(scene: Scene, graph_store: GraphStore) -> None:
    async def main() -> None:
        with pytest.raises(InvalidArgument, match="would block"):
            await DynamoCheckpointSaver(graph_store, user_id="u-1").aget_tuple(thread())
        async with made(AsyncGraphStore, scene) as store:
            with pytest.raises(InvalidArgument, match="await the graph"):
                DynamoCheckpointSaver(store, user_id="u-1").get_tuple(thread())

    asyncio.run(main())


def test_checkpoints_belong_to_their_user(graph_store: GraphStore, scene: Scene) -> None:
    """They are exported, known to the doctor, and erased with the person."""
    mine = DynamoCheckpointSaver(graph_store, user_id="u-1")
    theirs = DynamoCheckpointSaver(graph_store, user_id="u-2")
    for saver in (mine, theirs):
        history(saver, thread(), 2)
        put(saver, values={"blob": NOISE})
    count = len(scene.items()) // 2
    doctor = Doctor(
        graph_store.connection,
        DoctorOptions(settle_seconds=0),
        clock=scene.clock,
        sleep=lambda _: None,
        store=GraphStore,
    )
    assert not doctor.examine().findings
    assert len(list(graph_store.people.export("u-1"))) == count
    graph_store.people.erase("u-1")
    assert list(mine.list(None)) == []
    assert {item["PK"]["S"] for item in scene.items() if "LGT" in item["PK"]["S"]} == {
        "LGTHREADS#u-2#"
    }
    assert len(list(theirs.list(None))) == 3


# -- how long it is kept --------------------------------------------------------------------------


def test_a_checkpoint_expires_at_once_and_whole(graph_store: GraphStore, scene: Scene) -> None:
    saver = DynamoCheckpointSaver(graph_store, user_id="u-1", retention=DAY)
    first = put(saver, values={"blob": NOISE})
    scene.clock.advance(timedelta(hours=3))
    second = put(saver, first)
    saver.put_writes(second, [("messages", NOISE)], "task")
    scene.clock.advance(timedelta(hours=21) - timedelta(seconds=1))
    assert ids(saver.list(thread())) == ids([saver.get_tuple(second), saver.get_tuple(first)])
    scene.clock.advance(timedelta(seconds=2))  # a deadline is a whole second
    assert saver.get_tuple(first) is None
    found = saver.get_tuple(thread())
    assert found is not None
    assert found.pending_writes == [("task", "messages", NOISE)]
    scene.clock.advance(timedelta(hours=3))
    assert saver.get_tuple(thread()) is None
    assert list(saver.list(None)) == []
    assert all("ttl" in item for item in scene.items())


# -- what is too large for an item ----------------------------------------------------------------


@pytest.mark.once
def test_large_states_and_writes_come_back(saver: DynamoCheckpointSaver, scene: Scene) -> None:
    small = put(saver)
    values = {"a": NOISE, "b": NOISE[::-1], "c": "x"}
    config = put(saver, small, values)
    saver.put_writes(config, [("a", NOISE), (ERROR, NOISE[1:])], "task")
    assert scene.kinds()["langgraph_piece"] > 5 * 1_000_000 // PIECE_BYTES - 5
    latest, listed = saver.get_tuple(thread()), list(saver.list(thread()))
    assert latest == listed[0]
    assert latest is not None
    assert latest.checkpoint["channel_values"] == values
    assert latest.pending_writes == [("task", ERROR, NOISE[1:]), ("task", "a", NOISE)]
    saver.copy_thread("t-1", "t-2")
    copied = saver.get_tuple(thread("t-2"))
    assert copied is not None
    assert (copied.checkpoint, copied.pending_writes) == (latest.checkpoint, latest.pending_writes)
    saver.prune(["t-1"])
    assert saver.get_tuple(config) == latest
    saver.delete_thread("t-1")
    saver.delete_thread("t-2")
    assert not scene.items()


def test_a_state_without_its_pieces_is_absent(saver: DynamoCheckpointSaver, scene: Scene) -> None:
    """As when a thread was deleted while a slow worker was writing to it."""
    small = put(saver)
    large = put(saver, small, {"a": NOISE})
    scene.delete(*(item for item in scene.items() if item["kind"]["S"] == "langgraph_piece"))
    assert saver.get_tuple(large) is None
    assert (
        ids(saver.list(thread()))
        == ids([saver.get_tuple(thread())])
        == ids([saver.get_tuple(small)])
    )


# -- the order and fate of writes -----------------------------------------------------------------


def test_writes_are_in_the_order_of_execution(saver: DynamoCheckpointSaver) -> None:
    """By the path of the task, its id and the place; beside the framework's own saver."""
    theirs = InMemorySaver()
    config = put(saver)
    checkpoint = saver.get_tuple(config)
    assert checkpoint is not None
    theirs.put(thread(), checkpoint.checkpoint, checkpoint.metadata, {})
    calls: list[tuple[list[tuple[str, Any]], str, str]] = [
        ([("a", 1), ("b", 2)], "z", "~a"),
        ([("a", 3)], "a", "~b"),
        ([("a", 4), (INTERRUPT, "why"), ("b", 5)], "m", ""),
        ([("a", 6)], "m", ""),  # the first counts
        ([("a", 6), ("x", 7), ("y", 8), ("z", 9)], "m", ""),  # and the others are added
        ([(RESUME, 1), (RESUME, 2)], "m", ""),
        ([(RESUME, 3)], "m", ""),  # of these the last counts
        ([(ERROR, "e"), (INTERRUPT, "i")], "q", "~~"),
    ]
    for writes, task_id, path in calls:
        for each in (saver, theirs):
            each.put_writes(config, writes, task_id, path)
    ours, wanted = saver.get_tuple(config), theirs.get_tuple(config)
    assert ours is not None
    assert wanted is not None
    assert ours.pending_writes == wanted.pending_writes
    assert saver.get_tuple(thread()) == ours


def test_writes_of_a_checkpoint_that_is_not_there_yet(saver: DynamoCheckpointSaver) -> None:
    config = put(saver)
    later = empty_checkpoint()
    ahead = thread(checkpoint_id=later["id"])
    for task in range(5):
        saver.put_writes(ahead, [("a", task)], f"task-{task}")
    found = saver.get_tuple(thread())
    assert found is not None
    assert (ids([found]), found.pending_writes) == ([config["configurable"]["checkpoint_id"]], [])
    assert len(list(saver.list(thread()))) == 1
    saver.put(config, later, {}, {})
    found = saver.get_tuple(thread())
    assert found is not None
    assert len(found.pending_writes or ()) == 5


# -- lists ----------------------------------------------------------------------------------------


def test_lists_are_narrowed(saver: DynamoCheckpointSaver) -> None:
    made = history(saver, thread(), 5, run_id="r-1")
    made += history(saver, thread(namespace="child"), 2)
    history(saver, thread("t-2"), 1)
    assert ids(saver.list(thread(), limit=2, before=made[3])) == ids(
        [saver.get_tuple(made[2]), saver.get_tuple(made[1])]
    )
    assert ids(saver.list(thread(), filter={"step": 3, "run_id": "r-1"})) == [
        made[3]["configurable"]["checkpoint_id"]
    ]
    assert list(saver.list(thread(), limit=0)) == []
    assert len(list(saver.list({"configurable": {"thread_id": "t-1"}}))) == 7
    assert len(list(saver.list(None))) == 8
    assert ids(saver.list(made[1])) == [made[1]["configurable"]["checkpoint_id"]]
    assert list(saver.list(thread("nowhere", checkpoint_id="x"))) == []
    saver.delete_for_runs(["r-1"])
    assert len(list(saver.list(None))) == 3


def test_namespaces_of_any_length_and_ids_of_any_kind(saver: DynamoCheckpointSaver) -> None:
    deep = "|".join(f"node-{number}:{'0' * 36}" for number in range(20))
    number = UUID(int=5)
    config = saver.put(thread(number, deep), empty_checkpoint(), {"step": 1}, {})  # type: ignore[arg-type]
    assert config["configurable"]["checkpoint_ns"] == deep
    found = saver.get_tuple(thread(str(number), deep))
    assert found is not None
    assert found.config == config
    assert ids(saver.list(thread(str(number), deep))) == ids([found])
    saver.copy_thread(str(number), "t-2")
    saver.prune(["t-2"])
    assert ids(saver.list(thread("t-2", deep))) == ids([found])


def test_versions_go_on_as_they_began(saver: DynamoCheckpointSaver) -> None:
    """Numbers here; text in threads that another saver began."""
    assert [saver.get_next_version(each, None) for each in (None, 1, 7)] == [1, 2, 8]
    theirs = InMemorySaver()
    third = theirs.get_next_version(theirs.get_next_version(None, None), None)
    fourth = saver.get_next_version(third, None)
    assert third < fourth < theirs.get_next_version(fourth, None)


# -- graphs ---------------------------------------------------------------------------------------


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def talking(saver: Any) -> Any:
    """A graph with tasks side by side, a question to a human, and a subgraph."""

    def fan(state: State) -> Any:
        return [Send("work", {"said": [f"w{number}"]}) for number in range(3)]

    def work(state: State) -> Any:
        return {"said": [f"did {state['said'][-1]}"]}

    def ask(state: State) -> Any:
        return {"said": [f"human said {interrupt('well?')}"]}

    inner = StateGraph(State)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    outer = StateGraph(State)
    outer.add_node("begin", lambda _: {"said": ["begun"]})
    outer.add_node("work", work)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "begin")
    outer.add_conditional_edges("begin", fan, ["work"])
    outer.add_edge("work", "inner")
    return outer.compile(checkpointer=saver)


def told(graph: Any, config: Any) -> Any:
    """The whole history of a thread, as far as it does not depend on ids."""
    return [
        (each.values, each.next, each.metadata["step"], [task.name for task in each.tasks])
        for each in graph.get_state_history(config)
    ]


def assert_same_subgraphs(found: Any, reference: Any, config: Any) -> None:
    """The state of each subgraph that waits, as with the framework's own saver."""
    wanted = reference.get_state(config, subgraphs=True)
    states = [[task.state and task.state.values for task in each.tasks] for each in (found, wanted)]
    assert states[0] == states[1]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_graph_runs_stops_and_goes_on(
    graph_store: GraphStore, scene: Scene, durability: Any
) -> None:
    """As with the framework's own saver, from another server each time."""
    ours, theirs = thread(user_id="u-1"), thread()
    reference = talking(InMemorySaver())
    calls: list[Any] = [{"said": ["hello"]}, Command(resume="yes"), {"said": ["again"]}]
    for said in calls:
        saver = DynamoCheckpointSaver(made(GraphStore, scene), retention=DAY)
        graph = talking(saver)
        expected = reference.invoke(said, theirs, durability=durability)
        found = graph.invoke(said, ours, durability=durability)
        assert found["said"] == expected["said"]
        assert told(graph, ours) == told(reference, theirs)
        of_user = graph.copy({"checkpointer": saver.for_user("u-1")})
        assert_same_subgraphs(of_user.get_state(thread(), subgraphs=True), reference, theirs)
        assert not graph.get_state(thread(user_id="u-2")).values


def test_an_awaited_graph_runs_stops_and_goes_on(scene: Scene) -> None:
    async def main() -> None:
        async with made(AsyncGraphStore, scene) as store:
            graph = talking(DynamoCheckpointSaver(store, user_id="u-1"))
            await graph.ainvoke({"said": ["hello"]}, thread())
            await graph.ainvoke(Command(resume="yes"), thread())
            state = await graph.aget_state(thread())
            assert state.values["said"][-1] == "human said yes"
            past = [each async for each in graph.aget_state_history(thread())]
            fork = await graph.aupdate_state(past[-2].config, {"said": ["changed"]})
            assert (await graph.aget_state(fork)).values["said"][-1] == "changed"
            assert (await graph.aget_state(thread())).config == fork

    asyncio.run(main())


# -- laws -----------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_parts_come_back(parts: list[bytes]) -> None:
    assert split(joined(parts)) == parts


@given(st.lists(st.binary(max_size=300), max_size=4), st.data())
def test_damaged_parts_are_refused_or_parts(parts: list[bytes], data: st.DataObject) -> None:
    payload = joined(parts)
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]
    with pytest.raises(ValueError, match=r"form|damaged|cut"):
        split(cut)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text(), st.binary(),
              st.floats(allow_nan=False), st.datetimes(), st.uuids()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.once
def test_every_state_and_write_comes_back() -> None:
    with EmbeddedEngine() as engine:
        saver = DynamoCheckpointSaver(engine.store("laws", store=GraphStore), user_id="u-1")

        @settings(max_examples=40, deadline=None)
        @given(
            st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=3),
            st.lists(st.tuples(st.text(min_size=1, max_size=8), VALUES), max_size=3),
            st.text(min_size=1, max_size=20).filter(lambda each: "\x00" not in each),
        )
        def check(values: Any, writes: Any, task_id: str) -> None:
            theirs = InMemorySaver()
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = values
            checkpoint["channel_versions"] = dict.fromkeys(values, 1)
            found: list[CheckpointTuple | None] = []
            for each in (saver, theirs):
                config = each.put(
                    thread(),
                    checkpoint,
                    {"step": 1, "parents": {"": "p"}},
                    dict.fromkeys(values, 1),
                )
                each.put_writes(config, writes, task_id, "~path")
                found.append(each.get_tuple(config))
            assert found[0] == found[1]

        check()
