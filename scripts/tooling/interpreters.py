"""The Pythons of this machine on which the tests run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUPPORTED = ((3, 11), (3, 12), (3, 13))

# Where version managers put what they install, relative to the home directory. Their Pythons are
# often not on PATH, or only as a shim that refuses to run.
MANAGED = (
    ".pyenv/versions/*",
    ".asdf/installs/python/*",
    ".local/share/mise/installs/python/*",
    ".local/share/uv/python/*",
)

PROBE = """
import json, platform, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:3],
    "final": sys.version_info[3] == "final",
    "plain": platform.python_implementation() == "CPython"
             and not sysconfig.get_config_var("Py_GIL_DISABLED"),
}))
"""


@dataclass(frozen=True, order=True)
class Interpreter:
    """A Python that runs, and its version."""

    version: tuple[int, int, int]
    path: Path

    @property
    def environment(self) -> str:
        """Its tox environment, such as ``py312``."""
        return f"py{self.version[0]}{self.version[1]}"


def discover() -> dict[tuple[int, int], Interpreter | None]:
    """The interpreter for each supported version; None for a version that is not installed.

    The one that runs this comes first, then those on PATH, then the newest that a version manager
    holds. An executable which does not answer is not there.
    """
    return {version: _find(version) for version in SUPPORTED}


def _find(version: tuple[int, int]) -> Interpreter | None:
    return next((found for found in map(_ask, _candidates(version)) if _fits(found, version)), None)


def _fits(found: Interpreter | None, version: tuple[int, int]) -> bool:
    return found is not None and found.version[:2] == version


def _candidates(version: tuple[int, int]) -> Iterator[Path]:
    if sys.version_info[:2] == version:
        # Of a virtual environment, the Python that it was made with.
        yield Path(getattr(sys, "_base_executable", sys.executable))
    name = f"python{version[0]}.{version[1]}"
    for directory in os.get_exec_path():
        if found := shutil.which(name, path=directory):
            yield Path(found)
    managed = (path / "bin" / name for path in _managed_installations())
    yield from sorted(filter(Path.exists, managed), key=_patch_of, reverse=True)


def _managed_installations() -> Iterator[Path]:
    if root := os.environ.get("PYENV_ROOT"):
        yield from Path(root).glob("versions/*")
    for pattern in MANAGED:
        yield from Path.home().glob(pattern)


def _patch_of(python: Path) -> tuple[int, ...]:
    """The numbers in an installation's name: ``3.12.10`` sorts after ``3.12.9``."""
    name = python.parent.parent.name
    return tuple(int(part) for part in name.replace("-", ".").split(".") if part.isdigit())


def _ask(python: Path) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [python, "-I", "-c", PROBE],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=True,
        )
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if not (facts["final"] and facts["plain"]):
        return None
    major, minor, patch = facts["version"]
    return Interpreter((major, minor, patch), python)
