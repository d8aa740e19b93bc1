"""``scripts/test``: run tox in a separate environment, with one line per tox environment."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event
from typing import IO

from tooling.environment import ROOT, EnvironmentFailed, announce, environment
from tooling.interpreters import Interpreter, discover

TOX = "tox>=4.23,<5"
EVERYWHERE = "not (ministack or nightly)"
ENDPOINT = "DYNAMO_CHAT_TEST_ENDPOINT"
HASH_SEEDS = {"py311": 1, "py312": 3, "py313": 4}
"""The hash seed of each Python's tests, as in ``tox.ini``."""
LOOKS = ("lint", "types", "docs")
OUTPUT = ROOT / ".tox" / "output"
COUNTED = re.compile(r"^=+ (.* (?:passed|failed|error).*) in [\d.]+s.*=+$", re.MULTILINE)
NAMED = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)
SLOW = re.compile(r"^SLOW .* (\S+::.*)$", re.MULTILINE)
"""A test that ``tests/conftest.py`` names at the end of a run."""
ENGINE_TESTS = {True: "engine or ministack", False: "engine"}
"""The whole engine suite: on a server that is started, and on an endpoint."""

DESCRIPTION = """\
Without options: the checks of a change before it is merged, on the Python that runs this script.

  lint          ruff, formatting, import contracts, the project's own rules
  types         mypy --strict, except over the adapters; pyright over a user's program
  docs          the documentation, warnings are errors
  laws          the laws (tests/laws), with 500 examples each
  suite         every other test, except those marked once or long

With --all, lint, types and docs, and also:

  provision     the generated templates under cfn-lint, checkov and CDK's own assertions
  laws-ci       the laws, with 2,000 examples each
  once          the long runs, and the tests that don't depend on the Python version
  py311 - py313 every other test, on each installed Python with a different hash seed; for a
                missing Python, again on another one
  engine        the engine suite on a ministack server, without what is marked once or long
  loop          state machines, faults and daily calls through AsyncChatStore, on an event loop
  frameworks    the adapters of dynamo_chat.integrations, each with its framework; and their types
  browser       the atlas in a real browser, which comes from the npm registry
  proof         a short proof under load and faults

Each prints one line when it is done; its output is in .tox/output. Failures are listed at the end.
Tests run in random order: `-- --randomly-seed=N` repeats the order whose seed a run has printed.
HYPOTHESIS_PROFILE overrides the number of examples everywhere.
"""


@dataclass(frozen=True)
class Outcome:
    """The result of an environment."""

    name: str
    code: int
    seconds: float
    text: str

    def line(self) -> str:
        """Its line: name, whether it passed, the time, and pytest's counts."""
        counted = COUNTED.findall(self.text)
        said = f"   {counted[-1]}" if counted else ""
        return f"{self.name:<12}{'FAILED' if self.code else 'passed'} {self.seconds:6.0f} s{said}"

    def failures(self) -> Iterator[str]:
        """The failures: the names of tests, or else the last lines of the output."""
        named = NAMED.findall(self.text)
        for line in named or self.text.splitlines()[-30:]:
            yield f"  {line}"

    def slow(self) -> set[str]:
        """The tests that took long, although they run on every Python."""
        return set(SLOW.findall(self.text))


def main(arguments: Sequence[str]) -> int:
    """Run the requested environments. Returns 0 if all passed."""
    options = _parser().parse_args(arguments)
    try:
        made = environment("tox", [TOX])
    except EnvironmentFailed as error:
        print(error, file=sys.stderr)
        return 1
    found = list(_found_interpreters()) if options.all or options.only else []
    lanes = lanes_of(options, found)
    command = [str(made.python), "-m", "tox", "run"]
    if found:
        command += ["--discover", *(str(interpreter.path) for interpreter in found)]
    # What is not on this machine was left out above; what tox can't find then is a failure.
    command += ["--skip-missing-interpreters", "false"]
    after = []
    if options.engine or options.pytest_arguments:
        # Of what is asked for by name, the long tests run too; the last -m counts.
        whole = ENGINE_TESTS[options.engine == "ministack"] if options.engine else EVERYWHERE
        after = ["--", "-m", whole, *options.pytest_arguments]
    variables = _variables(options)
    if sum(map(len, lanes)) == 1:
        ((name,),) = filter(None, lanes)
        return _tox([*command, "-e", name, *after], variables)
    return _run(lambda name: [*command, "-e", name, *after], lanes, variables)


def lanes_of(options: argparse.Namespace, found: Sequence[Interpreter]) -> list[list[str]]:
    """The tox environments to run: those with tests, and checks. See `_run`.

    Arguments for pytest leave out what does not run pytest.
    """
    pythons = [interpreter.environment for interpreter in found]
    if options.only:
        names = options.only.split(",")
        looks = [name for name in names if name in LOOKS]
        return [[name for name in names if name not in looks], looks]
    if options.engine:
        return [["engine"], []]
    if options.nightly:
        return [["nightly", "frameworks", "frameworks-oldest"], []]
    if options.pytest_arguments:
        return [pythons or ["suite"], []]
    if options.all:
        # -- the longest first, so that the processors are busy to the end
        shorter = ["laws-ci", "loop", "frameworks", "browser", "proof"]
        tests = ["once", "engine", *pythons, *_again(pythons), *shorter]
        return [tests, [*LOOKS, "provision"]]
    return [["suite", "laws"], [*LOOKS]]


def _again(pythons: Sequence[str]) -> list[str]:
    """The tests again, on the first Python, with the hash seeds of the missing Pythons."""
    missing = [seed for name, seed in HASH_SEEDS.items() if name not in pythons]
    return [f"{name}-hash{seed}" for name in pythons[:1] for seed in missing]


def _variables(options: argparse.Namespace) -> dict[str, str]:
    """The environment variables of tox. An endpoint is only for the engine suite."""
    variables = dict(os.environ)
    if options.engine and options.engine != "ministack":
        variables[ENDPOINT] = options.engine
    elif options.engine or options.all:
        variables.pop(ENDPOINT, None)  # the suite starts its own server
    return variables


def _run(
    command: Callable[[str], Sequence[str]],
    lanes: Sequence[Sequence[str]],
    variables: dict[str, str],
) -> int:
    """Run every environment and print its line, and at the end the failures.

    Two environments with tests run at a time, and one check beside them. An environment with tests
    leaves processors idle while it is installed, while its tests wait, and behind its last test.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    stopped = Event()
    tests, looks = map(iter, lanes)

    def run(names: Iterator[str]) -> list[Outcome]:
        return [_one(name, command(name), variables) for name in names if not stopped.is_set()]

    with ThreadPoolExecutor(3) as pool:
        try:
            outcomes = list(chain.from_iterable(pool.map(run, [tests, tests, looks])))
        except KeyboardInterrupt:  # which has reached what runs now, but not what comes next
            stopped.set()
            return 130
    failed = [outcome for outcome in outcomes if outcome.code]
    for outcome in failed:
        print(f"\n{outcome.name} failed (all of it: {_output(outcome.name).relative_to(ROOT)}):")
        print(*outcome.failures(), sep="\n")
    _print_slow([outcome.slow() for outcome in outcomes if outcome.name in HASH_SEEDS])
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    said = f"Failed: {', '.join(each.name for each in failed)}" if failed else "All passed"
    print(f"\n{said}, after {minutes} min {seconds} s.")
    return 1 if failed else 0


def _print_slow(slow: Sequence[set[str]]) -> None:
    """Name the tests that were slow on every Python: on one alone, the machine may have been."""
    if names := set.intersection(*slow) if slow else set():
        print("\nSlow, and run on every Python (docs/guide/development.md says what to do):")
        print(*(f"  {name}" for name in sorted(names)), sep="\n")


def _one(name: str, command: Sequence[str], variables: dict[str, str]) -> Outcome:
    """Run one environment, with its output in its own file."""
    started = time.monotonic()
    with _output(name).open("w", encoding="utf-8") as output:
        code = _tox(command, variables, output)
    seconds = time.monotonic() - started
    outcome = Outcome(name, code, seconds, _output(name).read_text("utf-8", "replace"))
    print(outcome.line(), flush=True)
    return outcome


def _tox(command: Sequence[str], variables: dict[str, str], output: IO[str] | None = None) -> int:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        check=False,
    ).returncode


def _output(name: str) -> Path:
    return OUTPUT / f"{name}.txt"


def _found_interpreters() -> Iterator[Interpreter]:
    for version, interpreter in discover().items():
        name = f"Python {version[0]}.{version[1]}"
        if interpreter is None:
            announce(f"{name}: not installed, skipped")
        else:
            announce(f"{name}: {interpreter.path}")
            yield interpreter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--all",
        action="store_true",
        help="also every other Python, the templates' scanners and the long runs",
    )
    which.add_argument(
        "--engine",
        metavar="ministack|URL",
        help="only the engine suite: on a ministack server, installed in its own environment and "
        "started on 127.0.0.1; or on the endpoint at URL",
    )
    which.add_argument(
        "--nightly",
        action="store_true",
        help="every test, also the nightly ones, with 50,000 examples per law, and the adapters "
        "with the newest and the oldest frameworks (takes hours)",
    )
    which.add_argument(
        "--only", metavar="ENV[,ENV]", help="only these environments, such as lint,py312"
    )
    parser.add_argument(
        "pytest_arguments",
        metavar="-- ARGUMENT",
        nargs="*",
        help="passed to pytest, as in: scripts/test -- tests/laws -x; with --all, on every Python",
    )
    return parser
