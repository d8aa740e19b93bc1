"""The README's table of what calls cost, measured on messages of 1,000 characters of English."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dynamo_chat import Feedback, NewMessage
from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.testing import EmbeddedEngine, RequestMeter
from tooling.environment import ROOT

README = Path("README.md")
TABLE = re.compile(
    r"(?<=^\| \| requests \| units \|\n\|---\|---\|---\|\n)(?:\|.*\n)*", re.MULTILINE
)


def files() -> Mapping[Path, str]:
    """The README with its table as measured now."""
    text = (ROOT / README).read_text("utf-8")
    if not TABLE.search(text):
        raise ValueError("README.md has no table with the columns `requests` and `units`")
    rows = "".join(f"| {what} | {count} | {units} |\n" for what, count, units in measured())
    return {README: TABLE.sub(rows, text)}


def measured() -> Iterator[tuple[str, int, str]]:
    """What each call is, its requests and its capacity units."""
    said = NewMessage(role="user", content=ENGLISH)
    with EmbeddedEngine() as engine:
        store = engine.store("costs")
        talks = [
            store.conversations.create("user-1", title=f"{number:040d}").conversation_id
            for number in range(20)
        ]
        for _ in range(25):
            rated = store.messages.append(talks[0], said)
        calls: Mapping[str, Callable[[], object]] = {
            "append a message": lambda: store.messages.append(talks[0], said),
            "append a turn of two": lambda: store.messages.append_turn(talks[0], [said, said]),
            "latest 20 messages and their conversation": lambda: (
                store.messages.latest_with_conversation(talks[0], 20)
            ),
            "a page of 20 conversations, by creation or by activity": lambda: (
                store.conversations.list_by_activity("user-1", page_size=20)
            ),
            "give feedback": lambda: store.messages.give_feedback(
                talks[0], rated.message_id, Feedback(type="positive")
            ),
        }
        for what, call in calls.items():
            with RequestMeter(store.connection.client) as meter:
                call()
            yield what, meter.count, f"{meter.wcu:g} WCU" if meter.wcu else f"{meter.rcu:g} RCU"
