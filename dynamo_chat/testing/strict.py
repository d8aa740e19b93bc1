"""The strict hook: fails on requests that DynamoDB rejects but the embedded engine accepts.

    with StrictHook(store.connection.client):
        ...                                     # a bad request raises StrictViolation

It checks each request of one client before it is sent, on any engine. What the embedded engine
rejects itself is not checked again. Some checks are rules of this package rather than of DynamoDB:
no Scan, no filter, both key attributes of an index or neither, one payload per ClientRequestToken.

Expressions are not fully parsed: this package and PynamoDB always build them in the same few forms.
A key condition in any other form is rejected.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from dynamo_chat.core.forks import ProcessLock
from dynamo_chat.core.keys import MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES
from dynamo_chat.core.size import MAX_TRANSACTION_BYTES, item_size
from dynamo_chat.testing.hook import Client, ClientHook, Handler
from dynamo_chat.testing.schema import CHAT_TABLE, KeyNames

MAX_EXPRESSION_BYTES: Final = 4_096
MAX_OPTIONS: Final = 100
MAX_BATCH_WRITE: Final = 25
MAX_TOKEN_LENGTH: Final = 36
MAX_DIGITS: Final = 38
MAX_EXPONENT: Final = 125
MAX_NESTING: Final = 32

_PLACEHOLDER: Final = re.compile(r"[#:]\w+")
_EXPRESSIONS: Final = (
    "KeyConditionExpression",
    "FilterExpression",
    "ConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
_TOKEN: Final = re.compile(r"[#:]?\w+|[<>=]+")
_OPTIONS: Final = re.compile(r"\bIN\s*\(([^)]*)\)")
_BOUNDS: Final = re.compile(r"\bBETWEEN (:\w+) AND (:\w+)")
_CLAUSE: Final = re.compile(r"\b(SET|REMOVE)\b(.*?)(?=\b(?:SET|REMOVE|ADD|DELETE)\b|$)", re.DOTALL)
_NEXT_ACTION: Final = {"SET": re.compile(r",(?=[^,=]+=)"), "REMOVE": re.compile(",")}
_COMPARISONS: Final[Mapping[str, Callable[[bytes, bytes], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _bytes(content: bytes | str) -> bytes:
    """Binary content, which may be the base64 text of DynamoDB's own JSON."""
    return a2b_base64(content) if isinstance(content, str) else bytes(content)


_ORDER: Final[Mapping[str, Callable[[Any], Any]]] = {"N": Decimal, "S": str.encode, "B": _bytes}
_PARTITION_KEYS: Final = frozenset(
    keys.partition for keys in (CHAT_TABLE.keys, *CHAT_TABLE.indexes.values())
)
_SETS: Final[Mapping[str, Callable[[Any], Any]]] = {"SS": str, "NS": Decimal, "BS": _bytes}

Request = Mapping[str, Any]
AttributeValue = Mapping[str, Any]


class StrictViolation(AssertionError):
    """A request that DynamoDB would reject, or that breaks a rule of this package."""


class StrictHook(ClientHook):
    """Raises `StrictViolation` for a request that DynamoDB would reject. Thread-safe.

    `violations` lists every one, in case the exception was caught.
    """

    def __init__(
        self, client: Client, *, allow_scan: bool = False, allow_filter: bool = False
    ) -> None:
        super().__init__(client)
        self.violations: list[StrictViolation] = []
        self._allow_scan = allow_scan
        self._allow_filter = allow_filter
        self._tokens: dict[str, str] = {}
        self._lock = ProcessLock()

    def handlers(self) -> dict[str, Handler]:
        """One event: the request with the caller's parameters."""
        return {"before-parameter-build.dynamodb": self._check}

    def _check(self, params: Request, model: Any, **_: Any) -> None:
        try:
            self._check_request(model.name, params)
        except StrictViolation as problem:
            violation = StrictViolation(f"{model.name}: {problem}")
            self.violations.append(violation)
            raise violation from problem

    def _check_request(self, operation: str, request: Request) -> None:
        match operation:
            case "GetItem" | "PutItem" | "DeleteItem" | "UpdateItem":
                _check_part(request)
            case "Query" | "Scan":
                self._check_reading(operation, request)
            case "BatchGetItem":
                for table, part in request["RequestItems"].items():
                    _check_expressions(part)
                    _check_many([(table, {"Key": key}) for key in part["Keys"]])
            case "BatchWriteItem":
                tables = request["RequestItems"].items()
                parts = [(t, part) for t, writes in tables for w in writes for part in w.values()]
                _check_many(parts)
                if len(parts) > MAX_BATCH_WRITE:
                    raise StrictViolation(f"{len(parts)} writes; {MAX_BATCH_WRITE} are allowed")
            case "TransactGetItems" | "TransactWriteItems":
                self._check_transaction(request)

    def _check_reading(self, operation: str, request: Request) -> None:
        if operation == "Scan" and not self._allow_scan:
            raise StrictViolation("a Scan reads the whole table; use a get or a query")
        if "FilterExpression" in request and not self._allow_filter:
            raise StrictViolation("a filter also reads, and pays for, the items that it leaves out")
        _check_expressions(request)
        if operation == "Query":
            _check_query(request)

    def _check_transaction(self, request: Request) -> None:
        members = [part for member in request["TransactItems"] for part in member.items()]
        for action, part in members:
            if action == "ConditionCheck" and not part.get("ConditionExpression"):
                raise StrictViolation("a ConditionCheck needs a ConditionExpression")
        size = _check_many([(part["TableName"], part) for _, part in members])
        if size > MAX_TRANSACTION_BYTES:
            raise StrictViolation(
                f"the transaction has {size:,} bytes; {MAX_TRANSACTION_BYTES:,} are allowed"
            )
        token = request.get("ClientRequestToken")
        if token is not None:
            self._check_token(token, request["TransactItems"])

    def _check_token(self, token: str, payload: Any) -> None:
        if not 1 <= len(token) <= MAX_TOKEN_LENGTH:
            raise StrictViolation(f"a ClientRequestToken needs 1 to {MAX_TOKEN_LENGTH} characters")
        text = json.dumps(payload, sort_keys=True, default=repr)
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._lock:
            if self._tokens.setdefault(token, digest) != digest:
                raise StrictViolation("one ClientRequestToken was used for two payloads")


# -- one item, and many -------------------------------------------------------------------------


def _check_part(part: Request) -> AttributeValue:
    """Check a request for one item, alone or in a batch or transaction; the item's key."""
    item = part.get("Item")
    key = part["Key"] if item is None else {n: item[n] for n in CHAT_TABLE.keys if n in item}
    _check_keys(key, CHAT_TABLE.keys)
    _check_expressions(part)
    if item is not None:
        _check_halves(item, "the put")
        for name, value in item.items():
            _check_value(value, name)
            _check_attribute(name, value)
    if "UpdateExpression" in part:
        _check_update(part)
    return key


def _check_many(parts: Sequence[tuple[str, Request]]) -> int:
    """Check requests for single items, by table; their size in bytes."""
    keys = [(table, _check_part(part)) for table, part in parts]
    seen = {(table, *(key[name]["S"] for name in CHAT_TABLE.keys)) for table, key in keys}
    if len(seen) < len(keys):
        raise StrictViolation("one item is named twice")
    if not keys:
        raise StrictViolation("the request names no item")
    return sum(_size(part) for _, part in parts)


def _size(part: Request) -> int:
    said = part.get("ExpressionAttributeValues", {}) if "UpdateExpression" in part else {}
    return item_size(part.get("Item") or part["Key"]) + item_size(said)


# -- expressions --------------------------------------------------------------------------------


def _check_expressions(request: Request) -> None:
    """Check the expressions of `request`, and that they use all of its placeholders."""
    given = [request.get(f"ExpressionAttribute{what}") for what in ("Names", "Values")]
    if {} in given:
        raise StrictViolation("ExpressionAttributeNames or -Values must not be empty")
    names, values = ({} if each is None else each for each in given)
    texts = {name: request[name] for name in _EXPRESSIONS if name in request}
    unused = {*names, *values}.difference(*map(_PLACEHOLDER.findall, texts.values()))
    if unused:
        raise StrictViolation(f"no expression uses {', '.join(sorted(unused))}")
    for placeholder, value in values.items():
        _check_value(value, placeholder)
    for name, text in texts.items():
        if len(text.encode()) > MAX_EXPRESSION_BYTES:
            raise StrictViolation(f"{name} is longer than {MAX_EXPRESSION_BYTES:,} bytes")
        for options in _OPTIONS.findall(text):
            if options.count(",") >= MAX_OPTIONS:
                raise StrictViolation(f"{name}: IN has more than {MAX_OPTIONS} values")
        for low, high in _BOUNDS.findall(text):
            _check_bounds(values[low], values[high])


def _check_bounds(low: AttributeValue, high: AttributeValue) -> None:
    if low.keys() != high.keys():
        raise StrictViolation("BETWEEN has bounds of two types")
    ((kind, first),), (last,) = low.items(), high.values()
    if _ORDER[kind](first) > _ORDER[kind](last):
        raise StrictViolation("BETWEEN has its lower bound above the upper one")


def _check_query(request: Request) -> None:
    """Check a query's key condition, its start key, and that a filter names no key."""
    keys = CHAT_TABLE.keys_of(request.get("IndexName"))
    names = request.get("ExpressionAttributeNames", {})
    filtered = _TOKEN.findall(request.get("FilterExpression", ""))
    for name in {names.get(token, token) for token in filtered} & set(keys):
        raise StrictViolation(f"the filter names the key attribute {name}")
    partition, is_in_range = _key_condition(request, keys)
    start = request.get("ExclusiveStartKey")
    if start is None:
        return
    needed = {*CHAT_TABLE.keys, *keys}
    if start.keys() != needed:
        raise StrictViolation(f"ExclusiveStartKey has {sorted(start)}; needed: {sorted(needed)}")
    _check_keys({name: start[name] for name in CHAT_TABLE.keys}, CHAT_TABLE.keys)
    _check_keys({name: start[name] for name in keys}, keys)
    if start[keys.partition]["S"] != partition:
        raise StrictViolation("ExclusiveStartKey comes from another partition")
    if not is_in_range(start[keys.sort]["S"].encode()):
        raise StrictViolation("ExclusiveStartKey is outside the range of the key condition")


def _key_condition(request: Request, keys: KeyNames) -> tuple[str, Callable[[bytes], bool]]:
    """The queried partition, and a function that tests whether a sort key is in the range."""
    text = request.get("KeyConditionExpression", "")
    names = request.get("ExpressionAttributeNames", {})
    values = request.get("ExpressionAttributeValues", {})

    def bound(placeholder: str) -> bytes:
        _check_key_text(keys.sort, values.get(placeholder, {}))
        return str(values[placeholder]["S"]).encode()

    asked: Callable[[bytes], bool]
    match [names.get(token, token) for token in _TOKEN.findall(text)]:
        case [keys.partition, "=", value]:
            asked = bool
        case [keys.partition, "=", value, "AND", keys.sort, "BETWEEN", low, "AND", high]:
            first, last = bound(low), bound(high)
            asked = lambda key: first <= key <= last  # noqa: E731 - as the other cases have it
        case [keys.partition, "=", value, "AND", keys.sort, compared, other] if (
            compared in _COMPARISONS
        ):
            limit, holds = bound(other), _COMPARISONS[compared]
            asked = lambda key: holds(key, limit)  # noqa: E731
        case [keys.partition, "=", value, "AND", "begins_with", keys.sort, other]:
            prefix = bound(other)
            asked = lambda key: key.startswith(prefix)  # noqa: E731
        case _:
            raise StrictViolation(f"not one partition and at most one range: {text!r}")
    _check_key_text(keys.partition, values.get(value, {}))
    return values[value]["S"], asked


def _check_update(request: Request) -> None:
    """Check an update's changes of index keys, and of the TTL attribute."""
    names = request.get("ExpressionAttributeNames", {})
    values = request.get("ExpressionAttributeValues", {})
    for clause, text in _CLAUSE.findall(request["UpdateExpression"]):
        actions = [_TOKEN.findall(action) for action in _NEXT_ACTION[clause].split(text)]
        _check_halves((names.get(tokens[0], tokens[0]) for tokens in actions), clause)
        for target, *tokens in actions:
            for token in tokens:
                if token in values:
                    _check_attribute(names.get(target, target), values[token])


# -- values -------------------------------------------------------------------------------------


def _check_value(value: AttributeValue, where: str, level: int = 1) -> None:
    """Check one AttributeValue and everything nested in it. `where` names it in the error."""
    if level > MAX_NESTING:
        raise StrictViolation(f"{where} is nested deeper than {MAX_NESTING} levels")
    if len(value) != 1:
        raise StrictViolation(f"{where} is not an AttributeValue of exactly one type")
    ((kind, content),) = value.items()
    if kind == "N":
        _check_number(Decimal(content), where)
    elif kind in {"L", "M"}:
        for member in content.values() if kind == "M" else content:
            _check_value(member, where, level + 1)
    elif kind in _SETS and not 0 < len(content) == len(set(map(_SETS[kind], content))):
        raise StrictViolation(f"{where}: a set must not be empty or have duplicates")


def _check_number(number: Decimal, where: str) -> None:
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    if len(digits) > MAX_DIGITS or number.adjusted() > MAX_EXPONENT:
        raise StrictViolation(f"{where}: not below 1E+126 with at most {MAX_DIGITS} digits")


def _check_attribute(name: str, value: AttributeValue) -> None:
    """Check an attribute that must have a certain type: an index key, or the TTL attribute."""
    if name in CHAT_TABLE.index_keys:
        _check_key_text(name, value)
    if name == CHAT_TABLE.ttl and "N" not in value:
        raise StrictViolation(f"{name} is not a number, so the item would never expire")


def _check_keys(key: AttributeValue, names: KeyNames) -> None:
    """Check the key of an item, in the table or in an index."""
    for name in names:
        if name not in key:
            raise StrictViolation(f"the key lacks {name}")
        _check_key_text(name, key[name])


def _check_key_text(name: str, value: AttributeValue) -> None:
    text = value.get("S")
    if not isinstance(text, str) or not text:
        raise StrictViolation(f"the key attribute {name} must be text, not empty")
    limit = MAX_PARTITION_KEY_BYTES if name in _PARTITION_KEYS else MAX_SORT_KEY_BYTES
    if len(text.encode()) > limit:
        raise StrictViolation(f"the key attribute {name} has more than {limit:,} bytes")


def _check_halves(present: Iterable[str], what: str) -> None:
    """Check that both key attributes of each index are `present`, or neither."""
    there = set(present)
    for index, keys in CHAT_TABLE.indexes.items():
        if len(there & set(keys)) == 1:
            raise StrictViolation(f"{what} has only one of the two key attributes of {index}")
