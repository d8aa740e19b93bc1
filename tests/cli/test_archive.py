"""``dynamo-chat export-store`` and ``restore-store``: what they show, and their exit codes."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.scene import Scene


def where(scene: Scene) -> tuple[str, ...]:
    return "--table", scene.table, "--region", scene.engine.region


def test_a_store_is_exported_and_restored(
    run: Run, scene: Scene, other: Scene, tmp_path: Path
) -> None:
    scene.store.conversations.create("ann", title="Renders", conversation_id="talk")
    folder = str(tmp_path / "archive")
    dry = run("export-store", folder, *where(scene), "--dry-run")
    assert "About 2 items" in dry.stdout
    assert "Nothing was written." in dry.stdout
    assert not (tmp_path / "archive").exists()
    made = run("export-store", folder, *where(scene), "--segments", "2", "--rate", "0")
    assert made.exit_code == 0
    assert "conversation_title  " in made.stdout
    assert f"2 items are in {folder}." in made.stdout
    digest = made.stdout.split("Digest: ")[1].strip()
    again = run("export-store", folder, *where(scene))
    assert (again.exit_code, "complete archive" in again.stderr) == (2, True)

    dry = run("restore-store", folder, *where(other), "--dry-run", "--digest", digest)
    assert "2 items would be restored. Nothing was written." in dry.stdout
    assert (dry.exit_code, other.items()) == (0, [])
    done = run("restore-store", folder, *where(other), "--rate", "1000", "--workers", "1")
    assert done.exit_code == 0
    assert "2 items were written, 0 existed already; 2 were read back and are equal." in done.stdout
    assert other.items() == scene.items()
    refused = run("restore-store", folder, *where(other))
    assert (refused.exit_code, "must be empty" in refused.stderr) == (2, True)


def test_reports_are_json_and_differences_are_told(run: Run, scene: Scene, tmp_path: Path) -> None:
    scene.store.conversations.create("ann", title="Renders", conversation_id="talk")
    folder = str(tmp_path / "archive")
    assert json.loads(run("export-store", folder, *where(scene), "--dry-run", "--json").stdout)
    made = json.loads(run("export-store", folder, *where(scene), "--json").stdout)
    assert (made["items"], made["kinds"]["conversation"]) == (2, 1)
    scene.store.conversations.rename("talk", "Another")
    done = run("restore-store", folder, *where(scene), "--merge")
    assert done.exit_code == 1
    assert "conversation (conversation_id 'talk'): " in done.stdout
    report = json.loads(run("restore-store", folder, *where(scene), "--merge", "--json").stdout)
    assert report["is_clean"] is False
    assert report["differing"] == len(report["differences"]) >= 1


def test_what_is_damaged_is_told(run: Run, scene: Scene, other: Scene, tmp_path: Path) -> None:
    """An unknown kind: restored on request, or with the store that knows it."""
    scene.put({"PK": {"S": "A#"}, "SK": {"S": "B#"}, "kind": {"S": "\x1b[31mx"}})
    folder = str(tmp_path / "archive")
    made = run("export-store", folder, *where(scene))
    assert "\\x1b[31mx" in made.stdout
    assert "1 unknown_kind" in made.stdout
    refused = run("restore-store", folder, *where(other))
    assert refused.exit_code == 1
    assert "1 unknown_kind (name the application's own store)" in refused.stderr
    done = run("restore-store", folder, *where(other), "--with-damaged")
    assert done.exit_code == 0
    assert "They are restored as they are." in done.stdout


@pytest.mark.parametrize(
    ("command", "options", "told"),
    [
        ("export-store", ("--segments", "0"), "segments"),
        ("export-store", ("--rate", "-1"), "above 0"),
        ("export-store", ("--store", "nowhere:Store"), "--store"),
        ("restore-store", ("--workers", "0"), "workers"),
        ("restore-store", ("--rate", "-1"), "above 0"),
        ("restore-store", (), "manifest.json: is missing"),
    ],
)
def test_wrong_options_are_named(
    run: Run, scene: Scene, tmp_path: Path, command: str, options: tuple[str, ...], told: str
) -> None:
    result = run(command, str(tmp_path), *where(scene), *options)
    assert result.exit_code != 0
    assert told in result.stderr.replace("\n", " ")
