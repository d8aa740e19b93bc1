"""Restore a table and apply the settings that DynamoDB does not restore.

DynamoDB restores keys, indexes, items, billing and encryption. TTL, point-in-time recovery,
deletion protection, contributor insights, tags and the stream are switched on here, once the table
is active, and then the table is checked. Every step can be repeated, so calling an interrupted
restore again finishes it. Replicas are reported as missing; `table.create` with the same definition
adds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from dynamo_chat.core import errors
from dynamo_chat.core.connection import Connection
from dynamo_chat.provision.definition import STREAM_VIEW, TableDefinition
from dynamo_chat.provision.differences import Difference
from dynamo_chat.provision.insights import switch_on_insights
from dynamo_chat.provision.inspection import BACKUPS_NOT_YET, Inspection
from dynamo_chat.provision.waiting import ProgressHook, Seen, wait_until

_TAKEN = {"TableAlreadyExistsException", "TableInUseException", "ResourceInUseException"}

# These stay as in the source, unless something else is asked for.
_FROM_SOURCE = frozenset({"billing", "encryption"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored table: checked and ready to use."""

    table_name: str
    differences: tuple[Difference, ...]
    """How it differs from the definition; empty if it doesn't."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a restore."""

    table_arn: str | None = None
    backup_arn: str | None = None
    at: datetime | None = None
    """The time it is restored to; None for the backup's time, or the latest possible."""

    def made(self, summary: dict[str, Any]) -> bool:
        """True if a table with this ``RestoreSummary`` was restored from this source."""
        if self.backup_arn is not None:
            return bool(summary.get("SourceBackupArn") == self.backup_arn)
        moment = summary.get("RestoreDateTime")
        is_same_moment = self.at is None or (
            isinstance(moment, datetime) and abs((moment - self.at).total_seconds()) < 1
        )
        return (
            "SourceBackupArn" not in summary
            and summary.get("SourceTableArn") == self.table_arn
            and is_same_moment
        )


class Restoration:
    """One restore into one new table."""

    def __init__(
        self,
        connection: Connection,
        definition: TableDefinition | None,
        *,
        timeout_seconds: float,
        on_progress: ProgressHook | None,
    ) -> None:
        self._connection = connection
        self._table = Inspection(connection)
        self._name = connection.table_name
        self._overrides = {} if definition is None else overrides(definition)
        self._kept = _FROM_SOURCE if definition is None else frozenset[str]()
        self._wanted = definition or TableDefinition()
        self._timeout = timeout_seconds
        self._on_progress = on_progress

    def run(self, operation: str, request: dict[str, Any], source: Source) -> Restored:
        """Start the restore, or continue a running one, and wait until it is finished."""
        try:
            self._connection.call(operation, {**request, **self._overrides})
        except errors.RequestRejected as error:
            if error.code not in _TAKEN:
                raise
            self._join(source, error)
        arn = self._wait()
        self._switch_on(arn)
        found = self._table.check(self._wanted)
        return Restored(self._name, tuple(each for each in found if each.setting not in self._kept))

    def _join(self, source: Source, refusal: errors.RequestRejected) -> None:
        """Continue if the existing table comes from the same source; AlreadyExists if not."""
        try:
            description = self._table.describe()
        except errors.TableNotFound:
            raise refusal from None  # something else is in use, such as the backup
        if not source.made(description.get("RestoreSummary") or {}):
            raise errors.AlreadyExists(
                f"table {self._name!r} exists already; restore to another name"
            ) from refusal

    def _wait(self) -> str:
        """Wait until table and indexes are active. Returns the table's ARN."""

        def look() -> tuple[Seen, str]:
            try:
                found = self._table.describe()
            except errors.TableNotFound:  # descriptions are eventually consistent
                return Seen("CREATING", is_done=False), ""
            status = str(found.get("TableStatus", "ACTIVE"))
            restoring = bool((found.get("RestoreSummary") or {}).get("RestoreInProgress"))
            return Seen(status, status == "ACTIVE" and not restoring), str(found["TableArn"])

        arn = self._until(f"restore to {self._name}", look)
        self._table.wait(self._timeout)
        return arn

    def _switch_on(self, arn: str) -> None:
        """Switch on the settings that a restore leaves off, unless they are on already."""
        wanted, found = self._wanted, self._table.check(self._wanted)
        lacking = {difference.setting for difference in found}
        if "TTL" in lacking:
            self._connection.call("UpdateTimeToLive", wanted.ttl_request(self._name))
        if "point-in-time recovery" in lacking:
            self._switch_on_recovery()
        if "deletion protection" in lacking:
            self._update(DeletionProtectionEnabled=True)
        if wanted.has_stream and not self._table.describe().get("StreamSpecification"):
            self._update(StreamSpecification={"StreamEnabled": True, "StreamViewType": STREAM_VIEW})
        switch_on_insights(self._connection, wanted)
        if wanted.tags:
            request = {"ResourceArn": arn, "Tags": wanted.tag_list()}
            self._connection.call("TagResource", request)

    def _switch_on_recovery(self) -> None:
        """Switch point-in-time recovery on; a new table may not be ready for it at once."""

        def look() -> tuple[Seen, None]:
            try:
                request = self._wanted.recovery_request(self._name)
                self._connection.call("UpdateContinuousBackups", request)
            except errors.RequestRejected as error:
                if error.code != BACKUPS_NOT_YET:
                    raise
                return Seen("ENABLING", is_done=False), None
            return Seen("ENABLED", is_done=True), None

        self._until(f"point-in-time recovery of {self._name}", look)

    def _update(self, **change: Any) -> None:
        self._connection.call("UpdateTable", {"TableName": self._name, **change})
        self._table.wait(self._timeout)

    def _until(self, what: str, look: Callable[[], tuple[Seen, T]]) -> T:
        return wait_until(
            what,
            look,
            arn=self._name,
            timeout_seconds=self._timeout,
            sleep=self._connection.sleep,
            on_progress=self._on_progress,
        )


def overrides(definition: TableDefinition) -> dict[str, Any]:
    """The parameters of a restore that override the source's settings."""
    created = definition.create_request("restored")
    asked = {"BillingModeOverride": created["BillingMode"]}
    if definition.provisioned is not None:
        asked["ProvisionedThroughputOverride"] = created["ProvisionedThroughput"]
        asked["GlobalSecondaryIndexOverride"] = created["GlobalSecondaryIndexes"]
    if "SSESpecification" in created:
        asked["SSESpecificationOverride"] = created["SSESpecification"]
    return asked
