"""Running the catalogue: every method once in each of its cases, its requests held to its word.

What is counted are API requests and the capacity that DynamoDB would charge, computed from item
sizes. What is wrong is told per case: more requests than the budget, a Scan, a filter, an index
or an operation that the method does not declare, a read that finds nothing where a scenario has put
something, or something where it said that there is nothing: such a case measures another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from dynamo_chat.cases.all import SCENARIOS
from dynamo_chat.cases.stage import Case, Scenario, Scenarios, Stage
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.store import ChatStore, StoreFactory
from dynamo_chat.testing.clock import FakeClock
from dynamo_chat.testing.hook import ClientHook, Handler
from dynamo_chat.testing.meter import RequestMeter, RequestRecord
from dynamo_chat.testing.strict import StrictHook

TABLE = "table"

_READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"})
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What one call took."""

    label: str
    requests: int
    budget: int
    has_own_budget: bool
    """Its budget comes from the pattern's formula, not from its plain number."""
    wcu: float
    rcu: float
    operations: tuple[str, ...]
    """In the order in which they were sent."""
    places: frozenset[str]
    """The table and indexes that were read or written."""
    items: int
    """Items in the answers to reads."""
    is_empty: bool
    """The reads are meant to find nothing."""
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "case": self.label,
            "requests": self.requests,
            "budget": self.budget,
            "wcu": self.wcu,
            "rcu": self.rcu,
            "operations": list(self.operations),
            "places": sorted(self.places),
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one method of the catalogue took, case by case."""

    entry: Entry
    cases: tuple[CaseResult, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong; empty when the method keeps its word."""
        if not self.cases:
            return ("no scenario: it was not measured",)
        return tuple(
            f"{problem} ({case.label})" if case.label else problem
            for case in self.cases
            for problem in case.problems
        )

    @property
    def typical(self) -> CaseResult | None:
        """The case with the most requests among those that the pattern's plain budget is for."""
        plain = [case for case in self.cases if not case.has_own_budget] or list(self.cases)
        return max(plain, key=lambda case: case.requests, default=None)

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
            "cases": [case.as_dict() for case in self.cases],
        }


def measure_all(
    factory: StoreFactory,
    entries: Sequence[Entry] | None = None,
    scenarios: Scenarios | None = None,
) -> Iterator[Measurement]:
    """Measure each entry of the catalogue in turn. The table must exist."""
    known = SCENARIOS if scenarios is None else scenarios
    with _measured_stage(factory) as (stage, instruments):
        for entry in catalogue() if entries is None else entries:
            scenario = known.get(entry.method)
            cases = () if scenario is None else _play(entry, scenario, stage, instruments)
            yield Measurement(entry, tuple(cases))


def _play(
    entry: Entry, scenario: Scenario, stage: Stage, instruments: _Instruments
) -> Iterator[CaseResult]:
    for case in scenario(stage):
        stage.later()
        instruments.reset()
        case.call()
        yield _result(entry, case, instruments)


class FilterWatch(ClientHook):
    """Notes every request with a FilterExpression."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.filtered = 0

    def handlers(self) -> dict[str, Handler]:
        """The request as the caller gave it."""
        return {"before-parameter-build.dynamodb": self._look_at}

    def _look_at(self, params: Mapping[str, Any], **_: Any) -> None:
        self.filtered += "FilterExpression" in params or "QueryFilter" in params


class _Instruments:
    """A meter and a watch on every client of a stage."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._meters: list[RequestMeter] = []
        self._watches: list[FilterWatch] = []

    def attach(self, store: ChatStore) -> ChatStore:
        client = store.connection.client
        # Scans and filters are told as problems of the method; the rest is an error at once.
        self._stack.enter_context(StrictHook(client, allow_scan=True, allow_filter=True))
        self._meters.append(self._stack.enter_context(RequestMeter(client)))
        self._watches.append(self._stack.enter_context(FilterWatch(client)))
        return store

    def reset(self) -> None:
        for meter in self._meters:
            meter.reset()
        for watch in self._watches:
            watch.filtered = 0

    @property
    def requests(self) -> list[RequestRecord]:
        return [record for meter in self._meters for record in meter.requests]

    @property
    def filtered(self) -> int:
        return sum(watch.filtered for watch in self._watches)


@contextmanager
def _measured_stage(factory: StoreFactory) -> Iterator[tuple[Stage, _Instruments]]:
    """A stage whose stores are all measured."""
    clock = FakeClock()
    with ExitStack() as stack:
        instruments = _Instruments(stack)

        def new_store(table_name: str | None) -> ChatStore:
            return instruments.attach(factory(table_name, clock=clock))

        stage = Stage(new_store, clock)
        stack.callback(stage.close)
        yield stage, instruments


def _result(entry: Entry, case: Case, instruments: _Instruments) -> CaseResult:
    records = instruments.requests
    budget = entry.budget if case.budget is None else case.budget
    return CaseResult(
        label=case.label,
        requests=len(records),
        budget=budget,
        has_own_budget=case.budget is not None,
        wcu=sum(sum(record.wcu.values()) for record in records),
        rcu=sum(sum(record.rcu.values()) for record in records),
        operations=tuple(record.operation for record in records),
        places=frozenset(place for record in records for place in _place(record)),
        items=sum(record.items for record in records),
        is_empty=case.is_empty,
        problems=tuple(_problems(entry, case, records, instruments.filtered)),
    )


def _problems(
    entry: Entry, case: Case, records: Sequence[RequestRecord], filtered: int
) -> Iterator[str]:
    budget = entry.budget if case.budget is None else case.budget
    if len(records) > budget:
        yield f"{len(records)} requests, over the budget of {budget}"
    if filtered:
        yield f"{filtered} requests with a filter"
    used = {record.operation for record in records}
    if "Scan" in used:
        yield "a Scan"
    places = {place for record in records for place in _place(record)}
    for place in sorted(places - entry.places):
        yield f"{place} is used, but not declared"
    if case.budget is None:
        # What comes on top in special circumstances, such as a retry, needs no declaration.
        for operation in sorted(used - entry.operations - {"Scan"}):
            yield f"{operation} is not declared"
    yield from _misses(case, records)


def _misses(case: Case, records: Sequence[RequestRecord]) -> Iterator[str]:
    """A call that only reads is cheap when it finds nothing, and says nothing about its cost."""
    found = sum(record.items for record in records)
    if case.is_empty and found:
        yield f"{found} items were read, but the case is said to find nothing"
    only_reads = bool(records) and all(record.operation in _READS for record in records)
    if only_reads and not found and not case.is_empty:
        yield "nothing was read, but the case is said to find something"


def _place(record: RequestRecord) -> Iterator[str]:
    """Where a request reads, or what it writes; nothing for the management of tables."""
    if record.operation in _READS:
        yield record.index or TABLE
    elif record.operation in _WRITES:
        yield TABLE
