"""CloudFormation and Terraform say what the table's definition says, in every variant."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import InvalidArgument
from dynamo_chat.core.layout import GSI1, GSI2, PLACES
from dynamo_chat.provision.cloudformation import TABLE, cloudformation
from dynamo_chat.provision.encryption import replica_key
from dynamo_chat.provision.naming import identifier, logical_name, table_name
from dynamo_chat.provision.scaling import scaling_targets
from dynamo_chat.provision.table import Capacity, TableDefinition
from dynamo_chat.provision.terraform import terraform
from tests.provision.terraform_check import problems, references
from tests.provision.variants import KEY, MULTI_REGION_KEY, VARIANTS

NAME = "chat-prod"
each_variant = pytest.mark.parametrize("definition", VARIANTS.values(), ids=VARIANTS.keys())


def cfn(definition: TableDefinition) -> dict[str, Any]:
    resources: dict[str, Any] = cloudformation(definition, NAME)["Resources"]
    return resources


def tf(definition: TableDefinition) -> dict[str, Any]:
    table: dict[str, Any] = terraform(definition, NAME)["resource"]["aws_dynamodb_table"][
        "chat_prod"
    ]
    return table


# -- what both say ------------------------------------------------------------------------------


@each_variant
def test_the_table_outlives_its_stack(definition: TableDefinition) -> None:
    table = cfn(definition)[TABLE]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert tf(definition)["lifecycle"]["prevent_destroy"] is True


@each_variant
def test_keys_and_indexes_are_those_of_the_request(definition: TableDefinition) -> None:
    """One definition: what the store creates, CloudFormation creates."""
    request, properties = definition.create_request(NAME), cfn(definition)[TABLE]["Properties"]
    for name in ("TableName", "AttributeDefinitions", "KeySchema", "BillingMode"):
        assert properties[name] == request[name]
    names = ("IndexName", "KeySchema", "Projection")
    assert [[index[name] for name in names] for index in properties["GlobalSecondaryIndexes"]] == [
        [index[name] for name in names] for index in request["GlobalSecondaryIndexes"]
    ]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


@each_variant
def test_terraform_has_the_same_keys(definition: TableDefinition) -> None:
    table = tf(definition)
    assert [each["name"] for each in table["attribute"]] == [
        name for place in PLACES for name in (place.pk, place.sk)
    ]
    assert [table["hash_key"], table["range_key"]] == ["PK", "SK"]
    assert [
        (index["name"], index["hash_key"], index["range_key"], index["projection_type"])
        for index in table["global_secondary_index"]
    ] == [(place.index, place.pk, place.sk, "ALL") for place in (GSI1, GSI2)]
    assert table["billing_mode"] == definition.billing_mode
    assert table["ttl"] == {"attribute_name": "ttl", "enabled": True}


@each_variant
def test_protection_is_as_defined(definition: TableDefinition) -> None:
    properties, table = cfn(definition)[TABLE]["Properties"], tf(definition)
    for holder in properties.get("Replicas", [properties]):
        assert holder["DeletionProtectionEnabled"] is definition.deletion_protection
        recovery = holder.get("PointInTimeRecoverySpecification")
        wanted = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 35}
        assert recovery == (wanted if definition.point_in_time_recovery else None)
        tags = {tag["Key"]: tag["Value"] for tag in holder.get("Tags", [])}
        assert tags == definition.tags
    assert table["deletion_protection_enabled"] is definition.deletion_protection
    assert table["point_in_time_recovery"]["enabled"] is definition.point_in_time_recovery
    assert table.get("tags", {}) == definition.tags
    for replica in table.get("replica", []):
        assert replica["deletion_protection_enabled"] is definition.deletion_protection
        assert replica["point_in_time_recovery"] is definition.point_in_time_recovery


@each_variant
def test_templates_are_json(definition: TableDefinition) -> None:
    for made in (cloudformation(definition, NAME), terraform(definition, NAME)):
        assert json.loads(json.dumps(made)) == made


# -- encryption ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "wanted"),
    [
        (TableDefinition(), {"SSEEnabled": True, "SSEType": "KMS"}),
        (TableDefinition(encryption_managed=False), None),
        (
            TableDefinition(kms_key=KEY),
            {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
        ),
    ],
)
def test_the_key_is_aws_s_own_managed_or_the_customer_s(
    definition: TableDefinition, wanted: object
) -> None:
    assert cfn(definition)[TABLE]["Properties"].get("SSESpecification") == wanted
    encrypted = tf(definition)["server_side_encryption"]
    assert encrypted["enabled"] is (wanted is not None)
    assert encrypted.get("kms_key_arn") == definition.kms_key


def test_a_replica_has_a_key_of_its_region() -> None:
    definition = VARIANTS["global-provisioned"]
    here, there = (
        replica["SSESpecification"]["KMSMasterKeyId"]
        for replica in cfn(definition)[TABLE]["Properties"]["Replicas"]
    )
    assert here == MULTI_REGION_KEY
    assert there == MULTI_REGION_KEY.replace("eu-west-1", "eu-central-1")
    (apart,) = terraform(definition, NAME)["resource"]["aws_dynamodb_table_replica"].values()
    assert apart["kms_key_arn"] == there
    (within,) = tf(replace(definition, provisioned=None))["replica"]
    assert within["kms_key_arn"] == there


def test_a_key_of_one_region_is_refused_for_replicas() -> None:
    with pytest.raises(InvalidArgument, match="multi-Region"):
        TableDefinition(kms_key=KEY, replicas=("us-east-1",))
    with pytest.raises(InvalidArgument):
        replica_key("alias/chat", "us-east-1")


def test_terraform_takes_a_key_by_its_arn() -> None:
    with pytest.raises(InvalidArgument, match="ARN"):
        terraform(TableDefinition(kms_key="alias/chat"), NAME)


# -- capacity, streams, insights, replicas ------------------------------------------------------


def test_provisioned_capacity_is_scaled_everywhere() -> None:
    resources = cfn(VARIANTS["provisioned"])
    targets = {
        resource["Properties"]["ResourceId"]["Fn::Sub"]
        + " "
        + resource["Properties"]["ScalableDimension"]: resource["Properties"]
        for resource in resources.values()
        if resource["Type"].endswith("ScalableTarget")
    }
    assert {key: (each["MinCapacity"], each["MaxCapacity"]) for key, each in targets.items()} == {
        "table/${ChatTable} dynamodb:table:ReadCapacityUnits": (2, 20),
        "table/${ChatTable} dynamodb:table:WriteCapacityUnits": (3, 30),
        "table/${ChatTable}/index/GSI1 dynamodb:index:ReadCapacityUnits": (2, 20),
        "table/${ChatTable}/index/GSI1 dynamodb:index:WriteCapacityUnits": (3, 30),
        "table/${ChatTable}/index/GSI2 dynamodb:index:ReadCapacityUnits": (2, 20),
        "table/${ChatTable}/index/GSI2 dynamodb:index:WriteCapacityUnits": (3, 30),
    }
    policies = [each for each in resources.values() if each["Type"].endswith("ScalingPolicy")]
    assert len(policies) == 6
    for policy in policies:
        assert policy["Properties"]["ScalingTargetId"]["Ref"] in resources
        tracked = policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        assert tracked["TargetValue"] == 60


def test_terraform_does_not_undo_what_scaling_did() -> None:
    definition = VARIANTS["provisioned"]
    assert tf(definition)["lifecycle"]["ignore_changes"] == [
        "read_capacity",
        "write_capacity",
        "global_secondary_index",
    ]
    assert "ignore_changes" not in tf(TableDefinition())["lifecycle"]
    resources = terraform(definition, NAME)["resource"]
    assert len(resources["aws_appautoscaling_target"]) == 6
    assert len(resources["aws_appautoscaling_policy"]) == 6


def test_streams_and_insights_are_there_when_asked() -> None:
    plain, observed = TableDefinition(), VARIANTS["observed"]
    assert "StreamSpecification" not in cfn(plain)[TABLE]["Properties"]
    properties = cfn(observed)[TABLE]["Properties"]
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    for holder in (properties, *properties["GlobalSecondaryIndexes"]):
        assert holder["ContributorInsightsSpecification"] == {"Enabled": True}
    assert "stream_enabled" not in tf(plain)
    assert tf(observed)["stream_enabled"] is True
    insights = terraform(observed, NAME)["resource"]["aws_dynamodb_contributor_insights"]
    assert [each.get("index_name") for each in insights.values()] == [None, "GSI1", "GSI2"]
    assert "StreamArn" in cloudformation(observed, NAME)["Outputs"]
    assert "stream_arn" in terraform(observed, NAME)["output"]


def test_replicas_make_a_global_table_with_a_stream() -> None:
    table = cfn(VARIANTS["global"])[TABLE]
    assert table["Type"] == "AWS::DynamoDB::GlobalTable"
    regions = [replica["Region"] for replica in table["Properties"]["Replicas"]]
    assert regions == [{"Ref": "AWS::Region"}, "eu-central-1", "us-east-1"]
    assert table["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert [each["region_name"] for each in tf(VARIANTS["global"])["replica"]] == [
        "eu-central-1",
        "us-east-1",
    ]
    assert tf(VARIANTS["global"])["stream_enabled"] is True


SCALED_GLOBAL = ("global-provisioned", "global-fixed")


@pytest.mark.parametrize("variant", SCALED_GLOBAL)
def test_terraform_adds_replicas_once_all_writes_are_scaled(variant: str) -> None:
    """DynamoDB refuses them before, and takes one at a time."""
    definition = VARIANTS[variant]
    table, resources = tf(definition), terraform(definition, NAME)["resource"]
    assert "replica" not in table
    assert "replica" in table["lifecycle"]["ignore_changes"]
    replicas = resources["aws_dynamodb_table_replica"]
    assert [each["region"] for each in replicas.values()] == list(definition.replicas)
    writes = {
        f"aws_appautoscaling_policy.{label}"
        for label, policy in resources["aws_appautoscaling_policy"].items()
        if "Write" in json.dumps(policy["target_tracking_scaling_policy_configuration"])
    }
    assert len(writes) == 3
    before = writes
    for label, replica in replicas.items():
        assert set(replica["depends_on"]) == before
        before = {f"aws_dynamodb_table_replica.{label}"}
        assert replica["global_table_arn"] == "${aws_dynamodb_table.chat_prod.arn}"
        assert replica["deletion_protection_enabled"] is True
        assert replica["point_in_time_recovery"] is True
        assert replica["kms_key_arn"] == replica_key(MULTI_REGION_KEY, replica["region"])
        assert replica.get("tags", {}) == definition.tags
        assert replica["lifecycle"] == {"prevent_destroy": True}


def test_without_provisioned_capacity_replicas_stay_a_part_of_the_table() -> None:
    """Whoever has deployed them so finds no change."""
    resources = terraform(VARIANTS["global"], NAME)["resource"]
    assert "aws_dynamodb_table_replica" not in resources
    assert "ignore_changes" not in tf(VARIANTS["global"])["lifecycle"]


def test_fixed_writes_are_scaled_for_replicas_alone() -> None:
    fixed = VARIANTS["global-fixed"]
    assert fixed.provisioned is not None
    assert {each.dimension.split(":")[2] for each in scaling_targets(fixed)} == {
        "WriteCapacityUnits"
    }
    assert {(each.least, each.most) for each in scaling_targets(fixed)} == {(7, 7)}
    assert not list(scaling_targets(replace(fixed, replicas=())))


def test_impossible_capacities_are_refused() -> None:
    for wrong in ({"read": (0, 5)}, {"write": (6, 5)}, {"utilization": 95}):
        with pytest.raises(InvalidArgument):
            Capacity(**wrong)


# -- the provider -------------------------------------------------------------------------------


@each_variant
def test_terraform_s_provider_knows_every_argument(definition: TableDefinition) -> None:
    made = terraform(definition, NAME)
    assert problems(made) == []
    there = {f"{kind}.{name}" for kind, each in made["resource"].items() for name in each}
    assert set(references(made)) <= there


def test_the_provider_check_finds_what_is_wrong() -> None:
    made = terraform(TableDefinition(), NAME)
    table = made["resource"]["aws_dynamodb_table"]["chat_prod"]
    table["recovery"] = True
    table["stream_enabled"] = "yes"
    del table["name"], table["attribute"][0]["type"]
    made["resource"]["aws_dynamo"] = {"chat": {}}
    assert problems(made) == [
        "aws_dynamodb_table.chat_prod.name is missing",
        "aws_dynamodb_table.chat_prod.attribute.type is missing",
        "aws_dynamodb_table.chat_prod.recovery is no argument",
        "aws_dynamodb_table.chat_prod.stream_enabled must be a bool: 'yes'",
        "aws_dynamo is no resource",
    ]


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stage", "placement", "full"),
    [
        ("chat", None, "suffix", "chat"),
        ("chat", "dev", "suffix", "chat-dev"),
        ("chat", "dev", "prefix", "dev-chat"),
        ("acsd2p-{stage}-chat", "prod", "suffix", "acsd2p-prod-chat"),
    ],
)
def test_a_name_has_its_stage_where_it_belongs(
    name: str, stage: str | None, placement: Any, full: str
) -> None:
    assert table_name(name, stage, placement) == full


@pytest.mark.parametrize(("name", "stage"), [("chat-{stage}", None), ("a", None), ("chat", "de v")])
def test_what_is_no_name_is_refused(name: str, stage: str | None) -> None:
    with pytest.raises(InvalidArgument, match="table name"):
        table_name(name, stage)


@given(st.from_regex(r"[a-zA-Z0-9_.-]{3,40}", fullmatch=True))
def test_every_table_has_an_identifier(name: str) -> None:
    made = identifier(name)
    assert made.isascii()
    assert made.isidentifier()
    assert logical_name(name).isalnum() or not logical_name(name)
