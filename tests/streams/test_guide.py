"""The program of the guide does what the guide says."""

import re
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import Message
from dynamo_chat.chat.message import minted_id
from dynamo_chat.core.item import plan
from dynamo_chat.core.ulids import new_ulid
from tests.streams.record import TTL_SERVICE, as_lambda, record
from tests.streams.test_records import ITEM, NOW, STRANGE, TALK

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "streams.md"


def test_the_guides_handler(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(program, "streams", "exec"), names)  # noqa: S102 - the page is ours
    position = new_ulid(NOW)
    message = Message(
        conversation_id="c-1",
        position=position,
        message_id=minted_id("c-1", position),
        role="user",
        sent_at=NOW,
        content="Hello",
    )
    item = plan(Message).encode(message)
    renamed = {**ITEM, "title": {"S": "Films"}}

    def handle(*records: dict[str, Any]) -> None:
        event = {"Records": [as_lambda(each) for each in records]}
        assert names["handler"](event, None) == {"batchItemFailures": []}

    handle(record(None, item), record(ITEM, renamed), record(None, STRANGE))
    assert names["index"] == {message.message_id: "Hello"}
    handle(record(item, by=TTL_SERVICE))
    assert names["index"] == {}
    assert capsys.readouterr().out.splitlines() == [
        f"{TALK.conversation_id} is now called Films",
        "an item of kind invoice is not ours",
    ]
