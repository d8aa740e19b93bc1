"""Whose an item is: the check behind ``user_id=``, ``account_id=`` and ``organization_id=``.

A method that finds things by their id takes the owner, too, where a request's caller brings both.
What belongs to somebody else is then not found: the same error after the same requests as for what
does not exist. The check costs nothing: it compares what is read anyway, or is part of a condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import InvalidArgument

E = TypeVar("E", bound=Entity)


def check_owner(argument: str, owner: str | None) -> None:
    """InvalidArgument unless `owner` is None, for anybody, or text: an empty one is a mistake."""
    if owner is not None and (not isinstance(owner, str) or not owner):
        raise InvalidArgument(argument, "must be text, not empty; None for whoever it belongs to")


def is_owned(item: Mapping[str, Any], attribute: str, owner: str | None) -> bool:
    """Whether what is stored says that it is `owner`'s. Everything is nobody's in particular."""
    return owner is None or item.get(attribute) == {"S": owner}


def own(there: E | None, attribute: str, owner: str) -> E | None:
    """What stands under an id that is taken, for its owner's eyes; None for everybody else's."""
    return there if there is not None and getattr(there, attribute) == owner else None
