"""C18: messages are edited, finished after streaming, and deleted."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import UNCHANGED, ChatStore, Feedback, Message, ToolCall
from dynamo_chat.core.errors import Conflict, InvalidArgument, ItemTooLarge, NotFound
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import IN_FULL, assistant, said, say, user
from tests.laws.strategies import same
from tests.scene import MINUTE, Scene, just_before, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


@pytest.fixture
def message(store: ChatStore, talk: str) -> Message:
    """A message with something in every part, and an id of the caller's."""
    return store.messages.append(talk, IN_FULL)


CHANGES: list[dict[str, Any]] = [
    {"content": "other words"},
    {"content": ""},
    {"content": "long words " * 1_000},
    {"errors": "none"},
    {"errors": None},
    {"documents": [{"title": "B", "n": -0.0}, {}]},
    {"documents": []},
    {"tool_calls": [ToolCall(tool="u", args=[1], result={})]},
    {"tool_calls": ()},
    {"metadata": {"": [None, 1.0]}},
    {"metadata": {}},
    {"content": "all", "errors": None, "documents": (), "tool_calls": [], "metadata": {"k": "v"}},
]


@pytest.mark.parametrize("changes", CHANGES, ids="-".join)
def test_what_is_named_changes_and_the_rest_stays(
    store: ChatStore, talk: str, message: Message, clock: FakeClock, changes: dict[str, Any]
) -> None:
    """In two requests; returned as it is read."""
    clock.advance(MINUTE)
    with requests(store, 2):
        edited = store.messages.edit(talk, "m-1", **changes)
    assert edited.edited_at == clock()
    expected = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    assert edited == message.model_copy(update={**expected, "edited_at": clock()})
    assert store.messages.get(talk, "m-1") == edited
    assert store.messages.latest(talk) == (edited,)
    if "metadata" in changes:
        assert same(edited.metadata, changes["metadata"])
    if "documents" in changes:
        assert same(list(edited.documents), list(changes["documents"]))


def test_of_the_stores_own_id_too(store: ChatStore, talk: str) -> None:
    """With the owner's proof in the same two requests; nothing else is touched."""
    first, second = say(store, talk, "first", "second")
    before = store.conversations.get(talk)
    with requests(store, 2):
        store.messages.edit(talk, first.message_id, content="edited", user_id="u-1")
    assert said(store, talk) == ["edited", "second"]
    assert store.messages.get(talk, second.message_id) == second
    assert store.conversations.get(talk) == before


def test_something_must_change(store: ChatStore, talk: str, message: Message) -> None:
    """Naming nothing is a mistake; UNCHANGED names nothing."""
    nothing: list[dict[str, Any]] = [{}, {"content": UNCHANGED, "errors": UNCHANGED}]
    for changes in nothing:
        with requests(store, 0), pytest.raises(InvalidArgument):
            store.messages.edit(talk, "m-1", **changes)


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("content", {"content": None}),
        ("content", {"content": 5}),
        ("content", {"content": "\ud800"}),
        ("errors", {"errors": b"x"}),
        ("documents", {"documents": None}),
        ("documents.0", {"documents": ["x"]}),
        ("documents.0", {"documents": [{"a": float("nan")}]}),
        ("tool_calls", {"tool_calls": "t"}),
        ("tool_calls.0", {"tool_calls": [5]}),
        ("metadata", {"metadata": None}),
        ("metadata", {"metadata": {1: 2}}),
    ],
)
def test_bad_changes(
    scene: Scene,
    store: ChatStore,
    talk: str,
    message: Message,
    argument: str,
    changes: dict[str, Any],
) -> None:
    """Named, and nothing is sent; also when a message is finished."""
    before = scene.items()
    calls: list[Callable[[], object]] = [
        lambda: store.messages.edit(talk, "m-1", **changes),
        lambda: store.messages.finish(talk, "m-1", **{"content": "x", **changes}),
    ]
    for call in calls:
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            call()
        assert refused.value.argument.startswith(argument)
    assert scene.items() == before


def test_tool_calls_are_the_assistants(scene: Scene, store: ChatStore, talk: str) -> None:
    """A user's message cannot get them by an edit either."""
    asked = say(store, talk, "asked")[0]
    before = scene.items()
    with pytest.raises(InvalidArgument, match="tool_calls: belong to assistant messages only"):
        store.messages.edit(talk, asked.message_id, tool_calls=[ToolCall(tool="t")])
    assert scene.items() == before
    store.messages.edit(talk, asked.message_id, tool_calls=[], content="x")


def test_what_does_not_fit(scene: Scene, store: ChatStore, talk: str, message: Message) -> None:
    """Refused with the part, the size and the limit: alone, or beside what is there."""
    noise = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(110_000))
    attempts: list[dict[str, Any]] = [{"content": noise * 3}, {"metadata": {"k": noise}}]
    for changes in attempts:
        before = scene.items()
        with pytest.raises(ItemTooLarge) as refused:
            store.messages.edit(talk, "m-1", **changes)
        assert refused.value.argument in changes
        assert refused.value.size is not None
        assert refused.value.size > refused.value.limit
        assert scene.items() == before
        store.messages.edit(talk, "m-1", content=noise)


def test_no_such_message(scene: Scene, store: ChatStore, talk: str, message: Message) -> None:
    """Nothing comes into being."""
    own = say(store, talk, "gone")[0].message_id
    store.messages.delete(talk, own)
    before = scene.items()
    for message_id in ("m-9", own, f"{talk}~{'0' * 26}"):
        with pytest.raises(NotFound, match="message"):
            store.messages.edit(talk, message_id, content="x")
        with pytest.raises(NotFound, match="message"):
            store.messages.finish(talk, message_id, content="x")
    assert scene.items() == before


def test_a_message_deleted_just_before(
    scene: Scene, store: ChatStore, talk: str, message: Message
) -> None:
    """The condition holds the edit back."""
    other = scene.new_store()
    with (
        just_before(store, "UpdateItem", lambda: other.messages.delete(talk, "m-1")),
        pytest.raises(NotFound),
    ):
        store.messages.edit(talk, "m-1", content="x")
    assert said(store, talk) == []


# -- streaming ----------------------------------------------------------------------------------


def test_a_streamed_message_is_finished(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """Its place is taken when it begins; what it says comes at the end."""
    begun = store.messages.append(talk, assistant(is_streaming=True, metadata={"model": "m"}))
    assert begun.is_streaming
    say(store, talk, "impatient")
    clock.advance(MINUTE)
    with requests(store, 2):
        done = store.messages.finish(
            talk,
            begun.message_id,
            content="All of it.",
            response_time=2.5,
            documents=[{"title": "A"}],
            tool_calls=[ToolCall(tool="t")],
            user_id="u-1",
        )
    assert not done.is_streaming
    assert done.edited_at is None
    assert (done.content, done.response_time, done.metadata) == ("All of it.", 2.5, {"model": "m"})
    assert done.position == begun.position
    assert store.messages.get(talk, begun.message_id) == done
    assert said(store, talk) == ["All of it.", "impatient"]


def test_finishing_again(scene: Scene, store: ChatStore, talk: str) -> None:
    """With the same: returned. With other content: a conflict that shows what is there."""
    begun = store.messages.append(talk, assistant(is_streaming=True, message_id="m-1"))
    done = store.messages.finish(talk, "m-1", content="Done.", metadata={"n": 1})
    before = scene.items()
    assert store.messages.finish(talk, "m-1", content="Done.", metadata={"n": 1}) == done
    assert store.messages.finish(talk, "m-1", content="Done.") == done
    others: list[dict[str, Any]] = [
        {"content": "Other."},
        {"content": "Done.", "metadata": {"n": True}},
        {"content": "Done.", "metadata": {"n": 1.0}},
        {"content": "Done.", "errors": "late"},
    ]
    for other in others:
        with pytest.raises(Conflict, match="finished before") as refused:
            store.messages.finish(talk, "m-1", **other)
        assert refused.value.current == done
    assert scene.items() == before
    assert begun.position == done.position


@pytest.mark.parametrize(
    "said",
    [
        {"content": ""},
        {"content": "", "errors": None, "response_time": None},
        {"content": "", "documents": [], "tool_calls": [], "metadata": {}},
        {"content": "x", "errors": "", "metadata": {"": None}},
    ],
)
def test_finishing_again_with_nothing_to_say(
    store: ChatStore, talk: str, said: dict[str, Any]
) -> None:
    """What is empty is the same as what is not stored."""
    store.messages.append(talk, assistant("begun", is_streaming=True, message_id="m-1"))
    done = store.messages.finish(talk, "m-1", **said)
    assert done.content == said["content"]
    assert store.messages.finish(talk, "m-1", **said) == done
    with pytest.raises(Conflict, match="finished before"):
        store.messages.finish(talk, "m-1", content="more")


def test_a_message_that_never_streamed(store: ChatStore, talk: str, message: Message) -> None:
    """Is finished already."""
    with pytest.raises(Conflict):
        store.messages.finish(talk, "m-1", content="x")
    assert store.messages.finish(talk, "m-1", content="words") == message


# -- deleting -----------------------------------------------------------------------------------


def test_a_deleted_message_is_counted_out(store: ChatStore, talk: str, message: Message) -> None:
    """Once, with its feedback; what was ever appended is still told."""
    other = say(store, talk, "other")[0]
    store.messages.give_feedback(talk, "m-1", Feedback(type="positive", category="a"))
    with requests(store, 2):
        store.messages.delete(talk, "m-1")
    with requests(store, 1):
        store.messages.delete(talk, other.message_id, user_id="u-1")
    head = store.conversations.get(talk)
    assert (head.message_count, head.appended_count) == (0, 2)
    assert said(store, talk) == []
    assert not store.messages.list_by_feedback("positive").items
    for message_id in ("m-1", other.message_id):
        store.messages.delete(talk, message_id)
        with pytest.raises(NotFound):
            store.messages.get(talk, message_id)
    assert store.conversations.get(talk) == head


def test_deleting_what_never_was(store: ChatStore, talk: str, message: Message) -> None:
    """No error in a conversation that is there; in none, not found."""
    before = store.conversations.get(talk)
    for message_id in ("m-9", f"{talk}~{'0' * 26}", f"c-2~{'0' * 26}"):
        store.messages.delete(talk, message_id)
    assert store.conversations.get(talk) == before
    for message_id in ("m-9", f"c-9~{'0' * 26}"):
        with pytest.raises(NotFound):
            store.messages.delete("c-9", message_id)


def test_the_latest_message_deleted(store: ChatStore, talk: str) -> None:
    """The next one still sorts behind where it was."""
    first, second = say(store, talk, "first", "second")
    store.messages.delete(talk, second.message_id)
    third = store.messages.append(talk, user("third"))
    assert third.position > second.position > first.position
    assert said(store, talk) == ["first", "third"]


def test_two_that_delete_at_once(
    scene: Scene, store: ChatStore, talk: str, message: Message
) -> None:
    """It is counted out once."""
    say(store, talk, "other")
    other = scene.new_store()
    with just_before(
        store.connection, "TransactWriteItems", lambda: other.messages.delete(talk, "m-1")
    ):
        store.messages.delete(talk, "m-1")
    assert store.conversations.get(talk).message_count == 1
