"""Every field of every kind of item, thread and attachment comes back as it was."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    HiddenContextItem,
    InferenceOptions,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
)
from hypothesis import given, strategies as st

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message, NewMessage
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.core.ulids import ulid_time
from dynamo_chat.integrations.chatkit.items import item_of, message_of
from dynamo_chat.integrations.chatkit.threads import details, short_title, thread_of
from tests.integrations.chatkit.generated import TEXTS, any_of

KINDS: tuple[Any, ...] = get_args(get_args(ThreadItem)[0])
POSITION = "01JABCDEFGHJKMNPQRSTVWXYZ0"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - as the framework dates things


def stored(new: NewMessage, **changes: Any) -> Message:
    """The message as it is read after it was stored."""
    fields = {name: getattr(new, name) for name in ("role", "content", "tool_calls", "metadata")}
    made = Message(
        conversation_id="thr_1",
        position=POSITION,
        message_id=new.message_id or f"thr_1~{POSITION}",
        sent_at=new.sent_at or ulid_time(POSITION),
        **{**fields, **changes},
    )
    return plan(Message).decode(plan(Message).encode(made))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_items(kind: Any) -> None:
    """Of each kind, with any content."""

    @given(any_of(kind))
    def law(item: Any) -> None:
        item = item.model_copy(update={"id": "msg_1", "thread_id": "thr_1"})
        if kind is WidgetItem:  # their JSON leaves out each null, also in what actions carry
            item = WidgetItem.model_validate_json(item.model_dump_json())
        found = item_of(stored(message_of(item)))
        assert found == item
        assert found.model_dump_json() == item.model_dump_json()
        assert found.created_at.tzinfo == item.created_at.tzinfo or item.created_at.tzinfo
        assert (found.created_at.tzinfo is None) == (item.created_at.tzinfo is None)

    law()


@given(any_of(ThreadMetadata), st.none() | TEXTS | st.text("ab#", min_size=195, max_size=205))
def test_threads(thread: ThreadMetadata, title: str | None) -> None:
    """Also titles that are empty or too long for a conversation."""
    thread = thread.model_copy(update={"id": "thr_1", "title": title})
    noted = details(thread, datetime(2026, 1, 1, tzinfo=UTC))
    conversation = Conversation(
        conversation_id="thr_1",
        user_id="ann",
        title=short_title(title),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        preferences={name: value for name, value in noted.items() if value is not None},
    )
    found = thread_of(conversation)
    assert found == thread
    assert found.model_dump_json() == thread.model_dump_json()


@given(any_of(Attachment))
def test_attachments(attachment: Any) -> None:
    """Through their JSON."""
    from dynamo_chat.integrations.chatkit.store import _ATTACHMENT

    assert _ATTACHMENT.validate_python(attachment.model_dump(mode="json")) == attachment


# -- what is stored -----------------------------------------------------------------------------


def user_says(*parts: Any, **more: Any) -> UserMessageItem:
    return UserMessageItem.model_validate(
        {
            "id": "msg_1",
            "thread_id": "thr_1",
            "created_at": NOW,
            "content": parts,
            "inference_options": {},
            **more,
        }
    )


def test_a_plain_text_is_a_plain_message() -> None:
    """Nothing is noted in its metadata."""
    asked = message_of(user_says({"type": "input_text", "text": "Hello"}))
    assert (asked.role, asked.content, asked.metadata) == ("user", "Hello", {})
    answer = AssistantMessageItem(
        id="msg_2",
        thread_id="thr_1",
        created_at=NOW,
        content=[AssistantMessageContent(text="Hi")],
    )
    said = message_of(answer)
    assert (said.role, said.content, said.metadata) == ("assistant", "Hi", {})
    assert said.sent_at == NOW.astimezone(UTC)


def test_text_is_stored_once() -> None:
    """As it was typed; the metadata has the lengths of its parts."""
    asked = user_says(
        {"type": "input_text", "text": "Ask "},
        {"type": "input_tag", "id": "t1", "text": "Ann", "data": {"n": 1}},
        {"type": "input_text", "text": " please"},
        quoted_text="a line",
    )
    new = message_of(asked)
    assert new.content == "Ask @Ann please"
    assert "Ann" not in str(new.metadata)
    assert item_of(stored(new)) == asked


def test_an_edit_of_the_message_is_an_edit_of_the_item() -> None:
    """What was struck out of the content is nowhere else; the rest of the item stays."""
    asked = user_says(
        {"type": "input_text", "text": "My card is 1234 "},
        {"type": "input_tag", "id": "t1", "text": "Ann", "data": {}},
        quoted_text="a line",
    )
    edited = item_of(stored(message_of(asked), content="[removed]"))
    assert edited == user_says({"type": "input_text", "text": "[removed]"}, quoted_text="a line")


@pytest.mark.parametrize(
    "noted",
    [
        5,
        "x",
        [],
        {"content": 5},
        {"content": [5]},
        {"content": [{"text": -1}]},
        {"content": [{"text": True}]},
    ],
)
def test_notes_of_others_hide_no_text(noted: Any) -> None:
    """Another program may have a `chatkit` of its own in the metadata."""
    new = NewMessage(role="assistant", content="Hi", metadata={"chatkit": noted})
    found = item_of(stored(new))
    assert isinstance(found, AssistantMessageItem)
    assert [part.text for part in found.content] == ["Hi"]


def test_messages_of_elsewhere_are_items() -> None:
    """What was appended without ChatKit: what was said is shown, the rest is hidden context."""
    user, answer, system = (
        item_of(stored(NewMessage(role=role, content="Hi")))
        for role in ("user", "assistant", "system")
    )
    at = {"id": f"thr_1~{POSITION}", "thread_id": "thr_1"}
    assert isinstance(user, UserMessageItem)
    assert user.content == [UserMessageTextContent(text="Hi")]
    assert user.inference_options == InferenceOptions()
    assert isinstance(answer, AssistantMessageItem)
    assert isinstance(system, HiddenContextItem)
    assert system.content == "Hi"
    assert system.model_dump(include=set(at)) == at


def test_what_no_item_can_be_is_refused() -> None:
    """Before anything is sent: the error names what it is."""
    asked = user_says({"type": "input_text", "text": "x"})
    for wrong, named in (("", "message_id"), ("x" * 201, "message_id")):
        with pytest.raises(InvalidArgument, match=named):
            message_of(asked.model_copy(update={"id": wrong}))
    for content in (object(), "\ud800", {"deep": "\ud800"}):
        hidden = HiddenContextItem(id="h", thread_id="t", created_at=NOW, content=content)
        with pytest.raises(InvalidArgument, match="item"):
            message_of(hidden)
    thread = ThreadMetadata(id="t", created_at=NOW, metadata={"x": object()})
    with pytest.raises(InvalidArgument, match="thread"):
        details(thread, None)


def test_an_item_of_a_later_release_is_corrupt() -> None:
    """The error names where, and shows no value."""
    new = NewMessage(role="system", metadata={"chatkit": {"type": "hologram", "x": "secret"}})
    with pytest.raises(CorruptItem, match="chatkit") as caught:
        item_of(stored(new))
    assert "secret" not in str(caught.value)
    assert caught.value.identity["conversation_id"] == "thr_1"
