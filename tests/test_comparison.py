"""The package's own row of the comparison is what it costs."""

import re
from pathlib import Path

import pytest

from dynamo_chat import ChatStore, Feedback, NewMessage
from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.testing import RequestMeter

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "comparison.md"
MESSAGES = 400


@pytest.mark.once
def test_the_first_row(chat_store: ChatStore) -> None:
    conversations, messages = chat_store.conversations, chat_store.messages
    identity = conversations.create("ann").conversation_id
    for _ in range(19):
        conversations.create("ann", title="x" * 40)
    said = NewMessage(role="user", content=ENGLISH)
    assert len(said.content) == 1_000
    with RequestMeter(chat_store.connection.client) as meter:
        rated = messages.append(identity, said)
        for _ in range(MESSAGES - 1):
            messages.append(identity, said)
        cells = [f"{meter.count // MESSAGES}", f"{meter.wcu:,g}"]
        meter.reset()
        assert len(messages.latest(identity, 20)) == 20
        cells.append(f"{meter.rcu:g} RCU")
        meter.reset()
        assert len(conversations.list_by_activity("ann", page_size=20)) == 20
        cells.append(f"{meter.rcu:g} RCU")
        meter.reset()
        messages.give_feedback(identity, rated.message_id, Feedback(type="positive"))
        cells.append(f"{meter.wcu:g} WCU")
        meter.reset()
        conversations.delete(identity)
        cells.append(f"{meter.count} requests")
    row = re.search(r"^\| \*\*dynamo_chat\*\* \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert row is not None
    assert row.group(1).split(" | ") == cells
