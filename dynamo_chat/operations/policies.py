"""Least-privilege IAM policies, derived from the catalogue (T3).

A policy allows the actions of the chosen methods, each on the table or index that they use. Nothing
scans, so no policy allows it. Methods that manage the table (T1, T5) are for the roles of
`operator_policies`; a service needs none of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.settings import check_region
from dynamo_chat.provision.arguments import check_account

VERSION: Final = "2012-10-17"
MANAGEMENT: Final = "provision"
"""The domain of methods that manage the table."""

_TABLE: Final = "table"
_WRITES_OF_A_TRANSACTION: Final = ("ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem")
# IAM has no TransactWriteItems or TransactGetItems: each of their operations is authorized.
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "GetItem": ("GetItem",),
    "BatchGetItem": ("BatchGetItem",),
    "TransactGetItems": ("GetItem",),
    "Query": ("Query",),
    "PutItem": ("PutItem",),
    "UpdateItem": ("UpdateItem",),
    "DeleteItem": ("DeleteItem",),
    "BatchWriteItem": ("BatchWriteItem",),
    "TransactWriteItems": _WRITES_OF_A_TRANSACTION,
}
READS: Final = frozenset({"GetItem", "BatchGetItem", "TransactGetItems", "Query"})
_PARTITIONS: Final = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)
_ROLE: Final = re.compile(
    r"arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(root|(role|user|assumed-role)/\S+)"
)
_ON_INDEXES: Final = frozenset({"Query"})

Policy = dict[str, Any]
Grants = Mapping[str, Sequence[str]]
"""Actions by place: ``table``, ``GSI1``, ``GSI2``."""


@dataclass(frozen=True, slots=True)
class Principals:
    """The principals of a resource policy: ARNs of roles, users or accounts, never ``*``."""

    service: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, arns in (("service", self.service), ("read_only", self.read_only)):
            if not isinstance(arns, (tuple, list)) or not all(map(_is_principal, arns)):
                raise InvalidArgument(
                    name, "must be ARNs such as arn:aws:iam::123456789012:role/chat, without *"
                )


def data_entries(
    domains: Iterable[str] = (), repositories: Iterable[str] = (), entries: Sequence[Entry] = ()
) -> list[Entry]:
    """The catalogue's methods on items: all, or those of these domains and repositories.

    InvalidArgument for a domain or repository that doesn't exist, or that manages the table.
    """
    known = [entry for entry in entries or catalogue() if entry.domain != MANAGEMENT]
    asked = {"domain": set(domains), "repository": set(repositories)}
    there = {
        "domain": {entry.domain for entry in known},
        "repository": {repository_of(entry) for entry in known},
    }
    for what, names in asked.items():
        if names - there[what]:
            raise InvalidArgument(
                f"{what} {', '.join(sorted(names - there[what]))}",
                f"must be one of {', '.join(sorted(there[what]))}",
            )
    if not any(asked.values()):
        return known
    return [
        entry
        for entry in known
        if entry.domain in asked["domain"] or repository_of(entry) in asked["repository"]
    ]


def repository_of(entry: Entry) -> str:
    """The name of the repository on the store: ``conversations``."""
    return entry.method.partition(".")[0]


def is_read(entry: Entry) -> bool:
    """True if the method only reads."""
    return entry.operations <= READS


def grants(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """The actions of these methods, sorted, by table and index."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for operation in entry.operations:
            for place in entry.places:
                if operation in _ON_INDEXES or place == _TABLE:
                    found[place].update(ACTIONS[operation])
            if operation not in _ON_INDEXES and _TABLE not in entry.places:
                found[_TABLE].update(ACTIONS[operation])
    return {place: sorted(found[place]) for place in (_TABLE, "GSI1", "GSI2") if found[place]}


def table_arn(table_name: str, region: str, account: str) -> str:
    """The ARN of a table; ``*`` stands for any region or account.

    InvalidArgument for an impossible region or account. China's regions, and some others, are
    partitions with other ARNs; ``*`` means those of ``aws``.
    """
    if region != "*":
        check_region(region or "")
    if account != "*":
        check_account("account", account)
    partition = next((name for start, name in _PARTITIONS if region.startswith(start)), "aws")
    return f"arn:{partition}:dynamodb:{region}:{account}:table/{table_name}"


def service_policy(entries: Iterable[Entry], arn: str, *, kms_key: str | None = None) -> Policy:
    """Permissions for a service that calls these methods on the table with this ARN.

    `kms_key` is the ARN of the customer managed key that encrypts the table.
    """
    statements = list(_statements(grants(entries), arn))
    if kms_key is not None:
        statements.append(key_statement(kms_key, arn))
    return _policy(statements)


def read_only_policy(entries: Iterable[Entry], arn: str, *, kms_key: str | None = None) -> Policy:
    """Permissions for those of these methods that only read."""
    return service_policy(filter(is_read, entries), arn, kms_key=kms_key)


def resource_policy(entries: Sequence[Entry], arn: str, principals: Principals) -> Policy:
    """A policy to attach to the table itself.

    The principals may call these methods, or only those that read; no access without TLS.
    """
    statements: list[dict[str, Any]] = []
    for name, arns, allowed in (
        ("Service", principals.service, entries),
        ("ReadOnly", principals.read_only, [entry for entry in entries if is_read(entry)]),
    ):
        if arns:
            for statement in _statements(grants(allowed), arn):
                sid = f"{name}{statement.pop('Sid')}"
                statements.append({"Sid": sid, "Principal": {"AWS": list(arns)}, **statement})
    statements.append(
        {
            "Sid": "OnlyWithTls",
            "Principal": "*",
            "Effect": "Deny",
            "Action": "dynamodb:*",
            "Resource": [arn, f"{arn}/index/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    return _policy(statements)


def _is_principal(arn: Any) -> bool:
    return isinstance(arn, str) and "*" not in arn and _ROLE.fullmatch(arn) is not None


def place_arn(arn: str, place: str) -> str:
    """The ARN of the table or of one of its indexes."""
    return arn if place == _TABLE else f"{arn}/index/{place}"


def _statements(granted: Grants, arn: str) -> Iterator[dict[str, Any]]:
    """One statement for each set of actions, with all tables and indexes that allow it."""
    by_actions: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for place, actions in granted.items():
        by_actions[tuple(actions)].append(place)
    for actions, places in by_actions.items():
        yield {
            "Sid": "Table" if _TABLE in places else "".join(places).capitalize(),
            "Effect": "Allow",
            "Action": [f"dynamodb:{action}" for action in actions],
            "Resource": [place_arn(arn, place) for place in places],
        }


def key_statement(kms_key: str, arn: str) -> dict[str, Any]:
    """The statement that lets DynamoDB use the key for the caller, and for nothing else.

    These are the actions that DynamoDB documents, except CreateGrant, which creating a table needs.
    """
    region = arn.split(":")[3]
    return {
        "Sid": "Key",
        "Effect": "Allow",
        "Action": [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey*",
            "kms:ReEncrypt*",
        ],
        "Resource": [kms_key],
        "Condition": {"StringLike": {"kms:ViaService": f"dynamodb.{region}.amazonaws.com"}},
    }


def _policy(statements: Sequence[Mapping[str, Any]]) -> Policy:
    return {"Version": VERSION, "Statement": [dict(each) for each in statements]}
