"""``dynamo-chat table create|check|describe``, with the embedded engine in AWS's place."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat.testing import EmbeddedEngine

Run = Callable[..., Any]


@pytest.fixture
def where(engine: EmbeddedEngine) -> tuple[str, ...]:
    return ("--table", f"chat-{uuid.uuid4().hex}", "--region", engine.region)


def test_a_table_is_created_once(run: Run, where: tuple[str, ...]) -> None:
    first = run("table", "create", *where)
    assert first.exit_code == 0
    assert "was created" in first.stdout
    again = run("table", "create", *where)
    assert again.exit_code == 0
    assert "exists already" in again.stdout


def test_what_was_created_is_as_it_should_be(run: Run, where: tuple[str, ...]) -> None:
    run("table", "create", *where)
    result = run("table", "check", *where)
    assert result.exit_code == 0
    assert "has the right settings" in result.stdout


def test_differences_are_listed_and_told_by_the_exit_code(run: Run, where: tuple[str, ...]) -> None:
    run("table", "create", *where, "--no-deletion-protection")
    result = run("table", "check", *where)
    assert result.exit_code == 1
    assert "deletion protection: off, should be on" in result.stdout
    assert run("table", "check", *where, "--no-deletion-protection").exit_code == 0


def test_every_option_is_created_and_checked(run: Run, where: tuple[str, ...]) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    options = (
        *("--provisioned", "--read", "4", "--write", "3:3"),
        *("--encryption", "customer", "--kms-key", key),
        *("--stream", "--contributor-insights", "--tag", "team=chat"),
    )
    created = run("table", "create", *where, *options)
    assert created.exit_code == 0, created.output
    assert run("table", "check", *where, *options).exit_code == 0
    shown = run("table", "describe", *where).stdout
    for told in ("4 read and 3 write units a second", key, "NEW_AND_OLD_IMAGES"):
        assert told in " ".join(shown.split()), told
    other = run("table", "check", *where, *options, "--tag", "stage=prod", "--replica", "us-east-1")
    assert other.exit_code == 2  # a key of one region can't be a replica's
    assert "multi-Region" in other.stderr
    less = run("table", "check", *where, *options[5:], "--tag", "stage=prod")
    assert less.exit_code == 1
    for told in ("billing: PROVISIONED, should be PAY_PER_REQUEST", "tag stage: None"):
        assert told in less.stdout


def test_capacity_that_is_to_be_scaled_is_for_a_template(run: Run, where: tuple[str, ...]) -> None:
    result = run("table", "create", *where, "--provisioned")
    assert result.exit_code == 2
    assert "dynamo-chat template" in result.stderr


def test_what_the_store_cannot_do_without_is_marked(
    run: Run, engine: EmbeddedEngine, where: tuple[str, ...]
) -> None:
    keys = [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}]
    engine.client().create_table(
        TableName=where[1],
        BillingMode="PAY_PER_REQUEST",
        KeySchema=keys,
        AttributeDefinitions=[
            {"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys
        ],
    )
    result = run("table", "check", *where)
    assert result.exit_code == 1
    assert "! index GSI1: missing, should be active" in result.stdout
    assert "the store needs it" in result.stdout


def test_tags_are_given(run: Run, engine: EmbeddedEngine, where: tuple[str, ...]) -> None:
    run("table", "create", *where, "--tag", "team=chat", "--tag", "stage=a=b")
    client = engine.client()
    arn = client.describe_table(TableName=where[1])["Table"]["TableArn"]
    tags = client.list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "chat", "stage": "a=b"}
    assert run("table", "create", *where, "--tag", "nonsense").exit_code == 2


def test_a_table_is_described(run: Run, where: tuple[str, ...]) -> None:
    run("table", "create", *where)
    shown = run("table", "describe", *where).stdout
    assert where[1] in shown
    assert "ACTIVE" in shown
    assert "GSI2PK / GSI2SK" in shown
    assert "PAY_PER_REQUEST" in shown


def test_the_description_as_json(run: Run, where: tuple[str, ...]) -> None:
    run("table", "create", *where)
    described = json.loads(run("table", "describe", *where, "--json").stdout)
    assert described["TableName"] == where[1]
    assert {index["IndexName"] for index in described["GlobalSecondaryIndexes"]} == {
        "GSI1",
        "GSI2",
    }


def test_the_environment_names_the_table(
    run: Run, where: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNAMODB_TABLE_NAME", where[1])
    assert run("table", "create").exit_code == 0
    assert run("table", "check").exit_code == 0


def test_a_missing_region_is_told(
    run: Run, where: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    result = run("table", "check", *where[:2])
    assert result.exit_code == 1
    assert "no AWS region" in result.stderr
