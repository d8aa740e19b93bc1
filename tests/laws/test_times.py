"""Times, deadlines and positions: exact, ordered, and never early."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.clock import ulid_ids, utc, whole_second
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.transaction import is_live
from dynamo_chat.core.ulids import (
    check_after_1970,
    is_ulid,
    later_ulid,
    lowest_ulid,
    new_ulid,
    ulid_time,
)
from tests.laws.strategies import modern, moments

MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(modern)
def test_a_position_has_its_moment_to_the_millisecond(moment: datetime) -> None:
    """Cut to the millisecond, never a millisecond early."""
    position = new_ulid(moment)
    assert is_ulid(position)
    assert ulid_time(position) == moment - timedelta(microseconds=moment.microsecond % 1_000)


@given(modern, modern)
def test_positions_sort_by_their_moment(left: datetime, right: datetime) -> None:
    """Later by a millisecond or more is higher."""
    if right - left >= MILLISECOND:
        assert new_ulid(left) < new_ulid(right)


@given(modern, modern)
def test_the_lowest_position_parts_earlier_from_later(bound: datetime, moment: datetime) -> None:
    """[since, until) in positions is [since, until) in their times."""
    position = new_ulid(moment)
    assert (position >= lowest_ulid(bound)) == (ulid_time(position) >= bound)


@pytest.mark.parametrize("year", ["0001-01-01", "1969-12-31", "1970-01-01"])
def test_bounds_before_the_first_position(year: str) -> None:
    """All positions lie behind them."""
    assert lowest_ulid(datetime.fromisoformat(f"{year}T00:00:00+00:00")) == "0" * 26


@given(modern)
def test_a_later_position_is_unique_and_close(moment: datetime) -> None:
    """Two writers that go past the same position never meet, and hardly leave its millisecond."""
    last = new_ulid(moment)
    later = [later_ulid(last) for _ in range(5)]
    assert len(set(later)) == 5
    assert all(each > last for each in later)
    assert all(ulid_time(each) - ulid_time(last) <= MILLISECOND for each in later)


def test_fresh_ids_of_one_moment_are_unique() -> None:
    """However many."""
    moment = datetime(2025, 12, 30, 14, tzinfo=UTC)
    assert len({ulid_ids(moment) for _ in range(5_000)}) == 5_000


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "I", "0" * 25 + "l", "0" * 25 + "\n"],
)
def test_not_a_position(text: str) -> None:
    """Other lengths and letters, and more than 128 bits."""
    assert not is_ulid(text)


def test_no_position_before_1970() -> None:
    """A ULID counts from there."""
    assert check_after_1970("at", EPOCH) == EPOCH
    with pytest.raises(InvalidArgument, match="at: must not be before 1970"):
        check_after_1970("at", EPOCH - timedelta(microseconds=1))


@given(modern)
def test_deadlines_are_whole_seconds_and_never_early(moment: datetime) -> None:
    """Rounded up, once: the rounded moment has the same deadline."""
    rounded = whole_second(moment)
    assert timedelta(0) <= rounded - moment < timedelta(seconds=1)
    assert not rounded.microsecond
    assert epoch_seconds(moment) == epoch_seconds(rounded) == int(rounded.timestamp())


@given(modern, st.timedeltas(timedelta(seconds=-3), timedelta(seconds=3)))
def test_an_item_lives_until_its_deadline(moment: datetime, by: timedelta) -> None:
    """Not a microsecond less, and not one more."""
    deadline = whole_second(moment)
    item = {"PK": {"S": "x"}, "ttl": {"N": str(epoch_seconds(deadline))}}
    assert is_live(item, deadline + by) == (by < timedelta(0))


def test_items_without_a_deadline_live_for_ever() -> None:
    """And what is no item does not."""
    assert is_live({"PK": {"S": "x"}}, datetime.max.replace(tzinfo=UTC))
    assert not is_live(None, EPOCH)
    assert not is_live({}, EPOCH)


@given(moments)
def test_arguments_are_taken_in_any_zone(moment: datetime) -> None:
    """And kept in UTC."""
    assert utc("at", moment) == moment
    assert utc("at", moment).utcoffset() == timedelta(0)


@pytest.mark.parametrize("moment", [datetime(2025, 1, 1), "2025-01-01", None, 5])  # noqa: DTZ001
def test_naive_times_are_refused(moment: object) -> None:
    """Nobody knows when they are."""
    with pytest.raises(InvalidArgument, match="since: must be an aware datetime"):
        utc("since", moment)  # type: ignore[arg-type]
