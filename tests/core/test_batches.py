"""Batches of any size: in order, without doubles, leftovers sent again and then told."""

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import BatchIncomplete
from dynamo_chat.testing import Unprocessed
from tests.core.things import Thing, Things, item_of, key_of
from tests.scene import Scene, faults, requests

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits; how long they would have."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.fixture
def made(things: Things) -> list[Thing]:
    """A hundred and thirty things."""
    made = [Thing(group="g", name=f"{number:03}") for number in range(130)]
    things.add(*made)
    return made


def test_items_come_in_the_order_they_were_asked_for(
    store: ChatStore, things: Things, made: list[Thing]
) -> None:
    """A hundred to a request; None where there is none; twice what was asked for twice."""
    nowhere = Thing(group="g", name="x")
    wanted = [*made[::-1], nowhere, made[0]]
    with requests(store, 2):
        found = things.find(*wanted)
    assert found == [item_of(each) if each is not nowhere else None for each in wanted]
    with requests(store, 0):
        assert things.find() == []


def test_leftovers_of_a_read_are_asked_for_again(
    store: ChatStore, things: Things, made: list[Thing], no_pauses: list[float]
) -> None:
    """After a pause, and nothing is missing."""
    with faults(store) as injector:
        injector.plan(Unprocessed(last=60), times=1)
        injector.plan(Unprocessed(last=20), at=2)
        found = things.find(*made[:100])
    assert found == [item_of(each) for each in made[:100]]
    assert injector.requests == 3
    assert len(no_pauses) == 2


def test_leftovers_of_a_write_are_sent_again(
    scene: Scene, store: ChatStore, things: Things, made: list[Thing], no_pauses: list[float]
) -> None:
    """25 to a request, and nothing is left."""
    with requests(store, 6):
        assert things.remove(*made) == 130
    with faults(store) as injector:
        injector.plan(Unprocessed(last=7), times=3)
        things.add(*made[:30])
    assert len(scene.items()) == 30
    assert len(no_pauses) == 3
    with faults(store) as injector:
        injector.plan(Unprocessed(last=24), at=1)
        things.remove(*made[:30])
    assert scene.items() == []


def test_who_cannot_finish_says_so(store: ChatStore, things: Things, made: list[Thing]) -> None:
    """With the number that is left, after ten tries in which nothing moved."""
    for call in (things.find, things.remove):
        with faults(store) as injector:
            injector.plan(Unprocessed(last=100), times=None)
            with pytest.raises(BatchIncomplete, match="20 items of a batch") as caught:
                call(*made[:20])
        assert caught.value.remaining == 20
        assert injector.requests == 10


def test_slow_progress_is_progress(store: ChatStore, things: Things, made: list[Thing]) -> None:
    """One item at a time is no reason to give up."""
    with faults(store) as injector:
        for left in range(24, 0, -1):
            injector.plan(Unprocessed(last=left), at=25 - left)
        assert things.remove(*made[:25]) == 25
    assert injector.requests == 25
    assert things.find(*made[:25]) == [None] * 25


def test_keys_are_what_batches_name(made: list[Thing]) -> None:
    """Both attributes."""
    assert key_of(made[0]) == {"PK": {"S": "THING#g#"}, "SK": {"S": "THING#000#"}}
