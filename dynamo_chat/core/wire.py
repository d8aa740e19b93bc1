"""How one request to DynamoDB becomes bytes, and how its answer becomes a dict. Without any I/O.

botocore prepares, signs, sends, parses and retries for every service of AWS. For the reads and
writes of one DynamoDB client the same steps are few, and they are here: what they need is asked of
the botocore client once, and what is rare (an error, a retry) is left to botocore's own objects.

    exchange = Exchange(wire, wire.plan("GetItem"), {...}, facts)
    answer = run(exchange, transport)

`run` is the only loop: a transport sends and waits, blocking or not. `core/announced.py` has the
exchange for a client whose events somebody listens to.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import pydantic_core
from botocore import exceptions as aws
from botocore.awsrequest import AWSResponse, HeadersDict, prepare_request_dict
from botocore.handlers import add_recursion_detection_header
from botocore.retries.standard import RetryHandler, RetryQuotaChecker

from dynamo_chat.core.answers import is_lost, is_throttled, parse_answer, read_answer
from dynamo_chat.core.listeners import EMITTED, REFUSED, Handlers, Listeners, name_of, others
from dynamo_chat.core.signing import PostSigner, Scope, host_of
from dynamo_chat.core.transport import Outgoing, Transport

_NO_SUCCESS = 300
COUNTED = "dynamo_chat.counted"
"""In the context of a request whose attempts are counted here."""


class Facts:
    """What is known of one call's attempts, also after it failed."""

    __slots__ = ("lost", "reply", "throttles", "tries")

    def __init__(self) -> None:
        self.tries = 0
        """HTTP attempts; 0 when nothing could be sent."""
        self.lost = False
        """True if an attempt got no answer: it may have happened anyway."""
        self.throttles = 0
        """The attempts that were throttled."""
        self.reply: Any = None
        """The last attempt's HTTP response; None on the way through botocore, or if none came."""


class Unfit(Exception):
    """The short way does not know how this client does it. The message says what."""


class Plan(NamedTuple):
    """What is the same in every request of one operation, as long as the handlers stay."""

    operation: str
    model: Any
    headers: dict[str, str]
    needs_retry: Callable[..., Any]
    release: Callable[..., Any]
    """Gives back what retries took from the client's quota."""
    heard: frozenset[str]
    """The events that somebody else listens to."""


class Destination(NamedTuple):
    """Where requests go, by botocore's endpoint rules, and what they are signed for."""

    url: str
    scope: Scope
    headers: dict[str, str]


class Wire:
    """The short way of one botocore client. Safe to share between threads."""

    def __init__(self, client: Any, signer: PostSigner) -> None:
        """Unfit if the client is not set up in a way that is known here."""
        try:
            self._read(client, signer)
        except AttributeError as error:
            raise Unfit(f"this botocore is not known: {error}") from error

    def _read(self, client: Any, signer: PostSigner) -> None:
        service = client.meta.service_model
        if service.resolved_protocol != "json":
            raise Unfit(f"the protocol is {service.resolved_protocol}")
        self.client = client
        self.endpoint = client._endpoint  # noqa: SLF001 - nor is any of these public
        self.parsers = self.endpoint._response_parser_factory  # noqa: SLF001
        self.signer = signer
        self.identity = client._request_signer  # noqa: SLF001
        self._resolve = client._resolve_endpoint_ruleset  # noqa: SLF001
        self._listeners = Listeners(client)
        self._plans: dict[str, Plan | str] = {}
        self._destinations: dict[tuple[str, str, str | None], Destination] = {}
        self._prefix = service.metadata["targetPrefix"]
        self._content_type = f"application/x-amz-json-{service.metadata['jsonVersion']}"
        self._user_agent = client._user_agent_creator.to_string()  # noqa: SLF001
        self.max_attempts = int(client.meta.config.retries["total_max_attempts"])

    def plan(self, operation: str) -> Plan | str:
        """How this operation is sent; or why it must go through botocore."""
        if self._listeners.changed():
            self._plans.clear()
        known = self._plans.get(operation)
        if known is None:
            try:
                known = self._made(operation)
            except Unfit as reason:
                known = str(reason)
            self._plans[operation] = known
        return known

    def _made(self, operation: str) -> Plan:
        handlers = self._listeners.of(operation)
        for event, handler in others(handlers, REFUSED):
            raise Unfit(f"{name_of(handler)} listens to {event}")
        model = self.client.meta.service_model.operation_model(operation)
        if not self.signer.takes(self.identity, operation, self.context(model)):
            raise Unfit("requests are not signed with AWS's plain version 4")
        return Plan(
            operation=operation,
            model=model,
            headers={
                "X-Amz-Target": f"{self._prefix}.{operation}",
                "Content-Type": self._content_type,
                "User-Agent": self._user_agent,
            },
            needs_retry=_method_of(RetryHandler, handlers, "needs-retry"),
            release=_method_of(RetryQuotaChecker, handlers, "after-call"),
            heard=frozenset(event for event, _ in others(handlers, EMITTED)),
        )

    def context(self, model: Any) -> dict[str, Any]:
        """The context of a request, as botocore begins it."""
        client = self.client
        return {
            "client_region": client.meta.region_name,
            "client_config": client.meta.config,
            "has_streaming_input": False,
            "auth_type": model.resolved_auth_type,
            "unsigned_payload": model.unsigned_payload,
            "auth_options": client.meta.service_model.metadata.get("auth"),
        }

    def credentials(self, transport: Transport) -> Any:
        """The current credentials, renewed by botocore if they end soon. NoCredentialsError."""
        current = self.identity._credentials  # noqa: SLF001 - as PynamoDB itself asks
        if current is None:
            raise aws.NoCredentialsError
        return transport.credentials(current)

    def destination(self, plan: Plan, request: dict[str, Any], account: str | None) -> Destination:
        """Where it goes: the endpoint rules look at the table, if it is an ARN, and the account."""
        key = plan.operation, _table_of(request), account
        known = self._destinations.get(key)
        if known is None:
            known = self.resolved(plan, request, self.context(plan.model))
            if len(self._destinations) >= _MAX_DESTINATIONS:
                self._destinations.clear()
            self._destinations[key] = known
        return known

    def resolved(self, plan: Plan, request: dict[str, Any], context: dict[str, Any]) -> Destination:
        """What botocore's endpoint rules say; `context` gets what else they say."""
        url, headers, properties = self._resolve(plan.model, request, context)
        if properties:
            context["endpoint_properties"] = properties
        prepared: dict[str, Any] = {"url_path": "/", "query_string": "", "headers": {}}
        prepare_request_dict(prepared, endpoint_url=url, context=context)
        signing = context.get("signing", {})
        scope = Scope(
            host_of(prepared["url"]),
            signing.get("region") or self.identity.region_name,
            signing.get("signing_name") or self.identity.signing_name,
        )
        return Destination(prepared["url"], scope, dict(headers))

    def parsed(self, plan: Plan, http: AWSResponse) -> dict[str, Any]:
        """The answer as botocore parses it, with every field of an error."""
        response = {
            "headers": http.headers,
            "status_code": http.status_code,
            "context": {"operation_name": plan.operation},
            "body": http.content,
        }
        more: dict[str, Any] = {}
        parse_answer(plan.model, response, more)
        parser = self.parsers.create_parser("json")
        parsed: dict[str, Any] = parser.parse(response, plan.model.output_shape)
        parsed.update(more)
        if http.status_code >= _NO_SUCCESS:
            self.endpoint._add_modeled_error_fields(  # noqa: SLF001
                response, parsed, plan.model, parser
            )
        return parsed

    def error(self, plan: Plan, parsed: dict[str, Any]) -> Exception:
        """Botocore's error for an answer that is one."""
        code = parsed.get("Error", {}).get("Code")
        error: Exception = self.client.exceptions.from_code(code)(parsed, plan.operation)
        return error


_MAX_DESTINATIONS = 100


def _table_of(request: dict[str, Any]) -> str:
    """The table of a request: a connection has only one."""
    name = request.get("TableName")
    if name is None and "RequestItems" in request:
        name = next(iter(request["RequestItems"]), None)
    if name is None:
        for member in request.get("TransactItems", ()):
            for part in member.values():
                return str(part["TableName"])
    return str(name)


def _method_of(kind: type, handlers: Handlers, event: str) -> Callable[..., Any]:
    for handler in handlers[event]:
        if isinstance(getattr(handler, "__self__", None), kind):
            method: Callable[..., Any] = handler
            return method
    raise Unfit("requests are not retried in botocore's standard mode")


class Exchange:
    """One request, from its first attempt to its answer."""

    def __init__(self, wire: Wire, plan: Plan, request: dict[str, Any], facts: Facts) -> None:
        self.wire = wire
        self.plan = plan
        self.request = request
        self.facts = facts
        self.is_over = False
        self.context: dict[str, Any] = {}
        self._destination: Destination | None = None
        self._answer: dict[str, Any] = {}
        self._error: Exception | None = None
        self._invocation = str(uuid.uuid4())

    def begin(self) -> None:
        """Make the body."""
        self.body = encoded(self.request)

    def next(self, transport: Transport) -> Outgoing:
        """The request of the next attempt, signed now."""
        wire, facts = self.wire, self.facts
        credentials = wire.credentials(transport)
        destination = self._destination
        if destination is None:
            account = getattr(credentials, "account_id", None)
            destination = wire.destination(self.plan, self.request, account)
            self._destination = destination
        headers = {**self.plan.headers, **destination.headers}
        if _IN_LAMBDA in os.environ:
            add_recursion_detection_header({"headers": headers})
        self._sign(headers, self.body, credentials, destination.scope)
        facts.tries += 1
        return Outgoing(destination.url, headers, self.body)

    def _sign(self, headers: dict[str, str], body: bytes, credentials: Any, scope: Scope) -> None:
        """Add the signature, and what tells AWS which attempt of which call this is."""
        headers.update(self.wire.signer.headers(headers, body, credentials, scope, stamp=_stamp()))
        headers["amz-sdk-invocation-id"] = self._invocation
        number = self.facts.tries + 1
        headers["amz-sdk-request"] = f"attempt={number}; max={self.wire.max_attempts}"

    def carry(self, transport: Transport, outgoing: Outgoing) -> Any:
        """The response to one attempt."""
        return transport.send(outgoing)

    def heard(self, reply: Any) -> float | None:
        """Seconds to wait before the next attempt; None if this response ends the exchange."""
        self.facts.reply = reply
        if reply.status_code < _NO_SUCCESS:
            answer = read_answer(self.plan.operation, reply.headers, reply.content)
            if answer is not None:
                self._end(reply, answer)
                return None
        http = as_response(self._url(), reply)
        parsed = self.wire.parsed(self.plan, http)
        # It also makes a bad gateway of a success that is none, which is then retried as one.
        self.facts.lost = is_lost((http, parsed), None) or self.facts.lost
        self.facts.throttles += is_throttled(parsed)
        wait = self._wait((http, parsed), None)
        if wait is None:
            self._end(http, parsed)
        return wait

    def failed(self, error: Exception) -> float | None:
        """Seconds to wait before the next attempt; None if this error ends the exchange."""
        self.facts.reply = None
        self.facts.lost = is_lost(None, error) or self.facts.lost
        wait = self._wait(None, error)
        if wait is None:
            self._error = error
        return wait

    def _wait(self, response: Any, error: Exception | None) -> float | None:
        """What botocore's standard retry mode decides."""
        retries = self.context.setdefault("retries", {"invocation-id": self._invocation})
        retries["attempt"] = self.facts.tries
        wait = self.plan.needs_retry(
            response=response,
            endpoint=self.wire.endpoint,
            operation=self.plan.model,
            attempts=self.facts.tries,
            caught_exception=error,
            request_dict={"context": self.context},
        )
        return None if wait is None or wait is False else float(wait)

    def _end(self, reply: Any, answer: dict[str, Any]) -> None:
        self.plan.release(context=self.context, http_response=reply)
        self._keep(reply, answer)

    def _keep(self, reply: Any, answer: dict[str, Any]) -> None:
        if reply.status_code >= _NO_SUCCESS:
            answer.setdefault("ResponseMetadata", {})["RetryAttempts"] = self.facts.tries - 1
            self._error = self.wire.error(self.plan, answer)
        else:
            self._answer = answer

    def _url(self) -> str:
        return "" if self._destination is None else self._destination.url

    def answer(self) -> dict[str, Any]:
        """The answer of the last attempt; raises its error if it is one."""
        if self._error is not None:
            raise self._error
        return self._answer


def run(exchange: Exchange, transport: Transport) -> dict[str, Any]:
    """Send a request until it is answered for good. botocore's errors."""
    exchange.begin()
    while not exchange.is_over:
        outgoing = exchange.next(transport)
        try:
            reply = exchange.carry(transport, outgoing)
        except Exception as error:  # noqa: BLE001 - as in botocore, whatever it is
            wait = exchange.failed(error)
        else:
            wait = exchange.heard(reply)
        if wait is None:
            break
        transport.sleep(wait)
    return exchange.answer()


def encoded(request: dict[str, Any]) -> bytes:
    """The body of a request: JSON, with bytes as base64."""
    try:
        body = pydantic_core.to_json(request, bytes_mode="base64")
    except ValueError:  # half a surrogate pair: DynamoDB rejects it, as it should
        return _to_json(request).encode()
    if b'"BS":' in body:
        return _to_json(request).encode()
    # pydantic's base64 has another alphabet. Inside a text, these quotes would be escaped.
    return _BINARY.sub(_in_standard_alphabet, body) if b'{"B":"' in body else body


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a request can't hold {type(value).__name__}")


_to_json = json.JSONEncoder(separators=(",", ":"), default=_plain).encode

_BINARY = re.compile(rb'{"B":"[\w=-]*"', re.ASCII)
_STANDARD = bytes.maketrans(b"-_", b"+/")


def _in_standard_alphabet(found: re.Match[bytes]) -> bytes:
    return found.group().translate(_STANDARD)


class _Raw:
    """A body that has been read, for botocore's response."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> list[bytes]:
        return [self._content]


def as_response(url: str, reply: Any) -> AWSResponse:
    """A reply as botocore's response."""
    if isinstance(reply, AWSResponse):
        return reply
    headers = HeadersDict(reply.headers.items())
    return AWSResponse(url, reply.status_code, headers, _Raw(reply.content))


def _stamp() -> str:
    """The time of signing, the same text for a whole second."""
    global _second  # noqa: PLW0603 - one pair, replaced as a whole
    now = int(time.time())
    known = _second
    if known[0] != now:
        known = _second = (now, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)))
    return known[1]


_second = (0, "")
_IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME"
