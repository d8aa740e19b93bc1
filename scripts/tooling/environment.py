"""Virtual environments that the scripts make for themselves, under ``.venv-tools/``.

An environment is named after a digest of all that decides its content: the Python that runs the
script, ``pyproject.toml`` and the requirements. When one of them changes, so does the name; the
script makes a new environment and removes the old one.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv-tools"
BIN = "Scripts" if os.name == "nt" else "bin"
FINISHED = "finished"


class EnvironmentFailed(Exception):
    """An environment could not be made. The message says why, and what to do."""


@dataclass(frozen=True)
class Environment:
    """A directory with a Python and the packages installed for it."""

    path: Path

    @property
    def python(self) -> Path:
        """The interpreter of this environment."""
        return self.path / BIN / ("python.exe" if os.name == "nt" else "python")

    def command(self, name: str) -> Path:
        """The program ``name`` of this environment."""
        return self.path / BIN / (f"{name}.exe" if os.name == "nt" else name)


def environment(name: str, requirements: Sequence[str]) -> Environment:
    """The environment ``name`` with these requirements; made now unless a matching one exists.

    A requirement that starts with ``.`` is this checkout with extras, installed so that changes of
    the source are seen without installing again. Raises EnvironmentFailed.
    """
    HOME.mkdir(exist_ok=True)
    path = HOME / f"{name}-{_digest(requirements)}"
    with _alone(HOME / f"{name}.lock"):
        if not (path / FINISHED).exists():
            for stale in HOME.glob(f"{name}-*"):
                shutil.rmtree(stale)
            _make(path, name, requirements)
    return Environment(path)


def announce(line: str) -> None:
    """Print a line of progress, on stderr."""
    print(f"-- {line}", file=sys.stderr, flush=True)


def _digest(requirements: Sequence[str]) -> str:
    parts = [sys.version, sys.executable, str(ROOT), *requirements]
    known = hashlib.sha256("\0".join(parts).encode())
    known.update((ROOT / "pyproject.toml").read_bytes())
    return known.hexdigest()[:12]


def _make(path: Path, name: str, requirements: Sequence[str]) -> None:
    announce(f"making the environment {path.relative_to(ROOT)} (once; a minute or so)")
    started = time.monotonic()
    python = Environment(path).python
    try:
        venv.EnvBuilder(with_pip=True, clear=True).create(path)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise EnvironmentFailed(
            f"{sys.executable} cannot make a virtual environment. On Debian and Ubuntu, install "
            f"python{sys.version_info[0]}.{sys.version_info[1]}-venv, then run this again."
        ) from error
    arguments: list[str] = []
    for requirement in requirements:
        arguments += ["-e", requirement] if requirement.startswith(".") else [requirement]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        pip + arguments,
        cwd=ROOT,
        env=_without_python_path(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(path, ignore_errors=True)
        raise EnvironmentFailed(
            f"pip could not install {' '.join(requirements)} for {name}:\n\n{done.stdout.strip()}"
        )
    (path / FINISHED).touch()
    announce(f"ready after {time.monotonic() - started:.0f} s")


def _without_python_path() -> dict[str, str]:
    """The current environment variables, except those that add other packages to the path."""
    return {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file, so that two scripts started together do not make the same thing."""
    with path.open("w") as lock:
        try:
            import fcntl
        except ImportError:  # there is none on Windows
            yield
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
