"""Runs a module with the package from this checkout, for `scripts/demo`, `generate` and others."""

import os
import subprocess
from collections.abc import Sequence

from tooling.environment import ROOT, EnvironmentFailed, environment


def run_module(module: str, arguments: Sequence[str]) -> int:
    """Install the package in its own environment and run `module` there. Returns the exit code."""
    try:
        made = environment("package", [".[async,cli,testing]"])
    except EnvironmentFailed as error:
        print(error)
        return 1
    command = [str(made.python), "-m", module, *arguments]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, env=variables, check=False).returncode
