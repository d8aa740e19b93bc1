"""Least-privilege IAM policies for operators: to deploy the table (T1) and back it up (T5).

They are separate from the service's policy, and from each other. The operations come from the
catalogue; the resources on which IAM authorizes each of them are listed here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.operations.policies import (
    ACTIONS,
    MANAGEMENT,
    VERSION,
    Policy,
    key_statement,
    place_arn,
)
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.encryption import replica_key

_INDEXES: Final = ("GSI1", "GSI2")
_INSIGHTS: Final = frozenset({"DescribeContributorInsights", "UpdateContributorInsights"})
_WRITTEN_BY_DYNAMODB: Final = (
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
)
"""What DynamoDB does on a new table with the permissions of who restores it or adds a replica.
Only here is a Scan allowed: no repository sends one. The roles of the doctor and of archives, which
read the whole table, are described in their guides."""
_SERVICE_ROLES: Final = {
    "insights": "contributorinsights.dynamodb.amazonaws.com",
    "replicas": "replication.dynamodb.amazonaws.com",
}


@dataclass(frozen=True, slots=True)
class Backing:
    """What the backup role may do besides backups."""

    restore_to: tuple[str, ...] = ()
    """The ARNs of the tables that may be restored to; may end with ``*``. None: no restores."""
    bucket: str | None = None
    """The S3 bucket to export to. None: no exports."""
    kms_key: str | None = None
    """The ARN of the customer managed key that encrypts the table."""


def deploy_policy(definition: TableDefinition, arn: str) -> Policy:
    """The permissions to create and check a table with this definition.

    Insights, tags, replicas and a key are allowed only if the definition has them.
    """
    operations = _operations(each for each in _entries("T1") if each.method != "table.probe")
    asked = {
        "UpdateTable": bool(definition.replicas),
        "ListTagsOfResource": bool(definition.tags),
        **dict.fromkeys(_INSIGHTS, definition.contributor_insights),
    }
    wanted = {operation for operation in operations if asked.get(operation, True)}
    if definition.tags:
        wanted.add("TagResource")  # for tags in CreateTable, IAM requires both
    granted = _Grants()
    granted.add(arn, *wanted)
    if definition.contributor_insights:
        for index in _INDEXES:
            granted.add(place_arn(arn, index), *_INSIGHTS)
    for region in definition.replicas:
        granted.add(
            _in_region(arn, region), "CreateTable", "CreateTableReplica", *_WRITTEN_BY_DYNAMODB
        )
    statements = list(granted.statements())
    for kind, needed in (
        ("insights", definition.contributor_insights),
        ("replicas", bool(definition.replicas)),
    ):
        if needed:
            statements.append(_service_role(kind, arn))
    if definition.kms_key is not None:
        statements.append(_creating(key_statement(definition.kms_key, arn)))
        for region in definition.replicas:
            key = replica_key(definition.kms_key, region)
            statements.append(_creating(key_statement(key, _in_region(arn, region))))
    for number, statement in enumerate(statements, 1):  # "Key" occurs once per region
        statement["Sid"] = f"Deploy{number}"
    return {"Version": VERSION, "Statement": statements}


def backup_policy(arn: str, allowed: Backing | None = None) -> Policy:
    """The permissions for `store.table.backups`, of the table with this ARN.

    They allow creating and reading backups, restoring only to the named tables, and exporting only
    to the named bucket; not deleting backups, nor reading or writing the table's items.
    InvalidArgument if the tables to restore to include the table itself.
    """
    more = allowed or Backing()
    if any(_overlap(arn, target) for target in more.restore_to):
        raise InvalidArgument("restore_to", "must not include the table that is backed up")
    granted = _Grants()
    for entry in _entries("T5"):
        match _kind_of(entry):
            case "backup":
                for operation in entry.operations:
                    granted.add(_backup_resource(operation, arn), operation)
            case "export" if more.bucket is not None:
                for operation in entry.operations:
                    where = f"{arn}/export/*" if operation == "DescribeExport" else arn
                    granted.add(where, operation)
            case "restore" if more.restore_to:
                _grant_restore(granted, entry, arn, more.restore_to)
            case _:
                pass
    statements = list(granted.statements())
    if more.bucket is not None:
        statements.append(_bucket_statement(more.bucket, arn))
    if more.kms_key is not None:
        statements.append(_creating(key_statement(more.kms_key, arn)))
    return {"Version": VERSION, "Statement": statements}


class _Grants:
    """Actions by resource, written as few statements: resources with equal actions share one."""

    def __init__(self) -> None:
        self._found: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, resource: str, *operations: str) -> None:
        self._found[resource].update(operations)

    def statements(self) -> Iterator[dict[str, Any]]:
        by_actions: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for resource, operations in self._found.items():
            by_actions[tuple(sorted(operations))].append(resource)
        for actions, resources in by_actions.items():
            yield {
                "Effect": "Allow",
                "Action": [f"dynamodb:{action}" for action in actions],
                "Resource": sorted(resources),
            }


def _entries(pattern: str) -> list[Entry]:
    return [each for each in catalogue() if each.domain == MANAGEMENT and each.id == pattern]


def _operations(entries: Iterable[Entry]) -> set[str]:
    return {operation for entry in entries for operation in entry.operations} - ACTIONS.keys()


def _kind_of(entry: Entry) -> str:
    name = entry.method.rpartition(".")[2]
    if "export" in name:
        return "export"
    return "restore" if name.startswith("restore") else "backup"


def _backup_resource(operation: str, arn: str) -> str:
    match operation:
        case "ListBackups":
            return "*"  # IAM has no resource for it
        case "DescribeBackup":
            return f"{arn}/backup/*"
        case _:
            return arn


def _grant_restore(granted: _Grants, entry: Entry, arn: str, targets: tuple[str, ...]) -> None:
    """A restore is asked of its source and of the new table, and fills that one."""
    granted.add(arn, "DescribeTable", "DescribeContinuousBackups")
    if "RestoreTableFromBackup" in entry.operations:
        granted.add(f"{arn}/backup/*", "RestoreTableFromBackup")
    else:
        granted.add(arn, "RestoreTableToPointInTime")
    for target in targets:
        granted.add(target, *entry.operations, *_WRITTEN_BY_DYNAMODB)
        for index in _INDEXES:
            granted.add(place_arn(target, index), *_INSIGHTS)


def _overlap(arn: str, target: str) -> bool:
    """True if the target may match the table, whose region and account may be ``*`` too."""
    *places, name = zip(arn.split(":", 5), target.split(":", 5), strict=False)
    is_near = all(fnmatchcase(own, other) or fnmatchcase(other, own) for own, other in places)
    return is_near and fnmatchcase(*name)


def _in_region(arn: str, region: str) -> str:
    parts = arn.split(":")
    parts[3] = region
    return ":".join(parts)


def _service_role(kind: str, arn: str) -> dict[str, Any]:
    """The role that DynamoDB creates for itself on first use in an account."""
    service = _SERVICE_ROLES[kind]
    _, partition, _, _, account, _ = arn.split(":", 5)
    return {
        "Effect": "Allow",
        "Action": ["iam:CreateServiceLinkedRole"],
        "Resource": [f"arn:{partition}:iam::{account}:role/aws-service-role/{service}/*"],
        "Condition": {"StringEquals": {"iam:AWSServiceName": service}},
    }


def _creating(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement on a key for creating tables with it: DynamoDB gets a grant on the key."""
    return {**statement, "Action": sorted([*statement["Action"], "kms:CreateGrant"])}


def _bucket_statement(bucket: str, arn: str) -> dict[str, Any]:
    if not bucket or set(bucket) & set("*?/"):
        raise InvalidArgument("bucket", "must be the name of one bucket")
    partition = arn.split(":")[1]
    return {
        "Effect": "Allow",
        "Action": ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"],
        "Resource": [f"arn:{partition}:s3:::{bucket}/*"],
    }
