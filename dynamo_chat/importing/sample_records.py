"""The documents' own sample records, ready to be loaded.

Some of the documents' records are not valid JSON (``a|b``, ``[...]``, comments): for these one
value is chosen, and `choices` lists it. `support` and `oneonone` have no records: theirs were made
for this package, which `origin` states.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from dynamo_chat.core.keys import format_time
from dynamo_chat.store import ChatStore, StoreFactory

DOCUMENTS = ("support", "trinity", "acs", "oneonone", "cgchat")

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_DEADLINES_IN_SECONDS = frozenset({"ttl", "expiresAt"})
_AHEAD = frozenset({"expires_at", "next_billing_date", "window_end", "reset_time"})
"""Fields that may be in the future."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample records of one document, by the document's table names."""

    document: str
    origin: str
    choices: tuple[str, ...]
    records: dict[str, list[dict[str, Any]]]


def sample(document: str) -> Sample:
    """The sample of one of `DOCUMENTS`."""
    text = (files("dynamo_chat.importing") / "samples" / f"{document}.json").read_text("utf-8")
    read = json.loads(text)
    return Sample(read["document"], read["origin"], tuple(read["choices"]), read["records"])


def shift_to_live(record: Any, now: datetime) -> timedelta:
    """How far to move `record` in time so that it is neither expired nor in the future.

    Zero if it is neither; otherwise whole days, so that its latest time is within the last day.
    """
    deadlines = [found for name, found in _moments(record) if name in _DEADLINES_IN_SECONDS]
    times = [
        found
        for name, found in _moments(record)
        if name not in _DEADLINES_IN_SECONDS and name not in _AHEAD
    ]
    if all(deadline > now for deadline in deadlines) and all(time <= now for time in times):
        return timedelta()
    return (now - max(times)) // _DAY * _DAY


def shifted(record: Any, by: timedelta) -> Any:
    """A copy of `record` with all its times moved."""
    if isinstance(record, list):
        return [shifted(each, by) for each in record]
    if isinstance(record, dict):
        return {name: _moved(name, value, by) for name, value in record.items()}
    if isinstance(record, str) and _TIME.fullmatch(record):
        return f"{format_time(datetime.fromisoformat(record) + by)[:19]}Z"
    return record


class Replay:
    """A store whose clock is set to the time of each record before the record is written.

    The repositories take creation times and expiry from their clock. So an invite that was accepted
    on its fifth day is created with the clock at its first day, and accepted at its fifth.
    """

    def __init__(self, factory: StoreFactory, moved_by: timedelta) -> None:
        self._moment = datetime(1970, 1, 1, tzinfo=UTC)
        self._moved_by = moved_by
        self._store = factory(clock=lambda: self._moment)

    def at(self, time: str) -> ChatStore:
        """The store, with its clock set to this time of a record."""
        self._moment = self.moment(time)
        return self._store

    def moment(self, time: str) -> datetime:
        """This time of a record, moved as far as all records."""
        return datetime.fromisoformat(time) + self._moved_by


def _moved(name: str, value: Any, by: timedelta) -> Any:
    if name in _DEADLINES_IN_SECONDS:
        return value + int(by.total_seconds())
    return shifted(value, by)


def _moments(record: Any, name: str = "") -> Iterator[tuple[str, datetime]]:
    """Every time in `record`, with the name of its field."""
    if isinstance(record, list):
        for each in record:
            yield from _moments(each, name)
    elif isinstance(record, dict):
        for key, value in record.items():
            yield from _moments(value, key)
    elif name in _DEADLINES_IN_SECONDS:
        yield name, datetime.fromtimestamp(record, UTC)
    elif isinstance(record, str) and _TIME.fullmatch(record):
        yield name, datetime.fromisoformat(record)
