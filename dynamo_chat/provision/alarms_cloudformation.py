"""Monitoring of a table as a CloudFormation template."""

from __future__ import annotations

from typing import Any

from dynamo_chat.provision.alarms import (
    BUDGET_NOTICES,
    LOG_DAYS,
    OWN_KEY,
    OWN_NAMESPACE,
    PUBLISHER,
    RUNTIME,
    SCHEDULE,
    Alarm,
    EventRule,
    Metric,
    Watch,
    alarms,
    budget_filters,
    dashboard,
    event_rules,
    publisher_policy,
    topic_key_policy,
    topic_policy,
    trust,
)
from dynamo_chat.provision.commands import VARIABLE


def alarms_cloudformation(watch: Watch) -> dict[str, Any]:
    """The template, as JSON values."""
    topic: Any = watch.topic_arn or {"Ref": "Topic"}
    resources: dict[str, Any] = {}
    if watch.topic_arn is None:
        resources |= _topic(watch)
    for alarm in alarms(watch):
        resources[f"{alarm.name}Alarm"] = _alarm(watch, alarm, topic)
    for rule in event_rules(watch):
        resources[f"{rule.name}Rule"] = _rule(rule, topic)
    resources |= _publisher(watch)
    resources["Budget"] = _budget(watch, topic)
    resources["Dashboard"] = {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {
            "DashboardName": watch.table_name.replace(".", "-"),
            "DashboardBody": filled(dashboard(watch)),
        },
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Alarms for the DynamoDB table {watch.table_name} of dynamo_chat.",
        "Resources": resources,
        "Outputs": {"TopicArn": {"Value": topic}},
    }


def filled(value: Any) -> Any:
    """`value` with ``Fn::Sub`` around every text that has placeholders."""
    if isinstance(value, str):
        return {"Fn::Sub": value} if "${AWS::" in value else value
    if isinstance(value, dict):
        return {key: filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each) for each in value]
    return value


def _topic(watch: Watch) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if watch.email:
        properties["Subscription"] = [{"Protocol": "email", "Endpoint": watch.email}]
    if watch.topic_key is not None:
        properties["KmsMasterKeyId"] = (
            {"Ref": "TopicKey"} if watch.topic_key == OWN_KEY else watch.topic_key
        )
    resources = {
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": properties},
        "TopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [{"Ref": "Topic"}],
                "PolicyDocument": filled(topic_policy({"Ref": "Topic"})),
            },
        },
    }
    if watch.topic_key == OWN_KEY:
        resources["TopicKey"] = {
            "Type": "AWS::KMS::Key",
            "DeletionPolicy": "Delete",  # nothing is left to be read with it
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "Description": f"Encrypts notifications about the table {watch.table_name}.",
                "EnableKeyRotation": True,
                "KeyPolicy": filled(topic_key_policy()),
            },
        }
    return resources


def _alarm(watch: Watch, alarm: Alarm, topic: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "AlarmName": f"{watch.table_name}-{alarm.name}",
        "AlarmDescription": alarm.description,
        "ComparisonOperator": alarm.comparison,
        "Threshold": alarm.threshold,
        "EvaluationPeriods": alarm.periods,
        "TreatMissingData": alarm.missing,
        "AlarmActions": [topic],
        "OKActions": [topic],
    }
    if len(alarm.metrics) == 1:
        (metric,) = alarm.metrics
        properties |= {**_metric(metric), "Period": alarm.period, "Statistic": alarm.statistic}
    else:
        properties["Metrics"] = [
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": _metric(metric),
                    "Period": alarm.period,
                    "Stat": alarm.statistic,
                },
                "ReturnData": False,
            }
            for number, metric in enumerate(alarm.metrics)
        ] + [
            {
                "Id": "together",
                "Expression": alarm.expression,
                "Label": alarm.name,
                "ReturnData": True,
            }
        ]
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
    }


def _rule(rule: EventRule, topic: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Description": rule.description,
            "EventPattern": filled(rule.pattern),
            "Targets": [{"Id": "Topic", "Arn": topic}],
        },
    }


def _publisher(watch: Watch) -> dict[str, Any]:
    """The function that publishes size and item count, with its role and schedule."""
    function = f"{watch.table_name.replace('.', '-')[:55]}-size"
    logs = f"/aws/lambda/{function}"
    return {
        "PublisherLogs": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"LogGroupName": logs, "RetentionInDays": LOG_DAYS},
        },
        "PublisherRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": trust("lambda"),
                "Policies": [
                    {
                        "PolicyName": "PublishSize",
                        "PolicyDocument": filled(publisher_policy(watch, logs)),
                    }
                ],
            },
        },
        "Publisher": {
            "Type": "AWS::Lambda::Function",
            "DependsOn": "PublisherLogs",
            "Properties": {
                "FunctionName": function,
                "Description": f"Publishes size and item count of {watch.table_name}.",
                "Runtime": RUNTIME,
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["PublisherRole", "Arn"]},
                "Timeout": 30,
                "Environment": {
                    "Variables": {VARIABLE: watch.table_name, "NAMESPACE": OWN_NAMESPACE}
                },
                "Code": {"ZipFile": PUBLISHER},
            },
        },
        "PublisherSchedule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Description": f"When {function} publishes.",
                "ScheduleExpression": SCHEDULE,
                "Targets": [{"Id": "Publisher", "Arn": {"Fn::GetAtt": ["Publisher", "Arn"]}}],
            },
        },
        "PublisherPermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Publisher"},
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": ["PublisherSchedule", "Arn"]},
            },
        },
    }


def _budget(watch: Watch, topic: Any) -> dict[str, Any]:
    told = [{"SubscriptionType": "SNS", "Address": topic}]
    return {
        "Type": "AWS::Budgets::Budget",
        "Properties": {
            "Budget": {
                "BudgetName": f"{watch.table_name}-month",
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": watch.thresholds.budget_usd, "Unit": "USD"},
                "CostFilters": budget_filters(watch),
            },
            "NotificationsWithSubscribers": [
                {
                    "Notification": {
                        "NotificationType": kind,
                        "ComparisonOperator": "GREATER_THAN",
                        "Threshold": percent,
                        "ThresholdType": "PERCENTAGE",
                    },
                    "Subscribers": told,
                }
                for kind, percent in BUDGET_NOTICES
            ],
        },
    }
