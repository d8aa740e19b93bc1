"""Checks of what an application passes to `items` and `conversation_items`; nothing is sent before.

What is wrong is an InvalidArgument that names the argument, as in the package's own methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pynamodb.expressions.condition import Condition

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import Collection
from dynamo_chat.core.repository import PageRequest
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Check,
    Delete,
    Filled,
    Key,
    Put,
    Update,
    Write,
)

_WRITES = (Put, Update, Delete, Check, Filled)


def check_entity(given: Any, argument: str = "entity") -> None:
    """InvalidArgument unless it is an entity with a layout."""
    if not isinstance(given, Entity) or not hasattr(type(given), "layout"):
        raise InvalidArgument(argument, f"must be an entity, not {_named(given)}")


def check_class(given: Any, argument: str = "entity") -> None:
    """InvalidArgument unless it is the class of an entity with a layout."""
    if not (isinstance(given, type) and issubclass(given, Entity) and hasattr(given, "layout")):
        raise InvalidArgument(argument, f"must be an entity's class, not {_named(given)}")


def check_writes(argument: str, given: Any, room: int = MAX_TRANSACTION_WRITES) -> None:
    """InvalidArgument unless each is a write, and all fit into one transaction."""
    for each in listed(argument, given):
        if not isinstance(each, _WRITES):
            raise InvalidArgument(
                argument, f"must be Put, Update, Delete or Check, not {_named(each)}"
            )
        check_condition("condition", getattr(each, "condition", None))
    if len(given) > room:
        raise InvalidArgument(argument, f"must be at most {room} writes")


def check_condition(argument: str, given: Any) -> None:
    """InvalidArgument unless it is a condition or None."""
    if given is not None and not isinstance(given, Condition):
        raise InvalidArgument(argument, f"must be a condition, not {_named(given)}")


def check_changes(entity: type[Entity], changes: Any) -> None:
    """InvalidArgument unless these are fields of the entity."""
    if not isinstance(changes, Mapping):
        raise InvalidArgument("changes", f"must be a mapping of fields, not {_named(changes)}")
    for name in changes:
        if name not in entity.model_fields:
            raise InvalidArgument(str(name), f"is no field of {entity.__name__}")


def key_of_class(entity: type[Entity], key: Any, argument: str = "key") -> Key:
    """The table key of an entity with these fields. InvalidArgument, also for a missing one."""
    check_class(entity)
    if not isinstance(key, Mapping):
        raise InvalidArgument(argument, f"must be a mapping of the key's fields, not {_named(key)}")
    names = dict.fromkeys((*entity.layout.table.pk.names, *entity.layout.table.sk.names))
    for name in (*names, *key):
        if name not in key or name not in names:
            raise InvalidArgument(
                str(name), f"the key of {entity.__name__} has these fields: {', '.join(names)}"
            )
    return entity.layout.key(**key)


def listed(argument: str, given: Any) -> Sequence[Any]:
    """`given`, which must be a list. InvalidArgument."""
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
        raise InvalidArgument(argument, f"must be a list, not {_named(given)}")
    return given


def pairs(argument: str, given: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    """`given`, each of which must be an entity's class and a key. InvalidArgument."""
    for each in given:
        if not isinstance(each, tuple) or len(each) != 2:
            raise InvalidArgument(argument, "must be pairs of an entity's class and a key")
        yield each


def check_page(asked: Any, collections: Iterable[Any]) -> None:
    """InvalidArgument unless these are the arguments of a page."""
    if not isinstance(asked, PageRequest):
        raise InvalidArgument("asked", f"must be a PageRequest, not {_named(asked)}")
    for each in collections:
        if not isinstance(each, Collection):
            raise InvalidArgument("collections", f"must be Collections, not {_named(each)}")


def made_by(make: Callable[..., Sequence[Write]], given: Any) -> Sequence[Write]:
    """What `make` returns, checked. It leaves room for the check of the conversation."""
    writes = make(given)
    check_writes("make", writes, MAX_TRANSACTION_WRITES - 1)
    return writes


def _named(given: Any) -> str:
    return given.__name__ if isinstance(given, type) else type(given).__name__
