"""A Lambda function on the table's stream.

    def react(change: Change) -> None:
        ...

    handler = stream_handler(react)

The event source mapping must have ``ReportBatchItemFailures`` among its function response types.
Lambda then sends what follows the failed record again, together with that record, and nothing
that came before it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from inspect import (
    isasyncgen,
    isasyncgenfunction,
    isawaitable,
    iscoroutine,
    iscoroutinefunction,
    isgenerator,
    isgeneratorfunction,
)
from typing import Any, Final, TypedDict

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.settings import check_callable
from dynamo_chat.streams.changes import Change, UnknownKind
from dynamo_chat.streams.records import parse_stream_record

logger = logging.getLogger("dynamo_chat")

_LONGEST_KIND: Final = 100
"""Characters of an unknown kind that are logged: it is somebody else's text."""

React = Callable[[Change], object]
"""What is done about a change. Whatever it raises fails the record; what it returns is ignored."""


class BatchItemFailure(TypedDict):
    """A record that failed, by its sequence number."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """What Lambda is told of a batch: the record to go on from, or nothing."""

    batchItemFailures: list[BatchItemFailure]


def stream_handler(react: React) -> Callable[[Mapping[str, Any], object], BatchResponse]:
    """A Lambda handler that calls `react` with every change, in order; see `process_batch`.

    InvalidArgument when `react` is no function, or an async one: nobody would await it. Where only
    a call shows that, as with a ``lambda`` around an async function, the first call raises it.
    """
    _check(react)

    def handle(event: Mapping[str, Any], _context: object) -> BatchResponse:
        return process_batch(event, react)

    return handle


def process_batch(event: Mapping[str, Any], react: React) -> BatchResponse:
    """Call `react` with every change of a Lambda event, in order, and return Lambda's answer.

    Records of helper items are skipped. The first record that cannot be read, or whose change
    `react` refuses by raising, ends the batch: records are in order, so those behind it must wait
    for it. It is logged with its error and named in the answer. An item of an unknown kind is
    logged as a warning and handed to `react` like any other change.

    InvalidArgument when `event` is no event of a stream, or `react` is async, or returns what would
    still have to be run. What went wrong with a record without a sequence number is raised: then
    Lambda sends the whole batch again.
    """
    _check(react)
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise InvalidArgument("event", "must be a Lambda event of a DynamoDB stream")
    for record in records:
        returned: object = None
        try:
            change = parse_stream_record(record)
            if isinstance(change, UnknownKind):
                logger.warning(
                    "record %s of the stream is of an item of unknown kind %r",
                    change.sequence_number,
                    (change.kind or "")[:_LONGEST_KIND],
                )
            if change is not None:
                returned = react(change)
        except Exception:
            failed = _sequence_number(record)
            if not failed:
                raise
            logger.exception("record %s of the stream failed", failed)
            return {"batchItemFailures": [{"itemIdentifier": failed}]}
        _check_ran(returned)
    return {"batchItemFailures": []}


def _check(react: Any) -> None:
    """InvalidArgument unless calling it does something: a coroutine's changes would be lost."""
    check_callable("react", react)
    called = getattr(react, "func", react)  # of a partial
    for function in (called, getattr(called, "__call__", None)):  # noqa: B004 - an object's own
        if any(would_wait(function) for would_wait in _WAITING_FUNCTIONS):
            raise _never_run()


def _check_ran(returned: object) -> None:
    """InvalidArgument when all that a call did was to make something that is still to be run."""
    if iscoroutine(returned) or isgenerator(returned):
        returned.close()  # or Python warns that nobody awaited it
    elif not (isawaitable(returned) or isasyncgen(returned)):
        return
    raise _never_run()


_WAITING_FUNCTIONS: Final = (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)


def _never_run() -> InvalidArgument:
    return InvalidArgument(
        "react", "must not be async, nor a generator: call asyncio.run inside of it"
    )


def _sequence_number(record: Any) -> str:
    images = record.get("dynamodb") if isinstance(record, Mapping) else None
    found = images.get("SequenceNumber") if isinstance(images, Mapping) else None
    return found if isinstance(found, str) else ""
