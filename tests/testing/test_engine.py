"""The embedded engine does not mislead: threads, transactions sent twice, large items."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.responses import DynamoHandler

from dynamo_chat.core.size import MAX_ITEM_BYTES, item_size
from dynamo_chat.testing import EmbeddedEngine, Engine
from tests.core.forked import forked
from tests.places import INSTALLED, ROOT

KEY = {"PK": {"S": "P#"}, "SK": {"S": "S#"}}


def run_python(program: str) -> str:
    """What a fresh interpreter prints; it may import the tests."""
    command = [sys.executable, "-W", "error", "-c", program]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (INSTALLED, ROOT)))}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def add(client: Any, table: str, key: dict[str, Any] = KEY) -> None:
    client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def stored(client: Any, table: str, sk: str = "S#") -> dict[str, Any]:
    """The item at this sort key."""
    key = {**KEY, "SK": {"S": sk}}
    item: dict[str, Any] = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    return item


def test_every_kind_of_value_comes_back_as_it_was(embedded_client: Any, table: str) -> None:
    values = {
        "text": {"S": ""},
        "number": {"N": "-1.50"},
        "bytes": {"B": b"\x00\xff"},
        "nothing": {"NULL": True},
        "no": {"BOOL": False},
        "texts": {"SS": ["a", "é"]},
        "numbers": {"NS": ["1", "2"]},
        "many_bytes": {"BS": [b"", b"\xfe"]},
        "map": {"M": {"deep": {"L": [{"M": {}}, {"L": []}, {"B": b"x"}, {"NULL": True}]}}},
    }
    embedded_client.put_item(TableName=table, Item=KEY | values)
    assert stored(embedded_client, table) == KEY | values
    assert embedded_client.scan(TableName=table)["Items"] == [KEY | values]
    old = embedded_client.delete_item(TableName=table, Key=KEY, ReturnValues="ALL_OLD")
    assert old["Attributes"] == KEY | values


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads that interrupt one another a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 1_000)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_threads_lose_no_update(embedded_client: Any, table: str) -> None:
    """8 threads add 1, 100 times each."""

    def add_100(_: int) -> None:
        for _ in range(100):
            add(embedded_client, table)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_100, range(8)))
    assert stored(embedded_client, table)["n"] == {"N": "800"}


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_request_of_its_parent(
    embedded_client: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine serves one request at a time: here one of another thread, at the fork."""
    serve, is_served, may_end = DynamoHandler.call_action, threading.Event(), threading.Event()

    def serve_slowly(handler: Any) -> Any:
        if threading.current_thread() is slow:
            is_served.set()
            may_end.wait()
        return serve(handler)

    def once() -> int:
        add(embedded_client, table)
        return int(stored(embedded_client, table)["n"]["N"])

    monkeypatch.setattr(DynamoHandler, "call_action", serve_slowly)
    slow = threading.Thread(target=add, args=(embedded_client, table))
    slow.start()
    is_served.wait()
    try:
        assert forked(once) == [1]  # of its own copy of the table
    finally:
        may_end.set()
        slow.join()
    assert stored(embedded_client, table)["n"] == {"N": "1"}


def test_one_thread_wins_a_conditional_put(embedded_client: Any, table: str) -> None:
    """Of 8 threads that create one item, one creates it."""

    def create(number: int) -> bool:
        try:
            embedded_client.put_item(
                TableName=table,
                Item={**KEY, "n": {"N": str(number)}},
                ConditionExpression="attribute_not_exists(PK)",
            )
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(40))) == 1


def transfer(client: Any, table: str, token: str, amount: int = 1) -> None:
    """One transaction that adds to two items."""
    client.transact_write_items(
        ClientRequestToken=token,
        TransactItems=[
            {
                "Update": {
                    "TableName": table,
                    "Key": {**KEY, "SK": {"S": sk}},
                    "UpdateExpression": "ADD n :n",
                    "ExpressionAttributeValues": {":n": {"N": str(amount)}},
                }
            }
            for sk in ("A#", "B#")
        ],
    )


def test_a_transaction_sent_twice_is_applied_once(embedded_client: Any, table: str) -> None:
    """Under one token, as DynamoDB does for ten minutes."""
    transfer(embedded_client, table, f"{table[:20]}-1")
    transfer(embedded_client, table, f"{table[:20]}-1")
    transfer(embedded_client, table, f"{table[:20]}-2")
    assert stored(embedded_client, table, "A#")["n"] == {"N": "2"}
    assert stored(embedded_client, table, "B#")["n"] == {"N": "2"}


def test_a_token_is_for_one_transaction(embedded_client: Any, table: str) -> None:
    """The same token with another payload is refused."""
    transfer(embedded_client, table, f"{table[:20]}-1")
    with pytest.raises(ClientError, match="IdempotentParameterMismatchException"):
        transfer(embedded_client, table, f"{table[:20]}-1", amount=2)
    assert stored(embedded_client, table, "A#")["n"] == {"N": "1"}


def test_a_cancelled_transaction_may_be_sent_again(embedded_client: Any, table: str) -> None:
    """Only what succeeded is remembered."""
    condition = {
        "ConditionCheck": {
            "TableName": table,
            "Key": KEY,
            "ConditionExpression": "attribute_exists(PK)",
        }
    }
    put = {"Put": {"TableName": table, "Item": {**KEY, "SK": {"S": "B#"}}}}
    request = {"TransactItems": [condition, put], "ClientRequestToken": f"{table[:20]}-1"}
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        embedded_client.transact_write_items(**request)
    add(embedded_client, table)
    embedded_client.transact_write_items(**request)
    assert stored(embedded_client, table, "B#")["SK"] == {"S": "B#"}


def test_an_item_may_have_400_kb(embedded_client: Any, table: str) -> None:
    """To the byte, by DynamoDB's count, numbers and nesting included."""
    item: dict[str, Any] = {
        **KEY,
        "n": {"N": "1767225600"},
        "l": {"L": [{"M": {"a": {"NULL": True}}}]},
        "b": {"B": b"\x00" * 1_000},
        "body": {"S": ""},
    }
    item["body"]["S"] = "x" * (MAX_ITEM_BYTES - item_size(item))
    embedded_client.put_item(TableName=table, Item=item)
    item["body"]["S"] += "x"
    with pytest.raises(ClientError, match="Item size has exceeded"):
        embedded_client.put_item(TableName=table, Item=item)


def test_a_list_grows_to_400_kb(embedded_client: Any, table: str) -> None:
    """An update is refused at the limit, and not from half of it."""

    def append() -> None:
        embedded_client.update_item(
            TableName=table,
            Key=KEY,
            UpdateExpression="SET l = list_append(if_not_exists(l, :none), :more)",
            ExpressionAttributeValues={
                ":none": {"L": []},
                ":more": {"L": [{"S": "x" * 40_000}]},
            },
        )

    for _ in range(10):
        append()
    with pytest.raises(ClientError, match="Item size to update has exceeded"):
        append()
    assert len(stored(embedded_client, table)["l"]["L"]) == 10


@pytest.mark.parametrize("expression", ["ADD n :n", "SET n = if_not_exists(n, :zero) + :n"])
def test_numbers_are_added_exactly(embedded_client: Any, table: str, expression: str) -> None:
    """Small ones, which Python writes as 1E-9, and those of more than 28 digits."""
    for added, total in (
        ("0.000000001", "0.000000001"),
        ("0.000000002", "0.000000003"),
        ("1E-9", "0.000000004"),
        ("99999999999999999999999999999", "99999999999999999999999999999.000000004"),
        ("-99999999999999999999999999999", "0.000000004"),
    ):
        values = {":n": {"N": added}}
        if ":zero" in expression:
            values[":zero"] = {"N": "0"}
        embedded_client.update_item(
            TableName=table,
            Key=KEY,
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
        )
        assert Decimal(stored(embedded_client, table)["n"]["N"]) == Decimal(total)


def test_only_numbers_are_added(embedded_client: Any, table: str) -> None:
    embedded_client.put_item(TableName=table, Item={**KEY, "n": {"S": "1"}})
    with pytest.raises(ClientError, match="ValidationException"):
        add(embedded_client, table)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = """
import sys
sys.modules["moto"] = None
from dynamo_chat.testing import EmbeddedEngine
try:
    EmbeddedEngine().__enter__()
except ModuleNotFoundError as error:
    print(error)
"""
    assert run_python(program) == (
        "EmbeddedEngine needs the extra `testing`: pip install 'dynamo_chat[testing]'\n"
    )


def test_the_environment_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever credentials, profile and region were there; inside there are none of them."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://somewhere.invalid")
    monkeypatch.delenv("AWS_REGION", raising=False)
    before = dict(os.environ)
    engine = EmbeddedEngine(region="eu-north-1")
    with engine, engine:
        assert os.environ["AWS_REGION"] == "eu-north-1"
        assert os.environ["AWS_ACCESS_KEY_ID"] != "real"
        assert not os.environ.keys() & {"AWS_PROFILE", "AWS_ENDPOINT_URL"}
    assert dict(os.environ) == before


def test_credentials_for_aws_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint of AWS needs real ones; any other gets dummies."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    with Engine("https://dynamodb.eu-west-1.amazonaws.com"):
        assert os.environ["AWS_ACCESS_KEY_ID"] == "real"
    with Engine("http://127.0.0.1:8000"):
        assert os.environ["AWS_ACCESS_KEY_ID"] != "real"


def test_moto_is_as_it_was_once_every_engine_is_left(embedded: EmbeddedEngine) -> None:
    """The cures hold as long as any engine is entered, and no longer."""
    program = """
from moto.core.botocore_stubber import BotocoreStubber
from dynamo_chat.testing import EmbeddedEngine
original = BotocoreStubber.__call__
engine = EmbeddedEngine()
with engine:
    with engine, EmbeddedEngine():
        pass
    assert BotocoreStubber.__call__ is not original
assert BotocoreStubber.__call__ is original
"""
    assert run_python(program) == ""


def test_importing_the_tools_imports_no_engine() -> None:
    """Moto takes half a second, and an application may import the tools' names."""
    program = """
import sys
import dynamo_chat.testing
print([name for name in ("moto", "boto3", "pytest", "hypothesis") if name in sys.modules])
"""
    assert run_python(program) == "[]\n"


def test_a_query_finds_its_partition_in_order(embedded_client: Any, table: str) -> None:
    """Of the table and of an index, both ways, in pages; other partitions hide and add nothing."""
    for place in range(24):
        # -- in no order; every third item is not in the index, two have the same place in it
        key = {"PK": {"S": f"P{place % 3}#"}, "SK": {"S": f"S{place * 7 % 24:02}#"}}
        indexed = {"GSI1PK": {"S": f"I{place % 2}#"}, "GSI1SK": {"S": f"{place // 12}#"}}
        item = key | (indexed if place % 3 else {})
        embedded_client.put_item(TableName=table, Item=item)
    items = embedded_client.scan(TableName=table)["Items"]

    def queried(name: str, partition: str, **more: Any) -> list[Any]:
        asked = {
            "TableName": table,
            "KeyConditionExpression": f"{name} = :p",
            "ExpressionAttributeValues": {":p": {"S": partition}},
            "Limit": 3,
            **more,
        }
        page = embedded_client.query(**asked)
        found = list(page["Items"])
        while start := page.get("LastEvaluatedKey"):
            page = embedded_client.query(**asked, ExclusiveStartKey=start)
            found += page["Items"]
        return found

    def place_of(item: Any, *names: str) -> list[str]:
        return [item[name]["S"] for name in names]

    for partition in ("P0#", "P1#", "P2#", "P3#"):
        expected = [item for item in items if item["PK"]["S"] == partition]
        expected.sort(key=lambda item: place_of(item, "SK"))
        assert queried("PK", partition) == expected
        assert queried("PK", partition, ScanIndexForward=False) == expected[::-1]
    for partition in ("I0#", "I1#", "I2#"):
        expected = [item for item in items if item.get("GSI1PK") == {"S": partition}]
        expected.sort(key=lambda item: place_of(item, "GSI1SK", "PK", "SK"))
        assert queried("GSI1PK", partition, IndexName="GSI1") == expected
        backwards = queried("GSI1PK", partition, IndexName="GSI1", ScanIndexForward=False)
        assert backwards == expected[::-1]


def test_an_update_is_computed_for_each_item(embedded_client: Any, table: str) -> None:
    """Although its expression is parsed once: with other names, other values, other items."""
    for place in range(3):
        key = {**KEY, "SK": {"S": f"S{place}#"}}
        for added in (1, 2):
            embedded_client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET #n = if_not_exists(#n, :zero) + :n, was = :n REMOVE gone",
                ExpressionAttributeNames={"#n": f"n{place}"},
                ExpressionAttributeValues={":n": {"N": str(added)}, ":zero": {"N": str(place)}},
            )
        total = {f"n{place}": {"N": str(place + 3)}, "was": {"N": "2"}}
        assert stored(embedded_client, table, f"S{place}#") == key | total


def test_what_is_deleted_is_free(embedded_client: Any, table: str) -> None:
    """Moto lists every item that it makes, unless it is kept from it."""
    items: Any = Item  # its metaclass adds the list
    before = len(items.instances_tracked)
    for _ in range(5):
        embedded_client.put_item(TableName=table, Item=KEY)
        assert stored(embedded_client, table) == KEY
        embedded_client.delete_item(TableName=table, Key=KEY)
    assert len(items.instances_tracked) == before
