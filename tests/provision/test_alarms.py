"""Alarms, events, budget and dashboard: the same in both tools, and what they watch exists."""

import json
import sys
from dataclasses import fields
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dynamo_chat import InvalidArgument
from dynamo_chat.catalogue import catalogue
from dynamo_chat.provision.alarms import (
    OPERATIONS,
    OWN_NAMESPACE,
    PUBLISHER,
    Thresholds,
    Watch,
    alarms,
    dashboard,
)
from dynamo_chat.provision.alarms_cloudformation import alarms_cloudformation
from dynamo_chat.provision.alarms_terraform import alarms_terraform
from tests.provision.terraform_check import problems, references

WATCH = Watch("chat-prod", email="ops@example.com", budget_tag=("team", "chat"))
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ops"
WATCHES = {
    "plain": Watch("chat-prod"),
    "e-mail": WATCH,
    "topic": Watch("chat.prod", topic_arn=TOPIC),
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


class _Clients(ModuleType):
    """A stand-in for boto3 that remembers what was published."""

    def __init__(self) -> None:
        super().__init__("boto3")
        self.published: list[dict[str, Any]] = []

    def client(self, service: str) -> Any:
        table = {
            "TableSizeBytes": 1_000,
            "ItemCount": 7,
            "GlobalSecondaryIndexes": [{"IndexSizeBytes": 200}, {}],
        }
        return SimpleNamespace(
            describe_table=lambda TableName: {"Table": table},  # noqa: N803 - as boto3 has it
            put_metric_data=lambda **request: self.published.append(request),
        )


def test_the_publisher_publishes_what_the_alarms_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    (function,) = cfn(WATCH, "AWS::Lambda::Function").values()
    assert function["Code"]["ZipFile"] == PUBLISHER
    assert len(PUBLISHER) <= 4_096  # CloudFormation takes no longer one inline
    clients = _Clients()
    monkeypatch.setitem(sys.modules, "boto3", clients)
    for name, value in function["Environment"]["Variables"].items():
        monkeypatch.setenv(name, value)
    program: dict[str, Any] = {}
    exec(compile(PUBLISHER, "index.py", "exec"), program)  # noqa: S102 - the program is ours
    program["handler"]({}, None)
    (request,) = clients.published
    values = {datum["MetricName"]: datum["Value"] for datum in request["MetricData"]}
    assert values == {"SizeBytes": 1_200, "ItemCount": 7}
    watched = {
        (metric.namespace, metric.name, metric.dimensions)
        for alarm in alarms(WATCH)
        for metric in alarm.metrics
        if metric.namespace == OWN_NAMESPACE
    }
    assert watched == {
        (
            request["Namespace"],
            datum["MetricName"],
            tuple((each["Name"], each["Value"]) for each in datum["Dimensions"]),
        )
        for datum in request["MetricData"]
    }


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


def test_only_this_account_may_tell_the_topic() -> None:
    (policy,) = cfn(WATCH, "AWS::SNS::TopicPolicy").values()
    for statement in policy["PolicyDocument"]["Statement"]:
        account = {"aws:SourceAccount": {"Fn::Sub": "${AWS::AccountId}"}}
        assert statement["Condition"] == {"StringEquals": account}


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
