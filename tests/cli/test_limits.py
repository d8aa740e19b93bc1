"""``dynamo-chat limits``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.operations.limits import measure_limits

Run = Callable[..., Any]


@pytest.mark.once
def test_it_shows_what_each_key_bears(run: Run) -> None:
    result = run("limits", "--method", "messages.append", "--method", "queue.join", "--json")
    assert result.exit_code == 0
    found = [
        (row["pattern"], row["place"], row["key"], row["kind"], row["units"], row["calls"])
        for row in json.loads(result.stdout)
    ]
    assert found == [
        ("C7", "table", "CONV#<conversation_id>", "write", 4.0, 250),
        ("C7", "GSI2", "USER#<user_id>", "write", 2.0, 500),
        ("C7", "GSI1", "USER#<user_id>", "write", 1.0, 1_000),
        ("P4", "table", "USER#<user_id>", "write", 2.0, 500),
        ("P4", "table", "QUEUE#<queue>#<shard>", "write", 2.0, 500),
    ]
    shown = run("limits", "--method", "conversations.list_by_activity").stdout
    assert "1.5 RCU" in shown
    assert "2,000" in shown


def test_a_method_without_keys_is_refused(run: Run) -> None:
    for method in ("messages.nonsense", "table.create"):
        result = run("limits", "--method", method)
        assert result.exit_code == 2
        assert f"{method}: ChatStore has no such method" in result.stderr
        with pytest.raises(InvalidArgument, match="methods"):
            measure_limits([method])
