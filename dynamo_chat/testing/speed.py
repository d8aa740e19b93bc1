"""Patches for the slowest parts of moto, which the embedded engine uses."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest.mock import patch


@contextmanager
def quick_answers() -> Iterator[None]:
    """Make moto serialize an AttributeValue by its one type.

    Without this, moto tries each of the ten types, under four names, for every value of an item.
    """
    from moto.core.serialize import BaseJSONSerializer

    write = BaseJSONSerializer._serialize_type_structure  # noqa: SLF001 - moto has no hook for it

    def structure(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue":
            serialized[key] = _encoded(value)
        else:
            write(serializer, serialized, value, shape, key)

    with patch.object(BaseJSONSerializer, "_serialize_type_structure", structure):
        yield


def _encoded(value: Mapping[str, Any]) -> dict[str, Any]:
    """An AttributeValue as JSON."""
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return {kind: {name: _encoded(each) for name, each in content.items()}}
        case "L":
            return {kind: [_encoded(each) for each in content]}
        case "B":
            return {kind: base64.b64encode(content).decode()}
        case "BS":
            return {kind: [base64.b64encode(each).decode() for each in content]}
    return {kind: content}


@contextmanager
def known_conditions() -> Iterator[None]:
    """Make moto tokenize each condition's text only once; a program has few of them."""
    from moto.dynamodb.comparisons import ConditionExpressionParser

    lex = ConditionExpressionParser._lex_condition_expression  # noqa: SLF001 - nor for it

    @lru_cache(maxsize=1_000)
    def nodes(condition: str) -> tuple[Any, ...]:
        return tuple(lex(ConditionExpressionParser(condition, None, None)))

    def lexed(parser: Any) -> deque[Any]:
        return deque(nodes(parser.condition_expression))

    with patch.object(ConditionExpressionParser, "_lex_condition_expression", lexed):
        yield
