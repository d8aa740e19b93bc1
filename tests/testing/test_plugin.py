"""The fixtures work in a project that knows nothing but their names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import INSTALLED, ROOT


def run_pytest(folder: Path, test: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run one test file in a process and folder of its own."""
    (folder / "test_user.py").write_text(test)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DYNAMO_"))}
    plugins = ["-p", "dynamo_chat.testing.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-W", "error", "-q", "test_user.py"],
        cwd=folder,
        env={
            **inherited,
            "PYTHONPATH": str(INSTALLED),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_store_of_its_own_for_each_test(tmp_path: Path) -> None:
    """On the embedded engine, with nothing configured; what one test wrote, no other sees."""
    done = run_pytest(
        tmp_path,
        """
import os
import re

import pytest

tables = set()

@pytest.mark.parametrize("run", range(2))
def test_store(chat_store, run):
    assert len(chat_store.conversations.list_by_user("u-1")) == 0
    chat_store.conversations.create(user_id="u-1")
    assert len(chat_store.conversations.list_by_user("u-1")) == 1
    assert chat_store.connection.table_name not in tables
    tables.add(chat_store.connection.table_name)
    client = chat_store.connection.client
    assert client.list_tables()["TableNames"] == [chat_store.connection.table_name]
    assert os.environ["AWS_ACCESS_KEY_ID"] != "real"
""",
        AWS_ACCESS_KEY_ID="real",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.once
def test_what_dynamodb_rejects_fails_the_test(tmp_path: Path) -> None:
    """Also when the code under test swallows everything."""
    done = run_pytest(
        tmp_path,
        """
import contextlib

def test_store(chat_store):
    with contextlib.suppress(BaseException):
        chat_store.connection.client.scan(TableName=chat_store.connection.table_name)
""",
    )
    assert done.returncode == 1
    assert "StrictViolation: Scan" in done.stdout


@pytest.mark.once
def test_a_clock_stands_still_in_the_tests_that_ask_for_it(tmp_path: Path) -> None:
    """Whatever the order of the fixtures; another test has the real time."""
    done = run_pytest(
        tmp_path,
        """
from datetime import UTC, datetime, timedelta

import pytest

@pytest.fixture
def talk(chat_store):
    return chat_store.conversations.create("u-1", retention=timedelta(days=30))

def test_frozen(talk, chat_store, chat_clock):
    assert talk.created_at == chat_clock.now()
    assert chat_store.conversations.create("u-1").created_at == talk.created_at
    chat_clock.advance(timedelta(days=30, seconds=1))
    assert len(chat_store.conversations.list_by_user("u-1")) == 1

def test_clock_first(chat_clock, chat_store):
    chat_clock.advance(timedelta(days=900))
    assert chat_store.conversations.create("u-1").created_at == chat_clock.now()

def test_real(talk, chat_store):
    assert abs(datetime.now(UTC) - talk.created_at) < timedelta(minutes=5)
    assert chat_store.conversations.create("u-1").created_at > talk.created_at
""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.once
def test_the_changes_of_a_test_are_typed_and_read_once(tmp_path: Path) -> None:
    """And those that another test makes, or the store made before, are not among them."""
    done = run_pytest(
        tmp_path,
        """
import pytest

from dynamo_chat import Changed, Conversation, Created, Deleted, Message, NewMessage

@pytest.mark.parametrize("run", range(2))
def test_changes(chat_store, chat_changes, dynamo_chat_engine, run):
    assert chat_changes.read() == []
    talk = chat_store.conversations.create("u-1", title="Night renders")
    assert chat_changes.read() == [Created(talk)]
    assert chat_changes.read() == []
    later = dynamo_chat_engine.changes(chat_store)
    said = chat_store.messages.append(talk.conversation_id, NewMessage(role="user", content="Hi"))
    changes = chat_changes.read()
    assert Created(said) in changes
    (changed,) = [each for each in changes if isinstance(each, Changed)]
    assert (changed.before, changed.after.message_count) == (talk, 1)
    assert later.read() == changes
    chat_store.conversations.delete(talk.conversation_id)
    kinds = {type(each.before) for each in chat_changes.read() if isinstance(each, Deleted)}
    assert kinds == {Conversation, Message}

def test_many(chat_store, chat_changes):
    for number in range(120):
        chat_store.rate_limits.count(f"a-{number}", "ai", "f")
    assert len(chat_changes.read()) == 120
""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.once
def test_the_environment_names_another_engine(tmp_path: Path) -> None:
    """By its endpoint."""
    done = run_pytest(
        tmp_path,
        """
def test_engine(dynamo_chat_engine):
    assert dynamo_chat_engine.endpoint_url == "http://127.0.0.1:9"
    assert dynamo_chat_engine.client().meta.endpoint_url == "http://127.0.0.1:9"
""",
        DYNAMO_CHAT_TEST_ENDPOINT="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.once
@pytest.mark.parametrize("module", ["moto", "boto3", "hypothesis"])
def test_loading_the_plugin_imports_no_engine(module: str) -> None:
    """It is loaded at the start of every test run, of every project."""
    program = f"import sys, dynamo_chat.testing.plugin; print({module!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.once
def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    """As they stand on the page."""
    text = (ROOT / "docs" / "guide" / "testing.md").read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    programs = [each for each in found if "def test_" in each]
    done = run_pytest(tmp_path, "\n\n".join(programs))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(each.count('def test_') for each in programs)} passed" in done.stdout
