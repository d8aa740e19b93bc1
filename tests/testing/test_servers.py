"""The ministack server is installed once, started on a free port, and stopped with certainty."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from dynamo_chat.testing import MinistackServer, servers

STAND_IN = """#!{python}
import http.server, json, os, sys

if {dies}:
    sys.exit("no such luck")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps([sys.argv[1:], dict(os.environ)]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

address = os.environ["BIND_HOST"], int(os.environ["GATEWAY_PORT"])
http.server.HTTPServer(address, Handler).serve_forever()
"""


def stand_in(folder: Path, *, dies: bool = False) -> Path:
    """Something that can be started like an interpreter that has ministack."""
    path = folder / "python"
    path.write_text(STAND_IN.format(python=sys.executable, dies=dies))
    path.chmod(0o755)
    return path


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_runs_from_start_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 127.0.0.1 only, without the credentials of whoever runs the tests."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("PERSIST_STATE", "1")
    with MinistackServer(python=stand_in(tmp_path)) as server:
        pid = server.pid
        assert pid is not None
        with urlopen(f"{server.endpoint_url}/_ministack/health") as answer:  # noqa: S310 - http
            arguments, environment = json.load(answer)
        assert is_alive(pid)
        assert server.start().pid == pid
        assert server.engine().endpoint_url == server.endpoint_url
    assert not is_alive(pid)
    assert server.pid is None
    assert arguments == ["-m", "ministack"]
    assert environment["BIND_HOST"] == "127.0.0.1"
    assert environment["PERSIST_STATE"] == "0"
    assert "AWS_ACCESS_KEY_ID" not in environment
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.endpoint_url


def test_it_comes_back_where_it_was(tmp_path: Path) -> None:
    """At the same address, in another process, with the folder that its tables are kept in."""
    with MinistackServer(python=stand_in(tmp_path), state=tmp_path / "state") as server:
        address, pid = server.endpoint_url, server.pid
        assert server.restart() is server
        assert server.endpoint_url == address
        assert server.pid not in {None, pid}
        with urlopen(f"{address}/_ministack/health") as answer:  # noqa: S310 - http
            _, environment = json.load(answer)
    assert (environment["PERSIST_STATE"], environment["STATE_DIR"]) == (
        "1",
        str(tmp_path / "state"),
    )


def test_it_does_not_come_back_without_its_tables(tmp_path: Path) -> None:
    with MinistackServer(python=stand_in(tmp_path)) as server:
        pid = server.pid
        with pytest.raises(RuntimeError, match="state="):
            server.restart()
        assert server.pid == pid


def test_it_says_why_it_did_not_start(tmp_path: Path) -> None:
    """With what the server printed."""
    with pytest.raises(servers.ServerFailed, match="no such luck"):
        MinistackServer(python=stand_in(tmp_path, dies=True)).start()


def test_the_environment_names_its_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is installed."""
    monkeypatch.setenv(servers.PYTHON_VARIABLE, str(stand_in(tmp_path)))
    monkeypatch.setattr(servers, "install_ministack", None)
    with MinistackServer() as server:
        assert server.pid is not None


class Installer:
    """Stands for the commands that make an environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[Sequence[str]] = []
        self.while_installing: Any = lambda: None
        monkeypatch.setattr(servers, "_run", self.run)

    def run(self, command: list[str]) -> None:
        self.commands.append(command)
        if "venv" not in command:
            self.while_installing()


def test_it_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its pinned version, into a folder of its own."""
    installer = Installer(monkeypatch)
    cache = tmp_path / "cache"
    python = servers.install_ministack(cache)
    assert servers.install_ministack(cache) == python
    assert len(installer.commands) == 2
    assert installer.commands[1][-1] == servers.MINISTACK
    assert python.is_relative_to(cache)
    assert [folder.name for folder in cache.iterdir()] == [python.parents[1].name]


def test_two_may_install_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that finishes later uses what is there, and cleans up."""
    installer = Installer(monkeypatch)

    def other_finishes_first() -> None:
        installer.while_installing = lambda: None
        python = servers.install_ministack(tmp_path)
        python.parents[1].joinpath("by-the-other").touch()

    installer.while_installing = other_finishes_first
    python = servers.install_ministack(tmp_path)
    assert python.parents[1].joinpath("by-the-other").exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_installation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try starts from the beginning; the error ends with what was printed."""
    monkeypatch.setattr("subprocess.run", failing)
    with pytest.raises(servers.ServerFailed, match="no space left"):
        servers.install_ministack(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def failing(command: Sequence[str], **_: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.CompletedProcess(command, 1, "", "no space left")
