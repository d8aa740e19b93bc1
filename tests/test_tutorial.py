"""The tutorial is true: its files run as they stand, and its commands do what it says."""

import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.places import INSTALLED
from tests.tutorial import PAGE, commands, written

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the tutorial, in which its commands run."""
    for name, text in written().items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(INSTALLED))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # which tox sets, and no user
    # FastAPI itself makes fields in a way that pydantic warns of.
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    return tmp_path


@pytest.fixture
def port(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of the service, started by `dev.py`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    monkeypatch.setenv("PORT", str(port))
    with subprocess.Popen([sys.executable, "dev.py"], cwd=folder) as server:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and server.poll() is None:
                with suppress(httpx.TransportError):
                    httpx.get(f"http://127.0.0.1:{port}/openapi.json")
                    break
                time.sleep(0.1)
            yield port
        finally:
            server.terminate()


def test_what_curl_says(port: int) -> None:
    """A message that is sent twice is there once, and nobody else sees it."""
    answers: list[httpx.Response] = []
    for line in commands():
        if line.startswith("curl "):
            identity = answers[0].json()["conversation_id"] if answers else ""
            answers.append(curl(line.replace("$ID", identity), port))
    created, listed, first, again, messages, of_bob = answers
    assert created.status_code == first.status_code == again.status_code == 201
    assert [each["title"] for each in listed.json()["items"]] == [None]
    assert first.json() == again.json()
    assert [each["content"] for each in messages.json()["items"]] == ["Show me 4K renders"]
    assert messages.json()["cursor"] is None
    assert of_bob.status_code == 404


def curl(line: str, port: int) -> httpx.Response:
    """Do what the command does."""
    words = iter(shlex.split(line)[1:])
    method, url, body, headers = "GET", "", None, {}
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-d":
                body = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case _:
                url = word.replace("localhost:8080", f"http://127.0.0.1:{port}")
    return httpx.request(method, url, headers=headers, content=body)


def test_its_tests_pass(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    told = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout
    assert " 2 passed" in f" {told.stdout.splitlines()[-1]}"


def test_its_files_for_aws(folder: Path) -> None:
    """The template and the policy are written."""
    for line in commands():
        if line.startswith(("dynamo-chat template", "dynamo-chat policy")):
            words = [sys.executable, "-m", "dynamo_chat.cli", *shlex.split(line)[1:]]
            subprocess.run(words, check=True, cwd=folder, capture_output=True)
    template = json.loads((folder / "chat.json").read_text("utf-8"))
    assert "chat-prod" in json.dumps(template)
    policy = json.loads((folder / "service.json").read_text("utf-8"))
    assert policy["Statement"]


def test_every_file_that_it_names_is_written() -> None:
    named = set(re.findall(r"`(\w+\.py)`", PAGE.read_text("utf-8")))
    assert named == set(written())
