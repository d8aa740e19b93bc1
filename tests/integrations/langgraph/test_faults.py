"""Whatever dies, gets lost or is overtaken: called again, the end is the same."""

import asyncio
import random
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from dynamo_chat import DynamoChatError
from dynamo_chat.integrations.langgraph import DynamoCheckpointSaver, DynamoMemoryStore, checkpoints
from dynamo_chat.testing import DropAnswer, FaultInjector, Kill, Killed, RequestMeter, ServerError
from tests.integrations.langgraph.stores import AsyncGraphStore, GraphStore, made
from tests.integrations.langgraph.test_saver import history, ids, put, talking, thread
from tests.integrations.served import WORKERS, served
from tests.on_loop import CancelTask
from tests.scene import Scene, at_request

pytestmark = [pytest.mark.engine, pytest.mark.once]

NOISE = random.Random(3).randbytes(3_000)
"""Two pieces."""
LARGE = empty_checkpoint()
LARGE["channel_values"] = {"blob": NOISE}
LARGE["channel_versions"] = {"blob": 1}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PIECE_BYTES", 2_000)


def saver_of(scene: Scene, **options: Any) -> DynamoCheckpointSaver:
    return DynamoCheckpointSaver(made(GraphStore, scene, **options), user_id="u-1")


def prepared(scene: Scene) -> None:
    """Threads with states of pieces, small ones, and what tasks wrote."""
    saver = saver_of(scene)
    made = history(saver, thread(), 2, run_id="r-1")
    put(saver, made[-1], {"blob": NOISE}, run_id="r-1")
    history(saver, thread(namespace="child"), 1, run_id="r-2")
    put(saver, thread("other"))


def plain(scene: Scene) -> list[Any]:
    """The table without what differs each time."""
    items = deepcopy(scene.items())
    for item in items:
        item.pop("mark")
    return items


OPERATIONS: dict[str, Callable[[DynamoCheckpointSaver], object]] = {
    "put": lambda saver: saver.put(thread(), LARGE, {}, {}),
    "put_writes": lambda saver: saver.put_writes(
        thread("other", checkpoint_id="c"), [("a", NOISE), ("__error__", 1)], "task"
    ),
    "delete_thread": lambda saver: saver.delete_thread("t-1"),
    "delete_for_runs": lambda saver: saver.delete_for_runs(["r-1"]),
    "prune": lambda saver: saver.prune(["t-1", "other"]),
    "copy_thread": lambda saver: saver.copy_thread("t-1", "t-2"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_dies_is_called_again(scene: Scene, name: str) -> None:
    """After each of its requests; what a reader sees meanwhile is whole."""
    act = OPERATIONS[name]
    prepared(scene)
    scene.clock.advance(timedelta(seconds=1))
    begun = scene.items()
    whole = {each.checkpoint["id"]: each for each in saver_of(scene).list(None)}
    whole[LARGE["id"]] = None  # type: ignore[assignment]
    with RequestMeter((store := made(GraphStore, scene)).connection.client) as meter:
        act(DynamoCheckpointSaver(store, user_id="u-1"))
    wanted = plain(scene)
    for number in range(1, meter.count + 1):
        for fault in (Kill(after_sending=True), DropAnswer()):
            scene.restore(begun)
            store = made(GraphStore, scene)
            saver = DynamoCheckpointSaver(store, user_id="u-1")
            with FaultInjector(store.connection.client) as faults:
                faults.plan(fault, at=number)
                try:
                    act(saver)
                except Killed:
                    for each in saver_of(scene).list(None):
                        known = whole[each.checkpoint["id"]]
                        assert known is None or (each.checkpoint, each.metadata) == (
                            known.checkpoint, known.metadata,
                        )  # fmt: skip
                    act(saver)
                assert faults.injected
            assert plain(scene) == wanted, (number, fault)


@pytest.mark.parametrize("name", ["delete_thread", "prune", "delete_for_runs"])
def test_a_slow_deletion_spares_what_was_written_anew(scene: Scene, name: str) -> None:
    """Another worker deletes the thread, and copies it back, before each request but the first."""
    prepared(scene)
    scene.clock.advance(timedelta(seconds=1))
    other = saver_of(scene)
    other.copy_thread("t-1", "kept")
    begun, wanted = scene.items(), ids(other.list(thread()))

    def overtake() -> None:
        other.delete_thread("t-1")
        other.copy_thread("kept", "t-1")

    with RequestMeter((store := made(GraphStore, scene)).connection.client) as meter:
        OPERATIONS[name](DynamoCheckpointSaver(store, user_id="u-1"))
    for number in range(2, meter.count + 1):
        scene.restore(begun)
        store = made(GraphStore, scene)
        with at_request(store, number, overtake):
            OPERATIONS[name](DynamoCheckpointSaver(store, user_id="u-1"))
        there = list(other.list(thread()))
        assert ids(there) == wanted, number


@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_cancelled_write_is_whole_or_not_there(scene: Scene, at: int, is_sent: bool) -> None:
    """When the error comes, nothing is under way any more."""

    async def work(store: Any) -> None:
        saver = DynamoCheckpointSaver(store, user_id="u-1")
        with FaultInjector(store.connection.client) as faults:
            faults.plan(CancelTask(is_sent), at=at)
            task = asyncio.create_task(saver.aput(thread(), LARGE, {}, {}))
            with pytest.raises(asyncio.CancelledError):
                await task
        there, count = await saver.aget_tuple(thread()), len(scene.items())
        assert (there is not None) == (at == 3)
        await asyncio.sleep(0.05)
        assert len(scene.items()) == count == at
        await saver.aput(thread(), LARGE, {}, {})
        found = await saver.aget_tuple(thread())
        assert found is not None
        assert found.checkpoint == LARGE

    served(scene, work, AsyncGraphStore)


@pytest.mark.parametrize("fault", [None, DropAnswer(), ServerError()], ids=str)
def test_sixteen_workers_on_one_loop(scene: Scene, fault: Any) -> None:
    """Each runs a thread of its own, and writes to one checkpoint of all."""

    async def work(store: Any) -> None:
        saver = DynamoCheckpointSaver(store)
        graph = talking(saver)
        shared = saver.for_user("all")
        config = await shared.aput(thread(), empty_checkpoint(), {}, {})

        async def run(number: int) -> Any:
            mine = thread(f"t-{number % 4}", user_id=f"u-{number}")
            await graph.ainvoke({"said": ["hello"]}, mine)
            await asyncio.gather(
                *(shared.aput_writes(config, [("a", number), ("b", 1)], f"task-{number:02}")
                  for _ in range(2))
            )  # fmt: skip
            return (await graph.aget_state(mine)).values["said"]

        with FaultInjector(store.connection.client) as faults:
            if fault is not None:
                faults.gamble({fault: 0.1}, seed=5)
            said = await asyncio.gather(*map(run, range(WORKERS)))
            assert fault is None or faults.injected
        assert said == [["hello", "begun", "did w0", "did w1", "did w2"]] * WORKERS
        found = await shared.aget_tuple(config)
        assert found is not None
        assert found.pending_writes == [
            (f"task-{number:02}", *each)
            for number in range(WORKERS)
            for each in (("a", number), ("b", 1))
        ]

    served(scene, work, AsyncGraphStore)


def test_a_memory_that_was_interrupted_is_written_once(scene: Scene) -> None:
    for number in (1, 2):
        for fault in (Kill(after_sending=True), DropAnswer()):
            store = made(GraphStore, scene)
            memory = DynamoMemoryStore(store, user_id="u-1")
            memory.put(("a",), "k", {"n": 1})
            with FaultInjector(store.connection.client) as faults:
                faults.plan(fault, at=number)
                try:
                    memory.put(("a",), "k", {"n": 2}, ttl=5)
                except (Killed, DynamoChatError):
                    memory.put(("a",), "k", {"n": 2}, ttl=5)
                assert faults.injected
            found = memory.search(("a",))
            assert [each.value for each in found] == [{"n": 2}]
            memory.delete(("a",), "k")
