"""The connection to one table: sends requests, reports them to the hook, translates errors.

Built on an instance of PynamoDB's `Connection`. Nothing is configured on a class or a module, so
two stores in one process never affect each other, nor do two processes.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from botocore import exceptions as aws

from dynamo_chat.core import errors, settings
from dynamo_chat.core.answers import (
    BROKEN_ANSWER,
    DATA_OPERATIONS,
    READING,
    THROTTLED_IN_TRANSACTION,
    THROTTLING,
    WRITING,
)
from dynamo_chat.core.carrier import ON_THREAD, Carrier
from dynamo_chat.core.client import ConnectionOptions, PynamoClient
from dynamo_chat.core.events import Ended, RequestEvent, RequestHook, reasons_of
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.size import MAX_ITEM_BYTES
from dynamo_chat.core.tracing import watching
from dynamo_chat.core.wire import Facts

logger = logging.getLogger("dynamo_chat")

AttributeValues = dict[str, dict[str, Any]]
"""An item in DynamoDB's JSON: attribute name to ``{"S": …}``."""


class ConditionFailed(Exception):
    """A condition did not hold. `items` maps the write's place in the request to the stored item.

    `was_resent` is True if an earlier attempt of the same request got no answer: that attempt may
    have written the stored item.
    """

    def __init__(
        self, items: dict[int, AttributeValues | None], *, was_resent: bool = False
    ) -> None:
        super().__init__("a condition did not hold")
        self.items = items
        self.was_resent = was_resent


class TransactionClash(Exception):
    """The transaction conflicted with another one, or was throttled.

    `is_open` is True if an earlier attempt of the same request may still succeed, or may be what
    this one conflicts with.
    """

    def __init__(self, message: str, *, is_throttled: bool = False, is_open: bool = False) -> None:
        super().__init__(message)
        self.is_throttled = is_throttled
        self.is_open = is_open


class Connection:
    """Sends DynamoDB requests for one table on one endpoint. Safe to share between threads."""

    def __init__(
        self,
        table_name: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        options: ConnectionOptions | None = None,
        on_request: RequestHook | None = None,
    ) -> None:
        settings.check_table_name(table_name)
        settings.check_region(region)
        settings.check_endpoint(endpoint_url)
        if options is not None and not isinstance(options, ConnectionOptions):
            raise errors.InvalidArgument("options", "must be ConnectionOptions")
        if on_request is not None:
            settings.check_callable("on_request", on_request)
        self.table_name = table_name
        self.region = region
        self.endpoint_url = endpoint_url
        self.options = options or ConnectionOptions()
        self.on_request = on_request
        self.telemetry = watching(self.options.telemetry)
        """What makes spans and metrics; None if nothing does."""
        self._carrier: Carrier = ON_THREAD
        self._pynamo = PynamoClient(self.options, region, endpoint_url)
        self._random = random.SystemRandom()  # without a state that forked processes would share
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"Connection(table={self.table_name!r}, region={self.region!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """How to make it again: a copy, here or in another process, has its own client."""
        specification: dict[str, Any] = {
            "region": self.region,
            "endpoint_url": self.endpoint_url,
            "options": self.options,
            "on_request": self.on_request,
        }
        return partial(type(self), self.table_name, **specification), ()

    def after_fork(self) -> None:
        """Use a new client: two processes on one socket would read each other's answers."""
        parents = self._pynamo
        self._pynamo = PynamoClient(self.options, self.region, self.endpoint_url)
        self._pynamo.carrier = self._carrier
        parents.let_go()

    def close(self) -> None:
        """Close the connections that no request uses now. The next request opens another."""
        self._pynamo.close()

    @property
    def client(self) -> Any:
        """The botocore client. Using it directly bypasses every check of the store."""
        try:
            return self._pynamo.client
        except aws.BotoCoreError as error:
            raise _translated_botocore(error, self.table_name) from error

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return the parsed response.

        Raises `ConditionFailed` and `TransactionClash`, which the caller handles (see
        `core/transaction.py`), and an error of `dynamo_chat.core.errors` for everything else.
        """
        if self.options.writes_in is not None and operation in WRITING:
            self._check_region(self.options.writes_in)
        span = None
        if self.telemetry is not None:
            endpoint = self._pynamo.endpoint
            span = self.telemetry.request(operation, request, self.table_name, endpoint)
        started = time.perf_counter()
        response: Mapping[str, Any] = {}
        failure: BaseException | None = None
        facts = Facts()
        try:
            answer = self._carrier.send(self._pynamo, operation, request, facts)
            response = answer
            return answer
        except aws.ClientError as error:
            # PynamoDB wraps botocore's error in one that leaves out the stored item.
            wrapped = error.__cause__
            failure = cause = wrapped if isinstance(wrapped, aws.ClientError) else error
            response = cause.response
            raise _translated_client_error(cause, self.table_name, was_lost=facts.lost) from cause
        except aws.BotoCoreError as error:
            failure = error
            raise _translated_botocore(error, self.table_name, operation) from error
        except BaseException as error:
            failure = error
            raise
        finally:
            if self.on_request is not None or span is not None:
                seconds = time.perf_counter() - started
                event = Ended(
                    self.table_name, operation, request, response, failure, facts, seconds
                ).event()
                if span is not None:
                    span.end(event, response, self._pynamo.endpoint)
                self._report(event)

    def pause(self, attempt: int) -> None:
        """Wait before attempt number `attempt` + 1: full jitter, at most one second."""
        self.sleep(self._random.uniform(0, min(1.0, 0.005 * 2 ** min(attempt, 10))))

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        self._carrier.sleep(seconds)

    def carried_by(self, carrier: Carrier) -> None:
        """From now on, wait with `carrier`. Only before the first request."""
        self._carrier = self._pynamo.carrier = carrier

    def beside(self, table_name: str, *, region: str | None = None) -> Connection:
        """A connection to another table, with the same settings and the same carrier."""
        other = Connection(
            table_name,
            region=region or self.region,
            endpoint_url=self.endpoint_url,
            options=self.options,
            on_request=self.on_request,
        )
        other.carried_by(self._carrier)
        return other

    def _check_region(self, allowed: str) -> None:
        """WrongRegion unless requests go to the region `allowed`."""
        region = self.region or self._carrier.blocking(lambda: self.client.meta.region_name)
        if region != allowed:
            raise errors.WrongRegion(str(region), allowed)

    def _report(self, event: RequestEvent) -> None:
        if self.on_request is None:
            return
        try:
            self.on_request(event)
        except Exception:
            # The request was already made: a broken hook must not hide its result.
            logger.exception("the on_request hook failed")


_UNAVAILABLE = {"InternalServerError", "InternalFailure", "ServiceUnavailable", BROKEN_ANSWER}
_BAD_CREDENTIALS = {
    "ExpiredTokenException",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}


_OF_THE_TABLE = {"ResourceNotFoundException", "ValidationException"}
# For a missing index, and for one that is still being built.
_OF_AN_INDEX = re.compile("specified index|backfilling|invalid index", re.IGNORECASE)


def _translated_client_error(  # noqa: PLR0911 - one return per kind of trouble
    error: aws.ClientError, table: str, *, was_lost: bool
) -> Exception:
    """The one place where DynamoDB's error codes become errors of this package."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "Unknown")), str(details.get("Message", ""))
    if code == "ConditionalCheckFailedException":
        stored: Any = error.response.get("Item")
        return ConditionFailed({0: stored or None}, was_resent=was_lost)
    if code == "TransactionCanceledException":
        return _translated_cancellation(error, message, was_lost=was_lost)
    if code in {"TransactionConflictException", "TransactionInProgressException"}:
        is_open = was_lost or code == "TransactionInProgressException"
        return TransactionClash(message, is_open=is_open)
    if code in _OF_THE_TABLE and _OF_AN_INDEX.search(message):
        return errors.IndexNotReady(
            f"an index of table {table!r} is missing or still being built; "
            "store.table.check() says which, store.table.wait() waits for it",
            code,
        )
    if code == "ResourceNotFoundException":
        return errors.TableNotFound(
            f"table {table!r} does not exist in this account and region; create it with "
            "store.table.create(), or check the name, the region and the endpoint",
            code,
        )
    if code in {"AccessDeniedException", "AccessDenied"}:
        return errors.AccessDenied(
            f"the credentials do not allow this on table {table!r}; the role's policy must allow "
            f"the action on the table and its indexes ({_action_of(message)})",
            code,
        )
    is_open = was_lost and not error.operation_name.startswith(READING)
    if code in THROTTLING and not is_open:
        return throttled(table, code)
    if code in _UNAVAILABLE | THROTTLING or _status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unheard(code, error.operation_name)
    if code in _BAD_CREDENTIALS:
        return errors.CredentialsMissing(
            "DynamoDB did not accept the AWS credentials; renew or replace them", code
        )
    if code == "ValidationException" and "item size" in message.lower():
        return errors.ItemTooLarge("item", None, MAX_ITEM_BYTES)
    # DynamoDB's message about an item may quote a key; about table management it does not.
    detail = "" if error.operation_name in DATA_OPERATIONS else f" ({message})"
    return errors.RequestRejected(f"DynamoDB rejected the request: {code}{detail}", code)


def throttled(table: str, code: str) -> errors.Throttled:
    """The error of a request that was throttled after every retry."""
    return errors.Throttled(
        f"DynamoDB throttled table {table!r} after every retry; try again later, or give the "
        "table more capacity",
        code,
    )


def unheard(code: str, operation: str) -> errors.Unreachable:
    """The error of a request that got no valid answer at any attempt."""
    return errors.Unreachable(
        "DynamoDB gave no valid answer after every retry" + _maybe_done(operation), code
    )


def _status_of(error: aws.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _translated_cancellation(error: aws.ClientError, message: str, *, was_lost: bool) -> Exception:
    response: Any = error.response
    reasons = response.get("CancellationReasons") or []
    codes = reasons_of(response)
    failed = {
        place: reasons[place].get("Item") or None
        for place, code in enumerate(codes)
        if code == "ConditionalCheckFailed"
    }
    causes = [code for code in codes if code != "None"]
    # A conflict or a throttle beside a failed condition is retried: the condition may have seen
    # another transaction half done, even an earlier attempt of this one.
    passing = set(causes) & {"TransactionConflict", *THROTTLED_IN_TRANSACTION}
    if failed and not passing:
        return ConditionFailed(failed, was_resent=was_lost)
    if any("item size" in str(reason.get("Message", "")).lower() for reason in reasons):
        return errors.ItemTooLarge("item", None, MAX_ITEM_BYTES)
    if {"ItemCollectionSizeLimitExceeded", "ValidationError"} & set(codes):
        return errors.RequestRejected("DynamoDB rejected a write of the transaction", causes[0])
    if set(causes) <= passing | {"ConditionalCheckFailed"}:
        is_throttled = bool(THROTTLED_IN_TRANSACTION & passing)
        return TransactionClash(message, is_throttled=is_throttled, is_open=was_lost)
    return errors.RequestRejected(
        f"DynamoDB cancelled the transaction: {', '.join(codes)}", causes[0]
    )


def _maybe_done(operation: str) -> str:
    """The advice for a request without an answer: reads can simply be tried again."""
    if operation.startswith(READING):
        return "; try again"
    return "; it may have happened anyway: call again with the same ids"


def _translated_botocore(
    error: aws.BotoCoreError, table: str, operation: str = "Get"
) -> errors.ServiceError:
    name = type(error).__name__
    if isinstance(error, aws.NoRegionError):
        return errors.RegionMissing(
            "no AWS region found: pass region=, or set AWS_REGION or AWS_DEFAULT_REGION", name
        )
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError)) or (
        "Credential" in name or "Token" in name or "Profile" in name
    ):
        return errors.CredentialsMissing(
            "no usable AWS credentials found: configure a role, a profile or AWS_ACCESS_KEY_ID",
            name,
        )
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return errors.Unreachable(
            f"no answer from the endpoint of table {table!r}: check the endpoint, the region and "
            f"the network{_maybe_done(operation)}",
            name,
        )
    return errors.RequestRejected(f"the request could not be sent: {name}", name)


def _action_of(message: str) -> str:
    """The ``dynamodb:…`` action in an access-denied message, whose rest may hold account ids."""
    for word in message.replace(",", " ").split():
        if word.startswith("dynamodb:"):
            return word
    return "the message named no action"
