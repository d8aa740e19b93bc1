"""One connection to one table: sends requests, tells who asked, translates what goes wrong.

Built on PynamoDB's `Connection`, bound per instance: nothing is configured on a class or a
module, so two stores in one process never touch each other. Public botocore events make it cheap:
the response body is parsed as plain JSON (`before-parse`), instead of walking the shape of every
AttributeValue, requests are signed by a signer that knows their form, and the user-agent is fixed
once per client.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.config
import botocore.loaders
import botocore.session
import pydantic_core
from botocore import exceptions as aws
from pynamodb.connection import Connection as PynamoConnection

from dynamo_chat.core import errors, settings
from dynamo_chat.core.patterns import running_pattern
from dynamo_chat.core.signing import PostSigner
from dynamo_chat.core.size import MAX_ITEM_BYTES

logger = logging.getLogger("dynamo_chat")

AttributeValues = dict[str, dict[str, Any]]
"""An item as DynamoDB's JSON has it: attribute name to ``{"S": …}``."""


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How a store talks to its endpoint. Times are in seconds."""

    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    max_attempts: int = 5
    """HTTP tries of one request, by botocore's standard retry mode."""
    transaction_attempts: int = 25
    """Tries of one change whose condition or transaction keeps losing races."""
    max_pool_connections: int = 50
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for timeout in ("connect_timeout", "read_timeout"):
            settings.check_seconds(timeout, getattr(self, timeout))
        for count in ("max_attempts", "transaction_attempts", "max_pool_connections"):
            settings.check_count(count, getattr(self, count))
        settings.check_credentials(
            self.aws_access_key_id, self.aws_secret_access_key, self.aws_session_token
        )


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One API request, told to the store's ``on_request`` hook after its answer."""

    pattern: str
    """The access pattern it served, such as ``C7``; empty for table management."""
    operation: str
    """DynamoDB's name of the operation, such as ``TransactWriteItems``."""
    table: str
    index: str | None
    seconds: float
    capacity: float | None
    """Capacity units as DynamoDB reported them; None when it reported none."""
    attempts: int
    """HTTP tries, the last one included; 0 when nothing could be sent."""
    error: str | None
    """DynamoDB's or botocore's error code, or the name of what interrupted the request; None when
    it succeeded."""


RequestHook = Callable[[RequestEvent], None]


class ConditionFailed(Exception):
    """A condition did not hold. `items` maps the write's place in the request to what is stored.

    `was_resent` tells that an earlier try of the same request got no answer: what is stored may
    be its own work.
    """

    def __init__(
        self, items: dict[int, AttributeValues | None], *, was_resent: bool = False
    ) -> None:
        super().__init__("a condition did not hold")
        self.items = items
        self.was_resent = was_resent


class TransactionClash(Exception):
    """Another transaction was in the way, or the table was too busy for this one."""

    def __init__(self, message: str, *, is_throttled: bool = False) -> None:
        super().__init__(message)
        self.is_throttled = is_throttled


_DATA_OPERATIONS = frozenset(
    {
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "TransactGetItems",
        "TransactWriteItems",
        "UpdateItem",
    }
)


def new_session() -> botocore.session.Session:
    """A botocore session of its own, that shares what botocore knows of the services."""
    session = botocore.session.Session()
    session.register_component(
        "data_loader", _descriptions(session.get_config_variable("data_path"))
    )
    return session


@cache
def _descriptions(data_path: str | None) -> botocore.loaders.Loader:
    """Botocore's files, parsed once in a process: that is half of what a client costs."""
    return botocore.loaders.create_loader(data_path)


class _Pynamo(PynamoConnection):
    """PynamoDB's connection with a session of its own and one client, made once."""

    def __init__(self, options: ConnectionOptions, region: str | None, host: str | None) -> None:
        super().__init__(
            region=region,
            host=host,
            connect_timeout_seconds=options.connect_timeout,
            read_timeout_seconds=options.read_timeout,
            max_pool_connections=options.max_pool_connections,
            retry_configuration={"mode": "standard", "total_max_attempts": options.max_attempts},
        )
        self._options = options
        self._session: botocore.session.Session | None = None
        self._making = threading.Lock()
        self._fitted: Any = None
        self._tries = threading.local()

    @property
    def session(self) -> botocore.session.Session:
        if self._session is None:
            session = new_session()
            session.set_default_client_config(
                botocore.config.Config(user_agent=f"dynamo_chat botocore/{botocore.__version__}")
            )
            if self._options.aws_access_key_id:
                session.set_credentials(
                    self._options.aws_access_key_id,
                    self._options.aws_secret_access_key,
                    self._options.aws_session_token,
                )
            self._session = session
        return self._session

    def send(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One API call, with its signals; reads and writes report what they consumed."""
        self._tries.count = 0
        if operation in _DATA_OPERATIONS:
            answer: dict[str, Any] = self.dispatch(operation, request)
        else:  # dispatch would ask for consumed capacity, which these do not know
            answer = self._make_api_call(operation, request)
        return answer

    @property
    def tries(self) -> int:
        """HTTP tries of the call that this thread made last."""
        return int(self._tries.count)

    def _count_try(self, **_: Any) -> None:
        self._tries.count = getattr(self._tries, "count", 0) + 1

    @property
    def client(self) -> Any:
        # PynamoDB makes its client without a lock (16 threads, 16 clients), and makes it anew
        # while credentials are missing; the handler must be on whichever is in use.
        client = self._client
        if client is not None and client is self._fitted and self._has_credentials(client):
            return client
        with self._making:
            try:
                client = PynamoConnection.client.__get__(self)
            except aws.BotoCoreError:
                raise
            except ValueError as error:  # what botocore itself found in the environment
                raise errors.InvalidArgument("endpoint_url", str(error)) from error
            if client is not self._fitted:
                for operation in _DATA_OPERATIONS:
                    client.meta.events.register(f"before-parse.dynamodb.{operation}", _parse_body)
                client.meta.events.register("request-created.dynamodb", self._count_try)
                PostSigner().attach(client)
                self._fitted = client
            return client

    @staticmethod
    def _has_credentials(client: Any) -> bool:
        return bool(client._request_signer._credentials)  # noqa: SLF001 - as PynamoDB itself asks


def _parse_body(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Hand botocore the parsed body, so that it need not walk the response shape.

    Binary attributes stay base64 text. Errors are left to botocore.
    """
    if response_dict["status_code"] < 300 and response_dict["body"]:
        try:
            parsed = pydantic_core.from_json(response_dict["body"])
        except ValueError:
            return  # a broken answer is botocore's to report
        if isinstance(parsed, dict):
            customized_response_dict.update(parsed)
            response_dict["body"] = b"{}"


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
        self._pynamo = _Pynamo(self.options, region, endpoint_url)
        self._random = random.Random()  # noqa: S311 - jitter needs no cryptography

    def __repr__(self) -> str:
        return f"Connection(table={self.table_name!r}, region={self.region!r})"

    @property
    def client(self) -> Any:
        """The botocore client. Reading and writing through it bypasses every law of the store."""
        try:
            return self._pynamo.client
        except aws.BotoCoreError as error:
            raise _translated_botocore(error, self.table_name) from error

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return the parsed response.

        Raises `ConditionFailed` or `TransactionClash` for the writers above to decide on, and an
        error of `dynamo_chat.core.errors` for everything else.
        """
        started = time.perf_counter()
        response: Mapping[str, Any] = {}
        failure: BaseException | None = None
        try:
            answer = self._pynamo.send(operation, request)
            response = answer
            return answer
        except aws.ClientError as error:
            # PynamoDB wraps botocore's error in one that leaves out what was stored.
            wrapped = error.__cause__
            failure = cause = wrapped if isinstance(wrapped, aws.ClientError) else error
            response = cause.response
            raise _translated_client_error(cause, self.table_name) from cause
        except aws.BotoCoreError as error:
            failure = error
            raise _translated_botocore(error, self.table_name, operation) from error
        except BaseException as error:
            failure = error
            raise
        finally:
            if self.on_request is not None:
                self._tell(operation, request, response, failure, time.perf_counter() - started)

    def pause(self, attempt: int) -> None:
        """Wait before try number `attempt` + 1: full jitter, from milliseconds up to a second."""
        time.sleep(self._random.uniform(0, min(1.0, 0.005 * 2 ** min(attempt, 10))))

    def _tell(
        self,
        operation: str,
        request: Mapping[str, Any],
        response: Mapping[str, Any],
        failure: BaseException | None,
        seconds: float,
    ) -> None:
        consumed = response.get("ConsumedCapacity") or []
        entries = consumed if isinstance(consumed, list) else [consumed]
        units = [entry["CapacityUnits"] for entry in entries if "CapacityUnits" in entry]
        event = RequestEvent(
            pattern=running_pattern(),
            operation=operation,
            table=self.table_name,
            index=request.get("IndexName"),
            seconds=seconds,
            capacity=float(sum(units)) if units else None,
            attempts=self._pynamo.tries,
            error=_code_of(failure),
        )
        hook = self.on_request
        if hook is None:
            return
        try:
            hook(event)
        except Exception:
            # A broken hook must not fail, or hide the answer of, a request that was already made.
            logger.exception("the on_request hook failed")


def _code_of(failure: BaseException | None) -> str | None:
    if failure is None:
        return None
    if isinstance(failure, aws.ClientError):
        return str(failure.response.get("Error", {}).get("Code", "Unknown"))
    return type(failure).__name__


_THROTTLING = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "ThrottlingError",
}
_THROTTLED_IN_TRANSACTION = {"ThrottlingError", "ProvisionedThroughputExceeded"}
_READING = ("Get", "Query", "Scan", "BatchGet", "TransactGet", "Describe", "List")
_UNAVAILABLE = {"InternalServerError", "InternalFailure", "ServiceUnavailable", "500", "503"}
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
# An index that is not there, and one that is still being built.
_OF_AN_INDEX = re.compile("specified index|backfilling|invalid index", re.IGNORECASE)


def _translated_client_error(  # noqa: PLR0911 - one return per kind of trouble
    error: aws.ClientError, table: str
) -> Exception:
    """The one place where DynamoDB's error codes become errors of this package."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "Unknown")), str(details.get("Message", ""))
    if code == "ConditionalCheckFailedException":
        stored: Any = error.response.get("Item")
        return ConditionFailed({0: stored or None}, was_resent=_was_resent(error))
    if code == "TransactionCanceledException":
        return _translated_cancellation(error, message)
    if code in {"TransactionConflictException", "TransactionInProgressException"}:
        return TransactionClash(message)
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
            f"the credentials may not do this on table {table!r}; the role's policy must allow "
            f"the action on the table and its indexes ({_action_of(message)})",
            code,
        )
    if code in _THROTTLING:
        return throttled(table, code)
    if code in _UNAVAILABLE:
        return errors.Unreachable(
            "DynamoDB failed to answer properly after every retry"
            + _maybe_done(error.operation_name),
            code,
        )
    if code in _BAD_CREDENTIALS:
        return errors.CredentialsMissing(
            "DynamoDB did not accept the AWS credentials; renew them or configure others", code
        )
    if code == "ValidationException" and "item size" in message.lower():
        return errors.ItemTooLarge("item", None, MAX_ITEM_BYTES)
    # What DynamoDB says of an item may quote a key; of the table's management it may not.
    detail = "" if error.operation_name in _DATA_OPERATIONS else f" ({message})"
    return errors.RequestRejected(f"DynamoDB rejected the request: {code}{detail}", code)


def throttled(table: str, code: str) -> errors.Throttled:
    """The error of a request that the table had no capacity for, however often it was tried."""
    return errors.Throttled(
        f"DynamoDB throttled table {table!r} after every retry; try again later, or give the "
        "table more capacity",
        code,
    )


def _was_resent(error: aws.ClientError) -> bool:
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def _translated_cancellation(error: aws.ClientError, message: str) -> Exception:
    response: Any = error.response
    reasons = response.get("CancellationReasons") or []
    codes = [str(reason.get("Code") or "None") for reason in reasons]
    failed = {
        place: reasons[place].get("Item") or None
        for place, code in enumerate(codes)
        if code == "ConditionalCheckFailed"
    }
    if failed:
        return ConditionFailed(failed, was_resent=_was_resent(error))
    told = [code for code in codes if code != "None"]
    if any("item size" in str(reason.get("Message", "")).lower() for reason in reasons):
        return errors.ItemTooLarge("item", None, MAX_ITEM_BYTES)
    if {"ItemCollectionSizeLimitExceeded", "ValidationError"} & set(codes):
        return errors.RequestRejected("DynamoDB rejected a write of the transaction", told[0])
    if set(told) <= {"TransactionConflict", *_THROTTLED_IN_TRANSACTION}:
        is_throttled = bool(_THROTTLED_IN_TRANSACTION & set(told))
        return TransactionClash(message, is_throttled=is_throttled)
    return errors.RequestRejected(
        f"DynamoDB cancelled the transaction: {', '.join(codes)}", told[0]
    )


def _maybe_done(operation: str) -> str:
    """What to do about a request without an answer: one that only reads is asked again."""
    if operation.startswith(_READING):
        return "; try again"
    return "; it may have happened all the same: call again with the same ids"


def _translated_botocore(
    error: aws.BotoCoreError, table: str, operation: str = "Get"
) -> errors.ServiceError:
    name = type(error).__name__
    if isinstance(error, aws.NoRegionError):
        return errors.RegionMissing(
            "no AWS region: pass region=, or set AWS_REGION or AWS_DEFAULT_REGION", name
        )
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError)) or (
        "Credential" in name or "Token" in name or "Profile" in name
    ):
        return errors.CredentialsMissing(
            "no usable AWS credentials: configure a role, a profile or AWS_ACCESS_KEY_ID", name
        )
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return errors.Unreachable(
            f"no answer from the endpoint of table {table!r}: check the endpoint, the region and "
            f"the network{_maybe_done(operation)}",
            name,
        )
    return errors.RequestRejected(f"the request could not be sent: {name}", name)


def _action_of(message: str) -> str:
    """The ``dynamodb:…`` action in an access-denied message; the rest may hold account ids."""
    for word in message.replace(",", " ").split():
        if word.startswith("dynamodb:"):
            return word
    return "the message named no action"
