"""``scripts/test``: tox in an environment of its own, over every Python of this machine."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tooling.environment import ROOT, EnvironmentFailed, announce, environment
from tooling.interpreters import Interpreter, discover

TOX = "tox>=4.23,<5"
EVERYWHERE = "not ministack and not nightly"
ENDPOINT = "DYNAMO_CHAT_TEST_ENDPOINT"
HASH_SEEDS = {"py311": 1, "py312": 3, "py313": 4}
"""The hash seed of each Python's tests, as in ``tox.ini``."""

DESCRIPTION = """\
Without options: all that is checked before a change goes in, in this order.

  lint          ruff, formatting, import contracts, the project's own rules
  types         mypy --strict over everything; pyright over a user's program
  laws          the law tests (tests/laws) with 2,000 examples each (profile `ci`)
  once          the long tests that every Python would answer alike (marked `once`)
  py311 - py313 every other test, on each Python found, with 100 examples each (profile `default`);
                each under a hash seed of its own, and again on another where one is missing
  provision     the generated templates under cfn-lint, checkov and CDK's own assertions
  docs          the documentation, warnings are errors

The examples of the laws are the long part, so the 2,000 run once, on the Python that runs this
script, and the other runs show that the laws hold on every version. HYPOTHESIS_PROFILE overrides
the profile of every run. Tests run in random order: `-- --randomly-seed=N` repeats the one that a
run has printed.
"""


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 0 when all of it passed."""
    options = _parser().parse_args(arguments)
    pytest_arguments: list[str] = options.pytest_arguments
    try:
        made = environment("tox", [TOX])
    except EnvironmentFailed as error:
        print(error, file=sys.stderr)
        return 1
    found = list(_found_interpreters())
    environments = ",".join(_environments(options, found))
    command = [str(made.python), "-m", "tox", "run", "-e", environments]
    if found:
        command += ["--discover", *(str(interpreter.path) for interpreter in found)]
    # What is not on this machine was left out above; what tox can't find then is a failure.
    command += ["--skip-missing-interpreters", "false"]
    if pytest_arguments:
        # Of what is asked for by name, each Python runs the long tests too; the last -m counts.
        command += ["--", "-m", EVERYWHERE, *pytest_arguments]
    variables = dict(os.environ)
    if options.engine and options.engine != "ministack":
        variables[ENDPOINT] = options.engine
    elif options.engine:
        variables.pop(ENDPOINT, None)  # the suite starts its own server
    announce(f"tox: {environments}")
    return subprocess.run(
        command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, check=False
    ).returncode


def _environments(options: argparse.Namespace, found: Sequence[Interpreter]) -> list[str]:
    """What tox runs. Arguments for pytest leave out what does not run pytest."""
    pythons = [interpreter.environment for interpreter in found]
    if options.only:
        return [str(options.only)]
    if options.engine:
        return ["engine"]
    if options.nightly:
        return ["nightly"]
    if options.pytest_arguments:
        return pythons
    return ["lint", "types", "laws", "once", *pythons, *_again(pythons), "provision", "docs"]


def _again(pythons: Sequence[str]) -> list[str]:
    """The tests once more, on the first Python, under the hash seeds of those that are missing."""
    missing = [seed for name, seed in HASH_SEEDS.items() if name not in pythons]
    return [f"{name}-hash{seed}" for name in pythons[:1] for seed in missing]


def _found_interpreters() -> Iterator[Interpreter]:
    for version, interpreter in discover().items():
        name = f"Python {version[0]}.{version[1]}"
        if interpreter is None:
            announce(f"{name}: not on this machine, left out")
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
        "--engine",
        metavar="ministack|URL",
        help="the engine suite alone: on a ministack server, installed and started for it in an "
        "environment of its own on 127.0.0.1; or on the endpoint at URL",
    )
    which.add_argument(
        "--nightly",
        action="store_true",
        help="every test, the nightly ones too, with 50,000 examples for each law (hours)",
    )
    which.add_argument("--only", metavar="ENV[,ENV]", help="these of the above, such as lint,py312")
    parser.add_argument(
        "pytest_arguments",
        metavar="-- ARGUMENT",
        nargs="*",
        help="go to pytest, as in: scripts/test -- tests/laws -x",
    )
    return parser
