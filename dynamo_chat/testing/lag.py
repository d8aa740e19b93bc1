"""Reads that are behind, as they are on DynamoDB, where local engines are always up to date.

    lag = Lag(timedelta(seconds=5), seed=1, clock=clock)
    with EmbeddedEngine() as engine:
        store = engine.store("chat-test", clock=clock, lag=lag)
        ...                     # lists and plain reads show what was there up to 5 seconds ago
        lag.settle()            # from here on they show what is there now

Writes, conditions, transactions and strongly consistent reads see the present. Everything else is
answered by a second table, a replica, which before each such request is made what the first one was
at some moment of the past. So filters, projections and pages are the engine's own.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session

from dynamo_chat.core.client import new_session
from dynamo_chat.core.clock import Clock, system_clock
from dynamo_chat.core.forks import ProcessLock
from dynamo_chat.testing.answers import answer
from dynamo_chat.testing.faults import Attempt
from dynamo_chat.testing.hook import Client, ClientHook, Handler

if TYPE_CHECKING:
    from dynamo_chat.store import ChatStore

S = TypeVar("S", bound="ChatStore")

Item = dict[str, Any]
Key = tuple[str, str]

REPLICA = "-lagging"
"""What the replica's name has after the table's."""
_BATCH = 25
_READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan"})
_MEMBERS = ("Put", "Update", "Delete")


@dataclass(slots=True)
class _Version:
    moment: float
    item: Item | None
    """None where there was no item."""


@dataclass(slots=True)
class _History:
    """What an item was, oldest first. The first version is what it was before all that is known."""

    versions: list[_Version]

    def at(self, moment: float) -> Item | None:
        found = self.versions[0]
        for version in self.versions:
            if version.moment <= moment:
                found = version
        return found.item

    def forget(self, before: float) -> None:
        """Drop what no read can show any more."""
        while len(self.versions) > 1 and self.versions[1].moment <= before:
            del self.versions[0]


@dataclass(slots=True)
class _Past:
    """The histories of the items of a table that changed lately, and the replica's content."""

    recent: dict[Key, _History] = field(default_factory=dict)
    known: dict[Key, Item] = field(default_factory=dict)
    """What is in the table, as far as it was seen."""
    shown: dict[Key, Item] = field(default_factory=dict)
    """What is in the replica."""
    awaited: Counter[Key] = field(default_factory=Counter)
    """How many requests are under way, or have failed, that may have written each item."""


class Lag:
    """How far reads of a table are behind: up to `by`, a time, or a number of requests.

    A read of the table shows one moment per partition, one of an index a moment per item, as
    indexes are updated item by item. With `torn`, each item of a partition has a moment of its
    own, too. With `backward`, a later read may show an earlier moment; without it, never. The same
    `seed` and requests give the same moments. With `all_reads`, strongly consistent reads of single
    requests lag as well: a test that needs them must fail then.

    `engine.store(..., lag=lag)` makes a store whose reads lag, with its table. `attach` does so for
    further stores on the same table. What others write is seen after `settle`.
    """

    def __init__(
        self,
        by: timedelta | int = timedelta(seconds=5),
        *,
        seed: int,
        clock: Clock = system_clock,
        backward: bool = True,
        torn: bool = False,
        all_reads: bool = False,
    ) -> None:
        self._by = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if self._by < 0:
            raise ValueError("by must not be negative")
        self._in_requests = not isinstance(by, timedelta)
        self._clock = clock
        self._backward = backward
        self._torn = torn
        self._all_reads = all_reads
        self._random = random.Random(seed)  # noqa: S311 - the dice of a test
        self._lock = ProcessLock()
        self._requests = 0
        self._floors: dict[Any, float] = {}
        self._table = ""
        self._plain: Client = None
        self._past = _Past()
        self._hooks: list[_Hook] = []
        self.late = 0
        """How many reads were answered with something else than what is there."""

    def attach(self, store: S) -> S:
        """Make the reads of `store` lag, and return it. All stores have the same table."""
        client, table = store.connection.client, store.connection.table_name
        with self._lock:
            if self._plain is None:
                self._table, self._plain = table, _plain_client(client)
                self._make_replica()
            elif table != self._table:
                raise ValueError(f"this lag is of the table {self._table!r}, not of {table!r}")
            self._hooks.append(_Hook(client, self).attach())
        return store

    def settle(self) -> None:
        """Let every read show what is in the table now, until something is written again."""
        with self._lock:
            self._past.recent.clear()
            self._floors.clear()
            self._past.known = {key_of(item): item for item in self._scanned(self._table)}
            self._show(dict.fromkeys(self._past.shown) | self._past.known)

    def detach(self) -> None:
        """Let the stores read as before, and delete the replica."""
        for hook in self._hooks:
            hook.detach()
        self._hooks.clear()
        if self._plain is not None:
            self._plain.delete_table(TableName=self._table + REPLICA)
            self._plain = None
            self._past = _Past()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    # -- what is written ----------------------------------------------------------------------

    def expect(self, keys: Iterable[Key]) -> None:
        """Remember that a request may write these items, whatever becomes of its answer."""
        with self._lock:
            self._past.awaited.update(keys)

    def pass_on(self, attempt: Attempt, expected: list[Key]) -> AWSResponse:
        """Do what is no late read, and note what it changed."""
        with self._lock:
            self._requests += 1
            self._observe()
            response = attempt.forward()
            self._observe()
            self._past.awaited -= Counter(expected)
            expected.clear()
        return response

    def _observe(self) -> None:
        """Note what has become of items that may have been written, each as a further version."""
        keys = [*self._past.awaited]
        for key, now in zip(keys, self._present(keys), strict=True):
            before = self._past.known.get(key)
            if now == before:
                continue
            history = self._past.recent.setdefault(key, _History([_Version(-math.inf, before)]))
            history.versions.append(_Version(self._now(), now))
            if now is None:
                del self._past.known[key]
            else:
                self._past.known[key] = now

    def _now(self) -> float:
        if self._in_requests:
            return float(self._requests)
        return (self._clock() - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()

    # -- what is shown ------------------------------------------------------------------------

    def answer(self, attempt: Attempt) -> AWSResponse:
        """The answer to a read that may be late."""
        name, replica = _quoted(self._table), _quoted(self._table + REPLICA)
        with self._lock:
            self._requests += 1
            self._observe()
            self._show(self._chosen(attempt.body))
            response = attempt.forward(json.loads(attempt.text.replace(name, replica)))
        content = response.content.replace(replica.encode(), name.encode())
        return answer(attempt.url, content, response.status_code)

    def is_late(self, attempt: Attempt) -> bool:
        """True if this request may be answered from the past."""
        if attempt.operation not in _READS:
            return False
        if self._all_reads:
            return True
        asked = attempt.body
        if attempt.operation == "BatchGetItem":
            asked = asked["RequestItems"].get(self._table, {})
        return not asked.get("ConsistentRead")

    def _chosen(self, body: Mapping[str, Any]) -> dict[Key, Item | None]:
        """What each item that changed lately shall be in the replica, for one read."""
        now = self._now()
        moments: dict[Any, float] = {}
        chosen: dict[Key, Item | None] = {}
        for key, history in list(self._past.recent.items()):
            history.forget(now - self._by)
            if len(history.versions) == 1:
                del self._past.recent[key]
                chosen[key] = history.versions[0].item
                continue
            index = body.get("IndexName", "")
            place = (index, *key) if index or self._torn else ("", key[0])
            if place not in moments:
                moments[place] = self._moment(place, now)
            chosen[key] = history.at(moments[place])
        self.late += any(item != self._past.known.get(key) for key, item in chosen.items())
        return chosen

    def _moment(self, place: Any, now: float) -> float:
        moment = now - self._random.uniform(0, self._by)
        if not self._backward:
            moment = self._floors[place] = max(moment, self._floors.get(place, moment))
        return moment

    def _show(self, chosen: Mapping[Key, Item | None]) -> None:
        """Write into the replica what it does not have."""
        writes: list[Item] = []
        for key, item in chosen.items():
            if item == self._past.shown.get(key):
                continue
            if item is None:
                del self._past.shown[key]
                names = {"PK": {"S": key[0]}, "SK": {"S": key[1]}}
                writes.append({"DeleteRequest": {"Key": names}})
            else:
                self._past.shown[key] = item
                writes.append({"PutRequest": {"Item": item}})
        for start in range(0, len(writes), _BATCH):
            left = {self._table + REPLICA: writes[start : start + _BATCH]}
            while left:
                left = self._plain.batch_write_item(RequestItems=left).get("UnprocessedItems")

    # -- the tables ---------------------------------------------------------------------------

    def _make_replica(self) -> None:
        described = self._plain.describe_table(TableName=self._table)["Table"]
        indexes = [
            {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
            for index in described.get("GlobalSecondaryIndexes", ())
        ]
        self._plain.create_table(
            TableName=self._table + REPLICA,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=described["AttributeDefinitions"],
            KeySchema=described["KeySchema"],
            GlobalSecondaryIndexes=indexes,
        )
        self._plain.get_waiter("table_exists").wait(
            TableName=self._table + REPLICA, WaiterConfig={"Delay": 1}
        )
        self._past.known = {key_of(item): item for item in self._scanned(self._table)}
        self._show(self._past.known)

    def _scanned(self, table: str) -> Iterator[Item]:
        pages = self._plain.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        for page in pages:
            yield from page["Items"]

    def _present(self, keys: Iterable[Key]) -> Iterator[Item | None]:
        for pk, sk in keys:
            found = self._plain.get_item(
                TableName=self._table, Key={"PK": {"S": pk}, "SK": {"S": sk}}, ConsistentRead=True
            )
            yield found.get("Item")


class _Hook(ClientHook):
    """Gives the requests of one client to a lag."""

    def __init__(self, client: Client, lag: Lag) -> None:
        super().__init__(client)
        self._lag = lag
        self._http = URLLib3Session(max_pool_connections=50)
        self._expected: ContextVar[list[Key]] = ContextVar("dynamo_chat_expected")

    def handlers(self) -> dict[str, Handler]:
        """One event per API call, and one per attempt."""
        return {
            "before-call.dynamodb": self._before_call,
            "before-send.dynamodb": self._before_send,
        }

    def detach(self) -> None:
        """Let the client read as before."""
        super().detach()
        self._http.close()

    def _before_call(self, model: Any, params: Any, **_: Any) -> None:
        keys = [*_keys_written(model.name, json.loads(params["body"]))]
        self._lag.expect(keys)
        self._expected.set(keys)

    def _before_send(
        self, request: AWSPreparedRequest, event_name: str, **_: Any
    ) -> AWSResponse | None:
        attempt = Attempt(event_name.rpartition(".")[2], event_name, request, self._http)
        if attempt.is_answered:  # by an injected fault
            return None
        if self._lag.is_late(attempt):
            response = self._lag.answer(attempt)
        else:
            response = self._lag.pass_on(attempt, self._expected.get())
        attempt.divert()
        return response


def key_of(item: Mapping[str, Any]) -> Key:
    """The key of an item, as two texts."""
    return item["PK"]["S"], item["SK"]["S"]


def _keys_written(operation: str, body: Mapping[str, Any]) -> Iterator[Key]:
    match operation:
        case "PutItem":
            yield key_of(body["Item"])
        case "UpdateItem" | "DeleteItem":
            yield key_of(body["Key"])
        case "TransactWriteItems":
            for member in body["TransactItems"]:
                for name in _MEMBERS:
                    if name in member:
                        yield key_of(member[name].get("Item") or member[name]["Key"])
        case "BatchWriteItem":
            for writes in body["RequestItems"].values():
                for write in writes:
                    for request in write.values():
                        yield key_of(request.get("Item") or request["Key"])
        case _:
            return


def _quoted(name: str) -> str:
    return json.dumps(name)


def _plain_client(client: Client) -> Client:
    """A client of the same endpoint that has no hooks."""
    return new_session().create_client(
        "dynamodb", region_name=client.meta.region_name, endpoint_url=client.meta.endpoint_url
    )
