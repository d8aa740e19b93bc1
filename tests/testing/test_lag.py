"""Reads that lag: each shows what was there at some moment, and what must not lag does not."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.testing import DropAnswer, EmbeddedEngine, FakeClock, FaultInjector, Lag
from dynamo_chat.testing.lag import REPLICA
from tests.scene import Scene

pytestmark = pytest.mark.engine
LAG = timedelta(seconds=5)
REQUESTS = 12


@pytest.fixture
def lag(scene: Scene) -> Iterator[Lag]:
    """Reads of the scene's store are up to five seconds late."""
    with Lag(LAG, seed=1, clock=scene.clock) as made:
        made.attach(scene.store)
        yield made


def talks(store: ChatStore, user: str = "ann") -> int:
    """How many conversations an index shows."""
    return len(store.conversations.list_by_user(user, page_size=100))


def test_a_list_is_late_and_a_strong_read_is_not(scene: Scene, lag: Lag) -> None:
    store, behind = scene.store, set()
    for number in range(30):
        talk = store.conversations.create("ann")
        assert store.conversations.get(talk.conversation_id, consistent=True) == talk
        behind.add(number + 1 - talks(store))
        scene.clock.advance(1)
    assert max(behind) > 1
    assert 0 <= min(behind) <= max(behind) <= LAG.total_seconds()
    assert lag.late
    lag.settle()
    assert talks(store) == 30


def test_what_is_older_than_the_lag_is_shown(scene: Scene, lag: Lag) -> None:
    scene.store.conversations.create("ann")
    scene.clock.advance(LAG + timedelta(seconds=0.1))
    assert all(talks(scene.store) == 1 for _ in range(20))
    assert not lag.late


def test_a_table_reads_as_before_after_it(scene: Scene) -> None:
    with Lag(LAG, seed=1, clock=scene.clock) as lag:
        lag.attach(scene.store).conversations.create("ann")
    assert talks(scene.store) == 1
    with pytest.raises(scene.client.exceptions.ResourceNotFoundException):
        scene.client.describe_table(TableName=scene.table + REPLICA)


def test_several_servers_have_one_past(scene: Scene, lag: Lag) -> None:
    """What one server writes, another one sees late."""
    other = lag.attach(scene.new_store())
    shown = []
    for _ in range(20):
        scene.store.conversations.create("ann")
        shown.append(talks(other))
    assert shown != list(range(1, 21))
    lag.settle()
    assert talks(other) == 20


def test_one_lag_is_of_one_table(scene: Scene, lag: Lag, dynamo_chat_engine: Any) -> None:
    with (
        Scene(dynamo_chat_engine) as elsewhere,
        pytest.raises(ValueError, match="this lag is of the table"),
    ):
        lag.attach(elsewhere.store)
    with pytest.raises(ValueError, match="negative"):
        Lag(timedelta(seconds=-1), seed=1)


def test_a_write_whose_answer_is_lost_is_seen(scene: Scene, lag: Lag) -> None:
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), operation="PutItem")
        faults.plan(DropAnswer(), operation="TransactWriteItems")
        talk = scene.store.conversations.create("ann")
        scene.store.messages.append(talk.conversation_id, NewMessage(role="user", content="Hi"))
        assert faults.injected
    scene.clock.advance(LAG * 2)
    assert len(scene.store.messages.list(talk.conversation_id)) == 1


# -- laws: on one item that counts up, and on two, where only the moments matter ------------------


class Counted:
    """Two items of a partition and one of another, each of which is written again and again."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.lag = Lag(clock=self.clock, **options)
        self._table = f"counted-{uuid.uuid4()}"

    def __enter__(self) -> "Counted":
        self._engine = EmbeddedEngine().__enter__()
        self.store = self._engine.store(self._table, lag=self.lag)
        self._client, self._written = self.store.connection.client, 0
        return self

    def __exit__(self, *_: object) -> None:
        self.lag.detach()
        self._engine.__exit__(None, None, None)

    def write(self) -> None:
        """Write the next number into all three, in one transaction."""
        self._written += 1
        self._client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": self._table, "Item": self._item(pk, sk)}}
                for pk, sk in (("P", "1"), ("P", "2"), ("Q", "1"))
            ]
        )

    def _item(self, pk: str, sk: str) -> dict[str, Any]:
        index = {"GSI1PK": {"S": "I"}, "GSI1SK": {"S": pk + sk}}
        return {"PK": {"S": pk}, "SK": {"S": sk}, "n": {"N": str(self._written)}, **index}

    def partition(self, **options: Any) -> list[int]:
        """What a query of the partition with two items shows."""
        return self._numbers("PK", "P", **options)

    def index(self) -> list[int]:
        """What the index shows of all three."""
        return self._numbers("GSI1PK", "I", IndexName="GSI1")

    def _numbers(self, name: str, value: str, **options: Any) -> list[int]:
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="#k = :v",
            ExpressionAttributeNames={"#k": name},
            ExpressionAttributeValues={":v": {"S": value}},
            **options,
        )
        return [int(item["n"]["N"]) for item in found["Items"]]


def shown_by(counted: Counted, read: Callable[[], list[int]]) -> Iterator[list[int]]:
    """What each of many reads shows, with a write before each."""
    for _ in range(25):
        counted.write()
        yield read()


@pytest.mark.once
@settings(max_examples=8)
@given(seed=st.integers(0, 2**16), most=st.integers(0, 12))
def test_a_partition_is_seen_at_one_moment_within_the_lag(seed: int, most: int) -> None:
    with Counted(by=most, seed=seed) as counted:
        for now, seen in enumerate(shown_by(counted, counted.partition), 1):
            assert len(set(seen)) <= 1
            assert not seen or now - most <= seen[0] <= now
            assert counted.partition(ConsistentRead=True) == [now, now]


@pytest.mark.once
def test_an_index_is_seen_item_by_item() -> None:
    with Counted(by=REQUESTS, seed=3) as counted:
        assert any(len(set(seen)) > 1 for seen in shown_by(counted, counted.index))


@pytest.mark.once
def test_a_transaction_is_seen_in_part_where_that_is_asked_for() -> None:
    with Counted(by=REQUESTS, seed=3, torn=True) as counted:
        assert any(len(set(seen)) > 1 for seen in shown_by(counted, counted.partition))


@pytest.mark.once
@pytest.mark.parametrize("backward", [True, False])
def test_later_reads_may_show_less(backward: bool) -> None:
    with Counted(by=REQUESTS, seed=3, backward=backward) as counted:
        seen = [max(each, default=0) for each in shown_by(counted, counted.partition)]
    assert any(later < earlier for earlier, later in pairwise(seen)) is backward


@pytest.mark.once
def test_the_same_seed_shows_the_same() -> None:
    def played() -> list[list[int]]:
        with Counted(by=REQUESTS, seed=5) as counted:
            return [*shown_by(counted, counted.index)]

    assert played() == played()


@pytest.mark.once
def test_with_all_reads_strong_ones_are_late_too() -> None:
    with Counted(by=REQUESTS, seed=3, all_reads=True) as counted:

        def read() -> list[int]:
            return counted.partition(ConsistentRead=True)

        assert any(seen != [now] * 2 for now, seen in enumerate(shown_by(counted, read), 1))
