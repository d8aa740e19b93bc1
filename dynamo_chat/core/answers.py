"""Checks that a response is really DynamoDB's.

A response with a success status may be something else: a proxy's page, half a body, nothing,
`null`. Any response may have been damaged on its way, which its checksum shows. Then the request
may have happened or not, as if no answer had come. It is treated as a server error here, so it is
retried, and the caller gets `Unreachable` after the last attempt.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

import pydantic_core
from botocore import exceptions as aws

BROKEN_ANSWER: Final = "BrokenAnswer"
"""The error code of a response that is damaged, or says success and is not DynamoDB's."""
CHECKSUM: Final = "x-amz-crc32"

# Plain integers, because every response is compared with them.
_NO_SUCCESS: Final = 300
_SERVER_FAILED: Final = 500
_BAD_GATEWAY: Final = 502

Body = dict[str, Any]


def _or_nothing(value: Any, kind: type) -> bool:
    return value is None or type(value) is kind


def _are_items(value: Any) -> bool:
    return type(value) is list and all(type(item) is dict for item in value)


def _is_single(body: Body) -> bool:
    return _or_nothing(body.get("Item"), dict) and _or_nothing(body.get("Attributes"), dict)


def _is_page(body: Body) -> bool:
    return _are_items(body.get("Items")) and _or_nothing(body.get("LastEvaluatedKey"), dict)


def _is_batch_of_reads(body: Body) -> bool:
    found, left = body.get("Responses"), body.get("UnprocessedKeys")
    return (
        type(found) is dict
        and all(map(_are_items, found.values()))
        and _or_nothing(left, dict)
        and all(map(_are_keys, (left or {}).values()))
    )


def _are_keys(left: Any) -> bool:
    return type(left) is dict and _are_items(left.get("Keys"))


def _is_batch_of_writes(body: Body) -> bool:
    left = body.get("UnprocessedItems")
    return _or_nothing(left, dict) and all(map(_are_items, (left or {}).values()))


def _is_transaction_of_reads(body: Body) -> bool:
    return _are_items(body.get("Responses"))


_FORMS: Final[dict[str, Callable[[Body], bool]]] = {
    "BatchGetItem": _is_batch_of_reads,
    "BatchWriteItem": _is_batch_of_writes,
    "DeleteItem": _is_single,
    "GetItem": _is_single,
    "PutItem": _is_single,
    "Query": _is_page,
    "TransactGetItems": _is_transaction_of_reads,
    "TransactWriteItems": lambda _: True,
    "UpdateItem": _is_single,
}

DATA_OPERATIONS: Final = frozenset(_FORMS)
"""The operations that read and write items. Their responses are parsed as plain JSON."""
READING = ("Get", "Query", "Scan", "BatchGet", "TransactGet", "Describe", "List")
"""The beginnings of the names of operations that change nothing."""
WRITING: Final = frozenset(each for each in _FORMS if not each.startswith(READING))
"""The operations that write items."""


def read_answer(operation: str, headers: Any, body: bytes) -> Body | None:
    """The valid answer to a read or write that says success; None for anything else.

    Binary attributes are base64 text.
    """
    if is_damaged(headers, body):
        return None
    parsed = _parsed(body)
    return parsed if parsed is not None and _FORMS[operation](parsed) else None


def is_damaged(headers: Any, body: bytes) -> bool:
    """True if the body is not the one that DynamoDB made the checksum of."""
    sent = headers.get(CHECKSUM)
    return sent is not None and sent != str(zlib.crc32(body))


def parse_answer(
    operation_model: Any,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_: Any,
) -> None:
    """A handler of `before-parse` that checks the body before botocore parses it.

    For reads and writes it parses the body itself, with binary attributes as base64 text, and
    leaves botocore an empty body.
    """
    body = response_dict["body"]
    if is_damaged(response_dict["headers"], body):
        del response_dict["headers"][CHECKSUM]  # botocore would accept it after its last attempt
        response_dict["body"] = b"{}"
        customized_response_dict["Error"] = {"Code": BROKEN_ANSWER, "Message": ""}
        return
    if response_dict["status_code"] >= _NO_SUCCESS:
        if not _is_readable_error(_parsed(body)):
            response_dict["body"] = b"{}"
        return
    form = _FORMS.get(operation_model.name)
    if form is None and operation_model.output_shape is None and not body:
        return  # TagResource's response has no body
    parsed = _parsed(body)
    if parsed is None or (form is not None and not form(parsed)):
        response_dict["body"] = b"{}"
        customized_response_dict["Error"] = {"Code": BROKEN_ANSWER, "Message": ""}
    elif form is not None:
        customized_response_dict.update(parsed)
        response_dict["body"] = b"{}"


THROTTLING: Final = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
    }
)
"""The error codes of a request that was throttled."""
THROTTLED_IN_TRANSACTION: Final = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})
"""The same as reasons of a cancelled transaction."""


def is_throttled(answer: Body) -> bool:
    """True if an attempt's error says that it was throttled."""
    reasons = answer.get("CancellationReasons") or ()
    return answer.get("Error", {}).get("Code") in THROTTLING or any(
        reason.get("Code") in THROTTLED_IN_TRANSACTION for reason in reasons
    )


def is_lost(response: tuple[Any, Body] | None, caught: BaseException | None) -> bool:
    """True if an attempt got no valid answer but may have happened; for a `needs-retry` handler.

    Sets the status of a broken response to Bad Gateway, so that botocore retries it.
    """
    if response is None:
        not_sent = (aws.EndpointConnectionError, aws.ConnectTimeoutError)
        return caught is not None and not isinstance(caught, not_sent)
    http, parsed = response
    if "Error" in parsed and parsed["Error"].get("Code") == BROKEN_ANSWER:
        http.status_code = _BAD_GATEWAY
    return bool(http.status_code >= _SERVER_FAILED)


def _parsed(body: bytes) -> Body | None:
    try:
        parsed = pydantic_core.from_json(body)
    except ValueError:
        return None
    return parsed if type(parsed) is dict else None


def _is_readable_error(parsed: Body | None) -> bool:
    """True if botocore can parse the error; it does not check it."""
    if parsed is None:
        return False
    texts = ("__type", "code", "message", "Message")
    reasons = parsed.get("CancellationReasons") or []
    return (
        all(isinstance(parsed.get(name, ""), str) for name in texts)
        and _is_item(parsed.get("Item"))
        and _are_items(reasons)
        and all(type(each.get("Code")) is str and _is_item(each.get("Item")) for each in reasons)
    )


def _is_item(value: Any) -> bool:
    return value is None or (type(value) is dict and _are_items(list(value.values())))
