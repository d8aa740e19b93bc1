"""``dynamo-chat doctor``: what it shows, its exit code, and that it changes nothing unasked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat.cli import doctor
from dynamo_chat.testing import EmbeddedEngine
from tests.chat.world import World
from tests.cli.conftest import Run
from tests.doctor.damage import changed, gone, key


@pytest.fixture
def world(engine: EmbeddedEngine) -> Iterator[World]:
    """A table with a conversation in it, at the real time."""
    with World(engine) as made:
        store = made.store()
        store.conversations.create("ann", conversation_id="talk", title="Films")
        store.users.create("ann@example.org", user_id="ann")
        yield made


@pytest.fixture
def command(world: World) -> tuple[str, ...]:
    return "doctor", "--table", world.table, "--region", world.engine.region, "--settle", "0"


def test_a_clean_table(run: Run, world: World, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 0
    assert "4 items read" in result.stdout
    assert "Nothing is wrong." in result.stdout
    assert run(*command, "--repair", "--yes").exit_code == 0


def test_findings_are_shown_and_told_by_the_exit_code(
    run: Run, world: World, command: tuple[str, ...]
) -> None:
    gone("user_email")(world)
    changed("conversation", GSI2SK=None)(world)
    result = run(*command)
    assert result.exit_code == 1
    assert "missing_item user USER#ann# USER# the item of its e-mail is missing" in result.stdout
    assert "half_index_key" in result.stdout
    assert "one key attribute of an index without the other" in result.stdout


def test_without_yes_nothing_is_changed(run: Run, world: World, command: tuple[str, ...]) -> None:
    gone("user_email")(world)
    damaged = world.items()
    result = run(*command, "--repair")
    assert result.exit_code == 1
    assert "1 of missing_item user: make it again" in result.stdout
    assert "Nothing was changed. Say --yes to do it." in result.stdout
    assert json.loads(run(*command, "--repair", "--json").stdout)["repairs"] == []
    assert world.items() == damaged


def test_a_person_is_asked(
    run: Run, world: World, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = world.items()
    gone("user_email")(world)
    monkeypatch.setattr(doctor, "_is_asked", lambda plan: False)
    assert run(*command, "--repair").exit_code == 1
    assert world.items() != there
    monkeypatch.setattr(doctor, "_is_asked", lambda plan: len(plan) == 1)
    result = run(*command, "--repair")
    assert result.exit_code == 0
    assert "1 repaired, 0 in order by then, 0 left." in result.stdout
    assert world.items() == there


def test_the_report_as_json(
    run: Run, world: World, command: tuple[str, ...], tmp_path: Path
) -> None:
    gone("user_email")(world)
    world.put(key(PK="X", SK="Y", kind="invoice"))
    file = tmp_path / "report.json"
    result = run(*command, "--json", "--repair", "--yes", "--report", str(file))
    assert result.exit_code == 1  # an item of nobody's is left
    report: dict[str, Any] = json.loads(result.stdout)
    assert json.loads(file.read_text("utf-8")) == report
    assert (report["items"], report["is_clean"], report["is_complete"]) == (4, False, True)
    assert report["counts"] == {"unknown_kind": 1, "missing_item": 1}
    assert {each["kind"]: each["repair"] for each in report["findings"]} == {
        "user": "make it again",
        "invoice": None,
    }
    (repaired,) = report["repairs"]
    assert (repaired["kind"], repaired["outcome"]) == ("user", "repaired")


def test_what_is_repaired_can_be_kept(
    run: Run, world: World, command: tuple[str, ...], tmp_path: Path
) -> None:
    gone("user")(world)
    address = world.only("user_email")
    file = tmp_path / "kept.jsonl"
    assert run(*command, "--repair", "--yes", "--keep", str(file)).exit_code == 0
    assert "user_email" not in world.kinds()
    (line,) = file.read_text("utf-8").splitlines()
    assert json.loads(line) == address


def test_an_interruption_is_told(
    run: Run, world: World, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dynamo_chat.operations.doctor.doctor.Examined", interrupt)
        result = run(*command, "--page-size", "1")
    assert result.exit_code == 1
    assert "1 items read" in result.stdout
    position = result.stdout.split("--start '")[1].split("'\n")[0]
    result = run(*command, "--start", position)
    assert "3 items read" in result.stdout
    assert result.exit_code == 0


def test_wrong_usage(run: Run, command: tuple[str, ...]) -> None:
    assert run(*command, "--yes").exit_code == 2
    for option, value in (("--page-size", "0"), ("--start", "here"), ("--rate", "-1")):
        result = run(*command, option, value)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
