"""``dynamo-chat backup``: what it shows, and what its exit code tells."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from dynamo_chat import StillRunning, TableDefinition
from dynamo_chat.cli.app import app
from dynamo_chat.provision.backups import Backup, Backups
from dynamo_chat.provision.restoring import Restored
from dynamo_chat.provision.table import Difference
from tests.provision.backed_up import Place, bucket, place

__all__ = ["bucket", "place"]

pytestmark = pytest.mark.once


@pytest.fixture
def run(place: Place) -> Callable[..., Any]:
    where = ["--table", place.name, "--region", place.engine.region]
    if place.engine.endpoint_url:
        where += ["--endpoint-url", place.engine.endpoint_url]
    return lambda command, *arguments: CliRunner().invoke(
        app, ["backup", command, *where, *arguments]
    )


@pytest.mark.engine
def test_the_commands_back_up_and_restore(place: Place, run: Callable[..., Any]) -> None:
    assert "There are no backups." in run("list").stdout
    made = json.loads(run("create", "--name", "nightly", "--json").stdout)
    assert made["name"] == "nightly"
    listed = run("list").stdout
    assert made["arn"] in listed
    assert "Can be restored to any time" in listed
    (told,) = json.loads(run("list", "--json").stdout)["backups"]
    assert told["arn"] == made["arn"]
    assert "nightly" in run("describe", made["arn"]).stdout
    target = place.fresh()
    restored = run("restore", made["arn"], "--to", target)
    assert restored.exit_code == 0, restored.output
    assert f"Table {target} was restored." in restored.stdout
    assert "It has the right settings." in restored.stdout
    again = run("restore-to-time", "--to", place.fresh())
    assert again.exit_code == 0, again.output


@pytest.mark.engine
def test_a_table_is_restored_as_the_options_say(place: Place, run: Callable[..., Any]) -> None:
    arn, target = place.backups.create().arn, place.fresh()
    options = ("--encryption", "aws-owned", "--stream", "--tag", "team=chat")
    restored = run("restore", arn, "--to", target, *options)
    assert f"Table {target} was restored." in restored.stdout
    wanted = TableDefinition(encryption_managed=False, stream=True, tags={"team": "chat"})
    # Not every engine restores the billing that it is asked to.
    found = [each for each in place.at(target).table.check(wanted) if each.setting != "billing"]
    assert found == []
    for setting in ("stream", "tag", "encryption"):
        assert f"- {setting}" not in restored.stdout


def test_without_options_a_restore_is_as_the_source_was(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what has no option of its own is left to the source."""
    asked: list[TableDefinition | None] = []

    def restore(*_: Any, definition: TableDefinition | None, **__: Any) -> Restored:
        asked.append(definition)
        return Restored("x", ())

    monkeypatch.setattr(Backups, "restore", restore)
    monkeypatch.setattr(Backups, "restore_to_time", restore)
    for command in (("restore", "arn:backup"), ("restore-to-time",)):
        assert run(*command, "--to", "x").exit_code == 0
        assert run(*command, "--to", "x", "--encryption", "aws-managed").exit_code == 0
        assert run(*command, "--to", "x", "--no-deletion-protection").exit_code == 0
    managed, unprotected = TableDefinition(), TableDefinition(deletion_protection=False)
    assert asked == [None, managed, unprotected] * 2


@pytest.mark.engine
def test_the_command_exports(run: Callable[..., Any], bucket: tuple[str, Any]) -> None:
    made = json.loads(run("export", bucket[0], "--prefix", "x", "--json").stdout)
    assert made["status"] == "COMPLETED"
    assert made["prefix"] == "x"
    assert "COMPLETED" in run("describe", made["arn"]).stdout


def test_errors_of_the_commands_are_one_line(place: Place, run: Callable[..., Any]) -> None:
    arn = f"{place.backups.create().arn}0"
    result = run("restore", arn, "--to", place.fresh())
    assert result.exit_code == 1
    assert "was not found" in result.stderr
    for wrong in ("yesterday", "2025-12-30T14:00:00"):
        assert run("restore-to-time", "--to", "elsewhere", "--at", wrong).exit_code == 2


def test_a_wait_that_is_cut_short_names_what_runs(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: Any, **__: Any) -> Backup:
        raise StillRunning("backup x: still CREATING after 1 seconds", "arn:the-backup")

    monkeypatch.setattr(Backups, "create", create)
    result = run("create", "--timeout", "1")
    assert result.exit_code == 1
    assert "arn:the-backup" in result.stderr
    assert "still CREATING" in result.stderr


def test_differences_are_listed_and_told_by_the_exit_code(
    place: Place, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Difference("index GSI1", "active", "missing", is_essential=True)
    monkeypatch.setattr(Backups, "restore", lambda *_, **__: Restored("x", (found,)))
    result = run("restore", "arn:backup", "--to", place.fresh())
    assert result.exit_code == 1
    assert "index GSI1: missing, should be active" in result.stdout
