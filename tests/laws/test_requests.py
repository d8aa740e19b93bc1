"""What is written down once, or faster, is what the slower way writes."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from pynamodb.expressions.condition import Condition

from dynamo_chat.core.item import Item
from dynamo_chat.core.transaction import Put, absent, live, write
from dynamo_chat.core.wire import encoded
from tests.laws.strategies import texts

NOW = datetime(2026, 1, 31, tzinfo=UTC)
SECOND = int(NOW.timestamp())
PLAIN = {
    absent: Item.PK.does_not_exist() | (Item.ttl <= SECOND),
    live: Item.PK.exists() & (Item.ttl.does_not_exist() | (Item.ttl > SECOND)),
}
tricky = texts | st.sampled_from(['{"B":"-_"}', '"B":"', '"BS":', 'a"B', "-_-_"])


def _as_dynamodb_has_it(value: Any) -> Any:
    """The same, with bytes as standard base64."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [_as_dynamodb_has_it(each) for each in value]
        case dict():
            return {name: _as_dynamodb_has_it(each) for name, each in value.items()}
    return value


@given(st.binary(), tricky, tricky)
@example(b"\xfb\xff\xfe", "B", '{"B":"-_"}')
def test_a_body_holds_what_the_request_holds(content: bytes, name: str, said: str) -> None:
    """Bytes in the alphabet that DynamoDB reads; texts that look like them stay as they are."""
    item: dict[str, Any] = {
        name: {"B": content},
        f"{name}s": {"L": [{"B": content}, {"S": said}, {"M": {name: {"B": content}}}]},
        "said": {"S": said},
        "encoded": {"B": base64.b64encode(content).decode()},
        "flag": {"BOOL": True},
    }
    for request in ({"Item": item}, {"Item": item | {"set": {"BS": [content]}}}):
        assert json.loads(encoded(request)) == _as_dynamodb_has_it(request)


def _written(condition: Condition, *before: Condition) -> tuple[Any, ...]:
    names: dict[str, str] = {}
    found: dict[str, Any] = {}
    said = [each.serialize(names, found) for each in (*before, condition)]
    return said, names, found


@pytest.mark.parametrize("made", [absent, live])
def test_a_condition_written_once_says_the_same(made: Any) -> None:
    """Alone, again, behind others, and inside another."""
    plain, kept, other = PLAIN[made], made(NOW), Item.kind == "thing"
    assert _written(kept) == _written(plain)
    assert _written(kept) == _written(plain)
    assert _written(kept, other) == _written(plain, other)
    assert _written(kept & other) == _written(plain & other)
    assert _written(other & kept) == _written(other & plain)
    assert _written(~kept) == _written(~plain)


def test_what_one_request_does_with_its_condition_is_not_in_the_next() -> None:
    """The names and values of a request are its own."""

    class Recorder:
        table_name = "t"

        def __init__(self) -> None:
            self.requests: list[dict[str, Any]] = []
            self.options = type("Options", (), {"transaction_attempts": 1})

        def call(self, _: str, request: dict[str, Any]) -> dict[str, Any]:
            self.requests.append(json.loads(json.dumps(request)))
            request["ExpressionAttributeNames"].clear()
            request["ExpressionAttributeValues"].clear()
            return {}

    recorder: Any = Recorder()
    for _ in range(2):
        write(recorder, Put({"PK": {"S": "a"}, "SK": {"S": "b"}}, absent(NOW)))
    first, second = recorder.requests
    assert first == second
    assert second["ExpressionAttributeValues"] == {":0": {"N": str(SECOND)}}
