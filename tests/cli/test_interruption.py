"""Ctrl-C, as a real signal, at requests of the long commands: they say so, and can go on."""

import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.core.connection import Connection
from tests.cli.conftest import Run
from tests.scene import Scene

pytestmark = pytest.mark.once
USERS = [
    {"id": f"u-{number}", "email": f"u-{number}@example.com", "created_at": 1_704_200_000 + number}
    for number in range(4)
]
Ended = Callable[[], None]


@contextmanager
def ctrl_c(number: int) -> Iterator[Callable[[], bool]]:
    """Send SIGINT to this process at the request with this number, whichever thread sends it."""
    sent = itertools.count(1)
    real: Any = Connection.call
    done = False

    def call(connection: Connection, *request: Any, **options: Any) -> Any:
        nonlocal done
        if next(sent) == number:
            done = True
            os.kill(os.getpid(), signal.SIGINT)
        return real(connection, *request, **options)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Connection, "call", call)
        try:
            yield lambda: done
        finally:
            signal.signal(signal.SIGINT, before)


def interrupted(run: Run, number: int, command: tuple[str, ...], says: str) -> bool:
    """Whether it was; then it has said so in one line, with exit code 130."""
    with ctrl_c(number) as is_done:
        result = run(*command)
    if not is_done():
        return False
    assert result.exit_code == 130, (number, result.output)
    (line,) = [each for each in result.stderr.splitlines() if each.startswith("error: ")]
    assert line.startswith("error: interrupted"), line
    assert says in line, (number, line)
    assert "Traceback" not in result.output
    return True


def where(scene: Scene) -> tuple[str, ...]:
    return "--table", scene.table, "--region", scene.engine.region


def filled(scene: Scene) -> Scene:
    for user in ("ann", "bob"):
        scene.store.users.create(f"{user}@example.com", user_id=user)
        for talk in range(2):
            made = scene.store.conversations.create(user, conversation_id=f"{user}-{talk}")
            scene.store.messages.append(
                made.conversation_id, NewMessage(role="user", content="Hello")
            )
    return scene


def test_an_export_and_a_restore(run: Run, scene: Scene, other: Scene, tmp_path: Path) -> None:
    filled(scene)
    folder = str(tmp_path / "archive")
    export = ("export-store", folder, *where(scene), "--segments", "2", "--rate", "0")
    times = [number for number in (3,) if interrupted(run, number, export, "goes on")]
    assert times
    result = run(*export)
    assert result.exit_code == 0, result.output
    restore = ("restore-store", folder, *where(other))
    before = scene.items()
    times = [number for number in (4, 6) if interrupted(run, number, restore, "goes on")]
    assert times
    result = run(*restore)
    assert result.exit_code == 0, result.output
    assert other.items() == before


def test_a_migration(run: Run, scene: Scene, tmp_path: Path) -> None:
    users = tmp_path / "users.jsonl"
    users.write_text("".join(json.dumps(each) + "\n" for each in USERS))
    work = ("--work", str(tmp_path / "work"))
    command = ("migrate", "acs", "--from", f"Users={users}", *where(scene), *work)
    times = [n for n in (2, 4, 5, 7) if interrupted(run, n, command, "goes on")]
    assert times
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "Every record was loaded and compared." in result.stdout
    assert scene.kinds()["user"] == len(USERS)


def test_an_erasure(run: Run, scene: Scene) -> None:
    filled(scene)
    command = ("erase-user", "ann", "--yes", "--settle", "0", *where(scene))
    assert interrupted(run, 2, command, "nothing was erased")
    times = [n for n in (10, 20, 30, 32) if interrupted(run, n, command, " erased")]
    assert times
    assert run(*command).exit_code == 0
    assert not any("ann" in item["PK"]["S"] for item in scene.items())
    assert scene.kinds()["user"] == 1


def test_an_examination(run: Run, scene: Scene) -> None:
    filled(scene)
    count = len(scene.items())
    command = ("doctor", "--rate", "0", "--settle", "0", "--page-size", "5", *where(scene))
    assert interrupted(run, 2, command, "nothing was read")
    with ctrl_c(4):
        result = run(*command)
    assert result.exit_code == 130, result.output
    read = int(result.stdout.split(" items read")[0])
    (line,) = [each for each in result.stdout.splitlines() if each.startswith("  --start ")]
    position = line.removeprefix("  --start ").strip("'")
    rest = run(*command, "--start", position)
    assert rest.exit_code == 0
    assert read + int(rest.stdout.split(" items read")[0]) == count
