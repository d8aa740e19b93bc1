"""C9: one message, by the store's id or the caller's, with or without its conversation."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, Message
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, NotFound
from dynamo_chat.testing import FakeClock, RequestMeter
from tests.chat.scenes import say, user
from tests.scene import DAY, SECOND, Scene, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def minted(store: ChatStore) -> Message:
    """A message with an id of the store's."""
    store.conversations.create("u-1", conversation_id="c-1")
    return store.messages.append("c-1", user("minted"))


@pytest.fixture
def brought(store: ChatStore, minted: Message) -> Message:
    """A message of the same conversation with an id of the caller's."""
    return store.messages.append("c-1", user("brought", message_id="m-1"))


@pytest.mark.parametrize("consistent", [True, False])
def test_by_conversation_and_id(
    store: ChatStore, minted: Message, brought: Message, consistent: bool
) -> None:
    """One request for the store's own id, two for the caller's; the owner is checked with it."""
    with requests(store, 1):
        found = store.messages.get("c-1", minted.message_id, user_id="u-1", consistent=consistent)
    assert found == minted
    with requests(store, 2):
        found = store.messages.get("c-1", "m-1", user_id="u-1", consistent=consistent)
    assert found == brought


def test_by_id_alone(store: ChatStore, minted: Message, brought: Message) -> None:
    """The same numbers of requests."""
    with requests(store, 1):
        assert store.messages.get_by_id(minted.message_id) == minted
    with requests(store, 2):
        assert store.messages.get_by_id("m-1", user_id="u-1") == brought


def test_no_such_message(store: ChatStore, minted: Message, brought: Message) -> None:
    """In a conversation that is there, in another one, or in none."""
    store.conversations.create("u-1", conversation_id="c-2")
    other = say(store, "c-2", "other")[0]
    for conversation_id, message_id in [
        ("c-1", "m-2"),
        ("c-1", other.message_id),
        ("c-2", minted.message_id),
        ("c-2", "m-1"),
        ("c-3", "m-1"),
        ("c-1", "c-1~" + "0" * 26),
        ("c-1", "x" * 1_000),
        ("c-1", "c-1~"),
    ]:
        with pytest.raises(NotFound):
            store.messages.get(conversation_id, message_id)
    for message_id in ("m-2", "c-9~" + "0" * 26, "~" + "0" * 26, "x" * 1_000, "😀" * 256):
        with pytest.raises(NotFound):
            store.messages.get_by_id(message_id)


@pytest.mark.parametrize("message_id", ["", None, 5, b"m-1", "\ud800"])
def test_bad_ids(store: ChatStore, minted: Message, message_id: Any) -> None:
    """Named, and nothing is sent."""
    for ask in (
        lambda: store.messages.get("c-1", message_id),
        lambda: store.messages.get_by_id(message_id),
        lambda: store.messages.edit("c-1", message_id, content="x"),
        lambda: store.messages.delete("c-1", message_id),
        lambda: store.messages.withdraw_feedback("c-1", message_id),
    ):
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            ask()
        assert refused.value.argument == "message_id"


def test_an_id_in_several_conversations(store: ChatStore) -> None:
    """One of this user's if one is given, else any; also where very many others use the id."""
    for number in range(13):
        store.conversations.create(f"u-{number:02}", conversation_id=f"c-{number:02}")
        store.messages.append(f"c-{number:02}", user(str(number), message_id="1"))
    assert store.messages.get_by_id("1").message_id == "1"
    for number in (0, 7, 12):
        found = store.messages.get_by_id("1", user_id=f"u-{number:02}")
        assert found.conversation_id == f"c-{number:02}"
    with pytest.raises(NotFound):
        store.messages.get_by_id("1", user_id="u-99")


def test_an_id_that_very_many_conversations_use(scene: Scene, store: ChatStore) -> None:
    """Two requests for a user's own, and for a miss, however many others use the id."""
    for number in range(120):
        identity = f"{number:03}"
        store.conversations.create(f"u-{identity}", conversation_id=f"c-{identity}")
        store.messages.append(f"c-{identity}", user(identity, message_id="1"))
    for number in (0, 60, 119):
        with requests(store, 2):
            found = store.messages.get_by_id("1", user_id=f"u-{number:03}")
        assert found.conversation_id == f"c-{number:03}"
    with requests(store, 2), pytest.raises(NotFound):
        store.messages.get_by_id("1", user_id="u-999")
    with requests(store, 2):
        store.messages.get_by_id("1")


def test_one_user_with_the_same_id_everywhere(store: ChatStore, clock: FakeClock) -> None:
    """Behind conversations that are gone the steps grow."""
    for number in range(120):
        retention = DAY if number < 119 else None
        store.conversations.create("u-1", conversation_id=f"c-{number:03}", retention=retention)
        store.messages.append(f"c-{number:03}", user(str(number), message_id="1"))
    clock.advance(DAY + SECOND)
    with RequestMeter(store.connection.client) as meter:
        assert store.messages.get_by_id("1", user_id="u-1").content == "119"
    assert meter.count <= 8


def test_ids_of_any_length_and_letters_have_their_owner(store: ChatStore) -> None:
    """The key holds the owner's hash: long ids of both fit."""
    owner, identity = "\U0001f600" * 256, "é" * 190
    store.conversations.create(owner, conversation_id=identity)
    store.messages.append(identity, user("a", message_id="\U0001f600" * 200))
    found = store.messages.get_by_id("\U0001f600" * 200, user_id=owner)
    assert found.conversation_id == identity


def test_conversations_that_are_gone_hide_no_others(store: ChatStore, clock: FakeClock) -> None:
    """Deleted messages and expired conversations are passed over."""
    for number in range(12):
        retention = DAY if number < 11 else None
        store.conversations.create("u-1", conversation_id=f"c-{number:02}", retention=retention)
        store.messages.append(f"c-{number:02}", user(str(number), message_id="1"))
    store.conversations.create("u-1", conversation_id="c-99")
    store.messages.append("c-99", user("deleted", message_id="1"))
    store.messages.delete("c-99", "1")
    clock.advance(DAY + SECOND)
    assert store.messages.get_by_id("1").content == "11"


def test_nothing_of_a_conversation_that_is_gone(store: ChatStore, clock: FakeClock) -> None:
    """Deleted, expired, slid away: by either id, with and without the conversation."""
    ids: dict[str, list[str]] = {}
    for identity, options in {
        "gone": {},
        "fixed": {"retention": DAY},
        "slid": {"retention": DAY, "sliding": True},
    }.items():
        store.conversations.create("u-1", conversation_id=identity, **options)  # type: ignore[arg-type]
        ids[identity] = [
            say(store, identity, "minted")[0].message_id,
            say(store, identity, "brought", message_id=f"m-{identity}")[0].message_id,
        ]
    store.conversations.delete("gone")
    clock.advance(DAY + SECOND)
    for identity, known in ids.items():
        for message_id in known:
            calls: list[Callable[[str, str], object]] = [
                store.messages.get,
                lambda _, m: store.messages.get_by_id(m),
                lambda c, m: store.messages.edit(c, m, content="x"),
                lambda c, m: store.messages.finish(c, m, content="x"),
                store.messages.delete,
                store.messages.withdraw_feedback,
            ]
            for call in calls:
                with pytest.raises(NotFound):
                    call(identity, message_id)


def test_a_damaged_id_item(scene: Scene, store: ChatStore, brought: Message) -> None:
    """Told, by every call that reads it."""
    item = scene.only("message_id")
    del item["position"]
    scene.put(item)
    asks: list[Callable[[], object]] = [
        lambda: store.messages.get("c-1", "m-1"),
        lambda: store.messages.get_by_id("m-1"),
        lambda: store.messages.edit("c-1", "m-1", content="x"),
        lambda: store.messages.append("c-1", user("brought", message_id="m-1")),
    ]
    for ask in asks:
        with pytest.raises(CorruptItem, match="message_id"):
            ask()
