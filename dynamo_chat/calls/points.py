"""Whose day it is: when a caller's points are back, in the caller's own time zone.

A caller has 15 points for each date of their own calendar. Two things are kept of that: the date
that the points are of, and the moment at which they end. While the moment lies ahead nobody needs
to know the time zone, so a spend is one request; after it, the date decides:

* a later date has begun where the caller is: 15 new points, until that date is over there;
* the same or an earlier one, because the caller moved west: the old points, until it is over.

So no date gives points twice, however the time zone is changed, and changing it gives none.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dynamo_chat.core.errors import InvalidArgument

DAILY_POINTS: Final = 15

MAX_ZONE_CHARACTERS: Final = 100
_BEFORE_ALL_DAYS: Final = date.min.isoformat()
_ONE_DAY: Final = timedelta(days=1)
_NO_ZONES: Final = re.compile("localtime|posixrules|Factory|(posix|right)/.*", re.DOTALL)
"""What is in a time zone database beside zones: the machine's own, other ways to count seconds."""


class Allowance(NamedTuple):
    """Which date the points are of, until when, and whether they are new ones."""

    day: str
    until: datetime
    is_new: bool


def first_allowance(time_zone: str | None, now: datetime) -> Allowance:
    """The allowance of a caller who had none yet."""
    return next_allowance(_BEFORE_ALL_DAYS, time_zone, now)


def next_allowance(day: str, time_zone: str | None, now: datetime) -> Allowance:
    """The allowance that follows at `now` on that of `day`, whose time is over."""
    zone = zone_named(time_zone)
    today, before = now.astimezone(zone).date(), date.fromisoformat(day)
    current = max(today, before)
    return Allowance(current.isoformat(), _end_of(current, zone), today > before)


def zone_named(name: str | None) -> tzinfo:
    """The time zone of this IANA name, such as ``Europe/Rome``; None is UTC. InvalidArgument.

    The names are those of the machine's time zone database or, where it has none (Windows, slim
    containers), of the package ``tzdata``.
    """
    if name is None:
        return UTC
    if not isinstance(name, str) or len(name) > MAX_ZONE_CHARACTERS:
        raise InvalidArgument(
            "time_zone", f"must be an IANA name of at most {MAX_ZONE_CHARACTERS} characters"
        )
    try:
        zone = ZoneInfo(name)
    except (LookupError, ValueError, OSError, TypeError) as error:
        raise InvalidArgument(
            "time_zone",
            f"{name!r} is not in this machine's time zone database; give an IANA name such as "
            "'Europe/Rome', or install the package tzdata",
        ) from error
    if _NO_ZONES.fullmatch(name):
        raise InvalidArgument(
            "time_zone", f"{name!r} is no name of a zone; give one such as 'Europe/Rome'"
        )
    return zone


def _end_of(day: date, zone: tzinfo) -> datetime:
    """The first moment after `day`, in UTC. Not always midnight: clocks may skip it."""
    return datetime.combine(day + _ONE_DAY, time.min, zone).astimezone(UTC)
