"""Bearer secrets: login secrets and invite tokens. Whoever has one is let in.

A secret is made here, shown once, and never stored: keys and items hold its SHA-256. A plain hash
is enough, because the secrets made here are 256 random bits, which cannot be guessed from it.
Secrets that a caller brings must be as unguessable; only their length can be checked.

Everything here is checked by hand and not by pydantic, whose errors quote what they were given.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from dynamo_chat.core.errors import InvalidArgument

SECRET_BYTES: Final = 32
MIN_BROUGHT_CHARACTERS: Final = 16
MAX_BROUGHT_CHARACTERS: Final = 1_024


def new_secret() -> str:
    """A fresh secret: 43 URL-safe characters, 256 random bits."""
    return secrets.token_urlsafe(SECRET_BYTES)


def brought_or_new(argument: str, secret: str | None) -> str:
    """The caller's own secret, checked for its length, or a fresh one. InvalidArgument."""
    if secret is None:
        return new_secret()
    if not isinstance(secret, str):
        raise InvalidArgument(argument, f"must be text, not {type(secret).__name__}")
    if not MIN_BROUGHT_CHARACTERS <= len(secret) <= MAX_BROUGHT_CHARACTERS:
        raise InvalidArgument(
            argument,
            f"must have {MIN_BROUGHT_CHARACTERS} to {MAX_BROUGHT_CHARACTERS:,} characters, "
            "random enough that nobody guesses them",
        )
    return secret


def hash_of(argument: str, secret: str) -> str:
    """What stands for `secret` in the table: 64 hexadecimal digits. InvalidArgument."""
    if not isinstance(secret, str):
        raise InvalidArgument(argument, f"must be text, not {type(secret).__name__}")
    if len(secret) > MAX_BROUGHT_CHARACTERS:
        raise InvalidArgument(argument, f"must have {MAX_BROUGHT_CHARACTERS:,} characters at most")
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_same(one: str, other: str) -> bool:
    """Whether two hashes are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
