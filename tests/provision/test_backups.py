"""Backups, restores and exports: what is started, waited for, switched on again and checked."""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from dynamo_chat import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    NotSupported,
    RecoveryUnavailable,
    RequestRejected,
    StillRunning,
    TableDefinition,
    TableNotFound,
)
from dynamo_chat.core.layout import TTL
from dynamo_chat.provision import waiting
from dynamo_chat.provision.backups import Backups
from dynamo_chat.provision.restoring import overrides
from dynamo_chat.provision.table import Capacity
from dynamo_chat.provision.waiting import Progress
from dynamo_chat.testing import ErrorAnswer, Fault, FaultInjector, Killed, kill_points
from dynamo_chat.testing.answers import json_answer
from tests.provision.backed_up import Place

pytestmark = pytest.mark.once


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits are not slept through; the list is how long they would have been."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@dataclass(frozen=True)
class Answer(Fault):
    """The engine's answer to an operation, changed by a function."""

    operation: str
    change: Callable[[dict[str, Any]], None] = field(compare=False)

    def strikes(self, operation: str) -> bool:
        return operation == self.operation

    def happen(self, attempt: Any) -> AWSResponse:
        answer = attempt.forward()
        payload = json.loads(answer.content)
        self.change(payload)
        return json_answer(attempt.url, payload)


# -- on demand ----------------------------------------------------------------------------------


@pytest.mark.engine
def test_a_backup_is_made_listed_and_described(place: Place) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    made = place.backups.create("first")
    assert made.name == "first"
    assert made.table_name == place.name
    assert (made.status, made.kind) == ("AVAILABLE", "USER")
    assert made.created_at > before
    assert place.backups.describe(made.arn) == made
    other = place.backups.create()
    assert other.name.startswith(f"{place.name}-20")
    listed = place.backups.list()
    assert {backup.arn for backup in listed} == {made.arn, other.arn}
    assert listed == sorted(listed, key=lambda b: (b.created_at, b.arn), reverse=True)


@pytest.mark.engine
def test_a_table_without_backups_has_none(place: Place) -> None:
    assert place.backups.list() == []


@pytest.mark.engine
def test_a_backup_is_restored_and_checked(place: Place) -> None:
    """TTL and point-in-time recovery are lost by a restore, and are on again after it."""
    backup = place.backups.create()
    place.store.conversations.delete("talk-1")
    seen: list[Progress] = []
    target = place.fresh()
    restored = place.backups.restore(backup.arn, target, on_progress=seen.append)
    assert restored.table_name == target
    assert restored.differences == ()
    assert any(each.what == f"restore to {target}" for each in seen)
    store = place.at(target)
    found = store.conversations.get("talk-1")
    assert found.title == "Films"
    assert [each.conversation_id for each in store.conversations.list_by_user("user-1")] == [
        "talk-1"
    ]
    client = store.connection.client
    ttl = client.describe_time_to_live(TableName=target)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", TTL)
    assert store.table.backups.recovery_window() is not None
    assert store.table.describe()["DeletionProtectionEnabled"] is True


@pytest.mark.engine
def test_a_restored_table_is_as_its_definition_wants_it(place: Place) -> None:
    backup = place.backups.create()
    wanted = TableDefinition(
        deletion_protection=False,
        point_in_time_recovery=False,
        encryption_managed=False,
        stream=True,
        tags={"team": "chat"},
    )
    target = place.fresh()
    restored = place.backups.restore(backup.arn, target, definition=wanted)
    assert not [each for each in restored.differences if each.is_essential]
    store = place.at(target)
    description = store.table.describe()
    assert description["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert not description.get("DeletionProtectionEnabled")
    assert store.table.backups.recovery_window() is None
    tags = store.connection.client.list_tags_of_resource(ResourceArn=description["TableArn"])
    assert tags["Tags"] == [{"Key": "team", "Value": "chat"}]


def test_what_a_definition_overrides() -> None:
    plain = overrides(TableDefinition(encryption_managed=False))
    assert plain == {"BillingModeOverride": "PAY_PER_REQUEST"}
    full = overrides(TableDefinition(kms_key="key-1", provisioned=Capacity()))
    assert full["BillingModeOverride"] == "PROVISIONED"
    assert full["SSESpecificationOverride"]["KMSMasterKeyId"] == "key-1"
    assert full["ProvisionedThroughputOverride"] == Capacity().throughput()
    assert {each["IndexName"] for each in full["GlobalSecondaryIndexOverride"]} == {"GSI1", "GSI2"}
    assert all("ProvisionedThroughput" in each for each in full["GlobalSecondaryIndexOverride"])


def test_a_restore_called_again_joins_the_first(place: Place) -> None:
    """On the embedded engine, which tells as AWS does where a table was restored from."""
    backup = place.backups.create()
    target = place.fresh()
    first = place.backups.restore(backup.arn, target)
    assert place.backups.restore(backup.arn, target) == first
    other = place.backups.create()
    with pytest.raises(AlreadyExists, match="restore to another name"):
        place.backups.restore(other.arn, target)
    with pytest.raises(AlreadyExists):
        place.backups.restore_to_time(target)
    with pytest.raises(AlreadyExists):
        place.backups.restore(backup.arn, place.name)


@pytest.mark.parametrize("to_time", [False, True])
def test_a_restore_that_died_is_finished_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch, to_time: bool
) -> None:
    """Killed at each of its writes in turn, and called again."""
    arn = place.backups.create().arn

    def restore(backups: Backups, target: str) -> Any:
        return backups.restore_to_time(target) if to_time else backups.restore(arn, target)

    for at, kill in kill_points(30):
        target = place.fresh()
        counted = _Countdown(at, kill)
        with monkeypatch.context() as patched:
            counted.patch(patched)
            try:
                restore(place.backups, target)
                break  # it has fewer requests than that
            except Killed:
                pass
        assert restore(place.backups, target).differences == ()
    else:
        pytest.fail("a restore of more than 30 writes")
    assert at > 4


class _Countdown:
    """Kills the process at the n-th write of any connection."""

    def __init__(self, at: int, kill: Any) -> None:
        self.left = at
        self.kill = kill

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from dynamo_chat.core.connection import Connection

        call = Connection.call

        def counted(connection: Connection, operation: str, request: dict[str, Any]) -> Any:
            self.left -= not operation.startswith("Describe")
            if self.left or operation.startswith("Describe"):
                return call(connection, operation, request)
            with FaultInjector(connection.client) as faults:
                faults.plan(self.kill)
                return call(connection, operation, request)

        monkeypatch.setattr(Connection, "call", counted)


@pytest.mark.engine
def test_a_backup_that_is_not_there(place: Place) -> None:
    arn = f"{place.backups.create().arn}0"
    with pytest.raises(NotFound, match="backup"):
        place.backups.describe(arn)
    with pytest.raises(NotFound, match="backup"):
        place.backups.restore(arn, place.fresh())


@pytest.mark.engine
def test_a_table_that_is_not_there(place: Place) -> None:
    backups = place.at("not-there").table.backups
    with pytest.raises(TableNotFound):
        backups.create()
    with pytest.raises(TableNotFound):
        backups.restore_to_time("elsewhere")
    with pytest.raises(TableNotFound):
        backups.export("bucket")


def test_backups_are_listed_page_by_page(place: Place) -> None:
    first = place.backups.create("first")
    pages = iter([{"LastEvaluatedBackupArn": first.arn}, {}])

    with FaultInjector(place.store.connection.client) as faults:
        faults.plan(Answer("ListBackups", lambda page: page.update(next(pages))), times=None)
        assert place.backups.list() == [first, first]


# -- waiting ------------------------------------------------------------------------------------


def test_a_backup_is_waited_for(place: Place, no_pauses: list[float]) -> None:
    def creating(answer: dict[str, Any]) -> None:
        answer["BackupDescription"]["BackupDetails"]["BackupStatus"] = "CREATING"

    seen: list[Progress] = []
    with FaultInjector(place.store.connection.client) as faults:
        faults.plan(Answer("DescribeBackup", creating), times=3)
        made = place.backups.create("slow", on_progress=seen.append)
    assert made.status == "AVAILABLE"
    assert [each.status for each in seen] == ["CREATING"] * 3 + ["AVAILABLE"]
    assert no_pauses == [1.0, 1.5, 2.25]
    assert str(replace(seen[0], seconds=0.4)) == "backup slow: CREATING, 0 s"


def test_a_wait_that_is_too_short_leaves_the_work_running(place: Place) -> None:
    def creating(answer: dict[str, Any]) -> None:
        answer["BackupDescription"]["BackupDetails"]["BackupStatus"] = "CREATING"

    with FaultInjector(place.store.connection.client) as faults:
        faults.plan(Answer("DescribeBackup", creating), times=None)
        with pytest.raises(StillRunning, match="still CREATING after 0 seconds") as caught:
            place.backups.create(timeout_seconds=0)
    (made,) = place.backups.list()
    assert caught.value.arn == made.arn


def test_pauses_grow_up_to_a_bound(no_pauses: list[float]) -> None:
    looks = iter([waiting.Seen("BUSY", is_done=False)] * 12 + [waiting.Seen("OK", is_done=True)])
    waiting.wait_until(
        "x", lambda: (next(looks), None), arn="", timeout_seconds=3_600, sleep=time.sleep
    )
    assert no_pauses == sorted(no_pauses)
    assert max(no_pauses) == waiting.LONGEST_PAUSE


def test_the_clock_of_a_wait_is_the_machines() -> None:
    """The pauses are really slept."""
    looks = iter([waiting.Seen("BUSY", is_done=False), waiting.Seen("OK", is_done=True)])
    started = time.monotonic()
    waiting.wait_until(
        "x", lambda: (next(looks), None), arn="", timeout_seconds=0.05, sleep=time.sleep
    )
    assert time.monotonic() - started >= 0.05


def test_a_table_that_does_not_show_yet_is_waited_for(
    place: Place, no_pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptions are eventually consistent, and recovery may take a moment to be possible."""
    from dynamo_chat.core.connection import Connection

    call = Connection.call
    not_yet = "ContinuousBackupsUnavailableException"
    refusals = iter(
        [
            ("DescribeTable", TableNotFound("not yet")),
            (
                "UpdateContinuousBackups",
                RequestRejected("", not_yet),
            ),
        ]
    )
    due = next(refusals)

    def refusing(connection: Connection, operation: str, request: dict[str, Any]) -> Any:
        nonlocal due
        if operation == due[0]:
            error, due = due[1], next(refusals, ("", TableNotFound("")))
            raise error
        return call(connection, operation, request)

    backup = place.backups.create()
    target = place.fresh()
    monkeypatch.setattr(Connection, "call", refusing)
    assert place.backups.restore(backup.arn, target).differences == ()
    assert due[0] == ""
    assert len(no_pauses) == 2


# -- by point in time ---------------------------------------------------------------------------


@pytest.mark.engine
def test_the_table_is_restored_to_a_moment(place: Place) -> None:
    target = place.fresh()
    restored = place.backups.restore_to_time(target)
    assert restored.differences == ()
    assert place.at(target).conversations.get("talk-1").title == "Films"
    assert place.at(target).table.backups.recovery_window() is not None


@pytest.mark.engine
def test_without_recovery_there_is_nothing_to_restore(place: Place) -> None:
    place.store.connection.client.update_continuous_backups(
        TableName=place.name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )
    assert place.backups.recovery_window() is None
    with pytest.raises(RecoveryUnavailable, match="is off"):
        place.backups.restore_to_time(place.fresh())


def test_a_moment_outside_of_the_window_is_refused(place: Place) -> None:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidArgument, match=r"at: must be 20.*Z or later"):
        place.backups.restore_to_time(place.fresh(), early)
    with pytest.raises(InvalidArgument, match="aware"):
        place.backups.restore_to_time(place.fresh(), datetime(2020, 1, 1))  # noqa: DTZ001
    moment = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(InvalidArgument, match="recovery window"):
        _refused(place, "InvalidRestoreTimeException", at=moment)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("PointInTimeRecoveryUnavailableException", RecoveryUnavailable),
        ("UnknownOperationException", NotSupported),
        ("BackupInUseException", RequestRejected),
    ],
)
def test_refusals_are_told_as_what_they_mean(
    place: Place, code: str, meaning: type[Exception]
) -> None:
    with pytest.raises(meaning):
        _refused(place, code)
    with FaultInjector(place.store.connection.client) as faults:
        faults.plan(ErrorAnswer(code))
        with pytest.raises(meaning):
            place.backups.create()


def _refused(place: Place, code: str, at: datetime | None = None) -> None:
    from dynamo_chat.core.connection import Connection

    call = Connection.call

    def refusing(connection: Connection, operation: str, request: dict[str, Any]) -> Any:
        if operation.startswith("Restore"):
            raise RequestRejected("no", code)
        return call(connection, operation, request)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Connection, "call", refusing)
        place.backups.restore_to_time(place.fresh(), at)


def test_another_region_is_told_the_source_by_its_arn(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stand-in restores across regions: what is asked of the other region is looked at."""
    from dynamo_chat.core.connection import Connection

    call = Connection.call
    asked: list[tuple[str | None, str, dict[str, Any]]] = []

    def noted(connection: Connection, operation: str, request: dict[str, Any]) -> Any:
        if not operation.startswith("Restore"):
            return call(connection, operation, request)
        asked.append((connection.region, operation, request))
        raise RequestRejected("", "LimitExceeded")

    monkeypatch.setattr(Connection, "call", noted)
    arn = place.store.table.describe()["TableArn"]
    at = datetime.now(UTC)
    with pytest.raises(RequestRejected):
        place.backups.restore_to_time("far-away", at, region="eu-central-1")
    with pytest.raises(RequestRejected):
        place.backups.restore("arn:backup", "far-away", region="eu-central-1")
    assert asked == [
        (
            "eu-central-1",
            "RestoreTableToPointInTime",
            {"TargetTableName": "far-away", "SourceTableArn": arn, "RestoreDateTime": at},
        ),
        (
            "eu-central-1",
            "RestoreTableFromBackup",
            {"TargetTableName": "far-away", "BackupArn": "arn:backup"},
        ),
    ]


# -- to S3 --------------------------------------------------------------------------------------


@pytest.mark.engine
def test_the_table_is_exported(place: Place, bucket: tuple[str, Any]) -> None:
    made = place.backups.export(bucket[0])
    assert made.status == "COMPLETED"
    assert (made.bucket, made.prefix, made.format) == (bucket[0], place.name, "DYNAMODB_JSON")
    assert made.failure is None
    assert place.backups.describe_export(made.arn) == made
    assert place.backups.wait_for_export(made.arn) == made


def test_an_export_holds_every_item(place: Place, bucket: tuple[str, Any]) -> None:
    """On the embedded engine, which writes the files."""
    name, client = bucket
    made = place.backups.export(name, prefix="copies")
    (found,) = client.list_objects_v2(Bucket=name)["Contents"]
    assert found["Key"].startswith("copies/")
    body = client.get_object(Bucket=name, Key=found["Key"])["Body"].read()
    items = [json.loads(line)["Item"] for line in gzip.decompress(body).splitlines()]
    assert {item["kind"]["S"] for item in items} == {"conversation", "conversation_title"}
    assert made.item_count == len(items)


def test_an_export_that_fails_says_why(place: Place) -> None:
    with pytest.raises(RequestRejected, match="S3NoSuchBucket: The specified bucket"):
        place.backups.export("no-such-bucket")


def test_an_export_needs_recovery(place: Place, bucket: tuple[str, Any]) -> None:
    place.store.connection.client.update_continuous_backups(
        TableName=place.name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )
    with pytest.raises(RecoveryUnavailable):
        place.backups.export(bucket[0])


def test_what_an_export_is_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from dynamo_chat.core.connection import Connection

    call = Connection.call
    asked: list[dict[str, Any]] = []

    def noted(connection: Connection, operation: str, request: dict[str, Any]) -> Any:
        if operation != "ExportTableToPointInTime":
            return call(connection, operation, request)
        asked.append(request)
        raise RequestRejected("", "InvalidExportTimeException")

    monkeypatch.setattr(Connection, "call", noted)
    at = datetime.now(UTC)
    with pytest.raises(InvalidArgument, match="not in the future"):
        place.backups.export(
            "bucket", at=at, bucket_owner="123456789012", kms_key="key-1", export_format="ION"
        )
    del asked[0]["TableArn"]
    assert asked == [
        {
            "S3Bucket": "bucket",
            "S3Prefix": place.name,
            "ExportFormat": "ION",
            "ExportTime": at,
            "S3BucketOwner": "123456789012",
            "S3SseAlgorithm": "KMS",
            "S3SseKmsKeyId": "key-1",
        }
    ]


def test_an_export_that_is_not_there(place: Place) -> None:
    with FaultInjector(place.store.connection.client) as faults:
        faults.plan(ErrorAnswer("ExportNotFoundException"))
        with pytest.raises(NotFound, match="export"):
            place.backups.describe_export("arn:nothing")
