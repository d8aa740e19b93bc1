"""What holds for every command, found by walking all of them: wrong usage, quiet, files, words."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

import dynamo_chat
from dynamo_chat.cli.app import app
from dynamo_chat.cli.wording import in_words, option_for, worded
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.testing import EmbeddedEngine
from tests.cli.conftest import Run

PACKAGE = Path(dynamo_chat.__path__[0])


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, with the words that it is called by."""

    def below(names: tuple[str, ...], group: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, found in group.commands.items():
            if hasattr(found, "commands"):
                yield from below((*names, name), found)
            else:
                yield (*names, name), found

    return below((), typer.main.get_command(app))


COMMANDS = dict(commands())
TABLE = {"name": ("--table", "chat"), "to": ("--to", "chat-2")}
ARGUMENTS = {
    "format_": "cloudformation",
    "document": "acs",
    "file": "atlas.html",
    "folder": "archive",
    "user_id": "ann",
    "arn": "arn:aws:dynamodb:eu-west-1:123456789012:table/chat/backup/1",
    "bucket": "exports",
}


def needed(command: Any, but: str = "") -> list[str]:
    """The arguments and options without which the command is wrong usage."""
    given: list[str] = []
    for each in command.params:
        if each.param_type_name == "argument" and each.name != but:
            given.append(ARGUMENTS[each.name])
        elif each.required and each.name != but:
            given += TABLE.get(each.name, (each.opts[0], "x"))
    return given


def limited(command: Any) -> Iterator[tuple[str, str]]:
    """The options that take numbers, or one of some words."""
    parameters = inspect.signature(command.callback).parameters
    for each in command.params:
        annotated = parameters[each.name].annotation if each.name in parameters else None
        kind: Any = next(iter(get_args(annotated)), None)
        is_limited = isinstance(kind, type) and issubclass(kind, (int, float, Enum))
        if each.param_type_name == "option" and is_limited and kind is not bool:
            yield each.name, next(name for name in each.opts if name.startswith("--"))


def refused(run: Run, *arguments: str) -> str:
    """The one line of a wrong usage."""
    result = run(*arguments)
    assert result.exit_code == 2, (arguments, result.output)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: "), line
    assert result.stdout == ""
    return str(line).removeprefix("error: ")


@pytest.mark.once
@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_wrong_usage_is_one_line_and_ends_with_two(
    run: Run, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown option, an argument too many, a required one left out, a number that is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive").mkdir()
    command = COMMANDS[names]
    assert "--nonsense" in refused(run, *names, *needed(command), "--nonsense")
    assert "extra argument" in refused(run, *names, *needed(command), "one-too-many")
    for each in command.params:
        if each.required:
            line = refused(run, *names, *needed(command, but=each.name))
            assert line.startswith(str(each.metavar or each.name.upper())) or "--" in line
            assert "is missing" in line
    for name, option in limited(command):
        line = refused(run, *names, *needed(command, but=name), option, "nonsense")
        assert line.startswith(f"{option}: must be") or "is not one of" in line, line


@pytest.mark.once
@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_a_wrong_region_or_table_is_wrong_usage_in_the_option_s_name(
    run: Run, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive").mkdir()
    command = COMMANDS[names]
    options = {each.name: each.opts for each in command.params}
    if names[0] in {"patterns", "cost", "template", "policy", "alarms"} or "region" not in options:
        return
    rest = [*needed(command, but="work"), *(("--work", "w") if "work" in options else ())]
    line = refused(run, *names, *rest, "--region", "not a region")
    assert line.startswith("--region: must be")


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_can_be_quiet(names: tuple[str, ...]) -> None:
    assert "quiet" in {each.name for each in COMMANDS[names].params}


def test_quiet_prints_errors_and_what_was_asked_for(run: Run) -> None:
    where = ("--table", "quiet", "--region", "eu-west-1")
    made = run("table", "create", *where, "--no-deletion-protection", "--quiet")
    assert (made.exit_code, made.output) == (0, "")
    told = run("table", "check", *where, "--no-deletion-protection", "--quiet", "--json")
    assert json.loads(told.stdout)["differences"] == []
    wrong = run("table", "check", *where, "--quiet")
    assert (wrong.exit_code, wrong.output) == (1, "")
    gone = run("table", "check", "--table", "none", "--region", "eu-west-1", "--quiet")
    assert gone.stderr.startswith("error: table 'none' does not exist")
    assert "exists already" in run("table", "create", *where).stdout  # the next one is not quiet


# -- files and folders ----------------------------------------------------------------------------

WRITERS = [
    ("template", "cloudformation", "--table", "chat", "--output"),
    ("alarms", "terraform", "--table", "chat", "--output"),
    ("policy", "service", "--table", "chat", "--output"),
    ("policy", "deploy", "--table", "chat", "--output"),
]


@pytest.mark.parametrize("command", WRITERS, ids=" ".join)
def test_no_file_is_overwritten_and_no_folder_made(
    run: Run, command: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "made.json"
    assert run(*command, str(path)).exit_code == 0
    path.write_text("mine")
    assert "exists already; --force replaces it" in refused(run, *command, str(path))
    assert path.read_text() == "mine"
    assert run(*command, str(path), "--force").exit_code == 0
    assert path.read_text() != "mine"
    nowhere = tmp_path / "none" / "made.json"
    assert "make it first" in refused(run, *command, str(nowhere))
    assert not nowhere.parent.exists()
    assert "is a folder" in refused(run, *command, str(tmp_path))


def test_a_folder_of_files_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    command = ("template", "cli", "--table", "chat", "--output", str(folder))
    assert run(*command).exit_code == 0
    (folder / "create.sh").write_text("mine")
    refused(run, *command)
    assert (folder / "create.sh").read_text() == "mine"
    assert run(*command, "--force").exit_code == 0
    assert (folder / "create.sh").read_text() != "mine"


def test_a_migration_makes_no_folder_that_nobody_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ("--table", "chat", "--region", "eu-west-1")
    assert refused(run, "migrate", "acs", *where).startswith("--work is missing")
    assert "make it first" in refused(run, "migrate", "acs", *where, "--work", "a/b")
    assert "make it first" in refused(run, "export-store", "a/b", *where)
    assert list(tmp_path.iterdir()) == []


# -- words ----------------------------------------------------------------------------------------

_PYTHON = re.compile(r"\w\(\)|\w=(?!\w*…)|\bNone\b|\bDecimal\b|store\.|\('")
_SPOKEN = ["core/connection.py", "core/settings.py"]
_SPOKEN_FOLDERS = ["archive", "operations", "provision"]
_NOT_FROM_OPTIONS = (
    "must be a TableDefinition",
    "must be Thresholds",
    "must be a Capacity",
    "must be True or False",
    "must be None without encryption_managed",
    "store.keys",
)
"""What is said only to a program that passes another type."""


def literals() -> Iterator[tuple[str, str]]:
    """The texts of errors in the modules that commands call, with their modules."""
    paths = [PACKAGE / each for each in _SPOKEN]
    paths += [each for folder in _SPOKEN_FOLDERS for each in (PACKAGE / folder).rglob("*.py")]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _called(node)[:1].isupper():
                for argument in node.args:
                    if text := _text(argument):
                        yield path.name, text


def _called(node: ast.Call) -> str:
    found = node.func
    name = found.attr if isinstance(found, ast.Attribute) else getattr(found, "id", "")
    known = getattr(dynamo_chat.core.errors, name, None)
    is_error = isinstance(known, type) and issubclass(known, Exception)
    return name if is_error else ""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) or "…" for each in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return ""


def test_no_error_of_a_command_speaks_to_programs() -> None:
    found = [*literals()]
    assert len(found) > 100
    for module, text in found:
        if not any(each in text for each in _NOT_FROM_OPTIONS):
            assert not _PYTHON.search(in_words(text)), (module, in_words(text))


def test_an_argument_becomes_the_option_that_the_command_has() -> None:
    options = {"rate": "--rate", "name": "--table", "domain": "--domain"}
    assert option_for("write_units_per_second", options) == "--rate"
    assert option_for("table name", options) == "--table"
    assert option_for("domain chats", options) == "--domain"
    assert option_for("heir_id", options) is None
    wrong = InvalidArgument("rate", "must be above 0, or None for no limit")
    assert worded(wrong, options) == ("--rate: must be above 0; leave it out for no limit", True)
    assert worded(NotFound("user", "ann"), options) == ("user 'ann' was not found", False)


def test_a_file_s_error_has_no_number(run: Run, tmp_path: Path, engine: EmbeddedEngine) -> None:
    file = tmp_path / ("y" * 300)
    result = run("template", "terraform", "--table", "chat", "--output", str(file))
    assert result.exit_code in {1, 2}
    assert "Errno" not in result.stderr


# -- completion -----------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("dynamo-chat exp", {"export-store", "export-user"}),
        ("dynamo-chat table ", {"create", "check", "describe", "probe"}),
        ("dynamo-chat migrate ", {"acs", "support"}),
        ("dynamo-chat cost --reg", {"--region"}),
    ],
)
def test_a_shell_completes(words: str, offered: set[str]) -> None:
    program = "from dynamo_chat.cli import main; import sys; sys.argv = ['dynamo-chat']; main()"
    asked = {
        "_DYNAMO_CHAT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | asked
    )
    assert offered <= set(ended.stdout.split()), ended
