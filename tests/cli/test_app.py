"""What holds for every command: help, version, errors as one line, exit codes."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import dynamo_chat.cli.patterns
from dynamo_chat.core.errors import DynamoChatError

COMMANDS = [
    (),
    ("demo",),
    ("doctor",),
    ("patterns",),
    ("table",),
    ("table", "create"),
    ("table", "check"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(run: Callable[..., Any], command: tuple[str, ...]) -> None:
    for asked in ("--help", "-h"):
        result = run(*command, asked)
        assert result.exit_code == 0
        assert "Usage: " in result.stdout


def test_the_commands_are_listed(run: Callable[..., Any]) -> None:
    listed = run("--help").stdout
    for command in ("demo", "patterns", "table"):
        assert f" {command} " in listed


def test_the_version(run: Callable[..., Any]) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("dynamo-chat ")


def test_an_error_of_the_package_is_one_line(run: Callable[..., Any]) -> None:
    """It goes to standard error, with exit code 1 and no traceback."""
    result = run("table", "describe", "--table", "not-there", "--region", "eu-west-1")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: table 'not-there' does not exist")
    assert "`dynamo-chat table create`" in line


@pytest.mark.parametrize(
    ("option", "wrong"), [("endpoint-url", "foo"), ("endpoint-url", ""), ("region", "eu west")]
)
def test_a_wrong_address_is_one_line(run: Callable[..., Any], option: str, wrong: str) -> None:
    command = ("table", "describe", "--table", "chat", "--region", "eu-west-1")
    result = run(*command, f"--{option}", wrong)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: --{option}: must be ")


def test_what_only_reads_wrote_nothing(run: Callable[..., Any]) -> None:
    """Nobody answers: only what writes may have happened all the same."""
    nobody = ("--table", "chat", "--region", "eu-west-1", "--endpoint-url", "http://127.0.0.1:9")
    read, written = run("table", "describe", *nobody), run("table", "create", *nobody)
    assert "no answer from the endpoint" in read.stderr
    assert "happened" not in read.stderr
    assert read.exit_code == written.exit_code == 1


def test_an_error_of_several_lines_becomes_one(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise DynamoChatError("first line\n  second line")

    monkeypatch.setattr(dynamo_chat.cli.patterns, "catalogue", fail)
    result = run("patterns")
    assert result.exit_code == 1
    assert result.stderr == "error: first line second line\n"


def test_a_bug_is_no_error_message(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the package did not foresee keeps its traceback."""

    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dynamo_chat.cli.patterns, "catalogue", fail)
    with pytest.raises(ZeroDivisionError):
        run("patterns")


def test_wrong_usage_is_told_apart(run: Callable[..., Any]) -> None:
    assert run().exit_code == 2
    assert run("table").exit_code == 2
    assert run("nonsense").exit_code == 2
    assert run("table", "create").exit_code == 2


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    program = f"""
import sys
sys.modules[{missing!r}] = None
from dynamo_chat.cli import main
main()
"""
    ended = _python(program)
    assert ended.returncode == 1
    assert ended.stderr == "dynamo-chat needs the extra `cli`: pip install 'dynamo_chat[cli]'\n"


def test_an_interruption_before_the_command_begins_is_one_line() -> None:
    program = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background has none
class Interrupting:
    def find_spec(self, name, *rest):
        if name == "dynamo_chat.cli.app":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from dynamo_chat.cli import main
main()
"""
    ended = _python(program)
    assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")


@pytest.mark.once
def test_the_demo_without_the_engine_says_what_to_install() -> None:
    program = """
import sys
sys.modules["moto"] = None
sys.argv = ["dynamo-chat", "demo"]
from dynamo_chat.cli import main
main()
"""
    ended = _python(program)
    assert ended.returncode == 1
    assert "pip install 'dynamo_chat[cli,testing]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_catalogue_needs_no_engine() -> None:
    """``patterns`` starts no engine: it is for looking up, and quick."""
    program = """
import sys
sys.argv = ["dynamo-chat", "patterns", "--json"]
from dynamo_chat.cli import main
try:
    main()
finally:
    print("moto" in sys.modules or "pytest" in sys.modules, file=sys.stderr)
"""
    ended = _python(program)
    assert ended.stderr == "False\n"


@pytest.mark.once
def test_a_reader_that_has_read_enough_is_no_error() -> None:
    """``dynamo-chat patterns --json | head -1``, as a shell runs it."""
    program = "from dynamo_chat.cli import main; main()"
    command = [sys.executable, "-c", program, "patterns", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert b"error" not in running.stderr.read()
