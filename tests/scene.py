"""What tests play on: a table of its own, a clock that is moved, and any number of stores on both.

What several domains need beside it is here too: faults, races, and what happens between two
requests. What one domain makes is in its own `scenes`.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from datetime import timedelta
from functools import cache, cached_property
from itertools import chain
from typing import Any, Self

from dynamo_chat import ChatStore, ConnectionOptions, Page, RequestEvent, TableDefinition
from dynamo_chat.core.clock import Clock
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.layout import KIND
from dynamo_chat.testing import (
    DropAnswer,
    FakeClock,
    Fault,
    FaultInjector,
    Kill,
    Killed,
    RequestMeter,
    StrictHook,
)
from dynamo_chat.testing.engine import DEFAULT_REGION, EmbeddedEngine, Engine
from tests.on_loop import LoopStore

SECOND = timedelta(seconds=1)
DEFINITION = TableDefinition(deletion_protection=False, point_in_time_recovery=False)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
THREADS = 16
_BATCH = 25
ON_LOOP = os.environ.get("DYNAMO_CHAT_TEST_STORE") == "async"
"""True if every scene's stores are asynchronous."""

Item = dict[str, Any]
Sender = ChatStore | Connection
"""Whose requests are looked at."""


@contextmanager
def own_engine(region: str = DEFAULT_REGION) -> Iterator[EmbeddedEngine]:
    """The embedded engine, for tables with names that others use, too: they are gone afterwards.

    Left to itself, an engine inside of another, as of the session's, keeps them as long as that.
    """
    with EmbeddedEngine(region=region) as engine:
        client = engine.client()
        tables = client.get_paginator("list_tables")

        def names() -> set[str]:
            return {name for page in tables.paginate() for name in page["TableNames"]}

        before = names()
        try:
            yield engine
        finally:
            for name in names() - before:
                client.update_table(TableName=name, DeletionProtectionEnabled=False)
                client.delete_table(TableName=name)


class Scene:
    """A table on an engine, with a clock that is moved.

    Requests that DynamoDB would reject fail the test, whichever of its stores sent them.
    """

    def __init__(
        self, engine: Engine, clock: FakeClock | None = None, *, on_loop: bool = ON_LOOP
    ) -> None:
        self.engine = engine
        self.kind = LoopStore if on_loop else ChatStore
        self.table = f"scene-{uuid.uuid4()}"
        self.clock = FakeClock() if clock is None else clock
        self.client = _onlooker(engine)
        """A client that no hook looks at."""
        self._strict: list[StrictHook] = []
        self._stack = ExitStack()
        self._spare: list[ChatStore] = []

    def __enter__(self) -> Self:
        first = self._make(self.clock)
        if isinstance(self.engine, EmbeddedEngine):  # at once, and no request of the store's own
            self.client.create_table(**DEFINITION.create_request(self.table))
        else:
            first.table.create(DEFINITION)
        self._spare = [first]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.client.delete_table(TableName=self.table)
        self.check_requests()

    def check_requests(self) -> None:
        """Raise the first request that DynamoDB would have rejected."""
        for strict in self._strict:
            if strict.violations:
                raise strict.violations[0]

    # -- stores -----------------------------------------------------------------------------------

    @cached_property
    def store(self) -> ChatStore:
        """The store that is the same throughout the test."""
        return self.new_store()

    def new_store(self, clock: Clock | None = None, **options: Any) -> ChatStore:
        """Another server's store on the table: it remembers nothing of what the others did."""
        if clock is None and not options and self._spare:
            return self._spare.pop()
        return self._make(clock or self.clock, **options)

    def interrupted(
        self, operation: str | None, at: int, meanwhile: Callable[[], object]
    ) -> ChatStore:
        """A store that is held up while something else happens.

        `meanwhile` runs after the answer to the `at`-th request of `operation`, or of any.
        """
        seen: list[RequestEvent] = []

        def told(event: RequestEvent) -> None:
            if operation in (None, event.operation):
                seen.append(event)
                if len(seen) == at:
                    meanwhile()

        return self.new_store(on_request=told)

    def fragile(self) -> Self:
        """The same scene through a store that sends every request once only."""
        other = copy(self)
        other.store = self.new_store(options=ConnectionOptions(max_attempts=1))
        return other

    def _make(self, clock: Clock, **options: Any) -> ChatStore:
        made = self.kind(
            self.table,
            region=self.engine.region,
            endpoint_url=self.engine.endpoint_url,
            clock=clock,
            **options,
        )
        if isinstance(made, LoopStore):
            self._stack.callback(made.close)
        self._strict.append(self._stack.enter_context(StrictHook(made.connection.client)))
        return made

    # -- the table, past the stores ---------------------------------------------------------------

    def items(self) -> list[Item]:
        """Everything in the table, expired or not, by key."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.table, ConsistentRead=True
        )
        return sorted((item for page in pages for item in page["Items"]), key=address)

    def kinds(self) -> Counter[str]:
        """How many items there are of each kind."""
        return Counter(item[KIND]["S"] for item in self.items())

    def only(self, kind: str) -> Item:
        """The one item of this kind."""
        (found,) = (item for item in self.items() if item[KIND]["S"] == kind)
        return found

    def put(self, *items: Item) -> None:
        """Write items."""
        self._write([{"PutRequest": {"Item": item}} for item in items])

    def delete(self, *items: Item) -> None:
        """Delete the items with these ones' keys."""
        self._write([{"DeleteRequest": {"Key": key_of(item)}} for item in items])

    def restore(self, items: Sequence[Item], *, there: Sequence[Item] | None = None) -> None:
        """Make the table what it was, from what is `there` if that is known."""
        wanted = {address(item): item for item in items}
        now = {address(item): item for item in (self.items() if there is None else there)}
        self.delete(*(item for at, item in now.items() if at not in wanted))
        self.put(*(item for at, item in wanted.items() if item != now.get(at)))

    def _write(self, writes: list[Item]) -> None:
        for start in range(0, len(writes), _BATCH):
            left = {self.table: writes[start : start + _BATCH]}
            while left:
                left = self.client.batch_write_item(RequestItems=left).get("UnprocessedItems")


@cache
def _onlooker(engine: Engine) -> Any:
    """One for all scenes of an engine: making a client takes longer than most tests."""
    return engine.client(parameter_validation=False)


def address(item: Item) -> tuple[str, str]:
    """The key of an item, as two texts."""
    return item["PK"]["S"], item["SK"]["S"]


def key_of(item: Item) -> Item:
    """The key of an item, as a request names it."""
    return {name: item[name] for name in ("PK", "SK")}


# -- requests -----------------------------------------------------------------------------------


@contextmanager
def requests(store: ChatStore, expected: int) -> Iterator[RequestMeter]:
    """Assert how many requests the block makes."""
    with RequestMeter(store.connection.client) as meter:
        yield meter
    assert meter.count == expected, [record.operation for record in meter.requests]


@contextmanager
def before_each_request(
    sender: Sender, act: Callable[[list[str], Any], object]
) -> Iterator[list[str]]:
    """Do something just before each request is sent: with the operations up to it, and its body."""
    seen: list[str] = []

    def meddle(model: Any, params: Any, **_: Any) -> None:
        seen.append(model.name)
        act(seen, params["body"])

    connection = sender.connection if isinstance(sender, ChatStore) else sender
    events = connection.client.meta.events
    events.register_first("before-call.dynamodb", meddle)
    try:
        yield seen
    finally:
        events.unregister("before-call.dynamodb", meddle)


@contextmanager
def just_before(sender: Sender, operation: str, action: Callable[[], object]) -> Iterator[None]:
    """Let something happen just before the next request of this kind: a race, lost."""
    happened: list[object] = []

    def act(seen: list[str], _: Any) -> None:
        if seen[-1] == operation and not happened:
            happened.append(True)
            action()

    with before_each_request(sender, act):
        yield
    assert happened


@contextmanager
def at_request(sender: Sender, number: int, action: Callable[[], object]) -> Iterator[list[str]]:
    """Let something happen just before the request of this number, from 1; all operations."""

    def act(seen: list[str], _: Any) -> None:
        if len(seen) == number:
            action()

    with before_each_request(sender, act) as seen:
        yield seen
    assert len(seen) >= number


# -- what goes wrong ----------------------------------------------------------------------------


@contextmanager
def faults(store: ChatStore) -> Iterator[FaultInjector]:
    """Faults in the store's requests."""
    with FaultInjector(store.connection.client) as injector:
        yield injector


def each_fault(requests: int) -> Iterator[tuple[int, Fault]]:
    """Every way in which an operation of so many requests can be cut short.

    Death before the next request leaves the table as death after this one does. A lost answer is
    followed by botocore's second try.
    """
    numbers = range(1, requests + 1)
    dead = ((number, Kill(after_sending=True)) for number in numbers)
    dropped = ((number, DropAnswer()) for number in numbers)
    return chain([(1, Kill())], dead, dropped)


def dead_after(number: int) -> tuple[int, Fault]:
    """The process dies when this request has been done."""
    return number, Kill(after_sending=True)


def cut_short(scene: Scene, number: int, fault: Fault, call: Callable[[], object]) -> None:
    """Run `call`, which meets `fault` at this request; whatever it raises is lost with it."""
    with faults(scene.store) as injector:
        injector.plan(fault, at=number)
        with suppress(Killed, DynamoChatError):
            call()
        assert injector.injected, f"the operation has no request number {number}"


def race(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the calls return, or the package's errors they raise, run by 16 threads at once."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except DynamoChatError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, calls))


# -- lists --------------------------------------------------------------------------------------


def drained(ask: Any, **options: Any) -> list[Page[Any]]:
    """All pages of a list, by following its cursors."""
    pages = [ask(**options)]
    while pages[-1].cursor is not None:
        pages.append(ask(cursor=pages[-1].cursor, **options))
    return pages
