"""Differences between a table and its definition, from DynamoDB's description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamo_chat.core.layout import GSI1, GSI2, PLACES
from dynamo_chat.provision.definition import STREAM_VIEW, Capacity, TableDefinition, key_schema


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the table and its definition."""

    setting: str
    wanted: str
    found: str
    is_essential: bool
    """True if the store doesn't work with it; if False, the table only has less protection."""

    def __str__(self) -> str:
        return f"{self.setting}: {self.found}, should be {self.wanted}"


def described_differences(
    description: Mapping[str, Any], wanted: TableDefinition
) -> list[Difference]:
    """The differences that show in ``DescribeTable``."""
    return [
        *_key_differences(description),
        *_index_differences(description),
        *_setting_differences(description, wanted),
    ]


def tag_differences(tags: Mapping[str, str], wanted: TableDefinition) -> list[Difference]:
    """Tags that are missing or have another value; further tags are ignored."""
    return [
        Difference(f"tag {key}", repr(value), repr(tags.get(key)), is_essential=False)
        for key, value in sorted(wanted.tags.items())
        if tags.get(key) != value
    ]


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
) -> Iterator[Difference]:
    billing = description.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    if billing != wanted.billing_mode:
        yield _lacking("billing", wanted.billing_mode, billing)
    elif wanted.provisioned is not None:
        yield from _capacity_differences(description, wanted.provisioned)
    if wanted.has_stream:
        stream = description.get("StreamSpecification", {})
        view = stream.get("StreamViewType", "off") if stream.get("StreamEnabled") else "off"
        if view != STREAM_VIEW:
            yield _lacking("stream", STREAM_VIEW, view)
    there = {
        replica.get("RegionName"): replica.get("ReplicaStatus", "ACTIVE")
        for replica in description.get("Replicas", [])
    }
    for region in wanted.replicas:
        status = there.get(region, "missing")
        if status != "ACTIVE":
            yield _lacking(f"replica in {region}", "active", status.lower())
    if wanted.deletion_protection and not description.get("DeletionProtectionEnabled", False):
        yield _lacking("deletion protection", "on", "off")
    if wanted.encryption_managed:
        yield from _key_of_encryption(description.get("SSEDescription", {}), wanted.kms_key)


def _capacity_differences(description: Mapping[str, Any], wanted: Capacity) -> Iterator[Difference]:
    """Capacity of the table or an index that is outside its range."""
    for described in (description, *description.get("GlobalSecondaryIndexes", [])):
        place = described.get("IndexName", "table")
        found = described.get("ProvisionedThroughput", {})
        for kind, (least, most) in (("Read", wanted.read), ("Write", wanted.write)):
            units = int(found.get(f"{kind}CapacityUnits", 0))
            if not least <= units <= most:
                bounds = str(least) if least == most else f"{least} to {most}"
                yield _lacking(f"{kind.lower()} capacity of {place}", bounds, str(units))


def _key_of_encryption(found: Mapping[str, Any], wanted: str | None) -> Iterator[Difference]:
    if found.get("Status") not in {"ENABLED", "ENABLING", "UPDATING"}:
        yield _lacking("encryption", "with a KMS key", "AWS owned key")
        return
    arn = str(found.get("KMSMasterKeyArn", ""))
    # DynamoDB returns the key and no alias; only KMS knows the key of an alias.
    is_known = wanted is not None and "alias/" not in wanted and arn
    if is_known and arn != wanted and arn.rpartition("/")[2] != wanted:
        yield _lacking("encryption", f"with the key {wanted}", f"with the key {arn}")


def _lacking(setting: str, wanted: str, found: str) -> Difference:
    return Difference(setting, wanted, found, is_essential=False)


def _schema(schema: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(f"{each['AttributeName']} {each['KeyType']}" for each in schema)
