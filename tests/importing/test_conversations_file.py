"""Reading conversations with OpenAI-style messages, one per line."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.conversations_file import (
    MAX_LINE_BYTES,
    InvalidLine,
    _draft,
    _folded,
    parse_conversation,
    read_conversations,
)
from dynamo_chat.importing.records import ConversationRecord

CALL = {
    "id": "call-1",
    "type": "function",
    "function": {"name": "search", "arguments": '{"limit": 5, "q": "4K"}'},
}


def parsed(*messages: dict[str, Any], **line: Any) -> ConversationRecord:
    return parse_conversation(json.dumps({"messages": messages, **line}))


def test_messages_keep_their_roles_words_and_order() -> None:
    record = parsed(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be polite."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi there!"},
    )
    assert [(each.role, each.content) for each in record.messages] == [
        ("system", "Be brief."),
        ("system", "Be polite."),
        ("user", "Hello!"),
        ("assistant", "Hi there!"),
    ]


def test_the_result_of_a_tool_goes_into_its_call() -> None:
    record = parsed(
        {"role": "user", "content": "Show me 4K renders"},
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call-2"}]},
        {"role": "tool", "tool_call_id": "call-2", "content": "none found"},
        {"role": "tool", "tool_call_id": "call-1", "content": '[{"file_id": 123}]'},
        {"role": "assistant", "content": "Here is one."},
    )
    assert [each.role for each in record.messages] == ["user", "assistant", "assistant"]
    first, second = record.messages[1].tool_calls
    assert (first.tool, first.args, first.result, first.call_id) == (
        "search",
        {"limit": 5, "q": "4K"},
        [{"file_id": 123}],
        "call-1",
    )
    assert second.result == "none found"


def test_a_result_without_its_call_stays_a_message() -> None:
    record = parsed(
        {"role": "user", "content": "?"},
        {"role": "tool", "tool_call_id": "gone", "content": "42"},
    )
    (kept,) = record.messages[1:]
    assert (kept.role, kept.content, kept.metadata) == ("tool", "42", {"tool_call_id": "gone"})


def test_a_call_takes_one_result() -> None:
    record = parsed(
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": "first"},
        {"role": "tool", "tool_call_id": "call-1", "content": "second"},
    )
    assert record.messages[0].tool_calls[0].result == "first"
    assert record.messages[1].content == "second"


def test_functions_of_the_older_form_are_calls() -> None:
    record = parsed(
        {"role": "assistant", "function_call": {"name": "search", "arguments": "not JSON {"}},
        {"role": "function", "name": "search", "content": "{}"},
    )
    (message,) = record.messages
    (call,) = message.tool_calls
    assert (call.tool, call.args, call.result) == ("search", "not JSON {", {})


def test_calls_may_have_the_shape_of_cgchat() -> None:
    call = {"tool": "search", "args": {"limit": 5}, "result": [1, 2.5, None]}
    record = parsed({"role": "assistant", "content": "x", "tool_calls": [call]})
    (found,) = record.messages[0].tool_calls
    assert (found.tool, found.args, found.result) == ("search", {"limit": 5}, [1, 2.5, None])


def test_parts_of_text_are_joined_and_others_are_kept() -> None:
    text = {"type": "text", "text": "Look:"}
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    plain, mixed = parsed(
        {"role": "user", "content": [text, {"type": "text", "text": "here"}]},
        {"role": "user", "content": [text, image]},
    ).messages
    assert (plain.content, plain.metadata) == ("Look:\nhere", {})
    assert (mixed.content, mixed.metadata) == ("Look:", {"content_parts": [text, image]})


def test_nothing_is_dropped() -> None:
    """What has no place of its own is metadata of the message, or state of the conversation."""
    record = parsed(
        {"role": "user", "content": "Hello!", "name": "ann", "weight": 0},
        tools=[{"type": "function"}],
        model="m-1",
    )
    assert record.messages[0].metadata == {"name": "ann", "weight": 0}
    assert record.state == {"tools": [{"type": "function"}], "model": "m-1"}


def test_ids_owner_title_and_times_are_kept() -> None:
    record = parsed(
        {"role": "user", "content": "a", "id": "m-1", "timestamp": "2025-12-30T14:00:00+01:00"},
        {"role": "user", "content": "b", "timestamp": 1_767_100_000},
        {"role": "user", "content": "c", "timestamp": 1_767_100_000_500},
        {"role": "user", "content": "d"},
        id="c-1",
        user="ann",
        title="Renders",
        created_at="2025-12-30T13:00:00",
    )
    assert (record.conversation_id, record.user_id, record.title) == ("c-1", "ann", "Renders")
    assert record.created_at == datetime(2025, 12, 30, 13, tzinfo=UTC)
    assert [each.message_id for each in record.messages] == ["m-1", "c-1:1", "c-1:2", "c-1:3"]
    assert [each.at for each in record.messages] == [
        datetime(2025, 12, 30, 13, tzinfo=UTC),
        datetime(2025, 12, 30, 13, 6, 40, tzinfo=UTC),
        datetime(2025, 12, 30, 13, 6, 40, 500_000, tzinfo=UTC),
        record.created_at,
    ]


def test_a_line_without_ids_gets_the_same_ones_every_time() -> None:
    first, again = (parsed({"role": "user", "content": "Hello!"}) for _ in range(2))
    other = parsed({"role": "user", "content": "Hello?"})
    assert first == again
    assert first.conversation_id != other.conversation_id
    assert first.user_id == "demo"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "line: is not JSON"),
        ("[]", "line: must be a JSON object"),
        ('{"messages": NaN}', "line: is not JSON: NaN is not JSON"),
        ("[" * 100_000, "line: is nested too deeply"),
        ('{"n": ' + "7" * 9_000 + "}", "an integer must have at most 4,300 digits, not 9,000"),
        ("{}", "messages: must be a list of messages, not empty"),
        ('{"messages": []}', "messages: must be a list of messages, not empty"),
        ('{"messages": ["Hello!"]}', "messages.0: must be an object"),
        ('{"messages": [{}]}', "messages.0.role: must be text"),
        ('{"messages": [{"role": "bot"}]}', "messages.0.role: input should be 'user'"),
        ('{"messages": [{"role": "user", "content": 3}]}', "messages.0.content: must be text"),
        ('{"messages": [{"role": "user", "tool_calls": "x"}]}', "messages.0.tool_calls: must be"),
        (
            '{"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}',
            "messages.0.tool_calls.0: must have a function",
        ),
        (
            '{"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}',
            "messages.0.tool_calls.0.function.name: must be text",
        ),
        (
            '{"messages": [{"role": "user", "tool_calls": [{"function": {"name": "f"}}]}]}',
            "messages.0.tool_calls: belong to assistant messages only",
        ),
        ('{"messages": [{"role": "user", "id": 7}]}', "messages.0.id: must be text, not empty"),
        ('{"messages": [{"role": "user", "timestamp": "noon"}]}', "messages.0.timestamp: must be"),
        ('{"messages": [{"role": "user"}], "created_at": 1e99}', "created_at: must be a time"),
        ('{"messages": [{"role": "user"}], "user": ""}', "user: must be text, not empty"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "lone surrogates"),
    ],
)
def test_what_is_wrong_is_named(line: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(complaint)):
        parse_conversation(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["messages", "user", "title", "created_at", "role", "content", "text"]) | (
    st.sampled_from(["tool_calls", "function_call", "function", "name", "arguments", "id"])
    | st.sampled_from(["tool_call_id", "timestamp"])
)
lines = st.recursive(
    json_values | st.sampled_from(["user", "assistant", "tool"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(keys, lines, max_size=5), lines)
def test_any_json_is_a_conversation_or_refused(line: dict[str, Any], messages: Any) -> None:
    """No line makes the reader fail otherwise than by InvalidArgument."""
    try:
        record = parse_conversation(json.dumps({**line, "messages": messages}))
    except InvalidArgument:
        return
    assert record.messages


# -- files --------------------------------------------------------------------------------------

GOOD = '{"messages": [{"role": "user", "content": "Hello!"}]}'


def written(folder: Path, *lines: bytes | str) -> Path:
    path = folder / "conversations.jsonl"
    path.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return path


def test_empty_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf" + GOOD.encode(), "", "  ", GOOD, "")
    assert [line for line, _ in read_conversations(path)] == [1, 4]


@pytest.mark.parametrize(
    ("bad", "complaint"), [("{", "is not JSON"), (b"\xff\xfe", "is not UTF-8 text")]
)
def test_an_error_names_the_line(tmp_path: Path, bad: bytes | str, complaint: str) -> None:
    path = written(tmp_path, GOOD, "", bad, GOOD)
    with pytest.raises(InvalidLine, match=r"^conversations\.jsonl, line 3: ") as refused:
        list(read_conversations(path))
    assert refused.value.line == 3
    assert complaint in str(refused.value)


# -- lines that are meant to harm -----------------------------------------------------------------


def line_of(**beyond: str) -> str:
    """A line whose other values are these texts of JSON."""
    more = "".join(f', "{name}": {value}' for name, value in beyond.items())
    return '{"messages": [{"role": "user", "content": "Hi"}]' + more + "}"


HOSTILE: list[tuple[str, str]] = [
    ("x" * (MAX_LINE_BYTES + 1), "must have at most 16 MiB"),
    (line_of(x="[" + ",".join(["[]"] * 1_000_000) + "]"), "must have at most 1,000,000 values"),
    (line_of(x="[" * 100_000 + "]" * 100_000), "nested too deep"),
    (line_of(x='{"a":' * 100_000 + "1" + "}" * 100_000), "nested too deep"),
    ("[" * 1_000_000, "nested too deep|values"),
    (line_of(x="9" * 5_000), "an integer must have"),
    (line_of(created_at="9" * 4_000), "created_at: must be a time"),
    (line_of(created_at="1e999"), "created_at: must be a time"),
    (line_of(title='"' + "t" * 10_000_000 + '"'), ""),
]


@pytest.mark.parametrize(("line", "complaint"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_would_take_too_much_is_refused(tmp_path: Path, line: str, complaint: str) -> None:
    """At once, in few words, and as what is wrong with the line."""
    file = tmp_path / "hostile.jsonl"
    file.write_text(line_of() + "\n" + line + "\n" + line_of(), "utf-8")
    read = read_conversations(file)
    assert next(read).line == 1
    if not complaint:
        assert next(read).record.title  # which the store refuses
        return
    with pytest.raises(InvalidLine, match=complaint) as refused:
        next(read)
    assert refused.value.line == 2
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("depth", range(900, 1_000, 7))
def test_nesting_near_the_interpreters_limit_is_refused(depth: int) -> None:
    """Whoever meets it: parsing, naming the line or, later, the store."""
    with suppress(InvalidArgument):  # anything else is a traceback
        assert parse_conversation(line_of(x="[" * depth + "]" * depth)).state
    with pytest.raises(InvalidArgument, match="nested"):
        parse_conversation(
            '{"messages": [{"role": "user", "x": ' + "[" * depth + "]" * depth + "}]}"
        )


def test_commas_in_a_text_are_no_values(tmp_path: Path) -> None:
    text = r"a, [b] \" {c}, \\" * 200_000
    file = tmp_path / "commas.jsonl"
    file.write_text(f'{{"messages": [{{"role": "user", "content": "{text}"}}]}}', "utf-8")
    (read,) = read_conversations(file)
    assert read.record.messages[0].content.count(",") == 400_000


def test_many_results_are_folded_in_one_go() -> None:
    """Each finds its call at once, however many there are: else this takes an hour."""
    number = 40_000
    calls = [
        {"role": "assistant", "tool_calls": [{"id": f"c{at}", "function": {"name": "f"}}]}
        for at in range(number)
    ]
    results = [
        {"role": "tool", "tool_call_id": f"c{at}", "content": f"r{at}"} for at in range(number)
    ]
    unknown = [{"role": "tool", "tool_call_id": "nobody's", "content": "?"}] * number
    drafts = [_draft(each, place) for place, each in enumerate([*calls, *results, *unknown])]
    kept = _folded(drafts)
    assert len(kept) == 2 * number
    assert [draft.calls[0].result for draft in kept[:number]] == [f"r{at}" for at in range(number)]


def test_a_result_by_name_goes_to_the_latest_call_that_waits() -> None:
    said: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "b", "function": {"name": "f"}},
                {"id": "c", "function": {"name": "f"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "for b"},
        {"role": "tool", "name": "f", "content": "for c"},
        {"role": "tool", "name": "f", "content": "for a"},
        {"role": "tool", "name": "f", "content": "for nobody"},
        {"role": "tool", "tool_call_id": ["b"], "name": "f", "content": "for nobody"},
    ]
    first, second, *others = parsed(*said).messages
    assert [call.result for each in (first, second) for call in each.tool_calls] == [
        "for a",
        "for b",
        "for c",
    ]
    assert [each.content for each in others] == ["for nobody"] * 2
