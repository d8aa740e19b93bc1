"""What `scripts/test` runs, in which lanes, and what it prints of it."""

import configparser
import re
import shlex
import tomllib
from argparse import Namespace
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest
from tooling import test_command
from tooling.environment import ROOT, Environment
from tooling.interpreters import SUPPORTED, Interpreter


def options(*arguments: str) -> Namespace:
    """The options of a command line."""
    return test_command._parser().parse_args(arguments)


def found(*minors: int) -> list[Interpreter]:
    """Pythons of these versions 3.x."""
    return [Interpreter((3, minor, 0), Path("python")) for minor in minors]


def planned(*minors: int) -> list[str]:
    """The environments that run the quick tests, where these versions 3.x are found."""
    tests, _ = test_command.lanes_of(options("--all"), found(*minors))
    return [name for name in tests if name.startswith("py")]


def tox() -> configparser.ConfigParser:
    """What ``tox.ini`` says."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    return tox


def seeds_of_tox() -> dict[str, int]:
    """The hash seed of each factor in ``tox.ini``, in the order of its lines."""
    lines = re.findall(
        r"^(\w+): PYTHONHASHSEED = (\d+)$", tox()["testenv"]["set_env"], re.MULTILINE
    )
    return {factor: int(seed) for factor, seed in lines}


def seed_of(environment: str) -> int:
    """The hash seed under which tox runs an environment: the last line that fits it counts."""
    factors = environment.split("-")
    return [seed for factor, seed in seeds_of_tox().items() if factor in factors][-1]


def test_each_python_has_a_seed_of_its_own() -> None:
    assert planned(11, 12, 13) == ["py311", "py312", "py313"]
    pythons = {f"py{major}{minor}" for major, minor in SUPPORTED}
    assert set(test_command.HASH_SEEDS) == pythons
    assert {name: seed_of(name) for name in pythons} == test_command.HASH_SEEDS


@pytest.mark.parametrize("minors", [(11, 12, 13), (12,), (11, 13), (13,)])
def test_the_seed_of_a_missing_python_is_run_on_another(minors: tuple[int, ...]) -> None:
    environments = planned(*minors)
    assert sorted(map(seed_of, environments)) == sorted(test_command.HASH_SEEDS.values())
    assert len(set(map(seed_of, environments))) >= 3


def test_without_any_python_there_is_nothing_to_run() -> None:
    assert planned() == []


@pytest.mark.parametrize("arguments", [[], ["--all"]], ids=["quick", "all"])
def test_every_step_is_in_tox_and_in_the_help(arguments: list[str]) -> None:
    steps = list(chain.from_iterable(test_command.lanes_of(options(*arguments), found(11, 12, 13))))
    in_tox = chain.from_iterable(
        expanded(section.removeprefix("testenv:")) for section in tox().sections()
    )
    pythons = set(test_command.HASH_SEEDS)
    assert len(set(steps)) == len(steps)
    assert set(steps) - pythons <= set(in_tox)
    assert all(f"  {step} " in test_command.DESCRIPTION for step in set(steps) - {"py312", "py313"})


def expanded(section: str) -> list[str]:
    """``laws{,-ci}`` stands for two environments."""
    name, _, ends = section.partition("{")
    return [name + end for end in ends.removesuffix("}").split(",")]


def test_without_options_one_python_runs_everything_but_the_long_runs() -> None:
    tests, looks = test_command.lanes_of(options(), [])
    assert tests == ["suite", "laws"]
    assert looks == ["lint", "types", "docs"]


def test_arguments_for_pytest_run_on_one_python_or_on_all() -> None:
    assert test_command.lanes_of(options("--", "-x"), []) == [["suite"], []]
    everywhere = test_command.lanes_of(options("--all", "--", "-x"), found(11, 13))
    assert everywhere == [["py311", "py313"], []]


def test_some_steps_run_in_their_lanes() -> None:
    asked = options("--only", "laws,lint,py312")
    assert test_command.lanes_of(asked, found(12)) == [["laws", "py312"], ["lint"]]


def test_two_steps_with_tests_and_a_check_run_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each once; what failed is named at the end, and what was slow on every Python."""
    at_once = Barrier(3)
    slow = "SLOW 7.1 s tests/a.py::test_s[x y]\n"
    texts = {"py311": slow, "py312": f"{slow}SLOW 6.0 s tests/a.py::test_noise\n", "once": slow}

    def one(name: str, command: Sequence[str], _: dict[str, str]) -> test_command.Outcome:
        if name in {"once", "py311", "lint"}:
            at_once.wait(timeout=60)
        assert command == [name]
        return test_command.Outcome(name, int(name == "docs"), 1.0, texts.get(name, "last line"))

    monkeypatch.setattr(test_command, "_one", one)
    monkeypatch.setattr(test_command, "OUTPUT", ROOT / ".tox" / "output")
    lanes = [["once", "py311", "py312"], ["lint", "docs"]]
    assert test_command._run(lambda name: [name], lanes, {}) == 1
    said = capsys.readouterr().out
    assert "docs failed (all of it: .tox/output/docs.txt):\n  last line\n" in said
    assert said.count("SLOW") == 0
    assert "\n  tests/a.py::test_s[x y]\n" in said
    assert "test_noise" not in said
    assert "Failed: docs, after" in said


def test_a_slow_test_that_runs_everywhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only there, and only where a limit is set."""
    reports = [
        SimpleNamespace(duration=seconds, nodeid=f"tests/a.py::test_{name}", keywords={name: 1})
        for name, seconds in (("quick", 4.9), ("slow", 5.06), ("once", 9.0), ("long", 9.0))
    ]
    lines: list[str] = []
    reporter: Any = SimpleNamespace(getreports=lambda _: reports, write_line=lines.append)
    monkeypatch.delenv("DYNAMO_CHAT_TEST_SLOW", raising=False)
    conftest.pytest_terminal_summary(reporter)
    assert not lines
    monkeypatch.setenv("DYNAMO_CHAT_TEST_SLOW", "5")
    conftest.pytest_terminal_summary(reporter)
    assert lines == ["SLOW 5.1 s tests/a.py::test_slow"]
    outcome = test_command.Outcome("py311", 0, 1.0, "\n".join(["...", *lines, "5 passed"]))
    assert outcome.slow() == {"tests/a.py::test_slow"}


def test_the_engine_suite_that_is_asked_for_has_its_long_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the one of the complete check has not: they run on the embedded engine there."""
    run: list[Sequence[str]] = []
    monkeypatch.setattr(test_command, "environment", lambda *_: Environment(Path("made")))

    def ran(command: Sequence[str], _: dict[str, str]) -> int:
        run.append(command)
        return 0

    monkeypatch.setattr(test_command, "_tox", ran)
    for asked in ("ministack", "http://127.0.0.1:8000"):
        assert test_command.main(["--engine", asked, "--", "-x"]) == 0
    marks = [command[command.index("-m", 3) + 1] for command in run]
    assert marks == ["engine or ministack", "engine"]
    assert all(command[-1] == "-x" for command in run)


def test_a_step_that_failed_names_what_failed() -> None:
    text = "F..\nFAILED tests/a.py::test_b - x\n=== 1 failed, 2 passed in 3.21s (0:00:03) ===\n"
    failed = test_command.Outcome("suite", 1, 3.4, text)
    assert failed.line() == "suite       FAILED      3 s   1 failed, 2 passed"
    assert list(failed.failures()) == ["  FAILED tests/a.py::test_b - x"]


def test_a_step_without_tests_shows_its_last_lines() -> None:
    failed = test_command.Outcome("docs", 2, 61.0, "first\n" + "more\n" * 29 + "last")
    assert failed.line() == "docs        FAILED     61 s"
    assert list(failed.failures()) == ["  more"] * 29 + ["  last"]


def test_the_check_of_a_change_is_the_command_of_the_readme() -> None:
    assert "\n$ scripts/test " in (ROOT / "README.md").read_text("utf-8")
    assert "scripts/test --all" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_types_of_every_file_are_checked_in_one_step() -> None:
    """Of those that mypy looks at: `types` leaves out what `frameworks` names, and nothing else."""
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    left_out, *folders = mypy_arguments("types", "--exclude")
    named = mypy_arguments("frameworks{,-oldest}", "--follow-imports=silent")
    files = [
        path
        for folder in mypy["files"]
        for each in sorted((ROOT / folder).rglob("*.py"))
        for path in [each.relative_to(ROOT).as_posix()]
        if not any(re.search(pattern, path) for pattern in mypy["exclude"])
    ]
    in_types = {
        path
        for path in files
        if path.partition("/")[0] in folders and not re.search(left_out, path)
    }
    in_frameworks = {path for path in files if f"{path}/".startswith(tuple(f"{n}/" for n in named))}
    assert in_frameworks >= {path for path in files if "/integrations/" in path}
    assert in_types.isdisjoint(in_frameworks)
    assert in_types | in_frameworks == set(files)


def mypy_arguments(environment: str, option: str) -> list[str]:
    """What follows `option` in the first call of mypy of an environment."""
    commands = tox()[f"testenv:{environment}"]["commands"]
    (arguments, *_) = re.findall(rf"mypy {option} (.*)$", commands, re.MULTILINE)
    return shlex.split(arguments)


def test_the_oldest_frameworks_are_the_first_of_their_ranges() -> None:
    pinned = tox()["testenv:frameworks{,-oldest}"]["deps"]
    oldest = dict(re.findall(r"^oldest: ([\w-]+)==(\d+\.\d+(?:\.[1-9]\d*)?)", pinned, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = ("adk", "chatkit", "langgraph", "openai-agents", "pydantic-ai")
    needed = chain.from_iterable(project["optional-dependencies"][extra] for extra in extras)
    assert oldest == dict(re.findall(r"^([\w-]+)>=([\d.]+),<", "\n".join(needed), re.MULTILINE))
    assert len(oldest) == len(extras)
    assert test_command.lanes_of(options("--nightly"), []) == [
        ["nightly", "frameworks", "frameworks-oldest"],
        [],
    ]
