"""C7: what a message and a turn may hold."""

import random
from base64 import b64encode
from typing import Any

import pytest

from dynamo_chat import (
    ChatStore,
    ExtractedFilters,
    Message,
    NewMessage,
    ToolCall,
)
from dynamo_chat.core.errors import (
    InvalidArgument,
    ItemTooLarge,
    RequestRejected,
)
from dynamo_chat.core.item import encoded, plan
from dynamo_chat.testing import ErrorAnswer
from tests.chat.scenes import assistant, said, user
from tests.scene import Scene, faults

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation the store knows."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("documents", [{}] * 1_001),
        ("recommendations", ["a"] * 1_001),
        ("tool_calls", [ToolCall(tool="t")] * 1_001),
        ("filters", ExtractedFilters(genres=["a"] * 1_001)),
        ("filters", ExtractedFilters(keywords=["a"] * 1_001)),
    ],
)
def test_a_message_has_at_most_a_thousand_of_each_part(
    store: ChatStore, talk: str, argument: str, value: Any
) -> None:
    """Empty ones weigh nothing: their number is what reading them costs."""
    with pytest.raises(InvalidArgument, match="1,000") as refused:
        NewMessage(role="assistant", **{argument: value})
    assert refused.value.argument == argument
    store.messages.append(talk, assistant(message_id="m", is_streaming=True))
    if argument in {"documents", "tool_calls"}:
        for change in (store.messages.edit, store.messages.finish):
            with pytest.raises(InvalidArgument, match="1,000"):
                change(talk, "m", content="x", **{argument: value})


@pytest.mark.once
def test_more_parts_than_are_written_today_are_read(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """An older release had no such bound."""
    store.messages.append(talk, assistant("x", recommendations=["a"] * 1_000, message_id="m"))
    item = next(each for each in scene.items() if "recommendations" in each)
    texts = plan(Message).attributes["recommendations"]
    scene.put({**item, "recommendations": encoded(texts, ("a",) * 1_500)})
    assert len(store.messages.get(talk, "m").recommendations) == 1_500


def test_a_turn_that_is_too_large_beside_the_head(store: ChatStore, talk: str) -> None:
    """DynamoDB counts the head to the 4 MB of a transaction: a refusal names the turn."""
    dice = random.Random(1)
    content = b64encode(dice.randbytes(380_000)).decode()  # no compression makes it smaller
    turn = [user(content)] * 10
    too_large = ErrorAnswer("ValidationException", "Transaction size limit exceeded")
    with faults(store) as injector:
        injector.plan(too_large, operation="TransactWriteItems")
        with pytest.raises(ItemTooLarge, match="appended turn") as refused:
            store.messages.append_turn(talk, turn)
        injector.plan(too_large, operation="TransactWriteItems")
        with pytest.raises(RequestRejected):
            store.messages.append_turn(talk, turn[:2])
    assert refused.value.argument == "messages"
    assert said(store, talk) == []
