"""Gets and appends of a service that awaits: 50 at a time, on a local server that takes its time.

dynamo_chat decodes its entities; aioboto3 and aiodynamo return what the server sent. Both need
another botocore, so each contender is a process, with an environment of its own. They take turns,
round by round, so that a busy moment of the machine hits all of them.
"""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.canned import canned_server
from benchmarks.samples import CHARACTERS, TABLE, Recording, recordings, text_of
from tooling.environment import environment

PEERS = ("aioboto3>=15", "aiodynamo>=24", "aiohttp>=3.11")
OURS = "dynamo_chat"
CONTENDERS = {"get": (OURS, "aioboto3", "aiodynamo"), "append": (OURS, "aioboto3")}
SAMPLES = {"get": "get", "append": "transaction of 2"}
DELAYS = (0.005, 0.020)
SECONDS = 1.5

_WORKER = Path(__file__).with_name("awaiting_worker.py")


class Worker:
    """A contender's process."""

    def __init__(self, python: str, spec: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [python, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._tell(json.dumps(spec, default=lambda raw: {"base64": b64encode(raw).decode()}))

    def measure(self) -> dict[str, float]:
        """One round."""
        found: dict[str, float] = json.loads(self._tell("go"))
        return found

    def _tell(self, line: str) -> str:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the contender has no pipes")
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a contender ended with {self.process.wait()}")
        return answer


def measure(rounds: int, peers: str | None = None) -> list[dict[str, object]]:
    """One row per delay, call and contender: calls a second, 99th percentile, CPU, and ratios.

    The ratios are dynamo_chat's number to the contender's: medians of those within one round.
    """
    recorded = recordings()
    python = peers or str(environment("bench-async", PEERS).python)
    rows: list[dict[str, object]] = []
    for delay in DELAYS:
        for call, sample in SAMPLES.items():
            recording = recorded[sample]
            with canned_server(recording.bodies, delay) as url:
                specs = [_spec(name, recording, call, url) for name in CONTENDERS[call]]
                with _workers(specs, python) as workers:
                    rows += _rows(call, delay, workers, rounds)
    return rows


def _spec(contender: str, recording: Recording, call: str, url: str) -> dict[str, Any]:
    known = {"talk": recording.known.talk, "noted": recording.known.noted}
    return {
        "contender": contender,
        "url": url,
        "table": TABLE,
        "operation": "GetItem" if call == "get" else "TransactWriteItems",
        "request": recording.request,
        "known": {**known, "content": text_of(CHARACTERS, 0)},
        "seconds": SECONDS,
    }


@contextmanager
def _workers(specs: Sequence[dict[str, Any]], python: str) -> Iterator[dict[str, Worker]]:
    with ExitStack() as stack:
        workers = {}
        for spec in specs:
            mine = sys.executable if spec["contender"] == OURS else python
            worker = workers[spec["contender"]] = Worker(mine, spec)
            stack.enter_context(worker.process)  # which ends when its input is closed
        yield workers


def _rows(
    call: str, delay: float, workers: dict[str, Worker], rounds: int
) -> Iterator[dict[str, object]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            found[name].append(worker.measure())
    for name, results in found.items():

        def middle(what: str, results: list[dict[str, float]] = results) -> float:
            return median(each[what] for each in results)

        def ratio(what: str, results: list[dict[str, float]] = results) -> float:
            pairs = zip(found[OURS], results, strict=True)
            return round(median(ours[what] / other[what] for ours, other in pairs), 2)

        yield {
            "call": f"{call}, {delay * 1_000:.0f} ms",
            "contender": name,
            "a second": round(middle("per_second")),
            "p99 ms": round(middle("p99_ms"), 1),
            "CPU µs": round(middle("cpu_us")),
            "rate ratio": ratio("per_second"),
            "p99 ratio": ratio("p99_ms"),
            "CPU ratio": ratio("cpu_us"),
        }
