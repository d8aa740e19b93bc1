"""Messages of Pydantic AI come back with every field, from messages that people can read."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    RetryInfo,
    SpeechPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from dynamo_chat import (
    InvalidArgument,
    NewMessage,
    ToolCall,
    anthropic_messages,
    openai_messages,
)
from dynamo_chat.integrations.pydantic_ai import as_history, as_messages
from tests.integrations.pydantic_ai.stored import HISTORY

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.sampled_from(["add", "find", "call-1", "x"])
TIMES = st.datetimes(timezones=st.just(UTC))
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=2)
BINARY = st.builds(BinaryContent, st.binary(max_size=6), media_type=st.just("image/png"))
AGAIN: Any = RetryInfo("model_retry")
USER = st.lists(TEXT | BINARY | st.just(ImageUrl("https://example.com/a")), max_size=3)
REQUESTS = st.builds(
    ModelRequest,
    st.lists(
        st.one_of(
            st.builds(UserPromptPart, TEXT | USER, timestamp=TIMES),
            st.builds(SystemPromptPart, TEXT, timestamp=TIMES),
            st.builds(
                ToolReturnPart, NAMES, JSON, tool_call_id=NAMES, metadata=JSON, timestamp=TIMES
            ),
            st.builds(RetryFeedbackPart, TEXT, retry=st.just(AGAIN), timestamp=TIMES),
            st.builds(SpeechPart, speaker=st.just("user"), transcript=st.none() | TEXT),
        ),
        max_size=3,
    ),
    instructions=st.none() | TEXT,
    timestamp=st.none() | TIMES,
    run_id=st.none() | NAMES,
    conversation_id=st.none() | NAMES,
    metadata=st.none() | OBJECTS,
)
RESPONSES = st.builds(
    ModelResponse,
    st.lists(
        st.one_of(
            st.builds(TextPart, TEXT, id=st.none() | NAMES, provider_details=st.none() | OBJECTS),
            st.builds(ThinkingPart, TEXT, signature=st.none() | NAMES),
            st.builds(ToolCallPart, NAMES, st.none() | OBJECTS | TEXT, tool_call_id=NAMES),
            st.builds(NativeToolCallPart, NAMES, st.none() | OBJECTS, tool_call_id=NAMES),
            st.builds(NativeToolReturnPart, NAMES, JSON, tool_call_id=NAMES, timestamp=TIMES),
            st.builds(FilePart, BINARY),
            st.builds(SpeechPart, speaker=st.just("assistant"), transcript=st.none() | TEXT),
        ),
        max_size=3,
    ),
    usage=st.builds(RequestUsage, input_tokens=st.integers(0, 9), details=st.just({"a": 1})),
    model_name=st.none() | NAMES,
    timestamp=TIMES,
    provider_details=st.none() | OBJECTS,
    finish_reason=st.sampled_from([None, "stop", "length"]),
    metadata=st.none() | OBJECTS,
)


@given(st.lists(REQUESTS | RESPONSES, max_size=3))
def test_every_field_comes_back(history: list[ModelMessage]) -> None:
    """As through Pydantic AI's own adapter."""
    said = ModelMessagesTypeAdapter.dump_json(history)
    again = as_history(as_messages(history))
    assert again == ModelMessagesTypeAdapter.validate_json(said)
    assert ModelMessagesTypeAdapter.dump_json(again) == ModelMessagesTypeAdapter.dump_json(
        ModelMessagesTypeAdapter.validate_json(said)
    )


def test_the_messages_are_readable() -> None:
    shown = [(each.role, each.content) for each in as_messages(HISTORY)]
    assert shown == [
        ("user", "What is 2 + 2?"),
        ("assistant", ""),
        ("tool", "4"),
        ("assistant", "It is 4."),
        ("user", "And this?\n\nOr that?"),
        ("assistant", "One.\n\nTwo."),
        ("system", "Again."),
        ("assistant", ""),
    ]
    assert as_messages(HISTORY)[1].tool_calls == (
        ToolCall(tool="add", args={"a": 2, "b": 2}, call_id="call-1"),
    )


def test_a_text_is_kept_once() -> None:
    (kept,) = as_messages([ModelResponse([TextPart("unique words")])])
    assert kept.model_dump_json().count("unique") == 1


def test_other_models_read_the_same_messages() -> None:
    messages = as_messages(HISTORY[:4])
    roles = [each["role"] for each in openai_messages(messages)]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert len(anthropic_messages(messages).messages) == 4


def test_an_edited_text_reaches_the_agent() -> None:
    (kept,) = as_messages(HISTORY[3:4])
    (edited,) = as_history([kept.model_copy(update={"content": "It is four."})])
    assert edited.parts == [TextPart("It is four.")]


def test_messages_of_other_programs() -> None:
    calls = [ToolCall(tool="add", args={"a": 1}, call_id="c-1", result=2), ToolCall(tool="now")]
    written = [
        NewMessage(role="system", content="Be brief."),
        NewMessage(role="user", content="What is it?"),
        NewMessage(role="assistant", content="Let me see.", tool_calls=calls),
        NewMessage(role="tool", content="noon", metadata={"tool_call_id": "call_2_1"}),
        NewMessage(role="tool", content="of no call"),
        NewMessage(role="assistant", content=""),
        NewMessage(role="assistant", content="Half an", is_streaming=True),
    ]
    parts = [part for said in as_history(written) for part in said.parts]
    assert [type(part).__name__ for part in parts] == [
        "SystemPromptPart",
        "UserPromptPart",
        "TextPart",
        "ToolCallPart",
        "ToolCallPart",
        "ToolReturnPart",
        "ToolReturnPart",
        "ToolReturnPart",
        "TextPart",
    ]
    returned = [part for part in parts if isinstance(part, ToolReturnPart)]
    assert [(part.tool_name, part.content) for part in returned] == [
        ("add", "2"),
        ("now", "noon"),
        ("tool", "of no call"),
    ]


@pytest.mark.parametrize(
    "kept",
    [7, {}, {"message": 7}, {"message": {"kind": "response", "parts": 3}, "text": ["a"]}],
)
def test_damaged_metadata_leaves_the_text(kept: Any) -> None:
    (said,) = as_history([NewMessage(role="user", content="Hi", metadata={"pydantic_ai": kept})])
    (part,) = said.parts
    assert isinstance(part, UserPromptPart)
    assert part.content == "Hi"


@pytest.mark.parametrize(
    ("history", "named"),
    [
        ("text", "history"),
        ([HISTORY[0], 7], "history.1"),
        ([ModelRequest([UserPromptPart("\ud800")])], "history.0"),
        ([ModelRequest([ToolReturnPart("a", object(), tool_call_id="c")])], "history.0"),
    ],
)
def test_what_is_no_message_is_refused(history: Any, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        as_messages(history)
