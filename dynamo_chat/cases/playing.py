"""Run cases, meter each call, and check it against what its method declares.

Metered are API requests and the capacity that DynamoDB would charge, computed from item sizes.
Problems are reported per case: more requests than the budget, a Scan, a filter, an undeclared index
or operation, or a read that unexpectedly finds nothing, or something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Case, Scenario, Stage
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.store import ChatStore, StoreFactory
from dynamo_chat.testing.clock import FakeClock
from dynamo_chat.testing.hook import ClientHook, Handler
from dynamo_chat.testing.meter import RequestMeter, RequestRecord, written
from dynamo_chat.testing.probe import Address
from dynamo_chat.testing.strict import StrictHook

TABLE = "table"
LONG_AGO: Final = timedelta(days=3_650)
"""Cases run in the past, so that none ends or expires an existing item of the table."""

_DELETED_AT_ONCE = 25
_READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"})
_PLAIN_READS = _READS - {"TransactGetItems"}
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})


@dataclass(frozen=True, slots=True)
class Taken:
    """The result and the cost of one call."""

    given: Any
    records: tuple[RequestRecord, ...]
    """Its requests, in the order in which they were sent."""
    filtered: int
    """How many requests had a filter."""
    kinds: frozenset[str]
    """The kinds of the items that were read or written."""
    late: int
    """How many requests read what may be the past."""

    @property
    def requests(self) -> int:
        """The number of requests."""
        return len(self.records)

    @property
    def wcu(self) -> float:
        """All write units, of the table and its indexes."""
        return sum(sum(record.wcu.values()) for record in self.records)

    @property
    def rcu(self) -> float:
        """All read units, of the table and its indexes."""
        return sum(sum(record.rcu.values()) for record in self.records)

    @property
    def operations(self) -> tuple[str, ...]:
        """In the order in which they were sent."""
        return tuple(record.operation for record in self.records)

    @property
    def places(self) -> frozenset[str]:
        """The table and indexes that were read or written."""
        return frozenset(place for record in self.records for place in _place(record))

    @property
    def items(self) -> int:
        """Items in the answers to reads."""
        return sum(record.items for record in self.records)


@dataclass(frozen=True, slots=True)
class Played:
    """One case of a method, after its run."""

    entry: Entry
    case: Case
    taken: Taken

    @property
    def told(self) -> str:
        """The call's result in one short line."""
        return self.case.tell(self.taken.given)

    @property
    def pattern(self) -> str:
        """The id of the pattern that it shows."""
        return self.case.pattern or self.entry.id

    @property
    def budget(self) -> int:
        """The most requests that the call may take."""
        return self.entry.budget if self.case.budget is None else self.case.budget

    @property
    def problems(self) -> tuple[str, ...]:
        """How the call differs from its method's declaration; empty if it doesn't."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        taken = self.taken
        if taken.requests > self.budget:
            yield f"{taken.requests} requests, over the budget of {self.budget}"
        if taken.filtered:
            yield f"{taken.filtered} requests with a filter"
        if taken.late and self.entry.reads.startswith("strong"):
            yield f"{taken.late} requests may read the past, but it is declared {self.entry.reads}"
        used = set(taken.operations)
        if self.entry.regions == "any":
            # Of two puts of one new item either may stay; other writes depend on what is there.
            for operation in sorted(used & _WRITES - {"PutItem"}):
                yield f"{operation}, but it is declared for any region"
        if "Scan" in used:
            yield "a Scan"
        for place in sorted(taken.places - self.entry.places):
            yield f"{place} is used, but not declared"
        if self.case.budget is None:
            # Additional operations of special cases, such as a retry, need no declaration.
            for operation in sorted(used - self.entry.operations - {"Scan"}):
                yield f"{operation} is not declared"
        # A read that finds nothing is cheap, so it doesn't show the method's cost.
        if self.case.is_empty and taken.items:
            yield f"{taken.items} items were read, but the case expects none"
        if used and used <= _READS and not taken.items and not self.case.is_empty:
            yield "nothing was read, but the case expects items"

    def as_dict(self) -> dict[str, Any]:
        """What was measured, as JSON values."""
        taken = self.taken
        return {
            "case": self.case.label,
            "requests": taken.requests,
            "budget": self.budget,
            "wcu": taken.wcu,
            "rcu": taken.rcu,
            "operations": list(taken.operations),
            "places": sorted(taken.places),
            "kinds": sorted(taken.kinds),
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """The cases of one method of the catalogue, after their run."""

    entry: Entry
    cases: tuple[Played, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems of all cases; empty if there are none."""
        if not self.cases:
            return ("no scenario: it was not measured",)
        if self.entry.reads.startswith("late") and not any(each.taken.late for each in self.cases):
            return (f"no request reads the past, but it is declared {self.entry.reads}",)
        return tuple(
            f"{problem} ({played.case.label})" if played.case.label else problem
            for played in self.cases
            for problem in played.problems
        )

    @property
    def typical(self) -> Taken | None:
        """The case with the most requests among those that the pattern's plain budget is for."""
        plain = [each for each in self.cases if each.case.budget is None] or self.cases
        return max((each.taken for each in plain), key=lambda taken: taken.requests, default=None)

    def as_dict(self) -> dict[str, Any]:
        """The entry with what was measured, as JSON values."""
        typical = self.typical
        return {
            **self.entry.as_dict(),
            "measured_requests": typical and typical.requests,
            "wcu": typical and typical.wcu,
            "rcu": typical and typical.rcu,
            "within_budget": not self.problems,
            "problems": list(self.problems),
            "cases": [played.as_dict() for played in self.cases],
        }


def measure_all(
    factory: StoreFactory,
    entries: Sequence[Entry] | None = None,
    known: Mapping[str, Scenario] | None = None,
) -> Iterator[Measurement]:
    """Measure each entry of the catalogue in turn. The table must exist; it is left as it was."""
    with Player(factory) as player:
        store = type(player.stage.store)
        found = scenarios(store) if known is None else known
        for entry in catalogue(store) if entries is None else entries:
            scenario = found.get(entry.method)
            played = () if scenario is None else player.play(entry, scenario)
            yield Measurement(entry, tuple(played))


class Player:
    """A stage whose stores are metered; leaving it deletes what they wrote.

    With `keeps_items`, the records of a call have the items that each request touched. Its clock
    begins `at`, by default long ago.
    """

    def __init__(
        self, factory: StoreFactory, *, keeps_items: bool = False, at: datetime | None = None
    ) -> None:
        self._factory = factory
        self._keeps_items = keeps_items
        self._hooks = ExitStack()
        self._meters: list[RequestMeter] = []
        self._watches: list[_Watch] = []
        start = datetime.now(UTC) - LONG_AGO if at is None else at
        self.stage = Stage(self._new_store, FakeClock(start))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()
        self._forget()
        self.stage.close()

    def play(
        self, entry: Entry, scenario: Scenario, *, only_shown: bool = False
    ) -> Iterator[Played]:
        """Run the cases of a method one by one, or only those for the demo."""
        for place, case in enumerate(scenario(self.stage)):
            if only_shown and place and not case.is_shown:
                return  # so the rest is never prepared
            yield Played(entry, case, self.take(case.call))

    def take(self, call: Callable[[], object]) -> Taken:
        """Call it a second later, and meter it."""
        self.stage.later()
        for meter in self._meters:
            meter.reset()
        for watch in self._watches:
            watch.filtered = watch.late = 0
            watch.kinds.clear()
        with ExitStack() as stack:
            for meter in self._meters:
                stack.enter_context(meter)
            given = call()
        records = tuple(record for meter in self._meters for record in meter.requests)
        filtered = sum(watch.filtered for watch in self._watches)
        kinds = frozenset(kind for watch in self._watches for kind in watch.kinds)
        late = sum(watch.late for watch in self._watches)
        return Taken(given, records, filtered, kinds, late)

    def _new_store(self, table_name: str | None) -> ChatStore:
        store = self._factory(table_name, clock=self.stage.clock)
        client = store.connection.client
        # Scans and filters are reported as problems of the method; the rest is an error at once.
        self._hooks.enter_context(StrictHook(client, allow_scan=True, allow_filter=True))
        self._meters.append(RequestMeter(client, keeps_items=self._keeps_items))
        self._watches.append(self._hooks.enter_context(_Watch(client)))
        return store

    def _forget(self) -> None:
        """Delete every item that the stage's stores wrote into their table."""
        connection = self.stage.store.connection
        name = connection.table_name
        addresses = {each for watch in self._watches for each in watch.written if each[0] == name}
        waiting = [
            {"DeleteRequest": {"Key": {"PK": {"S": pk}, "SK": {"S": sk}}}}
            for _, pk, sk in sorted(addresses)
        ]
        while waiting:
            batch, waiting = waiting[:_DELETED_AT_ONCE], waiting[_DELETED_AT_ONCE:]
            answer = connection.call("BatchWriteItem", {"RequestItems": {name: batch}})
            unprocessed = (answer.get("UnprocessedItems") or {}).get(name, [])
            if unprocessed:
                connection.pause(7)  # throttled: up to 0.64 seconds
                waiting += unprocessed


class _Watch(ClientHook):
    """Records requests with a filter, late reads, the keys of written items, and all kinds."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.filtered = 0
        self.late = 0
        self.written: set[Address] = set()
        self.kinds: set[str] = set()

    def handlers(self) -> dict[str, Handler]:
        """The request as the caller gave it, and the parsed response."""
        return {
            "before-parameter-build.dynamodb": self._look_at,
            "after-call.dynamodb": self._note_kinds,
        }

    def _look_at(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        self.filtered += "FilterExpression" in params or "QueryFilter" in params
        self.late += model.name in _PLAIN_READS and not _is_strong(model.name, params)
        addresses = written(model.name, params)
        self.written.update(addresses)
        self.kinds.update(kind for _, pk, sk in addresses for kind in _kinds_at(pk, sk))

    def _note_kinds(self, parsed: Mapping[str, Any], **_: Any) -> None:
        self.kinds.update(item[KIND]["S"] for item in _items(parsed) if KIND in item)


def _is_strong(operation: str, params: Mapping[str, Any]) -> bool:
    asked = params["RequestItems"].values() if operation == "BatchGetItem" else [params]
    return all(each.get("ConsistentRead") for each in asked)


def _kinds_at(pk: str, sk: str) -> Iterator[str]:
    """The kinds of entities and helpers that can have this key, except tombstones."""
    for layout in KEY_SPACE:
        if layout.table.pk.matches(pk) and layout.table.sk.matches(sk) and not layout.is_tombstone:
            yield layout.kind


def _items(parsed: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The items in the response to any read."""
    yield from parsed.get("Items", ())
    for table in parsed.get("Responses", ()):
        found = parsed["Responses"][table] if isinstance(table, str) else [table.get("Item", {})]
        yield from found
    if "Item" in parsed:
        yield parsed["Item"]


def _place(record: RequestRecord) -> Iterator[str]:
    """The table or index of a request; nothing for the management of tables."""
    if record.operation in _READS:
        yield record.index or TABLE
    elif record.operation in _WRITES:
        yield TABLE
