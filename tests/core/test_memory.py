"""Paging through a long list holds a page, not the list."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.memory import page_of_conversations, pages, peaks
from dynamo_chat import ChatStore, Page

ITEMS = 5_000
PAGE = 100


@pytest.fixture
def store() -> ChatStore:
    """A store to whose every query there are a hundred conversations, and more behind them."""
    made = ChatStore("chat", region="eu-west-1")
    answer = page_of_conversations(PAGE)
    made.connection.call = lambda *_: dict(answer)  # type: ignore[method-assign]
    return made


@pytest.fixture(autouse=True)
def traced(store: ChatStore) -> Iterator[None]:
    """With what is made once made before."""
    list(pages(store, PAGE, PAGE))
    tracemalloc.start()
    yield
    tracemalloc.stop()


def growth(store: ChatStore, kept: list[Page[Any]] | None = None) -> float:
    def listed() -> Iterator[Page[Any]]:
        for page in pages(store, ITEMS, PAGE):
            if kept is not None:
                kept.append(page)
            yield page

    first, whole = peaks(listed, (ITEMS // 10, ITEMS))
    return whole / first


def test_memory_stays_flat(store: ChatStore) -> None:
    """Whatever a tenth of it takes, all of it takes."""
    assert growth(store) < 1.2


def test_what_grows_is_seen(store: ChatStore) -> None:
    """As it would if a store kept what it read."""
    assert growth(store, []) > 3
