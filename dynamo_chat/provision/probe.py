"""Test access to the table: do everything that the store does once, with a separate item.

Each step is one action on the table or on one index, so a failed step names the missing permission
or index. The item is deleted at the end; if that is not possible, it expires by its TTL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from dynamo_chat.core import errors
from dynamo_chat.core.clock import ulid_ids
from dynamo_chat.core.connection import (
    AttributeValues,
    ConditionFailed,
    Connection,
    TransactionClash,
)
from dynamo_chat.core.item import helper_item
from dynamo_chat.core.layout import GSI1, GSI2, PK, TABLE, Place
from dynamo_chat.core.transaction import key_of
from dynamo_chat.keyspace import PROBE

LIFETIME: Final = timedelta(hours=1)
_POLL_SECONDS: Final = 0.2
_THERE, _NOT_THERE = f"attribute_exists({PK})", f"attribute_not_exists({PK})"


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One action that was tried, and its problem."""

    action: str
    """The action's name in policies, such as ``dynamodb:Query``."""
    place: str
    """``table``, or the index it was tried on."""
    problem: str | None
    """None if it worked."""

    def __str__(self) -> str:
        return f"{self.action} on {self.place}: {self.problem or 'works'}"


class Probe:
    """One test of access, with one item."""

    def __init__(self, connection: Connection, *, index_seconds: float) -> None:
        now = datetime.now(UTC)
        self._connection = connection
        self._index_seconds = index_seconds
        identity = ulid_ids(now)
        self._item = helper_item(
            PROBE, {"probe_id": identity}, GSI1, GSI2, expires_at=now + LIFETIME
        )
        self._key = key_of(self._item)
        self._absent = PROBE.key(probe_id=f"{identity}-absent")
        self._table = {"TableName": connection.table_name}

    def run(self) -> list[ProbeStep]:
        """Run every step and return them in order."""
        try:
            steps = list(self._steps())
        except errors.DynamoChatError:
            with suppress(errors.DynamoChatError):
                self._delete()
            raise
        return [*steps, self._tried("DeleteItem", TABLE, self._delete)]

    def _steps(self) -> Iterator[ProbeStep]:
        put = self._tried("PutItem", TABLE, self._put)
        yield put
        update = self._tried("UpdateItem", TABLE, self._update)
        yield update
        yield self._condition_check(update)
        yield self._tried("GetItem", TABLE, self._get)
        yield self._tried("BatchGetItem", TABLE, self._batch_get)
        for place in (TABLE, GSI1, GSI2):
            query = partial(self._query, place, is_written=put.problem is None)
            yield self._tried("Query", place, query)
        yield self._tried("BatchWriteItem", TABLE, self._batch_write)

    def _tried(self, action: str, place: Place, call: Callable[[], str | None]) -> ProbeStep:
        """Run `call` as a step; an error that would make every other step fail is raised."""
        name = f"dynamodb:{action}"
        where = "the table" if place is TABLE else f"its index {place.index}"
        try:
            problem = call()
        except (ConditionFailed, TransactionClash):
            problem = None  # the item doesn't exist or is in use, but the action is allowed
        except errors.AccessDenied:
            problem = f"the role's policy must allow {name} on {where}"
        except (errors.IndexNotReady, errors.TableNotFound):
            if place is TABLE:
                raise
            problem = f"index {place.index} is missing, or still being built"
        except (errors.Throttled, errors.RequestRejected) as error:
            problem = str(error)
        return ProbeStep(name, place.index or "table", problem)

    def _condition_check(self, update: ProbeStep) -> ProbeStep:
        """A check needs a write in its transaction, so it is only tried if the write works."""
        if update.problem is None:
            return self._tried("ConditionCheckItem", TABLE, self._transact)
        return ProbeStep(
            "dynamodb:ConditionCheckItem", "table", f"not tried: {update.action} does not work"
        )

    # -- the requests ---------------------------------------------------------------------------

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self._connection.call(operation, {**self._table, **request})

    def _put(self) -> None:
        self._call("PutItem", Item=self._item)

    def _touched(self) -> dict[str, Any]:
        """An update that can't create the item."""
        return {
            "Key": self._key,
            "UpdateExpression": "SET touched_at = :now",
            "ConditionExpression": _THERE,
            "ExpressionAttributeValues": {":now": {"S": datetime.now(UTC).isoformat()}},
        }

    def _update(self) -> None:
        self._call("UpdateItem", **self._touched())

    def _transact(self) -> None:
        check = {"Key": self._absent, "ConditionExpression": _NOT_THERE}
        writes = [
            {"ConditionCheck": {**self._table, **check}},
            {"Update": {**self._table, **self._touched()}},
        ]
        self._connection.call("TransactWriteItems", {"TransactItems": writes})

    def _get(self) -> None:
        self._call("GetItem", Key=self._key, ConsistentRead=True)

    def _batch_get(self) -> None:
        request = {self._connection.table_name: {"Keys": [self._key]}}
        self._connection.call("BatchGetItem", {"RequestItems": request})

    def _query(self, place: Place, *, is_written: bool) -> str | None:
        """Find the item in `place`; an index may show it with a delay."""
        deadline = time.monotonic() + self._index_seconds
        while not self._found(place) and is_written:
            if time.monotonic() >= deadline:
                return f"the item did not appear within {self._index_seconds:g} seconds"
            self._connection.sleep(_POLL_SECONDS)
        return None

    def _found(self, place: Place) -> list[AttributeValues]:
        request: dict[str, Any] = {
            "KeyConditionExpression": f"{place.pk} = :pk AND {place.sk} = :sk",
            "ExpressionAttributeValues": {
                ":pk": self._item[place.pk],
                ":sk": self._item[place.sk],
            },
        }
        if place is TABLE:
            request["ConsistentRead"] = True
        else:
            request["IndexName"] = place.index
        found: list[AttributeValues] = self._call("Query", **request)["Items"]
        return found

    def _batch_write(self) -> None:
        request = {self._connection.table_name: [{"DeleteRequest": {"Key": self._absent}}]}
        self._connection.call("BatchWriteItem", {"RequestItems": request})

    def _delete(self) -> None:
        self._call("DeleteItem", Key=self._key)
