"""Monitoring of a table for Terraform: the CloudFormation template, deployed as a stack."""

from __future__ import annotations

import json
from typing import Any

from dynamo_chat.provision.alarms import Watch
from dynamo_chat.provision.alarms_cloudformation import alarms_cloudformation
from dynamo_chat.provision.naming import identifier
from dynamo_chat.provision.terraform import PROVIDERS

MAX_STACK_NAME = 128


def alarms_terraform(watch: Watch) -> dict[str, Any]:
    """The configuration, as JSON values."""
    name = f"{identifier(watch.table_name)[: MAX_STACK_NAME - 7]}_alarms".replace("_", "-")
    body = json.dumps(alarms_cloudformation(watch), separators=(",", ":"))
    stack = {
        "name": name,
        # CloudFormation's placeholders look like Terraform's.
        "template_body": body.replace("${", "$${").replace("%{", "%%{"),
        "capabilities": ["CAPABILITY_IAM"],
    }
    return {
        "terraform": {"required_providers": PROVIDERS},
        "resource": {"aws_cloudformation_stack": {"alarms": stack}},
        "output": {
            "topic_arn": {"value": '${aws_cloudformation_stack.alarms.outputs["TopicArn"]}'}
        },
    }
