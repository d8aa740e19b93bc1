"""A store whose clock is set by hand: records are loaded at the moments at which they were made.

The repositories stamp what they write with their clock and judge by it what has expired. So an
invite that was accepted on its fifth day is written on its first, and accepted on its fifth.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from dynamo_chat.store import ChatStore, StoreFactory

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Replay:
    """A store that can be used at any moment."""

    def __init__(self, factory: StoreFactory, moved_by: timedelta) -> None:
        self._moment = _BEGINNING
        self._moved_by = moved_by
        self._store = factory(clock=lambda: self._moment)

    def at(self, time: str) -> ChatStore:
        """The store at this time of a record."""
        self._moment = self.moment(time)
        return self._store

    def moment(self, time: str) -> datetime:
        """This time of a record, moved as all of them are."""
        return datetime.fromisoformat(time) + self._moved_by
