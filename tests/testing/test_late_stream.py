"""A late stream: what it hands over, again and in which order."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat.testing import DeliveryFailed, LateStream
from dynamo_chat.testing.late_stream import as_event_record
from tests.streams.record import TTL_SERVICE, TTL_SERVICE_OF_THE_API, record

PARTITIONS = "abcde"


def numbered(number: int, partition: str) -> dict[str, Any]:
    """The record of a change of the partition's only item."""
    item = {"PK": {"S": partition}, "SK": {"S": "x"}, "n": {"N": str(number)}}
    made = record(None, item, number=str(number))
    made["dynamodb"]["Keys"] = {name: item[name] for name in ("PK", "SK")}
    return made


class Received:
    """A handler that remembers what it got, and fails where it is told to."""

    def __init__(self, *, failing: Mapping[str, int] | None = None) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self._failing = dict(failing or {})

    def __call__(self, event: Mapping[str, Any], _: object) -> dict[str, Any]:
        self.batches.append([])
        for each in event["Records"]:
            number = each["dynamodb"]["SequenceNumber"]
            if self._failing.get(number, 0):
                self._failing[number] -= 1
                return {"batchItemFailures": [{"itemIdentifier": number}]}
            self.batches[-1].append((each["dynamodb"]["Keys"]["PK"]["S"], int(number)))
        return {"batchItemFailures": []}

    def of(self, partition: str) -> list[int]:
        """The numbers of the partition's changes, as they came."""
        return [number for batch in self.batches for at, number in batch if at == partition]


@given(
    partitions=st.text(PARTITIONS, min_size=1, max_size=40),
    seed=st.integers(0, 2**16),
    again=st.sampled_from([0.0, 0.3, 0.8]),
    most=st.integers(1, 12),
    shards=st.integers(1, 4),
    failing=st.dictionaries(st.integers(0, 39), st.integers(1, 3), max_size=3),
)
@settings(max_examples=60)
def test_all_comes_in_its_order_and_what_comes_again_is_followed_by_what_followed(
    partitions: str, seed: int, again: float, most: int, shards: int, failing: dict[int, int]
) -> None:
    records = [numbered(number, partition) for number, partition in enumerate(partitions)]
    stream = LateStream(seed=seed, again=again, most=most, shards=shards)
    received = Received(failing={str(number): times for number, times in failing.items()})
    stream.add(records)
    stream.settle(received)
    assert stream.waiting == 0
    assert all(len(batch) <= most for batch in received.batches)
    for partition in set(partitions):
        wanted = [number for number, at in enumerate(partitions) if at == partition]
        got = received.of(partition)
        assert sorted(set(got)) == wanted
        assert got[-1] == wanted[-1]
        for earlier, later in pairwise(got):
            # The next one, or back to some record from which all come again.
            assert later <= earlier or wanted.index(later) == wanted.index(earlier) + 1
    if not again and not failing:
        assert sum(map(len, received.batches)) == len(partitions)
        assert stream.repeated == 0


def test_some_come_again_some_are_behind_and_the_same_seed_repeats_it() -> None:
    def played() -> tuple[list[list[tuple[str, int]]], int]:
        stream, received = LateStream(seed=4, most=5), Received()
        for number in range(30):
            stream.add([numbered(number, PARTITIONS[number % 5])])
            if number % 3 == 0:
                stream.deliver(received)
        assert stream.waiting
        stream.settle(received)
        return received.batches, stream.repeated

    batches, repeated = played()
    assert repeated
    order = [number for batch in batches for _, number in batch]
    assert order != sorted(order)
    assert played() == (batches, repeated)


def test_a_handler_that_raises_gets_the_batch_again() -> None:
    stream, received = LateStream(seed=1, again=0), Received()
    stream.add([numbered(1, "a"), numbered(2, "a")])

    def broken(_: object, __: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stream.deliver(broken)
    assert stream.waiting == 2
    stream.settle(received)
    assert received.of("a") == [1, 2]
    assert stream.repeated in {1, 2}
    assert stream.deliver(received) == 0


@pytest.mark.parametrize("reported", ["7", ""])
def test_a_record_that_always_fails_ends_it(reported: str) -> None:
    stream = LateStream(seed=1)
    stream.add([numbered(7, "a")])
    with pytest.raises(DeliveryFailed, match="record 7 failed 20 times"):
        stream.settle(lambda *_: {"batchItemFailures": [{"itemIdentifier": reported}]})


def test_records_come_as_lambda_has_them() -> None:
    told = numbered(1, "a")
    told["userIdentity"] = TTL_SERVICE_OF_THE_API
    told["dynamodb"]["ApproximateCreationDateTime"] = datetime(2026, 1, 1, tzinfo=UTC)
    told["dynamodb"]["NewImage"]["z"] = {"B": b"\x00\x01"}
    event = as_event_record(told)
    assert event["userIdentity"] == TTL_SERVICE
    assert event["dynamodb"]["NewImage"]["z"] == {"B": "AAE="}
    assert event["dynamodb"]["ApproximateCreationDateTime"] == 1767225600
    assert as_event_record(event) == event


@pytest.mark.parametrize("wrong", [{"again": 1}, {"again": -0.1}, {"most": 0}, {"shards": 0}])
def test_settings_that_would_never_end_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LateStream(seed=1, **wrong)
