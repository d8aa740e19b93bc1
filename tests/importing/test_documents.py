"""Conversations read out in the shapes of the documents, and records made of those."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import Conversation, Message, Review
from dynamo_chat.chat.message import ExtractedFilters, Feedback, ToolCall, YearRange
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.ulids import lowest_ulid
from dynamo_chat.importing.cgchat import cgchat_document, cgchat_record
from dynamo_chat.importing.records import numbered_id
from dynamo_chat.importing.support import support_record, support_rows
from dynamo_chat.importing.trinity import trinity_document, trinity_record

NOON = datetime(2025, 12, 30, 12, tzinfo=UTC)


def conversation(**fields: Any) -> Conversation:
    given = {"conversation_id": "c-1", "user_id": "ann", "title": "Renders", "created_at": NOON}
    return Conversation(**{"updated_at": NOON, "message_count": 2, **given, **fields})


def message(role: str, content: str = "", *, place: int = 0, **fields: Any) -> Message:
    at = NOON + timedelta(seconds=place)
    given = {"conversation_id": "c-1", "position": lowest_ulid(at), "message_id": f"m-{place}"}
    return Message.model_validate(
        {**given, "role": role, "content": content, "sent_at": at, **fields}
    )


# -- cgchat -------------------------------------------------------------------------------------


def test_cgchat_is_one_item_with_its_messages_inside() -> None:
    call = ToolCall(tool="find", args={"limit": 10}, result=[1], call_id="call-1")
    document = cgchat_document(
        conversation(updated_at=NOON + timedelta(seconds=1, microseconds=700_000)),
        [message("user", "Which?"), message("assistant", "This.", place=1, tool_calls=(call,))],
    )
    assert list(document) == [
        "conversation_id",
        "user_id",
        "title",
        "created_at",
        "updated_at",
        "message_count",
        "messages",
    ]
    assert document["updated_at"] == "2025-12-30T12:00:01Z"
    assert document["messages"] == [
        {"role": "user", "content": "Which?", "timestamp": "2025-12-30T12:00:00Z"},
        {
            "role": "assistant",
            "content": "This.",
            "timestamp": "2025-12-30T12:00:01Z",
            "tool_calls": [{"tool": "find", "args": {"limit": 10}, "result": [1]}],
        },
    ]


def test_cgchat_gets_tool_messages_as_results() -> None:
    """It knows no role for them: what answers a call is in the call, the rest reads as system."""
    calls = tuple(ToolCall(tool="find", call_id=f"call-{n}") for n in (1, 2))
    document = cgchat_document(
        conversation(message_count=4),
        [
            message("assistant", tool_calls=calls),
            message("tool", "two", place=1, metadata={"tool_call_id": "call-2"}),
            message("tool", "two again", place=2, metadata={"tool_call_id": "call-2"}),
            message("tool", "of what?", place=3),
        ],
    )
    assert document["message_count"] == 3
    first, *others = document["messages"]
    assert [call["result"] for call in first["tool_calls"]] == [None, "two"]
    assert [(each["role"], each["content"]) for each in others] == [
        ("system", "two again"),
        ("system", "of what?"),
    ]


def test_cgchat_counts_all_messages_when_some_are_shown() -> None:
    shown = [message("user", "The latest")]
    assert cgchat_document(conversation(message_count=40), shown)["message_count"] == 40


def test_cgchat_records_number_their_messages() -> None:
    """They have no ids: the same document gives the same ones."""
    document = cgchat_document(conversation(), [message("user", "a"), message("user", "b")])
    record = cgchat_record(document)
    assert [each.message_id for each in record.messages] == ["c-1:0", "c-1:1"]
    assert record == cgchat_record(document)
    long = "c" * 250
    assert len(numbered_id(long, 7)) <= 200
    assert numbered_id(long, 7) != numbered_id("d" * 250, 7)


# -- trinity ------------------------------------------------------------------------------------


def test_trinity_has_its_own_names_and_roles() -> None:
    filters = ExtractedFilters(
        genres=("action",), year_range=YearRange(min=1990), rating=7.0, keywords=("superhero",)
    )
    document = trinity_document(
        conversation(
            title=None, kept_until=NOON + timedelta(days=30), preferences={"genres": [None, 1.0]}
        ),
        [
            message("user", "A film"),
            message(
                "assistant",
                "This one",
                place=1,
                filters=filters,
                recommendations=("movieId1",),
                confidence=0.85,
            ),
        ],
    )
    assert document == {
        "sessionId": "c-1",
        "userId": "ann",
        "createdAt": "2025-12-30T12:00:00Z",
        "updatedAt": "2025-12-30T12:00:00Z",
        "ttl": int((NOON + timedelta(days=30)).timestamp()),
        "messages": [
            {
                "messageId": "m-0",
                "type": "user_query",
                "content": "A film",
                "timestamp": "2025-12-30T12:00:00Z",
            },
            {
                "messageId": "m-1",
                "type": "trini_response",
                "content": "This one",
                "timestamp": "2025-12-30T12:00:01Z",
                "extractedFilters": {
                    "genres": ["action"],
                    "yearRange": {"min": 1990},
                    "rating": 7.0,
                    "keywords": ["superhero"],
                },
                "recommendations": ["movieId1"],
                "confidence": 0.85,
            },
        ],
        "userPreferences": {"genres": [None, 1.0]},
        "messageCount": 2,
        "sessionStatus": "active",
    }


def test_trinity_leaves_out_what_it_has_no_role_for() -> None:
    document = trinity_document(
        conversation(message_count=3),
        [message("system", "Be brief."), message("user", "A film", place=1), message("tool", "x")],
    )
    assert [each["type"] for each in document["messages"]] == ["user_query"]
    assert document["messageCount"] == 1
    assert "ttl" not in document


def test_trinity_records_keep_the_time_they_were_given() -> None:
    kept = conversation(kept_until=NOON + timedelta(days=30), status="archived")
    record = trinity_record(trinity_document(kept, [message("user", "A film")]))
    assert record.retention == timedelta(days=30)
    assert record.keep_last == 10
    assert record.status == "archived"
    assert record.messages[0].message_id == "m-0"


# -- support ------------------------------------------------------------------------------------


def exchange_messages() -> list[Message]:
    feedback = Feedback(type="positive", rank=5, category="helpful", text="Thanks", given_at=NOON)
    return [
        message("user", "How?"),
        message(
            "assistant",
            "So.",
            place=2,
            response_time=2.0,
            documents=({"DocumentId": "kb/1"}, {"DocumentId": "kb/2"}),
            feedback=feedback,
        ),
        message("user", "And that?", place=3),
        message("assistant", place=33, errors="timed out", response_time=30.0),
    ]


def test_support_has_a_row_for_each_prompt_with_its_response() -> None:
    review = Review(conversation_id="c-1", review_id="r-1", reviewed_by="bob", reviewed_at=NOON)
    rows = support_rows(conversation(message_count=4), exchange_messages(), [review])
    assert rows.chat_session == {
        "pk_session_id": "c-1",
        "user_id": "ann",
        "title": "Renders",
        "created_at": "2025-12-30T12:00:00Z",
        "updated_at": "2025-12-30T12:00:00Z",
        "message_count": 2,
    }
    assert rows.messages == [
        {
            "pk_message_id": "m-2",
            "sk_session_id": "c-1",
            "user_prompt": "How?",
            "bot_response": "So.",
            "metadata": {"documents": [{"DocumentId": "kb/1"}, {"DocumentId": "kb/2"}]},
            "sent_at": "2025-12-30T12:00:00Z",
            "response_time": 2.0,
            "feedback_type": "positive",
            "feedback_rank": 5,
            "feedback_category": "helpful",
            "feedback_message": "Thanks",
            "feedback_created_at": "2025-12-30T12:00:00Z",
        },
        {
            "pk_message_id": "m-33",
            "sk_session_id": "c-1",
            "user_prompt": "And that?",
            "bot_response": "",
            "metadata": {"documents": []},
            "sent_at": "2025-12-30T12:00:03Z",
            "response_time": 30.0,
            "errors": "timed out",
        },
    ]
    assert rows.reviews == [
        {
            "pk_review_id": "r-1",
            "session_id": "c-1",
            "reviewed_by": "bob",
            "reviewed_at": "2025-12-30T12:00:00Z",
            "has_archived": False,
        }
    ]


def test_support_records_are_the_rows_in_time_order() -> None:
    session, messages, reviews = support_rows(conversation(), exchange_messages())
    record = support_record(session, messages[::-1], reviews)
    assert [(each.role, each.content) for each in record.messages] == [
        ("user", "How?"),
        ("assistant", "So."),
        ("user", "And that?"),
        ("assistant", ""),
    ]
    assert [each.message_id for each in record.messages[:2]] == ["m-2:prompt", "m-2"]
    assert record.messages[1].at == NOON + timedelta(seconds=2)
    assert record.feedback["m-2"].text == "Thanks"
    assert set(record.feedback) == {"m-2"}


@pytest.mark.parametrize(
    ("metadata", "documents"),
    [
        ({}, ()),
        ([], ()),
        ([{"id": 1}, {"id": 2}], ({"id": 1}, {"id": 2})),
        ({"documents": [{"id": 1}]}, ({"id": 1},)),
        ({"id": 1}, ({"id": 1},)),
    ],
)
def test_support_metadata_may_have_several_forms(metadata: Any, documents: Any) -> None:
    session, (row, *_), _ = support_rows(conversation(), exchange_messages()[:2])
    record = support_record(session, [{**row, "metadata": metadata}])
    assert record.messages[1].documents == documents


# -- what is wrong with a record is named -------------------------------------------------------

CGCHAT = cgchat_document(conversation(), [message("user", "a")])
TRINITY = trinity_document(conversation(), [message("user", "a")])
SUPPORT = support_rows(conversation(), exchange_messages())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"created_at": "yesterday"}, "created_at"),
        ({"user_id": ""}, "user_id"),
        ({"messages": [{**CGCHAT["messages"][0], "role": "tool"}]}, "messages.0.role"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_cgchat_item_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        cgchat_record({**CGCHAT, **changes})
    assert refused.value.argument == named


def test_a_wrong_trinity_item_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refused:
        trinity_record({**TRINITY, "messages": [{**TRINITY["messages"][0], "type": "other"}]})
    for ttl in (253_402_300_800, 10**20):
        with pytest.raises(InvalidArgument, match="ttl"):
            trinity_record({**TRINITY, "ttl": ttl})
    assert refused.value.argument == "messages.0.type"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sk_session_id": "another"}, "sk_session_id"),
        ({"metadata": "text"}, "metadata"),
        ({"feedback_rank": 6}, "feedback.rank"),
        ({"feedback_type": None}, "feedback.type"),
        ({"sent_at": 17}, "messages.0.sent_at"),
    ],
)
def test_a_wrong_support_row_is_refused(changes: dict[str, Any], named: str) -> None:
    first, second = SUPPORT.messages
    with pytest.raises(InvalidArgument) as refused:
        support_record(SUPPORT.chat_session, [{**first, **changes}, second])
    assert refused.value.argument == named


def test_a_support_session_counts_its_rows() -> None:
    with pytest.raises(InvalidArgument, match="is 2, but there are 1 rows"):
        support_record(SUPPORT.chat_session, SUPPORT.messages[:1])


# -- there and back -----------------------------------------------------------------------------

texts = st.text(max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(ToolCall, tool=texts, args=json_values, result=json_values)


@st.composite
def conversations_of_cgchat(draw: st.DrawFn) -> list[Message]:
    messages = []
    for place in range(draw(st.integers(0, 5))):
        role = draw(st.sampled_from(["user", "assistant", "system"]))
        made = draw(st.lists(calls, max_size=2)) if role == "assistant" else []
        messages.append(message(role, draw(texts), place=place, tool_calls=tuple(made)))
    return messages


@given(conversations_of_cgchat())
def test_cgchat_says_everything_there_and_back(messages: list[Message]) -> None:
    """Words, tool calls with any JSON in them, and times, through JSON text and back."""
    document = json.loads(json.dumps(cgchat_document(conversation(), messages)))
    record = cgchat_record(document)
    assert [(each.role, each.content, each.tool_calls, each.at) for each in record.messages] == [
        (each.role, each.content, each.tool_calls, each.sent_at) for each in messages
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["user", "assistant"]),
            texts,
            st.none()
            | st.builds(
                ExtractedFilters,
                genres=st.lists(texts, max_size=2).map(tuple),
                year_range=st.none()
                | st.builds(
                    YearRange,
                    min=st.none() | st.integers(1900, 2100),
                    max=st.none() | st.integers(1900, 2100),
                ),
                rating=st.none() | st.floats(0.5, 10),
                keywords=st.lists(texts, max_size=2).map(tuple),
            ),
            st.lists(texts, max_size=2).map(tuple),
            st.none() | st.floats(0.001, 1),
        ),
        max_size=5,
    )
)
def test_trinity_says_everything_there_and_back(drawn: list[Any]) -> None:
    messages = [
        message(
            role,
            content,
            place=place,
            filters=filters,
            recommendations=recommendations,
            confidence=confidence,
        )
        for place, (role, content, filters, recommendations, confidence) in enumerate(drawn)
    ]
    document = json.loads(json.dumps(trinity_document(conversation(), messages)))
    record = trinity_record(document)
    for new, was in zip(record.messages, messages, strict=True):
        assert (new.role, new.content, new.message_id, new.at) == (
            was.role,
            was.content,
            was.message_id,
            was.sent_at,
        )
        assert new.filters == was.filters
        assert new.recommendations == was.recommendations
        assert new.confidence == was.confidence
