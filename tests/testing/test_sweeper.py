"""A sweeper deletes what has expired, in any order, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conversation, Deleted, Expired, Message, NewMessage
from dynamo_chat.testing import Engine, FakeClock, Sweeper
from tests.scene import DAY, Scene, address

pytestmark = pytest.mark.engine
SECOND = timedelta(seconds=1)


def talk(store: ChatStore, name: str, days: int | None) -> None:
    """A conversation with a message, that is kept for so many days or forever."""
    retention = None if days is None else timedelta(days=days)
    store.conversations.create("ann", conversation_id=name, retention=retention)
    store.messages.append(name, NewMessage(role="user", content="Hi"))


def left(scene: Scene) -> set[tuple[str, str]]:
    return {address(item) for item in scene.items()}


def test_only_what_has_expired_goes_after_its_last_second(scene: Scene) -> None:
    talk(scene.store, "short", 1)
    talk(scene.store, "long", 2)
    talk(scene.store, "kept", None)
    before = left(scene)
    sweeper = Sweeper(scene.store, seed=1)
    scene.clock.advance(DAY - SECOND)
    assert sweeper.sweep() == 0
    scene.clock.advance(2 * SECOND)  # deadlines are whole seconds, rounded up
    assert sweeper.sweep() == 3
    assert before - left(scene) == {at for at in before if "short" in at[0]}
    scene.clock.advance(365 * DAY)
    sweeper.sweep()
    assert left(scene) == {at for at in before if "kept" in at[0]}


def test_it_goes_item_by_item_in_an_order_of_the_seed(scene: Scene) -> None:
    for number in range(4):
        talk(scene.store, f"talk-{number}", 1)
    scene.clock.advance(2 * DAY)
    items = scene.items()

    def order(seed: int) -> list[tuple[str, str]]:
        scene.restore(items)
        sweeper, gone = Sweeper(scene.store, seed=seed), []
        before = left(scene)
        while sweeper.sweep(1):
            (one,) = before - (before := left(scene))
            gone.append(one)
        return gone

    assert order(1) == order(1) != order(2)
    assert set(order(1)) == set(order(2)) == {address(item) for item in items}


def test_an_item_that_got_another_deadline_meanwhile_stays(scene: Scene) -> None:
    talk(scene.store, "talk", 1)
    scene.clock.advance(2 * DAY)
    sweeper = Sweeper(scene.store, seed=1)
    before = scene.items()

    def prolong(**_: Any) -> None:
        later = str(int((scene.clock.now() + DAY).timestamp()))
        scene.put(*({**item, "ttl": {"N": later}} for item in before))

    own = sweeper._client
    own.meta.events.register_first("before-call.dynamodb.DeleteItem", prolong)
    assert sweeper.sweep() == 0
    assert len(scene.items()) == len(before)


@pytest.mark.once
def test_what_it_deletes_has_expired_in_the_stream(dynamo_chat_engine: Engine) -> None:
    with Scene(dynamo_chat_engine, FakeClock()) as scene:
        changes = dynamo_chat_engine.changes(scene.store)
        talk(scene.store, "swept", 1)
        talk(scene.store, "deleted", 1)
        changes.read()
        scene.store.conversations.delete("deleted")
        assert {type(each) for each in changes.read()} == {Deleted}
        scene.clock.advance(2 * DAY)
        assert Sweeper(scene.store, seed=1, changes=changes).sweep() == 3
        told = changes.read()
        assert {type(each) for each in told} == {Expired}
        expired = {type(each.before) for each in told if isinstance(each, Expired)}
        assert expired == {Conversation, Message}
