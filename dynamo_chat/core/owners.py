"""The owner check behind ``user_id=``, ``account_id=`` and ``organization_id=``.

Methods that find an item by its id also accept its owner. An item of another owner is then not
found: the same error after the same requests as for an item that does not exist. The check costs
nothing: it uses an item that is read anyway, or is part of a condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import InvalidArgument

E = TypeVar("E", bound=Entity)


def check_owner(argument: str, owner: str | None) -> None:
    """InvalidArgument unless `owner` is text that is not empty, or None for any owner."""
    if owner is not None and (not isinstance(owner, str) or not owner):
        raise InvalidArgument(argument, "must be text, not empty; None allows any owner")


def is_owned(item: Mapping[str, Any], attribute: str, owner: str | None) -> bool:
    """True if the stored item belongs to `owner`, or `owner` is None."""
    return owner is None or item.get(attribute) == {"S": owner}


def own(there: E | None, attribute: str, owner: str) -> E | None:
    """The existing entity if `owner` owns it, else None."""
    return there if there is not None and getattr(there, attribute) == owner else None
