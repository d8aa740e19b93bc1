"""What to watch a table by, as a Terraform configuration in its JSON syntax."""

from __future__ import annotations

import json
from typing import Any, Final

from dynamo_chat.provision.alarms import (
    BUDGET_NOTICES,
    LOG_DAYS,
    OWN_KEY,
    OWN_NAMESPACE,
    PUBLISHER,
    RUNTIME,
    SCHEDULE,
    Alarm,
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
from dynamo_chat.provision.naming import identifier
from dynamo_chat.provision.terraform import PROVIDERS

_DATA: Final[dict[str, Any]] = {
    "aws_caller_identity": {"current": {}},
    "aws_partition": {"current": {}},
    "aws_region": {"current": {}},
}
_OWN: Final = {
    "${region}": "${data.aws_region.current.region}",
    "${account}": "${data.aws_caller_identity.current.account_id}",
    "${partition}": "${data.aws_partition.current.partition}",
}
_TOPIC: Final = "${aws_sns_topic.alarms.arn}"


def alarms_terraform(watch: Watch) -> dict[str, Any]:
    """The configuration, as JSON values."""
    topic = watch.topic_arn or _TOPIC
    resources: dict[str, dict[str, Any]] = {
        "aws_cloudwatch_metric_alarm": {
            identifier(alarm.name): _alarm(watch, alarm, topic) for alarm in alarms(watch)
        },
        "aws_cloudwatch_dashboard": {
            "table": {
                "dashboard_name": watch.table_name.replace(".", "-"),
                "dashboard_body": filled(dashboard(watch)),
            }
        },
        "aws_budgets_budget": {"month": _budget(watch, topic)},
        "aws_cloudwatch_event_rule": {},
        "aws_cloudwatch_event_target": {},
    }
    for rule in event_rules(watch):
        name = identifier(rule.name)
        resources["aws_cloudwatch_event_rule"][name] = {
            "description": rule.description,
            "event_pattern": _document(rule.pattern),
        }
        resources["aws_cloudwatch_event_target"][name] = {
            "rule": f"${{aws_cloudwatch_event_rule.{name}.name}}",
            "arn": topic,
        }
    for kind, more in _publisher(watch).items():
        resources.setdefault(kind, {}).update(more)
    if watch.topic_arn is None:
        resources |= _topic(watch)
    return {
        "terraform": {
            "required_providers": {
                **PROVIDERS,
                "archive": {"source": "hashicorp/archive", "version": ">= 2.4"},
            }
        },
        "data": {**_DATA, "archive_file": {"publisher": _archive()}},
        "resource": resources,
        "output": {"topic_arn": {"value": topic}},
    }


def filled(text: str) -> str:
    """`text` with what is to be filled in as references to data."""
    for name, own in _OWN.items():
        text = text.replace(name, own)
    return text


def _document(value: Any) -> str:
    return filled(json.dumps(value))


def _topic(watch: Watch) -> dict[str, Any]:
    found: dict[str, Any] = {
        "aws_sns_topic": {"alarms": {"name": f"{watch.table_name.replace('.', '-')}-alarms"}},
        "aws_sns_topic_policy": {
            "alarms": {"arn": _TOPIC, "policy": _document(topic_policy(_TOPIC))}
        },
    }
    if watch.topic_key is not None:
        own = watch.topic_key == OWN_KEY
        found["aws_sns_topic"]["alarms"]["kms_master_key_id"] = (
            "${aws_kms_key.alarms.key_id}" if own else watch.topic_key
        )
    if watch.topic_key == OWN_KEY:
        found["aws_kms_key"] = {
            "alarms": {
                "description": f"Encrypts what is told of the table {watch.table_name}.",
                "enable_key_rotation": True,
                "policy": _document(topic_key_policy()),
            }
        }
    if watch.email is not None:
        found["aws_sns_topic_subscription"] = {
            "email": {"topic_arn": _TOPIC, "protocol": "email", "endpoint": watch.email}
        }
    return found


def _alarm(watch: Watch, alarm: Alarm, topic: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "alarm_name": f"{watch.table_name}-{alarm.name}",
        "alarm_description": alarm.description,
        "comparison_operator": alarm.comparison,
        "threshold": alarm.threshold,
        "evaluation_periods": alarm.periods,
        "treat_missing_data": alarm.missing,
        "alarm_actions": [topic],
        "ok_actions": [topic],
    }
    if len(alarm.metrics) == 1:
        (metric,) = alarm.metrics
        return {**made, **_metric(metric), "period": alarm.period, "statistic": alarm.statistic}
    queries: list[dict[str, Any]] = [
        {
            "id": f"m{number}",
            "metric": {**_metric(metric), "period": alarm.period, "stat": alarm.statistic},
            "return_data": False,
        }
        for number, metric in enumerate(alarm.metrics)
    ]
    together = {
        "id": "together",
        "expression": alarm.expression,
        "label": alarm.name,
        "return_data": True,
    }
    return {**made, "metric_query": [*queries, together]}


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": dict(metric.dimensions),
    }


def _archive() -> dict[str, Any]:
    return {
        "type": "zip",
        # The program is no template: what looks like one in it would be taken for one.
        "source": {"filename": "index.py", "content": PUBLISHER.replace("${", "$${")},
        "output_path": "${path.module}/publisher.zip",
    }


def _publisher(watch: Watch) -> dict[str, Any]:
    """The function that publishes size and item count, with all that it needs."""
    function = f"{watch.table_name.replace('.', '-')[:55]}-size"
    logs = f"/aws/lambda/{function}"
    return {
        "aws_cloudwatch_log_group": {"publisher": {"name": logs, "retention_in_days": LOG_DAYS}},
        "aws_iam_role": {"publisher": {"assume_role_policy": json.dumps(trust("lambda"))}},
        "aws_iam_role_policy": {
            "publisher": {
                "name": "PublishSize",
                "role": "${aws_iam_role.publisher.id}",
                "policy": _document(publisher_policy(watch, logs)),
            }
        },
        "aws_lambda_function": {
            "publisher": {
                "function_name": function,
                "description": f"Publishes size and item count of {watch.table_name}.",
                "runtime": RUNTIME,
                "handler": "index.handler",
                "role": "${aws_iam_role.publisher.arn}",
                "timeout": 30,
                "filename": "${data.archive_file.publisher.output_path}",
                "source_code_hash": "${data.archive_file.publisher.output_base64sha256}",
                "environment": {
                    "variables": {VARIABLE: watch.table_name, "NAMESPACE": OWN_NAMESPACE}
                },
                "depends_on": ["aws_cloudwatch_log_group.publisher"],
            }
        },
        "aws_cloudwatch_event_rule": {
            "publisher": {
                "description": f"When {function} publishes.",
                "schedule_expression": SCHEDULE,
            }
        },
        "aws_cloudwatch_event_target": {
            "publisher": {
                "rule": "${aws_cloudwatch_event_rule.publisher.name}",
                "arn": "${aws_lambda_function.publisher.arn}",
            }
        },
        "aws_lambda_permission": {
            "publisher": {
                "action": "lambda:InvokeFunction",
                "function_name": "${aws_lambda_function.publisher.function_name}",
                "principal": "events.amazonaws.com",
                "source_arn": "${aws_cloudwatch_event_rule.publisher.arn}",
            }
        },
    }


def _budget(watch: Watch, topic: str) -> dict[str, Any]:
    return {
        "name": f"{watch.table_name}-month",
        "budget_type": "COST",
        "time_unit": "MONTHLY",
        "limit_amount": str(watch.thresholds.budget_usd),
        "limit_unit": "USD",
        "cost_filter": [
            {"name": name, "values": values} for name, values in budget_filters(watch).items()
        ],
        "notification": [
            {
                "notification_type": kind,
                "comparison_operator": "GREATER_THAN",
                "threshold": percent,
                "threshold_type": "PERCENTAGE",
                "subscriber_sns_topic_arns": [topic],
            }
            for kind, percent in BUDGET_NOTICES
        ],
    }
