"""``dynamo-chat doctor``: what it shows, its exit code, and that it changes nothing unasked."""

import json
import os
import shlex
import stat
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.cli import doctor
from dynamo_chat.testing import EmbeddedEngine
from tests.cli.conftest import Run
from tests.doctor.damage import changed, gone, key
from tests.scene import Scene


@pytest.fixture
def scene(engine: EmbeddedEngine) -> Iterator[Scene]:
    """A table with a conversation in it, at the real time."""
    with Scene(engine) as made:
        store = made.new_store()
        store.conversations.create("ann", conversation_id="talk", title="Films")
        store.users.create("ann@example.org", user_id="ann")
        yield made


@pytest.fixture
def command(scene: Scene) -> tuple[str, ...]:
    return "doctor", "--table", scene.table, "--region", scene.engine.region, "--settle", "0"


def test_a_clean_table(run: Run, scene: Scene, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 0
    assert "4 items read" in result.stdout
    assert "No problems found." in result.stdout
    assert run(*command, "--repair", "--yes").exit_code == 0


def test_findings_are_shown_and_told_by_the_exit_code(
    run: Run, scene: Scene, command: tuple[str, ...]
) -> None:
    gone("user_email")(scene)
    changed("conversation", GSI2SK=None)(scene)
    result = run(*command)
    assert result.exit_code == 1
    assert (
        "missing_item user USER#ann# USER# the item of the e-mail address is missing"
        in result.stdout
    )
    assert "half_index_key" in result.stdout
    assert "Only one of the two key attributes of an index is set." in result.stdout


def test_without_yes_nothing_is_changed(run: Run, scene: Scene, command: tuple[str, ...]) -> None:
    gone("user_email")(scene)
    damaged = scene.items()
    result = run(*command, "--repair")
    assert result.exit_code == 1
    assert "1 of missing_item user: create the missing item again" in result.stdout
    assert "Nothing was changed. Add --yes to repair." in result.stdout
    assert json.loads(run(*command, "--repair", "--json").stdout)["repairs"] == []
    assert scene.items() == damaged


def test_a_person_is_asked(
    run: Run, scene: Scene, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = scene.items()
    gone("user_email")(scene)
    monkeypatch.setattr(doctor, "_is_asked", lambda plan: False)
    assert run(*command, "--repair").exit_code == 1
    assert scene.items() != there
    monkeypatch.setattr(doctor, "_is_asked", lambda plan: len(plan) == 1)
    result = run(*command, "--repair")
    assert result.exit_code == 0
    assert "1 repaired, 0 no longer a problem, 0 left." in result.stdout
    assert scene.items() == there


def test_the_report_as_json(
    run: Run, scene: Scene, command: tuple[str, ...], tmp_path: Path
) -> None:
    gone("user_email")(scene)
    scene.put(key(PK="X", SK="Y", kind="invoice"))
    file = tmp_path / "report.json"
    result = run(*command, "--json", "--repair", "--yes", "--report", str(file))
    assert result.exit_code == 1  # an item of nobody's is left
    report: dict[str, Any] = json.loads(result.stdout)
    assert json.loads(file.read_text("utf-8")) == report
    assert (report["items"], report["is_clean"], report["is_complete"]) == (4, False, True)
    assert report["counts"] == {"unknown_kind": 1, "missing_item": 1}
    assert {each["kind"]: each["repair"] for each in report["findings"]} == {
        "user": "create the missing item again",
        "invoice": None,
    }
    (repaired,) = report["repairs"]
    assert (repaired["kind"], repaired["outcome"]) == ("user", "repaired")


def test_what_is_repaired_can_be_kept(
    run: Run, scene: Scene, command: tuple[str, ...], tmp_path: Path
) -> None:
    gone("user")(scene)
    address = scene.only("user_email")
    file = tmp_path / "kept.jsonl"
    assert run(*command, "--repair", "--yes", "--keep", str(file)).exit_code == 0
    assert "user_email" not in scene.kinds()
    (line,) = file.read_text("utf-8").splitlines()
    assert json.loads(line) == address


def test_an_interruption_is_told(
    run: Run, scene: Scene, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dynamo_chat.operations.doctor.doctor.Examined", interrupt)
        result = run(*command, "--page-size", "1")
    assert result.exit_code == 130
    assert "interrupted: the table was read in part" in result.stderr
    assert "1 items read" in result.stdout
    position = result.stdout.split("--start '")[1].split("'\n")[0]
    result = run(*command, "--start", position)
    assert "3 items read" in result.stdout
    assert result.exit_code == 0


def test_wrong_usage(run: Run, command: tuple[str, ...]) -> None:
    assert run(*command, "--yes").exit_code == 2
    for option, value in (("--page-size", "0"), ("--start", "here"), ("--rate", "-1")):
        result = run(*command, option, value)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {option}: must be ")


# -- what others wrote, and others may read -------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_to_all() -> Iterator[None]:
    """New files may be read and written by everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_its_files_are_their_owners_alone(
    run: Run, scene: Scene, command: tuple[str, ...], tmp_path: Path, open_to_all: None
) -> None:
    report, kept = tmp_path / "report.json", tmp_path / "kept.jsonl"
    files = ("--report", str(report), "--keep", str(kept), "--force")
    for earlier in ("", "older"):
        if earlier:
            for file in (report, kept):
                file.write_text(f"{earlier}\n" * 1_000, "utf-8")
                file.chmod(0o666)
        gone("user_email")(scene)
        run(*command, "--repair", "--yes", *files)
        assert (mode(report), mode(kept)) == (0o600, 0o600)
        assert json.loads(report.read_text("utf-8"))["repairs"]
        *before, line = kept.read_text("utf-8").splitlines()
        assert before == [earlier] * 1_000 * bool(earlier)
        assert json.loads(line)["kind"] == {"S": "user"}


def test_a_report_that_can_not_be_written_is_told_first(
    run: Run, scene: Scene, command: tuple[str, ...], tmp_path: Path
) -> None:
    gone("user_email")(scene)
    damaged = scene.items()
    (tmp_path / "file").write_text("", "utf-8")
    for place in (tmp_path / "file" / "report.json", tmp_path / "x\x1b\n" / ("y" * 300)):
        result = run(*command, "--repair", "--yes", "--report", str(place))
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ")
        assert line.isprintable()
        assert scene.items() == damaged


def test_a_report_goes_where_nothing_is_kept(run: Run, command: tuple[str, ...]) -> None:
    before = mode(Path("/dev/null"))
    assert run(*command, "--report", "/dev/null").exit_code == 0
    assert mode(Path("/dev/null")) == before


def test_what_is_kept_may_be_binary(
    run: Run, scene: Scene, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Long messages are compressed."""
    message = NewMessage(role="user", content="It was a dark and stormy night. " * 200)
    scene.new_store().messages.append("talk", message)
    there = scene.only("message")
    (name,) = (name for name, value in there.items() if "B" in value)
    changed("message", ttl={"N": "99999999999"})(scene)
    file = tmp_path / "kept.jsonl"
    assert run(*command, "--repair", "--yes", "--keep", str(file)).exit_code == 0
    assert scene.only("message") == there
    (line,) = file.read_text("utf-8").splitlines()
    assert b64decode(json.loads(line)[name]["B"]) == there[name]["B"]


EVIL = "'; echo [/b] \x1b]0;owned\x07\u202egpj\nNo problems found."


def test_what_is_in_the_table_is_data(run: Run, scene: Scene, command: tuple[str, ...]) -> None:
    scene.put(key(PK=EVIL, SK=EVIL, kind=EVIL))
    result = run(*command, "--repair", "--yes")
    assert result.exit_code == 1
    assert r"'; echo [/b] \x1b]0;owned\x07\u202egpj\nNo problems found." in result.stdout
    for sent in "\x1b\x07\u202e":
        assert sent not in result.stdout
    assert "No problems found." not in result.stdout.splitlines()
    (found,) = json.loads(run(*command, "--json").stdout)["findings"]
    assert found["pk"] == EVIL


def test_a_position_is_safe_to_give_to_a_shell(
    run: Run, scene: Scene, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a key of the table, and whoever goes on pastes it."""
    scene.restore([key(PK=EVIL, SK="1"), key(PK=EVIL, SK="2")])

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dynamo_chat.operations.doctor.doctor.Examined", interrupt)
        shown = run(*command, "--page-size", "1").stdout
    (line,) = (each for each in shown.splitlines() if each.startswith("  --start "))
    option, position = shlex.split(line)
    assert json.loads(position) == {"PK": {"S": EVIL}, "SK": {"S": "1"}}
    assert "1 items read" in run(*command, option, position).stdout
