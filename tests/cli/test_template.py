"""``dynamo-chat template|policy|alarms|cost``: what is written, and what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dynamo_chat.cli.app import app
from dynamo_chat.provision.cloudformation import TABLE, cloudformation
from dynamo_chat.provision.table import Capacity, TableDefinition
from dynamo_chat.provision.terraform import terraform
from dynamo_chat.testing import EmbeddedEngine

Run = Callable[..., Result]
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
NAME = ("--table", "chat")
BAD_REPLICA = ("--replica", "us-east-1", "--encryption", "customer", "--kms-key", KEY)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("DYNAMODB_TABLE_NAME", raising=False)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# -- template -----------------------------------------------------------------------------------


def test_options_are_the_definition(run: Run) -> None:
    """Each option ends in what it is for, in both formats."""
    options = (
        *("--provisioned", "--read", "2:20", "--write", "3:30", "--utilization", "60"),
        *("--encryption", "customer", "--kms-key", KEY, "--no-deletion-protection"),
        *("--no-point-in-time-recovery", "--stream", "--contributor-insights", "--tag", "a=b=c"),
    )
    definition = TableDefinition(
        point_in_time_recovery=False,
        deletion_protection=False,
        kms_key=KEY,
        tags={"a": "b=c"},
        provisioned=Capacity((2, 20), (3, 30), 60),
        stream=True,
        contributor_insights=True,
    )
    made = read(run("template", "cloudformation", *NAME, *options))
    assert made == cloudformation(definition, "chat")
    assert read(run("template", "terraform", *NAME, *options)) == terraform(definition, "chat")


def test_capacity_may_be_fixed(run: Run) -> None:
    options = ("--provisioned", "--read", "5", "--write", "3:3")
    wanted = TableDefinition(provisioned=Capacity((5, 5), (3, 3)))
    for kind, write in (("cloudformation", cloudformation), ("terraform", terraform)):
        made = read(run("template", kind, *NAME, *options))
        assert made == write(wanted, "chat")
        assert "autoscaling" not in json.dumps(made).lower()


def test_without_options_a_table_is_protected(run: Run) -> None:
    made = read(run("template", "cloudformation", *NAME, "--stage", "dev"))
    assert made == cloudformation(TableDefinition(), "chat-dev")
    properties = made["Resources"][TABLE]["Properties"]
    assert properties["DeletionProtectionEnabled"] is True


def test_replicas_and_other_keys(run: Run) -> None:
    made = read(run("template", "terraform", *NAME, "--replica", "us-east-1"))
    assert made == terraform(TableDefinition(replicas=("us-east-1",)), "chat")
    made = read(run("template", "terraform", *NAME, "--encryption", "aws-owned"))
    assert made == terraform(TableDefinition(encryption_managed=False), "chat")


def test_the_stage_is_where_it_is_wanted(run: Run) -> None:
    for options, name in (
        (("--table", "chat", "--stage", "dev", "--stage-as", "prefix"), "dev-chat"),
        (("--table", "acme-{stage}-chat", "--stage", "dev"), "acme-dev-chat"),
    ):
        made = read(run("template", "cloudformation", *options))
        assert made["Resources"][TABLE]["Properties"]["TableName"] == name


def test_a_folder_for_the_aws_command(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    result = run(
        *("template", "cli", *NAME, "-o", str(folder), "--region", "eu-west-1"),
        *("--role", "chat-role", "--function", "chatbot"),
    )
    assert result.exit_code == 0
    assert {path.name for path in folder.iterdir()} == {
        "continuous-backups.json",
        "create-table.json",
        "create.sh",
        "role-policy.json",
        "time-to-live.json",
    }
    assert os.access(folder / "create.sh", os.X_OK)
    policy = json.loads((folder / "role-policy.json").read_text())
    assert policy["Statement"][0]["Resource"] == ["arn:aws:dynamodb:eu-west-1:*:table/chat"]


def test_a_program_for_cdk(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    assert run("template", "cdk", *NAME, "--provisioned", "-o", str(file)).exit_code == 0
    text = file.read_text()
    compile(text, "app.py", "exec")
    assert "provisioned=Capacity(read=(5, 100)" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("template", "cloudformation", *NAME, "--kms-key", KEY),
        ("template", "cloudformation", *NAME, "--encryption", "customer"),
        ("template", "cloudformation", *NAME, "--role", "x"),
        ("template", "cloudformation", *NAME, "--provisioned", "--read", "5-9"),
        ("template", "cloudformation", *NAME, "--tag", "nonsense"),
        ("template", "cloudformation", *NAME, "--tag", "a=1", "--tag", "a=2"),
        ("template", "cloudformation", *NAME, "--read", "1:5"),
        ("template", "cloudformation", *NAME, "--utilization", "50"),
        ("template", "pulumi", *NAME),
        ("template", "cli", *NAME),
        ("alarms", "terraform", *NAME, "--email", "a@b.c", "--topic", "arn:x"),
        ("cost", "--region", "moon"),
        ("cost", "--method", "messages.get"),
        ("cost", "--method", "messages.fly=1"),
        ("cost", "--store", "dynamo_chat:ChatStore"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("template", "cloudformation", "--table", "a-{stage}"), "names a {stage}"),
        (("template", "terraform", *NAME, *BAD_REPLICA), "multi-Region"),
        (("policy", "service", *NAME, "--domain", "chats"), "must be one of"),
        (("policy", "user", *NAME, "--subject", "*"), "policy variable"),
        (("cost", "--turns", "0"), "--turns: must be at least 1"),
        (("cost", "--peak", "0.5"), "--peak: must be a number, at least 1"),
        (("alarms", "terraform", *NAME, "--budget", "0"), "--budget: "),
    ],
)
def test_what_is_refused_is_one_line(run: Run, arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


# -- policy, alarms, cost -----------------------------------------------------------------------


def test_policies_are_piped_and_explained(run: Run) -> None:
    where = (*NAME, "--region", "eu-west-1", "--account", "123456789012")
    service = read(run("policy", "service", *where, "--repository", "rate_limits"))
    (statement,) = service["Statement"]
    assert statement["Action"] == [
        f"dynamodb:{action}"
        for action in (
            *("ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"),
        )
    ]
    assert statement["Resource"] == ["arn:aws:dynamodb:eu-west-1:123456789012:table/chat"]
    reading = read(run("policy", "read-only", *where, "--domain", "orgs"))
    assert "dynamodb:PutItem" not in json.dumps(reading)
    user = run("policy", "user", *where)
    assert "LeadingKeys" in json.dumps(read(user))
    (listing,) = [line for line in user.stderr.splitlines() if "conversations.list_by_user" in line]
    assert " in part " in listing
    deploying = read(run("policy", "deploy", *where, "--stream", "--tag", "team=chat"))
    assert "dynamodb:TagResource" in json.dumps(deploying)
    assert "dynamodb:TagResource" not in json.dumps(read(run("policy", "deploy", *where)))
    options = ("--restore-to", "restored-*", "--to-region", "us-east-1", "--export-to", "bucket")
    backing_up = json.dumps(read(run("policy", "backup", *where, *options)))
    assert "arn:aws:dynamodb:us-east-1:123456789012:table/restored-*" in backing_up
    assert "arn:aws:s3:::bucket/*" in backing_up
    assert "Restore" not in json.dumps(read(run("policy", "backup", *where)))
    role = "arn:aws:iam::123456789012:role/x"
    resource = read(run("policy", "resource", *where, "--service", role))
    assert resource["Statement"][0]["Principal"] == {"AWS": [role]}


def test_alarms_are_written(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alarms.json"
    options = ("--email", "ops@example.com", "--size", "7", "--budget-tag", "team=chat")
    assert run("alarms", "cloudformation", *NAME, *options, "-o", str(file)).exit_code == 0
    made = json.loads(file.read_text())["Resources"]
    assert made["SizeAlarm"]["Properties"]["Threshold"] == 7 * 2**30
    assert "aws_cloudformation_stack" in read(run("alarms", "terraform", *NAME))["resource"]


@pytest.mark.parametrize("length", [9, 60, 255])
def test_alarms_are_small_enough_to_be_deployed_without_a_bucket(run: Run, length: int) -> None:
    result = run("alarms", "cloudformation", "--table", "c" * length, "--topic-key", "create")
    read(result)
    assert len(result.stdout.encode()) <= 51_200


def test_a_bill_without_the_engine_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'moto'")

    monkeypatch.setattr(EmbeddedEngine, "_start", start)
    result = run("cost")
    assert result.exit_code == 1
    assert "pip install 'dynamo_chat[cli,testing]'" in result.stderr


def test_a_bill_is_shown_as_text_json_and_drawing(run: Run, tmp_path: Path) -> None:
    drawing = tmp_path / "cost.svg"
    shown = run("cost", "--conversations", "10", "--svg", str(drawing))
    assert shown.exit_code == 0
    assert "dynamo_chat: $" in shown.stdout
    assert drawing.read_text().startswith("<svg")
    made = read(run("cost", "--conversations", "10", "--users", "3", "--peak", "2.5", "--json"))
    assert [each["design"] for each in made["bills"]] == [
        "dynamo_chat",
        "dynamo_chat, provisioned",
        "all messages in one item",
        "a table for each entity",
    ]
    assert made["prices_since"] == "2024-11-01"
