"""The time of ``import dynamo_chat`` and of a first call, compared with its dependencies'."""

import statistics
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec

from benchmarks.canned import canned_server
from dynamo_chat.testing import Engine

REFERENCE = "PynamoDB + pydantic + ulid"
PROGRAMS = {
    # pydantic imports its parts when their names are first used; these are what models need.
    REFERENCE: "from pynamodb.models import Model; from pydantic import BaseModel, Field, "
    "StringConstraints, TypeAdapter; import ulid",
    "raw botocore": "import botocore.session",
    "dynamo_chat": "from dynamo_chat import ChatStore",
}
FIRST_REFERENCE = "raw botocore: first call"
_OURS = (
    "from dynamo_chat import ChatStore, ConnectionOptions; "
    "ChatStore('chat', region='eu-west-1', endpoint_url={url!r}, "
    "options=ConnectionOptions(http_client={client!r})).users.get('c')"
)
FIRST_CALLS = {
    FIRST_REFERENCE: "import botocore.session; "
    "botocore.session.Session().create_client('dynamodb', 'eu-west-1', endpoint_url={url!r})"
    ".get_item(TableName='chat', Key={{'PK': {{'S': 'p'}}, 'SK': {{'S': 's'}}}})",
    "PynamoDB: first call": "from pynamodb.connection import Connection; "
    "Connection('eu-west-1', {url!r}).dispatch('GetItem', "
    "{{'TableName': 'chat', 'Key': {{'PK': {{'S': 'p'}}, 'SK': {{'S': 's'}}}}}})",
    **{
        f"dynamo_chat: first call, {client}": _OURS.replace("{client!r}", repr(client))
        for client in ("botocore", "urllib3", *(["pycurl"] if find_spec("pycurl") else []))
    },
}
"""A get from an empty local server: the import, the client and its first connection are in it."""
MEASURE = (
    "import time; start = time.process_time()\n"
    "try:\n    {}\nexcept Exception as error:\n"
    "    assert type(error).__name__ == 'NotFound', error\n"
    "print(time.process_time() - start)"
)


def measure(rounds: int) -> list[dict[str, object]]:
    """CPU milliseconds of each program in a process of its own, and the ratio to its reference.

    The programs take turns; both numbers are medians over the rounds, the ratio round by round.
    """
    with canned_server({"GetItem": b"{}"}) as url, Engine(url):
        calls = {name: program.format(url=url) for name, program in FIRST_CALLS.items()}
        return _compared(PROGRAMS, REFERENCE, rounds) + _compared(calls, FIRST_REFERENCE, rounds)


def _compared(programs: Mapping[str, str], reference: str, rounds: int) -> list[dict[str, object]]:
    for program in programs.values():
        _run(program)  # writes the byte code
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            taken[name].append(_run(program))
    return [
        {
            "import": name,
            "milliseconds": round(statistics.median(own) * 1e3, 1),
            "ratio": round(
                statistics.median(
                    one / base for one, base in zip(own, taken[reference], strict=True)
                ),
                3,
            ),
        }
        for name, own in taken.items()
    ]


def _run(program: str) -> float:
    command = [sys.executable, "-c", MEASURE.format(program)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
