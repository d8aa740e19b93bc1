"""Requests that the strict hook refuses, with the reason, and requests that it lets pass."""

from typing import Any

T = "chat"


def s(text: str) -> dict[str, Any]:
    return {"S": text}


def n(number: object) -> dict[str, Any]:
    return {"N": str(number)}


def key(pk: str = "P#", sk: str = "S#") -> dict[str, Any]:
    return {"PK": s(pk), "SK": s(sk)}


def item(**attributes: Any) -> dict[str, Any]:
    return {**key(), "kind": s("message"), "v": n(1), **attributes}


def put(**attributes: Any) -> dict[str, Any]:
    return {"TableName": T, "Item": item(**attributes)}


def conditional(
    expression: str, names: dict[str, str] | None = None, **values: Any
) -> dict[str, Any]:
    """A put under a condition."""
    return {**put(), "ConditionExpression": expression, **placeholders(names, values)}


def update(expression: str, names: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
    return {
        "TableName": T,
        "Key": key(),
        "UpdateExpression": expression,
        **placeholders(names, values),
    }


def query(
    expression: str = "PK = :p",
    *,
    index: str | None = None,
    start: dict[str, Any] | None = None,
    names: dict[str, str] | None = None,
    more: dict[str, Any] | None = None,
    **values: Any,
) -> dict[str, Any]:
    request = {
        "TableName": T,
        "KeyConditionExpression": expression,
        **placeholders(names, {"p": s("P#"), **values}),
        **(more or {}),
    }
    if index:
        request["IndexName"] = index
    if start:
        request["ExclusiveStartKey"] = start
    return request


def placeholders(names: dict[str, str] | None, values: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    if names:
        request["ExpressionAttributeNames"] = names
    if values:
        request["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return request


def batch_write(*writes: dict[str, Any]) -> dict[str, Any]:
    return {"RequestItems": {T: list(writes)}}


def deletion(sk: str) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": key(sk=sk)}}


def batch_get(*keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"RequestItems": {T: {"Keys": list(keys), **more}}}


def transaction(*members: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"TransactItems": list(members), **more}


def t_put(sk: str, **attributes: Any) -> dict[str, Any]:
    return {"Put": {"TableName": T, "Item": item(SK=s(sk), **attributes)}}


def t_delete(sk: str) -> dict[str, Any]:
    return {"Delete": {"TableName": T, "Key": key(sk=sk)}}


def nested(levels: int) -> dict[str, Any]:
    """A value whose innermost leaf is at this level."""
    value = n(1)
    for _ in range(levels - 1):
        value = {"L": [value]}
    return value


GSI1 = {"GSI1PK": s("G#"), "GSI1SK": s("H#")}
AT_LIMIT = 409_600 - sum(map(len, ("PKP#", "SKS#", "kindmessage", "v", "body"))) - 2

REFUSED = {
    # placeholders
    "unused name": ("PutItem", conditional("attribute_exists(a)", {"#b": "b"}), "uses #b"),
    "unused value": ("PutItem", conditional("attribute_exists(a)", b=s("x")), "uses :b"),
    "values alone": ("PutItem", {**put(), **placeholders(None, {"a": s("")})}, "uses :a"),
    "no names": (
        "PutItem",
        {**conditional("attribute_exists(a)"), "ExpressionAttributeNames": {}},
        "must not be empty",
    ),
    # expressions
    "long expression": (
        "PutItem",
        conditional(" OR ".join(["attribute_exists(aaaaaaaaaaaaaaaaaaaaaaaaaaaa)"] * 90)),
        "longer than 4,096",
    ),
    "IN over 100": (
        "PutItem",
        conditional(
            f"a IN ({', '.join(f':a{i}' for i in range(101))})",
            **{f"a{i}": n(i) for i in range(101)},
        ),
        "more than 100",
    ),
    "BETWEEN reversed": (
        "PutItem",
        conditional("a BETWEEN :b AND :c", b=n(10), c=n(9)),
        "lower bound above",
    ),
    "BETWEEN of two types": (
        "PutItem",
        conditional("a BETWEEN :b AND :c", b=n(1), c=s("2")),
        "two types",
    ),
    # values
    "39 digits": ("PutItem", put(a=n("1" * 39)), "38 digits"),
    "number too large": ("PutItem", put(a=n("1e126")), "38 digits"),
    "empty set": ("PutItem", put(a={"SS": []}), "must not be empty"),
    "duplicates in a set": ("PutItem", put(a={"NS": ["1", "1.0"]}), "duplicates"),
    "nesting over 32": ("PutItem", put(a=nested(33)), "deeper than 32"),
    "two types": ("PutItem", put(a={"S": "a", "N": "1"}), "exactly one type"),
    "ttl as text": ("PutItem", put(ttl=s("2025")), "never expire"),
    # keys
    "empty partition key": ("PutItem", put(PK=s("")), "PK must be text, not empty"),
    "empty sort key": (
        "GetItem",
        {"TableName": T, "Key": key(sk="")},
        "SK must be text, not empty",
    ),
    "key of a wrong type": (
        "GetItem",
        {"TableName": T, "Key": {**key(), "SK": n(1)}},
        "SK must be text",
    ),
    "half a key": ("DeleteItem", {"TableName": T, "Key": {"PK": s("P#")}}, "lacks SK"),
    "long partition key": ("PutItem", put(PK=s("é" * 1_025)), "more than 2,048"),
    "long sort key": ("PutItem", put(SK=s("x" * 1_025)), "more than 1,024"),
    "item without a key": ("PutItem", {"TableName": T, "Item": {"PK": s("P#")}}, "lacks"),
    "index key of a wrong type": (
        "PutItem",
        put(GSI1PK=n(1), GSI1SK=s("x")),
        "GSI1PK must be text",
    ),
    "empty index key": (
        "PutItem",
        put(GSI1PK=s(""), GSI1SK=s("x")),
        "GSI1PK must be text, not empty",
    ),
    "long index key": ("PutItem", put(GSI2PK=s("x"), GSI2SK=s("x" * 1_025)), "more than 1,024"),
    "half an index key": (
        "PutItem",
        put(GSI1PK=s("x")),
        "the put has only one of the two key attributes of GSI1",
    ),
    # key conditions
    "no key condition": ("Query", {"TableName": T}, "not one partition"),
    "no partition": ("Query", query("SK = :p"), "not one partition"),
    "partition by prefix": ("Query", query("begins_with(PK, :p)"), "not one partition"),
    "OR": ("Query", query("PK = :p OR PK = :q", q=s("Q#")), "not one partition"),
    "NOT": ("Query", query("PK = :p AND NOT SK = :s", s=s("S#")), "not one partition"),
    "IN": ("Query", query("PK = :p AND SK IN (:s)", s=s("S#")), "not one partition"),
    "unequal": ("Query", query("PK = :p AND SK <> :s", s=s("S#")), "not one partition"),
    "two sort key conditions": (
        "Query",
        query("PK = :p AND SK > :a AND SK < :b", a=s("A#"), b=s("B#")),
        "not one partition",
    ),
    "key of another index": (
        "Query",
        query("PK = :p AND SK = :s", index="GSI1", s=s("S#")),
        "not one partition",
    ),
    "not a key": ("Query", query("PK = :p AND a = :a", a=s("A#")), "not one partition"),
    "sort key reversed": (
        "Query",
        query("PK = :p AND SK BETWEEN :a AND :b", a=s("B#"), b=s("A#")),
        "lower bound above",
    ),
    "sort key of a wrong type": ("Query", query("PK = :p AND SK > :a", a=n(1)), "SK must be text"),
    "empty prefix": (
        "Query",
        query("PK = :p AND begins_with(SK, :a)", a=s("")),
        "SK must be text, not empty",
    ),
    "sort key against a path": ("Query", query("PK = :p AND SK > GSI1SK"), "SK must be text"),
    "nested key": ("Query", query("PK.a = :p"), "not one partition"),
    "contains": ("Query", query("PK = :p AND contains(SK, :a)", a=s("a")), "not one partition"),
    "filter": (
        "Query",
        query(more={"FilterExpression": "a = :a"}, a=s("x")),
        "leaves out",
    ),
    "scan": ("Scan", {"TableName": T}, "reads the whole table"),
    # starting keys
    "start in another partition": ("Query", query(start=key("Q#")), "another partition"),
    "start without a sort key": ("Query", query(start={"PK": s("P#")}), "needed"),
    "start without index keys": (
        "Query",
        query("GSI1PK = :p", index="GSI1", start=key()),
        "needed",
    ),
    "start in another index partition": (
        "Query",
        query("GSI1PK = :p", index="GSI1", start={**key(), **GSI1}),
        "another partition",
    ),
    "start above the range": (
        "Query",
        query("PK = :p AND SK < :a", a=s("S#"), start=key(sk="S#")),
        "outside",
    ),
    "start before the range": (
        "Query",
        query("PK = :p AND SK BETWEEN :a AND :b", a=s("T#"), b=s("U#"), start=key()),
        "outside",
    ),
    "start of another prefix": (
        "Query",
        query("PK = :p AND begins_with(SK, :a)", a=s("S#1"), start=key()),
        "outside",
    ),
    "empty start": ("Query", query(start=key(sk="")), "SK must be text, not empty"),
    # batches
    "26 writes": (
        "BatchWriteItem",
        batch_write(*(deletion(f"{i}") for i in range(26))),
        "26 writes; 25 are allowed",
    ),
    "no write": ("BatchWriteItem", batch_write(), "no item"),
    "one item twice": (
        "BatchWriteItem",
        batch_write(deletion("S#"), {"PutRequest": {"Item": item()}}),
        "named twice",
    ),
    "bad item in a batch": (
        "BatchWriteItem",
        batch_write({"PutRequest": {"Item": item(a={"SS": []})}}),
        "must not be empty",
    ),
    "one key twice": ("BatchGetItem", batch_get(key(), key()), "named twice"),
    # transactions
    "two members, one item": (
        "TransactWriteItems",
        transaction(t_put("S#"), t_delete("S#")),
        "named twice",
    ),
    "4 MB": (
        "TransactWriteItems",
        transaction(*(t_put(f"{i}", a=s("x" * 400_000)) for i in range(11))),
        "4,400,243",
    ),
    "check of nothing": (
        "TransactWriteItems",
        transaction({"ConditionCheck": {"TableName": T, "Key": key()}}),
        "needs a ConditionExpression",
    ),
    "unused value in a transaction": (
        "TransactWriteItems",
        transaction(
            {"Update": update("SET a = :a", a=n(1), b=n(2))},
        ),
        "uses :b",
    ),
    "long token": (
        "TransactWriteItems",
        transaction(t_put("S#"), ClientRequestToken="x" * 37),
        "1 to 36",
    ),
    "one key read twice": (
        "TransactGetItems",
        transaction(*[{"Get": {"TableName": T, "Key": key()}}] * 2),
        "named twice",
    ),
    # updates
    "half an index key set": (
        "UpdateItem",
        update("SET GSI1SK = :a", a=s("x")),
        "SET has only one of the two key attributes of GSI1",
    ),
    "half an index key removed": (
        "UpdateItem",
        update("REMOVE GSI2PK"),
        "REMOVE has only one of the two key attributes of GSI2",
    ),
    "one half set, one removed": (
        "UpdateItem",
        update("SET GSI1PK = :a REMOVE GSI1SK", a=s("x")),
        "only one of the two",
    ),
    "index key set to a number": (
        "UpdateItem",
        update("SET GSI1PK = :a, GSI1SK = :b", a=s("x"), b=n(1)),
        "GSI1SK must be text",
    ),
    "index key set to nothing": (
        "UpdateItem",
        update("SET GSI1PK = if_not_exists(GSI1PK, :a), GSI1SK = :b", a=s(""), b=s("x")),
        "GSI1PK must be text, not empty",
    ),
    # everything else
}

ACCEPTED = {
    "put": ("PutItem", put(a={"M": {"": s(""), "b": {"L": []}}}, c={"SS": [""]}, **GSI1)),
    "binary as base64": (
        "PutItem",
        conditional("a = :a AND b BETWEEN :b AND :b", a={"BS": ["YWJj"]}, b={"B": "YWJj"}),
    ),
    "item of 400 KB": ("PutItem", put(body=s("x" * AT_LIMIT))),
    "nesting of 32": ("PutItem", put(a=nested(32))),
    "38 digits": ("PutItem", put(a=n("-" + "9" * 38 + "e87"), b=n("0"), c=n("1e-130"))),
    "long keys": ("PutItem", put(PK=s("x" * 2_048), SK=s("é" * 512))),
    "PynamoDB's parentheses": (
        "PutItem",
        conditional(
            "((#0 = :0 AND (attribute_not_exists (#1) OR #1 > :1)) AND NOT size (#2) IN (:1))",
            {"#0": "kind", "#1": "ttl", "#2": "body"},
            **{"0": s("x"), "1": n(5)},
        ),
    ),
    "300 operators": (
        "PutItem",
        conditional("NOT " + " OR ".join(["a=:a"] * 150), a=n(1)),
    ),
    "IN of 100": (
        "PutItem",
        conditional(
            f"a IN ({', '.join(f':a{i}' for i in range(100))})",
            **{f"a{i}": n(i) for i in range(100)},
        ),
    ),
    "bounds that are equal": ("PutItem", conditional("a BETWEEN :b AND :b", b=n("1.0"))),
    "lower-case words": ("PutItem", conditional("not a between :b and :b", b=n(1))),
    "projection": (
        "GetItem",
        {"TableName": T, "Key": key(), "ProjectionExpression": "a.b, a.c[0], a.c[1]"},
    ),
    "query": ("Query", query("PK = :p AND SK BETWEEN :a AND :b", a=s("S#"), b=s("S$"))),
    "page of an index": (
        "Query",
        query(
            "#p = :p AND begins_with(#s, :a)",
            index="GSI2",
            start={**key(), "GSI2PK": s("P#"), "GSI2SK": s("A#1")},
            names={"#p": "GSI2PK", "#s": "GSI2SK"},
            a=s("A#"),
        ),
    ),
    "start inside the range": ("Query", query("PK = :p AND SK >= :a", a=s("S#"), start=key())),
    "25 writes": ("BatchWriteItem", batch_write(*(deletion(f"{i}") for i in range(25)))),
    "100 keys": ("BatchGetItem", batch_get(*(key(sk=f"{i}") for i in range(100)))),
    "transaction": (
        "TransactWriteItems",
        transaction(
            t_put("A#", **GSI1),
            t_delete("B#"),
            {"Update": {**update("SET a = :a", a=n(1)), "ConditionExpression": "a < :a"}},
            {
                "ConditionCheck": {
                    "TableName": T,
                    "Key": key(sk="C#"),
                    "ConditionExpression": "attribute_exists(PK)",
                }
            },
        ),
    ),
    "update": (
        "UpdateItem",
        update(
            "SET GSI1PK = :g, GSI1SK = if_not_exists(GSI1SK, :g), c = c - (:n + n.#m[2]), "
            "l = list_append(:l, l) REMOVE GSI2PK, GSI2SK, d[0], d[1] ADD e :n, f :f DELETE h :f",
            {"#m": "m"},
            g=s("x"),
            n=n(1),
            l={"L": []},
            f={"SS": ["x"]},
        ),
    ),
    "update of nothing": ("UpdateItem", {"TableName": T, "Key": key()}),
    "keys of the table under a filter of an index": (
        "Query",
        query(more={"Select": "COUNT"}),
    ),
}
