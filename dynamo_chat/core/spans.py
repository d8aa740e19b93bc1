"""The spans and metrics of a store, through OpenTelemetry's API. Needs the extra `otel`.

    Messages.append                      a call of a method (INTERNAL)
    └── TransactWriteItems chat-prod     an API request with all of its attempts (CLIENT)

Attributes follow the conventions for database clients and for DynamoDB; what those do not have
begins with ``dynamo_chat.``. No attribute holds a key, an id of the application, or anything that
is stored.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from contextvars import Token
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry import context as contexts, metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from dynamo_chat.core.patterns import running_pattern

if TYPE_CHECKING:
    from dynamo_chat.core.events import RequestEvent

logger = logging.getLogger("dynamo_chat")

SCOPE: Final = "dynamo_chat"
SCHEMA: Final = "https://opentelemetry.io/schemas/1.40.0"
BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds, as the conventions advise for `db.client.operation.duration`."""
OTHER: Final = "_OTHER"
"""The conventions' word for an error that has no name of its own."""

# Not public in the API, and what every instrumentation of OpenTelemetry asks for.
_SUPPRESSED: Final = getattr(contexts, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
_HTTP_SUPPRESSED: Final = getattr(
    contexts, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"
)

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_ASKED: Final = {
    "IndexName": "aws.dynamodb.index_name",
    "ConsistentRead": "aws.dynamodb.consistent_read",
    "Limit": "aws.dynamodb.limit",
    "ScanIndexForward": "aws.dynamodb.scan_forward",
}
_ANSWERED: Final = {"Count": "aws.dynamodb.count", "ScannedCount": "aws.dynamodb.scanned_count"}
_HTTPS_PORT: Final = 443
_MAX_KNOWN: Final = 1_000

Attributes = dict[str, Any]


class Instruments:
    """The tracer and the meters of one pair of providers."""

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
    ) -> None:
        try:
            release = version("dynamo_chat")
        except PackageNotFoundError:  # used from a checkout
            release = ""
        self._tracer = trace.get_tracer(SCOPE, release, tracer_provider, SCHEMA)
        meter = metrics.get_meter(SCOPE, release, meter_provider, SCHEMA)
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._capacity = meter.create_counter(
            "dynamo_chat.consumed_capacity",
            unit="{unit}",
            description="Capacity units that DynamoDB reported, by read and write.",
        )
        self._retries = meter.create_counter(
            "dynamo_chat.retries",
            unit="{attempt}",
            description="HTTP attempts after the first.",
        )
        self._throttles = meter.create_counter(
            "dynamo_chat.throttles",
            unit="{attempt}",
            description="HTTP attempts that DynamoDB throttled.",
        )
        self._known: dict[tuple[Any, ...], Attributes] = {}

    def call(self, pattern: str, method: str) -> CallSpan | None:
        """Begin the span of a repository's method; None where the program wants none."""
        current = contexts.get_current()
        if current.get(_SUPPRESSED):
            return None
        attributes = {"dynamo_chat.pattern": pattern}
        span = self._tracer.start_span(method, current, attributes=attributes)
        return CallSpan(span, contexts.attach(trace.set_span_in_context(span, current)))

    def request(
        self, operation: str, request: Mapping[str, Any], table: str, endpoint: tuple[str, str]
    ) -> RequestSpan | None:
        """Begin the span of an API request; None where the program wants none."""
        current = contexts.get_current()
        if current.get(_SUPPRESSED):
            return None
        attributes = self._of_every(operation, table, running_pattern(), endpoint)
        span = self._tracer.start_span(
            f"{operation} {table}", current, kind=SpanKind.CLIENT, attributes=attributes
        )
        inside = trace.set_span_in_context(span, current)
        if span.get_span_context().is_valid:
            # What else instruments botocore or an HTTP client would make spans of the same request.
            inside = Context({**inside, _SUPPRESSED: True, _HTTP_SUPPRESSED: True})
        return RequestSpan(self, span, contexts.attach(inside), request, endpoint)

    def record(self, event: RequestEvent, endpoint: tuple[str, str], code: str) -> Attributes:
        """Add a request to the metrics. Returns what a span has to add of its result.

        `code` is DynamoDB's own error code; empty if it sent none.
        """
        common = self._of_every(event.operation, event.table, event.pattern, endpoint)
        result = {"db.response.status_code": named(code)} if code else {}
        if event.has_failed:
            result["error.type"] = named(event.error or OTHER)
        self._duration.record(event.seconds, {**common, **result})
        for kind, units in (("read", event.read_units), ("write", event.write_units)):
            if units:
                self._capacity.add(units, {**common, "dynamo_chat.capacity.kind": kind})
        if event.attempts > 1:
            self._retries.add(event.attempts - 1, common)
        if event.throttles:
            self._throttles.add(event.throttles, common)
        return result

    def _of_every(
        self, operation: str, table: str, pattern: str, endpoint: tuple[str, str]
    ) -> Attributes:
        """The attributes that spans and metrics share."""
        key = operation, table, pattern, endpoint[0]
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[key] = known = {
                "db.system.name": "aws.dynamodb",
                "db.operation.name": operation,
                "db.collection.name": table,
                **_server(endpoint[0]),
                **({"dynamo_chat.pattern": pattern} if pattern else {}),
            }
        return known


class CallSpan:
    """The span of a running method, which is the current one."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token

    def failed(self, error: BaseException) -> None:
        """The method raises. What the caller is to be told, such as NotFound, is no failure."""
        self._span.set_attribute("error.type", named(type(error).__name__))
        status = getattr(error, "http_status", HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(error, Exception) and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """The method has ended: the span that was current before is so again."""
        contexts.detach(self._token)
        _end(self._span)


class RequestSpan:
    """The span of a request that is under way, which is the current one."""

    __slots__ = ("_endpoint", "_instruments", "_request", "_span", "_token")

    def __init__(
        self,
        instruments: Instruments,
        span: Span,
        token: Token[Context],
        request: Mapping[str, Any],
        endpoint: tuple[str, str],
    ) -> None:
        self._instruments = instruments
        self._span = span
        self._token = token
        self._request = request
        self._endpoint = endpoint

    def end(
        self, event: RequestEvent, response: Mapping[str, Any], endpoint: tuple[str, str]
    ) -> None:
        """The request has ended: add its result, also to the metrics."""
        try:
            code = str(response.get("Error", {}).get("Code", ""))
            # While the span is the current one, so that exemplars lead to it.
            result = self._instruments.record(event, endpoint, code)
            if self._span.is_recording():
                found = {
                    **result,
                    **_asked(self._request, event.table),
                    **_answered(event, response),
                }
                if endpoint != self._endpoint:  # the first request of a store finds it out
                    found.update(_server(endpoint[0]))
                if endpoint[1]:
                    found["cloud.region"] = endpoint[1]
                self._span.set_attributes(found)
                if event.has_failed and event.error != "CancelledError":
                    self._span.set_status(Status(StatusCode.ERROR))
        except Exception:
            logger.exception("a span or a metric could not be recorded")
        finally:
            contexts.detach(self._token)
            _end(self._span)


def _end(span: Span) -> None:
    try:
        span.end()
    except Exception:
        # A broken exporter must not hide the result of what was done.
        logger.exception("a span could not be exported")


def named(text: str) -> str:
    """An error's name or code; `_OTHER` for what is none, whoever sent it."""
    return text if _NAME.fullmatch(text) else OTHER


def _server(address: str) -> Attributes:
    if not address:
        return {}
    parts = urlsplit(address)
    port = parts.port or (_HTTPS_PORT if parts.scheme == "https" else 80)
    found: Attributes = {"server.address": parts.hostname or ""}
    if port != _HTTPS_PORT:
        found["server.port"] = port
    return found


def _asked(request: Mapping[str, Any], table: str) -> Attributes:
    """What a request asks for, without what it asks about."""
    found: Attributes = {
        name: request[member]
        for member, name in _ASKED.items()
        if isinstance(request.get(member), (str, int))
    }
    found["aws.dynamodb.table_names"] = [table]
    if (size := _batch_size(request)) not in {None, 1}:
        found["db.operation.batch.size"] = size
    return found


def _batch_size(request: Mapping[str, Any]) -> int | None:
    """How many items a batch or a transaction reads or writes; None for another request."""
    if "TransactItems" in request:
        return len(request["TransactItems"])
    tables = request.get("RequestItems")
    if not isinstance(tables, Mapping):
        return None
    return sum(len(each["Keys"] if isinstance(each, Mapping) else each) for each in tables.values())


def _answered(event: RequestEvent, response: Mapping[str, Any]) -> Attributes:
    """What an answer says, without what it holds."""
    found: Attributes = {
        name: response[member]
        for member, name in _ANSWERED.items()
        if isinstance(response.get(member), int)
    }
    if event.capacity is not None:
        units = {"TableName": event.table, "CapacityUnits": event.capacity}
        found["aws.dynamodb.consumed_capacity"] = [json.dumps(units)]
    if event.request_id is not None and _NAME.fullmatch(event.request_id):
        found["aws.request_id"] = event.request_id
    if event.attempts > 1:
        found["http.request.resend_count"] = event.attempts - 1
    if event.throttles:
        found["dynamo_chat.throttles"] = event.throttles
    if event.reasons:
        found["dynamo_chat.cancellation_reasons"] = [named(each) for each in event.reasons]
    if event.answer_bytes is not None:
        found["dynamo_chat.answer_bytes"] = event.answer_bytes
    return found
