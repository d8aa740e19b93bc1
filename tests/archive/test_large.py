"""Many items: on a real server, killed on the way, and in a memory that does not grow."""

import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.archive.exporting import ExportOptions, StoreExport
from dynamo_chat.archive.files import MANIFEST
from dynamo_chat.archive.reading import source_of
from dynamo_chat.archive.restoring import RestoreOptions, StoreRestore
from dynamo_chat.core.connection import Connection
from tests.archive.scenes import beside, exported, restored
from tests.doctor.scene import doctor_of
from tests.scene import Item, Scene

ITEMS = 20_000
TURN = 38
"""Messages of a conversation. With the conversation and its title, 40 items."""


def fill(store: ChatStore, items: int) -> None:
    """Conversations with their messages: so many items."""
    turn = [NewMessage(role="user", content=f"Message {each}. " * 9) for each in range(TURN)]
    for number in range(items // (TURN + 2)):
        talk = store.conversations.create(f"user-{number % 50}", title=f"Talk {number}")
        store.messages.append_turn(talk.conversation_id, turn)


@pytest.mark.ministack
def test_a_large_store_is_moved_on_a_real_server(scene: Scene, tmp_path: Path) -> None:
    """20,000 items: equal, and clean to the doctor."""
    fill(scene.store, ITEMS)
    folder = tmp_path / "archive"
    assert exported(scene, folder, segments=4).items == ITEMS
    with beside(scene) as other:
        assert restored(other, folder, workers=4).verified == ITEMS
        assert other.items() == scene.items()
        with doctor_of(other, page_size=2_000) as doctor:
            assert doctor.examine().is_clean


CHILD = """
import os, signal, sys
from pathlib import Path
from dynamo_chat import ChatStore
from dynamo_chat.archive.exporting import ExportOptions, StoreExport
from dynamo_chat.archive.restoring import StoreRestore
what, table, endpoint, folder, at = sys.argv[1:]
seen = []
def told(event):
    seen.append(event)
    if len(seen) == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
store = ChatStore(table, region="eu-west-1", endpoint_url=endpoint, on_request=told)
if what == "export":
    options = ExportOptions(segments=2, page_size=50, part_items=100)
    StoreExport(store, Path(folder), options).run()
else:
    StoreRestore(store, Path(folder)).run()
"""


@pytest.mark.ministack
def test_killed_processes_are_followed_by_others(scene: Scene, tmp_path: Path) -> None:
    """SIGKILL while several threads work, again and again, until it is done."""
    fill(scene.store, 2_000)
    folder = tmp_path / "archive"
    for what, of in (("export", scene), ("restore", None)):
        with beside(scene) as other:
            target = of or other
            killed = 0
            for at in range(12, 90, 11):
                arguments = [what, target.table, str(scene.engine.endpoint_url), str(folder)]
                done = subprocess.run(
                    [sys.executable, "-c", CHILD, *arguments, str(at)], check=False
                )
                if done.returncode == 0:
                    break
                assert done.returncode == -signal.SIGKILL
                killed += 1
            assert killed > 1
            if what == "export":
                if not (folder / MANIFEST).exists():
                    exported(scene, folder)
            else:
                if list(folder.glob("restore-*")):
                    assert restored(target, folder).is_clean
                assert target.items() == scene.items()


class Endless(Connection):
    """A table of so many messages that nobody keeps."""

    size = 0
    written = 0

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        match operation:
            case "DescribeTable":
                key = [
                    {"AttributeName": name, "KeyType": kind}
                    for name, kind in (("PK", "HASH"), ("SK", "RANGE"))
                ]
                return {"Table": {"ItemCount": self.size, "KeySchema": key}}
            case "Scan":
                start = int(request.get("ExclusiveStartKey", {"number": 0})["number"])
                end = min(start + request["Limit"], self.size)
                items = [_message(number) for number in range(start, end)]
                return {
                    "Items": items,
                    "LastEvaluatedKey": {"number": end} if end < self.size else None,
                }
            case "BatchWriteItem":
                (writes,) = request["RequestItems"].values()
                self.written += len(writes)
                return {}
            case "BatchGetItem":
                ((table, wanted),) = request["RequestItems"].items()
                if self.written < self.size:
                    return {}
                numbers = [int(key["SK"]["S"][9:-1]) for key in wanted["Keys"]]
                return {"Responses": {table: list(map(_message, numbers))}}
        raise AssertionError(operation)


def _message(number: int) -> Item:
    key = {"PK": {"S": "CONV#talk#"}, "SK": {"S": f"CHAT#01KF{number:022}#"}}
    fields = {"role": {"S": "user"}, "content": {"S": "x" * 600}}
    return {**key, **fields, "kind": {"S": "message"}, "v": {"N": "1"}}


@pytest.mark.once
def test_memory_does_not_grow_with_the_items(tmp_path: Path, offline: ChatStore) -> None:
    """Five times the items take the same memory to export, to check, to write and to compare."""
    peaks = []
    for size in (200, 1_000):
        folder = tmp_path / str(size)
        out = StoreExport(offline, folder, ExportOptions(segments=1, page_size=50, part_items=100))
        back = StoreRestore(offline, folder, RestoreOptions(workers=1))
        for connection in (out.connection, back.connection):
            connection.__class__ = Endless
            connection.size = size  # type: ignore[attr-defined]
        tracemalloc.start()
        try:
            assert out.run().items == size
            source = source_of(folder)
            assert back._checked(source).tally.items == size
            for act in (back._restore, back._verify):
                for part in source.parts:
                    back._part(source, part, act, lambda _: None)
            assert back.connection.written == size  # type: ignore[attr-defined]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    few, many = peaks
    assert many < few * 1.3
