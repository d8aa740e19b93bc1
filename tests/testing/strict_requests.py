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
    "undefined name": ("PutItem", conditional("attribute_exists(#a)"), "#a is used but not"),
    "undefined value": ("PutItem", conditional("a = :a"), ":a is used but not"),
    "values alone": ("PutItem", {**put(), **placeholders(None, {"a": s("")})}, "without an expr"),
    "no names": (
        "PutItem",
        {**conditional("attribute_exists(a)"), "ExpressionAttributeNames": {}},
        "must not be empty",
    ),
    "long placeholder": (
        "PutItem",
        conditional(f"a = :{'x' * 255}", **{"x" * 255: s("")}),
        "is too long",
    ),
    "2 MB of values": (
        "PutItem",
        conditional("a = :a", a=s("x" * 2_097_152)),
        "more than 2 MB",
    ),
    # expressions
    "empty expression": ("PutItem", conditional(" "), "is empty"),
    "garbage": ("PutItem", conditional("a = ?"), "syntax error"),
    "left over": ("PutItem", conditional("attribute_exists(a) b"), "syntax error"),
    "long expression": (
        "PutItem",
        conditional(" OR ".join(["attribute_exists(aaaaaaaaaaaaaaaaaaaaaaaaaaaa)"] * 90)),
        "longer than 4,096",
    ),
    "reserved word": ("PutItem", conditional("attribute_exists(ttl)"), "ttl is a reserved word"),
    "reserved word inside": ("UpdateItem", update("REMOVE a.names"), "names is a reserved word"),
    "redundant parentheses": (
        "PutItem",
        conditional("((attribute_exists(a)))"),
        "redundant parentheses",
    ),
    "301 operators": (
        "PutItem",
        conditional(" OR ".join(["a=:a"] * 151), a=n(1)),
        "301 operators",
    ),
    "IN over 100": (
        "PutItem",
        conditional(
            f"a IN ({', '.join(f':a{i}' for i in range(101))})",
            **{f"a{i}": n(i) for i in range(101)},
        ),
        "IN compares with 101",
    ),
    "deep path": ("PutItem", conditional(f"attribute_exists(a{'.a' * 32})"), "more than 32"),
    "BETWEEN reversed": (
        "PutItem",
        conditional("a BETWEEN :b AND :c", b=n(10), c=n(9)),
        "wrong way round",
    ),
    "BETWEEN of two types": (
        "PutItem",
        conditional("a BETWEEN :b AND :c", b=n(1), c=s("2")),
        "two types",
    ),
    "order of a list": ("PutItem", conditional("a < :a", a={"L": []}), "cannot order L"),
    "compared with itself": ("PutItem", conditional("a = a"), "with itself"),
    "unknown function": ("PutItem", conditional("exists(a)"), r"exists\(\) is no condition"),
    "function of a value": (
        "PutItem",
        conditional("attribute_exists(:a)", a=s("x")),
        "must be a path",
    ),
    "missing argument": ("PutItem", conditional("begins_with(a)"), "takes 2"),
    "begins_with a number": ("PutItem", conditional("begins_with(a, :a)", a=n(1)), "not N"),
    "type that is none": (
        "PutItem",
        conditional("attribute_type(a, :a)", a=s("TEXT")),
        "name of a type",
    ),
    "size as a condition": ("PutItem", conditional("size(a)"), "no condition"),
    "predicate as an operand": (
        "PutItem",
        conditional("attribute_exists(a) = :a", a={"BOOL": True}),
        "cannot be an operand",
    ),
    "overlapping projection": (
        "GetItem",
        {"TableName": T, "Key": key(), "ProjectionExpression": "a.b, a"},
        "overlap",
    ),
    "legacy parameter": ("PutItem", {**put(), "Expected": {}}, "legacy"),
    # values
    "39 digits": ("PutItem", put(a=n("1" * 39)), "38 digits"),
    "number too large": ("PutItem", put(a=n("1e126")), "magnitude"),
    "number too small": ("PutItem", put(a=n("1e-131")), "magnitude"),
    "not a number": ("PutItem", put(a=n("NaN")), "not a number"),
    "number not as text": ("PutItem", put(a={"N": 1}), "sent as text"),
    "empty set": ("PutItem", put(a={"SS": []}), "must not be empty"),
    "duplicates in a set": ("PutItem", put(a={"NS": ["1", "1.0"]}), "duplicates"),
    "nesting over 32": ("PutItem", put(a=nested(33)), "deeper than 32"),
    "two types": ("PutItem", put(a={"S": "a", "N": "1"}), "exactly one type"),
    "unknown type": ("PutItem", put(a={"X": "a"}), "unknown type"),
    "null that is false": ("PutItem", put(a={"NULL": False}), "must be true"),
    "flag that is text": ("PutItem", put(a={"BOOL": "true"}), "true or false"),
    "binary as text": ("PutItem", put(a={"B": "eA=="}), "must be bytes"),
    "lone surrogate": ("PutItem", put(a=s("\ud800")), "lone surrogate"),
    "values of expressions too": (
        "PutItem",
        conditional("a = :a", a={"NS": []}),
        "must not be empty",
    ),
    "item over 400 KB": ("PutItem", put(body=s("x" * (AT_LIMIT + 1))), "409,601 bytes"),
    "ttl as text": ("PutItem", put(ttl=s("2025")), "never expire"),
    # keys
    "empty partition key": ("PutItem", put(PK=s("")), "PK is empty"),
    "empty sort key": ("GetItem", {"TableName": T, "Key": key(sk="")}, "SK is empty"),
    "key of a wrong type": ("GetItem", {"TableName": T, "Key": {**key(), "SK": n(1)}}, "type S"),
    "half a key": ("DeleteItem", {"TableName": T, "Key": {"PK": s("P#")}}, "the key has"),
    "key with more": ("GetItem", {"TableName": T, "Key": {**key(), "a": n(1)}}, "the key has"),
    "long partition key": ("PutItem", put(PK=s("é" * 1_025)), "2,050 bytes of 2,048"),
    "long sort key": ("PutItem", put(SK=s("x" * 1_025)), "1,025 bytes of 1,024"),
    "item without a key": ("PutItem", {"TableName": T, "Item": {"PK": s("P#")}}, "lacks"),
    "index key of a wrong type": ("PutItem", put(GSI1PK=n(1), GSI1SK=s("x")), "type S"),
    "empty index key": ("PutItem", put(GSI1PK=s(""), GSI1SK=s("x")), "GSI1PK is empty"),
    "long index key": ("PutItem", put(GSI2PK=s("x"), GSI2SK=s("x" * 1_025)), "of 1,024"),
    "half an index key": ("PutItem", put(GSI1PK=s("x")), "GSI1PK without GSI1SK"),
    # key conditions
    "no key condition": ("Query", {"TableName": T}, "needs a KeyConditionExpression"),
    "no partition": ("Query", query("SK = :p"), "needs one equality"),
    "partition by prefix": ("Query", query("begins_with(PK, :p)"), "needs one equality"),
    "OR": ("Query", query("PK = :p OR PK = :q", q=s("Q#")), "knows no OR"),
    "NOT": ("Query", query("PK = :p AND NOT SK = :s", s=s("S#")), "knows no OR"),
    "IN": ("Query", query("PK = :p AND SK IN (:s)", s=s("S#")), "knows no OR"),
    "unequal": ("Query", query("PK = :p AND SK <> :s", s=s("S#")), "knows no OR"),
    "two sort key conditions": (
        "Query",
        query("PK = :p AND SK > :a AND SK < :b", a=s("A#"), b=s("B#")),
        "two conditions",
    ),
    "key of another index": (
        "Query",
        query("PK = :p AND SK = :s", index="GSI1", s=s("S#")),
        "no key attribute",
    ),
    "not a key": ("Query", query("PK = :p AND a = :a", a=s("A#")), "no key attribute"),
    "sort key reversed": (
        "Query",
        query("PK = :p AND SK BETWEEN :a AND :b", a=s("B#"), b=s("A#")),
        "wrong way round",
    ),
    "sort key of a wrong type": ("Query", query("PK = :p AND SK > :a", a=n(1)), "type S"),
    "empty prefix": ("Query", query("PK = :p AND begins_with(SK, :a)", a=s("")), "is empty"),
    "sort key against a path": ("Query", query("PK = :p AND SK > GSI1SK"), "with values"),
    "nested key": ("Query", query("PK.a = :p"), "top-level"),
    "contains": ("Query", query("PK = :p AND contains(SK, :a)", a=s("a")), "top-level"),
    "unknown index": ("Query", query(index="GSI3"), "no index GSI3"),
    "consistent index": (
        "Query",
        query("GSI1PK = :p", index="GSI1", more={"ConsistentRead": True}),
        "consistently",
    ),
    "limit 0": ("Query", query(more={"Limit": 0}), "at least 1"),
    "unknown select": ("Query", query(more={"Select": "ALL"}), "is unknown"),
    "select of an index": (
        "Query",
        query(more={"Select": "ALL_PROJECTED_ATTRIBUTES"}),
        "is for an index",
    ),
    "count of a projection": (
        "Query",
        query(more={"Select": "COUNT", "ProjectionExpression": "a"}),
        "contradict",
    ),
    "filter": (
        "Query",
        query(more={"FilterExpression": "a = :a"}, a=s("x")),
        "throws away",
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
    "empty start": ("Query", query(start=key(sk="")), "SK is empty"),
    # batches
    "26 writes": ("BatchWriteItem", batch_write(*(deletion(f"{i}") for i in range(26))), "1 to 25"),
    "no write": ("BatchWriteItem", batch_write(), "1 to 25"),
    "one item twice": (
        "BatchWriteItem",
        batch_write(deletion("S#"), {"PutRequest": {"Item": item()}}),
        "one item twice",
    ),
    "bad item in a batch": (
        "BatchWriteItem",
        batch_write({"PutRequest": {"Item": item(a={"SS": []})}}),
        "must not be empty",
    ),
    "101 keys": ("BatchGetItem", batch_get(*(key(sk=f"{i}") for i in range(101))), "1 to 100"),
    "one key twice": ("BatchGetItem", batch_get(key(), key()), "one item twice"),
    "unused name in a batch": (
        "BatchGetItem",
        batch_get(key(), ProjectionExpression="a", ExpressionAttributeNames={"#b": "b"}),
        "uses #b",
    ),
    # transactions
    "101 members": (
        "TransactWriteItems",
        transaction(*(t_delete(f"{i}") for i in range(101))),
        "1 to 100",
    ),
    "two members, one item": (
        "TransactWriteItems",
        transaction(t_put("S#"), t_delete("S#")),
        "one item twice",
    ),
    "two actions in a member": (
        "TransactWriteItems",
        transaction({**t_put("S#"), **t_delete("T#")}),
        "exactly one action",
    ),
    "4 MB": (
        "TransactWriteItems",
        transaction(*(t_put(f"{i}", a=s("x" * 400_000)) for i in range(11))),
        "bytes of 4,194,304",
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
        "one item twice",
    ),
    # updates
    "update of a key": ("UpdateItem", update("SET PK = :a", a=s("x")), "key attribute PK"),
    "removal of a key": ("UpdateItem", update("REMOVE #k", {"#k": "SK"}), "key attribute SK"),
    "one path twice": ("UpdateItem", update("SET a = :a, a = :a", a=n(1)), "overlap"),
    "path within a path": ("UpdateItem", update("SET a.b = :a REMOVE a", a=n(1)), "overlap"),
    "list and map": ("UpdateItem", update("SET a.b = :a, a[0] = :a", a=n(1)), "conflict"),
    "two sections": ("UpdateItem", update("SET a = :a SET b = :a", a=n(1)), "only once"),
    "no section": ("UpdateItem", update("a = :a", a=n(1)), "syntax error"),
    "half an index key set": (
        "UpdateItem",
        update("SET GSI1SK = :a", a=s("x")),
        "GSI1SK without GSI1PK",
    ),
    "half an index key removed": ("UpdateItem", update("REMOVE GSI2PK"), "without GSI2SK"),
    "one half set, one removed": (
        "UpdateItem",
        update("SET GSI1PK = :a REMOVE GSI1SK", a=s("x")),
        "half a key",
    ),
    "index key set to a number": (
        "UpdateItem",
        update("SET GSI1PK = :a, GSI1SK = :b", a=s("x"), b=n(1)),
        "type S",
    ),
    "index key set to nothing": (
        "UpdateItem",
        update("SET GSI1PK = if_not_exists(GSI1PK, :a), GSI1SK = :b", a=s(""), b=s("x")),
        "GSI1PK is empty",
    ),
    "index key counted up": (
        "UpdateItem",
        update("ADD GSI1PK :a SET GSI1SK = :b", a=n(1), b=s("x")),
        "break the type",
    ),
    "ADD of text": ("UpdateItem", update("ADD a :a", a=s("x")), "number or a set"),
    "DELETE of a number": ("UpdateItem", update("DELETE a :a", a=n(1)), "takes a set"),
    "sum of text": ("UpdateItem", update("SET a = a + :a", a=s("x")), "takes numbers"),
    "append of text": (
        "UpdateItem",
        update("SET a = list_append(a, :a)", a=s("x")),
        "takes lists",
    ),
    "condition assigned": (
        "UpdateItem",
        update("SET a = contains(b, :a)", a=s("x")),
        "cannot be assigned",
    ),
    "if_not_exists of a value": (
        "UpdateItem",
        update("SET a = if_not_exists(:a, :a)", a=s("x")),
        "takes a path",
    ),
    "update over 400 KB": ("UpdateItem", update("SET a = :a", a=s("x" * 409_600)), "409,601"),
    # everything else
    "new item of a put": ("PutItem", {**put(), "ReturnValues": "ALL_NEW"}, "not for PutItem"),
    "partiql": ("ExecuteStatement", {"Statement": "SELECT * FROM chat"}, "PartiQL"),
}

ACCEPTED = {
    "put": ("PutItem", put(a={"M": {"": s(""), "b": {"L": []}}}, c={"SS": [""]}, **GSI1)),
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
