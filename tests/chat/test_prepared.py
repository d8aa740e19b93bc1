"""The prepared expressions of an append say what those made anew for it would say."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dynamo_chat.chat import appending
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.snapshot import Snapshot
from dynamo_chat.chat.window import Window
from dynamo_chat.core.item import Item
from dynamo_chat.core.transaction import Filled, Prepared, Update, _parts, hole

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, LAST = "01KDVTJT000000000000000001", "01KDVTJT000000000000000002"


def expanded(request: dict[str, Any]) -> dict[str, Any]:
    """A request with each placeholder of its expressions replaced by what it stands for."""
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    said = {key: request[key] for key in ("UpdateExpression", "ConditionExpression")}
    for place in sorted([*names, *values], key=len, reverse=True):
        stands_for = names.get(place) or repr(values[place])
        said = {key: text.replace(place, f"<{stands_for}>") for key, text in said.items()}
    return said | {"Key": request["Key"], "TableName": request["TableName"]}


def message(position: str) -> Message:
    return Message(
        conversation_id="c",
        position=position,
        message_id="m",
        role="user",
        content="x",
        sent_at=NOW,
    )


SNAPSHOT = Snapshot(
    conversation_id="c",
    user_id="u-1",
    created_at=NOW,
    life=None,
    has_title=False,
    retention=None,
    is_sliding=False,
    kept_until=None,
    keep_last=None,
    is_renewing=False,
    last_position=None,
)
CHOICES: dict[str, list[Any]] = {
    "life": [None, "0123456789"],
    "last_position": [None, FIRST],
    "window": [None, Window.of([FIRST])],
    "keep_last": [None, 10],
    "has_title": [False, True],
}


@pytest.mark.parametrize("title", [None, "Hello"])
@pytest.mark.parametrize("turn", [1, 2])
def test_an_append_says_the_same_with_prepared_expressions(title: str | None, turn: int) -> None:
    """For every kind of conversation without a deadline."""
    messages = [message(LAST)] * turn
    for chosen in itertools.product(*CHOICES.values()):
        snapshot = replace(SNAPSHOT, **dict(zip(CHOICES, chosen, strict=True)))
        filled = appending._head_update(snapshot, messages, title, NOW)
        assert isinstance(filled, Filled)
        anew = appending._update_anew(snapshot, messages, title, NOW)
        assert expanded(_parts("chat", filled)[1]) == expanded(_parts("chat", anew)[1])


def test_values_of_one_append_do_not_get_into_another() -> None:
    thing = Item.GSI1PK
    prepared = Prepared([thing.set(hole("new"))], (thing == hole("old")) & (Item.kind == "K"))
    one, other = (
        prepared.request({"new": {"S": new}, "old": {"S": "o"}}) for new in ("first", "second")
    )
    one["ExpressionAttributeNames"].clear()
    assert sorted(v["S"] for v in one["ExpressionAttributeValues"].values()) == ["K", "first", "o"]
    assert {"S": "second"} in other["ExpressionAttributeValues"].values()
    assert other["ExpressionAttributeNames"]
    with pytest.raises(KeyError, match="old"):
        prepared.request({"new": {"S": "x"}})


def test_a_conversation_with_a_deadline_is_written_as_before() -> None:
    kept = replace(SNAPSHOT, kept_until=NOW, retention=None)
    assert isinstance(appending._head_update(kept, [message(LAST)], None, NOW), Update)
