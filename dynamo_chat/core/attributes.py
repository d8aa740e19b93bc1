"""How one field is stored: PynamoDB attributes, one class per type of value.

PynamoDB uses them to write, and for conditions and updates. Reading uses their `decode` directly:
from the AttributeValue of a response to the Python value.
"""

from __future__ import annotations

import json
import threading
import zlib
from binascii import a2b_base64
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pydantic_core
from pydantic import TypeAdapter
from pynamodb.attributes import Attribute
from pynamodb.constants import BINARY, BOOLEAN, MAP, NUMBER, STRING, STRING_SET
from pynamodb.expressions.operand import Path, Value
from pynamodb.expressions.update import SetAction

from dynamo_chat.core.entity import STORED
from dynamo_chat.core.errors import ItemTooLarge
from dynamo_chat.core.keys import format_time, parse_time
from dynamo_chat.core.patterns import running_repository
from dynamo_chat.core.size import (
    DEFAULT_BODY_BYTES,
    MAX_BODY_BYTES,
    WRITE_UNIT_BYTES,
    item_size,
)

_VALUE_BYTES = 64
"""The memory that a JSON value takes in addition to its text."""

_SURELY_SMALL = 1_024
SHORTEST_COMPRESSED = 100
"""Bodies of at most this many characters are not compressed: it would save next to nothing."""

COMPRESS_ALONE_ABOVE_BYTES = 256
"""An update does not know the rest of its item: it compresses bodies longer than this."""

_ADDED_LATER_BYTES = 64
"""What writers add to an item after its entity was encoded, such as the mark of its life."""

_SMALL_BODY_BYTES = 4_096

AttributeValue = dict[str, Any]


class Raw(Value):
    """An operand that is an AttributeValue already."""

    def __init__(self, value: AttributeValue) -> None:
        if isinstance(value, dict) and "B" in value:  # as text it would be encoded a second time
            with suppress(ValueError, TypeError):  # what is no base64, DynamoDB refuses
                value = {"B": _binary(value["B"])}
        super(Value, self).__init__(value)


class TextAttribute(Attribute[str]):
    """Text as S."""

    attr_type = STRING

    def serialize(self, value: Any) -> Any:
        return value

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return stored["S"]


class TimeAttribute(Attribute[datetime]):
    """A time as S, in the fixed-width form of the key codec."""

    attr_type = STRING

    def serialize(self, value: Any) -> Any:
        return format_time(value)

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return parse_time(stored["S"])


class BytesAttribute(Attribute[bytes]):
    """Binary data as B."""

    attr_type = BINARY

    def serialize(self, value: Any) -> Any:
        return value

    def set(self, value: Any) -> SetAction:
        """An update action that stores `value`."""
        return SetAction(Path(self), Raw({self.attr_type: value}))

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return _binary(stored["B"])


class IntegerAttribute(Attribute[int]):
    """An integer as N."""

    attr_type = NUMBER

    def serialize(self, value: Any) -> Any:
        return str(value)

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        text = stored["N"]
        # DynamoDB may return a large integer in scientific notation.
        return int(text) if "E" not in text and "." not in text else _whole(text)


class FloatAttribute(Attribute[float]):
    """A float as N. It has at most 17 significant digits, so it comes back exactly."""

    attr_type = NUMBER

    def serialize(self, value: Any) -> Any:
        return repr(value)

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return float(stored["N"])


class DecimalAttribute(Attribute[Decimal]):
    """An exact decimal as N, of at most 38 digits."""

    attr_type = NUMBER

    def serialize(self, value: Any) -> Any:
        return format(value, "f")  # some engines cannot add to numbers in scientific notation

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return Decimal(stored["N"])


class FlagAttribute(Attribute[bool]):
    """A boolean as BOOL."""

    attr_type = BOOLEAN

    def serialize(self, value: Any) -> Any:
        return bool(value)

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return stored["BOOL"]


class TextSetAttribute(Attribute[frozenset[str]]):
    """A set of texts as SS, which writers can add to without reading it."""

    attr_type = STRING_SET

    def serialize(self, value: Any) -> Any:
        return sorted(value)

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return frozenset(stored["SS"])


class CountersAttribute(Attribute[dict[str, int]]):
    """Named counters as M. Each can be changed alone; see `counter`."""

    attr_type = MAP

    def serialize(self, value: Any) -> Any:
        return {name: {"N": str(number)} for name, number in value.items()}

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return {name: IntegerAttribute.decode(number) for name, number in stored["M"].items()}

    def set(self, value: Any) -> SetAction:
        """An update action that stores `value`. The counters' names may hold any character."""
        if not isinstance(value, dict):  # an operand, such as if_not_exists
            return SetAction(Path(self), value)
        return SetAction(Path(self), Raw({self.attr_type: self.serialize(value)}))

    def counter(self, name: str) -> Path:
        """The path of one counter, whose name may hold any character."""
        return ExactPath([*self.attr_path, name])


class ExactPath(Path):
    """A document path whose names may hold any character; PynamoDB reads brackets as positions."""

    def _serialize_value(self, value: Any, placeholder_names: Any, _: Any) -> Any:
        return ".".join(
            placeholder_names.setdefault(name, f"#{len(placeholder_names)}") for name in value
        )


class DeadlineAttribute(Attribute[datetime]):
    """The TTL attribute: whole seconds since 1970, rounded up."""

    attr_type = NUMBER

    def serialize(self, value: Any) -> Any:
        return str(epoch_seconds(value))

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(stored["N"]))


class BodyAttribute(Attribute[Any]):
    """Text or JSON of any length: S, or compressed as B if that is smaller."""

    attr_type = STRING

    def serialize(self, value: Any) -> Any:
        return value

    def text(self, value: Any) -> str:
        """The text that is stored for `value`."""
        text: str = value
        return text

    def encode(self, value: Any) -> AttributeValue:
        """The AttributeValue for an update, whose item is not known; see `compress_bodies`."""
        return packed(self.text(value), self.attr_name)

    def set(self, value: Any) -> SetAction:
        """An update action that stores `value`."""
        return SetAction(Path(self), Raw(self.encode(value)))

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return unpacked(stored)


class JsonAttribute(BodyAttribute):
    """A value of a structured type as compact JSON text."""

    def __init__(self, adapter: TypeAdapter[Any], **options: Any) -> None:
        super().__init__(**options)
        self.adapter = adapter

    def text(self, value: Any) -> str:
        return json_text(self.adapter.dump_python(value, mode="json", exclude_none=False))

    def decode_json(self, stored: AttributeValue) -> Any:
        """The value, checked against its type."""
        text = _json_of(stored)
        return self.adapter.validator.validate_json(text, strict=True, context=STORED)


class FreeJsonAttribute(BodyAttribute):
    """Free JSON as compact JSON text; it comes back exactly as it went in."""

    def text(self, value: Any) -> str:
        return json_text(value)

    @staticmethod
    def decode(stored: AttributeValue) -> Any:
        return pydantic_core.from_json(_json_of(stored), allow_inf_nan=False)


# Created once: `json.dumps` would create an encoder for each value.
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_sorted_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
)


def json_text(value: Any, *, sort_keys: bool = False) -> str:
    """`value` as compact JSON: floats in their shortest exact form, keys in the given order."""
    return (_sorted_json if sort_keys else _json).encode(value)


def packed(
    text: str, name: str = "body", *, above: int = COMPRESS_ALONE_ABOVE_BYTES
) -> AttributeValue:
    """`text` as S, or compressed as B if that is smaller. ItemTooLarge names it `name`.

    Texts of at most `above` bytes are not compressed.
    """
    if len(text) <= above // 4:
        return {"S": text}
    plain = text.encode()
    if len(plain) <= above:
        return {"S": text}
    if len(plain) > (most := _max_body_bytes()):
        raise ItemTooLarge(name, len(plain), most, "uncompressed body", "this store")
    small = _deflated(plain)
    return {"B": small} if len(small) < len(plain) else {"S": text}


def compress_bodies(item: dict[str, AttributeValue], names: Sequence[str]) -> None:
    """Compress the bodies `names` of a new item, unless it fits into one write unit as it is.

    The smaller form of each body makes the smallest item, so neither form would cost fewer units.
    An item of one unit cannot get cheaper: it stays readable, and costs no time. ItemTooLarge.
    """
    if item_size(item) + _ADDED_LATER_BYTES > WRITE_UNIT_BYTES:
        for name in names:
            item[name] = packed(item[name]["S"], name, above=SHORTEST_COMPRESSED)


def _deflated(plain: bytes) -> bytes:
    if len(plain) > _SMALL_BODY_BYTES:
        return zlib.compress(plain, 6)
    # The default memory of zlib takes five times as long to prepare as a short text to compress.
    compressor = zlib.compressobj(6, zlib.DEFLATED, wbits=12, memLevel=5)
    return compressor.compress(plain) + compressor.flush()


def unpacked(stored: AttributeValue) -> str:
    """The inverse of `packed`: the text."""
    if "S" in stored:
        text = stored["S"]
        if not isinstance(text, str):
            raise TypeError("expected text")
        return text
    inflater = zlib.decompressobj()
    plain = inflater.decompress(_binary(stored["B"]), MAX_BODY_BYTES + 1)
    if len(plain) > MAX_BODY_BYTES:
        raise ValueError(f"a body has more than {MAX_BODY_BYTES:,} bytes when decompressed")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("a compressed body is damaged")
    _inflated.size += len(plain)
    return plain.decode()


def _json_of(stored: AttributeValue) -> str:
    """`unpacked` for JSON. Counts its values too: an empty list is 2 bytes, but 60 in memory."""
    text = unpacked(stored)
    if len(text) > _SURELY_SMALL:
        _inflated.size += _VALUE_BYTES * sum(map(text.count, "[{,"))
    return text


class _Inflated(threading.local):
    """Bytes of memory for the bodies that this thread has decompressed and parsed."""

    size = 0


_inflated = _Inflated()


def inflated() -> int:
    """Bytes of memory, at most, for all bodies that this thread has read so far."""
    return _inflated.size


def _max_body_bytes() -> int:
    """The limit of the store whose method is running."""
    connection = getattr(running_repository(), "_connection", None)
    return DEFAULT_BODY_BYTES if connection is None else int(connection.options.max_body_bytes)


def _binary(stored: Any) -> bytes:
    # We parse successes (base64 text); botocore parses errors (bytes).
    return a2b_base64(stored, strict_mode=True) if isinstance(stored, str) else bytes(stored)


def epoch_seconds(moment: datetime) -> int:
    """Whole seconds since 1970, rounded up, so that nothing expires early."""
    past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return -(-past // timedelta(seconds=1))


def _whole(text: str) -> int:
    number = Decimal(text)
    # Checked first: `int` would write out as many digits as a huge exponent asks for.
    if not number.is_finite() or number.adjusted() > 126 or number != number.to_integral_value():
        raise ValueError("expected an integer")
    return int(number)
