"""Every item of the OpenAI Agents SDK comes back as it was, from a message that people can read."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import InvalidArgument, NewMessage, ToolCall, anthropic_messages, openai_messages
from dynamo_chat.integrations.openai_agents import changed, difference, items_of, message_of
from tests.integrations.openai_agents.stored import ITEMS

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MORE = st.dictionaries(st.sampled_from(["id", "status", "phase", "x"]), JSON, max_size=3)
PARTS = st.lists(
    st.builds(
        lambda kind, more: {**more, **kind},
        st.sampled_from(
            [
                {"type": "input_text", "text": "What?"},
                {"type": "output_text", "text": "That.", "annotations": []},
                {"type": "output_text", "text": ""},
                {"type": "refusal", "refusal": "No."},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            ]
        ),
        MORE,
    ),
    max_size=3,
)
MESSAGES = st.builds(
    lambda role, content, more: {**more, "role": role, "content": content},
    st.sampled_from(["user", "assistant", "system", "developer", "tool"]),
    TEXT | PARTS | JSON,
    MORE | st.just({"type": "message"}),
)
OTHERS = st.builds(
    lambda kind, more: {**more, **kind},
    st.sampled_from(ITEMS)
    | st.builds(
        lambda arguments, name: {
            "type": "function_call",
            "call_id": "c",
            "name": name,
            "arguments": arguments,
        },
        JSON.map(json.dumps) | TEXT,
        TEXT,
    )
    | st.builds(
        lambda output: {"type": "function_call_output", "call_id": "c", "output": output},
        TEXT | PARTS | JSON,
    ),
    MORE,
)


def exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # 1 == True in Python


@given(MESSAGES | OTHERS | st.dictionaries(TEXT, JSON, max_size=4))
def test_every_field_comes_back(item: dict[str, Any]) -> None:
    before = exact(item)
    (again,) = items_of(message_of(item))
    assert exact(again) == before == exact(item)


@given(JSON, JSON)
def test_a_difference_leads_from_one_to_the_other(one: Any, other: Any) -> None:
    assert exact(changed(one, difference(one, other))) == exact(other)


@pytest.mark.parametrize(
    ("at", "role", "content"),
    [
        (0, "user", "What is 2 + 2, and what is on the picture?"),
        (3, "tool", "4"),
        (5, "user", "This one:"),
        (6, "assistant", "It is 4."),
        (7, "assistant", "One\nTwo"),
        (8, "system", "Be brief."),
    ],
)
def test_the_message_is_readable(at: int, role: str, content: str) -> None:
    message = message_of(ITEMS[at])
    assert (message.role, message.content) == (role, content)


def test_a_call_is_a_tool_call() -> None:
    assert message_of(ITEMS[2]).tool_calls == (
        ToolCall(tool="add", args={"a": 2, "b": 2}, call_id="call_1"),
    )


def test_a_text_and_an_image_are_kept_once() -> None:
    """The content has the text, the parts have the image: the metadata repeats neither."""
    answer = {"type": "output_text", "text": "unique words", "annotations": []}
    assert (
        message_of({"role": "assistant", "content": [answer]}).model_dump_json().count("unique")
        == 1
    )
    image = {"type": "input_image", "image_url": "data:image/png;base64,abcd", "detail": "auto"}
    assert message_of({"role": "user", "content": [image]}).model_dump_json().count("abcd") == 1


def test_other_models_read_the_same_messages() -> None:
    """What the package makes of any message works for these, too."""
    messages = [message_of(ITEMS[at]) for at in (0, 2, 3, 6)]
    assert [each["role"] for each in openai_messages(messages)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert len(anthropic_messages(messages).messages) == 4


@pytest.mark.parametrize("at", [0, 6, 8])
def test_an_edited_text_reaches_the_agent(at: int) -> None:
    edited = message_of(ITEMS[at]).model_copy(update={"content": "Edited."})
    assert "Edited." in exact(items_of(edited))


def test_messages_of_other_programs_are_items() -> None:
    assert items_of(NewMessage(role="user", content="Hi")) == [{"role": "user", "content": "Hi"}]
    calls = [ToolCall(tool="add", args={"a": 1}, result=2)]
    call, output = items_of(NewMessage(role="assistant", tool_calls=calls))
    assert (call["type"], output["output"]) == ("function_call", "2")
    # Of a form that only Anthropic's API has.
    thinking = {"parts": [{"type": "other", "format": "anthropic", "value": {}}]}
    (plain,) = items_of(NewMessage(role="assistant", content="Hm.", metadata=thinking))
    assert plain == {"role": "assistant", "content": "Hm."}


@pytest.mark.parametrize(
    "kept",
    [
        7,
        {"item": {"a": 1}, "text": ["b", "c"]},
        {"changed": 3},
        {"changed": {"places": {}, "of": 9}},
        {"changed": {"keys": {"content": {"keys": {}, "without": []}}, "without": []}},
    ],
)
def test_damaged_metadata_is_no_error(kept: Any) -> None:
    assert items_of(NewMessage(role="user", content="Hi", metadata={"openai_agents": kept}))


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        (7, "must be an object"),
        ({"role": "user", "content": b"bytes"}, "item"),
        ({"role": "user", "content": float("nan")}, "NaN"),
        ({"role": "user", "content": "\ud800"}, "surrogate"),
    ],
)
def test_what_is_no_json_is_refused(item: Any, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        message_of(item)
