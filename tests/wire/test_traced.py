"""Each HTTP client makes the same spans and metrics, which hold nothing of what is stored."""

from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from tests.traced import Traced, attributes, is_error
from tests.wire.conftest import GET, KEY, PUT, connect, outcome
from tests.wire.scripted import Action, answer, dropped, error, serving, silent
from tests.wire.test_same_behaviour import (
    CANCELLED,
    CASES,
    CLASH,
    DAMAGED,
    FOUND,
    OLD,
    SERVER_ERROR,
    THROTTLED,
    TRANSACTION,
)

pytestmark = pytest.mark.once

QUERY: tuple[str, dict[str, Any]] = (
    "Query",
    {"TableName": "chat", "IndexName": "GSI1", "Limit": 20, "ScanIndexForward": False},
)
BATCH: tuple[str, dict[str, Any]] = (
    "BatchGetItem",
    {"RequestItems": {"chat": {"Keys": [KEY, {**KEY, "SK": {"S": "t"}}]}}},
)
UNITS = {"TableName": "chat", "CapacityUnits": 1.5}


def traced(way: str, request: tuple[str, dict[str, Any]], *script: Action) -> Traced:
    """What is recorded of one call on a connection that was used before."""
    watched = Traced()
    with serving(FOUND, *script) as server:
        connection = connect(server.url, way, telemetry=watched.telemetry)
        connection.call(*GET)
        watched.exporter.clear()
        outcome(connection, *request)
        assert not server.script
    return watched


def test_a_request(way: str) -> None:
    """Its operation, table and index, where it went, what came, what it cost; nothing else."""
    watched = traced(way, QUERY, answer({"Items": [], "Count": 0, "ConsumedCapacity": UNITS}))
    (span,) = watched.spans
    assert (span.name, span.kind, is_error(span)) == ("Query chat", SpanKind.CLIENT, False)
    found = attributes(span)
    assert found.pop("server.port") > 0
    assert found.pop("dynamo_chat.answer_bytes") > 50
    assert found == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "Query",
        "db.collection.name": "chat",
        "server.address": "127.0.0.1",
        "cloud.region": "eu-west-1",
        "aws.dynamodb.table_names": ("chat",),
        "aws.dynamodb.index_name": "GSI1",
        "aws.dynamodb.limit": 20,
        "aws.dynamodb.scan_forward": False,
        "aws.dynamodb.count": 0,
        "aws.dynamodb.consumed_capacity": ('{"TableName": "chat", "CapacityUnits": 1.5}',),
        "aws.request_id": "R-1",
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "dynamo_chat"
    assert (span.events, span.links) == ((), ())


def test_the_first_request(way: str) -> None:
    """It knows its server, too, although the client is created meanwhile."""
    watched = Traced()
    with serving(FOUND) as server:
        connect(server.url, way, telemetry=watched.telemetry).call(*GET)
    (span,) = watched.spans
    (series, _) = watched.points("db.client.operation.duration")[0]
    for found in (attributes(span), series):
        assert (found["server.address"], found["server.port"]) == ("127.0.0.1", server.port)


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        (BATCH, 2),
        (("BatchWriteItem", {"RequestItems": {"chat": [{"PutRequest": {"Item": KEY}}] * 3}}), 3),
        (("TransactWriteItems", {**TRANSACTION[1], "TransactItems": [{}, {}]}), 2),
        (TRANSACTION, None),
        (GET, None),
    ],
)
def test_batches_have_a_size(request_: tuple[str, dict[str, Any]], size: int | None) -> None:
    """By the conventions, one item is no batch."""
    (span,) = traced("urllib3", request_, answer({"Responses": {}})).spans
    assert attributes(span).get("db.operation.batch.size") == size


FAILING: dict[str, tuple[tuple[str, dict[str, Any]], list[Action], dict[str, Any]]] = {
    "throttled, then found": (
        GET,
        [THROTTLED, THROTTLED, FOUND],
        {"http.request.resend_count": 2, "dynamo_chat.throttles": 2},
    ),
    "throttled": (
        PUT,
        [THROTTLED] * 3,
        {
            "http.request.resend_count": 2,
            "dynamo_chat.throttles": 3,
            "db.response.status_code": "ProvisionedThroughputExceededException",
            "error.type": "ProvisionedThroughputExceededException",
        },
    ),
    "server errors": (
        PUT,
        [SERVER_ERROR] * 3,
        {
            "http.request.resend_count": 2,
            "db.response.status_code": "InternalServerError",
            "error.type": "InternalServerError",
        },
    ),
    "never an answer": (
        PUT,
        [SERVER_ERROR, dropped, dropped],
        {"http.request.resend_count": 2, "error.type": "ConnectionClosedError"},
    ),
    "damaged, then found": (GET, [DAMAGED, FOUND], {"http.request.resend_count": 1}),
    "a condition that fails": (
        PUT,
        [OLD],
        {"db.response.status_code": "ConditionalCheckFailedException"},
    ),
    "a cancelled transaction": (
        TRANSACTION,
        [CANCELLED],
        {
            "db.response.status_code": "TransactionCanceledException",
            "dynamo_chat.cancellation_reasons": ("ConditionalCheckFailed", "None"),
        },
    ),
    "a clash": (
        TRANSACTION,
        [CLASH],
        {
            "db.response.status_code": "TransactionCanceledException",
            "dynamo_chat.cancellation_reasons": ("TransactionConflict",),
            "error.type": "TransactionCanceledException",
        },
    ),
    "throttled in a transaction": (
        TRANSACTION,
        [error("TransactionCanceledException", CancellationReasons=[{"Code": "ThrottlingError"}])],
        {
            "db.response.status_code": "TransactionCanceledException",
            "dynamo_chat.cancellation_reasons": ("ThrottlingError",),
            "dynamo_chat.throttles": 1,
            "error.type": "TransactionCanceledException",
        },
    ),
}
RESULTS = (
    "http.request.resend_count",
    "dynamo_chat.throttles",
    "dynamo_chat.cancellation_reasons",
    "db.response.status_code",
    "error.type",
)


@pytest.mark.parametrize("case", FAILING)
def test_what_fails(way: str, case: str) -> None:
    """One span for all attempts, with the last one's error; the metrics count the same."""
    request, script, expected = FAILING[case]
    watched = traced(way, request, *script)
    (span,) = watched.spans
    found = attributes(span)
    assert {name: found[name] for name in RESULTS if name in found} == expected
    assert is_error(span) == ("error.type" in expected)
    (series,) = (
        each
        for each, point in watched.points("db.client.operation.duration")
        if each["db.operation.name"] == request[0] and (case.endswith("found") or point.count == 1)
    )
    for name in ("error.type", "db.response.status_code"):
        assert series.get(name) == expected.get(name)
    retries, throttles = "http.request.resend_count", "dynamo_chat.throttles"
    assert watched.total("dynamo_chat.retries") == expected.get(retries, 0)
    assert watched.total("dynamo_chat.throttles") == expected.get(throttles, 0)


def test_the_metrics(way: str) -> None:
    """The duration in the conventions' buckets, and the units by read and write."""
    units = {"TableName": "chat", "CapacityUnits": 5.0}
    watched = traced(way, PUT, answer({"ConsumedCapacity": units}))
    metric = watched.instruments["db.client.operation.duration"]
    assert (metric.unit, len(metric.data.data_points)) == ("s", 2)
    for series, point in watched.points(metric.name):
        assert point.explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
        assert (point.count, 0 < point.sum < 30) == (1, True)
        assert series.pop("server.port") > 0
        assert series == {
            "db.system.name": "aws.dynamodb",
            "db.operation.name": series["db.operation.name"],
            "db.collection.name": "chat",
            "server.address": "127.0.0.1",
        }
    ((series, point),) = watched.points("dynamo_chat.consumed_capacity")
    assert (series["dynamo_chat.capacity.kind"], point.value) == ("write", 5.0)


def test_a_transaction_reports_what_it_read_and_wrote() -> None:
    """A transaction that had succeeded before costs reads."""
    units = [{"TableName": "chat", "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}]
    with serving(answer({"ConsumedCapacity": units})) as server:
        connection = connect(server.url, "urllib3")
        connection.call(*TRANSACTION)
        event = connection.heard[-1]  # type: ignore[attr-defined]
    assert (event.capacity, event.read_units, event.write_units) == (4.0, 4.0, None)


SECRETS = ("ann@example.com", "+31 6 1234 5678", "my diary", "S-1-CRET")
SECRET_ITEM = {"PK": {"S": SECRETS[0]}, "SK": {"S": SECRETS[1]}, "body": {"S": SECRETS[2]}}


@pytest.mark.parametrize(
    "ends",
    [
        answer({"Item": SECRET_ITEM, "Attributes": SECRET_ITEM}),
        error("ConditionalCheckFailedException", message=SECRETS[0], Item=SECRET_ITEM),
        error("ValidationException", message=f"One value: {SECRETS[2]}"),
        error(SECRETS[0], message=SECRETS[2]),
        error("A" * 5_000),
        answer(SECRETS[2].encode()),
        error("X", x_amzn_RequestId=SECRETS[2]),
        error(
            "TransactionCanceledException",
            message=SECRETS[0],
            CancellationReasons=[{"Code": SECRETS[1], "Message": SECRETS[2], "Item": SECRET_ITEM}],
        ),
        dropped,
    ],
)
def test_nothing_of_a_person_is_recorded(way: str, ends: Action) -> None:
    """No key, text, address or message of the request or of the answer, whoever sent it."""
    request = {
        "TableName": "chat",
        "Item": SECRET_ITEM,
        "ConditionExpression": "#a = :a",
        "ExpressionAttributeNames": {"#a": "body"},
        "ExpressionAttributeValues": {":a": {"S": SECRETS[3]}},
        "ReturnValues": "ALL_OLD",
    }
    watched = (
        traced(way, ("PutItem", request), *[ends] * 3)
        if ends is dropped
        else _once(way, request, ends)
    )
    recorded = watched.everything()
    assert "PutItem chat" in recorded
    assert not [secret for secret in SECRETS if secret in recorded]
    assert "A" * 200 not in recorded


def _once(way: str, request: dict[str, Any], ends: Action) -> Traced:
    watched = Traced()
    with serving(*[ends] * 3) as server:
        connection = connect(server.url, way, telemetry=watched.telemetry)
        outcome(connection, "PutItem", request)
    return watched


@pytest.mark.parametrize("case", CASES)
def test_nothing_else_changes(case: str) -> None:
    """A store that is watched gives the same results, errors and try counts."""
    request, script, tries = CASES[case]
    ended = []
    for options in ({}, {"telemetry": Traced().telemetry}):
        with serving(FOUND, *script) as server:
            connection = connect(server.url, "urllib3", **options)
            connection.call(*GET)
            ended.append(outcome(connection, *request))
    assert ended[0] == ended[1]
    assert ended[0].tries == tries


def test_a_timeout(fast: str) -> None:
    """The last attempt's error, with nothing of the answer before."""
    watched = Traced()
    with serving(SERVER_ERROR, silent) as server:
        connection = connect(
            server.url, fast, telemetry=watched.telemetry, read_timeout=0.1, max_attempts=2
        )
        outcome(connection, *GET)
    (span,) = watched.spans
    found = attributes(span)
    assert (found["error.type"], is_error(span)) == ("ReadTimeoutError", True)
    assert found["http.request.resend_count"] == 1
    for name in ("db.response.status_code", "aws.request_id", "dynamo_chat.answer_bytes"):
        assert name not in found
