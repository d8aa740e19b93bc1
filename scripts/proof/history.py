"""The history of a run: what was called when, and what it returned.

A call writes a JSON line when it begins and one when it returns, each in a single write to the
process's own file. So the history of a killed process ends where the process did: a call without a
result may or may not have happened, and its caller would not know more.

Times are of the machine's monotonic clock, which all of its processes share.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Json = Any
Outcome = Literal["ok", "refused", "unknown", "broken"]
"""``broken``: an error that the package must never raise."""

NEVER: Final = math.inf


@dataclass(slots=True)
class Call:
    """One call of a repository method, and what is known about its result."""

    call_id: str
    kind: str
    args: dict[str, Json]
    invoked: float
    now: float
    """The caller's clock when it began, in seconds since 1970."""
    returned: float = NEVER
    """When it returned. If its outcome is unknown, it never returned."""
    outcome: Outcome = "unknown"
    result: Json = None
    """What it returned, or the ``current`` of a refusal."""
    error: str = ""
    faults: list[str] = field(default_factory=list)
    """The faults that were injected into its requests."""

    @property
    def is_ok(self) -> bool:
        """True if it was acknowledged."""
        return self.outcome == "ok"

    @property
    def is_unknown(self) -> bool:
        """True if it may or may not have happened."""
        return self.outcome == "unknown"

    @property
    def may_count(self) -> bool:
        """True if it happened, or may have happened."""
        return self.outcome in {"ok", "unknown"}

    @property
    def resends(self) -> int:
        """How often its response was lost and it was sent again."""
        return self.faults.count("DropAnswer")

    def before(self, other: Call) -> bool:
        """True if it returned before the other began."""
        return self.returned < other.invoked

    def __str__(self) -> str:
        said = self.error or json.dumps(self.result)
        return f"{self.call_id} {self.kind}({json.dumps(self.args)}) {self.outcome}: {said[:300]}"


class Recorder:
    """Writes the history of one process. Thread-safe."""

    def __init__(self, path: Path, name: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._name = name
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def began(self, kind: str, args: dict[str, Json], now: float) -> str:
        """Record that a call begins. Returns its id."""
        with self._lock:
            call_id = f"{self._name}-{next(self._numbers)}"
        said = {"call": call_id, "kind": kind, "args": args, "at": time.monotonic(), "now": now}
        self._write(said)
        return call_id

    def ended(
        self, call_id: str, outcome: Outcome, result: Json, error: str, faults: list[str]
    ) -> None:
        """Record what a call returned."""
        said = {"done": call_id, "at": time.monotonic(), "outcome": outcome, "result": result}
        self._write(said | {"error": error, "faults": faults})

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: dict[str, Json]) -> None:
        os.write(self._file, (json.dumps(line, separators=(",", ":")) + "\n").encode())


def read(folder: Path) -> list[Call]:
    """Every call in the histories in `folder`, in the order in which they began."""
    calls: dict[str, Call] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in _lines(path):
            if "call" in line:
                calls[line["call"]] = Call(
                    line["call"], line["kind"], line["args"], line["at"], line["now"]
                )
                continue
            call = calls[line["done"]]
            call.outcome, call.result = line["outcome"], line["result"]
            call.error, call.faults = line["error"], line["faults"]
            if call.outcome != "unknown":
                call.returned = line["at"]
    return sorted(calls.values(), key=lambda call: call.invoked)


def _lines(path: Path) -> Iterator[dict[str, Json]]:
    """The lines of a history. The last one may be incomplete, if its process was killed."""
    lines = path.read_bytes().split(b"\n")
    for line in lines[:-1]:
        yield json.loads(line)
