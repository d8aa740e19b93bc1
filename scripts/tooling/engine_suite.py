"""The engine suite: the tests that depend on DynamoDB's behaviour, on a real server.

Run by tox, in an environment that has the package. With ``DYNAMO_CHAT_TEST_ENDPOINT`` set the
tests run there; without it, on a ministack server that is started for them and stopped after.
A `-m` among the arguments replaces the selection. It leaves out what tries every request of an
operation, one by one (the markers `once` and `long`), unless that needs a real server.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dynamo_chat.testing import MinistackServer
from dynamo_chat.testing.plugin import ENDPOINT_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
SERVER_HOME = ROOT / ".venv-tools" / "ministack"
_EACH_PATTERN = "engine and not (once or long)"


def main(arguments: Sequence[str]) -> int:
    """Run the suite with these arguments for pytest. Returns pytest's exit code."""
    if endpoint := os.environ.get(ENDPOINT_VARIABLE):
        return _pytest(endpoint, _EACH_PATTERN, arguments)
    # A run that is told to stop must not leave its server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with MinistackServer(cache=SERVER_HOME) as server:
        return _pytest(server.endpoint_url, f"({_EACH_PATTERN}) or ministack", arguments)


def _pytest(endpoint: str, marked: str, arguments: Sequence[str]) -> int:
    print(f"-- the engine suite ({marked}) at {endpoint}", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", "2", "-m", marked, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {ENDPOINT_VARIABLE: endpoint}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
