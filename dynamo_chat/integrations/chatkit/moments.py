"""The framework's times and the store's.

ChatKit dates everything with ``datetime.now()``: local time without a zone. The store has instants.
A time without a zone is stored as the instant that it is here, and read as the local time of the
machine that reads; any other time is noted as text beside it.
"""

from __future__ import annotations

from datetime import UTC, datetime


def instant(moment: datetime) -> datetime | None:
    """The instant in UTC; None outside of the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        return None


def local(moment: datetime) -> datetime:
    """The local time of an instant, without a zone."""
    try:
        return moment.astimezone().replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return moment.replace(tzinfo=None)


def note(moment: datetime, stored: datetime | None) -> str | None:
    """The text to keep if `stored` does not give back `moment`; None if it does."""
    if moment.tzinfo is None and stored is not None and local(stored) == moment:
        return None
    return moment.isoformat()
