"""The one mechanism of deletions: what happens to a worker that another one overtakes."""

from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given, strategies as st
from pynamodb.expressions.operand import Path

from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import DELETION_ID, Deletion, begin, resume
from dynamo_chat.core.errors import RequestRejected
from dynamo_chat.core.fence import Fence, Group, Overtaken
from dynamo_chat.core.keys import partition, sort, text
from dynamo_chat.core.layout import KIND, PK, SK, Layout, Slot
from dynamo_chat.core.transaction import Check, Delete, Update, write
from dynamo_chat.testing import DropAnswer, FaultInjector, Kill, Killed, RequestMeter
from dynamo_chat.testing.faults import ErrorAnswer, kill_points
from tests.core.things import LAYOUT, Thing, Things, key_of as thing_key

pytestmark = pytest.mark.engine

TOMBSTONE: Final = Layout(
    "thing_tombstone",
    table=Slot(partition("THING", text("group")), sort("THING", text("name"))),
    helper=True,
)
ROOT = Thing(group="g", name="0")
KEY = thing_key(ROOT)
IS_THING = Path(KIND) == LAYOUT.kind


def bury() -> Update:
    """What turns the root into a tombstone."""
    return Update(KEY, [Path(KIND).set(TOMBSTONE.kind)], IS_THING)


def begun(things: Things, deletion_id: str = "d-1") -> Deletion:
    """The deletion of the root."""
    return begin(things._connection, bury(), deletion_id, TOMBSTONE)


def some(things: Things, count: int, group: str = "rest") -> list[Group]:
    """Groups of two, of things that are there."""
    made = [Thing(group=group, name=str(number)) for number in range(2 * count)]
    things.add(*made)
    deletes = [Delete(thing_key(each)) for each in made]
    return [deletes[at : at + 2] for at in range(0, len(deletes), 2)]


def left(things: Things, group: str = "rest") -> int:
    """How many things of a group are there."""
    return len(things.of_group(group, page_size=1_000, consistent=True).items)


def root(things: Things) -> AttributeValues | None:
    """What is in the place of the root."""
    return things.find(ROOT)[0]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 99, 101])
def test_all_of_it_goes(things: Things, count: int) -> None:
    things.add(ROOT)
    groups = some(things, count)
    assert begun(things).run(groups) == 2 * count + 1
    assert (left(things), root(things)) == (0, None)


def test_a_small_collection_goes_in_the_transaction_of_its_tombstone(things: Things) -> None:
    things.add(ROOT)
    groups, last = some(things, 20), [Delete(thing_key(Thing(group="last", name="1")))]
    with RequestMeter(things._connection.client) as meter:
        begun(things).run(groups, last)
    assert [each.operation for each in meter.requests] == ["TransactWriteItems"] * 2


def test_a_worker_that_was_overtaken_changes_nothing_of_the_next_life(things: Things) -> None:
    things.add(ROOT)
    groups = some(things, 60)
    slow = begun(things)
    assert begun(things, "d-2").run(groups) == 121  # takes the same deletion over
    things.add(ROOT)
    some(things, 60)
    with pytest.raises(Overtaken):
        slow.clear(groups)
    with pytest.raises(Overtaken):
        slow.finish()
    assert slow.run(groups) == 0
    assert (left(things), (root(things) or {})[KIND]) == (120, {"S": LAYOUT.kind})


def test_nor_when_the_next_life_is_being_deleted_too(things: Things) -> None:
    things.add(ROOT)
    groups = some(things, 1)
    slow = begun(things)
    begun(things, "d-2").run(groups)
    things.add(ROOT)
    some(things, 1)
    begun(things, "d-3")
    assert slow.run(groups) == 0
    assert left(things) == 2


def test_a_lost_answer_to_the_first_step_buries_one_life_only(things: Things) -> None:
    """The first step is a transaction: its token keeps a resend from burying the next life."""
    things.add(ROOT)
    with RequestMeter(things._connection.client) as meter:
        begun(things)
    assert meter.requests[0].operation == "TransactWriteItems"


def test_a_lost_answer_to_the_last_step_is_no_failure(things: Things) -> None:
    things.add(ROOT)
    deletion = begun(things)
    with FaultInjector(things._connection.client) as faults:
        faults.plan(DropAnswer())
        assert deletion.finish() == 1
    assert root(things) is None


@pytest.mark.parametrize(("number", "kill"), list(kill_points(4)))
def test_a_group_is_never_split(things: Things, number: int, kill: Kill) -> None:
    """Killed anywhere, also between halves of what was too large, both of a group go or neither."""
    things.add(ROOT)
    groups = [group[:2] for group in some(things, 75)]
    deletion = begun(things)
    with FaultInjector(things._connection.client) as faults:
        faults.plan(ErrorAnswer("ValidationException", "transaction too large"), at=2)
        faults.plan(kill, at=number)
        with suppress(Killed):
            deletion.clear(groups)
    there = {
        thing.name for thing in things.of_group("rest", page_size=1_000, consistent=True).items
    }
    assert all((str(2 * pair) in there) == (str(2 * pair + 1) in there) for pair in range(75))
    assert begun(things).run(groups) == 151
    assert left(things) == 0


def test_what_is_too_large_for_one_transaction_goes_in_smaller_ones(things: Things) -> None:
    things.add(ROOT)
    groups = some(things, 120)
    deletion = begun(things)
    with (
        RequestMeter(things._connection.client) as meter,
        FaultInjector(things._connection.client) as faults,
    ):
        faults.plan(ErrorAnswer("ValidationException", "transaction too large"))
        assert deletion.clear(groups) == 240
    assert left(things) == 0
    # 98 are refused and go as 48 and 50; then 48 at a time, for what follows is as large.
    assert len(meter.requests) == 1 + 2 + 3


def test_one_group_that_is_too_large_is_told(things: Things) -> None:
    things.add(ROOT)
    groups = some(things, 2)
    deletion = begun(things)
    with FaultInjector(things._connection.client) as faults:
        faults.plan(ErrorAnswer("ValidationException", "too large"), times=None)
        with pytest.raises(RequestRejected):
            deletion.clear(groups)
    assert deletion.run(groups) == 5


def test_what_is_somebody_elses_is_left_and_the_rest_goes(things: Things) -> None:
    things.add(ROOT)
    first, second = some(things, 2)
    theirs = Delete(first[1].key, Path("note") == "mine")  # type: ignore[union-attr]
    assert begun(things).run([[first[0], theirs], second]) == 4
    assert left(things) == 1


def test_the_same_item_twice_is_no_error(things: Things) -> None:
    things.add(ROOT)
    groups = some(things, 1)
    assert begun(things).run([*groups, *groups]) == 5
    assert left(things) == 0


def test_what_is_no_tombstone_cannot_be_taken_over(things: Things) -> None:
    things.add(ROOT)
    begun(things)
    with pytest.raises(ConditionFailed):
        begin(things._connection, bury(), "d", TOMBSTONE, may_resume=lambda there: False)
    things.remove(ROOT)
    with pytest.raises(ConditionFailed):
        begun(things)
    assert root(things) is None


def test_a_tombstone_without_an_id_is_given_one(things: Things) -> None:
    """Deletions that an older version began have none."""
    things.add(ROOT)
    groups = some(things, 1)
    write(things._connection, bury())
    seen = root(things) or {}
    first = resume(things._connection, seen, "d-1", TOMBSTONE)
    second = resume(things._connection, seen, "d-2", TOMBSTONE)
    assert first is not None
    assert second is not None
    assert (root(things) or {})[DELETION_ID] == {"S": "d-1"}
    assert second.run(groups) == 3
    assert resume(things._connection, seen, "d-3", TOMBSTONE) is None
    assert first.run(groups) == 0


_key = st.integers(0, 12).map(lambda n: {PK: {"S": "p"}, SK: {"S": str(n)}})
_groups = st.lists(
    st.lists(_key.map(Delete), min_size=1, max_size=3, unique_by=lambda each: each.key[SK]["S"]),
    max_size=80,
)


_BESIDE = Delete({PK: {"S": "p"}, SK: {"S": "last"}})


@given(_groups, st.lists(st.just(_BESIDE), max_size=1))
def test_batches_hold_everything_in_order_and_no_item_twice(
    groups: list[Group], beside: list[Delete]
) -> None:
    fence = Fence(None, Check(KEY, IS_THING))  # type: ignore[arg-type]
    batches = list(fence.batches(groups, beside=beside))
    assert [group for batch in batches for group in batch.groups] == groups
    assert [batch.is_last for batch in batches] == [False] * (len(batches) - 1) + [True]
    for batch in batches:
        keys = [each.key[SK]["S"] for group in batch.groups for each in group]  # type: ignore[union-attr]
        together = keys + [each.key[SK]["S"] for each in beside]
        assert len(together) < 100
        if len(batch.groups) > 1:
            assert len(set(together)) == len(together)
