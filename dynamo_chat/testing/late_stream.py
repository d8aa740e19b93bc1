"""A table's stream as a Lambda function may get it: late, some of it again, cut anywhere.

    stream = LateStream(engine.changes(store), seed=1)
    ...                         # the application writes
    stream.deliver(handler)     # one batch: perhaps old news, perhaps a batch that was handed over
    ...
    stream.settle(handler)      # everything that is left

DynamoDB keeps the order of changes within a partition, and nothing else: partitions are handed
over independently, in batches of any size. After a failure, or a lost response, Lambda goes back
and hands over the same records again, in their order, before it goes on. So may this, anywhere.
"""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamo_chat.testing.changes import TableChanges

Record = Mapping[str, Any]
Handler = Callable[[Mapping[str, Any], object], Mapping[str, Any] | None]
"""A Lambda function, such as `stream_handler` makes."""

_ATTEMPTS = 20


class DeliveryFailed(Exception):
    """A handler reported the same record as failed again and again."""


@dataclass(slots=True)
class _Shard:
    """The records of some partitions, in their order."""

    records: list[dict[str, Any]] = field(default_factory=list)
    place: int = 0
    """How many of them need not be handed over again."""
    reached: int = 0
    """How many of them have been handed over at least once."""
    failures: int = 0
    """How often the record at `place` has failed in a row."""

    @property
    def left(self) -> int:
        return len(self.records) - self.place


class LateStream:
    """Hands stream records to a handler late, some again, in batches of 1 to `most` records.

    `again` is the chance that a batch is handed over again, as a whole or from any of its records
    on. Partitions share `shards` shards, each of which is behind by a number of records of its own.
    The same `seed`, records and calls give the same batches. Records come from `changes`, or are
    given to `add`: those that GetRecords returns, and those of Lambda's events.
    """

    def __init__(
        self,
        changes: TableChanges | None = None,
        *,
        seed: int,
        again: float = 0.3,
        most: int = 10,
        shards: int = 3,
    ) -> None:
        if not 0 <= again < 1:
            raise ValueError("again must be from 0 to less than 1")
        if most < 1 or shards < 1:
            raise ValueError("most and shards must be at least 1")
        self._changes = changes
        self._random = random.Random(seed)  # noqa: S311 - the dice of a test
        self._again = again
        self._most = most
        self._shards = [_Shard() for _ in range(shards)]
        self.repeated = 0
        """How many records were handed over that had been handed over before."""

    def add(self, records: Iterable[Record]) -> None:
        """Append records to the stream, those of each partition in their order."""
        for record in records:
            partition = record["dynamodb"]["Keys"]["PK"]["S"]
            shard = zlib.crc32(partition.encode()) % len(self._shards)
            self._shards[shard].records.append(as_event_record(record))

    @property
    def waiting(self) -> int:
        """How many records are left to hand over, of those that are known."""
        return sum(shard.left for shard in self._shards)

    def deliver(self, handler: Handler) -> int:
        """Hand one batch to `handler`, if there is one. Returns the number of records in it.

        If it reports a failed record, that and the following ones are handed over again, later.
        If it raises, so are all, and the error is raised. DeliveryFailed when the same record
        fails 20 times.
        """
        self._fetch()
        return self._hand_over(handler)

    def settle(self, handler: Handler) -> None:
        """Hand over everything that is left, and what is written meanwhile; errors as `deliver`."""
        self._fetch()
        while self.waiting:
            while self._hand_over(handler):
                pass
            self._fetch()

    def _fetch(self) -> None:
        if self._changes is not None:
            self.add(self._changes.records())

    def _hand_over(self, handler: Handler) -> int:
        behind = [shard for shard in self._shards if shard.left]
        if not behind:
            return 0
        shard = self._random.choice(behind)
        count = self._random.randint(1, min(self._most, shard.left))
        batch = shard.records[shard.place : shard.place + count]
        self.repeated += max(0, min(shard.reached - shard.place, count))
        shard.reached = max(shard.reached, shard.place + count)
        failed = _first_failed(batch, handler({"Records": batch}, None))
        if failed is None:
            shard.failures = 0
            lost = self._random.random() < self._again
            shard.place += self._random.randrange(count) if lost else count
        else:
            shard.failures = shard.failures + 1 if failed == 0 else 1
            shard.place += failed
            if shard.failures == _ATTEMPTS:
                number = batch[failed]["dynamodb"].get("SequenceNumber")
                raise DeliveryFailed(f"record {number} failed {_ATTEMPTS} times")
        return count


def as_event_record(record: Record) -> dict[str, Any]:
    """A copy of a record as Lambda's events have it: binary values as base64, times as seconds."""
    copied: dict[str, Any] = json.loads(json.dumps(record, default=_plain))
    by = copied.get("userIdentity")
    if by:
        copied["userIdentity"] = {name[0].lower() + name[1:]: value for name, value in by.items()}
    return copied


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    return base64.b64encode(value).decode()


def _first_failed(batch: list[dict[str, Any]], response: Mapping[str, Any] | None) -> int | None:
    """The place of the first record that a handler reported; None if it reported none."""
    reported = (response or {}).get("batchItemFailures") or ()
    failed = {each.get("itemIdentifier") for each in reported}
    numbers = [each["dynamodb"].get("SequenceNumber") for each in batch]
    places = [place for place, number in enumerate(numbers) if number in failed]
    # Lambda hands over the whole batch again for an identifier that it does not know.
    return min(places) if places else 0 if failed else None
