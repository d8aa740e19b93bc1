"""Backups of the table: on demand, by point in time, and as files in S3 (T5).

    backups = store.table.backups
    backup = backups.create()
    restored = backups.restore(backup.arn, "chat-restored")
    assert not restored.differences

The methods start the work in DynamoDB and wait for it. If a wait is interrupted, the work goes on:
call `restore` or `restore_to_time` again to wait for it, or `wait_for_export` for an export.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from dynamo_chat.core import errors
from dynamo_chat.core.clock import utc
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.patterns import OPERATOR, access_pattern
from dynamo_chat.core.settings import check_region
from dynamo_chat.provision.arguments import (
    check_account,
    check_arn,
    check_backup_name,
    check_bucket,
    check_kms_key,
    check_waiting,
)
from dynamo_chat.provision.definition import TableDefinition, wanted_or_default
from dynamo_chat.provision.inspection import Inspection
from dynamo_chat.provision.restoring import Restoration, Restored, Source
from dynamo_chat.provision.waiting import ProgressHook, Seen, wait_until

ExportFormat = Literal["DYNAMODB_JSON", "ION"]

TIMEOUT_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a table as it was at one time."""

    arn: str
    name: str
    table_name: str
    status: str
    """``CREATING``, ``AVAILABLE`` or ``DELETED``."""
    kind: str
    """``USER`` for one made on demand, ``SYSTEM`` for one that DynamoDB made when the table was
    deleted, ``AWS_BACKUP`` for one of that service."""
    created_at: datetime
    expires_at: datetime | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
    """The first and the last time that the table can be restored to, inclusive."""

    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Export:
    """A copy of the table in S3, as it was at one time."""

    arn: str
    status: str
    """``IN_PROGRESS``, ``COMPLETED`` or ``FAILED``."""
    bucket: str
    prefix: str
    format: str
    exported_at: datetime | None
    """The time whose state was exported."""
    item_count: int | None
    billed_bytes: int | None
    manifest: str | None
    """The key of the manifest's summary, once it is complete."""
    failure: str | None
    """Why it failed; None if it didn't."""


class Backups:
    """Back up, restore and export a table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.table_name

    # -- on demand ------------------------------------------------------------------------------

    @access_pattern(
        "T5",
        "CreateBackup, DescribeBackup",
        "2, and more until it is available",
        budget=50,
        owner=OPERATOR,
    )
    def create(
        self,
        name: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_progress: ProgressHook | None = None,
    ) -> Backup:
        """Back up the table, wait until the backup is available, and return it.

        The default name is made of the table's name and the time. TableNotFound, StillRunning.
        """
        check_backup_name(name)
        check_waiting(timeout_seconds, on_progress)
        called = name or _default_name(self._name, datetime.now(UTC))
        request = {"TableName": self._name, "BackupName": called}
        with self._translated():
            arn = self._connection.call("CreateBackup", request)["BackupDetails"]["BackupArn"]

        def look() -> tuple[Seen, Backup]:
            found = self._described(arn)
            return Seen(found.status, found.status != "CREATING"), found

        return wait_until(
            f"backup {called}",
            look,
            arn=arn,
            timeout_seconds=timeout_seconds,
            sleep=self._connection.sleep,
            on_progress=on_progress,
        )

    @access_pattern("T5", "ListBackups", "1 for every 100 backups", budget=5, owner=OPERATOR)
    def list(self) -> builtins.list[Backup]:
        """List the table's backups of every kind, also those of AWS Backup, newest first."""
        request = {"TableName": self._name, "BackupType": "ALL"}
        found: list[Backup] = []
        with self._translated():
            while True:
                answer = self._connection.call("ListBackups", request)
                found += map(_listed, answer["BackupSummaries"])
                if not answer.get("LastEvaluatedBackupArn"):
                    break
                request["ExclusiveStartBackupArn"] = answer["LastEvaluatedBackupArn"]
        return sorted(found, key=lambda backup: (backup.created_at, backup.arn), reverse=True)

    @access_pattern("T5", "DescribeBackup", "1", owner=OPERATOR)
    def describe(self, backup_arn: str) -> Backup:
        """Return a backup by its ARN. NotFound."""
        check_arn("backup_arn", backup_arn)
        return self._described(backup_arn)

    @access_pattern(
        "T5",
        "RestoreTableFromBackup, DescribeTable, DescribeTimeToLive, UpdateTimeToLive, "
        "DescribeContinuousBackups, UpdateContinuousBackups, UpdateTable, TagResource, "
        "ListTagsOfResource, DescribeContributorInsights, UpdateContributorInsights",
        "some 12, and more until the table is active",
        budget=200,
        owner=OPERATOR,
    )
    def restore(
        self,
        backup_arn: str,
        table_name: str,
        *,
        definition: TableDefinition | None = None,
        region: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_progress: ProgressHook | None = None,
    ) -> Restored:
        """Restore a backup to a new table, wait for it, and apply settings it leaves off.

        These are TTL, point-in-time recovery, deletion protection, contributor insights, tags and
        the stream, as in `definition`; then the table is checked against it. Without a definition,
        billing and encryption stay as in the source, and the rest is as in the default
        `TableDefinition`. With `region`, the table is created there.

        Call it again with the same arguments to wait for a running restore and finish it.
        NotFound if the backup doesn't exist, AlreadyExists if another table has the name,
        StillRunning.
        """
        check_arn("backup_arn", backup_arn)
        restoration = self._restoration(
            table_name, region, definition, timeout_seconds, on_progress
        )
        source = Source(backup_arn=backup_arn)
        request = {"TargetTableName": table_name, "BackupArn": backup_arn}
        with self._translated(backup_arn):
            return restoration.run("RestoreTableFromBackup", request, source)

    # -- by point in time -----------------------------------------------------------------------

    @access_pattern("T5", "DescribeContinuousBackups", "1", owner=OPERATOR)
    def recovery_window(self) -> RecoveryWindow | None:
        """Return the times it can be restored to; None without point-in-time recovery."""
        with self._translated():
            answer = self._connection.call("DescribeContinuousBackups", {"TableName": self._name})
        found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        bounds = found.get("EarliestRestorableDateTime"), found.get("LatestRestorableDateTime")
        if found.get("PointInTimeRecoveryStatus") != "ENABLED" or None in bounds:
            return None
        return RecoveryWindow(*(moment.astimezone(UTC) for moment in bounds))

    @access_pattern(
        "T5",
        "DescribeContinuousBackups, RestoreTableToPointInTime, DescribeTable, "
        "DescribeTimeToLive, UpdateTimeToLive, UpdateContinuousBackups, UpdateTable, TagResource, "
        "ListTagsOfResource, DescribeContributorInsights, UpdateContributorInsights",
        "some 14, and more until the table is active",
        budget=200,
        owner=OPERATOR,
    )
    def restore_to_time(
        self,
        table_name: str,
        at: datetime | None = None,
        *,
        definition: TableDefinition | None = None,
        region: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_progress: ProgressHook | None = None,
    ) -> Restored:
        """Restore the table, as it was at a given time, to a new table; see `restore`.

        The default is the latest possible time, about five minutes ago. InvalidArgument if the
        time is outside the recovery window, RecoveryUnavailable without point-in-time recovery.
        """
        moment = None if at is None else utc("at", at)
        restoration = self._restoration(
            table_name, region, definition, timeout_seconds, on_progress
        )
        self._check_moment(moment)
        source_arn = self._table_arn()
        request: dict[str, Any] = {"TargetTableName": table_name}
        # Another region knows the table by its ARN only.
        request |= {"SourceTableArn": source_arn} if region else {"SourceTableName": self._name}
        if moment is None:
            request["UseLatestRestorableTime"] = True
        else:
            request["RestoreDateTime"] = moment
        source = Source(table_arn=source_arn, at=moment)
        with self._translated():
            return restoration.run("RestoreTableToPointInTime", request, source)

    # -- to S3 ----------------------------------------------------------------------------------

    @access_pattern(
        "T5",
        "DescribeTable, ExportTableToPointInTime, DescribeExport",
        "3, and more until it is complete",
        budget=200,
        owner=OPERATOR,
    )
    def export(
        self,
        bucket: str,
        *,
        prefix: str | None = None,
        at: datetime | None = None,
        export_format: ExportFormat = "DYNAMODB_JSON",
        bucket_owner: str | None = None,
        kms_key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_progress: ProgressHook | None = None,
    ) -> Export:
        """Export the table, as it was at a given time (by default now), to an S3 bucket.

        Waits until it is complete. The files are put under `prefix`, by default the table's name.
        An export reads the recovery log, so it uses none of the table's capacity. `bucket_owner` is
        the account that owns the bucket, if it is another one; `kms_key` encrypts the files.

        RecoveryUnavailable without point-in-time recovery, InvalidArgument for a time outside its
        window, StillRunning, RequestRejected if the export failed.
        """
        check_bucket(bucket)
        if export_format not in get_args(ExportFormat):
            raise errors.InvalidArgument("export_format", "must be DYNAMODB_JSON or ION")
        if prefix is not None and not isinstance(prefix, str):
            raise errors.InvalidArgument("prefix", "must be text")
        check_account("bucket_owner", bucket_owner)
        check_kms_key(kms_key)
        check_waiting(timeout_seconds, on_progress)
        exported_at = None if at is None else utc("at", at)
        request: dict[str, Any] = {
            "TableArn": self._table_arn(),
            "S3Bucket": bucket,
            "S3Prefix": self._name if prefix is None else prefix,
            "ExportFormat": export_format,
        }
        if exported_at is not None:
            request["ExportTime"] = exported_at
        if bucket_owner is not None:
            request["S3BucketOwner"] = bucket_owner
        if kms_key is not None:
            request |= {"S3SseAlgorithm": "KMS", "S3SseKmsKeyId": kms_key}
        with self._translated():
            answer = self._connection.call("ExportTableToPointInTime", request)
        arn = str(answer["ExportDescription"]["ExportArn"])
        return self._exported(arn, timeout_seconds, on_progress)

    @access_pattern(
        "T5", "DescribeExport", "1, and more until it is complete", budget=200, owner=OPERATOR
    )
    def wait_for_export(
        self,
        export_arn: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_progress: ProgressHook | None = None,
    ) -> Export:
        """Wait for an export that was started before; see `export`. NotFound."""
        check_arn("export_arn", export_arn)
        check_waiting(timeout_seconds, on_progress)
        return self._exported(export_arn, timeout_seconds, on_progress)

    @access_pattern("T5", "DescribeExport", "1", owner=OPERATOR)
    def describe_export(self, export_arn: str) -> Export:
        """Return an export by its ARN, complete or not. NotFound."""
        check_arn("export_arn", export_arn)
        return self._export(export_arn)

    # -- inside ---------------------------------------------------------------------------------

    def _described(self, arn: str) -> Backup:
        with self._translated(arn):
            answer = self._connection.call("DescribeBackup", {"BackupArn": arn})
        found = answer["BackupDescription"]
        return _backup(found["BackupDetails"], found.get("SourceTableDetails", {}))

    def _export(self, arn: str) -> Export:
        with self._translated(arn):
            answer = self._connection.call("DescribeExport", {"ExportArn": arn})
        return _exported(answer["ExportDescription"])

    def _exported(
        self, arn: str, timeout_seconds: float, on_progress: ProgressHook | None
    ) -> Export:
        def look() -> tuple[Seen, Export]:
            found = self._export(arn)
            return Seen(found.status, found.status != "IN_PROGRESS"), found

        export = wait_until(
            f"export {arn}",
            look,
            arn=arn,
            timeout_seconds=timeout_seconds,
            sleep=self._connection.sleep,
            on_progress=on_progress,
        )
        if export.status != "COMPLETED":
            raise errors.RequestRejected(f"the export failed: {export.failure}")
        return export

    def _table_arn(self) -> str:
        return str(Inspection(self._connection).describe()["TableArn"])

    def _check_moment(self, moment: datetime | None) -> None:
        """InvalidArgument, with the earliest time, if a time can't be restored to."""
        window = self.recovery_window()
        if window is None:
            raise errors.RecoveryUnavailable(_recovery_is_off(self._name))
        if moment is not None and not window.earliest <= moment:
            raise errors.InvalidArgument(
                "at", f"must be {window.earliest:%Y-%m-%dT%H:%M:%SZ} or later"
            )

    def _restoration(
        self,
        table_name: str,
        region: str | None,
        definition: TableDefinition | None,
        timeout_seconds: float,
        on_progress: ProgressHook | None,
    ) -> Restoration:
        check_waiting(timeout_seconds, on_progress)
        if definition is not None:
            wanted_or_default(definition)
        check_region(region)
        target = self._connection.beside(table_name, region=region)
        return Restoration(
            target, definition, timeout_seconds=timeout_seconds, on_progress=on_progress
        )

    @contextmanager
    def _translated(self, arn: str = "") -> Iterator[None]:
        """Translate DynamoDB's errors of these operations."""
        try:
            yield
        except errors.RequestRejected as error:
            meaning = _MEANINGS.get(error.code)
            if meaning is None:
                raise
            raise meaning(self._name, arn, error) from error


def _table_missing(table: str, _: str, error: errors.RequestRejected) -> Exception:
    return errors.TableNotFound(
        f"table {table!r} does not exist in this account and region", error.code
    )


def _recovery_is_off(table: str) -> str:
    return (
        f"point-in-time recovery of table {table!r} is off, or being switched on; "
        "store.table.create() switches it on"
    )


_Meaning = Callable[[str, str, errors.RequestRejected], Exception]
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "BackupNotFoundException": lambda _, arn, __: errors.NotFound("backup", arn),
    "ExportNotFoundException": lambda _, arn, __: errors.NotFound("export", arn),
    "TableNotFoundException": _table_missing,
    "SourceTableNotFoundException": _table_missing,
    "PointInTimeRecoveryUnavailableException": lambda table, _, error: errors.RecoveryUnavailable(
        _recovery_is_off(table), error.code
    ),
    "InvalidRestoreTimeException": lambda *_: errors.InvalidArgument(
        "at", "must lie within the table's recovery window"
    ),
    "InvalidExportTimeException": lambda *_: errors.InvalidArgument(
        "at", "must lie within the table's recovery window, and not in the future"
    ),
    "UnknownOperationException": lambda *_: errors.NotSupported(
        "the engine at the endpoint has no backups", "UnknownOperationException"
    ),
}


def _default_name(table: str, now: datetime) -> str:
    """``chat-prod-20251230T140000Z``: 255 characters at most, as backup names may have."""
    return f"{table.rpartition('/')[2][:238]}-{now:%Y%m%dT%H%M%SZ}"


def _listed(summary: Mapping[str, Any]) -> Backup:
    return _backup(summary, summary)


def _backup(details: Mapping[str, Any], table: Mapping[str, Any]) -> Backup:
    expires_at = details.get("BackupExpiryDateTime")
    return Backup(
        arn=details["BackupArn"],
        name=details["BackupName"],
        table_name=table.get("TableName", ""),
        status=details["BackupStatus"],
        kind=details.get("BackupType", "USER"),
        created_at=details["BackupCreationDateTime"].astimezone(UTC),
        expires_at=None if expires_at is None else expires_at.astimezone(UTC),
        size_bytes=int(details.get("BackupSizeBytes", 0)),
    )


def _exported(found: Mapping[str, Any]) -> Export:
    reasons = [found.get("FailureCode"), found.get("FailureMessage")]
    exported_at = found.get("ExportTime")
    return Export(
        arn=found["ExportArn"],
        status=found["ExportStatus"],
        bucket=found.get("S3Bucket", ""),
        prefix=found.get("S3Prefix", ""),
        format=found.get("ExportFormat", "DYNAMODB_JSON"),
        exported_at=None if exported_at is None else exported_at.astimezone(UTC),
        item_count=found.get("ItemCount"),
        billed_bytes=found.get("BilledSizeBytes"),
        manifest=found.get("ExportManifest"),
        failure=": ".join(str(reason) for reason in reasons if reason) or None,
    )
