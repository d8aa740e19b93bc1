"""A user's history: both sides of the calls in one order, under one cursor (P7)."""

import random
from datetime import timedelta

import pytest

from dynamo_chat import Call, Page
from dynamo_chat.core.errors import InvalidCursor
from tests.calls.scenes import callers, requests, who
from tests.scene import Scene

pytestmark = pytest.mark.engine

OTHERS = ("bob", "carl", "dora")


def made(scene: Scene, count: int, seed: int = 1) -> list[Call]:
    """So many ended calls of ann's, on either side, newest first; some begin at one moment."""
    dice = random.Random(seed)
    calls = []
    for _ in range(count):
        sides = ["ann", dice.choice(OTHERS)]
        dice.shuffle(sides)
        scene.clock.advance(dice.choice([0, 0.001, 1, 100]))
        call = scene.store.calls.start(*sides)
        calls.append(scene.store.calls.end(call.call_id))
    return newest_first(calls)


def newest_first(calls: list[Call]) -> list[Call]:
    """Sorted by start, and by id where that is equal."""
    return sorted(calls, key=lambda call: (call.started_at, call.call_id), reverse=True)


def test_a_history_has_both_sides_in_one_order(scene: Scene) -> None:
    callers(scene, "ann", *OTHERS)
    calls = made(scene, 12)
    assert {call.user_a == "ann" for call in calls} == {True, False}
    history = scene.store.calls.list_by_user
    assert list(history("ann")) == calls
    assert list(history("ann", newest_first=False)) == calls[::-1]
    assert list(history("bob")) == [call for call in calls if "bob" in who(call)]
    assert not history("nobody").items
    since, until = calls[8].started_at, calls[2].started_at
    within = [call for call in calls if since <= call.started_at < until]
    assert list(history("ann", since=since, until=until)) == within


@pytest.mark.parametrize("forward", [False, True])
def test_pages_of_any_size_are_a_sort_of_all_calls_while_new_ones_arrive(
    scene: Scene, forward: bool
) -> None:
    """What begins while somebody pages comes before the newest, or after the oldest first."""
    callers(scene, "ann", *OTHERS)
    before = made(scene, 5)
    for page_size in (1, 2, 3, 8, 14, 15, 20):
        arrived: list[Call] = []
        seen: list[Call] = []
        cursor = None
        while True:
            page: Page[Call] = scene.store.calls.list_by_user(
                "ann", newest_first=not forward, page_size=page_size, cursor=cursor
            )
            seen += page.items
            if page.cursor is None:
                break
            assert len(page) == page_size
            cursor = page.cursor
            if len(arrived) < 2:
                scene.clock.advance(10)
                arrived += made(scene, 1, seed=len(before) + len(arrived))
        everything = newest_first([*before, *arrived])
        assert seen == (everything[::-1] if forward else before)
        before = everything


def test_a_page_is_two_requests(scene: Scene) -> None:
    callers(scene, "ann", *OTHERS)
    made(scene, 9)
    history = scene.store.calls.list_by_user
    page = history("ann", page_size=4)
    operations = requests(scene, lambda: history("ann", page_size=4, cursor=page.cursor))
    assert operations == ["Query", "Query"]


def test_a_cursor_is_of_one_users_history(scene: Scene) -> None:
    callers(scene, "ann", *OTHERS)
    made(scene, 6)
    cursor = scene.store.calls.list_by_user("ann", page_size=2).cursor
    for other in (
        {"user_id": "bob"},
        {"user_id": "ann", "newest_first": False},
        {"user_id": "ann", "until": scene.clock() + timedelta(days=1)},
    ):
        with pytest.raises(InvalidCursor):
            scene.store.calls.list_by_user(page_size=2, cursor=cursor, **other)
    with pytest.raises(InvalidCursor):
        scene.store.calls.list_live(cursor=cursor)


def test_live_calls_are_history_too(scene: Scene) -> None:
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("bob", "ann")
    assert list(scene.store.calls.list_by_user("ann")) == [call]
