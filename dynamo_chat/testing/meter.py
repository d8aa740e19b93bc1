"""The request meter: how many requests, and what they cost by DynamoDB's rules.

    with RequestMeter(store.connection.client) as meter:
        store.messages.append(...)
    meter.count, meter.wcu, meter.rcu       # and, request by request, meter.requests

Stand-ins report wrong capacity, so it is computed here from item sizes: for reads of the items in
the response, for writes of the item before and after. If a response holds less than was read (a
projection, a filter, a count), and for writes, a second client reads the items; the first client's
hooks do not see that.

Notes on the numbers:

* a request is one API call; botocore's attempts are counted separately (`attempts`), charged once;
* if others write the same items at the same time, a record's units may be wrong, not the count;
* a transaction that is sent again with its token is charged as if it were applied again;
* a request that was killed before its response stays in the list, without units.

``RequestMeter(client, keeps_items=True)`` also notes in each record which items the request
touched, and holds them until it is reset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from dynamo_chat.core.forks import ProcessLock
from dynamo_chat.core.patterns import running_pattern
from dynamo_chat.core.size import TRANSACTION_FACTOR, item_size, read_units, write_units
from dynamo_chat.testing.capacity import (
    Charge,
    Item,
    Units,
    by_place,
    failed_write_units,
    write_charges,
)
from dynamo_chat.testing.hook import Client, ClientHook, Handler
from dynamo_chat.testing.probe import Address, Probe, address
from dynamo_chat.testing.schema import CHAT_TABLE, TABLE, TableSchema
from dynamo_chat.testing.touched import (
    Touched,
    asked,
    partition_asked,
    touched_by_read,
    touched_by_write,
)

UNANSWERED = "Unanswered"


@dataclass(slots=True)
class RequestRecord:
    """One API call. It is listed when it is sent, and completed when its response comes."""

    operation: str
    """DynamoDB's name of the operation, such as ``TransactWriteItems``."""
    pattern: str
    """The access pattern it served, such as ``C7``; empty outside of the store's methods."""
    index: str | None
    """The index that was read; None for the table, and for writes."""
    keys: int
    """The number of members of a batch or transaction; 1 otherwise."""
    items: int = 0
    """The number of items in the response."""
    rcu: Units = field(default_factory=dict)
    """Read units, by ``table`` and index."""
    wcu: Units = field(default_factory=dict)
    """Write units, by ``table`` and index."""
    attempts: int = 0
    """The number of HTTP requests that botocore sent for it."""
    bytes_sent: int = 0
    """Bytes of the body, over all attempts."""
    bytes_received: int = 0
    """Bytes of the response's body."""
    error: str | None = UNANSWERED
    """DynamoDB's or botocore's error code; None when it succeeded."""
    asked: str = ""
    """The key condition of a Query, with its values. Only of a meter that keeps items."""
    touched: list[Touched] = field(default_factory=list)
    """The items that it read or wrote, in order. Only of a meter that keeps items."""
    charges: list[Charge] = field(default_factory=list)
    """Its units, by key. Only of a meter that keeps items."""


class RequestMeter(ClientHook):
    """Counts the requests of one client and computes their capacity. Thread-safe."""

    def __init__(
        self, client: Client, *, schema: TableSchema = CHAT_TABLE, keeps_items: bool = False
    ) -> None:
        super().__init__(client)
        self._schema = schema
        self._keeps_items = keeps_items
        self._requests: list[RequestRecord] = []
        self._lock = ProcessLock()
        self._probe: Probe | None = None

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests, in the order they were sent."""
        with self._lock:
            return list(self._requests)

    @property
    def count(self) -> int:
        """The number of requests."""
        return len(self.requests)

    @property
    def attempts(self) -> int:
        """The number of HTTP requests, including botocore's retries."""
        return sum(record.attempts for record in self.requests)

    @property
    def wcu(self) -> float:
        """All write units, of the table and its indexes."""
        return sum(sum(record.wcu.values()) for record in self.requests)

    @property
    def rcu(self) -> float:
        """All read units, of the table and its indexes."""
        return sum(sum(record.rcu.values()) for record in self.requests)

    def totals(self) -> tuple[Units, Units]:
        """Write units and read units, each by ``table`` and index."""
        return totals(self.requests)

    def operations(self) -> Counter[str]:
        """The number of requests by operation."""
        return Counter(record.operation for record in self.requests)

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self._requests.clear()

    def detach(self) -> None:
        """Stop counting. What was counted stays."""
        super().detach()
        with self._lock:
            if self._probe is not None:
                self._probe.close()
                self._probe = None

    # -- handlers

    def handlers(self) -> dict[str, Handler]:
        """The handlers of a request, from its parameters to its response."""
        return {
            "before-parameter-build.dynamodb": self._remember,
            "before-call.dynamodb": self._start,
            "request-created.dynamodb": self._attempt,
            "after-call.dynamodb": self._finish,
            "after-call-error.dynamodb": self._lose,
        }

    @property
    def _name(self) -> str:
        return f"dynamo_chat.meter.{id(self)}"

    def _remember(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[self._name] = params

    def _start(self, model: Any, context: dict[str, Any], **_: Any) -> None:
        request = context.get(self._name)
        if request is None:  # attached while this call was under way
            return
        call = _Call(model.name, request, self._schema)
        if self._keeps_items:
            call.record.asked = asked(request)
        if call.targets:
            call.before = self._probing().items(target.address for target in call.targets)
        context[self._name] = call
        with self._lock:
            self._requests.append(call.record)

    def _attempt(self, request: Any, **_: Any) -> None:
        call = request.context.get(self._name)
        if isinstance(call, _Call):
            call.record.attempts += 1
            call.record.bytes_sent += len(request.data or b"")

    def _finish(
        self, http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any
    ) -> None:
        call = context.get(self._name)
        if not isinstance(call, _Call):
            return
        call.record.bytes_received = len(http_response.content)
        if http_response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            call.record.error = None
            self._charge(call, parsed)
        else:
            call.record.error = parsed.get("Error", {}).get("Code", "Unknown")
            if _condition_failed(parsed):
                call.record.wcu = self._note(call, call.failed_writes())
            if self._keeps_items:
                call.record.touched = call.touched(call.before)

    def _lose(self, exception: Exception, context: dict[str, Any], **_: Any) -> None:
        """Handle a missing response: if an item has changed, the write happened."""
        call = context.get(self._name)
        if not isinstance(call, _Call):
            return
        call.record.error = type(exception).__name__
        if call.targets:
            after = self._probing().items(target.address for target in call.targets)
            if after != call.before:
                call.record.wcu = self._note(call, call.writes(after, {}))

    def _charge(self, call: _Call, answer: Mapping[str, Any]) -> None:
        if call.targets:
            after = self._probing().items(target.address for target in call.targets)
            call.record.wcu = self._note(call, call.writes(after, answer))
            if self._keeps_items:
                call.record.touched = call.touched(after)
        elif call.operation in _READS:
            read = _Read(call, answer, self._probing)
            call.record.rcu = self._note(call, read.charges())
            call.record.items = read.returned()
            if self._keeps_items:
                call.record.touched = touched_by_read(
                    call.operation, call.request, answer, self._schema
                )

    def _note(self, call: _Call, charges: Iterable[Charge]) -> Units:
        """The units of these charges, which are kept if this meter keeps items."""
        made = list(charges)
        if self._keeps_items:
            call.record.charges = made
        return by_place(made)

    def _probing(self) -> Probe:
        with self._lock:
            if self._probe is None:
                self._probe = Probe(self.client, self._schema)
            return self._probe


class _Target(NamedTuple):
    """One item that a request writes, or checks."""

    address: Address
    put: Item | None = None
    only_checked: bool = False


class _Call:
    """One API call: its request, and its record."""

    def __init__(self, operation: str, request: Mapping[str, Any], schema: TableSchema) -> None:
        self.operation = operation
        self.request = request
        self.schema = schema
        self.targets = _targets(operation, request, schema)
        self.factor = TRANSACTION_FACTOR if operation == "TransactWriteItems" else 1
        self.before: dict[Address, Item] = {}
        self.record = RequestRecord(
            operation=operation,
            pattern=running_pattern(),
            index=request.get("IndexName"),
            keys=len(self.targets) or _keys_read(request),
        )

    def writes(self, after: Mapping[Address, Item], answer: Mapping[str, Any]) -> Iterator[Charge]:
        """The charges of the writes that took effect."""
        left = {
            target.address
            for target in _batch_targets(answer.get("UnprocessedItems") or {}, self.schema)
        }
        for target in self.targets:
            if target.address not in left:
                yield from self._write(target, after.get(target.address))

    def _write(self, target: _Target, new: Item | None) -> Iterator[Charge]:
        old = self.before.get(target.address)
        _, partition, sort = target.address
        if target.only_checked:
            yield Charge(TABLE, partition, sort, self.factor * write_units(item_size(old or {})))
            return
        is_in_transaction = self.factor > 1
        yield from write_charges(
            (partition, sort), old, new, self.schema, is_in_transaction=is_in_transaction
        )

    def touched(self, after: Mapping[Address, Item]) -> list[Touched]:
        """What became of the items that it writes or checks."""
        targets = [(target.address, target.only_checked) for target in self.targets]
        return touched_by_write(targets, self.before, after)

    def failed_writes(self) -> Iterator[Charge]:
        """The charges of writes that did not happen because a condition failed.

        AWS charges the table as if it had been written. For a cancelled transaction, all members
        are counted twice: an assumption, which is rather too high than too low.
        """
        for target in self.targets:
            _, partition, sort = target.address
            units = failed_write_units(self.before.get(target.address), target.put)
            yield Charge(TABLE, partition, sort, self.factor * units)


class _Read:
    """The response to a read, and what it cost."""

    def __init__(
        self, call: _Call, answer: Mapping[str, Any], probing: Callable[[], Probe]
    ) -> None:
        self._operation = call.operation
        self._request = call.request
        self._schema = call.schema
        self._answer = answer
        self._probing = probing

    def charges(self) -> Iterator[Charge]:
        """What was charged for each item, or for the page."""
        return _READS[self._operation](self)

    def returned(self) -> int:
        """The number of items in the response."""
        answer = self._answer
        batches = answer.get("Responses") or []
        if isinstance(batches, Mapping):
            return sum(map(len, batches.values()))
        return len(answer.get("Items") or []) + bool(answer.get("Item")) + sum(map(bool, batches))

    def get(self) -> Iterator[Charge]:
        return self._of_items([self._request["Key"]], self._request, [self._answer.get("Item")])

    def page(self) -> Iterator[Charge]:
        """The charge of a Query or Scan: its items' sizes are added, then rounded up."""
        size = sum(map(item_size, self._answer.get("Items") or []))
        if _shows_less(self._request):
            scanned = self._answer.get("ScannedCount", 0)
            size = self._probing().page_size(self._operation, self._request, scanned)
        consistent = bool(self._request.get("ConsistentRead"))
        place = self._request.get("IndexName") or TABLE
        units = read_units(size, consistent=consistent)
        yield Charge(place, partition_asked(self._request, self._schema), "", units)

    def batch(self) -> Iterator[Charge]:
        """The charges of a batch: each item is rounded up alone, and missing items count, too."""
        left = self._answer.get("UnprocessedKeys") or {}
        for table, part in self._request["RequestItems"].items():
            undone = left.get(table, {}).get("Keys", [])
            done = [key for key in part["Keys"] if key not in undone]
            found: dict[Address, Item] = {}
            if "ProjectionExpression" not in part:
                items = self._answer["Responses"].get(table, [])
                found = {address(table, item, self._schema): item for item in items}
            given = [found.get(address(table, key, self._schema)) for key in done]
            yield from self._of_items(done, {"TableName": table, **part}, given)

    def transaction(self) -> Iterator[Charge]:
        for member, found in zip(
            self._request["TransactItems"], self._answer["Responses"], strict=True
        ):
            get = {**member["Get"], "ConsistentRead": True}
            for charge in self._of_items([get["Key"]], get, [found.get("Item")]):
                yield charge._replace(units=TRANSACTION_FACTOR * charge.units)

    def _of_items(
        self,
        keys: Sequence[Mapping[str, Any]],
        asked: Mapping[str, Any],
        found: Sequence[Item | None],
    ) -> Iterator[Charge]:
        """The charges of reads of single items, of which a projection may show less."""
        if "ProjectionExpression" in asked:
            sizes = self._whole_sizes(asked["TableName"], keys)
        else:
            sizes = [item_size(item or {}) for item in found]
        consistent = bool(asked.get("ConsistentRead"))
        for key, size in zip(keys, sizes, strict=True):
            _, partition, sort = address(asked["TableName"], key, self._schema)
            yield Charge(TABLE, partition, sort, read_units(size, consistent=consistent))

    def _whole_sizes(self, table: str, keys: Iterable[Mapping[str, Any]]) -> list[int]:
        addresses = [address(table, key, self._schema) for key in keys]
        found = self._probing().items(addresses)
        return [item_size(found.get(each, {})) for each in addresses]


_READS = {
    "GetItem": _Read.get,
    "Query": _Read.page,
    "Scan": _Read.page,
    "BatchGetItem": _Read.batch,
    "TransactGetItems": _Read.transaction,
}


def totals(records: Sequence[RequestRecord]) -> tuple[Units, Units]:
    """Write units and read units of these requests, each by ``table`` and index."""
    return _sum(record.wcu for record in records), _sum(record.rcu for record in records)


def written(operation: str, request: Mapping[str, Any]) -> list[Address]:
    """The addresses of the items in the chat table that a request writes; none for reads."""
    targets = _targets(operation, request, CHAT_TABLE)
    return [target.address for target in targets if not target.only_checked]


def _targets(operation: str, request: Mapping[str, Any], schema: TableSchema) -> list[_Target]:
    """The items that a request writes; none for reads and table management."""
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            return [_target(request, schema)]
        case "BatchWriteItem":
            return _batch_targets(request["RequestItems"], schema)
        case "TransactWriteItems":
            return [
                _target(part, schema)._replace(only_checked=action == "ConditionCheck")
                for member in request["TransactItems"]
                for action, part in member.items()
            ]
        case _:
            return []


def _target(part: Mapping[str, Any], schema: TableSchema) -> _Target:
    item = part.get("Item")
    return _Target(address(part["TableName"], part["Key"] if item is None else item, schema), item)


def _batch_targets(requests: Mapping[str, Any], schema: TableSchema) -> list[_Target]:
    return [
        _target({"TableName": table, **part}, schema)
        for table, writes in requests.items()
        for write in writes
        for part in write.values()
    ]


def _keys_read(request: Mapping[str, Any]) -> int:
    tables = request.get("RequestItems") or {}
    return sum(len(part["Keys"]) for part in tables.values()) or len(
        request.get("TransactItems") or [None]
    )


def _shows_less(request: Mapping[str, Any]) -> bool:
    """True if the response to a Query or Scan may hold less than was read."""
    return (
        "ProjectionExpression" in request
        or "FilterExpression" in request
        or request.get("Select") == "COUNT"
    )


def _condition_failed(answer: Mapping[str, Any]) -> bool:
    code = answer.get("Error", {}).get("Code")
    reasons = answer.get("CancellationReasons") or []
    return code == "ConditionalCheckFailedException" or any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in reasons
    )


def _sum(units: Iterable[Units]) -> Units:
    total: Units = {}
    for each in units:
        for place, spent in each.items():
            total[place] = total.get(place, 0.0) + spent
    return total
