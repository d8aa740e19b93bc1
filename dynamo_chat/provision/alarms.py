"""Monitoring of a table (T4): alarms, events, a budget, a dashboard.

Text may hold ``${AWS::Region}``, ``${AWS::AccountId}`` and ``${AWS::Partition}``, which
CloudFormation fills in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.provision.arguments import check_arn, check_kms_key, check_tags

DYNAMODB: Final = "AWS/DynamoDB"
OWN_NAMESPACE: Final = "DynamoChat"
"""The namespace of our own metrics, size and item count, which CloudWatch does not have."""
SCHEDULE: Final = "rate(6 hours)"
"""DynamoDB updates size and item count this often."""
OPERATIONS: Final = (
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "TransactWriteItems",
    "UpdateItem",
)
"""What the store sends. Some metrics are there by operation only, and are added up."""

PUBLISHER: Final = '''\
"""Publishes what CloudWatch does not know of a table: how large it is, and how many items."""

import os

import boto3

TABLE = os.environ["DYNAMODB_TABLE_NAME"]


def handler(event, context):
    """Called on a schedule."""
    table = boto3.client("dynamodb").describe_table(TableName=TABLE)["Table"]
    indexes = table.get("GlobalSecondaryIndexes", [])
    size = table["TableSizeBytes"] + sum(index.get("IndexSizeBytes", 0) for index in indexes)
    dimensions = [{"Name": "TableName", "Value": TABLE}]
    boto3.client("cloudwatch").put_metric_data(
        Namespace=os.environ["NAMESPACE"],
        MetricData=[
            {
                "MetricName": "SizeBytes",
                "Dimensions": dimensions,
                "Value": size,
                "Unit": "Bytes",
            },
            {
                "MetricName": "ItemCount",
                "Dimensions": dimensions,
                "Value": table["ItemCount"],
                "Unit": "Count",
            },
        ],
    )
'''
"""The code of the function that publishes the metrics; an alarm reports if it stops."""

RUNTIME: Final = "python3.13"
LOG_DAYS: Final = 30
OWN_KEY: Final = "create"
"""Instead of a key: create one with the topic."""
BUDGET_NOTICES: Final = (("ACTUAL", 80), ("FORECASTED", 100))
"""When the budget notifies: at these percentages spent or forecast."""

_HERE: Final = "${AWS::Region}:${AWS::AccountId}"
_MINUTE: Final = 60
_SIX_HOURS: Final = 6 * 60 * _MINUTE
_GB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of the alarms and the budget."""

    throttled_requests: int = 1
    """In five minutes."""
    system_errors: int = 5
    """In five minutes: DynamoDB's own, which clients retry."""
    user_errors: int = 50
    """In five minutes, of all tables of the account in the region."""
    latency_ms: int = 100
    """Of the slowest operation, at the 99th percentile, for three periods of five minutes."""
    write_units: int = 300_000
    """Write units in five minutes, of the table and both indexes: 1,000 a second."""
    read_units: int = 300_000
    """Read units in five minutes, of the table and both indexes."""
    size_gb: int = 100
    items: int = 100_000_000
    budget_usd: int = 100
    """In a month; notifies at 80 % spent, and when all of it is forecast to be spent."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise InvalidArgument(field.name, "must be an integer, at least 1")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch."""

    name: str
    dimensions: tuple[tuple[str, str], ...]
    namespace: str = DYNAMODB


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on a metric, or on several metrics combined."""

    name: str
    """``Throttled``, …"""
    description: str
    metrics: tuple[Metric, ...]
    statistic: str
    threshold: float
    together: str = "SUM"
    """How several metrics are combined: ``SUM`` or ``MAX``."""
    period: int = 5 * _MINUTE
    periods: int = 1
    missing: str = "notBreaching"
    """How missing data is treated."""
    comparison: str = "GreaterThanOrEqualToThreshold"

    @property
    def expression(self) -> str:
        """The metric math that combines ``m0``, ``m1``, …; missing data counts as 0."""
        filled = ", ".join(f"FILL(m{number}, 0)" for number in range(len(self.metrics)))
        return f"{self.together}([{filled}])"


@dataclass(frozen=True, slots=True)
class EventRule:
    """A rule that reports an event."""

    name: str
    description: str
    pattern: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watch:
    """What is monitored of a table, and who is notified."""

    table_name: str
    thresholds: Thresholds = Thresholds()
    email: str | None = None
    """The e-mail address to notify; others can subscribe to the topic."""
    topic_arn: str | None = None
    """The ARN of an existing topic; None creates one."""
    topic_key: str | None = None
    """The KMS key that encrypts the topic that is made: its ARN or id, or `OWN_KEY` for one that is
    made with it. AWS's managed key is refused: CloudWatch may not use it."""
    budget_tag: tuple[str, str] | None = None
    """The cost allocation tag that the budget counts; all of DynamoDB without one."""

    def __post_init__(self) -> None:
        if not isinstance(self.thresholds, Thresholds):
            raise InvalidArgument("thresholds", "must be Thresholds")
        if self.email is not None and not _is_email(self.email):
            raise InvalidArgument("email", "must be an address such as 'ops@example.com'")
        if self.topic_arn is not None:
            check_arn("topic_arn", self.topic_arn, ":sns:")
        if self.topic_key is not None:
            check_kms_key(self.topic_key, "topic_key")
        if self.budget_tag is not None:
            if not isinstance(self.budget_tag, tuple) or len(self.budget_tag) != 2:
                raise InvalidArgument("budget_tag", "must be a name and a value")
            check_tags(dict([self.budget_tag]), "budget_tag")
        if self.topic_arn is not None and (self.email or self.topic_key):
            raise InvalidArgument("topic_arn", "exists already, with its own subscribers and key")
        if self.topic_key is not None and "alias/aws/" in self.topic_key:
            raise InvalidArgument(
                "topic_key", "must be a key of your own: alarms may not use AWS's managed ones"
            )

    @property
    def table_arn(self) -> str:
        """The table's ARN, with placeholders."""
        return f"arn:${{AWS::Partition}}:dynamodb:{_HERE}:table/{self.table_name}"


def _is_email(email: Any) -> bool:
    # What Terraform would take for an expression is in no address that anybody has.
    return isinstance(email, str) and re.fullmatch(r"[^\s@${}\"]+@[^\s@${}\"]+", email) is not None


def alarms(watch: Watch) -> list[Alarm]:
    """Every alarm on a metric."""
    limits, table = watch.thresholds, ("TableName", watch.table_name)
    return [
        Alarm(
            "Throttled",
            "Requests are throttled: a partition is hot, or a limit was reached.",
            _by_operation("ThrottledRequests", table),
            "Sum",
            limits.throttled_requests,
        ),
        *_throttled_indexes(watch),
        Alarm(
            "SystemErrors",
            "DynamoDB returns server errors.",
            _by_operation("SystemErrors", table),
            "Sum",
            limits.system_errors,
        ),
        Alarm(
            "UserErrors",
            "DynamoDB rejects requests; counted for all tables of the account in this region.",
            (Metric("UserErrors", ()),),
            "Sum",
            limits.user_errors,
        ),
        Alarm(
            "Latency",
            "The slowest operation is slow at the 99th percentile.",
            _by_operation("SuccessfulRequestLatency", table),
            "p99",
            limits.latency_ms,
            together="MAX",
            periods=3,
        ),
        Alarm(
            "WriteSpike",
            "The table and its indexes take unusually many write units.",
            _everywhere("ConsumedWriteCapacityUnits", table),
            "Sum",
            limits.write_units,
        ),
        Alarm(
            "ReadSpike",
            "The table and its indexes take unusually many read units.",
            _everywhere("ConsumedReadCapacityUnits", table),
            "Sum",
            limits.read_units,
        ),
        Alarm(
            "Size",
            "The table and its indexes have grown large.",
            (Metric("SizeBytes", (table,), OWN_NAMESPACE),),
            "Maximum",
            limits.size_gb * _GB,
            period=_SIX_HOURS,
            missing="ignore",
        ),
        Alarm(
            "ItemCount",
            "The table has many items.",
            (Metric("ItemCount", (table,), OWN_NAMESPACE),),
            "Maximum",
            limits.items,
            period=_SIX_HOURS,
            missing="ignore",
        ),
        Alarm(
            "SizeUnknown",
            "Size and item count have not been published for a day.",
            (Metric("ItemCount", (table,), OWN_NAMESPACE),),
            "SampleCount",
            1,
            period=_SIX_HOURS,
            periods=4,
            missing="breaching",
            comparison="LessThanThreshold",
        ),
    ]


def event_rules(watch: Watch) -> list[EventRule]:
    """Rules for backups and exports that failed, of AWS Backup or of DynamoDB itself.

    The latter come from CloudTrail, which must be on, and cover all tables of the account.
    """
    return [
        EventRule(
            "BackupFailed",
            "A job of AWS Backup on the table failed.",
            {
                "source": ["aws.backup"],
                "detail-type": ["Backup Job State Change"],
                "detail": {
                    "state": ["FAILED", "ABORTED", "EXPIRED"],
                    "resourceArn": [watch.table_arn],
                },
            },
        ),
        EventRule(
            "BackupRefused",
            "A backup, restore or export was refused.",
            {
                "source": ["aws.dynamodb"],
                "detail-type": ["AWS API Call via CloudTrail"],
                "detail": {
                    "eventSource": ["dynamodb.amazonaws.com"],
                    "eventName": [
                        "CreateBackup",
                        "ExportTableToPointInTime",
                        "RestoreTableFromBackup",
                        "RestoreTableToPointInTime",
                    ],
                    "errorCode": [{"exists": True}],
                },
            },
        ),
    ]


def publisher_policy(watch: Watch, log_group: str) -> dict[str, Any]:
    """The permissions of the publishing function, with placeholders."""
    logs = f"arn:${{AWS::Partition}}:logs:{_HERE}:log-group:{log_group}:*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "dynamodb:DescribeTable", "Resource": watch.table_arn},
            {
                "Effect": "Allow",
                "Action": "cloudwatch:PutMetricData",
                "Resource": "*",
                "Condition": {"StringEquals": {"cloudwatch:namespace": OWN_NAMESPACE}},
            },
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": logs,
            },
        ],
    }


_TELLING: Final = ("budgets", "cloudwatch", "events")
"""The services that publish to the topic."""


def topic_policy(topic: Any) -> dict[str, Any]:
    """The topic's policy: alarms, event rules and budgets of this account may publish."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Action": "sns:Publish", "Resource": topic, **_of_service(service)}
            for service in _TELLING
        ],
    }


def topic_key_policy() -> dict[str, Any]:
    """The policy of the topic's key: the account's IAM manages it, publishers may use it."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            *(
                {
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    **_of_service(service),
                }
                for service in _TELLING
            ),
        ],
    }


def _of_service(service: str) -> dict[str, Any]:
    """The principal of a statement: a service, on behalf of this account.

    EventBridge names no account when it publishes to a topic or uses its key, so a condition on the
    account would silently drop every event. Its rules publish only to topics of their own account.
    """
    allowed: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
    }
    if service != "events":
        allowed["Condition"] = {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}}
    return allowed


def budget_filters(watch: Watch) -> dict[str, list[str]]:
    """The filters of the budget, as AWS Budgets writes them: DynamoDB, and the tag if given."""
    filters = {"Service": ["Amazon DynamoDB"]}
    if watch.budget_tag is not None:
        key, value = watch.budget_tag
        filters["TagKeyValue"] = [f"user:{key}${value}"]
    return filters


def trust(service: str) -> dict[str, Any]:
    """The policy that allows a service to assume a role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def dashboard(watch: Watch) -> str:
    """The dashboard's body: a graph with its threshold for each alarm; with placeholders."""
    widgets = []
    drawn = [alarm for alarm in alarms(watch) if alarm.missing != "breaching"]
    for number, alarm in enumerate(drawn):
        widgets.append(
            {
                "type": "metric",
                "x": 12 * (number % 2),
                "y": 6 * (number // 2),
                "width": 12,
                "height": 6,
                "properties": {
                    "title": alarm.name,
                    "region": "${AWS::Region}",
                    "view": "timeSeries",
                    "stat": alarm.statistic,
                    "period": alarm.period,
                    "metrics": [
                        [
                            metric.namespace,
                            metric.name,
                            *(x for pair in metric.dimensions for x in pair),
                        ]
                        for metric in alarm.metrics
                    ],
                    "annotations": {"horizontal": [{"label": "alarm", "value": alarm.threshold}]},
                },
            }
        )
    return json.dumps({"widgets": widgets})


def _by_operation(name: str, table: tuple[str, str]) -> tuple[Metric, ...]:
    return tuple(Metric(name, (table, ("Operation", operation))) for operation in OPERATIONS)


def _everywhere(name: str, table: tuple[str, str]) -> tuple[Metric, ...]:
    return (
        Metric(name, (table,)),
        *(Metric(name, (table, _index(place.index))) for place in (GSI1, GSI2)),
    )


def _throttled_indexes(watch: Watch) -> Iterator[Alarm]:
    """Alarms per index: a throttled index delays writes to the table."""
    table = ("TableName", watch.table_name)
    for place in (GSI1, GSI2):
        yield Alarm(
            f"Throttled{place.index}",
            f"Reads or writes of index {place.index} are throttled.",
            tuple(
                Metric(f"{kind}ThrottleEvents", (table, _index(place.index)))
                for kind in ("Read", "Write")
            ),
            "Sum",
            watch.thresholds.throttled_requests,
        )


def _index(name: str | None) -> tuple[str, str]:
    return "GlobalSecondaryIndexName", str(name)
