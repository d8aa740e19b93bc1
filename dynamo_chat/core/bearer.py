"""Bearer secrets: login secrets and invite tokens. Anyone who has one may use it.

A secret is created here, returned once, and never stored: keys and items hold its SHA-256. A plain
hash is enough, because these secrets are 256 random bits, which cannot be guessed from it.
Caller-supplied secrets must be as hard to guess; only their length can be checked.

Pydantic is not used here, because its errors quote the input.
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
    """A new secret: 43 URL-safe characters, 256 random bits."""
    return secrets.token_urlsafe(SECRET_BYTES)


def given_or_new(argument: str, secret: str | None) -> str:
    """The caller-supplied secret, after a check of its length, or a new one. InvalidArgument."""
    if secret is None:
        return new_secret()
    if not isinstance(secret, str):
        raise InvalidArgument(argument, f"must be text, not {type(secret).__name__}")
    if not MIN_BROUGHT_CHARACTERS <= len(secret) <= MAX_BROUGHT_CHARACTERS:
        raise InvalidArgument(
            argument,
            f"must have {MIN_BROUGHT_CHARACTERS} to {MAX_BROUGHT_CHARACTERS:,} characters, "
            "random enough that nobody can guess them",
        )
    return secret


def hash_of(argument: str, secret: str) -> str:
    """The SHA-256 of `secret`, stored in its place: 64 hexadecimal digits. InvalidArgument."""
    if not isinstance(secret, str):
        raise InvalidArgument(argument, f"must be text, not {type(secret).__name__}")
    if len(secret) > MAX_BROUGHT_CHARACTERS:
        raise InvalidArgument(argument, f"must have at most {MAX_BROUGHT_CHARACTERS:,} characters")
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_same(one: str, other: str) -> bool:
    """True if two hashes are equal. Takes the same time wherever they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
