"""The names of the ids that are reused, and of what belongs to their lives."""

from __future__ import annotations

from typing import Final

LIFE: Final = "life-"
"""The prefix of every id that is reused; the checks of other domains leave them out."""
HOSTS: Final = tuple(f"{LIFE}host-{number}" for number in range(8))
CLUB: Final = f"{LIFE}club"
"""An organization that is not deleted, and that short-lived users join."""
SEEN: Final = 400
"""How many messages a read of a conversation sees."""


def address_of(user_id: str) -> str:
    """The address that each life of a user has."""
    return f"{user_id}@life.example"


def account_of(thread: str) -> str:
    """The account of a thread."""
    return f"account-of-{thread}"
