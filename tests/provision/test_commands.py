"""The files for the ``aws`` command: they create the table, and the script may be run again."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.layout import PLACES
from dynamo_chat.provision.commands import SCRIPT, Role, command_files
from dynamo_chat.provision.table import TableDefinition
from dynamo_chat.testing import EmbeddedEngine
from tests.provision.variants import VARIANTS

pytestmark = pytest.mark.once

STAND_IN = Path(__file__).with_name("aws_stand_in.py")
NOT_THERE = {
    "dynamodb describe-table": "fails",
    "dynamodb describe-time-to-live": {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}},
}
CONFIGURATION = "lambda get-function-configuration"
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Write the files, run their script with the stand-in for ``aws``, give what it was asked."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip(reason="create.sh needs bash")
    programs, log, answers = tmp_path / "bin", tmp_path / "log", tmp_path / "answers"
    programs.mkdir()
    aws = programs / "aws"
    aws.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    aws.chmod(0o755)
    python = programs / "python3"
    python.symlink_to(sys.executable)

    def run(
        files: Mapping[str, str], told: Mapping[str, Any], **environment: str
    ) -> list[dict[str, Any]]:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        answers.write_text(json.dumps(told))
        log.write_text("")
        variables = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "AWS_STAND_IN_LOG": str(log),
            "AWS_STAND_IN_ANSWERS": str(answers),
            "RETRY_SECONDS": "0",
            **environment,
        }
        subprocess.run([bash, str(folder / SCRIPT)], env=variables, check=True, cwd=tmp_path)
        return [json.loads(line) for line in log.read_text().splitlines()]

    return run


def calls(told: list[dict[str, Any]]) -> list[str]:
    return [each["call"] for each in told]


# -- the requests -------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["default", "tagged", "aws-owned", "observed", "provisioned"])
def test_the_requests_create_the_table_that_is_checked_for(variant: str) -> None:
    definition, name = VARIANTS[variant], f"chat-{uuid.uuid4().hex}"
    files = command_files(definition, name)
    with EmbeddedEngine() as engine:
        client = engine.client()
        client.create_table(**json.loads(files["create-table.json"]))
        client.update_time_to_live(**json.loads(files["time-to-live.json"]))
        client.update_continuous_backups(**json.loads(files["continuous-backups.json"]))
        if definition.contributor_insights:  # has no file: the script asks for it
            for place in PLACES:
                client.update_contributor_insights(**definition.insights_request(name, place))
        store = ChatStore(name, region=engine.region)
        assert store.table.check(definition) == []
        store.conversations.create("user-1")


@pytest.mark.ministack
def test_the_script_creates_the_table_on_a_server(run: Run, chat_store: ChatStore) -> None:
    """Run twice; the second time it finds all of it there."""
    name = f"chat-{uuid.uuid4().hex}"
    definition = TableDefinition(
        stream=True, contributor_insights=True, deletion_protection=False, tags={"team": "chat"}
    )
    files = command_files(definition, name, region=chat_store.connection.region)
    endpoint = str(chat_store.connection.endpoint_url)
    assert "dynamodb create-table" in calls(run(files, {}, AWS_ENDPOINT_URL=endpoint))
    store = ChatStore(name, region=chat_store.connection.region, endpoint_url=endpoint)
    try:
        assert store.table.check(definition) == []
        again = calls(run(files, {}, AWS_ENDPOINT_URL=endpoint))
        changes = {"create-table", "update-time-to-live", "update-contributor-insights"}
        assert not {f"dynamodb {change}" for change in changes} & set(again)
        assert store.table.check(definition) == []
    finally:
        store.connection.client.delete_table(TableName=name)


# -- the script ---------------------------------------------------------------------------------


def test_the_script_does_one_thing_after_the_other(run: Run) -> None:
    files = command_files(TableDefinition(), "chat-dev", region="eu-west-1")
    told = run(files, NOT_THERE)
    assert calls(told) == [
        "dynamodb describe-table",
        "dynamodb create-table",
        "dynamodb table-exists",
        "dynamodb describe-time-to-live",
        "dynamodb update-time-to-live",
        "dynamodb update-continuous-backups",
    ]
    assert {each["request"]["TableName"] for each in told} == {"chat-dev"}
    assert told[1]["request"] == TableDefinition().create_request("chat-dev")


def test_what_is_there_is_left(run: Run) -> None:
    status = {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED"}}
    there = {
        "dynamodb describe-time-to-live": status,
        "dynamodb describe-contributor-insights": {"ContributorInsightsStatus": "ENABLED"},
    }
    wanted = TableDefinition(contributor_insights=True)
    done = calls(run(command_files(wanted, "chat-dev"), there))
    assert "dynamodb update-contributor-insights" not in done
    assert "dynamodb create-table" not in done
    assert "dynamodb update-time-to-live" not in done


@pytest.mark.once
def test_scaling_insights_and_replicas_are_set_up(run: Run) -> None:
    scaled = run(command_files(VARIANTS["provisioned"], "chat"), NOT_THERE)
    targets = [
        each["request"] for each in scaled if each["call"].endswith("register-scalable-target")
    ]
    assert [target["ResourceId"] for target in targets] == [
        f"table/chat{path}"
        for path in ("", "", "/index/GSI1", "/index/GSI1") + ("/index/GSI2",) * 2
    ]
    assert calls(scaled).count("application-autoscaling put-scaling-policy") == 6
    observed = run(command_files(VARIANTS["observed"], "chat"), NOT_THERE)
    insights = [
        each["request"].get("IndexName")
        for each in observed
        if each["call"].endswith("update-contributor-insights")
    ]
    assert insights == [None, "GSI1", "GSI2"]
    answers = {**NOT_THERE, "dynamodb describe-table": {"Table": {"Replicas": []}}}
    everywhere = run(command_files(VARIANTS["global"], "chat"), answers)
    added = [
        each["request"]["ReplicaUpdates"][0]["Create"]["RegionName"]
        for each in everywhere
        if each["call"] == "dynamodb update-table"
    ]
    assert added == ["eu-central-1", "us-east-1"]


@pytest.mark.parametrize("variant", ["global-provisioned", "global-fixed"])
def test_writes_are_scaled_before_a_replica_is_added(run: Run, variant: str) -> None:
    """DynamoDB refuses it before: "write capacity should be Pay-Per-Request or AutoScaled"."""
    answers = {**NOT_THERE, "dynamodb describe-table": {"Table": {"Replicas": []}}}
    done = run(command_files(VARIANTS[variant], "chat"), answers)
    made = [
        each["request"]["ScalableDimension"] if "Policy" in str(each["request"]) else each["call"]
        for each in done
        if each["call"] in {"application-autoscaling put-scaling-policy", "dynamodb update-table"}
    ]
    first = made.index("dynamodb update-table")
    assert sorted(each for each in made[:first] if "Write" in each) == [
        *["dynamodb:index:WriteCapacityUnits"] * 2,
        "dynamodb:table:WriteCapacityUnits",
    ]
    assert set(made[first:]) == {"dynamodb update-table"}
    assert len(made[first:]) == len(VARIANTS[variant].replicas)


def test_a_replica_that_is_there_is_not_made_again(run: Run) -> None:
    there = {"Table": {"Replicas": [{"RegionName": "us-east-1"}, {"RegionName": "eu-central-1"}]}}
    answers = {"dynamodb describe-table": there, "dynamodb describe-time-to-live": {}}
    done = run(command_files(VARIANTS["global"], "chat"), answers)
    assert "dynamodb update-table" not in calls(done)


def test_a_role_gets_its_policy(run: Run) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    files = command_files(TableDefinition(), "chat", role=Role("chat-lambda-role", policy))
    put = next(each for each in run(files, NOT_THERE) if each["call"] == "iam put-role-policy")
    assert put["request"]["RoleName"] == "chat-lambda-role"
    assert json.loads(put["request"]["PolicyDocument"]) == policy


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        (None, {"DYNAMODB_TABLE_NAME": "chat"}),
        ({}, {"DYNAMODB_TABLE_NAME": "chat"}),
        (
            {"Variables": {"SECRET": "a 'b' \"c\" $d\n#", "DYNAMODB_TABLE_NAME": "old"}},
            {"SECRET": "a 'b' \"c\" $d\n#", "DYNAMODB_TABLE_NAME": "chat"},
        ),
    ],
)
def test_the_environment_of_a_function_is_added_to(
    run: Run, environment: object, wanted: dict[str, str]
) -> None:
    """What is there stays, and a change by somebody else in between is not overwritten."""
    files = command_files(TableDefinition(), "chat", function="chatbot")
    found = {"FunctionName": "chatbot", "RevisionId": "r-7", "Environment": environment}
    told = run(files, {**NOT_THERE, CONFIGURATION: found})
    assert told[-1] == {
        "call": "lambda update-function-configuration",
        "request": {
            "FunctionName": "chatbot",
            "RevisionId": "r-7",
            "Environment": {"Variables": wanted},
        },
    }


def test_a_function_s_secrets_are_left_nowhere(run: Run, tmp_path: Path) -> None:
    files = command_files(TableDefinition(), "chat", function="chatbot")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    found = {"FunctionName": "chatbot", "Environment": {"Variables": {"KEY": "s3cr3t"}}}
    run(files, {**NOT_THERE, CONFIGURATION: found}, TMPDIR=str(secrets))
    assert list(secrets.iterdir()) == []
