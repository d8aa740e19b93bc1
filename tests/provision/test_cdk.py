"""The construct holds what the CloudFormation template holds, and can be granted access to."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat.provision.cdk_app import cdk_app
from dynamo_chat.provision.cloudformation import TABLE, cloudformation
from tests.provision.variants import VARIANTS

pytest.importorskip(
    "aws_cdk", reason="the extra `cdk` is not installed: it is in tox's environment `provision`"
)
if shutil.which("node") is None:
    pytest.skip(reason="AWS CDK needs node", allow_module_level=True)


@pytest.fixture(scope="module")
def templates() -> dict[str, Any]:
    """Every variant as a stack of one CDK app, synthesized by CDK's own assertions."""
    from aws_cdk import App, Stack
    from aws_cdk.assertions import Template

    from dynamo_chat.provision.cdk import ChatTable

    app, stacks = App(), {}
    for name, definition in VARIANTS.items():
        stacks[name] = Stack(app, name)
        ChatTable(stacks[name], "Chat", table_name="chat-prod", definition=definition)
    return {name: Template.from_stack(stack) for name, stack in stacks.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_resources_are_those_of_the_template(templates: dict[str, Any], name: str) -> None:
    """Each by type and properties; only logical ids differ."""
    wanted = cloudformation(VARIANTS[name], "chat-prod")["Resources"]
    table = wanted[TABLE]
    templates[name].has_resource(
        table["Type"],
        {
            "Properties": table["Properties"],
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
        },
    )
    made = templates[name].to_json()["Resources"]
    assert sorted(each["Type"] for each in made.values()) == sorted(
        each["Type"] for each in wanted.values()
    )


def test_a_stack_holds_several_tables_and_grants_access() -> None:
    from aws_cdk import App, Stack, aws_iam
    from aws_cdk.assertions import Template

    from dynamo_chat.provision.cdk import ChatTable

    stack = Stack(App(), "Several")
    first = ChatTable(stack, "First", table_name="chat-a")
    ChatTable(stack, "Second", table_name="chat-b")
    role = aws_iam.Role(stack, "Role", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
    first.table.grant(role, "dynamodb:Query")
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::DynamoDB::Table", 2)
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert "/index/*" in json.dumps(statement["Resource"])


def test_the_app_that_is_written_runs(tmp_path: Path) -> None:
    """What ``dynamo-chat template cdk`` writes is a program; it gives the template."""
    program = tmp_path / "app.py"
    program.write_text(cdk_app(VARIANTS["provisioned"], "chat-prod"))
    variables = os.environ | {"CDK_OUTDIR": str(tmp_path / "out")}
    subprocess.run([sys.executable, str(program)], env=variables, check=True)
    made = json.loads((tmp_path / "out" / "ChatProd.template.json").read_text())
    names = {
        each["Properties"].get("TableName")
        for each in made["Resources"].values()
        if each["Type"] == "AWS::DynamoDB::Table"
    }
    assert names == {"chat-prod"}
    assert {"TableName", "TableArn"} <= set(made["Outputs"])
