"""The clock and the source of new ids. Both are injected, so that tests can control them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dynamo_chat.core.errors import InvalidArgument

MAX_AHEAD = timedelta(minutes=5)
"""How far ahead of the store's clock a time that lists are sorted by may be."""

_SECOND = timedelta(seconds=1)

Clock = Callable[[], datetime]
"""A function that returns the current time as an aware datetime."""

IdSource = Callable[[datetime], str]
"""A function that returns a new, unique id; ids made later sort later."""


def system_clock() -> datetime:
    """The machine's clock, in UTC."""
    return datetime.now(UTC)


def ulid_ids(moment: datetime) -> str:
    """A new ULID whose time part is `moment`."""
    from dynamo_chat.core.ulids import new_ulid  # the ULID library is slow to import

    return new_ulid(moment)


def utc(argument: str, moment: datetime) -> datetime:
    """`moment` in UTC. InvalidArgument names `argument` when it is naive or not a datetime."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidArgument(argument, "must be an aware datetime (with a time zone)")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidArgument(argument, "must be in the years 1 to 9999 in UTC") from error


def not_ahead(argument: str, moment: datetime, now: datetime) -> datetime:
    """`moment`, or InvalidArgument when it is more than `MAX_AHEAD` ahead of `now`.

    Past times are allowed, because imported history has them. An item with a future time would
    sort as the newest, ahead of everything that is added until then.
    """
    if moment > now + MAX_AHEAD:
        raise InvalidArgument(argument, "must not be more than 5 minutes ahead of the clock")
    return moment


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds from `now` to `moment`, rounded up so that waiting is enough; at least 1."""
    return max(1, -((now - moment) // _SECOND))


def whole_second(moment: datetime) -> datetime:
    """`moment`, rounded up to the second: the table stores deadlines in whole seconds."""
    return moment if not moment.microsecond else moment.replace(microsecond=0) + _SECOND
