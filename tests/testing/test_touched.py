"""A meter that keeps items says which ones each request touched, and what became of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynamo_chat.testing import RequestMeter
from dynamo_chat.testing.capacity import Charge


@pytest.fixture
def meter(embedded_client: Any, table: str) -> Iterator[RequestMeter]:
    with RequestMeter(embedded_client, keeps_items=True) as counting:
        yield counting


def item(sk: str, **attributes: str) -> dict[str, Any]:
    return {"PK": {"S": "P#"}, "SK": {"S": sk}} | {
        name: {"S": value} for name, value in attributes.items()
    }


def told(meter: RequestMeter) -> list[tuple[str, str]]:
    """How each item of the latest request was touched, and its sort key."""
    return [(each.how, each.address[2]) for each in meter.requests[-1].touched]


def test_a_write_says_what_became_of_the_item(
    embedded_client: Any, table: str, meter: RequestMeter
) -> None:
    embedded_client.put_item(TableName=table, Item=item("a"))
    assert told(meter) == [("created", "a")]
    embedded_client.put_item(TableName=table, Item=item("a", body="new"))
    assert told(meter) == [("changed", "a")]
    embedded_client.put_item(TableName=table, Item=item("a", body="new"))
    assert told(meter) == [("unchanged", "a")]
    embedded_client.delete_item(TableName=table, Key=item("a"))
    assert told(meter) == [("deleted", "a")]
    (gone,) = meter.requests[-1].touched
    assert gone.item == item("a", body="new")


def test_a_refused_write_changes_nothing(
    embedded_client: Any, table: str, meter: RequestMeter
) -> None:
    embedded_client.put_item(TableName=table, Item=item("a"))
    with pytest.raises(ClientError):
        embedded_client.put_item(
            TableName=table,
            Item=item("a", body="new"),
            ConditionExpression="attribute_not_exists(PK)",
        )
    assert told(meter) == [("unchanged", "a")]
    assert meter.requests[-1].touched[0].item == item("a")


def test_a_transaction_is_told_in_the_order_of_its_members(
    embedded_client: Any, table: str, meter: RequestMeter
) -> None:
    for sk in "bc":
        embedded_client.put_item(TableName=table, Item=item(sk))
    exists = {"TableName": table, "ConditionExpression": "attribute_exists(PK)"}
    embedded_client.transact_write_items(
        TransactItems=[
            {"ConditionCheck": {**exists, "Key": item("c")}},
            {"Put": {"TableName": table, "Item": item("a")}},
            {"Delete": {"TableName": table, "Key": item("b")}},
        ]
    )
    assert told(meter) == [("checked", "c"), ("created", "a"), ("deleted", "b")]


def test_reads_name_what_they_find_and_what_they_miss(
    embedded_client: Any, table: str, meter: RequestMeter
) -> None:
    for sk in "abc":
        embedded_client.put_item(TableName=table, Item=item(sk))
    embedded_client.get_item(TableName=table, Key=item("a"))
    assert told(meter) == [("read", "a")]
    embedded_client.get_item(TableName=table, Key=item("x"))
    assert told(meter) == [("missing", "x")]
    assert meter.requests[-1].touched[0].item is None
    keys = {"Keys": [item("a"), item("x"), item("c")]}
    embedded_client.batch_get_item(RequestItems={table: keys})
    assert sorted(told(meter)) == [("missing", "x"), ("read", "a"), ("read", "c")]
    embedded_client.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": item(sk)}} for sk in "xb"]
    )
    assert told(meter) == [("missing", "x"), ("read", "b")]


def test_a_query_says_what_it_asked_for(
    embedded_client: Any, table: str, meter: RequestMeter
) -> None:
    for sk in "abc":
        embedded_client.put_item(TableName=table, Item=item(sk))
    embedded_client.query(
        TableName=table,
        KeyConditionExpression="#p = :p AND SK BETWEEN :l AND :u",
        ExpressionAttributeNames={"#p": "PK"},
        ExpressionAttributeValues={":p": {"S": "P#"}, ":l": {"S": "a"}, ":u": {"S": "b"}},
        ScanIndexForward=False,
    )
    assert told(meter) == [("read", "b"), ("read", "a")]
    assert meter.requests[-1].asked == 'PK = "P#" AND SK BETWEEN "a" AND "b"'


def test_items_without_their_keys_are_left_out(
    embedded_client: Any, table: str, meter: RequestMeter
) -> None:
    """Of a Query that asks for other attributes only, and of a batch."""
    embedded_client.put_item(TableName=table, Item=item("a", body="x"))
    embedded_client.query(
        TableName=table,
        KeyConditionExpression="PK = :p",
        ExpressionAttributeValues={":p": {"S": "P#"}},
        ProjectionExpression="body",
    )
    assert told(meter) == []
    part = {"Keys": [item("a")], "ProjectionExpression": "body"}
    embedded_client.batch_get_item(RequestItems={table: part})
    assert told(meter) == []
    assert meter.requests[-1].items == 1


def test_a_plain_meter_holds_no_items(embedded_client: Any, table: str) -> None:
    with RequestMeter(embedded_client) as plain:
        embedded_client.put_item(TableName=table, Item=item("a"))
        embedded_client.get_item(TableName=table, Key=item("a"))
    assert [(each.touched, each.asked) for each in plain.requests] == [([], "")] * 2


def charged(meter: RequestMeter) -> list[Charge]:
    return meter.requests[-1].charges


def test_each_charge_has_its_key(embedded_client: Any, table: str, meter: RequestMeter) -> None:
    """An index entry that moves is charged where it was and where it is."""
    for place in "xy":
        indexed = item("a", GSI1PK=f"{place}#", GSI1SK="s")
        embedded_client.transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": indexed}}]
        )
    on_table = ("table", "P#", "a", 2.0)
    assert charged(meter) == [on_table, ("GSI1", "x#", "s", 1.0), ("GSI1", "y#", "s", 1.0)]
    assert meter.requests[-1].wcu == {"table": 2.0, "GSI1": 2.0}

    both = {"#s": "GSI1SK", "#p": "GSI1PK"}
    embedded_client.query(
        TableName=table,
        IndexName="GSI1",
        KeyConditionExpression="#s = :s AND #p = :p",
        ExpressionAttributeNames=both,
        ExpressionAttributeValues={":p": {"S": "y#"}, ":s": {"S": "s"}},
    )
    assert charged(meter) == [("GSI1", "y#", "", 0.5)]
    embedded_client.scan(TableName=table)
    assert charged(meter) == [("table", "", "", 0.5)]

    keys = [{"PK": {"S": "P#"}, "SK": {"S": sk}} for sk in "ab"]
    for part in ({"Keys": keys}, {"Keys": keys, "ProjectionExpression": "SK"}):
        embedded_client.batch_get_item(RequestItems={table: part})
        assert charged(meter) == [("table", "P#", "a", 0.5), ("table", "P#", "b", 0.5)]
    embedded_client.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": each}} for each in keys]
    )
    assert charged(meter) == [("table", "P#", "a", 2.0), ("table", "P#", "b", 2.0)]
