"""Creating the table, waiting for it, and telling how an existing one differs (T1)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dynamo_chat.core import errors
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.layout import GSI1, GSI2, PLACES, TTL, Place
from dynamo_chat.core.patterns import access_pattern

if TYPE_CHECKING:
    from dynamo_chat.provision.backups import Backups
    from dynamo_chat.provision.probe import ProbeStep

RECOVERY_DAYS = 35
BACKUPS_NOT_YET = "ContinuousBackupsUnavailableException"
"""What DynamoDB answers while it prepares the backups of a table that was just created."""
STREAM_VIEW = "NEW_AND_OLD_IMAGES"
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """Provisioned capacity that follows the load: of the table, and of each index by itself."""

    read: tuple[int, int] = (5, 100)
    """The least and the most read units a second."""
    write: tuple[int, int] = (5, 100)
    """The least and the most write units a second."""
    utilization: int = 70
    """The share of the capacity that scaling aims to have in use, in percent."""

    def __post_init__(self) -> None:
        for name, (least, most) in (("read", self.read), ("write", self.write)):
            if not 1 <= least <= most:
                raise errors.InvalidArgument(name, "must be from at least 1 to no less than that")
        if not 20 <= self.utilization <= 90:
            raise errors.InvalidArgument("utilization", "must be from 20 to 90 percent")

    def throughput(self) -> dict[str, int]:
        """``ProvisionedThroughput`` to begin with: the least."""
        return {"ReadCapacityUnits": self.read[0], "WriteCapacityUnits": self.write[0]}


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """What the table should be: keys, two indexes, and the settings that protect its data.

    Keys, indexes and TTL are the store's own; the rest are settings that a team may choose.
    `table.create` sets up all of it but scaling, contributor insights and replicas, which are
    services beside the table: those are for templates.
    """

    point_in_time_recovery: bool = True
    deletion_protection: bool = True
    kms_key: str | None = None
    """``alias/aws/dynamodb`` for AWS's managed key, or a key's id; None for the AWS owned key."""
    encryption_managed: bool = True
    """Encrypt with a KMS key (AWS managed unless `kms_key` names one)."""
    tags: Mapping[str, str] = field(default_factory=dict)
    provisioned: Capacity | None = None
    """Provisioned capacity; None for on-demand billing."""
    stream: bool = False
    """A stream of every change, with the item before and after it. Replicas need one."""
    contributor_insights: bool = False
    """Report the most used keys of the table and of each index."""
    replicas: tuple[str, ...] = ()
    """Regions, beside its own, that hold a replica. Only one region may be written to."""

    @property
    def has_stream(self) -> bool:
        """Whether changes are streamed: when asked, and whenever there are replicas."""
        return self.stream or bool(self.replicas)

    @property
    def billing_mode(self) -> str:
        """``BillingMode``."""
        return "PAY_PER_REQUEST" if self.provisioned is None else "PROVISIONED"

    def attributes(self) -> list[dict[str, str]]:
        """``AttributeDefinitions``."""
        return [
            {"AttributeName": name, "AttributeType": "S"}
            for place in PLACES
            for name in (place.pk, place.sk)
        ]

    def indexes(self) -> list[dict[str, Any]]:
        """``GlobalSecondaryIndexes``."""
        return [
            {
                "IndexName": place.index,
                "KeySchema": key_schema(place),
                "Projection": {"ProjectionType": "ALL"},
            }
            for place in (GSI1, GSI2)
        ]

    def create_request(self, table_name: str) -> dict[str, Any]:
        """The ``CreateTable`` request."""
        request: dict[str, Any] = {
            "TableName": table_name,
            "AttributeDefinitions": self.attributes(),
            "KeySchema": key_schema(PLACES[0]),
            "GlobalSecondaryIndexes": self.indexes(),
            "BillingMode": self.billing_mode,
            "DeletionProtectionEnabled": self.deletion_protection,
        }
        if self.provisioned is not None:
            for place in (request, *request["GlobalSecondaryIndexes"]):
                place["ProvisionedThroughput"] = self.provisioned.throughput()
        if self.has_stream:
            request["StreamSpecification"] = {
                "StreamEnabled": True,
                "StreamViewType": STREAM_VIEW,
            }
        if self.encryption_managed:
            request["SSESpecification"] = {"Enabled": True, "SSEType": "KMS"}
            if self.kms_key is not None:
                request["SSESpecification"]["KMSMasterKeyId"] = self.kms_key
        if self.tags:
            request["Tags"] = self.tag_list()
        return request

    def tag_list(self) -> list[dict[str, str]]:
        """``Tags``."""
        return [{"Key": key, "Value": value} for key, value in sorted(self.tags.items())]

    def ttl_request(self, table_name: str) -> dict[str, Any]:
        """The ``UpdateTimeToLive`` request."""
        return {
            "TableName": table_name,
            "TimeToLiveSpecification": {"Enabled": True, "AttributeName": TTL},
        }

    def recovery_request(self, table_name: str) -> dict[str, Any]:
        """The ``UpdateContinuousBackups`` request."""
        return {
            "TableName": table_name,
            "PointInTimeRecoverySpecification": {
                "PointInTimeRecoveryEnabled": True,
                "RecoveryPeriodInDays": RECOVERY_DAYS,
            },
        }


def key_schema(place: Place) -> list[dict[str, str]]:
    """``KeySchema`` of the table or an index."""
    return [
        {"AttributeName": place.pk, "KeyType": "HASH"},
        {"AttributeName": place.sk, "KeyType": "RANGE"},
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the table is not what it should be."""

    setting: str
    wanted: str
    found: str
    is_essential: bool
    """The store does not work with it; otherwise it works with less protection."""

    def __str__(self) -> str:
        return f"{self.setting}: {self.found}, should be {self.wanted}"


class Table:
    """The table of a store: create it, wait for it, check it, describe it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.table_name

    @access_pattern(
        "T1",
        operation="CreateTable, DescribeTable, DescribeTimeToLive, UpdateTimeToLive, "
        "DescribeContinuousBackups, UpdateContinuousBackups",
        requests="a few, once",
        budget=50,
        index="table + GSI1 + GSI2",
        replaces="create-table and its configuration files",
    )
    def create(
        self, definition: TableDefinition | None = None, *, timeout_seconds: float = 300.0
    ) -> bool:
        """Create the table with its indexes and settings, and wait until it can be used.

        True when it was created, False when it existed already; then only what its TTL and
        point-in-time recovery lack is switched on, and `check` says what else differs.
        """
        wanted = definition or TableDefinition()
        try:
            self._connection.call("CreateTable", wanted.create_request(self._name))
            created = True
        except errors.RequestRejected as error:
            if error.code != "ResourceInUseException":
                raise
            created = False
        self.wait(timeout_seconds=timeout_seconds)
        if not self._has_ttl():
            self._connection.call("UpdateTimeToLive", wanted.ttl_request(self._name))
        if wanted.point_in_time_recovery and not self._recovery_days():
            self._switch_on_recovery(wanted, time.monotonic() + timeout_seconds)
        return created

    def _switch_on_recovery(self, wanted: TableDefinition, deadline: float) -> None:
        """Switch point-in-time recovery on; a new table may not be ready for it at once."""
        request = wanted.recovery_request(self._name)
        while True:
            try:
                self._connection.call("UpdateContinuousBackups", dict(request))
            except errors.RequestRejected as error:
                if error.code != BACKUPS_NOT_YET or time.monotonic() >= deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    @access_pattern("T1", operation="DescribeTable", requests="1 a second", budget=50)
    def wait(self, *, timeout_seconds: float = 300.0) -> None:
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
                    "it was not made by this package"
                )
            states = {description.get("TableStatus", "ACTIVE"), *indexes.values()}
            if states <= {"ACTIVE", "UPDATING"} and set(indexes.values()) == {"ACTIVE"}:
                return
            if time.monotonic() >= deadline:
                raise errors.IndexNotReady(
                    f"table {self._name!r} was not active after {timeout_seconds:g} seconds: "
                    f"{', '.join(sorted(states))}"
                )
            time.sleep(_POLL_SECONDS)

    @access_pattern("T1", operation="DescribeTable", requests="1")
    def describe(self) -> dict[str, Any]:
        """DynamoDB's description of the table: status, indexes, item count and size. TableNotFound.

        Item count and size are DynamoDB's own, some six hours old.
        """
        answer = self._connection.call("DescribeTable", {"TableName": self._name})
        found: dict[str, Any] = answer["Table"]
        return found

    @access_pattern(
        "T1",
        operation="DescribeTable, DescribeTimeToLive, DescribeContinuousBackups",
        requests="3",
    )
    def check(self, definition: TableDefinition | None = None) -> list[Difference]:
        """How the table differs from what it should be; an empty list when it does not.

        TableNotFound when there is none.
        """
        wanted = definition or TableDefinition()
        description = self.describe()
        found = [
            *_key_differences(description),
            *_index_differences(description),
            *_setting_differences(description, wanted),
        ]
        if not self._has_ttl():
            found.append(Difference("TTL", f"on attribute {TTL!r}", "off", is_essential=True))
        days = self._recovery_days()
        if wanted.point_in_time_recovery and days != RECOVERY_DAYS:
            is_days = f"{days} days" if days else "off"
            found.append(
                Difference(
                    "point-in-time recovery", f"{RECOVERY_DAYS} days", is_days, is_essential=False
                )
            )
        return found

    @access_pattern(
        "T1",
        operation="PutItem, UpdateItem, TransactWriteItems, GetItem, BatchGetItem, Query, "
        "BatchWriteItem, DeleteItem",
        requests="10, and more until the indexes show the item",
        budget=20,
        index="table + GSI1 + GSI2",
        replaces="test table access",
    )
    def probe(self, *, index_seconds: float = 10.0) -> list[ProbeStep]:
        """Try every action that the store uses, on the table and each index, with one item.

        What is returned says of each action, in the order in which they were tried, whether it
        works or which permission or index is missing. The item is deleted at the end. An index has
        `index_seconds` to show it. TableNotFound, CredentialsMissing, RegionMissing, Unreachable.
        """
        from dynamo_chat.provision.probe import Probe

        return Probe(self._connection, index_seconds=index_seconds).run()

    @property
    def backups(self) -> Backups:
        """Back up, restore and export the table."""
        from dynamo_chat.provision.backups import Backups

        return Backups(self._connection)

    def _has_ttl(self) -> bool:
        answer = self._connection.call("DescribeTimeToLive", {"TableName": self._name})
        ttl = answer.get("TimeToLiveDescription", {})
        return (
            ttl.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
            and ttl.get("AttributeName") == TTL
        )

    def _recovery_days(self) -> int:
        answer = self._connection.call("DescribeContinuousBackups", {"TableName": self._name})
        recovery = answer.get("ContinuousBackupsDescription", {}).get(
            "PointInTimeRecoveryDescription", {}
        )
        if recovery.get("PointInTimeRecoveryStatus") not in {"ENABLED", "ENABLING"}:
            return 0
        # Engines that do not report the period have DynamoDB's default, which is the longest.
        return int(recovery.get("RecoveryPeriodInDays", RECOVERY_DAYS))


def _key_differences(description: Mapping[str, Any]) -> list[Difference]:
    wanted = key_schema(PLACES[0])
    found = description.get("KeySchema", [])
    if _schema(found) == _schema(wanted):
        return []
    return [
        Difference("key schema", _schema(wanted), _schema(found) or "missing", is_essential=True)
    ]


def _index_differences(description: Mapping[str, Any]) -> list[Difference]:
    there = {index["IndexName"]: index for index in description.get("GlobalSecondaryIndexes", [])}
    differences = []
    for place in (GSI1, GSI2):
        index = there.get(place.index)
        name = f"index {place.index}"
        if index is None:
            differences.append(Difference(name, "active", "missing", is_essential=True))
            continue
        wanted, found = _schema(key_schema(place)), _schema(index.get("KeySchema", []))
        if wanted != found:
            differences.append(Difference(f"{name} keys", wanted, found, is_essential=True))
        projection = index.get("Projection", {}).get("ProjectionType")
        if projection != "ALL":
            differences.append(
                Difference(f"{name} projection", "ALL", str(projection), is_essential=True)
            )
        status = index.get("IndexStatus", "ACTIVE")
        if status != "ACTIVE":
            differences.append(Difference(name, "active", status.lower(), is_essential=True))
    return differences


def _setting_differences(
    description: Mapping[str, Any], wanted: TableDefinition
) -> list[Difference]:
    billing = description.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    protected = bool(description.get("DeletionProtectionEnabled", False))
    encrypted = description.get("SSEDescription", {}).get("Status") in {"ENABLED", "ENABLING"}
    stream = description.get("StreamSpecification", {})
    view = stream.get("StreamViewType", "off") if stream.get("StreamEnabled") else "off"
    differences = []
    if billing != wanted.billing_mode:
        differences.append(Difference("billing", wanted.billing_mode, billing, is_essential=False))
    if wanted.has_stream and view != STREAM_VIEW:
        differences.append(Difference("stream", STREAM_VIEW, view, is_essential=False))
    there = {replica.get("RegionName") for replica in description.get("Replicas", [])}
    differences += [
        Difference(f"replica in {region}", "there", "missing", is_essential=False)
        for region in wanted.replicas
        if region not in there
    ]
    if wanted.deletion_protection and not protected:
        differences.append(Difference("deletion protection", "on", "off", is_essential=False))
    if wanted.encryption_managed and not encrypted:
        differences.append(
            Difference("encryption", "with a KMS key", "AWS owned key", is_essential=False)
        )
    return differences


def _schema(schema: list[dict[str, str]]) -> str:
    return ", ".join(f"{each['AttributeName']} {each['KeyType']}" for each in schema)
