"""What the tests of the chat domain share."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Self

from dynamo_chat import ChatStore, Message, NewMessage, Page, TableDefinition
from dynamo_chat.core.clock import Clock
from dynamo_chat.testing import FakeClock, FaultInjector, RequestMeter, StrictHook
from dynamo_chat.testing.engine import Engine

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

Item = dict[str, Any]


class World:
    """A table on an engine, with a clock that is moved."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.table = f"chat-{uuid.uuid4()}"
        self.clock = FakeClock()
        self._strict: list[StrictHook] = []
        self._stack = ExitStack()
        self._client: Any = None
        self._spare: list[ChatStore] = []

    def __enter__(self) -> Self:
        first = self._make(self.clock)
        first.table.create(TableDefinition(deletion_protection=False, point_in_time_recovery=False))
        self._spare = [first]
        self._client = self.engine.client(parameter_validation=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._client.delete_table(TableName=self.table)
        self._client.close()
        for strict in self._strict:
            if strict.violations:
                raise strict.violations[0]

    def store(self, clock: Clock | None = None, **options: Any) -> ChatStore:
        """Another store on the table: it remembers nothing of what the others did."""
        if clock is None and not options and self._spare:
            return self._spare.pop()
        return self._make(clock or self.clock, **options)

    def _make(self, clock: Clock, **options: Any) -> ChatStore:
        made = ChatStore(
            self.table,
            region=self.engine.region,
            endpoint_url=self.engine.endpoint_url,
            clock=clock,
            **options,
        )
        self._strict.append(self._stack.enter_context(StrictHook(made.connection.client)))
        return made

    def items(self) -> list[Item]:
        """Everything in the table, expired or not, by key."""
        found: list[Item] = []
        start: dict[str, Any] = {}
        while True:
            answer = self._client.scan(TableName=self.table, ConsistentRead=True, **start)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def put(self, item: Item) -> None:
        """Write an item past the store."""
        self._client.put_item(TableName=self.table, Item=item)

    def restore(self, items: list[Item]) -> None:
        """Make the table what it was."""
        there = self.items()
        kept = [(item["PK"], item["SK"]) for item in items]
        for item in there:
            if (item["PK"], item["SK"]) not in kept:
                key = {"PK": item["PK"], "SK": item["SK"]}
                self._client.delete_item(TableName=self.table, Key=key)
        for item in items:
            if item not in there:
                self.put(item)

    def kinds(self) -> list[str]:
        """The kinds of everything in the table, by key."""
        return [item["kind"]["S"] for item in self.items()]

    def only(self, kind: str) -> Item:
        """The one item of this kind."""
        (found,) = (item for item in self.items() if item["kind"]["S"] == kind)
        return found


@contextmanager
def requests(store: ChatStore, expected: int) -> Iterator[RequestMeter]:
    """Assert how many requests the block makes."""
    with RequestMeter(store.connection.client) as meter:
        yield meter
    assert meter.count == expected, [record.operation for record in meter.requests]


@contextmanager
def faults(store: ChatStore) -> Iterator[FaultInjector]:
    """Faults in the store's requests."""
    with FaultInjector(store.connection.client) as injector:
        yield injector


@contextmanager
def just_before(store: ChatStore, operation: str, action: Callable[[], object]) -> Iterator[None]:
    """Let something happen just before the store's next request of this kind: a race, lost."""
    happened: list[object] = []

    def meddle(**_: Any) -> None:
        if not happened:
            happened.append(True)
            action()

    events = store.connection.client.meta.events
    event = f"before-call.dynamodb.{operation}"
    events.register_first(event, meddle)
    try:
        yield
    finally:
        events.unregister(event, meddle)
    assert happened


@contextmanager
def at_request(store: ChatStore, number: int, action: Callable[[], object]) -> Iterator[None]:
    """Let something happen just before the store's request of this number, from 1."""
    seen = 0

    def meddle(**_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            action()

    events = store.connection.client.meta.events
    event = "before-call.dynamodb"
    events.register_first(event, meddle)
    try:
        yield
    finally:
        events.unregister(event, meddle)
    assert seen >= number


def user(content: str = "hello", **fields: Any) -> NewMessage:
    """A message of the user's."""
    return NewMessage(role="user", content=content, **fields)


def assistant(content: str = "hi", **fields: Any) -> NewMessage:
    """A message of the assistant's."""
    return NewMessage(role="assistant", content=content, **fields)


def say(store: ChatStore, conversation_id: str, *contents: str, **fields: Any) -> list[Message]:
    """Append user messages, one by one."""
    return [store.messages.append(conversation_id, user(each, **fields)) for each in contents]


def said(store: ChatStore, conversation_id: str) -> list[str]:
    """The contents of a conversation, in order."""
    page = store.messages.list(conversation_id, page_size=1_000, consistent=True)
    assert page.cursor is None
    return [message.content for message in page]


def drained(ask: Any, **options: Any) -> list[Page[Any]]:
    """All pages of a list, by following its cursors."""
    pages = [ask(**options)]
    while pages[-1].cursor is not None:
        pages.append(ask(cursor=pages[-1].cursor, **options))
    return pages
