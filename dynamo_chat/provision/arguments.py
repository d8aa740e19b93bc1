"""Checks of a table's settings and of its methods' arguments, before anything is sent.

Templates send nothing: without these checks, a wrong value would be found when they are deployed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.settings import check_callable, check_region

MAX_TAGS: Final = 50
_TAG_KEY: Final = 128
_TAG_VALUE: Final = 256
_MAX_UNITS: Final = 10**9
_KMS_KEY: Final = re.compile(r"[a-zA-Z0-9:/_-]{1,2048}", re.ASCII)
_ARN: Final = re.compile(r"arn:[!#%-z|~]{1,1020}", re.ASCII)
_BACKUP_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{3,255}", re.ASCII)
_BUCKET: Final = _BACKUP_NAME  # those of old may have what new ones may not
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_IN_TAGS: Final = "_.:/=+-@"
_MOST_SECONDS: Final = 7 * 86_400


def check_flag(argument: str, value: Any) -> None:
    """InvalidArgument unless it is True or False."""
    if value is not True and value is not False:
        raise InvalidArgument(argument, f"must be True or False, not {type(value).__name__}")


def check_units(argument: str, bounds: Any) -> None:
    """InvalidArgument unless it is a (minimum, maximum) of capacity units."""
    is_pair = isinstance(bounds, (tuple, list)) and [type(each) for each in bounds] == [int, int]
    if not is_pair or not 1 <= bounds[0] <= bounds[1] <= _MAX_UNITS:
        raise InvalidArgument(
            argument, "must be two integers (minimum, maximum) of at least 1, such as (5, 100)"
        )


def check_percent(argument: str, value: Any) -> None:
    """InvalidArgument unless it is a target utilization that auto scaling accepts."""
    if type(value) is not int or not 20 <= value <= 90:
        raise InvalidArgument(argument, "must be from 20 to 90 percent")


def check_kms_key(kms_key: Any, argument: str = "kms_key") -> None:
    """InvalidArgument unless it is None or could be a key's ARN, id or alias."""
    if kms_key is not None and (not isinstance(kms_key, str) or not _KMS_KEY.fullmatch(kms_key)):
        raise InvalidArgument(argument, "must be the ARN, id or alias of a KMS key")


def check_tags(tags: Any, argument: str = "tags") -> None:
    """InvalidArgument unless DynamoDB takes these tags.

    This also keeps expressions of Terraform or CloudFormation out of a template.
    """
    if not isinstance(tags, Mapping) or len(tags) > MAX_TAGS:
        raise InvalidArgument(argument, f"must be at most {MAX_TAGS} names with text values")
    for key, value in tags.items():
        if not _is_tag_text(key, _TAG_KEY) or not key or key.lower().startswith("aws:"):
            raise InvalidArgument(
                argument,
                f"must have names of 1 to {_TAG_KEY} letters, digits, spaces or {_IN_TAGS}, that "
                f"do not begin with aws:, not {key!r}",
            )
        if not _is_tag_text(value, _TAG_VALUE):
            raise InvalidArgument(
                argument,
                f"must have values of up to {_TAG_VALUE} letters, digits, spaces or {_IN_TAGS}, "
                f"not {value!r}",
            )


def check_replicas(replicas: Any, own: str | None = None) -> None:
    """InvalidArgument unless they are distinct regions, and not the table's own."""
    if isinstance(replicas, str) or not isinstance(replicas, Sequence):
        raise InvalidArgument("replicas", "must be names of AWS regions such as ('eu-west-1',)")
    for region in replicas:
        try:
            check_region(region or "")
        except InvalidArgument as error:
            raise InvalidArgument("replicas", f"{error.allowed}, not {region!r}") from error
    if len(set(replicas)) < len(replicas):
        raise InvalidArgument("replicas", "must name each region once")
    if own in replicas:
        raise InvalidArgument("replicas", f"must not name {own}: it is the table's own region")


def check_wait(argument: str, seconds: Any) -> None:
    """InvalidArgument unless it is a number of seconds to wait; 0 checks once."""
    if type(seconds) not in {int, float} or not 0 <= seconds <= _MOST_SECONDS:
        raise InvalidArgument(argument, f"must be seconds from 0 to {_MOST_SECONDS:,}")


def check_waiting(timeout_seconds: Any, on_progress: Any) -> None:
    """InvalidArgument unless the timeout and the progress hook are valid."""
    check_wait("timeout_seconds", timeout_seconds)
    if on_progress is not None:
        check_callable("on_progress", on_progress)


def check_arn(argument: str, arn: Any, service: str = ":") -> None:
    """InvalidArgument unless it could be an ARN, of this service if one is named (``:sns:``)."""
    if not isinstance(arn, str) or _ARN.fullmatch(arn) is None or service not in arn:
        raise InvalidArgument(argument, "must be an ARN")


def check_backup_name(name: Any) -> None:
    """InvalidArgument unless it is None or a backup can have this name."""
    if name is not None and (not isinstance(name, str) or not _BACKUP_NAME.fullmatch(name)):
        raise InvalidArgument("name", "must be 3 to 255 letters, digits, '-', '_' or '.'")


def check_bucket(bucket: Any) -> None:
    """InvalidArgument unless an S3 bucket could have this name."""
    if not isinstance(bucket, str) or _BUCKET.fullmatch(bucket) is None:
        raise InvalidArgument("bucket", "must be 3 to 255 letters, digits, '-', '_' or '.'")


def check_account(argument: str, account: Any) -> None:
    """InvalidArgument unless it is None or could be an account's number."""
    if account is not None and (not isinstance(account, str) or not _ACCOUNT.fullmatch(account)):
        raise InvalidArgument(argument, "must be an account of 12 digits")


def _is_tag_text(text: Any, most: int) -> bool:
    return (
        isinstance(text, str)
        and len(text) <= most
        and all(
            character.isalnum() or character == " " or character in _IN_TAGS for character in text
        )
    )
