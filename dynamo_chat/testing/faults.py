"""Faults, injected between a client and its engine.

    with FaultInjector(store.connection.client) as faults:
        faults.plan(DropAnswer(), at=2)                  # the 2nd request loses its response
        faults.plan(Throttled(), operation="Query", times=None, every_attempt=True)
        ...
    faults.injected                                      # what happened, in order

A request is one API call; botocore may send it several times. A fault affects only the first
attempt, so that botocore's retry reaches the real server, or, with `every_attempt`, all of them.
"""

from __future__ import annotations

import json
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from dynamo_chat.core.forks import ProcessLock
from dynamo_chat.testing.answers import answer as raw_answer, error_answer, json_answer
from dynamo_chat.testing.hook import Client, ClientHook, Handler

_BATCHES = frozenset({"BatchGetItem", "BatchWriteItem"})
_TRANSACTIONS = frozenset({"TransactGetItems", "TransactWriteItems"})
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_ANSWERED = "http://answered.invalid/"


class Killed(BaseException):
    """Raised where a process would have been killed. ``except Exception`` does not catch it."""


class Attempt:
    """One HTTP request to the engine, as a fault sees it."""

    def __init__(
        self, operation: str, event_name: str, request: AWSPreparedRequest, http: URLLib3Session
    ) -> None:
        self.operation = operation
        self.url: str = request.url
        self._event_name = event_name
        self._request = request
        self._http = http

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    @property
    def text(self) -> str:
        """The request's JSON, as it is sent."""
        body = self._request.body
        return body if isinstance(body, str) else bytes(body).decode()

    @property
    def is_answered(self) -> bool:
        """True if another handler has answered already; see `divert`."""
        return bool(self._request.url == _ANSWERED)

    def forward(self, body: Mapping[str, Any] | None = None) -> AWSResponse:
        """Send the request and return the engine's response.

        With another `body` the signature is wrong. AWS would reject it; stand-ins do not check.
        """
        request = self._request if body is None else self._changed(body)
        response = self._in_process(request)
        return self._http.send(request) if response is None else response

    def _changed(self, body: Mapping[str, Any]) -> AWSPreparedRequest:
        content = json.dumps(body).encode()
        headers = self._request.headers.copy()
        headers["Content-Length"] = str(len(content))
        request = self._request
        return AWSPreparedRequest(request.method, self.url, headers, content, request.stream_output)

    def _in_process(self, request: AWSPreparedRequest) -> AWSResponse | None:
        """Moto's response, if moto serves this process."""
        moto = sys.modules.get("moto.core.models")
        return None if moto is None else moto.botocore_stubber(self._event_name, request)

    def divert(self) -> None:
        """Make sure that no other handler executes this request after it has been answered.

        botocore calls every ``before-send`` handler and uses the first response; moto, called
        after us, would still execute the request. It only serves AWS's addresses.
        """
        self._request.url = _ANSWERED


class Fault(ABC):
    """Something that goes wrong with a request. Faults are values: equal ones do the same."""

    def strikes(self, operation: str) -> bool:
        """True if this fault can happen to `operation`."""
        del operation
        return True

    @abstractmethod
    def happen(self, attempt: Attempt) -> AWSResponse:
        """Respond in the engine's place, or raise the client's error."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer(Fault):
    """DynamoDB returns an error; nothing is done."""

    code: str
    message: str = "Injected"
    status: int = 400

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Return the error."""
        return error_answer(attempt.url, self.code, self.message, status=self.status)


@dataclass(frozen=True, slots=True)
class Throttled(ErrorAnswer):
    """The table has no capacity left for the request."""

    code: str = "ProvisionedThroughputExceededException"
    message: str = "The level of configured provisioned throughput for the table was exceeded"


@dataclass(frozen=True, slots=True)
class ServerError(ErrorAnswer):
    """DynamoDB has an internal error; nothing is done."""

    code: str = "InternalServerError"
    message: str = "The request processing has failed because of an unknown error"
    status: int = 500


@dataclass(frozen=True, slots=True)
class TransactionConflict(Fault):
    """Another transaction is using the items; nothing is done.

    `items` are the places in the transaction that conflict; by default all of them.
    """

    items: tuple[int, ...] | None = None

    def strikes(self, operation: str) -> bool:
        """True for transactions and writes of one item."""
        return operation in _TRANSACTIONS | _WRITES

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Return a cancelled transaction with a reason per item, or a single write's error."""
        if attempt.operation not in _TRANSACTIONS:
            return error_answer(
                attempt.url, "TransactionConflictException", "Transaction is ongoing for the item"
            )
        size = len(attempt.body["TransactItems"])
        contended = range(size) if self.items is None else self.items
        reasons = [
            {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
            if place in contended
            else {"Code": "None"}
            for place in range(size)
        ]
        codes = ", ".join(reason["Code"] for reason in reasons)
        return error_answer(
            attempt.url,
            "TransactionCanceledException",
            "Transaction cancelled, please refer cancellation reasons for specific reasons "
            f"[{codes}]",
            CancellationReasons=reasons,
        )


@dataclass(frozen=True, slots=True)
class Cancelled(Fault):
    """A transaction is cancelled with these reasons, one per member; nothing is done.

    Further members get the reason ``None``. Failed conditions return no item.
    """

    codes: tuple[str, ...]

    def strikes(self, operation: str) -> bool:
        """True for transactions."""
        return operation in _TRANSACTIONS

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Return the error, with a reason for each member."""
        size = len(attempt.body["TransactItems"])
        reasons = [{"Code": code} for code in (*self.codes, *["None"] * size)[:size]]
        return error_answer(
            attempt.url,
            "TransactionCanceledException",
            f"Transaction cancelled [{', '.join(reason['Code'] for reason in reasons)}]",
            CancellationReasons=reasons,
        )


@dataclass(frozen=True, slots=True)
class Unprocessed(Fault):
    """DynamoDB does only part of a batch and returns the `last` members as unprocessed."""

    last: int = 1

    def strikes(self, operation: str) -> bool:
        """True for batches."""
        return operation in _BATCHES

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Send the first part, and return the engine's response with the rest as unprocessed."""
        body = attempt.body
        writes = attempt.operation == "BatchWriteItem"
        left = _UnprocessedPart(body["RequestItems"], self.last, writes=writes)
        answer: dict[str, Any] = {} if writes else {"Responses": {}}
        if left.sent:
            response = attempt.forward({**body, "RequestItems": left.sent})
            if response.status_code != HTTPStatus.OK:
                return response
            answer = json.loads(response.content)
        returned = "UnprocessedItems" if writes else "UnprocessedKeys"
        # The members that the engine itself returned come first, so that none is lost.
        answer[returned] = left.added_to(answer.get(returned) or {})
        return json_answer(attempt.url, answer)


@dataclass(frozen=True, slots=True)
class DropAnswer(Fault):
    """The request is done, but its response is lost: the client gets a timeout."""

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Send the request, then raise a timeout."""
        attempt.forward()
        raise ReadTimeoutError(endpoint_url=attempt.url, error="injected")


@dataclass(frozen=True, slots=True)
class BrokenAnswer(Fault):
    """The response has status 200 but is not DynamoDB's. `is_done` says if the request is done."""

    body: bytes = b"<html><body>Welcome</body></html>"
    is_done: bool = True

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Send the request if `is_done`, and return `body`."""
        if self.is_done:
            attempt.forward()
        return raw_answer(attempt.url, self.body)


@dataclass(frozen=True, slots=True)
class Unreachable(Fault):
    """The request never arrives: the client cannot connect."""

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Raise the error without sending."""
        raise EndpointConnectionError(endpoint_url=attempt.url, error="injected")


@dataclass(frozen=True, slots=True)
class Kill(Fault):
    """The process dies before the request is sent, or before it gets the response."""

    after_sending: bool = False

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Raise `Killed`."""
        if self.after_sending:
            attempt.forward()
        raise Killed


class _UnprocessedPart:
    """The RequestItems of a batch, split into those to send and the last ones, not sent."""

    def __init__(self, items: Mapping[str, Any], last: int, *, writes: bool) -> None:
        self._items = items
        self._writes = writes
        members = [(table, member) for table in items for member in self._members(items[table])]
        cut = max(0, len(members) - last)
        self.sent = self._joined(members[:cut])
        self._left = members[cut:]

    def added_to(self, handed_back: Mapping[str, Any]) -> dict[str, Any]:
        """The members that the engine returned, followed by those that were not sent."""
        members = [(t, member) for t in handed_back for member in self._members(handed_back[t])]
        return self._joined(members + self._left)

    def _members(self, part: Any) -> list[Any]:
        return list(part if self._writes else part["Keys"])

    def _joined(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        tables: dict[str, list[Any]] = {}
        for table, member in members:
            tables.setdefault(table, []).append(member)
        if self._writes:
            return dict(tables)
        # Keep the projection and consistency of each table's part.
        return {table: {**self._items[table], "Keys": keys} for table, keys in tables.items()}


# ------------------------------------------------------------------------------------ injector


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that happened, with the number of the request and of its attempt, both from 1."""

    request: int
    attempt: int
    operation: str
    fault: Fault


@dataclass(slots=True)
class _Plan:
    fault: Fault
    operation: str | None
    every_attempt: bool
    first: int
    times: int | None
    seen: int = 0

    def is_due(self, operation: str) -> bool:
        """Count a request; True if the fault happens to it."""
        if self.operation not in {None, operation} or not self.fault.strikes(operation):
            return False
        self.seen += 1
        behind = self.seen - self.first
        return behind >= 0 and (self.times is None or behind < self.times)


@dataclass(slots=True)
class _Dice:
    rates: Mapping[Fault, float]
    random: random.Random
    every_attempt: bool

    def throw(self, operation: str) -> Fault | None:
        """The fault for this request, or None. Draws one random number per request."""
        luck = self.random.random()
        for fault, rate in self.rates.items():
            if not fault.strikes(operation):
                continue
            if luck < rate:
                return fault
            luck -= rate
        return None


@dataclass(slots=True)
class _Call:
    """One API call in flight."""

    number: int
    operation: str
    fault: Fault | None
    every_attempt: bool
    attempts: int = 0


class FaultInjector(ClientHook):
    """Makes requests of one client fail as planned. Thread-safe.

    `requests` counts the API calls since attaching; `injected` lists the faults that happened, in
    order. If several plans are due, the first one happens.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.requests = 0
        self.injected: list[Injection] = []
        self._plans: list[_Plan] = []
        self._dice: _Dice | None = None
        self._lock = ProcessLock()
        self._flight: ContextVar[_Call | None] = ContextVar("dynamo_chat_flight", default=None)
        self._http = URLLib3Session(max_pool_connections=50)

    def plan(
        self,
        fault: Fault,
        *,
        at: int = 1,
        times: int | None = 1,
        operation: str | None = None,
        every_attempt: bool = False,
    ) -> None:
        """Plan `fault` for the `at`-th request from now, and the `times` - 1 after it.

        Only requests that the fault can happen to are counted, and, with `operation`, only those
        of that operation. With `times` None, it happens to all later ones.
        """
        if at < 1:
            raise ValueError("at must be 1 or more")
        with self._lock:
            self._plans.append(_Plan(fault, operation, every_attempt, at, times))

    def gamble(
        self, rates: Mapping[Fault, float], *, seed: int, every_attempt: bool = False
    ) -> None:
        """From now on, let each of these faults happen to requests with its probability.

        The same seed gives the same faults. With several threads, which thread gets which varies.
        """
        if sum(rates.values()) > 1:
            raise ValueError("the probabilities add up to more than 1")
        with self._lock:
            # The dice of a test, no secret.
            self._dice = _Dice(dict(rates), random.Random(seed), every_attempt)  # noqa: S311

    def clear(self) -> None:
        """Remove every plan and the probabilities. What was counted and recorded stays."""
        with self._lock:
            self._plans.clear()
            self._dice = None

    def detach(self) -> None:
        """Stop injecting faults. What was recorded stays."""
        super().detach()
        self._http.close()

    def handlers(self) -> dict[str, Handler]:
        """One event per API call, and one per attempt."""
        return {
            "before-call.dynamodb": self._before_call,
            "before-send.dynamodb": self._before_send,
        }

    def _before_call(self, model: Any, **_: Any) -> None:
        operation = model.name
        with self._lock:
            self.requests += 1
            # Every plan counts every request, even if another plan's fault happens.
            due = [plan for plan in self._plans if plan.is_due(operation)]
            call = _Call(self.requests, operation, None, every_attempt=False)
            thrown = None if self._dice is None else self._dice.throw(operation)
            if due:
                call.fault, call.every_attempt = due[0].fault, due[0].every_attempt
            elif thrown is not None and self._dice is not None:
                call.fault, call.every_attempt = thrown, self._dice.every_attempt
        self._flight.set(call)

    def _before_send(
        self, request: AWSPreparedRequest, event_name: str, **_: Any
    ) -> AWSResponse | None:
        # Requests are sent on the caller's thread, or in its task: the call is the request's.
        call = self._flight.get()
        if call is None:
            return None
        call.attempts += 1
        if call.fault is None or (call.attempts > 1 and not call.every_attempt):
            return None
        with self._lock:
            self.injected.append(Injection(call.number, call.attempts, call.operation, call.fault))
        attempt = Attempt(call.operation, event_name, request, self._http)
        answer = call.fault.happen(attempt)
        attempt.divert()
        return answer


def kill_points(requests: int) -> Iterator[tuple[int, Kill]]:
    """A `Kill` before and after each request of an operation, with the request's number."""
    for number in range(1, requests + 1):
        yield number, Kill()
        yield number, Kill(after_sending=True)
