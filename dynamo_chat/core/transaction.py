"""Writes as values: what changes, and under which condition. Several make one transaction.

    write(connection, Put(item, condition=absent(now)))                       one PutItem
    write(connection, Update(key, actions, condition), Put(item), Check(…))   one TransactWriteItems

A condition that fails raises `ConditionFailed`. It has the stored item of each failed write, by the
write's place in the call, from the same response. Conflicts with other transactions are retried
here with jittered pauses, with the same payload and ClientRequestToken: if an earlier attempt is
still running, or succeeded without an answer, DynamoDB recognises the token and writes once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action, Update as UpdateExpression

from dynamo_chat.core import errors
from dynamo_chat.core.attributes import AttributeValue, Raw
from dynamo_chat.core.connection import (
    AttributeValues,
    ConditionFailed,
    Connection,
    TransactionClash,
    throttled,
    unheard,
)
from dynamo_chat.core.item import Item
from dynamo_chat.core.layout import PK, SK, Layout, Place

MAX_TRANSACTION_WRITES = 100

Key: TypeAlias = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Put:
    """Write `item`, and replace the item that has its key."""

    item: AttributeValues
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Change some attributes of the item at `key`."""

    key: Key
    actions: Sequence[Action]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the item at `key`."""

    key: Key
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Change nothing, but require that `condition` holds at `key`."""

    key: Key
    condition: Condition


@dataclass(frozen=True, slots=True)
class Filled:
    """An update whose expressions were made before: only its values are new."""

    key: Key
    prepared: Prepared
    values: Mapping[str, AttributeValue]
    """The value of each `hole`, by its name."""


Write: TypeAlias = Put | Update | Filled | Delete | Check


class Prepared:
    """The expressions of an update that is made often, with holes for what differs.

    PynamoDB takes longer to write them down than a message takes to be encoded and signed.
    """

    def __init__(self, actions: Sequence[Action], condition: Condition) -> None:
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        self._condition = condition.serialize(names, values)
        self._update = UpdateExpression(*actions).serialize(names, values)
        self._names = {token: name for name, token in names.items()}
        self._holes = [(token, v[_HOLE]) for token, v in values.items() if _HOLE in v]
        self._constants = {token: v for token, v in values.items() if _HOLE not in v}

    def request(self, values: Mapping[str, AttributeValue]) -> dict[str, Any]:
        """The parts of an UpdateItem that the expressions make. KeyError if a value is missing."""
        return {
            "ConditionExpression": self._condition,
            "UpdateExpression": self._update,
            "ExpressionAttributeNames": self._names.copy(),
            "ExpressionAttributeValues": {
                **self._constants,
                **{token: values[name] for token, name in self._holes},
            },
        }


_HOLE = "hole"


def hole(name: str) -> Any:
    """A place in the expressions of a `Prepared` for a value that differs each time."""
    return Raw({_HOLE: name})


def write(
    connection: Connection, *writes: Write, returning: bool = False, once: bool = False
) -> AttributeValues:
    """Apply all of `writes` or none. One is sent alone, several as one transaction.

    With `returning`, a single Put or Delete returns the previous item (empty if there was none),
    a single Update the new one. With `once`, a single write is a transaction, too: after a lost
    answer, its token prevents a second application, which a counter's ADD needs. ConditionFailed,
    Contended.
    """
    if not writes:
        return {}
    if len(writes) == 1 and not once and not isinstance(writes[0], Check):
        return _with_retries(connection, *_single(connection.table_name, writes[0], returning))
    if returning:
        raise TypeError("a transaction returns no items")
    if len(writes) > MAX_TRANSACTION_WRITES:
        raise TypeError(f"a transaction allows at most {MAX_TRANSACTION_WRITES} writes")
    request = {
        "TransactItems": [_member(connection.table_name, each) for each in writes],
        "ClientRequestToken": str(uuid.uuid4()),
    }
    return _with_retries(connection, "TransactWriteItems", request)


def _with_retries(
    connection: Connection, operation: str, request: dict[str, Any]
) -> AttributeValues:
    is_throttled = is_open = False
    for attempt in range(connection.options.transaction_attempts):
        if attempt:
            connection.pause(attempt)
        try:
            answer = connection.call(operation, dict(request))
        except TransactionClash as clash:
            is_throttled = clash.is_throttled
            is_open = is_open or clash.is_open
            continue
        except ConditionFailed as failed:
            failed.was_resent = failed.was_resent or is_open
            raise
        return answer.get("Attributes") or {}
    if is_open:
        raise unheard("TransactionInProgressException", operation)
    if is_throttled:
        raise throttled(connection.table_name, "ThrottlingError")
    raise contended("the same items")


def _single(table: str, single: Write, returning: bool) -> tuple[str, dict[str, Any]]:
    operation, request = _parts(table, single)
    request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if returning:
        request["ReturnValues"] = "ALL_NEW" if operation == "Update" else "ALL_OLD"
    return f"{operation}Item", request


def _member(table: str, each: Write) -> dict[str, Any]:
    operation, request = _parts(table, each)
    request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {operation: request}


def _parts(table: str, each: Write) -> tuple[str, dict[str, Any]]:
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    request: dict[str, Any] = {"TableName": table}
    if isinstance(each, Filled):
        return "Update", request | {"Key": each.key} | each.prepared.request(each.values)
    if isinstance(each, Put):
        operation = "Put"
        request["Item"] = each.item
    else:
        operation = {Update: "Update", Delete: "Delete", Check: "ConditionCheck"}[type(each)]
        request["Key"] = each.key
    if each.condition is not None:
        request["ConditionExpression"] = each.condition.serialize(names, values)
    if isinstance(each, Update):
        expression = UpdateExpression(*each.actions).serialize(names, values)
        if expression is not None:
            request["UpdateExpression"] = expression
    if names:
        request["ExpressionAttributeNames"] = {token: name for name, token in names.items()}
    if values:
        request["ExpressionAttributeValues"] = values
    return operation, request


def contended(what: str) -> errors.Contended:
    """The error of a change that other writers prevented at every retry."""
    return errors.Contended(
        f"other writers kept changing {what} first: call again",
        "TransactionConflict",
    )


def absent(now: datetime) -> Condition:
    """The item does not exist or has expired, which is the same to every reader."""
    return _absent(epoch_seconds_now(now))


def live(now: datetime) -> Condition:
    """The item exists and has not expired."""
    return _live(epoch_seconds_now(now))


class _Written(Condition):
    """A condition that is used often alone, and so is written down only once."""

    def __init__(self, condition: Condition) -> None:
        super().__init__("", condition)
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._text = condition.serialize(self._names, self._values)

    def serialize(
        self, placeholder_names: dict[str, str], expression_attribute_values: dict[str, Any]
    ) -> str:
        if placeholder_names or expression_attribute_values:  # then its placeholders are others
            text: str = self.values[0].serialize(placeholder_names, expression_attribute_values)
            return text
        placeholder_names.update(self._names)
        expression_attribute_values.update(self._values)
        return self._text


# Cached, because they stay the same for a second, and are slow to build.
@lru_cache(maxsize=8)
def _absent(second: int) -> Condition:
    return _Written(Item.PK.does_not_exist() | (Item.ttl <= second))


@lru_cache(maxsize=8)
def _live(second: int) -> Condition:
    return _Written(Item.PK.exists() & (Item.ttl.does_not_exist() | (Item.ttl > second)))


def is_live(item: Mapping[str, Any] | None, now: datetime) -> bool:
    """True if an item that was read exists and has not expired, as in `live`."""
    if not item:
        return False
    deadline = item.get("ttl")
    if deadline is None:
        return True
    try:
        return int(deadline["N"]) > epoch_seconds_now(now)
    except (LookupError, TypeError, ValueError, OverflowError):
        return True  # DynamoDB does not expire such an item, either; decoding it raises an error


def epoch_seconds_now(now: datetime) -> int:
    """`now` in whole seconds since 1970, rounded down: an item lives through its last second."""
    return int(now.timestamp())


def set_index_keys(layout: Layout, place: Place, **fields: Any) -> list[Action]:
    """Actions that set both key attributes of an index, built from `fields`."""
    return [
        Path(name).set(Raw({"S": key})) for name, key in layout.index_key(place, fields).items()
    ]


def remove_index_keys(*places: Place) -> list[Action]:
    """Actions that remove an item from indexes: both key attributes of each."""
    return [Path(name).remove() for place in places for name in (place.pk, place.sk)]


def key_of(item: Mapping[str, Any]) -> Key:
    """The table key of an item that was read."""
    return {PK: item[PK], SK: item[SK]}
