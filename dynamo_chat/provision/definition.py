"""The definition of the table, from which requests and templates are generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import GSI1, GSI2, PLACES, TTL, Place
from dynamo_chat.provision.arguments import (
    check_flag,
    check_kms_key,
    check_percent,
    check_replicas,
    check_tags,
    check_units,
)
from dynamo_chat.provision.encryption import replica_key

RECOVERY_DAYS: Final = 35
STREAM_VIEW: Final = "NEW_AND_OLD_IMAGES"
_FLAGS: Final = (
    "point_in_time_recovery",
    "deletion_protection",
    "encryption_managed",
    "stream",
    "contributor_insights",
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Provisioned capacity with auto scaling, for the table and each index separately.

    If minimum and maximum are equal, the capacity is fixed.
    """

    read: tuple[int, int] = (5, 100)
    """Minimum and maximum read units a second."""
    write: tuple[int, int] = (5, 100)
    """Minimum and maximum write units a second."""
    utilization: int = 70
    """The target utilization of auto scaling, in percent."""

    def __post_init__(self) -> None:
        check_units("read", self.read)
        check_units("write", self.write)
        check_percent("utilization", self.utilization)

    @property
    def is_scaled(self) -> bool:
        """True if minimum and maximum differ."""
        return self.read[0] < self.read[1] or self.write[0] < self.write[1]

    def throughput(self) -> dict[str, int]:
        """The initial ``ProvisionedThroughput``: the minimum."""
        return {"ReadCapacityUnits": self.read[0], "WriteCapacityUnits": self.write[0]}


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """The definition of a table: keys, two indexes, and the settings that protect its data.

    Keys, indexes and TTL are fixed; the rest are settings that a team may choose. `table.create`
    sets up all of it except auto scaling, which is another AWS service: it refuses capacity that
    is scaled; use a template for it.
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
    """Other regions that have a replica. Only one region may be written to."""

    def __post_init__(self) -> None:
        for name in _FLAGS:
            check_flag(name, getattr(self, name))
        check_kms_key(self.kms_key)
        check_tags(self.tags)
        check_replicas(self.replicas)
        if self.provisioned is not None and not isinstance(self.provisioned, Capacity):
            raise InvalidArgument("provisioned", "must be a Capacity, or None for on-demand")
        if self.kms_key is not None and not self.encryption_managed:
            raise InvalidArgument("kms_key", "must be None without encryption_managed")
        if self.replicas and self.encryption_managed and self.kms_key is not None:
            for region in self.replicas:
                replica_key(self.kms_key, region)  # refuses a key that exists in one region only

    @property
    def has_stream(self) -> bool:
        """True if changes are streamed: if asked for, or if there are replicas."""
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

    def insights_request(self, table_name: str, place: Place) -> dict[str, Any]:
        """The ``UpdateContributorInsights`` request for the table or an index of it."""
        index = {} if place.index is None else {"IndexName": place.index}
        return {"TableName": table_name, **index, "ContributorInsightsAction": "ENABLE"}

    def replica_request(self, table_name: str, region: str) -> dict[str, Any]:
        """The ``UpdateTable`` request that adds a replica."""
        replica = {"RegionName": region}
        if self.encryption_managed and self.kms_key is not None:
            replica["KMSMasterKeyId"] = replica_key(self.kms_key, region)
        return {"TableName": table_name, "ReplicaUpdates": [{"Create": replica}]}


def key_schema(place: Place) -> list[dict[str, str]]:
    """``KeySchema`` of the table or an index."""
    return [
        {"AttributeName": place.pk, "KeyType": "HASH"},
        {"AttributeName": place.sk, "KeyType": "RANGE"},
    ]


def wanted_or_default(definition: Any) -> TableDefinition:
    """The given definition, or the default one for None. InvalidArgument for another type."""
    if definition is None:
        return TableDefinition()
    if not isinstance(definition, TableDefinition):
        raise InvalidArgument("definition", "must be a TableDefinition")
    return definition
