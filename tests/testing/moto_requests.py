"""Random requests, and what moto answers: with its short cuts the same as without.

In a process of its own, because the engine of the tests may have begun its short cuts already:

    python -m tests.testing.moto_requests 20        # 20 rounds; writes each difference
"""

import os
import random
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from botocore.config import Config
from moto import mock_aws

from dynamo_chat.core.client import new_session
from dynamo_chat.testing import speed

SHORT_CUTS: tuple[Callable[[], Any], ...] = (
    speed.dynamodb_first,
    speed.small_queries,
    speed.quick_comparisons,
    speed.quick_answers,
    speed.known_conditions,
    speed.known_updates,
    speed.forgotten_items,
)
REGION = "eu-west-1"
FILLING, REQUESTS = 40, 120
NUMBERS = ("0", "1", "1.0", "-1", "2", "10", "0.5", "1E2", "100")
TEXTS = ("", "a", "A", "b", "ab", "é", "1", "10", "z")
BYTES = (b"", b"a", b"\xff\xfe", b"\x00")
NAMES = ("a", "b", "c", "m", "l", "size")
KEYS = (("S", "S", "S"), ("S", "", "N"), ("N", "N", "S"), ("B", "B", "N"))
"""For each table the types of its hash key, of its range key if any, and of its index's."""

CONDITIONS = (
    *("{0} = :v", "{0} <> :v", "{0} < :v", "{0} >= :v", "{0} IN (:v, :w)", "size({0}) > :w"),
    *("attribute_exists({0})", "NOT attribute_exists({0})", "attribute_not_exists({0})"),
    *("begins_with({0}, :v)", "contains({0}, :v)", "{0} BETWEEN :v AND :w"),
    *("({0} = :v OR b = :w)", "attribute_type({0}, :t) AND NOT (a <> :v)"),
)
UPDATES = (
    *("SET #n = :v", "SET #n = #n", "SET a=b", "SET l[1] = :v", "SET #n.#m = :v", "SET"),
    *("SET #n = if_not_exists(#n, :n) + :n, b = :w", "SET #n = #n - :n"),
    *("SET l = list_append(if_not_exists(l, :l), :l)", "SET a = :v REMOVE b ADD c :n"),
    *("REMOVE l[0], l[2], #n", "REMOVE l[2], l[0]", "REMOVE #n.#m"),
    *("ADD #n :n", "ADD #n :v", "DELETE #n :v"),
)
VARYING = frozenset(
    {
        *("ResponseMetadata", "TableId", "CreationDateTime", "LastModified", "LastModifiedDate"),
        *("LatestStreamArn", "LatestStreamLabel", "ApproximateCreationDateTime"),
        *("SequenceNumber", "SizeBytes", "eventID"),
    }
)
Request = tuple[str, str, dict[str, Any]]


class Dice(random.Random):
    """Draws requests to one table after the other."""

    place = 0

    @property
    def table(self) -> dict[str, Any]:
        return {"TableName": f"t{self.place}"}

    # -- values ---------------------------------------------------------------------------------

    def key_value(self, kind: str) -> dict[str, Any]:
        return {kind: self.choice({"S": TEXTS[1:5], "N": NUMBERS[:5], "B": BYTES[1:]}[kind])}

    def value(self, depth: int = 2) -> dict[str, Any]:
        kinds = ["S", "N", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", *["M", "L"] * bool(depth)]
        match kind := self.choice(kinds):
            case "BOOL":
                return {kind: self.random() < 0.5}
            case "NULL":
                return {kind: True}
            case "M":
                names = self.sample(NAMES, self.randrange(3))
                return {kind: {name: self.value(depth - 1) for name in names}}
            case "L":
                return {kind: [self.value(depth - 1) for _ in range(self.randrange(4))]}
        of: tuple[Any, ...] = {"S": TEXTS, "N": NUMBERS, "B": BYTES}[kind[0]]
        return {kind: self.sample(of, self.randint(1, 3)) if kind[1:] else self.choice(of)}

    def key(self) -> dict[str, Any]:
        first, second, _ = KEYS[self.place]
        found = {"h": self.key_value(first)}
        return {**found, "r": self.key_value(second)} if second else found

    def item(self) -> dict[str, Any]:
        found = {name: self.value() for name in self.sample(NAMES, self.randrange(5))}
        indexed = {"ih": self.key_value(KEYS[self.place][2]), "ir": self.key_value("S")}
        kept = {name: each for name, each in indexed.items() if self.random() < 0.7}
        return {**found, **kept, **self.key()}

    # -- expressions ----------------------------------------------------------------------------

    def named(self, said: str) -> dict[str, Any]:
        """The names and values in an expression."""
        values = {":v": self.value(), ":w": self.value(0), ":n": {"N": self.choice(NUMBERS)}}
        values |= {":t": {"S": "N"}, ":l": {"L": [{"N": "1"}]}}
        found: dict[str, Any] = {
            "ExpressionAttributeNames": {"#n": self.choice(NAMES), "#m": self.choice(NAMES)},
            "ExpressionAttributeValues": values,
        }
        used = {
            member: {name: each for name, each in there.items() if name in said}
            for member, there in found.items()
        }
        return {member: there for member, there in used.items() if there}

    def condition(self) -> dict[str, Any]:
        said = self.choice(CONDITIONS).format(self.choice(["#n", "#n.#m", "#n[0]", "l[1]"]))
        return {"ConditionExpression": said, **self.named(said)}

    def perhaps(self, asked: dict[str, Any], likely: float = 0.4) -> dict[str, Any]:
        """With a condition, or without."""
        found = {**self.condition(), **asked} if self.random() < likely else asked
        return {**self.table, **found}

    def update(self) -> dict[str, Any]:
        said = self.choice(UPDATES)
        asked = {"UpdateExpression": said, "Key": self.key(), **self.named(said)}
        if self.random() < 0.3:
            condition = self.condition()
            for member in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
                condition[member] = {**condition.get(member, {}), **asked.get(member, {})}
            asked |= {member: each for member, each in condition.items() if each}
        return {**self.table, **asked}

    def returning(self, *values: str) -> dict[str, Any]:
        failing = self.choice(["NONE", "ALL_OLD"])
        return {
            "ReturnValues": self.choice(["NONE", "ALL_OLD", *values]),
            "ReturnValuesOnConditionCheckFailure": failing,
        }

    # -- requests -------------------------------------------------------------------------------

    def put_item(self) -> dict[str, Any]:
        return {**self.perhaps({"Item": self.item()}), **self.returning()}

    def update_item(self) -> dict[str, Any]:
        return {**self.update(), **self.returning("ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")}

    def delete_item(self) -> dict[str, Any]:
        return {**self.perhaps({"Key": self.key()}), **self.returning()}

    def get_item(self) -> dict[str, Any]:
        some = {"ProjectionExpression": "a, l[0], m.b"} if self.random() < 0.3 else {}
        return {**self.table, "Key": self.key(), **some}

    def query(self) -> dict[str, Any]:
        first, second, indexed = KEYS[self.place]
        index = self.choice(["", "", "wide", "narrow", "local", "none"])
        is_global = index in {"wide", "narrow"}
        kind = "S" if index else second
        name = "ir" if index else "r"
        said, values = "#h = :h", {":h": self.key_value(indexed if is_global else first)}
        ranges = ("{} = :a", "{} < :a", "{} >= :a", "{} BETWEEN :a AND :b", "begins_with({}, :a)")
        if kind and index != "narrow" and self.random() < 0.7:
            said += " AND " + self.choice(ranges).format(name)
            values[":a"] = self.key_value(kind)
            if ":b" in said:
                values[":b"] = self.key_value(kind)
        asked = {
            "KeyConditionExpression": said,
            "ExpressionAttributeNames": {"#h": "ih" if is_global else "h"},
            "ExpressionAttributeValues": values,
            "ScanIndexForward": self.random() < 0.5,
        }
        more = {
            "Limit": self.randint(1, 3),
            "FilterExpression": "attribute_exists(a)",
            **self.choice([{"ProjectionExpression": "#h, a, l[0]"}, {"Select": "COUNT"}]),
        }
        asked |= {member: each for member, each in more.items() if self.random() < 0.4}
        return {**self.table, **asked, **({"IndexName": index} if index else {})}

    def older_query(self) -> dict[str, Any]:
        wanted = [self.key_value(KEYS[self.place][0])]
        equal = {"AttributeValueList": wanted, "ComparisonOperator": "EQ"}
        return {**self.table, "KeyConditions": {"h": equal}}

    def scan(self) -> dict[str, Any]:
        more = {
            "FilterExpression": "a = :v",
            "ExpressionAttributeValues": {":v": self.value(0)},
            **({"IndexName": "wide"} if self.random() < 0.3 else {}),
        }
        return {**self.table, **self.choice([{"Limit": 3}, more])}

    def batch_get_item(self) -> dict[str, Any]:
        keys = {repr(key): key for key in (self.key() for _ in range(4))}
        return {"RequestItems": {self.table["TableName"]: {"Keys": [*keys.values()]}}}

    def batch_write_item(self) -> dict[str, Any]:
        writes = [{"DeleteRequest": {"Key": self.key()}}, {"PutRequest": {"Item": self.item()}}]
        return {"RequestItems": {self.table["TableName"]: writes}}

    def transact_write_items(self) -> dict[str, Any]:
        return {"TransactItems": [self.written() for _ in range(self.randint(1, 3))]}

    def written(self) -> dict[str, Any]:
        """One write of a transaction."""
        write: dict[str, Any]
        match self.choice(["Put", "Update", "Delete", "ConditionCheck"]):
            case "Put" as kind:
                write = self.perhaps({"Item": self.item()})
            case "Update" as kind:
                write = self.update()
            case kind:
                likely = 1.0 if kind == "ConditionCheck" else 0.4
                write = self.perhaps({"Key": self.key()}, likely)
        return {kind: {**write, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}

    def transact_get_items(self) -> dict[str, Any]:
        return {"TransactItems": [{"Get": {**self.table, "Key": self.key()}} for _ in range(2)]}

    def execute_statement(self) -> dict[str, Any]:
        statement = f'SELECT * FROM "t{self.place}" WHERE a = ?'  # noqa: S608 - nobody's input
        return {"Statement": statement, "Parameters": [self.key_value("S")]}

    def filling(self, place: int) -> Request:
        """An item, so that queries find some."""
        self.place = place
        return "dynamodb", "put_item", {**self.table, "Item": self.item()}

    def request(self) -> Request:
        """Mostly to DynamoDB, sometimes to another service of moto's."""
        if self.random() < 0.05:
            return self.choice(OTHERS)
        self.place = self.randrange(len(KEYS))
        often = [self.put_item, self.update_item, self.query, self.transact_write_items] * 4
        often += [self.query] * 8
        draw = self.choice(
            [
                *often,
                *(self.delete_item, self.get_item, self.older_query, self.scan),
                *(self.batch_get_item, self.batch_write_item),
                *(self.transact_get_items, self.execute_statement),
            ]
        )
        return "dynamodb", draw.__name__.removeprefix("older_"), draw()


OTHERS: tuple[Request, ...] = (
    ("dynamodb", "describe_table", {"TableName": "t0"}),
    ("ssm", "put_parameter", {"Name": "x", "Value": "y", "Type": "String", "Overwrite": True}),
    ("ssm", "get_parameter", {"Name": "x"}),
    ("sqs", "create_queue", {"QueueName": "x"}),
    ("sts", "get_caller_identity", {}),
)


def _table(place: int) -> dict[str, Any]:
    """A table with two global indexes, a local one where it can be, and a stream."""
    first, second, indexed = KEYS[place]

    def schema(hash_name: str, range_name: str = "") -> list[dict[str, str]]:
        found = [{"AttributeName": hash_name, "KeyType": "HASH"}]
        return [*found, {"AttributeName": range_name, "KeyType": "RANGE"}][: 1 + bool(range_name)]

    def index(name: str, keys: list[dict[str, str]], **projection: Any) -> dict[str, Any]:
        return {"IndexName": name, "KeySchema": keys, "Projection": projection}

    made = {
        "TableName": f"t{place}",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": schema("h", "r" if second else ""),
        "GlobalSecondaryIndexes": [
            index("wide", schema("ih", "ir"), ProjectionType="ALL"),
            index("narrow", schema("ih"), ProjectionType="INCLUDE", NonKeyAttributes=["a"]),
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }
    kinds = {"h": first, "ih": indexed, "ir": "S"}
    if second:
        kinds["r"] = second
        made["LocalSecondaryIndexes"] = [index("local", schema("h", "ir"), ProjectionType="ALL")]
    defined = [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]
    return {**made, "AttributeDefinitions": defined}


def _plain(value: Any, name: str = "") -> Any:
    """Without what differs each time, and sets in one order."""
    if isinstance(value, dict):
        return {key: _plain(each, key) for key, each in value.items() if key not in VARYING}
    if isinstance(value, list):
        found = [_plain(each) for each in value]
        return sorted(found) if name in {"SS", "NS", "BS"} else found
    return value


def _answer(call: Callable[..., Any], **asked: Any) -> Any:
    try:
        return _plain(call(**asked))
    except Exception as error:  # noqa: BLE001 - what moto cannot do stays the same, too
        return type(error).__name__, str(error), _plain(getattr(error, "response", {}))


def _answers(requests: list[Request]) -> list[Any]:
    """What is answered to each request, with every page, and what the streams hold at the end."""
    found: list[Any] = []
    clients: dict[str, Any] = {}
    session = new_session()
    for service, operation, asked in requests:
        if service not in clients:
            clients[service] = session.create_client(service, region_name=REGION)
        call, pages, more = getattr(clients[service], operation), 0, dict(asked)
        while pages < 20:
            found.append(page := _answer(call, **more))
            pages += 1
            if not isinstance(page, dict) or "LastEvaluatedKey" not in page:
                break
            more["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    config = Config(account_id_endpoint_mode="disabled")  # moto serves no other for streams
    streams = session.create_client("dynamodbstreams", region_name=REGION, config=config)
    for place in range(len(KEYS)):
        table = clients["dynamodb"].describe_table(TableName=f"t{place}")["Table"]
        stream = {"StreamArn": table["LatestStreamArn"]}
        (shard,) = streams.describe_stream(**stream)["StreamDescription"]["Shards"]
        at = streams.get_shard_iterator(
            **stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        page = _answer(streams.get_records, ShardIterator=at)
        found += page["Records"] if isinstance(page, dict) else [page]
    return found


def differences(seed: int) -> list[tuple[Any, Any]]:
    """What moto answers without the short cuts, and with them, where that is not the same."""
    dice = Dice(seed)
    requests: list[Request] = [
        *(("dynamodb", "create_table", _table(place)) for place in range(len(KEYS))),
        *(dice.filling(number % len(KEYS)) for number in range(FILLING)),
        *(dice.request() for _ in range(REQUESTS)),
    ]
    with mock_aws():
        plain = _answers(requests)
    with ExitStack() as stack:
        for each in SHORT_CUTS:
            stack.enter_context(each())
        stack.enter_context(mock_aws())
        short = _answers(requests)
    with mock_aws():
        after = _answers(requests)
    found = [pair for pair in zip(plain, short, strict=False) if pair[0] != pair[1]]
    if len(plain) != len(short):
        found.append((f"{len(plain)} answers", f"{len(short)} answers"))
    if after != plain:
        found.append(("as before", "otherwise, although the short cuts were undone"))
    return found


def main(rounds: int) -> None:
    """Write each difference."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "dummy", "AWS_SECRET_ACCESS_KEY": "dummy"}
    for seed in range(rounds):
        for plain, short in differences(seed):
            sys.stdout.write(f"seed {seed}\n  without: {plain}\n  with:    {short}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
