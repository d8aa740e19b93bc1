"""Reads times of old tables: by one declared rule for a document, or for one of its attributes.

| given                                     | read as                                             |
|-------------------------------------------|-----------------------------------------------------|
| ISO 8601 text with ``Z`` or an offset     | that time                                           |
| ISO 8601 text or a date without a zone    | in the rule's zone, UTC by default                  |
| RFC 5322 text, as in an e-mail's header   | that time                                           |
| a number, also as text                    | seconds since 1970; milliseconds from 10**11 on     |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.migration.numerals import read_numeral

MILLISECONDS_FROM: Final = 10**11
"""A number from this on counts milliseconds: as seconds it would be the year 5138."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = 64
_COUNT: Final = re.compile(r"[0-9]+\.?[0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeRules:
    """The zones of times that are written without one."""

    zone: str = "UTC"
    """An IANA name."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Other zones, by table and attribute: ``{"messages.sent_at": "Europe/Paris"}``."""

    def __post_init__(self) -> None:
        for name in (self.zone, *self.attributes.values()):
            _zone(name)

    def zone_of(self, attribute: str) -> tzinfo:
        """The zone of an attribute's times."""
        return _zone(self.attributes.get(attribute, self.zone))


class ReadTime(NamedTuple):
    """A time, and how it was read if its form is not the documented one."""

    moment: datetime
    said: str | None


def read_time(value: Any, zone: tzinfo) -> ReadTime:
    """The time that a value means, in UTC. ValueError if it means none."""
    is_usual = isinstance(value, (str, int, float, Decimal)) and not isinstance(value, bool)
    if not is_usual:
        raise ValueError("must be a time: ISO 8601 text or seconds since 1970")
    number = _number(value)
    if number is not None:
        return _counted(number)
    text = str(value).strip()
    if len(text) > _LONGEST:
        raise ValueError("must be a time, not a long text")
    said = None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment, said = _of_mail(text), "an RFC 5322 time was read"
    if moment.utcoffset() is None:
        moment, said = moment.replace(tzinfo=zone), f"a time without a zone was read as {zone}"
    try:
        return ReadTime(moment.astimezone(UTC), said)
    except OverflowError:
        raise ValueError("must be in the years 1 to 9999") from None


def _number(value: str | float | Decimal) -> Decimal | None:
    """The number that a value is, or that a text counts; None for other texts. ValueError."""
    if not isinstance(value, str):
        return read_numeral(value)
    digits = value.strip().removeprefix("-")
    # A date may also be eight digits, such as 20251230: that is ISO 8601.
    is_count = len(digits) > len("20251230") and _COUNT.fullmatch(digits) is not None
    return read_numeral(value.strip()) if is_count and len(digits) <= _LONGEST else None


def _counted(number: Decimal) -> ReadTime:
    unit, said = 1, "seconds since 1970 were read as a time"
    if abs(number) >= MILLISECONDS_FROM:
        unit, said = 1_000, "milliseconds since 1970 were read as a time"
    try:
        return ReadTime(_EPOCH + timedelta(microseconds=int(number * 1_000_000 / unit)), said)
    except (OverflowError, ArithmeticError, ValueError):
        raise ValueError("must be a time in the years 1 to 9999") from None


def _of_mail(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise ValueError("must be a time such as 2025-12-30T14:00:00Z") from None


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError, TypeError) as error:
        raise InvalidArgument(
            "zone", f"{name!r} is not an IANA time zone such as 'Europe/Paris'"
        ) from error
