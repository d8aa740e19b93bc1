"""What a store reports of each API request: to its `on_request` hook, and to its span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from botocore import exceptions as aws

from dynamo_chat.core.answers import READING
from dynamo_chat.core.patterns import running_method, running_pattern
from dynamo_chat.core.wire import Facts


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One API request, passed to the store's ``on_request`` hook after its response."""

    pattern: str
    """The access pattern it served, such as ``C7``; empty for table management."""
    operation: str
    """DynamoDB's name of the operation, such as ``TransactWriteItems``."""
    table: str
    index: str | None
    seconds: float
    capacity: float | None
    """Capacity units that DynamoDB reported; None when it reported none."""
    attempts: int
    """HTTP attempts, including the last; 0 when nothing could be sent."""
    error: str | None
    """DynamoDB's or botocore's error code, or the exception's name; None when it succeeded."""
    method: str = ""
    """The repository and its method, such as ``Messages.append``; empty outside of any."""
    read_units: float | None = None
    """Read units; None when DynamoDB reported none."""
    write_units: float | None = None
    """Write units; None when DynamoDB reported none."""
    throttles: int = 0
    """The attempts that DynamoDB throttled; the request may have succeeded afterwards."""
    answer_bytes: int | None = None
    """The size of the last answer's body; None when none came."""
    request_id: str | None = None
    """The id that AWS gave to the last attempt; None when no answer came."""
    reasons: tuple[str, ...] = ()
    """For a cancelled transaction, the code of each of its writes, such as ``None``."""

    @property
    def has_failed(self) -> bool:
        """True if there is an error, other than a condition that did not hold.

        By conditions a store finds out whether an id is taken, or who changed an item first.
        """
        if self.reasons:
            return not {"None", "ConditionalCheckFailed"}.issuperset(self.reasons)
        return self.error not in {None, "ConditionalCheckFailedException"}


RequestHook = Callable[[RequestEvent], None]


class Ended(NamedTuple):
    """A request that has ended: what was asked, what came, and how long it took."""

    table: str
    operation: str
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    failure: BaseException | None
    facts: Facts
    seconds: float

    def event(self) -> RequestEvent:
        """What is reported of it."""
        units = _Units.of(self.operation, self.response.get("ConsumedCapacity"))
        size, request_id = _received(self.facts.reply, self.response)
        return RequestEvent(
            pattern=running_pattern(),
            operation=self.operation,
            table=self.table,
            index=self.request.get("IndexName"),
            seconds=self.seconds,
            capacity=units.total,
            attempts=self.facts.tries,
            error=_code_of(self.failure),
            method=running_method(),
            read_units=units.read,
            write_units=units.write,
            throttles=self.facts.throttles,
            answer_bytes=size,
            request_id=request_id,
            reasons=reasons_of(self.response),
        )


class _Units(NamedTuple):
    """The capacity units that a response reports; None where it reports none."""

    total: float | None
    read: float | None
    write: float | None

    @classmethod
    def of(cls, operation: str, consumed: Any) -> Self:
        """Of all tables together. A stand-in's response may hold anything."""
        entries = consumed if isinstance(consumed, list) else [consumed]
        total = _sum(entries, "CapacityUnits")
        if operation.startswith("Transact"):  # one that had succeeded before costs reads
            read = _sum(entries, "ReadCapacityUnits")
            write = _sum(entries, "WriteCapacityUnits")
            if read is not None or write is not None:
                return cls(total, read, write)
        if operation.startswith(READING):
            return cls(total, total, None)
        return cls(total, None, total)


def _sum(entries: list[Any], name: str) -> float | None:
    found = [each.get(name) for each in entries if isinstance(each, dict)]
    numbers = [float(units) for units in found if isinstance(units, (int, float))]
    return sum(numbers) if numbers else None


def _received(reply: Any, response: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """The size and the id of the last answer."""
    if reply is not None:
        return len(reply.content), reply.headers.get("x-amzn-requestid")
    metadata = response.get("ResponseMetadata") or {}
    size = str(metadata.get("HTTPHeaders", {}).get("content-length", ""))
    return int(size) if size.isdecimal() else None, metadata.get("RequestId")


def reasons_of(response: Mapping[str, Any]) -> tuple[str, ...]:
    """For a cancelled transaction, the code of each of its writes."""
    reasons = response.get("CancellationReasons") or ()
    return tuple(str(each.get("Code") or "None") for each in reasons)


def _code_of(failure: BaseException | None) -> str | None:
    if failure is None:
        return None
    if isinstance(failure, aws.ClientError):
        return str(failure.response.get("Error", {}).get("Code", "Unknown"))
    return type(failure).__name__
