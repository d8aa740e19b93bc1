"""Patches for what is slowest in moto, or grows without end, which the embedded engine uses."""

from __future__ import annotations

import base64
import copy
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from unittest.mock import patch

_PLAIN: Final = frozenset({"S", "B", "BOOL"})
"""The types of an AttributeValue whose value is compared as it is."""


@contextmanager
def dynamodb_first() -> Iterator[None]:
    """Make moto compare a request's URL with DynamoDB's pattern before those of 200 services."""
    from moto import backend_index

    patterns = sorted(backend_index.backend_url_patterns, key=lambda each: each[0] != "dynamodb")
    with patch.object(backend_index, "backend_url_patterns", patterns):
        yield


@contextmanager
def small_queries() -> Iterator[None]:
    """Make moto look for a query's items in their partition only.

    Without this, moto sorts the whole table for each query.
    """
    from moto.dynamodb.models.table import Table

    query = Table.query

    def narrowed(table: Any, hash_key: Any, *more: Any, **named: Any) -> Any:
        index = more[_INDEX] if len(more) > _INDEX else named.get("index_name")
        found = _of_partition(table, hash_key, index, named.get("hash_key_conditions"))
        if found is None:
            return query(table, hash_key, *more, **named)
        table.all_items = lambda: found  # in front of the method, for this one call
        try:
            return query(table, hash_key, *more, **named)
        finally:
            del table.all_items

    with patch.object(Table, "query", narrowed):
        yield


_INDEX: Final = 6
"""The place of a query's `index_name`, behind `hash_key`."""


def _of_partition(table: Any, hash_key: Any, index: str | None, asked: Any) -> list[Any] | None:
    """The items that a query may find, in any order: moto sorts them. None if that isn't known."""
    if table.range_key_attr is None:
        return None
    if index is None:
        return list(table.items[hash_key].values()) if hash_key in table.items else []
    if not asked:
        return None
    name, wanted = asked[0]
    return [
        item
        for partition in table.items.values()
        for item in partition.values()
        if (value := item.attrs.get(name)) is not None and value == wanted
    ]


@contextmanager
def quick_comparisons() -> Iterator[None]:
    """Make moto compare texts, bytes and truth values as they are.

    Without this, each comparison asks for each of the ten types in turn, on both sides.
    """
    from moto.dynamodb.models.dynamo_type import DynamoType

    # moto has a property, which mypy takes for its value.
    cast: Any = DynamoType.__dict__["cast_value"].fget

    def cast_value(one: Any) -> Any:
        return one.value if one.type in _PLAIN else cast(one)

    def equal(one: Any, other: Any) -> bool:
        if one.type != other.type:
            return False
        if one.type in _PLAIN:
            return bool(one.value == other.value)
        return bool(cast(one) == cast(other))

    def differs(one: Any, other: Any) -> bool:
        return not equal(one, other)

    with (
        patch.object(DynamoType, "cast_value", property(cast_value)),
        patch.object(DynamoType, "__eq__", equal),
        patch.object(DynamoType, "__ne__", differs),
    ):
        yield


@contextmanager
def quick_answers() -> Iterator[None]:
    """Make moto serialize an AttributeValue by its one type.

    Without this, moto tries each of the ten types, under four names, for every value of an item.
    """
    from moto.core.serialize import BaseJSONSerializer

    write = BaseJSONSerializer._serialize_type_structure  # noqa: SLF001 - moto has no hook for it

    def structure(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and "BOOL" in shape.members:  # other services have one
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
            return {kind: _base64(content)}
        case "BS":
            return {kind: [_base64(each) for each in content]}
    return {kind: content}


def _base64(content: bytes | str) -> str:
    """In a stream's record, moto has the bytes of a key as text."""
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


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


@contextmanager
def known_updates() -> Iterator[None]:
    """Make moto parse each update expression only once, and copy the result by its fields.

    moto replaces the nodes of a copy, so the parsed expression itself stays as it is.
    """
    from moto.dynamodb.parsing import ast_nodes, expressions

    nodes_of: Any = ast_nodes  # neither module has types
    parsers_of: Any = expressions
    node_type, traverser_type = nodes_of.Node, nodes_of.DepthFirstTraverser
    parser_type = parsers_of.UpdateExpressionParser
    parse, list_nodes = parser_type.make, traverser_type.nodes_to_be_processed

    @lru_cache(maxsize=1_000)
    def make(expression: str) -> Any:
        return parse(expression)

    def nodes(traverser: Any) -> Any:
        known = traverser.__dict__.get("_nodes")
        if known is None:
            known = traverser.__dict__["_nodes"] = list_nodes(traverser)
        return known

    def copied(node: Any, memo: dict[int, Any]) -> Any:
        clone: Any = object.__new__(type(node))
        clone.__dict__.update(node.__dict__)
        if node.children is not None:
            clone.children = [copy.deepcopy(each, memo) for each in node.children]
            for child in clone.children:
                if isinstance(child, node_type):
                    child.set_parent(clone)
        return clone

    with (
        patch.object(parser_type, "make", make),
        patch.object(traverser_type, "nodes_to_be_processed", nodes),
        patch.object(node_type, "__deepcopy__", copied, create=True),
    ):
        yield


@contextmanager
def forgotten_items() -> Iterator[None]:
    """Make moto keep no list of every item and table that it has ever made.

    The list is for the dashboard of moto's server. With it, a process that runs tests grows by each
    item that a test reads or writes, and each garbage collection takes longer.
    """
    from moto.dynamodb.models.dynamo_type import Item
    from moto.dynamodb.models.table import Table

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    with (
        patch.object(Item, "__new__", new, create=True),
        patch.object(Table, "__new__", new, create=True),
    ):
        yield
