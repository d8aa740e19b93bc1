"""The meter counts requests, and its units are those of a calculation by hand."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from dynamo_chat.core.patterns import running
from dynamo_chat.core.size import item_size
from dynamo_chat.testing import (
    DropAnswer,
    EmbeddedEngine,
    FaultInjector,
    Kill,
    Killed,
    RequestMeter,
    ServerError,
    StrictHook,
    Throttled,
    Unprocessed,
    Unreachable,
)
from dynamo_chat.testing.meter import UNANSWERED


def item(sk: str, kilobytes: float, **attributes: Any) -> dict[str, Any]:
    """An item of exactly so many KB."""
    made = {"PK": {"S": "P#"}, "SK": {"S": sk}, **attributes, "body": {"S": ""}}
    made["body"]["S"] = "x" * (int(kilobytes * 1_024) - item_size(made))
    return made


def key(sk: str) -> dict[str, Any]:
    return {"PK": {"S": "P#"}, "SK": {"S": sk}}


def in_gsi1(sort: str = "H#") -> dict[str, Any]:
    return {"GSI1PK": {"S": "G#"}, "GSI1SK": {"S": sort}}


def in_gsi2(sort: str = "J#") -> dict[str, Any]:
    return {"GSI2PK": {"S": "I#"}, "GSI2SK": {"S": sort}}


def query(table: str, partition: str = "P#", **more: Any) -> dict[str, Any]:
    values = more.pop("ExpressionAttributeValues", {})
    return {
        "TableName": table,
        "KeyConditionExpression": "PK = :p",
        "ExpressionAttributeValues": {":p": {"S": partition}, **values},
        **more,
    }


@pytest.fixture
def meter(embedded_client: Any, table: str) -> Iterator[RequestMeter]:
    with RequestMeter(embedded_client) as counting:
        yield counting


def put(meter: RequestMeter, table: str, *items: dict[str, Any]) -> None:
    """Put items, and forget what it cost."""
    for each in items:
        meter.client.put_item(TableName=table, Item=each)
    meter.reset()


# --------------------------------------------------------------------------------------- reads


def test_a_get_costs_half_a_unit_for_4_kb(meter: RequestMeter, table: str) -> None:
    """Consistent, twice that; a missing item, as much as a small one."""
    put(meter, table, item("4#", 4), item("5#", 4.01))
    for sk in ("4#", "5#", "none#"):
        for consistent in (False, True):
            meter.client.get_item(TableName=table, Key=key(sk), ConsistentRead=consistent)
    assert [record.rcu for record in meter.requests] == [
        {"table": units} for units in (0.5, 1, 1, 2, 0.5, 1)
    ]
    assert [record.items for record in meter.requests] == [1, 1, 1, 1, 0, 0]
    assert meter.rcu == 6
    assert meter.wcu == 0


def test_a_query_rounds_up_once(meter: RequestMeter, table: str) -> None:
    """Three items of 3 KB are 9 KB, which is three times 4 KB."""
    put(meter, table, *(item(f"{i}#", 3) for i in range(3)))
    meter.client.query(**query(table))
    meter.client.query(**query(table, ConsistentRead=True))
    meter.client.query(**query(table, "empty#"))
    assert [record.rcu for record in meter.requests] == [
        {"table": 1.5},
        {"table": 3},
        {"table": 0.5},
    ]
    assert [record.items for record in meter.requests] == [3, 3, 0]


def test_a_query_of_an_index_is_told_apart(meter: RequestMeter, table: str) -> None:
    """Its units are the index's."""
    put(meter, table, item("A#", 5, **in_gsi1()))
    meter.client.query(
        TableName=table,
        IndexName="GSI1",
        KeyConditionExpression="GSI1PK = :p",
        ExpressionAttributeValues={":p": {"S": "G#"}},
    )
    assert [(record.index, record.rcu) for record in meter.requests] == [("GSI1", {"GSI1": 1})]
    assert meter.totals() == ({}, {"GSI1": 1})


def test_what_is_left_out_of_the_answer_is_paid_for(meter: RequestMeter, table: str) -> None:
    """A projection, a filter or a count reads whole items."""
    put(meter, table, *(item(f"{i}#", 3) for i in range(3)))
    projected: dict[str, Any] = {
        "ProjectionExpression": "#s",
        "ExpressionAttributeNames": {"#s": "SK"},
    }
    only = {":s": {"S": "none#"}}
    meter.client.query(**query(table, **projected))
    meter.client.query(**query(table, Select="COUNT"))
    meter.client.query(**query(table, FilterExpression="body = :s", ExpressionAttributeValues=only))
    meter.client.query(**query(table, Limit=1, Select="COUNT"))
    meter.client.query(**query(table, "empty#", Select="COUNT"))
    meter.client.get_item(TableName=table, Key=key("0#"), ConsistentRead=True, **projected)
    meter.client.batch_get_item(
        RequestItems={table: {"Keys": [key("0#"), key("none#")], **projected}}
    )
    meter.client.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": key("0#"), **projected}}]
    )
    assert [record.rcu["table"] for record in meter.requests] == [1.5, 1.5, 1.5, 0.5, 0.5, 1, 1, 2]


def test_a_batch_of_reads_rounds_up_each(meter: RequestMeter, table: str) -> None:
    """Missing items too; what was left unprocessed costs nothing."""
    put(meter, table, item("A#", 1), item("B#", 5))
    keys = [key("A#"), key("B#"), key("none#")]
    meter.client.batch_get_item(RequestItems={table: {"Keys": keys}})
    meter.client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
    with FaultInjector(meter.client) as faults:
        faults.plan(Unprocessed(last=2))
        meter.client.batch_get_item(RequestItems={table: {"Keys": keys}})
    assert [record.rcu["table"] for record in meter.requests] == [0.5 + 1 + 0.5, 1 + 2 + 1, 0.5]
    assert [(record.keys, record.items) for record in meter.requests] == [(3, 2), (3, 2), (3, 1)]


def test_a_transaction_of_reads_costs_twice(meter: RequestMeter, table: str) -> None:
    """Twice a consistent read of each item."""
    put(meter, table, item("A#", 5))
    meter.client.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": key(sk)}} for sk in ("A#", "none#")]
    )
    (record,) = meter.requests
    assert (record.rcu, record.keys, record.items) == ({"table": 2 * 2 + 2 * 1}, 2, 1)


def test_a_scan_is_a_page(meter: RequestMeter, table: str) -> None:
    """All it went through, rounded up once."""
    put(meter, table, item("A#", 3), item("B#", 3))
    meter.client.scan(TableName=table)
    assert meter.requests[0].rcu == {"table": 1}


def test_binary_weighs_its_bytes(embedded: EmbeddedEngine, table: str) -> None:
    """Also on clients whose answers hold it as base64 text."""
    client = embedded.client()
    content = b"\x00" * 4_050  # 4,050 bytes fit into a unit; their 5,400 characters do not
    client.put_item(TableName=table, Item={**key("A#"), "b": {"B": content}})

    def as_text(customized_response_dict: dict[str, Any], **_: Any) -> None:
        text = base64.b64encode(content).decode()
        customized_response_dict["Item"] = {**key("A#"), "b": {"B": text}}

    client.meta.events.register("before-parse.dynamodb.GetItem", as_text)
    with RequestMeter(client) as meter:
        client.get_item(TableName=table, Key=key("A#"))
    assert meter.rcu == 0.5


# -------------------------------------------------------------------------------------- writes


def test_a_put_costs_the_larger_item(meter: RequestMeter, table: str) -> None:
    """Of the one before and the one after."""
    for kilobytes in (1, 2.5, 1):
        meter.client.put_item(TableName=table, Item=item("A#", kilobytes))
    assert [record.wcu for record in meter.requests] == [{"table": units} for units in (1, 3, 3)]


def test_an_update_costs_the_whole_item(meter: RequestMeter, table: str) -> None:
    """However little of it changes."""
    put(meter, table, item("A#", 10))
    update(meter, table, "SET n = :n", {":n": {"N": "1"}})
    update(meter, table, "REMOVE body")
    update(meter, table, "SET n = :n", {":n": {"N": "2"}})
    assert [record.wcu["table"] for record in meter.requests] == [11, 11, 1]


def update(
    meter: RequestMeter, table: str, expression: str, values: dict[str, Any] | None = None
) -> None:
    more = {"ExpressionAttributeValues": values} if values else {}
    meter.client.update_item(TableName=table, Key=key("A#"), UpdateExpression=expression, **more)


def test_a_delete_costs_what_is_deleted(meter: RequestMeter, table: str) -> None:
    """With its index entries; deleting nothing costs one unit."""
    put(meter, table, item("A#", 2, **in_gsi1()))
    meter.client.delete_item(TableName=table, Key=key("A#"))
    meter.client.delete_item(TableName=table, Key=key("A#"))
    assert [record.wcu for record in meter.requests] == [{"table": 2, "GSI1": 2}, {"table": 1}]


def test_an_index_costs_what_changes_in_it(meter: RequestMeter, table: str) -> None:
    """A new entry, one unchanged, one with other attributes, one that moves, one that goes."""
    steps: list[tuple[dict[str, Any], dict[str, float]]] = [
        (item("A#", 2, **in_gsi1(), **in_gsi2()), {"table": 2, "GSI1": 2, "GSI2": 2}),
        (item("A#", 2, **in_gsi1(), **in_gsi2()), {"table": 2}),
        (item("A#", 3, **in_gsi1(), **in_gsi2()), {"table": 3, "GSI1": 3, "GSI2": 3}),
        (item("A#", 2, **in_gsi1("K#"), **in_gsi2()), {"table": 3, "GSI1": 5, "GSI2": 3}),
        (item("A#", 1, **in_gsi1("K#")), {"table": 2, "GSI1": 2, "GSI2": 2}),
        (item("A#", 1), {"table": 1, "GSI1": 1}),
    ]
    for written, _ in steps:
        meter.client.put_item(TableName=table, Item=written)
    assert [record.wcu for record in meter.requests] == [units for _, units in steps]
    assert meter.totals()[0] == {"table": 13, "GSI1": 13, "GSI2": 10}
    assert meter.wcu == 36


def test_a_batch_of_writes_costs_its_writes(meter: RequestMeter, table: str) -> None:
    """Without those that were left unprocessed."""
    put(meter, table, item("C#", 4))
    writes = [
        {"PutRequest": {"Item": item("A#", 1)}},
        {"PutRequest": {"Item": item("B#", 2, **in_gsi1())}},
        {"DeleteRequest": {"Key": key("C#")}},
    ]
    with FaultInjector(meter.client) as faults:
        faults.plan(Unprocessed(last=1))
        left = meter.client.batch_write_item(RequestItems={table: writes})["UnprocessedItems"]
        meter.client.batch_write_item(RequestItems=left)
    assert [record.wcu for record in meter.requests] == [{"table": 3, "GSI1": 2}, {"table": 4}]
    assert [record.keys for record in meter.requests] == [3, 1]


def transaction(table: str, condition: str) -> list[dict[str, Any]]:
    """Put 2 KB into an index, update 3 KB, check 4 KB, delete 5 KB."""
    update_b = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    return [
        {"Put": {"TableName": table, "Item": item("A#", 2, **in_gsi1())}},
        {"Update": {"TableName": table, "Key": key("B#"), **update_b}},
        {
            "ConditionCheck": {
                "TableName": table,
                "Key": key("C#"),
                "ConditionExpression": condition,
            }
        },
        {"Delete": {"TableName": table, "Key": key("D#")}},
    ]


def test_a_transaction_costs_the_table_twice(meter: RequestMeter, table: str) -> None:
    """Its condition checks too; the indexes once."""
    put(meter, table, item("B#", 2.5), item("C#", 4), item("D#", 5))
    meter.client.transact_write_items(TransactItems=transaction(table, "attribute_exists(PK)"))
    (record,) = meter.requests
    assert record.wcu == {"table": 2 * (2 + 3 + 4 + 5), "GSI1": 2}
    assert record.keys == 4


def test_a_cancelled_transaction_costs_the_table(meter: RequestMeter, table: str) -> None:
    """When a condition failed; the indexes nothing."""
    put(meter, table, item("B#", 2.5), item("C#", 4), item("D#", 5))
    with pytest.raises(ClientError):
        meter.client.transact_write_items(
            TransactItems=transaction(table, "attribute_not_exists(PK)")
        )
    (record,) = meter.requests
    assert record.wcu == {"table": 2 * (2 + 3 + 4 + 5)}
    assert record.error == "TransactionCanceledException"


def test_a_failed_condition_costs_the_table(meter: RequestMeter, table: str) -> None:
    """The larger of what is there and what was to be put."""
    put(meter, table, item("A#", 2, **in_gsi1()))
    for kilobytes in (1, 3):
        with pytest.raises(ClientError):
            meter.client.put_item(
                TableName=table,
                Item=item("A#", kilobytes),
                ConditionExpression="attribute_not_exists(PK)",
            )
    assert [record.wcu for record in meter.requests] == [{"table": 2}, {"table": 3}]
    assert {record.error for record in meter.requests} == {"ConditionalCheckFailedException"}


@pytest.mark.ministack
def test_the_server_counts_the_same(server_client: Any, server_table: str) -> None:
    """Where its own count is right: single and batched writes with their indexes, gets."""
    table, one, two = server_table, in_gsi1, in_gsi2
    reported = {"ReturnConsumedCapacity": "INDEXES", "TableName": table}
    answers = []
    with RequestMeter(server_client) as meter:
        answers += [
            server_client.put_item(Item=written, **reported)
            for written in (
                item("A#", 2, **one(), **two()),
                item("A#", 2, **one(), **two()),
                item("A#", 3, **one(), **two()),
                item("A#", 2, **one("K#"), **two()),
                item("A#", 1, **one("K#")),
                item("A#", 1),
                item("B#", 2.5, **one()),
                item("C#", 4),
            )
        ]
        answers += [
            server_client.update_item(
                Key=key("B#"),
                UpdateExpression="SET n = :n, GSI1PK = :g, GSI1SK = :g",
                ExpressionAttributeValues={":n": {"N": number}, ":g": {"S": sort}},
                **reported,
            )
            for number, sort in (("1", "x"), ("12345", "x"), ("12345", "y"), ("12345", "y"))
        ]
        answers += [server_client.delete_item(Key=key(sk), **reported) for sk in ("A#", "A#", "B#")]
        answers += [
            server_client.get_item(Key=key(sk), ConsistentRead=consistent, **reported)
            for sk in ("C#", "none#")
            for consistent in (True, False)
        ]
        writes = [
            {"PutRequest": {"Item": item("E#", 2, **one())}},
            {"DeleteRequest": {"Key": key("C#")}},
        ]
        answers.append(
            server_client.batch_write_item(
                RequestItems={table: writes}, ReturnConsumedCapacity="INDEXES"
            )
        )
    for record, answer in zip(meter.requests, answers, strict=True):
        assert (record.wcu or record.rcu) == reported_units(answer["ConsumedCapacity"])


def reported_units(consumed: Any) -> dict[str, float]:
    """What the server says, by table and index."""
    units: dict[str, float] = {}
    for part in consumed if isinstance(consumed, list) else [consumed]:
        units["table"] = units.get("table", 0) + part["Table"]["CapacityUnits"]
        for index, spent in part.get("GlobalSecondaryIndexes", {}).items():
            units[index] = units.get(index, 0) + spent["CapacityUnits"]
    return {place: spent for place, spent in units.items() if spent}


# ------------------------------------------------------------------------- faults and attempts


def test_a_refused_request_costs_nothing(meter: RequestMeter, table: str) -> None:
    """Throttled, or failed inside DynamoDB; it counts as a request."""
    with FaultInjector(meter.client) as faults:
        faults.plan(Throttled())
        faults.plan(ServerError(), at=2)
        for _ in range(2):
            with pytest.raises(ClientError):
                meter.client.put_item(TableName=table, Item=item("A#", 1))
    assert meter.count == 2
    assert meter.wcu == 0


def test_a_write_whose_answer_was_lost_is_charged(meter: RequestMeter, table: str) -> None:
    """If it happened: the item that is there now tells. A lost read shows nothing."""
    with FaultInjector(meter.client) as faults:
        faults.plan(DropAnswer())
        faults.plan(Unreachable(), at=2)
        faults.plan(DropAnswer(), at=3)
        for sk in ("A#", "B#"):
            with pytest.raises(BotoCoreError):
                meter.client.put_item(TableName=table, Item=item(sk, 2))
        with pytest.raises(ReadTimeoutError):
            meter.client.query(**query(table))
    assert [(record.error, record.wcu, record.rcu) for record in meter.requests] == [
        ("ReadTimeoutError", {"table": 2}, {}),
        ("EndpointConnectionError", {}, {}),
        ("ReadTimeoutError", {}, {}),
    ]


def test_a_killed_request_is_listed(meter: RequestMeter, table: str) -> None:
    """It was sent, and nobody knows more."""
    with FaultInjector(meter.client) as faults:
        faults.plan(Kill(after_sending=True))
        with pytest.raises(Killed):
            meter.client.put_item(TableName=table, Item=item("A#", 2))
    (record,) = meter.requests
    assert (record.error, record.wcu) == (UNANSWERED, {})


def test_attempts_are_told_apart(
    embedded: EmbeddedEngine, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three HTTP requests of one API call are one request, of three times the bytes."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    client = embedded.client(retries={"mode": "standard", "total_max_attempts": 3})
    with RequestMeter(client) as meter, FaultInjector(client) as faults:
        client.put_item(TableName=table, Item=item("A#", 1))
        once = meter.requests[0].bytes_sent
        faults.plan(Throttled(), every_attempt=True)
        with pytest.raises(ClientError):
            client.put_item(TableName=table, Item=item("A#", 1))
    assert [record.attempts for record in meter.requests] == [1, 3]
    assert (meter.count, meter.attempts) == (2, 4)
    assert meter.requests[1].bytes_sent == 3 * once > 3 * 1_024


def test_bytes_and_patterns_are_recorded(meter: RequestMeter, table: str) -> None:
    """What went over the wire, and who asked."""
    with running("C7"):
        meter.client.put_item(TableName=table, Item=item("A#", 2))
    meter.client.get_item(TableName=table, Key=key("A#"))
    written, read = meter.requests
    assert (written.pattern, read.pattern) == ("C7", "")
    assert written.bytes_sent > 2_048 > written.bytes_received
    assert read.bytes_received > 2_048 > read.bytes_sent
    assert meter.operations() == {"PutItem": 1, "GetItem": 1}


def test_looking_at_items_is_not_counted(embedded_client: Any, table: str) -> None:
    """No hook of the client sees the second one: not the strict one, nor the faults, nor us."""
    with (
        StrictHook(embedded_client) as strict,
        FaultInjector(embedded_client) as faults,
        RequestMeter(embedded_client) as outer,
        RequestMeter(embedded_client) as meter,
    ):
        update(meter, table, "SET n = :n", {":n": {"N": "1"}})
    assert faults.requests == outer.count == meter.count == 1
    assert outer.wcu == meter.wcu == 1
    assert strict.violations == []


def test_a_refused_call_is_no_request(embedded_client: Any, table: str) -> None:
    """What the strict hook stops was not sent."""
    with RequestMeter(embedded_client) as meter, StrictHook(embedded_client):
        with pytest.raises(AssertionError):
            embedded_client.scan(TableName=table)
        assert meter.count == 0


def test_table_management_counts_as_requests(meter: RequestMeter, table: str) -> None:
    """Without units."""
    meter.client.describe_table(TableName=table)
    assert (meter.count, meter.rcu, meter.wcu) == (1, 0, 0)


def test_threads_are_all_counted(meter: RequestMeter, table: str) -> None:
    """Each request once, also while another thread reads the totals."""

    def work(number: int) -> None:
        for step in range(10):
            meter.client.put_item(TableName=table, Item=item(f"{number}#{step}#", 1))
            assert meter.count > 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (meter.count, meter.wcu) == (80, 80)


def test_a_detached_meter_keeps_what_it_counted(embedded_client: Any, table: str) -> None:
    """And counts no more."""
    with RequestMeter(embedded_client) as meter:
        embedded_client.get_item(TableName=table, Key=key("A#"))
    embedded_client.get_item(TableName=table, Key=key("A#"))
    assert meter.count == 1
