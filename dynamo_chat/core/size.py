"""The size of an item and what it costs to read and write, by DynamoDB's published rules.

An item's size is the UTF-8 bytes of its attribute names plus its values:

    S            UTF-8 bytes
    B            bytes (before base64)
    N            one byte for each pair of digits, counted from the decimal point, and one more;
                 zeros at both ends are free; a minus sign takes a byte; zero takes one
    BOOL, NULL   1
    SS, NS, BS   the sum of the members
    L, M         3, and for each member 1 plus its value (and its name in a map)

AWS calls the rule for numbers approximate. The one used here is how DynamoDB packs them, and it
is never below the published estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_ITEM_BYTES = 409_600
MAX_TRANSACTION_BYTES = 4 * 1_048_576

MAX_BODY_BYTES = 16 * 2**20
"""The largest uncompressed size of a body that is read.

Zeros compress a thousandfold: without a limit, 400 KB in the table could be 400 MB in memory."""

DEFAULT_BODY_BYTES = 2**20
"""The largest uncompressed size of a body that is written, unless the store's options change it."""

READ_UNIT_BYTES = 4_096
WRITE_UNIT_BYTES = 1_024
TRANSACTION_FACTOR = 2

_CONTAINER_BYTES = 3
_MEMBER_BYTES = 1


def item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """The size in bytes of `item`, a map of AttributeValues. The limit is `MAX_ITEM_BYTES`.

    Binary may be bytes or the base64 text of DynamoDB's own JSON. ValueError for an AttributeValue
    that does not have exactly one known type.
    """
    return sum(_text_size(name) + attribute_size(value) for name, value in item.items())


def attribute_size(value: Mapping[str, Any]) -> int:
    """The size in bytes of one AttributeValue, without a name."""
    if len(value) != 1:
        raise ValueError(f"an AttributeValue has exactly one type, not {sorted(value)}")
    ((kind, content),) = value.items()
    measure = _MEASURES.get(kind)
    if measure is None:
        raise ValueError(f"unknown AttributeValue type {kind!r}")
    return measure(content)


def read_units(size: int, *, consistent: bool) -> float:
    """Read units for `size` bytes, read by one request or as one item of a batch.

    Each started 4 KB costs 1 unit, or 0.5 when eventually consistent; reading nothing costs as
    much as reading one byte. A transactional read costs `TRANSACTION_FACTOR` consistent ones.
    """
    blocks = max(1, -(-size // READ_UNIT_BYTES))
    return float(blocks) if consistent else blocks / 2


def write_units(size: int) -> float:
    """Write units of writing `size` bytes: 1 for each started KB, at least 1.

    `size` is the larger of the item before and after. A transactional write costs
    `TRANSACTION_FACTOR` times as much.
    """
    return float(max(1, -(-size // WRITE_UNIT_BYTES)))


def _text_size(text: str) -> int:
    # surrogatepass: measuring must not fail, because sending raises a better error.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _binary_size(content: bytes | bytearray | memoryview | str) -> int:
    if isinstance(content, str):
        return len(content) // 4 * 3 - content.count("=", -2)
    return memoryview(content).nbytes


def _number_size(text: str) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a number that DynamoDB stores")
    sign, digits, _ = number.as_tuple()
    count = len("".join(map(str, digits)).strip("0"))
    if not count:
        return 1
    top = number.adjusted() + 1
    pairs = -(-top // 2) - (top - count) // 2
    return 1 + pairs + sign


def _map_size(content: Mapping[str, Mapping[str, Any]]) -> int:
    return _CONTAINER_BYTES + _MEMBER_BYTES * len(content) + item_size(content)


def _list_size(content: Iterable[Mapping[str, Any]]) -> int:
    return _CONTAINER_BYTES + sum(_MEMBER_BYTES + attribute_size(value) for value in content)


def _total(measure: Callable[[Any], int]) -> Callable[[Iterable[Any]], int]:
    return lambda members: sum(map(measure, members))


_MEASURES: dict[str, Callable[[Any], int]] = {
    "S": _text_size,
    "N": _number_size,
    "B": _binary_size,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "SS": _total(_text_size),
    "NS": _total(_number_size),
    "BS": _total(_binary_size),
    "L": _list_size,
    "M": _map_size,
}
