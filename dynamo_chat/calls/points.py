"""Daily points: when a caller's new day begins, in the caller's own time zone.

A caller has 15 points for each date in their time zone. Two values are stored: the date of the
points, and the time at which it ends. Before that time the time zone is not needed, so a spend is
one request; after it, the current date in the zone decides:

* a later date: 15 new points, until that date ends in the zone;
* the same or an earlier date, because the caller moved west: the old points, until that date ends.

So no date gives points twice, however the time zone changes, and changing it gives none.
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
"""Names in a time zone database to refuse: the machine's own zone, variants with leap seconds."""


class Allowance(NamedTuple):
    """The date of the points, when it ends, and whether the points are new."""

    day: str
    until: datetime
    is_new: bool


def first_allowance(time_zone: str | None, now: datetime) -> Allowance:
    """The allowance of a new caller."""
    return next_allowance(_BEFORE_ALL_DAYS, time_zone, now)


def next_allowance(day: str, time_zone: str | None, now: datetime) -> Allowance:
    """The allowance at `now`, after that of `day` has ended."""
    zone = zone_named(time_zone)
    today, before = now.astimezone(zone).date(), date.fromisoformat(day)
    current = max(today, before)
    return Allowance(current.isoformat(), _end_of(current, zone), today > before)


def zone_named(name: str | None) -> tzinfo:
    """The time zone with this IANA name, such as ``Europe/Rome``; UTC for None. InvalidArgument.

    Names are looked up in the machine's time zone database or, if it has none (Windows, slim
    containers), in the package ``tzdata``.
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
            "time_zone", f"{name!r} is not a time zone; give an IANA name such as 'Europe/Rome'"
        )
    return zone


def _end_of(day: date, zone: tzinfo) -> datetime:
    """The end of `day` in this zone, as UTC; not always at midnight, which clocks may skip."""
    return datetime.combine(day + _ONE_DAY, time.min, zone).astimezone(UTC)
