"""Memories keep the contract of `BaseStore`: beside the framework's own store in memory."""

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from dynamo_chat import InvalidArgument
from dynamo_chat.integrations.langgraph import DynamoMemoryStore
from dynamo_chat.testing import EmbeddedEngine, RequestMeter
from tests.integrations.langgraph.stores import AsyncGraphStore, GraphStore, made
from tests.scene import MINUTE, Scene

pytestmark = pytest.mark.engine

BIG = random.Random(1).randbytes(400_000).hex()
"""More than an item holds, however it is compressed."""


@pytest.fixture
def graph_store(scene: Scene) -> GraphStore:
    store: GraphStore = made(GraphStore, scene)
    return store


@pytest.fixture
def memory(graph_store: GraphStore) -> DynamoMemoryStore:
    return DynamoMemoryStore(graph_store, user_id="u-1")


def test_a_value_is_kept_until_it_is_deleted(memory: DynamoMemoryStore, scene: Scene) -> None:
    memory.put(("facts", "food"), "tea", {"likes": True, "cups": 2.5, "notes": [None, "é"]})
    first = memory.get(("facts", "food"), "tea")
    assert first is not None
    assert first.value == {"likes": True, "cups": 2.5, "notes": [None, "é"]}
    assert (first.namespace, first.key) == (("facts", "food"), "tea")
    scene.clock.advance(MINUTE)
    memory.put(("facts", "food"), "tea", {"likes": False})
    second = memory.get(("facts", "food"), "tea")
    assert second is not None
    assert second.value == {"likes": False}
    assert (second.created_at, second.updated_at) == (
        first.created_at,
        first.created_at + MINUTE,
    )
    memory.delete(("facts", "food"), "tea")
    memory.delete(("facts", "food"), "tea")
    assert memory.get(("facts", "food"), "tea") is None


def test_a_namespace_is_searched_with_all_below_it(memory: DynamoMemoryStore) -> None:
    for labels in [("a",), ("a", "b"), ("a-",), ("a!", "c"), ("ab",), ("b",)]:
        memory.put(labels, "k", {"at": "/".join(labels)})
    assert [each.namespace for each in memory.search(("a",))] == [("a",), ("a", "b")]
    assert [each.namespace for each in memory.search(())] == sorted(
        [("a",), ("a", "b"), ("a-",), ("a!", "c"), ("ab",), ("b",)]
    )
    assert [each.namespace for each in memory.search((), limit=2, offset=3)] == [
        ("a-",),
        ("ab",),
    ]


def test_others_memories_do_not_exist(graph_store: GraphStore) -> None:
    mine = DynamoMemoryStore(graph_store, user_id="u-1")
    theirs = DynamoMemoryStore(graph_store).for_user("u-2")
    mine.put(("facts",), "k", {"secret": 1})
    assert theirs.get(("facts",), "k") is None
    assert theirs.search(()) == []
    assert theirs.list_namespaces() == []
    theirs.delete(("facts",), "k")
    assert mine.get(("facts",), "k") is not None
    with pytest.raises(InvalidArgument, match="user_id"):
        mine.for_user("u-2")
    with pytest.raises(InvalidArgument, match="say who asks"):
        DynamoMemoryStore(graph_store).get(("facts",), "k")


def test_a_value_lives_on_with_each_use(memory: DynamoMemoryStore, scene: Scene) -> None:
    memory.put(("a",), "k", {"n": 1}, ttl=10)
    memory.put(("a",), "forever", {"n": 2})
    for use in (
        lambda: memory.get(("a",), "k"),
        lambda: memory.search(("a",)),
        lambda: memory.search(("a",), filter={"n": 1}),
    ):
        scene.clock.advance(timedelta(minutes=8))
        assert use()
    scene.clock.advance(timedelta(minutes=8))
    assert memory.get(("a",), "k", refresh_ttl=False) is not None
    scene.clock.advance(timedelta(minutes=3))
    assert memory.get(("a",), "k") is None
    assert [each.key for each in memory.search(("a",))] == ["forever"]
    memory.put(("b",), "k", {"n": 3}, ttl=1)
    scene.clock.advance(timedelta(minutes=2))
    assert memory.list_namespaces() == [("a",)]
    memory.put(("b",), "k", {"n": 4})
    found = memory.get(("b",), "k")
    assert found is not None
    assert found.created_at == scene.clock()


def test_defaults_of_the_time_to_live(graph_store: GraphStore, scene: Scene) -> None:
    memory = DynamoMemoryStore(
        graph_store, user_id="u-1", ttl={"default_ttl": 10, "refresh_on_read": False}
    )
    memory.put(("a",), "k", {})
    scene.clock.advance(timedelta(minutes=9))
    assert memory.get(("a",), "k") is not None
    scene.clock.advance(timedelta(minutes=2))
    assert memory.get(("a",), "k") is None


def test_what_is_not_allowed_is_named(
    memory: DynamoMemoryStore, graph_store: GraphStore, scene: Scene
) -> None:
    refused: list[tuple[type[Exception], Any]] = [
        (InvalidArgument, lambda: memory.search(("a",), query="tea")),
        (InvalidArgument, lambda: memory.put(("a",), "", {})),
        (InvalidArgument, lambda: memory.put(("a",), "k" * 300, {})),
        (InvalidArgument, lambda: memory.put(("a" * 300,), "k", {})),
        (InvalidArgument, lambda: memory.put(("a",), "k", {"n": object()})),
        (InvalidArgument, lambda: memory.put(("a",), "k", {"n": BIG})),
        (InvalidArgument, lambda: memory.put(("a",), "k", {}, ttl=-1)),
        (InvalidArgument, lambda: memory.put(("a",), "k", {}, ttl=float("nan"))),
        (InvalidArgument, lambda: memory.put(("a",), "k", {}, ttl="5")),  # type: ignore[arg-type]
        (InvalidArgument, lambda: memory.put(("a",), "k", [1])),  # type: ignore[arg-type]
        (InvalidArgument, lambda: memory.search(("a",), offset=-1)),
        (InvalidArgument, lambda: memory.search(("a",), limit="1")),  # type: ignore[arg-type]
        (InvalidArgument, lambda: memory.list_namespaces(offset=-1)),
        (InvalidArgument, lambda: memory.list_namespaces(max_depth=-1)),
        (InvalidArgument, lambda: memory.batch(["put"])),  # type: ignore[list-item]
        (InvalidNamespaceError, lambda: memory.batch([GetOp(("a.b",), "k")])),
        (InvalidNamespaceError, lambda: memory.put(("a\x00",), "k", {})),
        (InvalidArgument, lambda: graph_store.memories.put("u-1", ("a\x00",), "k", {})),
    ]
    for error, call in refused:
        with pytest.raises(error):
            call()
    assert not scene.items()
    memory.put(("a",), "k", {"n": 1})
    with pytest.raises(InvalidArgument, match="filter"):
        memory.search(("a",), filter={"n": {"$in": [1]}})


@pytest.mark.parametrize(
    "refused",
    [
        PutOp(("a",), "b", {"n": object()}),
        PutOp(("a",), "b", {"n": BIG}),
        PutOp(("a",), "b", {}, ttl=-1),
        PutOp(("a",), "k" * 300, {}),
        PutOp(("a",), "", None),
    ],
    ids=["no JSON", "too large", "time to live", "key", "deletion"],
)
def test_of_a_batch_all_is_refused_or_nothing(
    memory: DynamoMemoryStore, scene: Scene, refused: PutOp
) -> None:
    with pytest.raises(InvalidArgument):
        memory.batch([PutOp(("a",), "a", {}), refused])
    assert not scene.items()


def test_an_empty_query_is_none(memory: DynamoMemoryStore) -> None:
    memory.put(("a",), "k", {"n": 1})
    assert [each.key for each in memory.search(("a",), query="")] == ["k"]


def test_requests(memory: DynamoMemoryStore, graph_store: GraphStore) -> None:
    """What the guide says."""
    with RequestMeter(graph_store.connection.client) as meter:
        memory.put(("a",), "k", {"n": 1})
        memory.put(("a",), "k", {"n": 2})
        memory.get(("a",), "k")
        memory.search(("a",), limit=10)
        memory.list_namespaces()
        memory.delete(("a",), "k")
    operations = [each.operation for each in meter.requests]
    assert operations == [
        "PutItem", "PutItem", "UpdateItem", "BatchGetItem", "Query", "Query", "Query", "DeleteItem",
    ]  # fmt: skip
    assert next(each.wcu for each in meter.requests) == {"table": 1}


def test_a_graph_remembers_for_who_runs_it(scene: Scene) -> None:
    """One graph for all users, called and awaited."""

    class Said(TypedDict):
        text: str

    def note(state: Said, runtime: Runtime) -> Said:
        assert runtime.store is not None
        runtime.store.put(("notes",), "last", {"text": state["text"]})
        return state

    async def note_later(state: Said, runtime: Runtime) -> Said:
        assert runtime.store is not None
        before = await runtime.store.aget(("notes",), "last")
        return {"text": before.value["text"] if before else "nothing"}

    def graph(node: Any, store: Any) -> Any:
        builder = StateGraph(Said)
        builder.add_node("note", node)
        builder.add_edge(START, "note")
        return builder.compile(store=DynamoMemoryStore(store))

    def of(user: str) -> Any:
        return {"configurable": {"user_id": user}}

    called = graph(note, made(GraphStore, scene))
    called.invoke({"text": "hello"}, of("u-1"))
    with pytest.raises(InvalidArgument, match="say who asks"):
        called.invoke({"text": "hello"})

    async def main() -> list[Any]:
        async with made(AsyncGraphStore, scene) as store:
            awaited = graph(note_later, store)
            return [await awaited.ainvoke({"text": ""}, of(user)) for user in ("u-1", "u-2")]

    assert asyncio.run(main()) == [{"text": "hello"}, {"text": "nothing"}]


# -- beside the framework's own ---------------------------------------------------------------

LABELS = st.lists(st.sampled_from(["a", "a!", "a-b", "b", "é", "#", "$", "*x"]), min_size=1,
                  max_size=3).map(tuple)  # fmt: skip
KEYS = st.sampled_from(["k", "K", "k#", "1", "ключ"])
VALUES = st.dictionaries(
    st.sampled_from(["n", "kind", "deep"]),
    st.one_of(
        st.integers(-2, 2),
        st.sampled_from(["x", "y", 1.5, True, None]),
        st.fixed_dictionaries({"in": st.integers(0, 1)}),
        st.lists(st.integers(0, 1), max_size=2),
    ),
)
FILTERS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["n", "kind", "deep"]),
        st.one_of(
            st.integers(-2, 2),
            st.sampled_from(["x", [0, 1], {"in": 1}, {"$ne": 1}, {"$eq": "x"}]),
        ),
        max_size=2,
    ),
)
PATHS = st.lists(st.sampled_from(["a", "a!", "b", "*"]), max_size=2).map(tuple)


class BesideTheirs(RuleBasedStateMachine):
    """Both stores answer alike."""

    engine: EmbeddedEngine
    number = 0

    def __init__(self) -> None:
        super().__init__()
        BesideTheirs.number += 1
        store = self.engine.store("beside", store=GraphStore)
        self.ours = DynamoMemoryStore(store, user_id=f"u-{BesideTheirs.number}")
        self.theirs = InMemoryStore()

    @rule(labels=LABELS, key=KEYS, value=VALUES)
    def put(self, labels: Any, key: str, value: Any) -> None:
        for each in (self.ours, self.theirs):
            each.put(labels, key, value)

    @rule(labels=LABELS, key=KEYS)
    def delete(self, labels: Any, key: str) -> None:
        for each in (self.ours, self.theirs):
            each.delete(labels, key)

    @rule(labels=LABELS, key=KEYS, other=KEYS, value=VALUES)
    def batch(self, labels: Any, key: str, other: str, value: Any) -> None:
        ops: list[Any] = [
            PutOp(labels, key, {"n": 9}),
            GetOp(labels, key),
            PutOp(labels, key, value),
            PutOp(labels, other, None),
            SearchOp(labels[:1], limit=100),
        ]
        ours, theirs = self.ours.batch(ops), self.theirs.batch(ops)
        assert _plain(ours[1]) == _plain(theirs[1])
        assert _plain(ours[4]) == _plain(theirs[4])

    @rule(labels=LABELS, key=KEYS)
    def get(self, labels: Any, key: str) -> None:
        assert _plain(self.ours.get(labels, key)) == _plain(self.theirs.get(labels, key))

    @rule(prefix=st.one_of(st.just(()), LABELS), wanted=FILTERS)
    def search(self, prefix: Any, wanted: Any) -> None:
        ours = self.ours.search(prefix, filter=wanted, limit=100)
        assert _plain(ours) == _plain(self.theirs.search(prefix, filter=wanted, limit=100))
        assert self.ours.search(prefix, filter=wanted, limit=2, offset=1) == ours[1:3]

    @rule(prefix=PATHS, suffix=PATHS, depth=st.one_of(st.none(), st.integers(1, 3)))
    def list_namespaces(self, prefix: Any, suffix: Any, depth: int | None) -> None:
        for labels in [each for each, held in self.theirs._data.items() if not held]:
            del self.theirs._data[labels]  # theirs remembers namespaces that are empty
        asked: Any = {"prefix": prefix, "suffix": suffix, "max_depth": depth}
        ours = self.ours.list_namespaces(**asked)
        assert ours == self.theirs.list_namespaces(**asked)
        assert self.ours.list_namespaces(**asked, limit=2, offset=1) == ours[1:3]


def _plain(found: Any) -> Any:
    """What both should agree on; only ours sorts by namespace and key."""
    if isinstance(found, list):
        return sorted((_plain(each) for each in found), key=lambda each: each[:2])
    return None if found is None else (found.namespace, found.key, found.value)


@pytest.fixture
def _their_table() -> Iterator[None]:
    with EmbeddedEngine() as BesideTheirs.engine:
        yield


@pytest.mark.once
@pytest.mark.usefixtures("_their_table")
def test_memories_beside_the_frameworks_own() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        BesideTheirs, settings=settings(max_examples=8, stateful_step_count=20, deadline=None)
    )
