"""What a turn costs through the adapters of frameworks, beside what the frameworks have themselves.

Every store runs in one process, one after another, on a local server or on SQLite in a file: of a
conversation of 10 and of 200 turns, one more turn is added, and the latest is read. A turn is a
question and an answer of some 300 characters each.

Needs packages that are installed in an environment of their own: the frameworks and the others.
"""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from benchmarks.capacity import SERVER_HOME
from dynamo_chat.testing import MinistackServer
from tooling.environment import ROOT, environment

PEERS = (
    ".[adk,chatkit,langgraph,openai-agents,pydantic-ai,testing]",
    "langgraph>=1.2",
    "langgraph-checkpoint-aws>=1.2",
    "langgraph-checkpoint-sqlite>=3",
    "sqlalchemy[asyncio]>=2",
    "aiosqlite>=0.20",
)


def measure(endpoint: str | None, python: str | None = None) -> list[dict[str, object]]:
    """A row per framework, store, length and call. Without an endpoint a server is started."""
    with ExitStack() as stack:
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer(cache=SERVER_HOME)).endpoint_url
        command = [
            python or str(environment("bench-adapters", PEERS).python),
            "-m",
            "benchmarks.adapters_worker",
            endpoint,
        ]
        variables = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=variables, cwd=Path(ROOT)
        )
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows
