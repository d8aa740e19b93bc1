"""Each request is told: what it was for, how it went, what it cost."""

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, NewMessage, RequestEvent
from dynamo_chat.core.client import new_session
from dynamo_chat.core.connection import ConditionFailed, Connection
from dynamo_chat.core.errors import NotFound, Throttled, Unreachable
from dynamo_chat.core.item import Item
from dynamo_chat.core.patterns import declared_pattern, running, running_pattern
from dynamo_chat.core.transaction import Check, Put, Update, write
from dynamo_chat.testing import (
    DropAnswer,
    Kill,
    Killed,
    ServerError,
    Throttled as ThrottledAnswer,
    TransactionConflict,
)
from tests.core.things import Thing, Things, item_of, key_of
from tests.scene import Scene, faults


@pytest.fixture
def events() -> list[RequestEvent]:
    """What the hook was told."""
    return []


@pytest.fixture
def store(scene: Scene, events: list[RequestEvent], monkeypatch: pytest.MonkeyPatch) -> ChatStore:
    """A store that tells, and does not wait."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    return scene.new_store(on_request=events.append, options=ConnectionOptions(max_attempts=3))


@pytest.mark.engine
def test_every_request_is_told(store: ChatStore, events: list[RequestEvent]) -> None:
    """Its pattern, operation, table, index, time and capacity."""
    talk = store.conversations.create("u-1", title="T")
    store.messages.append(talk.conversation_id, NewMessage(role="user", content="hi"))
    store.conversations.list_by_activity("u-1")
    store.states.get(talk.conversation_id)
    told = [(each.pattern, each.operation, each.index) for each in events]
    assert told == [
        ("C1", "TransactWriteItems", None),
        ("C7", "TransactWriteItems", None),
        ("C4", "Query", "GSI2"),
        ("C19", "BatchGetItem", None),
    ]
    for event in events:
        assert event.table == store.connection.table_name
        assert 0 < event.seconds < 30
        assert event.attempts == 1
        assert event.error is None
    assert events[2].capacity is not None
    assert events[2].capacity > 0


@pytest.mark.engine
def test_management_of_the_table_is_told_too(store: ChatStore, events: list[RequestEvent]) -> None:
    """Without capacity."""
    store.table.describe()
    (event,) = events
    assert (event.pattern, event.operation, event.capacity) == ("T1", "DescribeTable", None)


def test_tries_and_errors(store: ChatStore, events: list[RequestEvent]) -> None:
    """How often it was sent, and what DynamoDB or botocore said last."""
    store.conversations.create("u-1", conversation_id="c-1")
    events.clear()

    def get(fault: Any, **plan: Any) -> RequestEvent:
        with faults(store) as injector:
            injector.plan(fault, **plan)
            with contextlib.suppress(Throttled, Unreachable, Killed):
                store.conversations.get("c-1")
        return events[-1]

    assert (get(ServerError()).attempts, events[-1].error) == (2, None)
    for fault, error in (
        (ThrottledAnswer(), "ProvisionedThroughputExceededException"),
        (ServerError(), "InternalServerError"),
        (DropAnswer(), "ReadTimeoutError"),
    ):
        event = get(fault, every_attempt=True)
        assert (event.attempts, event.error, event.pattern) == (3, error, "C2")
    killed = get(Kill())
    assert (killed.attempts, killed.error) == (1, "Killed")
    with pytest.raises(NotFound):
        store.messages.delete("c-9", "c-9~" + "0" * 26)
    assert events[-1].error == "TransactionCanceledException"


def test_a_broken_hook_breaks_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the request was made, and its answer counts."""

    def broken(_: RequestEvent) -> None:
        raise RuntimeError("the hook is broken")

    store = scene.new_store(on_request=broken)
    with caplog.at_level(logging.ERROR, logger="dynamo_chat"):
        made = store.conversations.create("u-1")
        assert store.conversations.get(made.conversation_id) == made
        with pytest.raises(NotFound):
            store.conversations.get("c-9")
    assert caplog.text.count("the on_request hook failed") == 3


def test_one_method_built_on_another(store: ChatStore, events: list[RequestEvent]) -> None:
    """The question that was asked is the pattern, not how it is answered."""
    things = Things(store._binding)
    things.everywhere_again()
    assert {event.pattern for event in events} == {"X3"}
    events.clear()
    with running("REPORT"):
        things.everywhere(page_size=1)
    assert {event.pattern for event in events} == {"REPORT"}
    assert running_pattern() == ""
    declared = declared_pattern(Things.everywhere)
    assert declared is not None
    assert (declared.id, declared.budget, declared.index) == ("X2", 4, "GSI1")
    assert declared.description == "Things of all groups, by name"
    assert declared_pattern(Things.add) is None


def test_patterns_do_not_leak_between_threads(scene: Scene) -> None:
    """Each thread's requests are told under its own question."""
    told: dict[int, set[str]] = {}

    def hook(event: RequestEvent) -> None:
        told.setdefault(threading.get_ident(), set()).add(event.pattern)

    store = scene.new_store(on_request=hook)
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(5):
            if number % 2:
                store.conversations.list_by_user("u-1")
            else:
                store.conversations.list_by_activity("u-1")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sorted(map(sorted, told.values())) == [["C3"]] * 4 + [["C4"]] * 4


# -- one write, and several ---------------------------------------------------------------------


@pytest.mark.engine
def test_a_failed_condition_carries_what_is_stored(scene: Scene, store: ChatStore) -> None:
    """By its place in the call, of one write or of a transaction."""
    connection = store.connection
    here, there, nowhere = (Thing(group="g", name=str(number)) for number in range(3))
    scene.put(item_of(here))
    scene.put(item_of(there))
    new = Item.PK.does_not_exist()
    with pytest.raises(ConditionFailed) as failed:
        write(connection, Put(item_of(here), new))
    assert failed.value.items == {0: item_of(here)}
    with pytest.raises(ConditionFailed) as failed:
        write(
            connection,
            Put(item_of(nowhere), new),
            Update(key_of(here), [Item.kind.set("x")], new),
            Check(key_of(there), new),
        )
    assert failed.value.items == {1: item_of(here), 2: item_of(there)}
    with pytest.raises(ConditionFailed) as failed:
        write(connection, Check(key_of(nowhere), Item.PK.exists()))
    assert failed.value.items == {0: None}
    assert len(scene.items()) == 2


@pytest.mark.engine
def test_a_single_write_returns_what_was_asked_for(scene: Scene, store: ChatStore) -> None:
    """The item as it is now, or as it was before."""
    thing = Thing(group="g", name="1")
    connection = store.connection
    assert write(connection, Put(item_of(thing)), returning=True) == {}
    changed = write(connection, Update(key_of(thing), [Item.kind.set("other")]), returning=True)
    assert changed == {**item_of(thing), "kind": {"S": "other"}}
    assert write(connection, Put(item_of(thing)), returning=True) == changed
    assert write(connection, Put(item_of(thing))) == {}
    assert write(connection) == {}


def test_what_a_transaction_cannot_do(store: ChatStore) -> None:
    """Return items, or take more than a hundred writes."""
    puts = [Put(item_of(Thing(group="g", name=str(number)))) for number in range(101)]
    attempts: list[Callable[[], object]] = [
        lambda: write(store.connection, *puts[:2], returning=True),
        lambda: write(store.connection, *puts),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()


def test_each_transaction_has_a_token_of_its_own(store: ChatStore) -> None:
    """And its retries the same one: they are the same change."""
    tokens: list[str] = []

    def look(params: Any, **_: Any) -> None:
        tokens.append(params["ClientRequestToken"])

    events = store.connection.client.meta.events
    events.register_first("before-parameter-build.dynamodb.TransactWriteItems", look)
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    with faults(store) as injector:
        injector.plan(TransactionConflict(), times=2, operation="TransactWriteItems")
        store.messages.append("c-1", NewMessage(role="user"))
    assert len(tokens) == 4
    assert len(set(tokens)) == 2
    assert tokens[1:] == [tokens[1]] * 3


def test_a_connection_can_be_shown() -> None:
    """Without what it knows."""
    assert repr(Connection("chat-prod", region="eu-west-1")) == (
        "Connection(table='chat-prod', region='eu-west-1')"
    )


def test_a_second_client_does_not_parse_botocore_s_files_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loader = new_session().get_component("data_loader")
    assert new_session().get_component("data_loader") is loader
    monkeypatch.setenv("AWS_DATA_PATH", "/somewhere/else")
    other = new_session().get_component("data_loader")
    assert "/somewhere/else" in other.search_paths
    assert "/somewhere/else" not in loader.search_paths
