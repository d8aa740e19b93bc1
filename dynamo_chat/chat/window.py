"""The messages of a conversation with `keep_last`, as a store remembers them.

An append that knows which messages fall out deletes them in its own transaction. What is remembered
may be out of date. So the transaction's condition compares the last position and the number of
messages in the head: positions only grow, so if both are the same, the messages are, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_WINDOW: Final = 100
"""The largest `keep_last` for which messages are remembered; 26 bytes for each."""

_POSITION: Final = 26


@dataclass(frozen=True, slots=True)
class Window:
    """The positions of all messages of a conversation, in order.

    One text, because a store remembers 10,000 conversations: a tuple would take four times as much.
    """

    text: str = ""

    @classmethod
    def of(cls, positions: Iterable[str]) -> Window:
        """The window of these positions, which are in order."""
        return cls("".join(positions))

    @property
    def count(self) -> int:
        """The number of messages."""
        return len(self.text) // _POSITION

    def oldest(self, count: int) -> list[str]:
        """The positions of the `count` oldest messages."""
        return [self.text[at : at + _POSITION] for at in range(0, count * _POSITION, _POSITION)]

    def moved(self, dropped: int, added: Iterable[str]) -> Window:
        """The window without its oldest `dropped` messages, and with newer ones."""
        return Window(self.text[dropped * _POSITION :] + "".join(added))


def is_remembered(keep_last: int | None) -> bool:
    """True if a store remembers the messages of a conversation that keeps so many."""
    return keep_last is not None and keep_last <= MAX_WINDOW
