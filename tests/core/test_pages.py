"""Pages are full, in order and complete, however DynamoDB chops and hides."""

import random
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.page import Page
from dynamo_chat.core.patterns import running
from tests.core.things import Thing, Things, item_of
from tests.scene import Scene, drained, requests

pytestmark = pytest.mark.engine


def names(pages: list[Page[Thing]]) -> list[str]:
    return [thing.name for page in pages for thing in page]


def many(count: int, group: str = "g", **fields: Any) -> list[Thing]:
    return [Thing(group=group, name=f"{number:04}", **fields) for number in range(count)]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("page_size", [1, 3, 7, 20, 50])
def test_shards_are_merged_into_one_order(things: Things, page_size: int, forward: bool) -> None:
    """Whichever shard holds how many of them."""
    dice = random.Random(page_size)
    made = [Thing(group=f"g-{n % 3}", name=f"{n:03}{dice.choice('0111123')}") for n in range(31)]
    things.add(*made)
    pages = drained(lambda **more: things.everywhere(page_size=page_size, forward=forward, **more))
    assert names(pages) == sorted((each.name for each in made), reverse=not forward)
    assert all(len(page) == page_size for page in pages[:-2])
    assert len(pages) <= 31 // page_size + 2


def test_a_cursor_is_of_the_list_whoever_asked_for_it(things: Things) -> None:
    """A method built on another gives that one's cursors, and leaves its own to the caller."""
    things.add(*[Thing(group="g", name=f"{n}") for n in range(3)])
    cursor = things.everywhere_again().cursor
    assert [each.name for each in things.everywhere(page_size=5, cursor=cursor)] == ["1", "2"]
    with running("REPORT"):
        again = things.everywhere(page_size=1).cursor
    assert again == cursor


def test_an_empty_shard_and_an_empty_table(things: Things) -> None:
    """Nothing is missed, and the first page says that there is no more."""
    page = things.everywhere(page_size=5)
    assert (page.items, page.cursor) == ((), None)
    things.add(Thing(group="g", name="2"), Thing(group="g", name="6"))
    page = things.everywhere(page_size=5)
    assert ([each.name for each in page], page.cursor) == (["2", "6"], None)


def test_what_changes_between_two_pages(things: Things) -> None:
    """Each thing that stays is seen once; the cursor's own may go, others may come."""
    made = many(12)
    things.add(*made)
    first = things.everywhere(page_size=4)
    things.remove(made[3], made[5])
    things.add(Thing(group="g", name="00035"), Thing(group="g", name="00001"))
    rest = drained(
        lambda **more: things.everywhere(page_size=4, **{"cursor": first.cursor, **more})
    )
    expected = ["0003", "0005"]
    assert [each.name for each in first] == ["0000", "0001", "0002", "0003"]
    assert names(rest) == ["00035", "0004", *[each.name for each in made[6:]]]
    assert not set(expected) & set(names(rest))


@pytest.mark.once
@pytest.mark.parametrize("hidden", ["expired", "turned down"])
@pytest.mark.parametrize("page_size", [1, 5, 20])
def test_hidden_runs_are_passed_over(
    scene: Scene, things: Things, hidden: str, page_size: int
) -> None:
    """A page is full behind any run of them; the steps grow, so that it takes few requests."""
    past = scene.clock() - timedelta(days=1)
    gone: dict[str, Any] = {"expires_at": past} if hidden == "expired" else {"is_hidden": True}
    made = many(300)
    for number, thing in enumerate(made):
        if 10 <= number < 280:
            made[number] = thing.model_copy(update=gone)
    things.add(*made)
    shown = [each.name for each in made if each.expires_at is None and not each.is_hidden]
    pages = drained(lambda **more: things.of_group("g", page_size=page_size, **more))
    assert names(pages) == shown
    assert all(len(page) == page_size for page in pages[:-2])
    start = things.of_group("g", page_size=10)
    store = scene.new_store()
    with requests(store, 5):  # 5, then 25, 50, 100 and 200 more
        page = Things(store._binding).of_group("g", page_size=5, cursor=start.cursor)
    assert [each.name for each in page] == shown[10:15]


def test_a_list_of_hidden_things_only(scene: Scene, things: Things) -> None:
    """Is empty, and over."""
    things.add(*many(60, is_hidden=True))
    page = things.of_group("g", page_size=5)
    assert (page.items, page.cursor) == ((), None)
    page = things.everywhere(page_size=5)
    assert (page.items, page.cursor) == ((), None)


def test_no_more_than_is_needed_is_asked_for(store: ChatStore, things: Things) -> None:
    """A page of ten reads ten."""
    things.add(*many(40))
    with requests(store, 1) as meter:
        things.of_group("g", page_size=10)
    assert meter.requests[0].items == 10
    with requests(store, 4) as meter:
        things.everywhere(page_size=10)


def test_damaged_things_take_their_place(scene: Scene, things: Things) -> None:
    """They are told beside the page, the cursor goes past them, and no other is missed."""
    made = many(6)
    things.add(*made)
    for number in (1, 4):
        scene.put({**item_of(made[number]), "note": {"N": "1"}})
    pages = drained(lambda **more: things.of_group("g", page_size=2, **more))
    assert names(pages) == ["0000", "0002", "0003", "0005"]
    assert [len(page.unreadable) for page in pages[:3]] == [1, 0, 1]


def test_pages_are_sequences(things: Things) -> None:
    """They have a length, and can be walked through."""
    things.add(*many(3))
    page = things.of_group("g", page_size=2)
    assert len(page) == 2
    assert list(page) == list(page.items)


@pytest.mark.parametrize("page_size", [0, -5, 1_001, "1", 1.0, None, False])
def test_page_sizes(store: ChatStore, things: Things, page_size: Any) -> None:
    """From 1 to 1,000, before anything is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument, match="page_size"):
        things.of_group("g", page_size=page_size)


def test_a_page_of_a_thousand(store: ChatStore, things: Things) -> None:
    """The largest there is."""
    things.add(*many(30))
    with requests(store, 1):
        assert len(things.of_group("g", page_size=1_000)) == 30
