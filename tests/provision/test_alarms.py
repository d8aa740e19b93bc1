"""Alarms, events, budget and dashboard: the same in both tools, and what they watch exists."""

import json
import re
import uuid
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from dynamo_chat import InvalidArgument
from dynamo_chat.catalogue import catalogue
from dynamo_chat.provision.alarms import (
    OPERATIONS,
    OWN_KEY,
    OWN_NAMESPACE,
    PUBLISHER,
    Thresholds,
    Watch,
    alarms,
    dashboard,
)
from dynamo_chat.provision.alarms_cloudformation import alarms_cloudformation
from dynamo_chat.provision.alarms_terraform import alarms_terraform
from dynamo_chat.testing import EmbeddedEngine
from tests.operations.evaluator import Authorization, every_action, is_allowed
from tests.provision.terraform_check import problems, references

WATCH = Watch("chat-prod", email="ops@example.com", budget_tag=("team", "chat"))
ACCOUNT = "123456789012"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ops"
WATCHES = {
    "plain": Watch("chat-prod"),
    "e-mail": WATCH,
    "topic": Watch("chat.prod", topic_arn=TOPIC),
    "key": Watch("chat-prod", topic_key="arn:aws:kms:eu-west-1:123456789012:key/1"),
    "own key": Watch("chat-prod", topic_key=OWN_KEY),
}
each_watch = pytest.mark.parametrize("watch", WATCHES.values(), ids=WATCHES.keys())


def cfn(watch: Watch, kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in alarms_cloudformation(watch)["Resources"].items()
        if resource["Type"] == kind
    }


def tf(watch: Watch, kind: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = alarms_terraform(watch)["resource"][kind]
    return found


# -- alarms -------------------------------------------------------------------------------------


def test_every_threshold_is_some_alarm_s_or_the_budget_s() -> None:
    """A threshold that is changed changes what is written."""
    for field in fields(Thresholds):
        changed = Watch("chat-prod", Thresholds(**{field.name: 77}))
        for write in (alarms_cloudformation, alarms_terraform):
            assert json.dumps(write(changed)) != json.dumps(write(Watch("chat-prod"))), field.name
    with pytest.raises(InvalidArgument, match="items"):
        Thresholds(items=0)


def test_both_tools_have_the_same_alarms() -> None:
    made = {each["AlarmName"]: each for each in cfn(WATCH, "AWS::CloudWatch::Alarm").values()}
    also = {each["alarm_name"]: each for each in tf(WATCH, "aws_cloudwatch_metric_alarm").values()}
    assert made.keys() == also.keys() == {f"chat-prod-{alarm.name}" for alarm in alarms(WATCH)}
    for name, alarm in made.items():
        assert alarm["Threshold"] == also[name]["threshold"]
        assert alarm["ComparisonOperator"] == also[name]["comparison_operator"]
        assert len(alarm.get("Metrics", [])) == len(also[name].get("metric_query", []))
        assert alarm["AlarmActions"] == [{"Ref": "Topic"}]
        assert also[name]["alarm_actions"] == ["${aws_sns_topic.alarms.arn}"]


def test_what_is_put_together_is_all_there() -> None:
    """The expression names every metric of its alarm, and is what the alarm looks at."""
    for alarm in cfn(WATCH, "AWS::CloudWatch::Alarm").values():
        metrics = alarm.get("Metrics", [])
        assert len(metrics) <= 10  # CloudWatch allows no more
        for metric in metrics[:-1]:
            assert f"FILL({metric['Id']}, 0)" in metrics[-1]["Expression"]
        assert [metric["ReturnData"] for metric in metrics] == [False] * (len(metrics) - 1) + (
            [True] if metrics else []
        )


def test_every_operation_of_the_store_is_watched() -> None:
    sent = {
        operation
        for entry in catalogue()
        if entry.domain != "provision"
        for operation in entry.operations
    }
    assert sent <= set(OPERATIONS)


def test_periods_are_such_that_cloudwatch_takes_them() -> None:
    for alarm in alarms(WATCH):
        assert alarm.period % 60 == 0
        assert alarm.period * alarm.periods <= 24 * 3_600


# -- the publisher ------------------------------------------------------------------------------


def test_the_publisher_publishes_what_the_alarms_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself, run on the engine: it asks DynamoDB, and CloudWatch has it then."""
    (function,) = cfn(WATCH, "AWS::Lambda::Function").values()
    assert function["Code"]["ZipFile"] == PUBLISHER
    assert len(PUBLISHER) <= 4_096  # CloudFormation takes no longer one inline
    name = f"chat-{uuid.uuid4().hex}"
    variables = {**function["Environment"]["Variables"], "DYNAMODB_TABLE_NAME": name}
    assert variables.keys() == function["Environment"]["Variables"].keys()
    with EmbeddedEngine() as engine:
        engine.store(name).conversations.create("user-1", title="Films")
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        program: dict[str, Any] = {}
        exec(compile(PUBLISHER, "index.py", "exec"), program)  # noqa: S102 - the program is ours
        program["handler"]({}, None)
        described = engine.client().describe_table(TableName=name)["Table"]
        client = botocore.session.Session().create_client("cloudwatch", region_name=engine.region)
        dimensions = [{"Name": "TableName", "Value": name}]
        published = client.list_metrics(Namespace=OWN_NAMESPACE, Dimensions=dimensions)["Metrics"]
        now = datetime.now(UTC)
        values = {
            metric["MetricName"]: client.get_metric_statistics(
                **metric,
                StartTime=now - timedelta(hours=1),
                EndTime=now + timedelta(hours=1),
                Period=7_200,
                Statistics=["Maximum"],
            )["Datapoints"][0]["Maximum"]
            for metric in published
        }
    assert described["ItemCount"] == 2  # the conversation and its title
    places = [described, *described["GlobalSecondaryIndexes"]]
    size = sum(each.get("TableSizeBytes", each.get("IndexSizeBytes", 0)) for each in places)
    assert values == {"ItemCount": 2, "SizeBytes": size}
    watched = {
        (metric.namespace, metric.name, metric.dimensions)
        for alarm in alarms(Watch(name))
        for metric in alarm.metrics
        if metric.namespace == OWN_NAMESPACE
    }
    assert watched == {(OWN_NAMESPACE, each, (("TableName", name),)) for each in values}


def test_the_publisher_s_role_is_enough_and_no_more() -> None:
    (role,) = cfn(WATCH, "AWS::IAM::Role").values()
    policy = filled_in(role["Policies"][0]["PolicyDocument"])
    table = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/chat-prod"
    publishing = Authorization("cloudwatch:PutMetricData", "*")
    assert is_allowed(policy, Authorization("dynamodb:DescribeTable", table))
    assert is_allowed(policy, publishing, {"cloudwatch:namespace": OWN_NAMESPACE})
    assert not is_allowed(policy, publishing, {"cloudwatch:namespace": "AWS/Billing"})
    for resource in (table, f"{table}/index/GSI1", table.replace("prod", "dev")):
        allowed = {
            action
            for action in every_action()
            if is_allowed(policy, Authorization(action, resource))
        }
        assert allowed == ({"dynamodb:DescribeTable"} if resource == table else set())


def test_the_publisher_may_do_what_it_does() -> None:
    (role,) = cfn(WATCH, "AWS::IAM::Role").values()
    (policy,) = role["Policies"]
    describe, publish, logs = policy["PolicyDocument"]["Statement"]
    assert describe["Resource"] == {
        "Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/chat-prod"
    }
    assert publish["Condition"] == {"StringEquals": {"cloudwatch:namespace": OWN_NAMESPACE}}
    (group,) = cfn(WATCH, "AWS::Logs::LogGroup").values()
    assert f":log-group:{group['LogGroupName']}:*" in logs["Resource"]["Fn::Sub"]
    (also,) = tf(WATCH, "aws_iam_role_policy").values()
    assert "data.aws_region.current.region" in also["policy"]


# -- events, budget, dashboard ------------------------------------------------------------------


@each_watch
def test_failed_backups_are_told(watch: Watch) -> None:
    topic = watch.topic_arn or {"Ref": "Topic"}
    rules = cfn(watch, "AWS::Events::Rule")
    jobs = rules["BackupFailedRule"]
    assert jobs["EventPattern"]["detail"]["state"] == ["FAILED", "ABORTED", "EXPIRED"]
    (arn,) = jobs["EventPattern"]["detail"]["resourceArn"]
    assert arn["Fn::Sub"].endswith(f":table/{watch.table_name}")
    assert jobs["Targets"] == [{"Id": "Topic", "Arn": topic}]
    also = tf(watch, "aws_cloudwatch_event_rule")
    pattern = json.loads(also["backuprefused"]["event_pattern"])
    assert pattern == rules["BackupRefusedRule"]["EventPattern"]


def test_the_budget_counts_what_has_the_tag() -> None:
    (budget,) = cfn(WATCH, "AWS::Budgets::Budget").values()
    assert budget["Budget"]["CostFilters"] == {
        "Service": ["Amazon DynamoDB"],
        "TagKeyValue": ["user:team$chat"],
    }
    (also,) = tf(WATCH, "aws_budgets_budget").values()
    assert {each["name"]: each["values"] for each in also["cost_filter"]} == budget["Budget"][
        "CostFilters"
    ]
    (all_of_it,) = cfn(Watch("chat"), "AWS::Budgets::Budget").values()
    assert all_of_it["Budget"]["CostFilters"] == {"Service": ["Amazon DynamoDB"]}


@each_watch
def test_the_dashboard_shows_each_alarm(watch: Watch) -> None:
    body = json.loads(dashboard(watch))
    titles = {widget["properties"]["title"] for widget in body["widgets"]}
    assert titles == {alarm.name for alarm in alarms(watch)} - {"SizeUnknown"}
    places = {(widget["x"], widget["y"]) for widget in body["widgets"]}
    assert len(places) == len(titles)
    (shown,) = cfn(watch, "AWS::CloudWatch::Dashboard").values()
    assert "${AWS::Region}" in shown["DashboardBody"]["Fn::Sub"]


def test_a_topic_that_is_there_is_used() -> None:
    watch = WATCHES["topic"]
    assert not cfn(watch, "AWS::SNS::Topic")
    assert "aws_sns_topic" not in alarms_terraform(watch)["resource"]
    assert TOPIC in json.dumps(alarms_cloudformation(watch)["Outputs"])


def filled_in(value: Any) -> Any:
    """A policy as CloudFormation fills it in."""
    text = (
        json.dumps(value).replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Partition}", "aws")
    )
    text = text.replace("${AWS::Region}", "eu-west-1").replace('{"Ref": "Topic"}', f'"{TOPIC}"')
    return json.loads(re.sub(r'\{"Fn::Sub": ("[^"]*")\}', r"\1", text))


@pytest.mark.parametrize("service", ["budgets", "cloudwatch", "events"])
def test_only_this_account_may_tell_the_topic(service: str) -> None:
    """EventBridge tells no account, and publishes to topics of its own only."""
    (made,) = cfn(WATCHES["own key"], "AWS::SNS::TopicPolicy").values()
    (key,) = cfn(WATCHES["own key"], "AWS::KMS::Key").values()
    for policy, actions in (
        (made["PolicyDocument"], ("sns:Publish",)),
        (key["KeyPolicy"], ("kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair")),
    ):
        statements = [
            each
            for each in filled_in(policy)["Statement"]
            if each["Principal"] == {"Service": f"{service}.amazonaws.com"}
        ]
        for action in actions:
            for account in (ACCOUNT, "999999999999"):
                expected = account == ACCOUNT or service == "events"
                context = {} if service == "events" else {"aws:SourceAccount": account}
                asked = Authorization(action, TOPIC)
                assert is_allowed({"Statement": statements}, asked, context) is expected
        assert not is_allowed({"Statement": statements}, Authorization("sns:Subscribe", TOPIC))


def test_a_topic_is_encrypted_by_the_key_that_is_named() -> None:
    plain, key, own = (WATCHES[name] for name in ("plain", "key", "own key"))
    assert "KmsMasterKeyId" not in cfn(plain, "AWS::SNS::Topic")["Topic"]
    assert cfn(key, "AWS::SNS::Topic")["Topic"]["KmsMasterKeyId"] == key.topic_key
    assert cfn(own, "AWS::SNS::Topic")["Topic"]["KmsMasterKeyId"] == {"Ref": "TopicKey"}
    assert tf(key, "aws_sns_topic")["alarms"]["kms_master_key_id"] == key.topic_key
    assert "aws_kms_key" not in alarms_terraform(key)["resource"]
    (made,) = tf(own, "aws_kms_key").values()
    assert made["enable_key_rotation"] is True
    with pytest.raises(InvalidArgument, match="topic_key"):
        Watch("chat", topic_key="alias/aws/sns")
    with pytest.raises(InvalidArgument, match="topic_arn"):
        Watch("chat", topic_key=OWN_KEY, topic_arn=TOPIC)


# -- the tools ----------------------------------------------------------------------------------


@each_watch
def test_terraform_s_provider_knows_every_argument(watch: Watch) -> None:
    made = alarms_terraform(watch)
    assert problems(made) == []
    there = {f"{kind}.{name}" for kind, each in made["resource"].items() for name in each}
    assert set(references(made)) <= there
    # All that is to be filled in by reference is filled in.
    assert "${region}" not in json.dumps(made)
    assert "${account}" not in json.dumps(made)


@each_watch
def test_cloudformation_refers_to_what_it_has(watch: Watch) -> None:
    template = alarms_cloudformation(watch)
    text = json.dumps(template)
    assert "${region}" not in text
    for part in text.split('{"Ref": "')[1:]:
        assert part.split('"')[0] in template["Resources"]
