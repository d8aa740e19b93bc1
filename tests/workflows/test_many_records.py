"""Many messages: an export, an erasure and an archive hold a page of DynamoDB's, not all."""

import random
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.archive.exporting import ExportOptions, StoreExport
from tests.scene import Scene

pytestmark = pytest.mark.once

FEW, MANY = 100, 400
"""Messages of 20 KB: two, and eight, of DynamoDB's answers."""


def fill(scene: Scene, user_id: str, messages: int) -> None:
    """A conversation with so many messages of 20 KB, made from one: appending takes longer."""
    dice = random.Random(user_id)
    scene.store.conversations.create(user_id, conversation_id=f"talk-{user_id}")
    scene.store.messages.append(f"talk-{user_id}", NewMessage(role="user", content="Hi"))
    first = next(
        item
        for item in scene.items()
        if item["kind"]["S"] == "message" and item["PK"]["S"] == f"CONV#talk-{user_id}#"
    )
    keys = (f"{first['SK']['S'][:-5]}{at:04}#" for at in range(messages))
    bodies = (dice.randbytes(10_000).hex() for _ in range(messages))
    scene.put(
        *(
            first | {"SK": {"S": key}, "content": {"S": body}}
            for key, body in zip(keys, bodies, strict=True)
        )
    )


def peak(call: Callable[[], object]) -> int:
    """The most bytes allocated at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def drain(people: Any, name: str) -> None:
    for _ in people.export(name):
        pass


def test_memory_stays_flat(scene: Scene, tmp_path: Path) -> None:
    people, peaks = scene.store.people, dict[tuple[str, str], int]()
    options = ExportOptions(segments=1, page_size=25, part_items=50)
    for name, messages in (("warm", 10), ("few", FEW), ("many", MANY)):
        fill(scene, name, messages)
        archive = StoreExport(scene.store, tmp_path / name, options)
        peaks["archive", name] = peak(archive.run)
        peaks["export", name] = peak(partial(drain, people, name))
        peaks["erase", name] = peak(partial(people.erase, name))
    for call in ("archive", "export", "erase"):
        assert peaks[call, "many"] < 1.25 * peaks[call, "few"], peaks
