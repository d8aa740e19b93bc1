"""C7: an id of the caller's names one message, and makes its append safe to repeat."""

import pytest

from dynamo_chat import (
    ChatStore,
    NewMessage,
)
from dynamo_chat.core.errors import (
    Conflict,
    MessageDeleted,
)
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import assistant, said, say, user
from tests.scene import DAY, SECOND, Scene

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation the store knows."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def test_a_retry_appends_once(scene: Scene, store: ChatStore, talk: str, clock: FakeClock) -> None:
    """Whichever server, whenever, and however much came after it."""
    first = store.messages.append(talk, user("hello", message_id="m-1"))
    say(store, talk, "more")
    clock.advance(DAY)
    before = scene.items()
    for each in (store, scene.new_store()):
        assert each.messages.append(talk, user("hello", message_id="m-1")) == first
    assert scene.items() == before
    assert said(store, talk) == ["hello", "more"]


def test_times_are_not_part_of_what_a_message_says(
    store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """A retry may be sent at another time, and with its JSON in another order."""
    first = store.messages.append(
        talk, user("hello", message_id="m-1", metadata={"a": 1, "b": {"c": 2, "d": 3}})
    )
    again = user(
        "hello",
        message_id="m-1",
        metadata={"b": {"d": 3, "c": 2}, "a": 1},
        at=clock() + SECOND,
        sent_at=clock() - DAY,
    )
    assert store.messages.append(talk, again) == first


@pytest.mark.parametrize(
    "other",
    [
        user("goodbye", message_id="m-1", metadata={"n": 1}),
        assistant("hello", message_id="m-1", metadata={"n": 1}),
        user("hello", message_id="m-1"),
        user("hello", message_id="m-1", metadata={"n": 1.0}),
        user("hello", message_id="m-1", metadata={"n": True}),
        user("hello", message_id="m-1", metadata={"n": 1}, is_streaming=True),
    ],
)
def test_the_same_id_with_other_content_is_a_conflict(
    scene: Scene, store: ChatStore, talk: str, other: NewMessage
) -> None:
    """The error carries what is stored, and nothing changes."""
    first = store.messages.append(talk, user("hello", message_id="m-1", metadata={"n": 1}))
    before = scene.items()
    with pytest.raises(Conflict, match="'m-1' was appended before with other content") as refused:
        store.messages.append(talk, other)
    assert refused.value.current == first
    assert scene.items() == before


def test_a_turn_is_all_new_or_all_old(scene: Scene, store: ChatStore, talk: str) -> None:
    """Old: returned as it was; in part: a conflict."""
    turn = [user("a", message_id="m-1"), assistant("b", message_id="m-2")]
    made = store.messages.append_turn(talk, turn)
    before = scene.items()
    assert store.messages.append_turn(talk, turn) == made
    assert scene.new_store().messages.append_turn(talk, turn) == made
    for mixed in (
        [*turn, assistant("c", message_id="m-3")],
        [user("z", message_id="m-0"), *turn],
        [turn[0], assistant("b", message_id="m-4")],
    ):
        with pytest.raises(Conflict, match="some message ids of this turn"):
            store.messages.append_turn(talk, mixed)
    with pytest.raises(Conflict, match="'m-2'") as refused:
        store.messages.append_turn(talk, [turn[0], assistant("other", message_id="m-2")])
    assert refused.value.current == made[1]
    assert scene.items() == before


def test_an_id_names_one_message_in_each_conversation(store: ChatStore, talk: str) -> None:
    """The same id in another conversation is another message."""
    store.conversations.create("u-1", conversation_id="c-2")
    for identity in (talk, "c-2"):
        store.messages.append(identity, user(identity, message_id="m-1"))
    assert store.messages.get(talk, "m-1").content == talk
    assert store.messages.get("c-2", "m-1").content == "c-2"


def test_a_late_retry_of_what_was_deleted_or_pruned(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """It is not appended again, and not answered as if it were there: the error says so."""
    made = [store.messages.append(talk, user(str(n), message_id=f"m-{n}")) for n in range(3)]
    store.messages.delete(talk, "m-0")
    store.messages.prune(talk, 1)
    before = scene.items()
    for each in (store, scene.new_store()):
        for number in range(2):
            with pytest.raises(MessageDeleted, match=f"'m-{number}'") as told:
                each.messages.append(talk, user(str(number), message_id=f"m-{number}"))
            assert told.value.current is None
        assert each.messages.append(talk, user("2", message_id="m-2")) == made[2]
    assert scene.items() == before
    with pytest.raises(Conflict, match="other content"):
        store.messages.append(talk, user("other", message_id="m-0"))


def test_a_retry_of_a_turn_of_which_a_message_was_deleted(store: ChatStore, talk: str) -> None:
    """All or none: whichever of its messages it was."""
    for gone in range(3):
        turn = [user(str(n), message_id=f"{gone}-{n}") for n in range(3)]
        store.messages.append_turn(talk, turn)
        store.messages.delete(talk, f"{gone}-{gone}")
        with pytest.raises(MessageDeleted, match=f"'{gone}-{gone}'"):
            store.messages.append_turn(talk, turn)
    assert len(said(store, talk)) == 6


def test_a_retry_of_a_turn_longer_than_what_is_kept(store: ChatStore) -> None:
    """Its first messages were pruned by the append itself: that is no deletion since."""
    store.conversations.create("u-1", conversation_id="c-2", keep_last=2)
    turn = [user(str(n), message_id=f"m-{n}") for n in range(4)]
    made = store.messages.append_turn("c-2", turn)
    assert store.messages.append_turn("c-2", turn) == made
    assert said(store, "c-2") == ["2", "3"]
    say(store, "c-2", "4", "5")
    with pytest.raises(MessageDeleted, match="'m-0'"):
        store.messages.append_turn("c-2", turn)


def test_an_id_is_remembered_as_long_as_its_conversation(store: ChatStore, talk: str) -> None:
    """And free again in the next one of the same id."""
    store.messages.append(talk, user("a", message_id="m"))
    store.messages.delete(talk, "m")
    store.conversations.delete(talk)
    store.conversations.create("u-1", conversation_id=talk)
    assert store.messages.append(talk, user("b", message_id="m")).content == "b"
