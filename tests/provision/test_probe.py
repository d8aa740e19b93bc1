"""The probe works where the store works, and names what is missing where it does not."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from dynamo_chat import (
    ChatStore,
    ConnectionOptions,
    TableNotFound,
    Unreachable,
)
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.client import new_session
from dynamo_chat.core.layout import GSI1, GSI2, PLACES, TTL
from dynamo_chat.provision import probe as probing
from dynamo_chat.provision.probe import LIFETIME, ProbeStep
from dynamo_chat.testing import (
    Engine,
    ErrorAnswer,
    Fault,
    FaultInjector,
    RequestMeter,
    Throttled,
    Unreachable as Cut,
)

pytestmark = pytest.mark.once

STEPS = [
    ("PutItem", "table"),
    ("UpdateItem", "table"),
    ("ConditionCheckItem", "table"),
    ("GetItem", "table"),
    ("BatchGetItem", "table"),
    ("Query", "table"),
    ("Query", "GSI1"),
    ("Query", "GSI2"),
    ("BatchWriteItem", "table"),
    ("DeleteItem", "table"),
]


@dataclass(frozen=True)
class Denied(Fault):
    """A policy that lacks an action on the table or on an index."""

    operation: str
    index: str | None = None

    def strikes(self, operation: str) -> bool:
        return operation == self.operation

    def happen(self, attempt: Any) -> AWSResponse:
        if attempt.body.get("IndexName") != self.index:
            forwarded: AWSResponse = attempt.forward()
            return forwarded
        message = f"User: u is not authorized to perform: dynamodb:{self.operation} on resource: r"
        return ErrorAnswer("AccessDeniedException", message).happen(attempt)


def named(steps: list[ProbeStep]) -> list[tuple[str, str]]:
    return [(step.action.removeprefix("dynamodb:"), step.place) for step in steps]


def broken(steps: list[ProbeStep]) -> dict[tuple[str, str], str]:
    pairs = zip(named(steps), steps, strict=True)
    return {name: step.problem for name, step in pairs if step.problem}


def items(store: ChatStore) -> list[Any]:
    """Everything in the table, by a client that no hook looks at."""
    connection = store.connection
    client = new_session().create_client(
        "dynamodb", region_name=connection.region, endpoint_url=connection.endpoint_url
    )
    found: list[Any] = client.scan(TableName=connection.table_name, ConsistentRead=True)["Items"]
    return found


@pytest.mark.engine
def test_everything_works_and_nothing_stays(chat_store: ChatStore) -> None:
    with RequestMeter(chat_store.connection.client) as meter:
        steps = chat_store.table.probe()
    assert named(steps) == STEPS
    assert broken(steps) == {}
    assert meter.count == 10
    assert items(chat_store) == []
    assert str(steps[0]) == "dynamodb:PutItem on table: works"


@pytest.mark.engine
def test_it_tries_whatever_the_store_does(chat_store: ChatStore) -> None:
    """A new kind of request of the store must be tried here, too."""
    with RequestMeter(chat_store.connection.client) as meter:
        chat_store.table.probe()
    tried = {request.operation for request in meter.requests}
    used = {
        operation
        for entry in catalogue()
        if entry.domain != "provision"
        for operation in entry.operations
    }
    assert used <= tried


@pytest.mark.parametrize(
    ("operation", "index"),
    [
        ("UpdateItem", None),
        ("GetItem", None),
        ("BatchGetItem", None),
        ("Query", None),
        ("Query", "GSI1"),
        ("Query", "GSI2"),
        ("BatchWriteItem", None),
        ("DeleteItem", None),
    ],
)
def test_a_missing_permission_is_named(
    chat_store: ChatStore, operation: str, index: str | None
) -> None:
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(Denied(operation, index), times=None, every_attempt=True)
        found = broken(chat_store.table.probe())
    where = f"its index {index}" if index else "the table"
    problem = found.pop((operation, index or "table"))
    assert problem == f"the role's policy must allow dynamodb:{operation} on {where}"
    if operation == "UpdateItem":  # which the check would need beside it
        assert "not tried" in found.pop(("ConditionCheckItem", "table"))
    assert found == {}


def test_a_check_that_is_not_allowed_is_named(chat_store: ChatStore) -> None:
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(Denied("TransactWriteItems"), times=None)
        found = broken(chat_store.table.probe())
    assert found == {
        ("ConditionCheckItem", "table"): (
            "the role's policy must allow dynamodb:ConditionCheckItem on the table"
        )
    }


def test_without_the_right_to_put_the_rest_is_still_tried(chat_store: ChatStore) -> None:
    """No item, so no index can show one: that is no fault of the index, and nothing waits."""
    started = time.monotonic()
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(Denied("PutItem"))
        steps = chat_store.table.probe(index_seconds=60)
    assert list(broken(steps)) == [("PutItem", "table")]
    assert named(steps) == STEPS
    assert items(chat_store) == []
    assert time.monotonic() - started < 30


def test_what_cannot_be_deleted_expires(chat_store: ChatStore) -> None:
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(Denied("DeleteItem"), times=None)
        before = datetime.now(UTC).timestamp()
        chat_store.table.probe()
    (item,) = items(chat_store)
    assert 0 <= int(item[TTL]["N"]) - before - LIFETIME.total_seconds() < 60
    assert {place.pk for place in PLACES} <= set(item)


def test_throttling_is_told(dynamo_chat_engine: Engine, chat_store: ChatStore) -> None:
    store = once(dynamo_chat_engine, chat_store)
    with FaultInjector(store.connection.client) as faults:
        faults.plan(Throttled(), operation="GetItem", times=None, every_attempt=True)
        found = broken(store.table.probe())
    assert list(found) == [("GetItem", "table")]
    assert "throttled" in found["GetItem", "table"]


def test_an_index_that_lags_is_waited_for(
    chat_store: ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_POLL_SECONDS", 0.01)
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(_Empty("GSI1"), times=3)  # the query on the table is the first
        assert broken(chat_store.table.probe()) == {}
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(_Empty("GSI2"), times=None)
        found = broken(chat_store.table.probe(index_seconds=0.05))
    assert found == {("Query", "GSI2"): "the item did not appear within 0.05 seconds"}


@dataclass(frozen=True)
class _Empty(Fault):
    """An index that does not have the item yet."""

    index: str

    def strikes(self, operation: str) -> bool:
        return operation == "Query"

    def happen(self, attempt: Any) -> AWSResponse:
        body = attempt.body
        if body.get("IndexName") == self.index:
            body["ExpressionAttributeValues"][":pk"] = {"S": "nothing"}
        answer: AWSResponse = attempt.forward(body)
        return answer


@pytest.fixture
def bare_table(dynamo_chat_engine: Engine) -> Iterator[ChatStore]:
    """A table of the right keys with GSI1 only."""
    engine = dynamo_chat_engine
    name = f"dynamo-chat-bare-{uuid.uuid4()}"
    client = engine.client()
    places = (PLACES[0], GSI1)
    keys = {
        place: [
            {"AttributeName": place.pk, "KeyType": "HASH"},
            {"AttributeName": place.sk, "KeyType": "RANGE"},
        ]
        for place in places
    }
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=keys[PLACES[0]],
        GlobalSecondaryIndexes=[
            {
                "IndexName": GSI1.index,
                "KeySchema": keys[GSI1],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        AttributeDefinitions=[
            {"AttributeName": each, "AttributeType": "S"}
            for place in places
            for each in (place.pk, place.sk)
        ],
    )
    yield ChatStore(name, region=engine.region, endpoint_url=engine.endpoint_url)
    client.delete_table(TableName=name)


@pytest.mark.engine
def test_a_missing_index_is_named(bare_table: ChatStore) -> None:
    found = broken(bare_table.table.probe())
    assert found == {("Query", GSI2.index): "index GSI2 is missing, or still being built"}
    assert items(bare_table) == []


@pytest.mark.engine
def test_a_missing_table_is_an_error(dynamo_chat_engine: Engine) -> None:
    engine = dynamo_chat_engine
    store = ChatStore("not-there", region=engine.region, endpoint_url=engine.endpoint_url)
    with pytest.raises(TableNotFound):
        store.table.probe()


def once(engine: Engine, store: ChatStore) -> ChatStore:
    """The same table through a store that sends every request once."""
    return ChatStore(
        store.connection.table_name,
        region=engine.region,
        endpoint_url=engine.endpoint_url,
        options=ConnectionOptions(max_attempts=1),
    )


@pytest.mark.parametrize("at", range(1, 11))
def test_what_hinders_everything_is_raised_and_the_item_goes(
    dynamo_chat_engine: Engine, chat_store: ChatStore, at: int
) -> None:
    store = once(dynamo_chat_engine, chat_store)
    with FaultInjector(store.connection.client) as faults:
        faults.plan(Cut(), at=at)
        with pytest.raises(Unreachable):
            store.table.probe()
    # Only the very deletion can leave it; then it expires.
    assert len(items(chat_store)) == (at == 10)


def test_other_refusals_are_told_in_dynamodbs_words(chat_store: ChatStore) -> None:
    with FaultInjector(chat_store.connection.client) as faults:
        faults.plan(ErrorAnswer("ValidationException", "no"), operation="PutItem")
        found = broken(chat_store.table.probe())
    assert "ValidationException" in found["PutItem", "table"]
