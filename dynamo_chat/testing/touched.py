"""The items that a request read and wrote, in order: what a meter notes if it keeps items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dynamo_chat.testing.capacity import Item
from dynamo_chat.testing.probe import Address, address
from dynamo_chat.testing.schema import TableSchema

How = Literal["read", "missing", "created", "changed", "deleted", "unchanged", "checked"]

_PLACEHOLDER: Final = re.compile(r"[#:]\w+")
_EQUAL: Final = re.compile(r"([#\w]+) *= *(:\w+)")


@dataclass(frozen=True, slots=True)
class Touched:
    """One item that a request asked for, found or wrote."""

    how: How
    """``missing``: asked for by its key, and not there. ``unchanged``: written as it was, or its
    write was refused. ``checked``: a condition of a transaction read it."""
    address: Address
    """Its table, partition key and sort key."""
    item: Item | None
    """As it was read. Of a write: as it is now, or if it is gone, as it was. None if there is
    none. Only some attributes, if the request asked only for these."""


def touched_by_write(
    targets: Sequence[tuple[Address, bool]],
    before: Mapping[Address, Item],
    after: Mapping[Address, Item],
) -> list[Touched]:
    """What became of each item of a write. With an address: whether it was only checked."""
    return [
        Touched(
            "checked" if only_checked else _change(before.get(each), after.get(each)),
            each,
            after.get(each) or before.get(each),
        )
        for each, only_checked in targets
    ]


def touched_by_read(
    operation: str, request: Mapping[str, Any], answer: Mapping[str, Any], schema: TableSchema
) -> list[Touched]:
    """The items of a read, in the order of the answer, and then the keys that have none."""
    match operation:
        case "GetItem":
            wanted = [(request["TableName"], request["Key"], answer.get("Item"))]
        case "TransactGetItems":
            members = zip(request["TransactItems"], answer["Responses"], strict=True)
            wanted = [
                (member["Get"]["TableName"], member["Get"]["Key"], found.get("Item"))
                for member, found in members
            ]
        case "BatchGetItem":
            return list(_of_batch(request, answer, schema))
        case "Query" | "Scan":
            return [
                Touched("read", address(request["TableName"], item, schema), item)
                for item in answer.get("Items") or []
                if all(name in item for name in schema.keys)
            ]
        case _:
            return []
    return [
        Touched("read" if item else "missing", address(table, key, schema), item or None)
        for table, key, item in wanted
    ]


def asked(request: Mapping[str, Any]) -> str:
    """The key condition of a Query with its values, such as ``PK = "CONV#c-1#"``; else empty."""
    names = request.get("ExpressionAttributeNames") or {}
    values = request.get("ExpressionAttributeValues") or {}

    def meant(found: re.Match[str]) -> str:
        placeholder = found[0]
        if placeholder in names:
            return str(names[placeholder])
        return f'"{next(iter(values[placeholder].values()))}"'

    return _PLACEHOLDER.sub(meant, request.get("KeyConditionExpression") or "")


def partition_asked(request: Mapping[str, Any], schema: TableSchema) -> str:
    """The partition key of a Query; empty for a Scan."""
    names = request.get("ExpressionAttributeNames") or {}
    values = request.get("ExpressionAttributeValues") or {}
    wanted = schema.keys_of(request.get("IndexName")).partition
    for name, value in _EQUAL.findall(request.get("KeyConditionExpression") or ""):
        if names.get(name, name) == wanted:
            return str(values[value]["S"])
    return ""


def _change(before: Item | None, after: Item | None) -> How:
    if before == after:
        return "unchanged"
    if before is None:
        return "created"
    return "deleted" if after is None else "changed"


def _of_batch(
    request: Mapping[str, Any], answer: Mapping[str, Any], schema: TableSchema
) -> Iterator[Touched]:
    left = answer.get("UnprocessedKeys") or {}
    for table, part in request["RequestItems"].items():
        items = answer["Responses"].get(table) or []
        found = {
            address(table, item, schema): item
            for item in items
            if all(name in item for name in schema.keys)
        }
        for where, item in found.items():
            yield Touched("read", where, item)
        undone = left.get(table, {}).get("Keys", [])
        if len(found) < len(items):
            continue  # which key an item has can't be told
        for key in part["Keys"]:
            if key not in undone and address(table, key, schema) not in found:
                yield Touched("missing", address(table, key, schema), None)
