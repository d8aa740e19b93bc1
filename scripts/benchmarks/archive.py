"""How fast a store is exported and restored, and the memory that it takes."""

import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.capacity import SERVER_HOME
from dynamo_chat.archive.exporting import StoreExport
from dynamo_chat.archive.restoring import StoreRestore
from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.client import ConnectionOptions
from dynamo_chat.store import ChatStore
from dynamo_chat.testing import Engine, MinistackServer

SIZES = (2_000, 20_000)
TURN = 38
"""Messages of a conversation. With the conversation and its title, 40 items."""

Row = dict[str, object]


def measure(endpoint: str | None) -> list[Row]:
    """One row for each size: items a second, and the most memory allocated at once.

    Memory is measured in a second run: to trace it takes several times as long.
    """
    with ExitStack() as stack:
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer(cache=SERVER_HOME)).endpoint_url
        engine = stack.enter_context(Engine(endpoint))
        return [_row(engine, size) for size in SIZES]


def _row(engine: Engine, size: int) -> Row:
    store = _store(engine)
    _fill(store, size)
    with tempfile.TemporaryDirectory(prefix="archive-") as name:
        folder = Path(name)
        export = StoreExport(store, folder / "timed")
        exported = _seconds(export.run)
        restored = _seconds(StoreRestore(_store(engine), folder / "timed").run)
        most_exported = _peak(StoreExport(store, folder / "traced").run)
        most_restored = _peak(StoreRestore(_store(engine), folder / "traced").run)
    return {
        "items": size,
        "exported a second": round(size / exported),
        "restored a second": round(size / restored),
        "MB of export": round(most_exported / 1e6, 1),
        "MB of restore": round(most_restored / 1e6, 1),
    }


def _store(engine: Engine) -> ChatStore:
    """A store on a new table."""
    options = ConnectionOptions(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106
    made = ChatStore(
        f"bench-{uuid.uuid4()}",
        region=engine.region,
        endpoint_url=engine.endpoint_url,
        options=options,
    )
    made.table.create()
    return made


def _fill(store: ChatStore, items: int) -> None:
    turn = [NewMessage(role="user", content=f"Message {each}. " * 9) for each in range(TURN)]
    for number in range(items // (TURN + 2)):
        talk = store.conversations.create(f"user-{number % 50}", title=f"Talk {number}")
        store.messages.append_turn(talk.conversation_id, turn)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _peak(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
