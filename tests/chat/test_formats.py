"""Messages in the formats of model APIs, both ways."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import (
    ExtractedFilters,
    NewMessage,
    ToolCall,
    YearRange,
    anthropic_messages,
    from_anthropic_messages,
    from_message_dicts,
    from_openai_items,
    from_openai_messages,
    message_dicts,
    openai_items,
    openai_messages,
)
from dynamo_chat.core.errors import InvalidArgument

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text("abcdef_", min_size=1, max_size=8)
leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts
objects = st.dictionaries(texts, leaves | st.lists(leaves, max_size=2), max_size=3)

# -- OpenAI, chat completions ---------------------------------------------------------------------

chat_parts = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, texts)
    | st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})
    | st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA="}})
    | st.just({"type": "image_url", "image_url": {"url": "https://a", "detail": "low"}})
    | st.just({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
    min_size=2,
    max_size=4,
)
chat_calls = st.lists(
    st.builds(
        lambda call_id, name, args: {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": args},
        },
        names,
        names,
        st.builds(
            lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False), objects
        )
        | st.sampled_from(["", "{", "[1]", '"x"', "null", '{"a": NaN}', "NaN"]),
    ),
    min_size=1,
    max_size=3,
)
chat_messages = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "assistant", "system", "developer"]),
        texts | chat_parts,
    )
    | st.builds(
        lambda content, calls: {
            "role": "assistant",
            "content": content or None,
            "tool_calls": calls,
        },
        texts | chat_parts,
        chat_calls,
    )
    | st.builds(
        lambda call_id, content: {"role": "tool", "tool_call_id": call_id, "content": content},
        names,
        texts | chat_parts,
    ),
    max_size=4,
)


@given(chat_messages)
def test_openai_messages_come_back(theirs: list[dict[str, Any]]) -> None:
    """Exactly, whatever a model may have written; also after being plain dicts."""
    ours = from_openai_messages(theirs)
    assert openai_messages(ours) == theirs
    assert openai_messages(from_message_dicts(message_dicts(ours))) == theirs


# -- OpenAI, responses ----------------------------------------------------------------------------


def item_parts(kind: str) -> Any:
    """Contents of two parts or more."""
    return st.lists(
        st.builds(lambda text: {"type": kind, "text": text}, texts)
        | st.just({"type": "output_text", "text": "x", "annotations": [{"type": "url_citation"}]})
        | st.just({"type": "input_image", "image_url": "https://example.com/a.png"})
        | st.just({"type": "input_file", "file_id": "f-1"}),
        min_size=2,
        max_size=3,
    )


items = st.lists(
    st.builds(
        lambda role, content: {"type": "message", "role": role, "content": content},
        st.sampled_from(["user", "system", "developer"]),
        texts | item_parts("input_text"),
    )
    | st.builds(
        lambda content: {"type": "message", "role": "assistant", "content": content},
        texts.filter(bool) | item_parts("output_text"),
    )
    | st.builds(
        lambda call_id, name, args: {
            "type": "function_call",
            "call_id": call_id,
            "name": name,
            "arguments": json.dumps(args, separators=(",", ":"), ensure_ascii=False),
        },
        names,
        names,
        objects,
    )
    | st.builds(
        lambda call_id, output: {
            "type": "function_call_output",
            "call_id": call_id,
            "output": output,
        },
        names,
        texts | item_parts("input_text"),
    )
    | st.just(
        {"type": "reasoning", "id": "r-1", "summary": [{"type": "summary_text", "text": "x"}]}
    ),
    max_size=5,
)


@given(items)
def test_openai_items_come_back(theirs: list[dict[str, Any]]) -> None:
    """With reasoning and what else is no message."""
    ours = from_openai_items(theirs)
    assert openai_items(ours) == theirs
    assert openai_items(from_message_dicts(message_dicts(ours))) == theirs


# -- Anthropic ------------------------------------------------------------------------------------

blocks = (
    st.builds(lambda text: {"type": "text", "text": text}, texts)
    | st.just({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}})
    | st.just({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})
    | st.just(
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAA="},
        }
    )
    | st.just({"type": "document", "source": {"type": "file", "file_id": "f-1"}})
)
contents = texts.filter(bool) | st.lists(blocks, min_size=2, max_size=3)


@st.composite
def anthropic_turns(draw: Any) -> list[dict[str, Any]]:
    """A question and an answer, perhaps with calls, and their results."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": draw(contents)}]
    thinking = draw(st.booleans())
    said: list[dict[str, Any]] = draw(st.lists(blocks, min_size=2, max_size=3))
    if thinking:
        said = [{"type": "thinking", "thinking": "hm", "signature": "s"}, *said]
    ids = draw(st.lists(names, max_size=3, unique=True))
    uses = [{"type": "tool_use", "id": each, "name": "t", "input": draw(objects)} for each in ids]
    turns.append({"role": "assistant", "content": [*said, *uses]})
    results = []
    for each in ids:
        result = {"type": "tool_result", "tool_use_id": each, "content": draw(texts | contents)}
        results.append({**result, "is_error": True} if draw(st.booleans()) else result)
    if results:
        turns.append({"role": "user", "content": results})
    return turns


@given(anthropic_turns(), texts)
def test_anthropic_messages_come_back(theirs: list[dict[str, Any]], system: str) -> None:
    """With the system prompt, thinking, and results that are errors."""
    ours = from_anthropic_messages(theirs, system)
    assert anthropic_messages(ours) == (system, theirs)
    assert anthropic_messages(from_message_dicts(message_dicts(ours))) == (system, theirs)


def test_a_system_prompt_of_blocks() -> None:
    """Is a list again, together with plain ones."""
    system = [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}]
    ours = from_anthropic_messages([], system)
    assert [each.content for each in ours] == ["Be short."]
    assert anthropic_messages(ours).system == system
    both = [*ours, NewMessage(role="system", content="Be kind.")]
    assert anthropic_messages(both).system == [*system, {"type": "text", "text": "Be kind."}]


# -- from one to another --------------------------------------------------------------------------

CHAT: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be short."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA="}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c-1", "type": "function", "function": {"name": "see", "arguments": '{"n":1}'}},
            {"id": "c-2", "type": "function", "function": {"name": "see", "arguments": '{"n":2}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "c-1", "content": "a cat"},
    {"role": "tool", "tool_call_id": "c-2", "content": ""},
    {"role": "assistant", "content": "A cat."},
]
RESPONSES: list[dict[str, Any]] = [
    {"type": "message", "role": "developer", "content": "Be short."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAA="},
        ],
    },
    {"type": "function_call", "call_id": "c-1", "name": "see", "arguments": '{"n":1}'},
    {"type": "function_call", "call_id": "c-2", "name": "see", "arguments": '{"n":2}'},
    {"type": "function_call_output", "call_id": "c-1", "output": "a cat"},
    {"type": "function_call_output", "call_id": "c-2", "output": ""},
    {"type": "message", "role": "assistant", "content": "A cat."},
]
ANTHROPIC: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAA="},
            },
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "c-1", "name": "see", "input": {"n": 1}},
            {"type": "tool_use", "id": "c-2", "name": "see", "input": {"n": 2}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c-1", "content": "a cat"},
            {"type": "tool_result", "tool_use_id": "c-2", "content": ""},
        ],
    },
    {"role": "assistant", "content": "A cat."},
]


def test_one_conversation_in_every_format() -> None:
    """From each to each of the others."""
    for ours in (from_openai_messages(CHAT), from_openai_items(RESPONSES)):
        assert openai_messages(ours) == CHAT
        assert openai_items(ours) == RESPONSES
        assert anthropic_messages(ours) == ("Be short.", ANTHROPIC)
    ours = from_anthropic_messages(ANTHROPIC, "Be short.")
    assert openai_messages(ours) == [{"role": "system", "content": "Be short."}, *CHAT[1:]]
    assert openai_items(ours)[1:] == RESPONSES[1:]


def test_results_that_are_stored_in_their_calls() -> None:
    """Become messages behind them; calls without ids get some."""
    calls = [
        ToolCall(tool="a", args={"q": 1}, result=[1, None]),
        ToolCall(tool="b", result="x", call_id="c-2"),
    ]
    ours = [NewMessage(role="user", content="?"), NewMessage(role="assistant", tool_calls=calls)]
    theirs = openai_messages(ours)
    assert [each["id"] for each in theirs[1]["tool_calls"]] == ["call_1_0", "c-2"]
    assert [call["function"]["arguments"] for call in theirs[1]["tool_calls"]] == ['{"q":1}', "{}"]
    assert theirs[2:] == [
        {"role": "tool", "tool_call_id": "call_1_0", "content": "[1,null]"},
        {"role": "tool", "tool_call_id": "c-2", "content": "x"},
    ]


def test_an_edited_message_says_what_it_was_edited_to() -> None:
    """Its other parts stay."""
    (ours,) = from_openai_messages([CHAT[1]])
    (theirs,) = openai_messages([ours.model_copy(update={"content": "And this?"})])
    assert theirs["content"] == [{"type": "text", "text": "And this?"}, CHAT[1]["content"][1]]


def test_what_another_format_does_not_know_is_refused() -> None:
    """By its type; never left out."""
    audio = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
    ours = from_openai_messages([{"role": "user", "content": [audio]}])
    for into in (anthropic_messages, openai_items):
        with pytest.raises(InvalidArgument, match="input_audio"):
            into(ours)


def test_empty_contents() -> None:
    """None, "" and no content; Anthropic's API refuses empty messages."""
    for content in ({"content": None}, {"content": ""}, {}):
        ours = from_openai_messages([{"role": "assistant", **content}])
        assert openai_messages(ours) == [{"role": "assistant", "content": ""}]
        assert anthropic_messages(ours).messages == []


@pytest.mark.parametrize(
    ("argument", "theirs"),
    [
        ("messages", "x"),
        ("messages", {}),
        ("messages.0", ["x"]),
        ("messages.0.role", [{"content": "x"}]),
        ("messages.0.role", [{"role": "function", "content": "x"}]),
        ("messages.0.role", [{"role": ["user"], "content": "x"}]),
        ("messages.0.content", [{"role": "user", "content": 5}]),
        ("messages.0.content.0", [{"role": "user", "content": [5]}]),
        ("messages.0.tool_call_id", [{"role": "tool", "content": "x"}]),
        ("messages.0.tool_calls.0.function", [{"role": "assistant", "tool_calls": [{"id": "c"}]}]),
        ("tool_calls", [{"role": "user", "content": "x", "tool_calls": CHAT[2]["tool_calls"]}]),
    ],
)
def test_bad_openai_messages(argument: str, theirs: Any) -> None:
    """Named with their place."""
    with pytest.raises(InvalidArgument) as refused:
        from_openai_messages(theirs)
    assert refused.value.argument == argument


@pytest.mark.parametrize(
    ("argument", "theirs"),
    [
        ("messages.0.role", [{"role": "system", "content": "x"}]),
        ("messages.0.content", [{"role": "user"}]),
        ("messages.0", [{"role": "user", "content": ANTHROPIC[1]["content"]}]),
        ("messages.0", [{"role": "assistant", "content": ANTHROPIC[2]["content"]}]),
        (
            "messages.0.content.0.input",
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "t"}]}],
        ),
    ],
)
def test_bad_anthropic_messages(argument: str, theirs: Any) -> None:
    """In the same way."""
    with pytest.raises(InvalidArgument) as refused:
        from_anthropic_messages(theirs)
    assert refused.value.argument == argument


@pytest.mark.parametrize("item", [{}, {"type": 5}, {"type": "message", "role": "tool"}])
def test_bad_items(item: Any) -> None:
    """An item without a type that is known to be one."""
    with pytest.raises(InvalidArgument, match=r"items\.0"):
        from_openai_items([item])


def test_plain_dicts_have_everything() -> None:
    """Times and nested values, too; as JSON text and back."""
    full = NewMessage(
        role="assistant",
        content="x",
        message_id="m-1",
        at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        sent_at=datetime(2025, 1, 2, tzinfo=UTC),
        is_streaming=True,
        response_time=0.25,
        errors="slow",
        documents=[{"a": [1, None]}],
        filters=ExtractedFilters(genres=["crime"], year_range=YearRange(min=1990), rating=7.5),
        recommendations=["Heat"],
        confidence=0.5,
        tool_calls=[ToolCall(tool="t", args=[1], result={"a": 1.0}, call_id="c")],
        metadata={"k": [True, "v"]},
    )
    text = json.dumps(message_dicts([full, NewMessage(role="user")]))
    assert from_message_dicts(json.loads(text)) == [full, NewMessage(role="user")]
    assert json.loads(text)[1] == {"role": "user", "content": ""}


def test_bad_dicts() -> None:
    """The entry is named."""
    for bad in ({"role": "user", "colour": 1}, {"content": "x"}, {"role": "user", "at": "soon"}):
        with pytest.raises(InvalidArgument, match=r"messages\.1"):
            from_message_dicts([{"role": "user"}, bad])


def test_a_result_without_its_call() -> None:
    """Nobody could tell what it answers."""
    for into in (openai_messages, openai_items, anthropic_messages):
        with pytest.raises(InvalidArgument, match="tool_call_id"):
            into([NewMessage(role="tool", content="x")])
