"""Faults, injected between a client and its engine.

    with FaultInjector(store.connection.client) as faults:
        faults.plan(DropAnswer(), at=2)                  # the 2nd request is done, its answer lost
        faults.plan(Throttled(), operation="Query", times=None, every_attempt=True)
        ...
    faults.injected                                      # what happened, in order

A request is one API call; botocore may send it several times. A fault strikes the first attempt
only, so that botocore's retry meets the real server, or, with `every_attempt`, all of them.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from dynamo_chat.testing.answers import answer as raw_answer, error_answer, json_answer
from dynamo_chat.testing.hook import Client, ClientHook, Handler

_BATCHES = frozenset({"BatchGetItem", "BatchWriteItem"})
_TRANSACTIONS = frozenset({"TransactGetItems", "TransactWriteItems"})
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})


class Killed(BaseException):
    """The process died here. No ``except Exception`` survives it, as none would survive a kill."""


class Attempt:
    """One HTTP request on its way to the engine, as a fault sees it."""

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
        parsed: dict[str, Any] = json.loads(self._request.body)
        return parsed

    def forward(self, body: Mapping[str, Any] | None = None) -> AWSResponse:
        """Send it really, and return the engine's answer.

        With another `body` the signature no longer fits: stand-ins do not mind, AWS would.
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
        """Moto's answer, where moto is what answers in this process."""
        moto = sys.modules.get("moto.core.models")
        return None if moto is None else moto.botocore_stubber(self._event_name, request)

    def divert(self) -> None:
        """Make sure that no other handler serves this request, now that it has been answered.

        botocore asks every handler of ``before-send`` and takes the first answer; moto, asked
        after us, would still execute the request. It serves AWS's addresses only.
        """
        self._request.url = "http://answered.invalid/"


class Fault(ABC):
    """What can go wrong with a request. Faults are values: equal ones do the same."""

    def strikes(self, operation: str) -> bool:
        """Whether this fault can happen to `operation`."""
        del operation
        return True

    @abstractmethod
    def happen(self, attempt: Attempt) -> AWSResponse:
        """Answer in the engine's place, or raise what the client sees."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer(Fault):
    """DynamoDB answers with an error; nothing is done."""

    code: str
    message: str = "Injected"
    status: int = 400

    def happen(self, attempt: Attempt) -> AWSResponse:
        """The error."""
        return error_answer(attempt.url, self.code, self.message, status=self.status)


@dataclass(frozen=True, slots=True)
class Throttled(ErrorAnswer):
    """The table has no capacity left for the request."""

    code: str = "ProvisionedThroughputExceededException"
    message: str = "The level of configured provisioned throughput for the table was exceeded"


@dataclass(frozen=True, slots=True)
class ServerError(ErrorAnswer):
    """DynamoDB fails; nothing is done."""

    code: str = "InternalServerError"
    message: str = "The request processing has failed because of an unknown error"
    status: int = 500


@dataclass(frozen=True, slots=True)
class TransactionConflict(Fault):
    """Another transaction is at work on the items; nothing is done.

    `items` are the places in the transaction that are contended; by default all of them.
    """

    items: tuple[int, ...] | None = None

    def strikes(self, operation: str) -> bool:
        """Transactions, and writes of one item."""
        return operation in _TRANSACTIONS | _WRITES

    def happen(self, attempt: Attempt) -> AWSResponse:
        """A cancelled transaction with a reason for each item, or the error of a single write."""
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
    """A transaction is cancelled for these reasons, place by place; nothing is done.

    Nothing is wrong with the members behind the last code. Failed conditions found no item.
    """

    codes: tuple[str, ...]

    def strikes(self, operation: str) -> bool:
        """Transactions."""
        return operation in _TRANSACTIONS

    def happen(self, attempt: Attempt) -> AWSResponse:
        """The error, with a reason for each member."""
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
    """DynamoDB does a batch in part: the `last` members are handed back; the others are done."""

    last: int = 1

    def strikes(self, operation: str) -> bool:
        """Batches."""
        return operation in _BATCHES

    def happen(self, attempt: Attempt) -> AWSResponse:
        """The engine's answer to what was left of the batch, with the rest as unprocessed."""
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
        # What the engine itself handed back stands first, so that no member is lost.
        answer[returned] = left.added_to(answer.get(returned) or {})
        return json_answer(attempt.url, answer)


@dataclass(frozen=True, slots=True)
class DropAnswer(Fault):
    """The request is done, but its answer never arrives: the client meets a timeout."""

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Send, and lose the answer."""
        attempt.forward()
        raise ReadTimeoutError(endpoint_url=attempt.url, error="injected")


@dataclass(frozen=True, slots=True)
class BrokenAnswer(Fault):
    """The request is done, or not, and what comes back with status 200 is not DynamoDB's."""

    body: bytes = b"<html><body>Welcome</body></html>"
    is_done: bool = True

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Send, perhaps, and answer something else."""
        if self.is_done:
            attempt.forward()
        return raw_answer(attempt.url, self.body)


@dataclass(frozen=True, slots=True)
class Unreachable(Fault):
    """The request never arrives: the client cannot connect."""

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Send nothing."""
        raise EndpointConnectionError(endpoint_url=attempt.url, error="injected")


@dataclass(frozen=True, slots=True)
class Kill(Fault):
    """The process dies: before the request is sent, or after it was done, unheard."""

    after_sending: bool = False

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Raise `Killed`."""
        if self.after_sending:
            attempt.forward()
        raise Killed


class _UnprocessedPart:
    """The RequestItems of a batch, cut into what is sent and the last members, which are not."""

    def __init__(self, items: Mapping[str, Any], last: int, *, writes: bool) -> None:
        self._items = items
        self._writes = writes
        members = [(table, member) for table in items for member in self._members(items[table])]
        cut = max(0, len(members) - last)
        self.sent = self._joined(members[:cut])
        self._left = members[cut:]

    def added_to(self, handed_back: Mapping[str, Any]) -> dict[str, Any]:
        """What was not sent, behind what the engine did not do either."""
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
        # The projection and consistency of a table's part go with its keys.
        return {table: {**self._items[table], "Keys": keys} for table, keys in tables.items()}


# ------------------------------------------------------------------------------------ injector


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that happened: to which request (from 1), and at which of its attempts (from 1)."""

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
        """Count a request in, and say whether it is one to strike."""
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
        """The fault that this request meets, if any. One throw each, whatever the outcome."""
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
    """One API call in flight on this thread."""

    number: int
    operation: str
    fault: Fault | None
    every_attempt: bool
    attempts: int = 0


class _Flight(threading.local):
    call: _Call | None = None


class FaultInjector(ClientHook):
    """Makes requests of one client fail as planned. Safe between threads.

    `requests` counts the API calls seen since attaching, `injected` lists the faults that
    happened, in order. With several plans, the first one that is due strikes.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.requests = 0
        self.injected: list[Injection] = []
        self._plans: list[_Plan] = []
        self._dice: _Dice | None = None
        self._lock = threading.Lock()
        self._flight = _Flight()
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
        """Let `fault` happen to the `at`-th request from now, and the `times` - 1 after it.

        Only requests that the fault can happen to are counted, and, with `operation`, only those
        of that operation. `times` None means all from there on.
        """
        if at < 1:
            raise ValueError("requests are counted from 1")
        with self._lock:
            self._plans.append(_Plan(fault, operation, every_attempt, at, times))

    def gamble(
        self, rates: Mapping[Fault, float], *, seed: int, every_attempt: bool = False
    ) -> None:
        """Let each request meet one of these faults with its probability, from now on.

        The same seed throws the same dice; with several threads, which of them meets what varies.
        """
        if sum(rates.values()) > 1:
            raise ValueError("the probabilities add up to more than 1")
        with self._lock:
            # The dice of a test, no secret.
            self._dice = _Dice(dict(rates), random.Random(seed), every_attempt)  # noqa: S311

    def clear(self) -> None:
        """Forget every plan and the dice. What was counted and recorded stays."""
        with self._lock:
            self._plans.clear()
            self._dice = None

    def detach(self) -> None:
        """Stop. What was recorded stays."""
        super().detach()
        self._http.close()

    def handlers(self) -> dict[str, Handler]:
        """One event per API call, one per attempt."""
        return {
            "before-call.dynamodb": self._before_call,
            "before-send.dynamodb": self._before_send,
        }

    def _before_call(self, model: Any, **_: Any) -> None:
        operation = model.name
        with self._lock:
            self.requests += 1
            # Every plan counts every request, also when another one strikes.
            due = [plan for plan in self._plans if plan.is_due(operation)]
            call = _Call(self.requests, operation, None, every_attempt=False)
            thrown = None if self._dice is None else self._dice.throw(operation)
            if due:
                call.fault, call.every_attempt = due[0].fault, due[0].every_attempt
            elif thrown is not None and self._dice is not None:
                call.fault, call.every_attempt = thrown, self._dice.every_attempt
        self._flight.call = call

    def _before_send(
        self, request: AWSPreparedRequest, event_name: str, **_: Any
    ) -> AWSResponse | None:
        # botocore sends on the thread that called, so the call in flight here is the request's.
        call = self._flight.call
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
    """Every way to die in an operation of so many requests: at each one, before and after it."""
    for number in range(1, requests + 1):
        yield number, Kill()
        yield number, Kill(after_sending=True)
