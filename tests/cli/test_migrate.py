"""``dynamo-chat migrate``: from files and tables; what it shows, and its exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.scene import Scene

USERS = [
    {"id": "u-1", "email": "ann@example.com", "created_at": "2024-01-01 12:00", "extra": 1},
    {"id": "u-2", "email": "ANN@example.com", "created_at": 1_704_200_000},
]


@pytest.fixture
def command(scene: Scene, tmp_path: Path) -> tuple[str, ...]:
    where = ("--table", scene.table, "--region", scene.engine.region, "--work", str(tmp_path / "w"))
    return "migrate", "acs", *where


@pytest.fixture
def users(tmp_path: Path) -> str:
    path = tmp_path / "users.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in USERS))
    return f"Users={path}"


def test_a_dry_run_then_the_run_then_the_mended_file(
    run: Run, scene: Scene, command: tuple[str, ...], users: str, tmp_path: Path
) -> None:
    """Times without a zone are read in the one that is given."""
    options = ("--from", users, "--zone", "Europe/Rome", "--time", "Users.updated_at=UTC")
    dry = run(*command, *options, "--dry-run")
    assert dry.exit_code == 1
    assert "Nothing was written." in dry.stdout
    assert "duplicate: its email is that of user 'u-1', who is older (1)" in dry.stdout
    assert "Users.extra: is not part of the document, and left out (1, such as u-1)" in dry.stdout
    assert "read as Europe/Rome" in dry.stdout
    assert scene.items() == []
    result = run(*command, *options, "--rate", "1000", "--units", "1000", "--workers", "2")
    assert result.exit_code == 1
    assert scene.store.users.get("u-1").created_at.isoformat() == "2024-01-01T11:00:00+00:00"
    refused = tmp_path / "w" / "refused.jsonl"
    assert refused.stat().st_mode & 0o077 == 0
    (told,) = map(json.loads, refused.read_text().splitlines())
    told["record"]["email"] = "bob@example.com"
    (tmp_path / "mended.jsonl").write_text(json.dumps(told))
    result = run(*command, *options, "--mended", str(tmp_path / "mended.jsonl"))
    assert result.exit_code == 0, result.stdout
    assert "Every record was loaded and compared." in result.stdout
    assert refused.read_text() == ""
    assert scene.store.users.get("u-2").email == "bob@example.com"


def test_a_table_is_read_and_the_report_is_json(
    run: Run, scene: Scene, command: tuple[str, ...]
) -> None:
    name = f"{scene.table}-Users"
    scene.client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "u"}, "email": {"S": "u@example.com"}, "created_at": {"N": "1704200000"}}
    scene.client.put_item(TableName=name, Item=item)
    try:
        result = run(*command, "--from", f"Users=table:{name}", "--json")
        since = ("--again", "--changed-since", "2025-01-01T00:00:00Z")
        later = run(*command, "--from", f"Users=table:{name}", "--json", *since)
    finally:
        scene.client.delete_table(TableName=name)
    assert (result.exit_code, later.exit_code) == (0, 0)
    first: Any = json.loads(result.stdout)["tables"][0]
    assert (first["table"], first["records"], first["verified"]) == ("Users", 1, 1)
    assert json.loads(later.stdout)["tables"][0]["gone"] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "Users"), "must have the form NAME=VALUE"),
        (("--from", "Users=nowhere"), "no file or folder"),
        (("--changed-since", "now"), "must be like"),
        (("--changed-since", "2025-01-01"), "add a time zone"),
        (("--zone", "Nowhere/None"), "IANA"),
        (("--rate", "0"), "above 0"),
    ],
)
def test_wrong_options_are_named(
    run: Run, command: tuple[str, ...], options: tuple[str, ...], told: str
) -> None:
    result = run(*command, *options)
    assert result.exit_code != 0
    assert told in result.stderr.replace("\n", " ")
