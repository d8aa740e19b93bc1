"""``scripts/demo``: install the package beside this checkout and run ``dynamo-chat demo``."""

import subprocess
from collections.abc import Sequence

from tooling.environment import EnvironmentFailed, environment


def main(arguments: Sequence[str]) -> int:
    """Run ``dynamo-chat demo`` with these arguments; its exit code."""
    try:
        made = environment("package", [".[cli,testing]"])
    except EnvironmentFailed as error:
        print(error)
        return 1
    command = [str(made.command("dynamo-chat")), "demo", *arguments]
    return subprocess.run(command, check=False).returncode
