"""Who deploys the table and who backs it up may do what that takes, and nothing else."""

from collections.abc import Iterable
from typing import Any

import pytest

from dynamo_chat import InvalidArgument
from dynamo_chat.catalogue import catalogue
from dynamo_chat.operations.operator_policies import Backing, backup_policy, deploy_policy
from dynamo_chat.operations.policies import (
    MANAGEMENT,
    data_entries,
    service_policy,
    table_arn,
)
from dynamo_chat.provision.definition import TableDefinition
from tests.operations.evaluator import Authorization, every_action, is_allowed, management
from tests.operations.recording import Request

pytestmark = pytest.mark.once  # they run all that manages the table

ACCOUNT = ("eu-west-1", "123456789012")  # the embedded engine's
ARN = table_arn("chat-prod", *ACCOUNT)
RESTORED = table_arn("chat-restored-*", *ACCOUNT)
ANY = table_arn("dynamo-chat-*", *ACCOUNT)  # what scenarios call theirs
OTHER = table_arn("something-else", *ACCOUNT)
KEY = "arn:aws:kms:eu-west-1:123456789012:key/mrk-12345678123412341234123456789012"
MANAGES = {"create", "wait", "describe", "check"}
DATA = {"BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"}
EVERYTHING = TableDefinition(
    kms_key=KEY, tags={"a": "b"}, contributor_insights=True, replicas=("us-east-1",)
)


def asked_of(requests: Iterable[Request]) -> list[Authorization]:
    return [
        asked
        for request in requests
        for asked in management(request.operation, request.parameters, ANY)
    ]


def allowed(policy: dict[str, Any], *resources: str, **context: str) -> set[tuple[str, str]]:
    """All that a policy allows of everything that DynamoDB has, on these resources.

    Listing backups is on no resource, so it is asked for ``*`` alone.
    """
    return {
        (action.removeprefix("dynamodb:"), resource)
        for action in every_action()
        for resource in resources
        if (action != "dynamodb:ListBackups" or resource == "*")
        and is_allowed(policy, Authorization(action, resource, ("X#",)), context)
    }


def around(arn: str) -> tuple[str, ...]:
    parts = ("", "/index/GSI1", "/index/GSI2", "/stream/x", "/backup/x", "/export/x")
    return tuple(f"{arn}{part}" for part in parts)


# -- the catalogue ------------------------------------------------------------------------------


def test_what_manages_the_table_keeps_its_word(managed: dict[str, list[Request]]) -> None:
    """On whichever table: operations that are declared, no more of them than the budget."""
    entries = [entry for entry in catalogue() if entry.domain == MANAGEMENT]
    assert {entry.method for entry in entries} == managed.keys()
    for entry in entries:
        sent = managed[entry.method]
        assert sent, entry.method
        assert {request.operation for request in sent} <= entry.operations, entry.method
        cases = 2 if entry.method in {"table.create", "table.backups.restore"} else 1
        assert len(sent) <= cases * entry.budget, entry.method


# -- deploying ----------------------------------------------------------------------------------


def test_who_deploys_may_create_and_check(managed: dict[str, list[Request]]) -> None:
    policy = deploy_policy(TableDefinition(), ANY)
    for method in MANAGES:
        assert managed[f"table.{method}"]
        for asked in asked_of(managed[f"table.{method}"]):
            assert is_allowed(policy, asked), (method, asked)


def test_who_deploys_may_do_nothing_else() -> None:
    """Not delete it, not touch an item, not look at another table."""
    policy = deploy_policy(TableDefinition(), ARN)
    assert allowed(policy, "*", OTHER, *around(ARN)) == {
        (action, ARN)
        for action in (
            "CreateTable",
            "DescribeContinuousBackups",
            "DescribeTable",
            "DescribeTimeToLive",
            "UpdateContinuousBackups",
            "UpdateTimeToLive",
        )
    }


def test_what_a_definition_asks_for_is_allowed_with_it() -> None:
    policy = deploy_policy(EVERYTHING, ARN)
    plain = allowed(deploy_policy(TableDefinition(), ARN), *around(ARN))
    added = allowed(policy, *around(ARN)) - plain
    insights = {"DescribeContributorInsights", "UpdateContributorInsights"}
    assert added == {
        *((action, ARN) for action in ("UpdateTable", "ListTagsOfResource", "TagResource")),
        *((action, place) for action in insights for place in around(ARN)[:3]),
    }
    there = ARN.replace("eu-west-1", "us-east-1")
    assert {action for action, _ in allowed(policy, there)} == {
        "CreateTable",
        "CreateTableReplica",
        *DATA,
    }
    for region in ("eu-west-1", "us-east-1"):
        grant = Authorization("kms:CreateGrant", KEY.replace("eu-west-1", region))
        via = {"kms:ViaService": f"dynamodb.{region}.amazonaws.com"}
        assert is_allowed(policy, grant, via)
        assert not is_allowed(policy, grant, {"kms:ViaService": "s3.amazonaws.com"})
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(sids)) == len(sids)


@pytest.mark.parametrize("kind", ["contributorinsights", "replication"])
def test_a_service_s_role_is_made_for_that_service_alone(kind: str) -> None:
    service = f"{kind}.dynamodb.amazonaws.com"
    role = f"arn:aws:iam::123456789012:role/aws-service-role/{service}/AWSServiceRoleForX"
    asked = Authorization("iam:CreateServiceLinkedRole", role)
    policy = deploy_policy(EVERYTHING, ARN)
    assert is_allowed(policy, asked, {"iam:AWSServiceName": service})
    assert not is_allowed(policy, asked, {"iam:AWSServiceName": "ec2.amazonaws.com"})
    context = {"iam:AWSServiceName": service}
    assert not is_allowed(deploy_policy(TableDefinition(), ARN), asked, context)


# -- backing up ---------------------------------------------------------------------------------


def test_who_backs_up_may_do_all_of_it_where_it_is_named(
    managed: dict[str, list[Request]],
) -> None:
    """Every method of backups: also those that restore and export."""
    # Scenarios call every table the same way, so here source and target are told apart by hand.
    policy = backup_policy(table_arn("*", *ACCOUNT), Backing((ANY,), "bucket"))
    methods = {method for method in managed if method.startswith("table.backups.")}
    assert len(methods) == 9
    for method in methods:
        assert managed[method]
        for asked in asked_of(managed[method]):
            assert is_allowed(policy, asked), (method, asked)


def test_who_backs_up_may_do_nothing_else() -> None:
    policy = backup_policy(ARN)
    assert allowed(policy, "*", OTHER, *around(ARN)) == {
        ("CreateBackup", ARN),
        ("DescribeContinuousBackups", ARN),
        ("DescribeBackup", f"{ARN}/backup/x"),
        ("ListBackups", "*"),
    }
    exporting = allowed(backup_policy(ARN, Backing(bucket="b")), *around(ARN))
    assert exporting - allowed(policy, *around(ARN)) == {
        ("DescribeTable", ARN),
        ("ExportTableToPointInTime", ARN),
        ("DescribeExport", f"{ARN}/export/x"),
    }


def test_who_restores_may_fill_the_new_table_and_not_touch_the_old_one() -> None:
    policy = backup_policy(ARN, Backing((RESTORED,)))
    # Of the old one, it is no more than what backing up takes, and being restored from.
    old = allowed(policy, *around(ARN)) - allowed(backup_policy(ARN), *around(ARN))
    assert old == {
        ("DescribeTable", ARN),
        ("RestoreTableToPointInTime", ARN),
        ("RestoreTableFromBackup", f"{ARN}/backup/x"),
    }
    new = {action for action, _ in allowed(policy, RESTORED.replace("*", "1"))}
    assert new >= {*DATA, "RestoreTableFromBackup", "UpdateTimeToLive"}
    assert not new & {"DeleteTable", "CreateTable", "CreateBackup"}
    assert not allowed(policy, *around(OTHER))
    with pytest.raises(InvalidArgument, match="restore_to"):
        backup_policy(ARN, Backing((table_arn("chat-*", *ACCOUNT),)))


def test_a_restore_never_takes_in_the_table_of_some_region_or_account() -> None:
    """Without --region and --account the table may be anywhere: where it is restored to, too."""
    anywhere = table_arn("chat-prod", "*", "*")
    for target in (
        table_arn("chat-prod", "us-east-1", "*"),
        table_arn("chat-*", "us-east-1", "123456789012"),
        table_arn("*", "*", "123456789012"),
    ):
        with pytest.raises(InvalidArgument, match="restore_to"):
            backup_policy(anywhere, Backing((target,)))
    assert backup_policy(anywhere, Backing((table_arn("restored-*", "us-east-1", "*"),)))


def test_exports_go_to_one_bucket() -> None:
    policy = backup_policy(ARN, Backing(bucket="exports", kms_key=KEY))
    assert is_allowed(policy, Authorization("s3:PutObject", "arn:aws:s3:::exports/chat/1"))
    assert not is_allowed(policy, Authorization("s3:PutObject", "arn:aws:s3:::exports-2/chat/1"))
    assert not is_allowed(policy, Authorization("s3:GetObject", "arn:aws:s3:::exports/chat/1"))
    for wrong in ("", "*", "a/b"):
        with pytest.raises(InvalidArgument, match="bucket"):
            backup_policy(ARN, Backing(bucket=wrong))


def test_a_service_may_do_none_of_it() -> None:
    service = allowed(service_policy(data_entries(), ARN), "*", *around(ARN))
    whole = Backing((RESTORED,), "b")
    for policy in (deploy_policy(EVERYTHING, ARN), backup_policy(ARN, whole)):
        assert not service & allowed(policy, "*", *around(ARN))
