"""Partial updates: the checked fields that a call changes, and the actions that change them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from pynamodb.expressions.update import Action

from dynamo_chat.core.entity import UNCHANGED, Entity, Model, adapter_of, as_invalid_argument
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.item import plan

MAX_REWRITTEN_TEXT: Final = 4_096
MAX_REWRITTEN_JSON: Final = 65_536
MAX_INDEXED_JSON: Final = 4_096


def checked(entity: type[Model], **given: Any) -> dict[str, Any]:
    """The values in `given` that are not UNCHANGED, each checked as that field of `entity`.

    InvalidArgument names a field that does not allow its value.
    """
    return {
        name: checked_as(entity, name, value, name)
        for name, value in given.items()
        if value is not UNCHANGED
    }


def checked_as(entity: type[Model], name: str, value: Any, argument: str) -> Any:
    """`value`, checked as that field of `entity`; InvalidArgument names `argument`."""
    try:
        return _adapter(entity, name).validate_python(value, strict=True)
    except ValidationError as error:
        refused = as_invalid_argument(error, argument)
    raise refused


def check_rewritten(**given: Any) -> None:
    """InvalidArgument if a value is too large to be written again with each change of its item.

    A text may have 4,096 characters, a JSON object 64 KiB. The values' types were checked before.
    """
    for name, value in given.items():
        if isinstance(value, str) and len(value) > MAX_REWRITTEN_TEXT:
            raise InvalidArgument(name, f"may have at most {MAX_REWRITTEN_TEXT:,} characters")
        if isinstance(value, dict):
            _check_json(name, value, MAX_REWRITTEN_JSON)


def check_indexed(name: str, value: Mapping[str, Any]) -> None:
    """InvalidArgument if a JSON object is too large for an item that an index copies as a whole.

    It may have 4,096 bytes. Its type was checked before.
    """
    _check_json(name, value, MAX_INDEXED_JSON)


def _check_json(name: str, value: Mapping[str, Any], most: int) -> None:
    if len(json.dumps(value)) > most:
        raise InvalidArgument(name, f"may have at most {most:,} bytes as JSON")


def actions(entity: type[Entity], changes: Mapping[str, Any]) -> list[Action]:
    """Actions that set the stored attributes of `entity`, or remove those that are left out."""
    item_plan = plan(entity)
    made: list[Action] = []
    for name, value in changes.items():
        attribute = item_plan.attributes[name]
        is_left_out = item_plan.is_left_out(name, value)
        made.append(attribute.remove() if is_left_out else attribute.set(value))
    return made


@cache
def _adapter(entity: type[Model], name: str) -> TypeAdapter[Any]:
    field = entity.model_fields[name]
    annotated: Any = Annotated  # a type checker cannot follow a type made at run time
    return adapter_of(annotated[field.annotation, field])
