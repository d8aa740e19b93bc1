"""Alarms, events, budget and dashboard, and that what they watch exists."""

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
from tests.provision.terraform_check import problems

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


# -- alarms -------------------------------------------------------------------------------------


def test_every_threshold_is_some_alarm_s_or_the_budget_s() -> None:
    """A threshold that is changed changes what is written."""
    for field in fields(Thresholds):
        changed = Watch("chat-prod", Thresholds(**{field.name: 77}))
        assert alarms_cloudformation(changed) != alarms_cloudformation(Watch("chat-prod")), (
            field.name
        )
    with pytest.raises(InvalidArgument, match="items"):
        Thresholds(items=0)


def test_every_alarm_tells_the_topic() -> None:
    made = {each["AlarmName"]: each for each in cfn(WATCH, "AWS::CloudWatch::Alarm").values()}
    assert made.keys() == {f"chat-prod-{alarm.name}" for alarm in alarms(WATCH)}
    for alarm in made.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "Topic"}]


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
    calls = rules["BackupRefusedRule"]
    assert calls["EventPattern"]["detail"]["errorCode"] == [{"exists": True}]
    assert calls["Targets"] == jobs["Targets"]


def test_the_budget_counts_what_has_the_tag() -> None:
    (budget,) = cfn(WATCH, "AWS::Budgets::Budget").values()
    assert budget["Budget"]["CostFilters"] == {
        "Service": ["Amazon DynamoDB"],
        "TagKeyValue": ["user:team$chat"],
    }
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
    assert not cfn(key, "AWS::KMS::Key")
    (made,) = cfn(own, "AWS::KMS::Key").values()
    assert made["EnableKeyRotation"] is True
    with pytest.raises(InvalidArgument, match="topic_key"):
        Watch("chat", topic_key="alias/aws/sns")
    with pytest.raises(InvalidArgument, match="topic_arn"):
        Watch("chat", topic_key=OWN_KEY, topic_arn=TOPIC)


# -- the tools ----------------------------------------------------------------------------------


@each_watch
def test_terraform_deploys_the_template(watch: Watch) -> None:
    """As a stack, whose body Terraform leaves as it is: it fills in ``${...}`` itself."""
    made = alarms_terraform(watch)
    assert problems(made) == []
    stack = made["resource"]["aws_cloudformation_stack"]["alarms"]
    assert re.fullmatch("[a-z][a-z0-9-]*", stack["name"])
    body = stack["template_body"]
    assert len(body) <= 51_200
    assert not re.search(r"(?<![$])[$][{]|(?<!%)%[{]", body)
    assert json.loads(body.replace("$${", "${")) == alarms_cloudformation(watch)
    assert "TopicArn" in alarms_cloudformation(watch)["Outputs"]


def test_a_stack_has_a_name_that_cloudformation_takes() -> None:
    for table in ("c" * 255, "_chat.prod", "1-chat", "Chat_Prod"):
        (stack,) = alarms_terraform(Watch(table))["resource"]["aws_cloudformation_stack"].values()
        assert re.fullmatch("[a-zA-Z][a-zA-Z0-9-]{0,127}", stack["name"])
        assert stack["name"].endswith("-alarms")


@each_watch
def test_cloudformation_refers_to_what_it_has(watch: Watch) -> None:
    template = alarms_cloudformation(watch)
    text = json.dumps(template)
    for part in text.split('{"Ref": "')[1:]:
        assert part.split('"')[0] in template["Resources"]


@each_watch
def test_what_is_to_be_filled_in_is_filled_in(watch: Watch) -> None:
    """Every text that names the region, the account or the partition is in ``Fn::Sub``."""

    def check(value: Any) -> None:
        if isinstance(value, str):
            assert "${" not in value
        for name, each in value.items() if isinstance(value, dict) else ():
            check("" if name == "Fn::Sub" else each)
        for each in value if isinstance(value, list) else ():
            check(each)

    check(alarms_cloudformation(watch))
