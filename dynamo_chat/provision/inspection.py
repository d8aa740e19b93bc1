"""Read a table's description and settings, and compare them with its definition."""

from __future__ import annotations

import time
from typing import Any

from dynamo_chat.core import errors
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.layout import GSI1, GSI2, TTL
from dynamo_chat.provision.definition import RECOVERY_DAYS, TableDefinition
from dynamo_chat.provision.differences import Difference, described_differences, tag_differences
from dynamo_chat.provision.insights import insight_differences

BACKUPS_NOT_YET = "ContinuousBackupsUnavailableException"
"""DynamoDB's error while it prepares the backups of a new table."""
_POLL_SECONDS = 1.0


def pause(connection: Connection) -> None:
    """Wait before the next check."""
    connection.sleep(_POLL_SECONDS)


class Inspection:
    """Inspects the table of a connection, without changing it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.table_name

    def describe(self) -> dict[str, Any]:
        """Return DynamoDB's description of the table. TableNotFound."""
        answer = self._connection.call("DescribeTable", {"TableName": self._name})
        found: dict[str, Any] = answer["Table"]
        return found

    def wait(self, timeout_seconds: float) -> None:
        """Wait until the table and both indexes are active. TableNotFound, IndexNotReady."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            description = self.describe()
            indexes = {
                index["IndexName"]: index.get("IndexStatus", "ACTIVE")
                for index in description.get("GlobalSecondaryIndexes", [])
            }
            missing = {GSI1.index, GSI2.index} - set(indexes)
            if missing:
                raise errors.IndexNotReady(
                    f"table {self._name!r} has no index {', '.join(sorted(map(str, missing)))}; "
                    "it was not created by this package"
                )
            states = {description.get("TableStatus", "ACTIVE"), *indexes.values()}
            if states <= {"ACTIVE", "UPDATING"} and set(indexes.values()) == {"ACTIVE"}:
                return
            if time.monotonic() >= deadline:
                raise errors.IndexNotReady(
                    f"table {self._name!r} was not active after {timeout_seconds:g} seconds: "
                    f"{', '.join(sorted(states))}"
                )
            pause(self._connection)

    def check(self, wanted: TableDefinition) -> list[Difference]:
        """Return how the table differs from the definition. TableNotFound."""
        description = self.describe()
        found = described_differences(description, wanted)
        if not self.has_ttl():
            found.append(Difference("TTL", f"on attribute {TTL!r}", "off", is_essential=True))
        days = self.recovery_days()
        if wanted.point_in_time_recovery and days != RECOVERY_DAYS:
            is_days = f"{days} days" if days else "off"
            found.append(
                Difference(
                    "point-in-time recovery", f"{RECOVERY_DAYS} days", is_days, is_essential=False
                )
            )
        if wanted.tags:
            found += tag_differences(self._tags(str(description["TableArn"])), wanted)
        found += insight_differences(self._connection, wanted)
        return found

    def has_ttl(self) -> bool:
        """True if TTL is on, for the attribute that the package writes."""
        answer = self._connection.call("DescribeTimeToLive", {"TableName": self._name})
        ttl = answer.get("TimeToLiveDescription", {})
        return (
            ttl.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
            and ttl.get("AttributeName") == TTL
        )

    def recovery_days(self) -> int:
        """How many days back the table can be restored to; 0 without point-in-time recovery."""
        answer = self._connection.call("DescribeContinuousBackups", {"TableName": self._name})
        recovery = answer.get("ContinuousBackupsDescription", {}).get(
            "PointInTimeRecoveryDescription", {}
        )
        if recovery.get("PointInTimeRecoveryStatus") not in {"ENABLED", "ENABLING"}:
            return 0
        # Engines that don't report the period have DynamoDB's default, which is the maximum.
        return int(recovery.get("RecoveryPeriodInDays", RECOVERY_DAYS))

    def _tags(self, arn: str) -> dict[str, str]:
        request, tags = {"ResourceArn": arn}, {}
        while True:
            answer = self._connection.call("ListTagsOfResource", request)
            tags.update({tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])})
            if not answer.get("NextToken"):
                return tags
            request["NextToken"] = answer["NextToken"]
