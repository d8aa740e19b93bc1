"""Checks of a store's settings, made when the store is created. Each error names the argument.

botocore would check them only at the first request, and its errors name no argument.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import urlsplit

from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url, parse_timestamp

from dynamo_chat.core.clock import utc
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.size import MAX_BODY_BYTES

MAX_SECONDS = 86_400
MAX_TRIES = 10_000
MIN_BODY_BYTES = 1_024

_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)", re.ASCII)
_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}|arn:[!-~]{1,1020}", re.ASCII)
_NUMBERS = ("AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS")
_TIMES = ("AWS_CREDENTIAL_EXPIRATION",)
_ENDPOINT = "must be an http or https address such as 'http://127.0.0.1:8000'"


def check_table_name(name: Any) -> None:
    """InvalidArgument unless it is a valid name, or the ARN, of a table."""
    if not isinstance(name, str) or _TABLE_NAME.fullmatch(name) is None:
        raise InvalidArgument(
            "table_name", "must be 3 to 255 letters, digits, '-', '_' or '.', or a table's ARN"
        )


def check_region(region: Any, argument: str = "region") -> None:
    """InvalidArgument unless it is None or a valid name of a region."""
    if region is not None and (not isinstance(region, str) or not _REGION.fullmatch(region)):
        raise InvalidArgument(argument, "must be the name of an AWS region such as 'eu-west-1'")


def check_endpoint(endpoint_url: Any) -> None:
    """InvalidArgument unless it is None or an address that botocore can send to."""
    if endpoint_url is not None and not _is_endpoint(endpoint_url):
        raise InvalidArgument("endpoint_url", _ENDPOINT)


def unusable_environment(error: ValueError) -> InvalidArgument:
    """The error for an environment variable that botocore could not read; it names the variable."""
    for variables, read, why in (
        (_NUMBERS, int, "must be a whole number"),
        (_TIMES, parse_timestamp, "must be a time such as 2026-01-31T12:00:00Z"),
    ):
        for name in variables:
            try:
                read(os.environ.get(name, "0"))
            except ValueError:
                return InvalidArgument(name, why)
    return InvalidArgument("endpoint_url", str(error))


def check_callable(argument: str, function: Any) -> None:
    """InvalidArgument unless it can be called."""
    if not callable(function):
        raise InvalidArgument(argument, f"must be a function, not {type(function).__name__}")


def check_seconds(argument: str, seconds: Any) -> None:
    """InvalidArgument unless it is a number of seconds, up to a day."""
    if type(seconds) not in {int, float} or not 0 < seconds <= MAX_SECONDS:
        raise InvalidArgument(
            argument, f"must be a number of seconds above 0, at most {MAX_SECONDS:,}"
        )


def check_count(argument: str, count: Any) -> None:
    """InvalidArgument unless it is a number of attempts or connections."""
    if type(count) is not int or not 1 <= count <= MAX_TRIES:
        raise InvalidArgument(argument, f"must be an integer from 1 to {MAX_TRIES:,}")


def check_choice(argument: str, chosen: Any, choices: Any) -> None:
    """InvalidArgument unless it is None or one of the texts of the Literal `choices`."""
    known = get_args(choices)
    if chosen is not None and chosen not in known:
        raise InvalidArgument(argument, f"must be one of {', '.join(map(repr, known))}, or None")


def check_body_bytes(argument: str, size: Any) -> None:
    """InvalidArgument unless it is a body size that can be read again."""
    if type(size) is not int or not MIN_BODY_BYTES <= size <= MAX_BODY_BYTES:
        raise InvalidArgument(
            argument, f"must be an integer from {MIN_BODY_BYTES:,} to {MAX_BODY_BYTES:,}"
        )


def check_credentials(key_id: Any, secret: Any, token: Any) -> None:
    """InvalidArgument unless they are text. A key id needs its secret, and a token needs both."""
    for argument, value in (
        ("aws_access_key_id", key_id),
        ("aws_secret_access_key", secret),
        ("aws_session_token", token),
    ):
        if value is not None and (not isinstance(value, str) or not value):
            raise InvalidArgument(argument, "must be text, not empty")
    if key_id is None and (secret is not None or token is not None):
        raise InvalidArgument("aws_access_key_id", "must be given with the secret key or the token")
    if key_id is not None and secret is None:
        raise InvalidArgument("aws_secret_access_key", "must be given with the access key id")


def present(moment: Any) -> datetime:
    """A clock's time, in UTC. InvalidArgument when it is not an aware datetime."""
    if type(moment) is datetime and moment.tzinfo is UTC:
        return moment
    return utc("clock", moment)


def fresh_id(identifier: Any) -> str:
    """`identifier`, which a source of ids made. InvalidArgument unless it is a ULID."""
    from dynamo_chat.core.ulids import is_ulid  # the ULID library is slow to import

    if not isinstance(identifier, str) or not is_ulid(identifier):
        raise InvalidArgument("ids", "must return ULIDs: 26 digits and upper-case letters")
    return identifier


def _is_endpoint(endpoint_url: Any) -> bool:
    if not isinstance(endpoint_url, str):
        return False
    try:
        parts = urlsplit(endpoint_url)
        is_address = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:  # a port that is not a number, or an unclosed bracket
        return False
    return is_address and (
        is_valid_endpoint_url(endpoint_url) or is_valid_ipv6_endpoint_url(endpoint_url)
    )
