"""Own items of a conversation are saved with its messages, and deleted on their condition."""

from typing import Any, ClassVar

import pytest

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.core.errors import Conflict, InvalidArgument, NotFound
from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    Check,
    Count,
    Entity,
    ExpiresAt,
    Id,
    Layout,
    OwnItem,
    Repository,
    Slot,
    access_pattern,
    fields,
    partition,
    repository,
    sort,
    text,
)
from dynamo_chat.testing import DropAnswer, RequestMeter
from tests.scene import DAY, Scene, cut_short, dead_after, faults

pytestmark = pytest.mark.engine

STEP = Layout("step", table=Slot(CONVERSATION_PARTITION, sort("APPSTEP")), of=CONVERSATION)
PLACE = Layout("place", table=Slot(partition("PLACE", text("conversation_id")), sort("PLACE")))
TURN = [NewMessage(role="user", content="Hi")]


class Step(Entity):
    """How far an agent is."""

    layout: ClassVar[Layout] = STEP
    conversation_id: Id
    number: Count
    expires_at: ExpiresAt = None


class Place(Entity):
    """An item that is in no conversation."""

    layout: ClassVar[Layout] = PLACE
    conversation_id: Id
    expires_at: ExpiresAt = None


class Steps(Repository):
    """Reads steps."""

    kinds = (Step,)

    @access_pattern("ST1", "BatchGetItem", "1", owner="read")
    def find(self, conversation_id: str, *, user_id: str | None = None) -> Step | None:
        """The step of a conversation."""
        return self.conversation_items.find(
            Step, conversation_id=conversation_id, user_id=user_id, consistent=True
        )


class StepStore(ChatStore):
    """A store with steps."""

    steps = repository(Steps)


@pytest.fixture(scope="session")
def chat_store_class() -> type[ChatStore]:
    return StepStore


def step(number: int, **options: Any) -> OwnItem:
    return OwnItem(Step(conversation_id="c-1", number=number), **options)


def at(number: int) -> Check:
    return Check(STEP.key(conversation_id="c-1"), fields(Step).number == number)


def test_saved_together_or_not_at_all(chat_store: Any) -> None:
    chat_store.conversations.create("u-1", conversation_id="c-1", retention=DAY, sliding=True)
    with RequestMeter(chat_store.connection.client) as meter:
        chat_store.messages.append_turn("c-1", TURN, also=[step(1, is_new=True)])
    assert meter.count == 1
    there = chat_store.steps.find("c-1")
    assert there.number == 1
    assert there.expires_at == chat_store.conversations.get("c-1").kept_until
    for refused in (step(9, is_new=True), step(9, only_if=fields(Step).number == 7)):
        with pytest.raises(Conflict, match="also"):
            chat_store.messages.append_turn("c-1", TURN, also=[refused])
    chat_store.messages.append_turn("c-1", TURN, also=[step(2, only_if=fields(Step).number == 1)])
    chat_store.messages.append_turn("c-1", TURN, also=[step(3)])
    assert chat_store.steps.find("c-1").number == 3
    assert chat_store.conversations.get("c-1").message_count == 3
    chat_store.conversations.delete("c-1")
    chat_store.conversations.create("u-1", conversation_id="c-1")
    assert chat_store.steps.find("c-1") is None


def test_only_items_of_the_same_conversation(chat_store: Any) -> None:
    chat_store.conversations.create("u-1", conversation_id="c-1")
    chat_store.conversations.create("u-1", conversation_id="c-2")
    for conversation_id, item in (
        ("c-2", step(1)),
        ("c-1", OwnItem(Place(conversation_id="c-1"))),
    ):
        with pytest.raises(InvalidArgument, match=r"also\.0"):
            chat_store.messages.append_turn(conversation_id, TURN, also=[item])
    assert chat_store.messages.latest("c-1", 5) == ()


def test_deleted_only_if(chat_store: Any) -> None:
    """The check holds when the deletion begins, or nothing is deleted."""
    chat_store.conversations.create("u-1", conversation_id="c-1")
    chat_store.messages.append_turn("c-1", TURN, also=[step(1)])
    with pytest.raises(InvalidArgument, match="only_if"):
        chat_store.conversations.delete("c-1", only_if=step(1))
    with pytest.raises(Conflict, match="only_if"):
        chat_store.conversations.delete("c-1", only_if=at(2))
    with pytest.raises(NotFound):
        chat_store.conversations.delete("c-1", user_id="u-2", only_if=at(1))
    assert chat_store.steps.find("c-1").number == 1
    with faults(chat_store) as injector:
        injector.plan(DropAnswer(), operation="TransactWriteItems")
        assert chat_store.conversations.delete("c-1", user_id="u-1", only_if=at(1)) > 0
    with pytest.raises(NotFound):
        chat_store.conversations.delete("c-1", only_if=at(1))


def test_a_deletion_that_has_begun_is_finished(scene: Scene) -> None:
    """Without the check: what it looks at is gone, or will be."""
    scene.store.conversations.create("u-1", conversation_id="c-1")
    scene.store.messages.append_turn("c-1", TURN, also=[step(1)])
    number, fault = dead_after(2)
    cut_short(scene, number, fault, lambda: scene.store.conversations.delete("c-1", only_if=at(1)))
    with pytest.raises(NotFound):
        scene.store.conversations.get("c-1")
    scene.store.conversations.delete("c-1", only_if=at(7))
    assert scene.items() == []
