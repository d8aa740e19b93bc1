"""C1 and C2: conversations are created once, and belong to somebody."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Exchange, Feedback
from dynamo_chat.core.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidKey,
    ItemTooLarge,
    NotFound,
)
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import say, user
from tests.scene import DAY, SECOND, Scene, requests

pytestmark = pytest.mark.engine

LIKED = Feedback(type="positive")


def test_what_was_created_is_what_is_read(store: ChatStore, clock: FakeClock) -> None:
    """All of it, in one request each."""
    with requests(store, 1):
        made = store.conversations.create(
            "u-1",
            conversation_id="c-1",
            title="Films",
            retention=30 * DAY,
            keep_last=10,
            preferences={"genres": ["drama"], "n": 1.0, "none": None},
            status="archived",
            at=clock() - DAY,
        )
    with requests(store, 1):
        read = store.conversations.get("c-1")
    assert read == made
    assert read.user_id == "u-1"
    assert read.title == "Films"
    assert read.status == "archived"
    assert read.created_at == read.updated_at == clock() - DAY
    assert (read.message_count, read.appended_count, read.last_position) == (0, 0, None)
    assert read.preferences == {"genres": ["drama"], "n": 1.0, "none": None}
    assert read.retention == 30 * DAY
    assert read.expires_at is not None
    assert timedelta(0) <= read.expires_at - (clock() + 29 * DAY) < SECOND


def test_the_least_that_can_be_said(store: ChatStore, clock: FakeClock) -> None:
    """An owner is enough; the id is fresh, the rest is empty."""
    one, other = store.conversations.create("u-1"), store.conversations.create("u-1")
    assert one.conversation_id != other.conversation_id
    assert one.title is None
    assert one.status == "active"
    assert one.expires_at is None
    assert one.created_at == clock()
    assert store.conversations.get(one.conversation_id) == one


def test_creating_again_returns_what_is_there(store: ChatStore, clock: FakeClock) -> None:
    """Whatever else the second call says: the id is the owner's."""
    first = store.conversations.create("u-1", conversation_id="c-1", title="One")
    say(store, "c-1", "hello")
    clock.advance(DAY)
    again = store.conversations.create("u-1", conversation_id="c-1", title="Two", keep_last=5)
    assert again.title == "One"
    assert again.message_count == 1
    assert again.created_at == first.created_at


def test_an_id_belongs_to_one_owner(scene: Scene, store: ChatStore) -> None:
    """Another user's is taken; the error does not show whose it is."""
    store.conversations.create("u-secret", conversation_id="c-1")
    before = scene.items()
    with pytest.raises(AlreadyExists, match="'c-1' is taken") as refused:
        store.conversations.create("u-2", conversation_id="c-1", title="Mine")
    assert "u-secret" not in str(refused.value)
    assert scene.items() == before


def test_another_users_conversation_is_not_found(store: ChatStore) -> None:
    """With an owner given, reading it is as if it were not there."""
    store.conversations.create("u-1", conversation_id="c-1")
    assert store.conversations.get("c-1", user_id="u-1").user_id == "u-1"
    with pytest.raises(NotFound, match="conversation 'c-1' was not found") as refused:
        store.conversations.get("c-1", user_id="u-2")
    assert refused.value.what == "conversation"
    with pytest.raises(NotFound):
        store.conversations.get("c-2")


def test_every_write_asks_for_the_owner(scene: Scene, store: ChatStore) -> None:
    """No method that takes a `user_id` changes another user's conversation, remembered or not."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    message = store.messages.append("c-1", user(), user_id="u-1")
    before = scene.items()
    for each in (store, scene.new_store()):
        for attempt in in_the_name_of("u-2", each, message.message_id):
            with pytest.raises(NotFound):
                attempt()
    assert scene.items() == before


def in_the_name_of(user_id: str, store: ChatStore, message_id: str) -> list[Callable[[], Any]]:
    """Everything that can be done to conversation c-1 and its message."""
    talks, messages, states = store.conversations, store.messages, store.states
    return [
        lambda: talks.get("c-1", user_id=user_id),
        lambda: talks.rename("c-1", "X", user_id=user_id),
        lambda: talks.set_status("c-1", "archived", user_id=user_id),
        lambda: talks.set_preferences("c-1", {}, user_id=user_id),
        lambda: talks.merge_preferences("c-1", {"a": 1}, user_id=user_id),
        lambda: talks.delete("c-1", user_id=user_id),
        lambda: messages.append("c-1", user(), user_id=user_id),
        lambda: messages.append_turn("c-1", [user()], user_id=user_id),
        lambda: messages.append_exchange("c-1", Exchange(user_prompt="?"), user_id=user_id),
        lambda: messages.list("c-1", user_id=user_id),
        lambda: messages.list("c-1", user_id=user_id, newest_first=True),
        lambda: messages.latest("c-1", user_id=user_id),
        lambda: messages.latest_with_conversation("c-1", user_id=user_id),
        lambda: messages.list_exchanges("c-1", user_id=user_id),
        lambda: messages.get("c-1", message_id, user_id=user_id),
        lambda: messages.get_by_id(message_id, user_id=user_id),
        lambda: messages.prune("c-1", 0, user_id=user_id),
        lambda: messages.edit("c-1", message_id, content="X", user_id=user_id),
        lambda: messages.finish("c-1", message_id, content="X", user_id=user_id),
        lambda: messages.delete("c-1", message_id, user_id=user_id),
        lambda: messages.give_feedback("c-1", message_id, LIKED, user_id=user_id),
        lambda: messages.withdraw_feedback("c-1", message_id, user_id=user_id),
        lambda: states.save("c-1", {}, user_id=user_id),
        lambda: states.get("c-1", user_id=user_id),
    ]


@pytest.mark.parametrize(
    "identity", ["a#b$c", "ü😀", "\x00\x01", " ", "x" * 256, "~", "c~01J", "%2F"]
)
def test_any_text_may_be_an_id(store: ChatStore, identity: str) -> None:
    """Of conversations, users and messages."""
    store.conversations.create(identity, conversation_id=identity, title=identity[:200])
    made = store.messages.append(identity, user("hi", message_id=identity[:200]))
    assert store.conversations.get(identity, user_id=identity).conversation_id == identity
    assert [each.conversation_id for each in store.conversations.list_by_user(identity)] == [
        identity
    ]
    assert [each.conversation_id for each in store.conversations.list_by_activity(identity)] == [
        identity
    ]
    assert [
        each.conversation_id
        for each in store.conversations.find_by_title(identity[:200], user_id=identity)
    ] == [identity]
    assert store.messages.get(identity, identity[:200]) == made
    assert store.messages.get_by_id(identity[:200]) == made


def test_an_id_too_long_for_its_keys_is_refused_at_once(scene: Scene, store: ChatStore) -> None:
    """Not only when its first message, and so its title, comes."""
    longest = "😀" * 239
    store.conversations.create("u-1", conversation_id=longest)
    say(store, longest, "Words for a title")
    assert store.conversations.get(longest).title == "Words for a title"
    before = scene.items()
    with pytest.raises(InvalidKey, match="bytes; DynamoDB allows 1,024") as refused:
        store.conversations.create("u-1", conversation_id="😀" * 240)
    assert refused.value.argument == "conversation_id"
    assert scene.items() == before


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("user_id", ""),
        ("user_id", None),
        ("user_id", 5),
        ("user_id", "x" * 257),
        ("user_id", "\ud800"),
        ("conversation_id", ""),
        ("conversation_id", 5),
        ("conversation_id", "x" * 257),
        ("conversation_id", "a\udfff"),
        ("title", ""),
        ("title", "x" * 201),
        ("title", 5),
        ("title", "\ud800"),
        ("retention", timedelta(seconds=59)),
        ("retention", timedelta(days=36_501)),
        ("retention", timedelta(0)),
        ("retention", 30),
        ("retention", "P30D"),
        ("keep_last", 0),
        ("keep_last", 10_001),
        ("keep_last", True),
        ("keep_last", 1.0),
        ("preferences", "text"),
        ("preferences", [1]),
        ("preferences", {"a": {1, 2}}),
        ("preferences", {"a": float("nan")}),
        ("preferences", {1: 2}),
        ("status", "deleted"),
        ("status", None),
        ("at", "2025-01-01"),
        ("at", datetime(2025, 1, 1)),  # noqa: DTZ001 - naive on purpose
    ],
)
def test_bad_arguments_are_named_and_nothing_is_sent(
    scene: Scene, store: ChatStore, argument: str, value: Any
) -> None:
    """The error says which argument, and DynamoDB hears nothing."""
    arguments: dict[str, Any] = {"user_id": "u-1", argument: value}
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.conversations.create(**arguments)
    assert refused.value.argument.split(".")[0] == argument
    assert scene.items() == []


def test_deadlines_that_make_no_sense(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """Sliding without retention, over before it began, past the end of time."""
    with pytest.raises(InvalidArgument, match="sliding: needs a retention"):
        store.conversations.create("u-1", sliding=True)
    with pytest.raises(InvalidArgument, match="retention: has already ended"):
        store.conversations.create("u-1", retention=DAY, at=clock() - 2 * DAY)
    with pytest.raises(InvalidArgument, match="retention: ends after the year 9999"):
        scene.new_store(lambda: datetime(9999, 12, 31, 12, tzinfo=UTC)).conversations.create(
            "u-1", retention=DAY
        )


@pytest.mark.once
def test_preferences_leave_room_for_what_appends_add(store: ChatStore) -> None:
    """A conversation that can be created can be appended to, titled, archived."""
    noise = {
        str(n): f"{(n * 2_654_435_761) % 2**61:x}{(n * 40_503) % 2**59:x}" for n in range(40_000)
    }
    with pytest.raises(ItemTooLarge) as refused:
        store.conversations.create("u-1", preferences=noise)
    assert refused.value.argument == "preferences"
    low, high, kept = 0, 40_000, store.conversations.create("u-1")
    while high - low > 50:  # close to as many as fit
        middle = (low + high) // 2
        try:
            kept = store.conversations.create("u-1", preferences=dict(list(noise.items())[:middle]))
            low = middle
        except ItemTooLarge:
            high = middle
    say(store, kept.conversation_id, "😀" * 300)
    store.conversations.rename(kept.conversation_id, "😀" * 200)
    store.conversations.set_status(kept.conversation_id, "archived")
    read = store.conversations.get(kept.conversation_id)
    assert read.title == "😀" * 200
    assert len(read.preferences or {}) == low
