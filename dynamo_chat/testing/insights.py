"""Contributor insights for the embedded engine, because moto lacks these two operations.

Only whether they are on is stored, by table and index; no key is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

_KEPT = "dynamo_chat_insights"


@contextmanager
def kept_insights() -> Iterator[None]:
    """Add ``UpdateContributorInsights`` and ``DescribeContributorInsights`` to moto."""
    from moto.core.responses import ActionResult
    from moto.dynamodb.responses import DynamoHandler

    def update(handler: Any) -> Any:
        is_on = handler.body["ContributorInsightsAction"] == "ENABLE"
        _statuses(handler)[handler.body.get("IndexName")] = "ENABLED" if is_on else "DISABLED"
        return describe(handler)

    def describe(handler: Any) -> Any:
        body = handler.body
        asked = {name: body[name] for name in ("TableName", "IndexName") if name in body}
        status = _statuses(handler).get(body.get("IndexName"), "DISABLED")
        return ActionResult({**asked, "ContributorInsightsStatus": status})

    with (
        patch.object(DynamoHandler, "update_contributor_insights", update, create=True),
        patch.object(DynamoHandler, "describe_contributor_insights", describe, create=True),
    ):
        yield


def _statuses(handler: Any) -> dict[str | None, str]:
    """The statuses of the table (None) and its indexes. Moto's error for an unknown table."""
    table = handler.dynamodb_backend.get_table(handler.body["TableName"])
    found: dict[str | None, str] = table.__dict__.setdefault(_KEPT, {})
    return found
