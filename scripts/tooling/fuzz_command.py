"""``scripts/fuzz``: install the package beside this checkout and fuzz it."""

import os
import subprocess
from collections.abc import Sequence

from tooling.environment import ROOT, EnvironmentFailed, environment


def main(arguments: Sequence[str]) -> int:
    """Run the fuzzing with these arguments; its exit code."""
    try:
        made = environment("package", [".[cli,testing]"])
    except EnvironmentFailed as error:
        print(error)
        return 1
    command = [str(made.python), "-m", "fuzzing", *arguments]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, env=variables, check=False).returncode
