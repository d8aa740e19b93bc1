"""What DynamoDB checks of values, keys and items, whatever the request.

Every check raises `StrictViolation`; none returns anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from dynamo_chat.core.keys import MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES
from dynamo_chat.core.size import MAX_ITEM_BYTES, item_size
from dynamo_chat.testing.schema import KeyNames, TableSchema

MAX_DIGITS = 38
MAX_NESTING = 32
MAX_EXPONENT = 125
MIN_EXPONENT = -130
MAX_NAME_BYTES = 65_535

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,18})?", re.ASCII)

Item = Mapping[str, Mapping[str, Any]]


class StrictViolation(AssertionError):
    """A request that DynamoDB would reject, or that breaks a law of this package."""


def check_value(value: Any, where: str, level: int = 1) -> None:
    """One AttributeValue, with everything nested in it. `where` names it in the error."""
    if level > MAX_NESTING:
        raise StrictViolation(f"{where} is nested deeper than {MAX_NESTING} levels")
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StrictViolation(f"{where} is not an AttributeValue of exactly one type")
    ((kind, content),) = value.items()
    if kind == "L":
        _require(isinstance(content, list | tuple), where, "L must be a list")
        for position, member in enumerate(content):
            check_value(member, f"{where}[{position}]", level + 1)
    elif kind == "M":
        _require(isinstance(content, Mapping), where, "M must be a map")
        for name, member in content.items():
            check_value(member, f"{where}.{name}", level + 1)
    elif kind in _SETS:
        _check_set(kind, content, where)
    elif kind in _SCALARS:
        _SCALARS[kind](content, where)
    else:
        raise StrictViolation(f"{where} has the unknown type {kind!r}")


def check_item(item: Item, schema: TableSchema) -> None:
    """A whole item, as a put writes it."""
    for name in schema.keys:
        if name not in item:
            raise StrictViolation(f"the item lacks the key attribute {name}")
    check_key({name: item[name] for name in schema.keys}, schema.keys)
    for index, keys in schema.indexes.items():
        check_together(item.keys(), keys, f"the put gives {index} half a key")
    for name, value in item.items():
        check_attribute(name, value, schema)
    size = item_size(item)
    if size > MAX_ITEM_BYTES:
        raise StrictViolation(f"the item takes {size:,} bytes; DynamoDB stores {MAX_ITEM_BYTES:,}")


def check_attribute(name: str, value: Any, schema: TableSchema) -> None:
    """A top-level attribute: its name, its value, and its type where an index or TTL needs one."""
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES:
        raise StrictViolation("an attribute name is empty or longer than 64 KB")
    check_value(value, name)
    if name in schema.index_keys:
        index = next(keys for keys in schema.indexes.values() if name in keys)
        check_key_value(name, value, index)
    if name == schema.ttl and "N" not in value:
        raise StrictViolation(f"{name} is no number, so the item would never expire")


def check_key(key: Item, names: KeyNames) -> None:
    """A primary key: exactly the two attributes, both usable as keys."""
    if key.keys() != set(names):
        raise StrictViolation(
            f"the key has the attributes {sorted(key)}; the schema says {sorted(names)}"
        )
    for name in names:
        check_value(key[name], name)
        check_key_value(name, key[name], names)


def check_key_value(name: str, value: Mapping[str, Any], names: KeyNames) -> None:
    """The value of a key attribute, of the table or of an index: text, not empty, not too long."""
    text = value.get("S")
    if not isinstance(text, str):
        raise StrictViolation(f"the key attribute {name} must be of type S, not {sorted(value)}")
    if not text:
        raise StrictViolation(f"the key attribute {name} is empty")
    limit = MAX_PARTITION_KEY_BYTES if name == names.partition else MAX_SORT_KEY_BYTES
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        raise StrictViolation(f"the key attribute {name} takes {size:,} bytes of {limit:,}")


def check_together(present: Iterable[str], keys: KeyNames, problem: str) -> None:
    """Both attributes of an index, or neither."""
    found = set(present) & set(keys)
    if len(found) == 1:
        (there,) = found
        raise StrictViolation(f"{problem}: {there} without {(set(keys) - found).pop()}")


def _require(holds: bool, where: str, problem: str) -> None:
    if not holds:
        raise StrictViolation(f"{where}: {problem}")


def _check_text(content: Any, where: str) -> None:
    _require(isinstance(content, str), where, "S must be text")
    try:
        content.encode()
    except UnicodeEncodeError:
        raise StrictViolation(f"{where} holds a lone surrogate, which is no UTF-8") from None


def _check_binary(content: Any, where: str) -> None:
    _require(isinstance(content, bytes | bytearray | memoryview), where, "B must be bytes")


def _check_number(content: Any, where: str) -> None:
    _require(isinstance(content, str), where, "N must be sent as text")
    _require(_NUMBER.fullmatch(content) is not None, where, f"{content!r} is not a number")
    number = Decimal(content)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    _require(len(digits) <= MAX_DIGITS, where, f"a number has at most {MAX_DIGITS} digits")
    _require(
        MIN_EXPONENT <= number.adjusted() <= MAX_EXPONENT,
        where,
        f"a number's magnitude lies between 1E{MIN_EXPONENT} and 9.9E+{MAX_EXPONENT}",
    )


def _check_bool(content: Any, where: str) -> None:
    _require(isinstance(content, bool), where, "BOOL must be true or false")


def _check_null(content: Any, where: str) -> None:
    _require(content is True, where, "NULL must be true")


_SCALARS = {
    "S": _check_text,
    "N": _check_number,
    "B": _check_binary,
    "BOOL": _check_bool,
    "NULL": _check_null,
}
_SETS: dict[str, Callable[[Any], Any]] = {"SS": str, "NS": Decimal, "BS": bytes}


def _check_set(kind: str, content: Any, where: str) -> None:
    _require(isinstance(content, list | tuple | set | frozenset), where, f"{kind} must be a list")
    _require(len(content) > 0, where, "a set must not be empty")
    for position, member in enumerate(content):
        _SCALARS[kind[0]](member, f"{where}[{position}]")
    distinct = set(map(_SETS[kind], content))
    _require(len(distinct) == len(content), where, "a set must not hold duplicates")
