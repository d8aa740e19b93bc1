"""What the caller saw is a condition: created only if new, renamed as read, deleted as seen."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conversation, ConversationChanged, Feedback
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import DropAnswer, FakeClock, Killed
from tests.chat.scenes import say, user
from tests.scene import MINUTE, Scene, dead_after, faults, just_before, race, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> Conversation:
    """A conversation with two messages, as it is now."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    say(store, "c-1", "a", "b")
    return store.conversations.get("c-1")


# -- create ---------------------------------------------------------------------------------------


def test_created_only_if_it_is_new(store: ChatStore) -> None:
    """Its owner is shown the one that is there; another user is not."""
    made = store.conversations.create("u-1", conversation_id="c-1", exist_ok=False)
    with requests(store, 1), pytest.raises(AlreadyExists, match="already have") as refused:
        store.conversations.create("u-1", conversation_id="c-1", title="Other", exist_ok=False)
    assert refused.value.current == made
    with pytest.raises(AlreadyExists, match="is taken") as taken:
        store.conversations.create("u-2", conversation_id="c-1", exist_ok=False)
    assert taken.value.current is None


@pytest.mark.parametrize("title", [None, "T"])
def test_a_lost_answer_is_no_other_conversation(store: ChatStore, title: str | None) -> None:
    """What is there was created by this very call."""
    with faults(store) as injector:
        injector.plan(DropAnswer(), at=1)
        made = store.conversations.create("u-1", conversation_id="c-1", title=title, exist_ok=False)
        assert injector.injected
    assert store.conversations.get("c-1") == made


def test_one_of_many_creates_it(scene: Scene) -> None:
    """The others see the one that won."""
    stores = [scene.new_store() for _ in range(4)]
    made = race(
        [
            lambda s=stores[n % 4]: s.conversations.create(  # type: ignore[misc]
                "u-1", conversation_id="c-1", exist_ok=False
            )
            for n in range(16)
        ]
    )
    (won,) = [each for each in made if isinstance(each, Conversation)]
    lost = [each for each in made if isinstance(each, AlreadyExists)]
    assert [each.current for each in lost] == [won] * 15


# -- rename ---------------------------------------------------------------------------------------


def test_a_renamed_conversation_is_returned(
    scene: Scene, store: ChatStore, talk: Conversation, clock: FakeClock
) -> None:
    """As it is read afterwards; by a server that has never seen it, too."""
    clock.advance(MINUTE)
    for each, title in ((store, "New"), (scene.new_store(), "Newer")):
        with requests(each, 2):
            renamed = each.conversations.rename("c-1", title)
        assert renamed == talk.model_copy(update={"title": title})
        assert store.conversations.get("c-1") == renamed
        assert store.conversations.find_by_title(title, user_id="u-1").items == (renamed,)


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda other: other.messages.append("c-1", user("c")),
        lambda other: other.messages.pop("c-1"),
        lambda other: other.conversations.set_status("c-1", "archived"),
        lambda other: other.conversations.set_preferences("c-1", {"a": 1}),
        lambda other: other.conversations.rename("c-1", "Theirs"),
    ],
    ids=["append", "pop", "archive", "preferences", "rename"],
)
def test_what_changed_meanwhile_is_returned_too(
    scene: Scene, store: ChatStore, talk: Conversation, meanwhile: Callable[[ChatStore], Any]
) -> None:
    """Never a mixture of before and after; of preferences, that there are some."""
    other = scene.new_store()
    with just_before(store, "TransactWriteItems", lambda: meanwhile(other)):
        renamed = store.conversations.rename("c-1", "Mine")
    there = store.conversations.get("c-1", consistent=True)
    if there.has_preferences:
        assert renamed.preferences is None
        there = there.model_copy(update={"preferences": None})
    assert renamed == there
    assert renamed.title == "Mine"


def test_an_id_given_anew_is_not_renamed(
    scene: Scene, store: ChatStore, talk: Conversation
) -> None:
    """For the earlier owner it is gone."""
    other = scene.new_store()

    def meanwhile() -> None:
        other.conversations.delete("c-1")
        other.conversations.create("u-2", conversation_id="c-1", title="Theirs")

    with (
        just_before(store, "TransactWriteItems", meanwhile),
        pytest.raises(NotFound),
    ):
        store.conversations.rename("c-1", "Mine", user_id="u-1")
    assert store.conversations.get("c-1").title == "Theirs"


# -- delete ---------------------------------------------------------------------------------------

CHANGES: list[Callable[[ChatStore], Any]] = [
    lambda store: store.messages.append("c-1", user("c")),
    lambda store: store.messages.pop("c-1"),
    lambda store: (store.messages.pop("c-1"), store.messages.append("c-1", user("c"))),
    lambda store: store.conversations.rename("c-1", "Other"),
    lambda store: store.conversations.set_status("c-1", "archived"),
]


def test_deleted_as_it_was_seen(scene: Scene, store: ChatStore, talk: Conversation) -> None:
    """With no request more than without the condition."""
    store.messages.give_feedback(
        "c-1", store.messages.latest("c-1")[0].message_id, Feedback(type="positive")
    )
    with requests(store, 5):
        assert store.conversations.delete("c-1", unchanged_since=talk, user_id="u-1") == 4
    assert scene.items() == []
    with pytest.raises(NotFound):
        store.conversations.delete("c-1", unchanged_since=talk)


def test_without_title_and_messages(store: ChatStore) -> None:
    """What is missing is compared, too."""
    seen = store.conversations.create("u-1", conversation_id="c-2")
    assert store.conversations.delete("c-2", unchanged_since=seen) == 1
    seen = store.conversations.create("u-1", conversation_id="c-2")
    store.conversations.rename("c-2", "T")
    with pytest.raises(ConversationChanged):
        store.conversations.delete("c-2", unchanged_since=seen)


@pytest.mark.parametrize("change", CHANGES, ids=["append", "pop", "swap", "rename", "archive"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_changed_is_not_deleted(
    scene: Scene, store: ChatStore, talk: Conversation, change: Any, when: str
) -> None:
    """The error shows what is there; nothing is deleted."""
    other = scene.new_store()
    if when == "before":
        change(other)
        before = scene.items()
        with pytest.raises(ConversationChanged, match="changed since") as refused:
            store.conversations.delete("c-1", unchanged_since=talk)
        assert scene.items() == before
    else:
        with (
            just_before(store, "TransactWriteItems", lambda: change(other)),
            pytest.raises(ConversationChanged, match="changed since") as refused,
        ):
            store.conversations.delete("c-1", unchanged_since=talk)
    assert refused.value.current == store.conversations.get("c-1", consistent=True)


def test_an_id_given_anew_is_not_deleted(store: ChatStore, talk: Conversation) -> None:
    """The owner is shown the new one; of another user's nothing is shown."""
    for owner, error in (("u-1", ConversationChanged), ("u-2", NotFound)):
        store.conversations.delete("c-1")
        new = store.conversations.create(owner, conversation_id="c-1", title="T")
        with pytest.raises(error):
            store.conversations.delete("c-1", unchanged_since=talk)
        assert store.conversations.get("c-1") == new


def test_a_deletion_that_died_is_finished(
    scene: Scene, store: ChatStore, talk: Conversation
) -> None:
    """With the same condition."""
    cut = dead_after(2)
    with faults(store) as injector:
        injector.plan(cut[1], at=cut[0])
        with pytest.raises(Killed):
            store.conversations.delete("c-1", unchanged_since=talk)
    store.conversations.delete("c-1", unchanged_since=talk)
    assert scene.items() == []


@pytest.mark.parametrize("seen", ["c-1", {"conversation_id": "c-1"}])
def test_something_else_was_seen(store: ChatStore, talk: Conversation, seen: Any) -> None:
    """Another type, or another conversation: nothing is sent."""
    other = talk.model_copy(update={"conversation_id": "c-2"})
    for each in (seen, other):
        with requests(store, 0), pytest.raises(InvalidArgument, match="unchanged_since"):
            store.conversations.delete("c-1", unchanged_since=each)
