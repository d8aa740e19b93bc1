"""Pages and items as pydantic types: in response models, in fields, in JSON schemas.

As JSON, a page is ``{"items": [...], "cursor": ...}`` and items are a list. What could not be read
is left out: it is for the program that asked, not for its clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


def schema_of_page(page: Any, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
    """How pydantic validates and writes a `Page` of `source`'s type of items."""
    items = _items(source, handler)
    fields = core_schema.typed_dict_schema(
        {
            "items": core_schema.typed_dict_field(items),
            "cursor": core_schema.typed_dict_field(
                core_schema.with_default_schema(
                    core_schema.nullable_schema(core_schema.str_schema()), default=None
                ),
                required=False,
            ),
        },
        extra_behavior="forbid",
    )

    def checked(given: Any, check: Callable[[Any], Any]) -> Any:
        found = check(given.items)
        is_same = all(one is other for one, other in zip(found, given.items, strict=True))
        return given if is_same else page(found, given.cursor, given.unreadable)

    made = core_schema.no_info_after_validator_function(lambda given: page(**given), fields)
    own = core_schema.chain_schema(
        [
            core_schema.is_instance_schema(page),
            core_schema.no_info_wrap_validator_function(checked, items),
        ]
    )
    return core_schema.json_or_python_schema(
        json_schema=made,
        python_schema=core_schema.union_schema([own, made], mode="left_to_right"),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda given: {"items": given.items, "cursor": given.cursor}, return_schema=fields
        ),
    )


def schema_of_items(
    kind: Any, source: Any, handler: GetCoreSchemaHandler
) -> core_schema.CoreSchema:
    """How pydantic validates and writes `Items` of `source`'s type of items."""
    items = _items(source, handler)

    def checked(given: Any, check: Callable[[Any], Any]) -> Any:
        found = check(tuple(given) if isinstance(given, list) else given)
        if isinstance(given, kind) and all(
            one is other for one, other in zip(found, given, strict=True)
        ):
            return given
        return kind(found)

    return core_schema.json_or_python_schema(
        json_schema=core_schema.no_info_after_validator_function(kind, items),
        python_schema=core_schema.no_info_wrap_validator_function(checked, items),
        serialization=core_schema.plain_serializer_function_ser_schema(tuple, return_schema=items),
    )


def _items(source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
    (item,) = get_args(source) or (Any,)
    return core_schema.tuple_variable_schema(handler.generate_schema(item))
