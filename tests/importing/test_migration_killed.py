"""A migration whose process is killed, again and again, goes on without loss: on a real server."""

import json
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dynamo_chat.importing.migration.migration import Migration
from tests.doctor.scene import doctor_of
from tests.importing.test_migration import DOCUMENTS, FEW, fates, lines
from tests.scene import Scene
from tooling.old_tables import old_tables

pytestmark = pytest.mark.ministack

PROGRAM = """
import json, os, signal, sys, threading
from pathlib import Path

from dynamo_chat import ChatStore
from dynamo_chat.importing.migration.migration import Migration, MigrationOptions
from dynamo_chat.importing.migration.sources import LinesSource

given = json.loads(sys.argv[1])
lock, left = threading.Lock(), [given["at"]]


def step(*_):
    # Anything may be under way in the other threads, and in the work file.
    with lock:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def factory(table_name=None, *, on_request=None, **more):
    def told(event):
        step()
        if on_request is not None:
            on_request(event)

    return ChatStore(
        given["table"],
        region=given["region"],
        endpoint_url=given["endpoint_url"],
        on_request=told,
        **more,
    )


sources = {name: LinesSource(Path(path)) for name, path in given["sources"].items()}
options = MigrationOptions(workers=4)
with Migration(
    given["document"], factory, sources, given["work"], options=options, on_progress=step
) as moved:
    moved.run()
"""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_killed_process_loses_nothing(scene: Scene, document: str, tmp_path: Path) -> None:
    """SIGKILL while it reads, plans, loads and verifies; then it is run to its end."""
    old, dice = old_tables(document, FEW[document], datetime.now(UTC)), random.Random(document)
    sources = lines(tmp_path, old.tables)
    given = {
        "document": document,
        "table": scene.table,
        "region": scene.engine.region,
        "endpoint_url": scene.engine.endpoint_url,
        "work": str(tmp_path / "work"),
        "sources": {name: str(tmp_path / f"{name}.jsonl") for name in sources},
    }
    killed = 0
    for at in (1, *(dice.randrange(2, 60) for _ in range(4)), 100_000):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps({**given, "at": at})],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
        killed += ended.returncode == -signal.SIGKILL
    assert killed > 2
    with Migration(
        document,
        lambda table_name=None, **more: scene.new_store(**more),
        sources,
        tmp_path / "work",
    ) as moved:
        report = moved.run()
        assert fates(moved) == (old.refused, old.left_out)
    assert not report.differences
    assert all(t.verified == t.records - t.refused - t.left_out for t in report.tables)
    with doctor_of(scene) as doctor:
        assert doctor.examine().is_clean
