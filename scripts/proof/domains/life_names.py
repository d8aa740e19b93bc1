"""What the ids that are given anew are called, and those who belong to their lives."""

from __future__ import annotations

from typing import Final

LIFE: Final = "life-"
"""How every id begins whose lives are watched; the checks of other domains leave them out."""
HOSTS: Final = tuple(f"{LIFE}host-{number}" for number in range(8))
CLUB: Final = f"{LIFE}club"
"""An organization that stays, and that users join whose lives end."""
SEEN: Final = 400
"""How many messages a look at a conversation sees."""


def address_of(user_id: str) -> str:
    """The address that each life of a user has."""
    return f"{user_id}@life.example"


def account_of(thread: str) -> str:
    """The account of a thread."""
    return f"account-of-{thread}"
