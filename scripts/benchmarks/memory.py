"""Memory while paging through a long list: a store must not grow with what it has read."""

import json
import resource
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.canned import canned_server
from dynamo_chat import ChatStore, Conversation, Page
from dynamo_chat.core.item import plan, with_index_keys
from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.keyspace import CONVERSATION
from dynamo_chat.testing import Engine

USER = "u-1"
PAGE = 1_000
ITEMS = 200_000
FIRST = ITEMS // 10


def measure() -> list[dict[str, object]]:
    """The peaks after 20,000 and after 200,000 conversations, listed from a canned server."""
    body = json.dumps(page_of_conversations(PAGE)).encode()
    with canned_server({"Query": body}) as endpoint, Engine(endpoint):
        store = ChatStore("chat-bench", region="eu-west-1", endpoint_url=endpoint)
        list(pages(store, PAGE, PAGE))  # what is made once is not what grows
        tracemalloc.start()
        try:
            traced = peaks(lambda: pages(store, ITEMS, PAGE), (FIRST, ITEMS))
        finally:
            tracemalloc.stop()
        resident = []
        for count in (FIRST, ITEMS):
            for _ in pages(store, count, PAGE):
                pass
            resident.append(_most_resident())
    return [
        _row("allocated by Python", *traced),
        _row("resident, whole process", *resident),
    ]


def peaks(listed: Callable[[], Iterator[Page[Any]]], marks: tuple[int, ...]) -> list[int]:
    """For each mark, the most bytes allocated at once until so many items were listed.

    Tracing must be on. Pages are let go of as they come.
    """
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    found: list[int] = []
    seen = 0
    for page in listed():
        seen += len(page)
        while len(found) < len(marks) and seen >= marks[len(found)]:
            found.append(tracemalloc.get_traced_memory()[1] - before)
    return found


def pages(store: ChatStore, items: int, page_size: int) -> Iterator[Page[Conversation]]:
    """Pages of a user's conversations, until there were this many conversations."""
    cursor, seen = None, 0
    while seen < items:
        page = store.conversations.list_by_user(USER, page_size=page_size, cursor=cursor)
        cursor, seen = page.cursor, seen + len(page)
        yield page


def page_of_conversations(count: int) -> dict[str, Any]:
    """DynamoDB's response to a query that found this many conversations, with more to come."""
    now = datetime(2026, 1, 15, 12, tzinfo=UTC)
    items = []
    for place in range(count):
        made = Conversation(
            conversation_id=f"conversation-{place:06}",
            user_id=USER,
            title="A title of some forty characters, or so",
            created_at=now - timedelta(seconds=place),
            updated_at=now,
            preferences={"genres": ["action", "drama"], "number": place},
        )
        item = plan(Conversation).encode(made)
        items.append(with_index_keys(item, CONVERSATION, made.__dict__, GSI1, GSI2))
    last = {name: items[-1][name] for name in ("PK", "SK", "GSI1PK", "GSI1SK")}
    return {"Items": items, "Count": count, "LastEvaluatedKey": last}


def _row(what: str, first: int, whole: int) -> dict[str, object]:
    return {
        "memory": what,
        f"MB after {FIRST:,}": round(first / 1e6, 2),
        f"MB after {ITEMS:,}": round(whole / 1e6, 2),
        "ratio": round(whole / first, 3),
    }


def _most_resident() -> int:
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
