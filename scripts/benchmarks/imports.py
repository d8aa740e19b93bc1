"""The time of ``import dynamo_chat``, compared with its dependencies' imports."""

import statistics
import subprocess
import sys

REFERENCE = "PynamoDB + pydantic + ulid"
PROGRAMS = {
    # pydantic imports its parts when their names are first used; these are what models need.
    REFERENCE: "from pynamodb.models import Model; from pydantic import BaseModel, Field, "
    "StringConstraints, TypeAdapter; import ulid",
    "raw botocore": "import botocore.session",
    "dynamo_chat": "from dynamo_chat import ChatStore",
}
MEASURE = "import time; start = time.process_time(); {}; print(time.process_time() - start)"


def measure(rounds: int) -> list[dict[str, object]]:
    """CPU milliseconds of each import in a process of its own, and the ratio to the reference.

    The programs take turns; both numbers are medians over the rounds, the ratio round by round.
    """
    for program in PROGRAMS.values():
        _run(program)  # writes the byte code
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            taken[name].append(_run(program))
    return [
        {
            "import": name,
            "milliseconds": round(statistics.median(own) * 1e3, 1),
            "ratio": round(
                statistics.median(
                    one / base for one, base in zip(own, taken[REFERENCE], strict=True)
                ),
                3,
            ),
        }
        for name, own in taken.items()
    ]


def _run(program: str) -> float:
    command = [sys.executable, "-c", MEASURE.format(program)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
