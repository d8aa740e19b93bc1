"""A Lambda function that reads the table's stream.

    def react(change: Change) -> None:
        ...

    handler = stream_handler(react)

The event source mapping must have ``ReportBatchItemFailures`` in its function response types. Then
Lambda sends the failed record and those after it again, but not those before it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from inspect import (
    isasyncgen,
    isasyncgenfunction,
    isawaitable,
    iscoroutine,
    iscoroutinefunction,
    isgenerator,
    isgeneratorfunction,
)
from typing import TYPE_CHECKING, Any, Final, TypedDict
from weakref import finalize

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import HasKeySpace
from dynamo_chat.core.settings import check_callable
from dynamo_chat.streams.changes import Change, UnknownKind
from dynamo_chat.streams.records import parse_stream_record

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("dynamo_chat")

_LONGEST_KIND: Final = 100
"""How many characters of an unknown kind are logged: the text comes from elsewhere."""

React = Callable[[Change], object]
"""Handles one change. If it raises, the record has failed; its result is ignored."""

AsyncReact = Callable[[Change], Awaitable[object]]
"""The same, awaited."""


class BatchItemFailure(TypedDict):
    """A record that failed, by its sequence number."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """The response to Lambda: the record to continue from, or none."""

    batchItemFailures: list[BatchItemFailure]


def stream_handler(
    react: React, store: HasKeySpace | type[HasKeySpace] | None = None
) -> Callable[[Mapping[str, Any], object], BatchResponse]:
    """A Lambda handler that calls `react` with every change, in order; see `process_batch`.

    InvalidArgument when `react` is not a function, or is async: nobody would await it. If only a
    call shows that, as with a ``lambda`` around an async function, the first call raises it.
    """
    _check(react)

    def handle(event: Mapping[str, Any], _context: object) -> BatchResponse:
        return process_batch(event, react, store)

    return handle


def process_batch(
    event: Mapping[str, Any], react: React, store: HasKeySpace | type[HasKeySpace] | None = None
) -> BatchResponse:
    """Call `react` with every change of a Lambda event, in order, and return Lambda's response.

    Records of helper items are skipped. The first record that cannot be read, or for which `react`
    raises, ends the batch: records are in order, so later ones must wait for it. It is logged with
    its error and named in the response. An item of an unknown kind is logged as a warning and
    passed to `react` like any other change. With `store`, an application's store or its class, the
    application's own kinds are known, too.

    InvalidArgument when `event` is not a stream event, or `react` is async or returns a coroutine
    or generator. The error of a record without a sequence number is raised, so that Lambda sends
    the whole batch again.
    """
    _check(react)
    for record in _records(event):
        returned: object = None
        try:
            change = _change_of(record, store)
            if change is not None:
                returned = react(change)
        except Exception as error:  # noqa: BLE001 - the record has failed, whatever it was
            return _failed(record, error)
        _check_ran(returned)
    return {"batchItemFailures": []}


def async_stream_handler(
    react: AsyncReact, store: HasKeySpace | type[HasKeySpace] | None = None
) -> Callable[[Mapping[str, Any], object], BatchResponse]:
    """A Lambda handler that awaits `react` for every change, in order; see `process_batch`.

    All invocations run on one event loop, so an `AsyncChatStore` may be kept between them.
    InvalidArgument when `react` is not a function, or does not return something to await.
    """
    import asyncio  # which takes as long to import as all of this

    check_callable("react", react)
    runners: list[asyncio.Runner] = []

    def handle(event: Mapping[str, Any], _context: object) -> BatchResponse:
        if not runners:
            runners.append(asyncio.Runner())
            finalize(handle, _close, runners[0])
        return runners[0].run(async_process_batch(event, react, store))

    return handle


def _close(runner: asyncio.Runner) -> None:
    """Close the loop of a handler that is gone: at the exit, or wherever its garbage is collected.

    While another loop runs in this thread, this one can't finish its generators, only be closed.
    """
    from asyncio import get_running_loop

    try:
        get_running_loop()
    except RuntimeError:
        runner.close()
    else:
        runner.get_loop().close()


async def async_process_batch(
    event: Mapping[str, Any],
    react: AsyncReact,
    store: HasKeySpace | type[HasKeySpace] | None = None,
) -> BatchResponse:
    """Await `react` for every change of a Lambda event, one after the other: see `process_batch`.

    InvalidArgument when `event` is not a stream event, or `react` does not return something to
    await.
    """
    check_callable("react", react)
    for record in _records(event):
        returned: object = None
        try:
            change = _change_of(record, store)
            if change is not None:
                returned = react(change)
                if isawaitable(returned):
                    await returned
        except Exception as error:  # noqa: BLE001 - the record has failed, whatever it was
            return _failed(record, error)
        if change is not None and not isawaitable(returned):
            raise InvalidArgument("react", "must be async; stream_handler takes ordinary functions")
    return {"batchItemFailures": []}


def _records(event: Mapping[str, Any]) -> list[Any]:
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise InvalidArgument("event", "must be a Lambda event of a DynamoDB stream")
    return records


def _change_of(record: Any, store: HasKeySpace | type[HasKeySpace] | None) -> Change | None:
    """The change that a record is; None for one of a helper item."""
    change = parse_stream_record(record, store)
    if isinstance(change, UnknownKind):
        logger.warning(
            "stream record %s has an item of unknown kind %r",
            change.sequence_number,
            (change.kind or "")[:_LONGEST_KIND],
        )
    return change


def _failed(record: Any, error: Exception) -> BatchResponse:
    """The response when a record failed. Without its number, Lambda must send the whole batch."""
    failed = _sequence_number(record)
    if not failed:
        raise error
    logger.error("stream record %s failed", failed, exc_info=error)
    return {"batchItemFailures": [{"itemIdentifier": failed}]}


def _check(react: Any) -> None:
    """InvalidArgument unless `react` runs when it is called: an async one would lose changes."""
    check_callable("react", react)
    called = getattr(react, "func", react)  # of a partial
    for function in (called, getattr(called, "__call__", None)):  # noqa: B004 - an object's own
        if any(would_wait(function) for would_wait in _WAITING_FUNCTIONS):
            raise _never_run()


def _check_ran(returned: object) -> None:
    """InvalidArgument if the call returned a coroutine or generator, which has not run yet."""
    if iscoroutine(returned) or isgenerator(returned):
        returned.close()  # or Python warns that nobody awaited it
    elif not (isawaitable(returned) or isasyncgen(returned)):
        return
    raise _never_run()


_WAITING_FUNCTIONS: Final = (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)


def _never_run() -> InvalidArgument:
    return InvalidArgument(
        "react", "must not be async or a generator; async_stream_handler takes async functions"
    )


def _sequence_number(record: Any) -> str:
    images = record.get("dynamodb") if isinstance(record, Mapping) else None
    found = images.get("SequenceNumber") if isinstance(images, Mapping) else None
    return found if isinstance(found, str) else ""
