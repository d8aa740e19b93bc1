"""Whose day it is: dates of the caller's own calendar, each with its points once."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.calls.points import Allowance, first_allowance, next_allowance, zone_named
from dynamo_chat.core.errors import InvalidArgument

ZONES = [
    None,
    "Europe/Rome",
    "America/Lima",
    "Asia/Kolkata",
    "Pacific/Kiritimati",  # the first to see a day
    "Pacific/Niue",  # the last
    "Asia/Beirut",  # clocks go forward at midnight: that midnight does not exist
    "America/Havana",  # and back at one: the hour after midnight is there twice
    "Pacific/Apia",  # had no 30 December 2011
]
zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(1995, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_points_are_of_the_callers_own_date() -> None:
    now = at("2025-12-30T23:30:00+00:00")
    assert first_allowance(None, now) == Allowance("2025-12-30", at("2025-12-31T00:00Z"), True)
    assert first_allowance("Europe/Rome", now) == Allowance(
        "2025-12-31", at("2025-12-31T23:00Z"), True
    )
    assert first_allowance("America/Lima", now) == Allowance(
        "2025-12-30", at("2025-12-31T05:00Z"), True
    )


@pytest.mark.parametrize(
    ("zone", "now", "day", "until"),
    [
        # The night in which clocks go forward is 23 hours long, the other one 25.
        ("Europe/Rome", "2025-03-30T12:00Z", "2025-03-30", "2025-03-30T22:00Z"),
        ("Europe/Rome", "2025-10-26T12:00Z", "2025-10-26", "2025-10-26T23:00Z"),
        # At midnight it is one o'clock at once.
        ("Asia/Beirut", "2022-03-26T12:00Z", "2022-03-26", "2022-03-26T22:00Z"),
        # At one it is midnight again: the day has begun an hour before.
        ("America/Havana", "2025-11-01T12:00Z", "2025-11-01", "2025-11-02T04:00Z"),
        # A date that there was not.
        ("Pacific/Apia", "2011-12-30T09:00Z", "2011-12-29", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00Z", "2011-12-31", "2011-12-31T10:00Z"),
    ],
)
def test_days_that_are_not_24_hours_long(zone: str, now: str, day: str, until: str) -> None:
    assert first_allowance(zone, at(now)) == Allowance(day, at(until), True)


def test_moving_west_keeps_the_points_until_the_date_is_over_there() -> None:
    midnight = at("2025-12-31T00:00Z")
    stays = next_allowance("2025-12-30", "America/Lima", midnight)
    assert stays == Allowance("2025-12-30", at("2025-12-31T05:00Z"), False)
    assert next_allowance(stays.day, "America/Lima", stays.until).is_new


@given(st.lists(st.tuples(st.timedeltas(timedelta(0), timedelta(hours=40)), zones)), moments)
def test_no_date_gives_points_twice_however_the_time_zone_is_changed(
    travels: list[tuple[timedelta, str | None]], now: datetime
) -> None:
    """The dates of new points only ever go up, and none is ahead of the whole world."""
    allowance = first_allowance(None, now)
    for span, zone in travels:
        now += span
        if allowance.until > now:
            continue
        following = next_allowance(allowance.day, zone, now)
        assert following.is_new == (following.day > allowance.day)
        assert following.day >= allowance.day
        if following.is_new:
            assert date.fromisoformat(following.day) <= (now + timedelta(hours=14)).date()
        allowance = following


@given(zones, moments)
def test_a_new_day_ends_when_the_date_changes(zone: str | None, now: datetime) -> None:
    allowance = first_allowance(zone, now)
    place = UTC if zone is None else ZoneInfo(zone)
    assert allowance.until > now
    last = (allowance.until - timedelta(microseconds=1)).astimezone(place)
    assert last.date().isoformat() == allowance.day
    assert allowance.until.astimezone(place).date().isoformat() > allowance.day
    assert allowance.until - now <= timedelta(hours=25)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 5000]
)
def test_other_time_zones_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"time_zone.*(tzdata|IANA)"):
        zone_named(name)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "Factory", "right/Europe/Rome"])
def test_files_of_the_database_that_are_no_zones_are_refused(name: str) -> None:
    """`localtime` is another zone on another machine, and `right` counts leap seconds."""
    with pytest.raises(InvalidArgument, match="time_zone"):
        zone_named(name)


def test_a_time_zone_is_text() -> None:
    with pytest.raises(InvalidArgument, match="time_zone"):
        zone_named(3)  # type: ignore[arg-type]
