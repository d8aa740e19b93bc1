"""The key of a table in other regions: a replica needs a key of its own region."""

from __future__ import annotations

import re

from dynamo_chat.core.errors import InvalidArgument

_MULTI_REGION_KEY = re.compile(r"(arn:[a-z-]+:kms:)([a-z0-9-]+)(:\d{12}:key/mrk-[0-9a-f]+)")


def replica_key(kms_key: str, region: str) -> str:
    """The ARN in `region` of a multi-Region key. InvalidArgument for any other key.

    Other keys exist in one region only; a multi-Region key has a copy in each region, whose ARN
    differs only in the region.
    """
    found = _MULTI_REGION_KEY.fullmatch(kms_key)
    if found is None:
        raise InvalidArgument(
            "kms_key", "must be the ARN of a multi-Region key (…:key/mrk-…) when there are replicas"
        )
    return f"{found[1]}{region}{found[3]}"
