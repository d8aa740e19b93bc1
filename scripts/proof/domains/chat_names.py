"""The conversations of a round, their owners, and what their messages say."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

TALKS: Final = tuple(f"talk-{number}" for number in range(16))
SHORT: Final = tuple(f"short-{number}" for number in range(3))
SLIDING: Final = tuple(f"sliding-{number}" for number in range(8))
SLIDES: Final = timedelta(minutes=4)
USERS: Final = tuple(f"user-{number}" for number in range(4))
KEPT: Final = 5

APPENDS: Final = (
    "chat.append",
    "chat.say",
    "chat.turn",
    "chat.begin",
    "chat.append_short",
    "chat.sing",
    "chat.append_doomed",
    "chat.append_sliding",
)


def owner_of(conversation_id: str) -> str:
    """The owner of one of the conversations that are not deleted."""
    return USERS[int(conversation_id.rpartition("-")[2]) % len(USERS)]


def content_of(message_id: str) -> str:
    """The content of a message. It is unique."""
    return f"{message_id} says that the rain falls mainly in the plain"
