"""The model of partitions reproduces the limits that AWS has published."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.operations.partitions import (
    BURST_SECONDS,
    EVERYWHERE,
    SPLIT_AFTER,
    Course,
    Flow,
    Kind,
    Leg,
    Span,
    item,
    newest,
    simulate,
    spread,
)

DOUBLING = 1_800
PROVISIONED: Mapping[Kind, int] = {"write": 100, "read": 100}


def writing(*spans: Span, units: int = 1, place: str = "table") -> Leg:
    return Leg(place, "write", 2 * units, spans)


def reading(*spans: Span, halves: int = 2) -> Leg:
    return Leg("table", "read", halves, spans)


def course(legs: tuple[Leg, ...], rate: int, seconds: int) -> Course:
    """One flow on a new table on demand."""
    return simulate([Flow("calls", legs, rate)], seconds).courses["calls"]


# -- three textbook cases ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leg", "limit"),
    [
        (writing(item("POLL")), 1_000),
        (writing(item("POLL"), units=4), 250),
        (reading(item("POLL")), 3_000),
        (reading(item("POLL"), halves=1), 6_000),
    ],
)
def test_one_hot_item_takes_a_partition_s_units_and_never_more(leg: Leg, limit: int) -> None:
    found = course((leg,), 2 * limit, 3 * SPLIT_AFTER)
    assert set(found.done) == {limit}
    assert found.causes.keys() == {("table", leg.kind, "partition")}


def test_keys_that_spread_evenly_scale_with_the_splits_and_the_doubling() -> None:
    """A new table takes 4,000 writes a second, and then twice its peak."""
    found = course((writing(EVERYWHERE),), 7_900, DOUBLING + 1)
    assert found.done[0] == found.done[DOUBLING - 1] == 4_000
    assert found.done[DOUBLING] == 7_900
    assert found.clear_after == DOUBLING
    more = course((writing(EVERYWHERE),), 9_000, DOUBLING + 1)
    assert (more.done[DOUBLING - 1], more.done[DOUBLING]) == (4_000, 8_000)
    slow = course((writing(EVERYWHERE),), 4_000, 10)
    assert (slow.refused, slow.clear_after) == (0, 0)


def test_provisioned_capacity_that_was_not_used_lasts_for_a_burst_of_300_seconds() -> None:
    """30,000 units were saved; a burst of 1,000 a second uses 900 of them each second."""
    flow = Flow("calls", (writing(item("POLL")),), 1_000)
    for idle in (BURST_SECONDS, 10 * BURST_SECONDS):
        found = simulate([flow], 60, PROVISIONED, saved=idle).courses["calls"]
        assert found.done[:33] == [1_000] * 33
        assert found.done[33] == 100 + 30_000 - 33 * 900
        assert set(found.done[34:]) == {100}
        assert found.causes.keys() == {("table", "write", "capacity")}
    later = Flow("calls", flow.legs, 1_000, start=2 * BURST_SECONDS)
    found = simulate([later], 2 * BURST_SECONDS + 35, PROVISIONED).courses["calls"]
    assert found.done[-35:] == [1_000] * 33 + [400, 100]
    assert simulate([flow], 2, PROVISIONED).courses["calls"].done == [100, 100]


# -- what a split can do ------------------------------------------------------------------------


def test_a_key_whose_sort_keys_spread_is_split() -> None:
    found = course((writing(spread("POLL")),), 1_900, SPLIT_AFTER + 1)
    assert found.done[SPLIT_AFTER - 1] == 1_000
    assert found.done[SPLIT_AFTER] == 1_900


def test_a_key_whose_sort_keys_only_rise_is_not() -> None:
    run = simulate([Flow("calls", (writing(newest("LOG")),), 1_900)], 3 * SPLIT_AFTER)
    assert set(run.courses["calls"].done) == {1_000}
    assert run.partitions == {"table": 4}


def test_two_hot_items_of_one_key_are_separated() -> None:
    legs = writing(item("POLL", "a"), item("POLL", "b"))
    found = course((legs,), 1_800, SPLIT_AFTER + 1)
    assert (found.done[0], found.done[-1]) == (1_000, 1_800)


def test_a_hot_item_is_isolated_from_its_neighbours() -> None:
    """It keeps its limit; the keys beside it have theirs back."""
    flows = [
        Flow("hot", (writing(item("POLL")),), 2_000),
        Flow("others", (writing(EVERYWHERE),), 1_200),
    ]
    courses = simulate(flows, 3 * SPLIT_AFTER).courses
    assert courses["others"].done[0] < courses["others"].done[-1] == 1_200
    assert courses["hot"].done[0] < courses["hot"].done[-1] == 1_000


def test_writes_are_split_also_where_reads_cannot_be() -> None:
    """Both throttle one partition: all reads are of one item, the writes of two."""
    writes = Flow("writes", (writing(item("POLL", "a"), item("POLL", "b")),), 1_800)
    reads = Flow("reads", (reading(item("POLL", "a")),), 9_000)
    courses = simulate([writes, reads], SPLIT_AFTER + 1).courses
    assert (courses["writes"].done[0], courses["writes"].done[-1]) == (1_000, 1_800)
    assert set(courses["reads"].done) == {3_000}


# -- indexes, retries, arguments ----------------------------------------------------------------


def test_a_hot_index_key_holds_back_the_table_s_writes() -> None:
    legs = writing(EVERYWHERE, units=2), writing(newest("ALL"), units=2, place="GSI1")
    found = course(legs, 800, 10)
    assert set(found.done) == {500}
    assert found.causes.keys() == {("GSI1", "write", "partition")}


def test_reads_and_writes_have_limits_of_their_own() -> None:
    flows = [
        Flow("reads", (reading(item("POLL")),), 3_000),
        Flow("writes", (writing(item("POLL")),), 1_000),
    ]
    courses = simulate(flows, 10).courses
    assert courses["reads"].refused == courses["writes"].refused == 0


def test_calls_that_are_retried_are_all_done_in_the_end() -> None:
    leg = (writing(newest("QUEUE"), units=2),)
    calls = Flow("calls", leg, 10_000, until=1, is_retried=True)
    found = simulate([calls], 30).courses["calls"]
    assert (sum(found.done), found.clear_after) == (10_000, 19)
    few = Flow("calls", leg, 10_000, until=1, is_retried=True, at_once=100)
    paced = simulate([few], 120).courses["calls"]
    assert (sum(paced.done), paced.refused, paced.over_after) == (10_000, 0, 100)
    lost = simulate([Flow("calls", leg, 10_000, until=1)], 30).courses["calls"]
    assert (sum(lost.done), lost.refused) == (500, 9_500)


@settings(max_examples=50)
@given(
    rate=st.integers(0, 9_000),
    halves=st.integers(1, 40),
    keys=st.lists(st.text(max_size=3), min_size=1, max_size=5),
    position=st.sampled_from([spread, newest, item]),
)
def test_no_partition_takes_more_than_its_units(
    rate: int, halves: int, keys: list[str], position: object
) -> None:
    assert callable(position)
    leg = Leg("table", "write", halves, tuple(position(each) for each in keys))
    run = simulate([Flow("calls", (leg,), rate)], 3)
    found = run.courses["calls"]
    most = min(2_000 * min(len(set(keys)), run.partitions["table"]), 8_000)
    assert all(done * halves <= most for done in found.done)
    assert sum(found.causes.values()) == found.refused


@pytest.mark.parametrize(
    "leg",
    [
        writing(item("POLL"), units=0),
        writing(item("POLL"), units=1_001),
        reading(item("POLL"), halves=6_001),
        writing(item("POLL"), spread("POLL")),
        writing(),
    ],
)
def test_a_leg_that_no_call_has_is_refused(leg: Leg) -> None:
    with pytest.raises(InvalidArgument, match="legs: must have"):
        Flow("calls", (leg,), 1)
