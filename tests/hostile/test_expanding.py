"""What is small in the table and large in memory: no page holds much of it at once."""

import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from dynamo_chat import InvalidArgument, NewMessage
from dynamo_chat.core.entity import MAX_JSON_VALUES
from dynamo_chat.testing import EmbeddedEngine
from tests.chat.scenes import assistant
from tests.scene import Scene

MESSAGES = 30
MOST = 100 * 2**20
"""Bytes that a page may take in memory. All messages together take twice as much."""
LIST_BYTES = 64
"""What an empty list in a list takes. Looking at it with tracemalloc takes very much longer."""


def wide(values: int) -> dict[str, Any]:
    """Metadata of so many empty lists: three bytes each before they are compressed."""
    return {"a": [[]] * (values - 1)}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A table on the embedded engine: what is measured is what a store reads."""
    with EmbeddedEngine() as engine, Scene(engine) as scene:
        yield scene


def talk_of(scene: Scene, name: str, messages: int, values: int) -> None:
    """A conversation of messages with so many empty lists each."""
    store = scene.new_store()
    store.conversations.create("ann", conversation_id=name)
    for number in range(messages):
        store.messages.append(name, assistant(str(number), metadata=wide(1_000)))
    large = zlib.compress(b'{"a":[' + b"[]," * (values - 2) + b"[]]}", 9)
    for item in scene.items():
        if item["PK"]["S"] == f"CONV#{name}#" and "metadata" in item:
            scene.put({**item, "metadata": {"B": large}})


def peak(call: Any) -> tuple[Any, int]:
    """What a call gives, and what it took at most."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_page_takes_little_memory_and_none_is_lost(scene: Scene) -> None:
    """It ends early, and its cursor leads on; bodies that are small in the table count as read."""
    talk_of(scene, "talk", MESSAGES, MAX_JSON_VALUES)
    store, seen, cursor = scene.new_store(), 0, None
    while True:
        page = store.messages.list("talk", page_size=1_000, cursor=cursor)
        assert page.items
        assert len(page) * MAX_JSON_VALUES * LIST_BYTES < MOST
        seen += len(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == MESSAGES


def test_more_values_than_may_be_are_refused_before_they_are_copied() -> None:
    """A million lists and more take no time: they are counted, not gone through."""
    given = wide(5_500_000)

    def make() -> None:
        with pytest.raises(InvalidArgument, match="metadata"):
            NewMessage(role="user", content="", metadata=given)

    assert peak(make)[1] < 2**20


def test_what_was_stored_before_the_bound_is_read_one_by_one(scene: Scene) -> None:
    """A body of up to 16 MiB was taken once, and is read for ever: a page ends behind it."""
    talk_of(scene, "old", 3, 1_000_000)
    store = scene.new_store()
    page, most = peak(lambda: store.messages.list("old", page_size=1_000))
    assert (len(page), page.cursor is None) == (1, False)
    assert most < 2 * MOST
    (second,) = store.messages.list("old", page_size=1_000, cursor=page.cursor)
    assert len(second.metadata["a"]) == 999_999
