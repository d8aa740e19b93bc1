"""A small evaluator of IAM policies: actions, resources, and the conditions that policies here use.

It takes a request apart as IAM does: a transaction into its members, a batch into one
authorization with the keys of all of it. What it does not know, it refuses to judge.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session


class NotModelled(Exception):
    """A policy or request that this evaluator does not know: it must not guess what AWS says."""


LEADING_KEYS = "dynamodb:LeadingKeys"
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_LITERALS = {"*", "?", "$"}
"""What ``${*}`` stands for in a policy: the character itself, and no wildcard."""
_EQUALITY = re.compile(r"(#?\w+)\s*=\s*(:\w+)")
_PARTITION_KEYS = {"PK", "GSI1PK", "GSI2PK"}
_MEMBERS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


@dataclass(frozen=True)
class Authorization:
    """One question to IAM: whether this action may be done on this resource."""

    action: str
    resource: str
    leading_keys: tuple[str, ...] | None = None
    """The partition keys that the request names; None when it names none."""


def is_allowed(
    policy: Mapping[str, Any], asked: Authorization, context: Mapping[str, str] | None = None
) -> bool:
    """What IAM decides: a statement that denies wins, else one that allows, else no."""
    known = context or {}
    effects = {
        statement["Effect"]
        for statement in policy["Statement"]
        if _applies(statement, asked, known)
    }
    return effects == {"Allow"}


def _applies(
    statement: Mapping[str, Any], asked: Authorization, context: Mapping[str, str]
) -> bool:
    unknown = statement.keys() - {
        "Sid",
        "Effect",
        "Principal",
        "Action",
        "Resource",
        "Condition",
    }
    if unknown:
        raise NotModelled(f"statements with {', '.join(sorted(unknown))}")
    return (
        any(_like(each.lower(), asked.action.lower()) for each in _listed(statement["Action"]))
        and any(
            _like(_filled(each, context), asked.resource) for each in _listed(statement["Resource"])
        )
        and all(
            _holds(operator, key, _listed(wanted), asked, context)
            for operator, block in statement.get("Condition", {}).items()
            for key, wanted in block.items()
        )
    )


def _holds(
    operator: str,
    key: str,
    wanted: Sequence[str],
    asked: Authorization,
    context: Mapping[str, str],
) -> bool:
    if key == LEADING_KEYS:
        values = asked.leading_keys
    else:
        values = (context[key],) if key in context else None
    if operator == "StringNotLike":
        # As IAM has it: what is not there is not like it.
        return values is None or not any(_like(each, values[0]) for each in wanted)
    texts = [_filled(each, context) for each in wanted]
    match operator:
        case "Null":
            return (values is None) == (texts == ["true"])
        case "ForAllValues:StringEquals":
            # As IAM has it: with no values at all, all of them fulfil it.
            return all(value in texts for value in values or ())
        case "ForAllValues:StringLike":
            return all(any(_like(text, value) for text in texts) for value in values or ())
        case "StringEquals" | "Bool":
            return values is not None and values[0] in texts
        case "StringLike":
            return values is not None and any(_like(text, values[0]) for text in texts)
    raise NotModelled(operator)


def _filled(text: str, context: Mapping[str, str]) -> str:
    """Policy variables replaced; one that has no value matches nothing."""

    def value(found: re.Match[str]) -> str:
        return found[0] if found[1] in _LITERALS else context.get(found[1], "\0")

    return _VARIABLE.sub(value, text)


def _like(pattern: str, value: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    parts = re.findall(r"\$\{[*?$]\}|.", pattern, re.DOTALL)
    written = (
        re.escape(part[2]) if len(part) > 1 else wildcards.get(part) or re.escape(part)
        for part in parts
    )
    return re.fullmatch("".join(written), value, re.DOTALL) is not None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


@cache
def every_action() -> frozenset[str]:
    """Every operation that botocore knows of DynamoDB, and what IAM has beside them."""
    model = botocore.session.Session().get_service_model("dynamodb")
    beside = {"ConditionCheckItem", "CreateTableReplica", "PartiQLSelect", "PartiQLInsert"}
    return frozenset(f"dynamodb:{name}" for name in {*model.operation_names, *beside})


# -- requests -----------------------------------------------------------------------------------


def authorizations(operation: str, request: Mapping[str, Any], arn: str) -> Iterator[Authorization]:
    """What IAM is asked about a request on the table with this ARN."""
    match operation:
        case "TransactWriteItems" | "TransactGetItems":
            for member in request["TransactItems"]:
                ((kind, body),) = member.items()
                yield _asked(_MEMBERS[kind], arn, [_partition_of(body)])
        case "BatchGetItem":
            for keys in request["RequestItems"].values():
                yield _asked(operation, arn, [key["PK"]["S"] for key in keys["Keys"]])
        case "BatchWriteItem":
            for writes in request["RequestItems"].values():
                bodies = [body for write in writes for body in write.values()]
                yield _asked(operation, arn, [_partition_of(body) for body in bodies])
        case "Query":
            index = request.get("IndexName")
            resource = arn if index is None else f"{arn}/index/{index}"
            yield _asked(operation, resource, [_partition_of_query(request)])
        case "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem":
            yield _asked(operation, arn, [_partition_of(request)])
        case _:
            raise NotModelled(operation)


def _asked(operation: str, resource: str, partitions: Sequence[str]) -> Authorization:
    return Authorization(f"dynamodb:{operation}", resource, tuple(partitions))


def _partition_of(body: Mapping[str, Any]) -> str:
    key: Mapping[str, Any] = body["Key"] if "Key" in body else body["Item"]
    return str(key["PK"]["S"])


def _partition_of_query(request: Mapping[str, Any]) -> str:
    names = request.get("ExpressionAttributeNames", {})
    for name, value in _EQUALITY.findall(request["KeyConditionExpression"]):
        if names.get(name, name) in _PARTITION_KEYS:
            return str(request["ExpressionAttributeValues"][value]["S"])
    raise AssertionError(f"no partition key in {request['KeyConditionExpression']}")


# -- managing the table -------------------------------------------------------------------------

_RESTORES = {"RestoreTableFromBackup", "RestoreTableToPointInTime"}
_FILLING = ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
"""What a restore takes on the new table: as AWS documents it, DynamoDB does it for the caller."""


def management(operation: str, request: Mapping[str, Any], table: str) -> Iterator[Authorization]:
    """What IAM is asked about a request that manages tables; `table` is the ARN of any of them."""
    prefix = table.rpartition("/")[0]
    if operation in _RESTORES:
        target = f"{prefix}/{request['TargetTableName']}"
        source = request.get("BackupArn") or request.get("SourceTableArn")
        yield Authorization(
            f"dynamodb:{operation}", source or f"{prefix}/{request['SourceTableName']}"
        )
        for action in (operation, *_FILLING):
            yield Authorization(f"dynamodb:{action}", target)
        return
    if operation == "ListBackups":  # IAM knows no resource of it
        yield Authorization("dynamodb:ListBackups", "*")
        return
    named = ("BackupArn", "ExportArn", "TableArn", "ResourceArn")
    arn = next((request[name] for name in named if name in request), None)
    arn = arn or f"{prefix}/{request['TableName']}"
    if "/import/" in arn:  # as the embedded engine calls exports, behind the ARN of the table
        arn = arn[arn.rindex("arn:") :].replace("/import/", "/export/")
    if "IndexName" in request:
        arn = f"{arn}/index/{request['IndexName']}"
    yield Authorization(f"dynamodb:{operation}", arn)
    if operation == "CreateTable" and request.get("Tags"):
        yield Authorization("dynamodb:TagResource", arn)
