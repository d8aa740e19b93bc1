"""The strict hook: fails on every request that DynamoDB would reject but a stand-in accepts.

    with StrictHook(store.connection.client):
        ...                                     # a bad request raises StrictViolation

It looks at each request of one client before it is sent, whatever engine answers. Beyond what
DynamoDB rejects it holds laws of this package: no Scan and no filter (unless allowed), both key
attributes of an index or neither, and never one ClientRequestToken for two payloads.

What needs the stored item cannot be seen here: whether an update makes an item too large, or a
path does not exist.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dynamo_chat.core.size import MAX_BATCH_BYTES, MAX_TRANSACTION_BYTES, item_size
from dynamo_chat.testing import conditions
from dynamo_chat.testing.expressions import (
    ExpressionError,
    Node,
    Placeholders,
    parse_condition,
    parse_projection,
    parse_update,
)
from dynamo_chat.testing.hook import Client, ClientHook, Handler
from dynamo_chat.testing.schema import CHAT_TABLE, TableSchema
from dynamo_chat.testing.values import (
    StrictViolation,
    check_item,
    check_key,
    check_key_value,
    check_value,
)

MAX_EXPRESSION_BYTES = 4_096
MAX_PLACEHOLDER_BYTES = 255
MAX_SUBSTITUTION_BYTES = 2 * 1_048_576
MAX_BATCH_WRITE = 25
MAX_BATCH_GET = 100
MAX_TRANSACTION = 100
MAX_TOKEN_LENGTH = 36

_LEGACY = frozenset(
    {
        "AttributeUpdates",
        "AttributesToGet",
        "ConditionalOperator",
        "Expected",
        "KeyConditions",
        "QueryFilter",
        "ScanFilter",
    }
)
_EXPRESSIONS = (
    "KeyConditionExpression",
    "FilterExpression",
    "ConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
_OLD_OR_NOTHING = frozenset({"NONE", "ALL_OLD"})
_RETURN_VALUES = {
    "PutItem": _OLD_OR_NOTHING,
    "DeleteItem": _OLD_OR_NOTHING,
    "UpdateItem": _OLD_OR_NOTHING | {"UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"},
}
_SELECT = frozenset({"ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"})

Request = Mapping[str, Any]


class StrictHook(ClientHook):
    """Raises `StrictViolation` for a request that DynamoDB would reject. Safe between threads.

    `violations` keeps every one, for the case that something swallowed the exception.
    """

    def __init__(
        self,
        client: Client,
        *,
        allow_scan: bool = False,
        allow_filter: bool = False,
        schema: TableSchema = CHAT_TABLE,
    ) -> None:
        super().__init__(client)
        self.violations: list[StrictViolation] = []
        self._rules = _Rules(schema, allow_scan=allow_scan, allow_filter=allow_filter)

    def handlers(self) -> dict[str, Handler]:
        """The one event: the request as the caller gave it."""
        return {"before-parameter-build.dynamodb": self._look_at}

    def _look_at(self, params: Request, model: Any, **_: Any) -> None:
        try:
            self._rules.check(model.name, params)
        except (StrictViolation, ExpressionError) as problem:
            violation = StrictViolation(f"{model.name}: {problem}")
            self.violations.append(violation)
            raise violation from problem


class _Rules:
    """The checks, operation by operation."""

    def __init__(self, schema: TableSchema, *, allow_scan: bool, allow_filter: bool) -> None:
        self._schema = schema
        self._allow_scan = allow_scan
        self._allow_filter = allow_filter
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()
        self._checks: dict[str, Callable[[Request], None]] = {
            "GetItem": self._get,
            "PutItem": self._put,
            "DeleteItem": self._delete,
            "UpdateItem": self._update,
            "Query": self._query,
            "Scan": self._scan,
            "BatchGetItem": self._batch_get,
            "BatchWriteItem": self._batch_write,
            "TransactGetItems": self._transact_get,
            "TransactWriteItems": self._transact_write,
            "ExecuteStatement": _no_partiql,
            "BatchExecuteStatement": _no_partiql,
            "ExecuteTransaction": _no_partiql,
        }

    def check(self, operation: str, request: Request) -> None:
        check = self._checks.get(operation)
        if check is None:
            return
        _refuse_legacy(request)
        allowed = _RETURN_VALUES.get(operation)
        if allowed is not None and request.get("ReturnValues", "NONE") not in allowed:
            raise StrictViolation(f"ReturnValues {request['ReturnValues']} is not for {operation}")
        check(request)

    # -- one item

    def _get(self, request: Request) -> None:
        check_key(request["Key"], self._schema.keys)
        self._expressions(request)

    def _put(self, request: Request) -> None:
        check_item(request["Item"], self._schema)
        self._expressions(request)

    def _delete(self, request: Request) -> None:
        check_key(request["Key"], self._schema.keys)
        self._expressions(request)

    def _update(self, request: Request) -> None:
        check_key(request["Key"], self._schema.keys)
        self._expressions(request)

    def _condition_check(self, request: Request) -> None:
        check_key(request["Key"], self._schema.keys)
        if not request.get("ConditionExpression"):
            raise StrictViolation("a ConditionCheck needs a ConditionExpression")
        self._expressions(request)

    # -- many items

    def _query(self, request: Request) -> None:
        index = request.get("IndexName")
        self._check_reading(request)
        if index is not None and request.get("ConsistentRead"):
            raise StrictViolation("an index cannot be read consistently")
        if "KeyConditionExpression" not in request:
            raise StrictViolation("a Query needs a KeyConditionExpression")
        placeholders = self._expressions(request)
        keys = self._schema.keys_of(index)
        asked = conditions.key_condition(
            parse_condition(request["KeyConditionExpression"], placeholders), keys
        )
        start = request.get("ExclusiveStartKey")
        if start is not None:
            self._check_start(start, index)
            partition, sort = (start[name]["S"] for name in keys)
            if partition != asked.partition:
                raise StrictViolation("ExclusiveStartKey comes from another partition")
            if not asked.holds(partition, sort):
                raise StrictViolation("ExclusiveStartKey lies outside the key condition")

    def _scan(self, request: Request) -> None:
        if not self._allow_scan:
            raise StrictViolation("a Scan reads the whole table; get or query instead")
        self._check_reading(request)
        self._expressions(request)
        if request.get("ExclusiveStartKey") is not None:
            self._check_start(request["ExclusiveStartKey"], request.get("IndexName"))

    def _check_reading(self, request: Request) -> None:
        """What Query and Scan share."""
        index = request.get("IndexName")
        if index is not None and index not in self._schema.indexes:
            raise StrictViolation(f"the table has no index {index}")
        if request.get("Limit", 1) < 1:
            raise StrictViolation("Limit must be at least 1")
        if "FilterExpression" in request and not self._allow_filter:
            raise StrictViolation("a filter reads, and pays for, what it throws away")
        select = request.get("Select")
        if select is None:
            return
        if select not in _SELECT:
            raise StrictViolation(f"Select {select} is unknown")
        if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
            raise StrictViolation("Select ALL_PROJECTED_ATTRIBUTES is for an index")
        if (select == "SPECIFIC_ATTRIBUTES") != ("ProjectionExpression" in request):
            raise StrictViolation(f"Select {select} and ProjectionExpression contradict each other")

    def _check_start(self, start: Request, index: str | None) -> None:
        """ExclusiveStartKey: the keys of the table, and of the index that is read."""
        names = set(self._schema.keys) | set(self._schema.keys_of(index))
        if start.keys() != names:
            raise StrictViolation(f"ExclusiveStartKey has {sorted(start)}; needed: {sorted(names)}")
        for keys in (self._schema.keys, self._schema.keys_of(index)):
            for name in keys:
                check_value(start[name], name)
                check_key_value(name, start[name], keys)

    def _batch_get(self, request: Request) -> None:
        keys: list[tuple[str, Request]] = []
        for table, part in request["RequestItems"].items():
            _refuse_legacy(part)
            self._expressions(part)
            keys += [(table, key) for key in part["Keys"]]
        self._check_many(keys, "a batch of keys", MAX_BATCH_GET)

    def _batch_write(self, request: Request) -> None:
        keys: list[tuple[str, Request]] = []
        size = 0
        for table, writes in request["RequestItems"].items():
            for write in writes:
                item = _only(write)[1].get("Item")
                if item is None:
                    keys.append((table, _only(write)[1]["Key"]))
                else:
                    check_item(item, self._schema)
                    keys.append((table, {name: item[name] for name in self._schema.keys}))
                    size += item_size(item)
        self._check_many(keys, "a batch of writes", MAX_BATCH_WRITE)
        if size > MAX_BATCH_BYTES:
            raise StrictViolation(f"the batch takes {size:,} bytes of {MAX_BATCH_BYTES:,}")

    def _transact_get(self, request: Request) -> None:
        gets = [_only(member)[1] for member in request["TransactItems"]]
        for get in gets:
            self._get(get)
        self._check_many(
            [(get["TableName"], get["Key"]) for get in gets], "a transaction", MAX_TRANSACTION
        )

    def _transact_write(self, request: Request) -> None:
        keys: list[tuple[str, Request]] = []
        size = 0
        checks = {
            "Put": self._put,
            "Update": self._update,
            "Delete": self._delete,
            "ConditionCheck": self._condition_check,
        }
        for member in request["TransactItems"]:
            action, part = _only(member)
            _refuse_legacy(part)
            checks[action](part)
            item = part.get("Item")
            key = part["Key"] if item is None else {name: item[name] for name in self._schema.keys}
            keys.append((part["TableName"], key))
            size += item_size(key if item is None else item)
            if action == "Update":
                size += item_size(part.get("ExpressionAttributeValues", {}))
        self._check_many(keys, "a transaction", MAX_TRANSACTION)
        if size > MAX_TRANSACTION_BYTES:
            raise StrictViolation(
                f"the transaction takes {size:,} bytes of {MAX_TRANSACTION_BYTES:,}"
            )
        if request.get("ClientRequestToken") is not None:
            self._check_token(request["ClientRequestToken"], request["TransactItems"])

    def _check_many(self, keys: Sequence[tuple[str, Request]], what: str, limit: int) -> None:
        """Between 1 and `limit` keys, none of them twice."""
        if not 1 <= len(keys) <= limit:
            raise StrictViolation(f"{what} holds 1 to {limit}, not {len(keys)}")
        for _, key in keys:
            check_key(key, self._schema.keys)
        seen = {(table, *(key[name]["S"] for name in self._schema.keys)) for table, key in keys}
        if len(seen) < len(keys):
            raise StrictViolation(f"{what} names one item twice")

    def _check_token(self, token: str, payload: Any) -> None:
        if not 1 <= len(token) <= MAX_TOKEN_LENGTH:
            raise StrictViolation(f"a ClientRequestToken has 1 to {MAX_TOKEN_LENGTH} characters")
        text = json.dumps(payload, sort_keys=True, default=repr)
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._lock:
            if self._tokens.setdefault(token, digest) != digest:
                raise StrictViolation("one ClientRequestToken was used for two payloads")

    # -- expressions

    def _expressions(self, request: Request) -> Placeholders:
        """Check every expression of `request`, and that they use all placeholders."""
        placeholders = _placeholders(request)
        for name in _EXPRESSIONS:
            text = request.get(name)
            if text is None:
                continue
            if len(text.encode()) > MAX_EXPRESSION_BYTES:
                raise StrictViolation(f"{name} is longer than {MAX_EXPRESSION_BYTES:,} bytes")
            try:
                conditions.check_operators(self._expression(name, text, request, placeholders))
            except (StrictViolation, ExpressionError) as problem:
                raise StrictViolation(f"{name}: {problem}") from problem
        unused = placeholders.unused()
        if unused:
            raise StrictViolation(f"no expression uses {', '.join(unused)}")
        return placeholders

    def _expression(
        self, name: str, text: str, request: Request, placeholders: Placeholders
    ) -> list[Node]:
        """The nodes of one expression, checked for its kind."""
        if name == "UpdateExpression":
            actions = parse_update(text, placeholders)
            conditions.check_update(actions, self._schema)
            paths: list[Node] = [action.path for action in actions]
            return paths + [action.value for action in actions if action.value is not None]
        if name == "ProjectionExpression":
            projected = parse_projection(text, placeholders)
            conditions.check_paths(projected)
            return list(projected)
        condition = parse_condition(text, placeholders)
        if name == "ConditionExpression":
            conditions.check_condition(condition)
        elif name == "FilterExpression":
            # A Scan may filter by keys: it has no key condition to say it in.
            by_query = "KeyConditionExpression" in request
            keys = self._schema.keys_of(request.get("IndexName")) if by_query else None
            conditions.check_filter(condition, keys)
        return [condition]


def _placeholders(request: Request) -> Placeholders:
    """The placeholders of `request`, each checked by itself."""
    names = request.get("ExpressionAttributeNames")
    values = request.get("ExpressionAttributeValues")
    for what, given in (("Names", names), ("Values", values)):
        if given is None:
            continue
        if not given:
            raise StrictViolation(f"ExpressionAttribute{what} must not be empty")
        if not any(name in request for name in _EXPRESSIONS):
            raise StrictViolation(f"ExpressionAttribute{what} without an expression")
        for placeholder in given:
            if len(placeholder.encode()) > MAX_PLACEHOLDER_BYTES:
                raise StrictViolation(f"the placeholder {placeholder[:20]}… is too long")
    for placeholder, value in (values or {}).items():
        check_value(value, placeholder)
    size = sum(len(a.encode()) + len(n.encode()) for a, n in (names or {}).items())
    if size + item_size(values or {}) > MAX_SUBSTITUTION_BYTES:
        raise StrictViolation("ExpressionAttributeNames and -Values take more than 2 MB")
    return Placeholders(names, values)


def _refuse_legacy(request: Request) -> None:
    legacy = _LEGACY & request.keys()
    if legacy:
        raise StrictViolation(f"legacy parameters cannot be checked: {', '.join(sorted(legacy))}")


def _no_partiql(_: Request) -> None:
    raise StrictViolation("PartiQL cannot be checked; use the item operations")


def _only(member: Request) -> tuple[str, Request]:
    """The action of one member of a batch or transaction, and its parameters."""
    if len(member) != 1:
        raise StrictViolation(f"a member has exactly one action, not {sorted(member)}")
    ((action, part),) = member.items()
    return action, part
