"""The quick tests run under several hash seeds, however many Pythons there are."""

import configparser
import re
from argparse import Namespace
from pathlib import Path

import pytest

from tooling import test_command
from tooling.environment import ROOT
from tooling.interpreters import SUPPORTED, Interpreter

ALL = Namespace(only=None, engine=None, nightly=False, pytest_arguments=[])


def planned(*minors: int) -> list[str]:
    """The environments that run the quick tests, where these versions 3.x are found."""
    found = [Interpreter((3, minor, 0), Path("python")) for minor in minors]
    return [name for name in test_command._environments(ALL, found) if name.startswith("py")]


def seeds_of_tox() -> dict[str, int]:
    """The hash seed of each factor in ``tox.ini``, in the order of its lines."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    lines = re.findall(r"^(\w+): PYTHONHASHSEED = (\d+)$", tox["testenv"]["set_env"], re.MULTILINE)
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
