"""An application's own folder, as its author has it: the tests in it pass, the commands find it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import INSTALLED

DESK = Path(__file__).parents[1] / "applications" / "desk"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy that is outside of this project."""
    return Path(shutil.copytree(DESK, tmp_path / "desk", ignore=shutil.ignore_patterns("__py*")))


def run(folder: Path, *command: str, code: int = 0) -> str:
    """What a command in the folder prints; modules are found there, as by a user's Python."""
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") and name != "PYTHONSAFEPATH"
    }
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=known | {"PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.once
def test_the_applications_own_tests_pass(folder: Path) -> None:
    """With the package's fixtures, on the embedded engine."""
    told = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert " passed" in told
    assert "skipped" not in told


STORE = ("--store", "desk.store:DeskStore")


@pytest.mark.once
def test_the_commands_find_the_applications_methods(folder: Path) -> None:
    cli = "dynamo_chat.cli"
    shown = json.loads(run(folder, cli, "patterns", "--json", "--domain", "application", *STORE))
    assert {"FI1", "CK1", "ME1", "NO1"} <= {entry["id"] for entry in shown}
    measured = json.loads(
        run(folder, cli, "patterns", "--json", "--measure", "--domain", "application", *STORE)
    )
    assert all(entry["within_budget"] and entry["cases"] for entry in measured)
    policy = run(
        folder, cli, "policy", "service", "--table", "chat", "--repository", "attachments", *STORE
    )
    assert "dynamodb:BatchGetItem" in policy


@pytest.mark.once
@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("desk", "must be MODULE:CLASS, as myapp.store:MyStore"),
        ("nowhere:Store", "No module named 'nowhere'"),
        ("desk.store:Nothing", "has no attribute 'Nothing'"),
        ("desk.notes:Note", "must be a subclass of ChatStore"),
    ],
)
def test_a_store_that_is_none_is_refused(folder: Path, named: str, told: str) -> None:
    shown = run(folder, "dynamo_chat.cli", "patterns", "--store", named, code=2)
    assert told in " ".join(shown.replace("│", " ").split())
