"""C22: a message is written whether or not it is there; edits may come in any order."""

from datetime import datetime, timedelta
from functools import partial
from itertools import permutations
from typing import Any

import pytest

from dynamo_chat import ChatStore, Feedback, Message, NewMessage
from dynamo_chat.core.errors import (
    InvalidArgument,
    ItemTooLarge,
    MessageDeleted,
    NotFound,
)
from dynamo_chat.testing import DropAnswer, FakeClock
from tests.chat.scenes import IN_FULL, assistant, said, say, user
from tests.scene import MINUTE, SECOND, Scene, faults, just_before, race, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def test_one_that_is_not_there_is_appended(store: ChatStore, talk: str) -> None:
    """As by append, in two requests; appending it then changes nothing."""
    with requests(store, 2):
        made = store.messages.put(talk, IN_FULL)
    assert made.edited_at is None
    assert store.messages.append(talk, IN_FULL) == made
    assert store.messages.latest(talk) == (made,)
    assert store.conversations.get(talk).message_count == 1


@pytest.mark.parametrize(
    "new",
    [
        assistant("other", message_id="m-1"),
        assistant("", message_id="m-1", metadata={"a": [None, 1.0]}),
        user("mine", message_id="m-1"),
        assistant("begun", message_id="m-1", is_streaming=True),
        IN_FULL,
    ],
    ids=["less", "empty", "role", "streaming", "same"],
)
def test_one_that_is_there_is_replaced_as_a_whole(
    store: ChatStore, talk: str, clock: FakeClock, new: NewMessage
) -> None:
    """In two requests; place, time, turn and feedback stay."""
    first = store.messages.append(talk, IN_FULL)
    say(store, talk, "later")
    store.messages.give_feedback(talk, "m-1", Feedback(type="positive", category="a"))
    feedback = store.messages.get(talk, "m-1").feedback
    head = store.conversations.get(talk)
    clock.advance(MINUTE)
    with requests(store, 2):
        put = store.messages.put(talk, new, user_id="u-1")
    wanted = {name: getattr(new, name) for name in set(type(new).model_fields) - {"at", "sent_at"}}
    wanted["status"] = "streaming" if new.is_streaming else "complete"
    assert put == first.model_copy(update={**wanted, "edited_at": clock(), "feedback": feedback})
    assert store.messages.get(talk, "m-1") == put
    assert store.conversations.get(talk) == head
    assert store.messages.list_by_feedback("positive").items == (put,)


def test_its_time_is_replaced_if_it_is_given(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """To any time, also to the one of its position."""
    first = store.messages.append(talk, user(message_id="m-1", sent_at=clock() - MINUTE))
    for sent_at in (clock() - 2 * MINUTE, clock()):
        put = store.messages.put(talk, user(message_id="m-1", sent_at=sent_at))
        assert put.sent_at == sent_at
        assert put.position == first.position
    assert store.messages.put(talk, user(message_id="m-1")).sent_at == clock()


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_edits_in_any_order(
    store: ChatStore, talk: str, clock: FakeClock, order: tuple[int, ...]
) -> None:
    """The latest stays, whichever came first; the message itself is the first edit."""
    began = clock()
    clock.advance(MINUTE)
    returned = {}
    for number in order:
        returned[number] = store.messages.put(
            talk,
            assistant(f"version {number}", message_id="m-1"),
            at=began + number * SECOND,
        )
    (stored,) = store.messages.latest(talk)
    assert (stored.content, stored.edited_at) == ("version 2", began + 2 * SECOND)
    assert returned[order[-1]] == returned[2] == stored
    assert store.conversations.get(talk).message_count == 1


def test_an_edit_of_the_same_time_is_applied(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """The last call wins; and a plain edit or put always does."""
    store.messages.put(talk, user("a", message_id="m-1"), at=clock())
    put = store.messages.put(talk, user("b", message_id="m-1"), at=clock())
    assert put.content == "b"
    clock.advance(MINUTE)
    store.messages.edit(talk, "m-1", content="c")
    late = store.messages.put(talk, user("d", message_id="m-1"), at=clock() - SECOND)
    assert late.content == "c"
    assert store.messages.put(talk, user("e", message_id="m-1")).content == "e"


def test_a_deleted_message_does_not_come_back(scene: Scene, store: ChatStore, talk: str) -> None:
    """However it was deleted, and when."""
    store.messages.append(talk, user("a", message_id="m-1"))
    other = scene.new_store()
    with (
        just_before(store, "UpdateItem", lambda: other.messages.delete(talk, "m-1")),
        pytest.raises(MessageDeleted),
    ):
        store.messages.put(talk, user("b", message_id="m-1"))
    before = scene.items()
    with pytest.raises(MessageDeleted):
        store.messages.put(talk, user("b", message_id="m-1"))
    assert scene.items() == before
    assert said(store, talk) == []


def test_one_appended_just_before(scene: Scene, store: ChatStore, talk: str) -> None:
    """Is replaced: the put came later."""
    other = scene.new_store()
    with just_before(
        store,
        "TransactWriteItems",
        lambda: other.messages.append(talk, user("theirs", message_id="m-1")),
    ):
        put = store.messages.put(talk, user("mine", message_id="m-1"))
    assert put.content == "mine"
    assert store.messages.latest(talk) == (put,)


def test_many_at_once(scene: Scene, talk: str) -> None:
    """One message, as the latest of them says."""
    stores = [scene.new_store() for _ in range(4)]
    now = scene.clock()
    scene.clock.advance(MINUTE)

    def put(number: int) -> Message:
        return stores[number % 4].messages.put(
            talk,
            user(str(number), message_id="m-1"),
            at=now + timedelta(milliseconds=number),
        )

    made = race([partial(put, n) for n in range(16)])
    assert all(isinstance(each, Message) for each in made), made
    (stored,) = stores[0].messages.latest(talk, consistent=True)
    assert stored.content == "15"
    assert stores[0].conversations.get(talk, consistent=True).message_count == 1


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_lost_answers(store: ChatStore, talk: str, is_there: bool, number: int) -> None:
    """The second try writes the same."""
    if is_there:
        store.messages.append(talk, user("a", message_id="m-1"))
    with faults(store) as injector:
        injector.plan(DropAnswer(), at=number)
        put = store.messages.put(talk, user("b", message_id="m-1"))
        assert injector.injected
    assert store.messages.latest(talk) == (put,)
    assert store.conversations.get(talk).message_count == 1


def test_of_nobody_else(scene: Scene, store: ChatStore, talk: str) -> None:
    """Neither replaced nor appended."""
    store.messages.append(talk, user("a", message_id="m-1"))
    before = scene.items()
    for name in ("m-1", "m-2"):
        with pytest.raises(NotFound, match="conversation"):
            store.messages.put(talk, user("b", message_id=name), user_id="u-2")
        with pytest.raises(NotFound, match="conversation"):
            store.messages.put("c-9", user("b", message_id=name))
    assert scene.items() == before


def test_what_does_not_fit(scene: Scene, store: ChatStore, talk: str) -> None:
    """Is refused, and what is there stays."""
    store.messages.append(talk, user("a", message_id="m-1"))
    before = scene.items()
    noise = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(330_000))
    for name in ("m-1", "m-2"):
        with pytest.raises(ItemTooLarge):
            store.messages.put(talk, user(noise, message_id=name))
    assert scene.items() == before


@pytest.mark.parametrize(
    ("argument", "message", "options"),
    [
        ("message", "hello", {}),
        ("message", None, {}),
        ("message.message_id", user(), {}),
        ("at", user(message_id="m-1"), {"at": "now"}),
        ("at", user(message_id="m-1"), {"at": datetime(2026, 1, 1)}),  # noqa: DTZ001
    ],
)
def test_bad_arguments(
    store: ChatStore, talk: str, argument: str, message: Any, options: dict[str, Any]
) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.messages.put(talk, message, **options)
    assert refused.value.argument == argument


def test_an_edit_from_the_future(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """Would hold back every later one: at most five minutes ahead."""
    with requests(store, 0), pytest.raises(InvalidArgument, match=r"^at: "):
        store.messages.put(talk, user(message_id="m-1"), at=clock() + 6 * MINUTE)
