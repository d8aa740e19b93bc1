"""The lines of an archive: one item each, in DynamoDB's JSON, always written the same way.

    {"Item":{"PK":{"S":"CONV#c-1#"},"SK":{"S":"CONV#"},"kind":{"S":"conversation"},"v":{"N":"2"},…}}

It is the form of DynamoDB's own exports to S3. Names and sets are sorted, so one item has one line,
and equal lines are equal items. What is read may come from anywhere: everything about it is checked
before it is used.
"""

from __future__ import annotations

import base64
import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.layout import KEY_ATTRIBUTES, PK, SK
from dynamo_chat.core.size import MAX_ITEM_BYTES, item_size

MAX_LINE_BYTES: Final = 8 * 2**20
"""The longest line. An item of 400 KB has at most 3.5 MB as JSON."""
_MAX_DEPTH: Final = 32
_MAX_NAME: Final = 65_535
_MAX_PARTITION_KEY: Final = 2_048
_MAX_SORT_KEY: Final = 1_024
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,200}(\.[0-9]{1,200})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
_MAX_DIGITS: Final = 38
_MAX_EXPONENT: Final = 130


def line_of(item: Mapping[str, Any]) -> bytes:
    """The line of an item, with its line break."""
    text = json.dumps(
        {"Item": canonical(item)}, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    return text.encode() + b"\n"


def canonical(item: Mapping[str, Any]) -> AttributeValues:
    """The item with binary data as base64 text, and with sorted sets."""
    return {name: _canonical(value) for name, value in item.items()}


def _canonical(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {kind: _base64(content)}
        case "BS":
            return {kind: sorted(map(_base64, content))}
        case "SS" | "NS":
            return {kind: sorted(content)}
        case "L":
            return {kind: [_canonical(each) for each in content]}
        case "M":
            return {kind: canonical(content)}
    return {kind: content}


def _base64(content: bytes | str) -> str:
    return content if isinstance(content, str) else base64.b64encode(content).decode()


def to_send(item: Mapping[str, Any]) -> AttributeValues:
    """The item as a request takes it: with binary data as bytes."""
    return {name: _to_send(value) for name, value in item.items()}


def _to_send(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {kind: a2b_base64(content)}
        case "BS":
            return {kind: [a2b_base64(each) for each in content]}
        case "L":
            return {kind: [_to_send(each) for each in content]}
        case "M":
            return {kind: to_send(content)}
    return {kind: content}


# -- reading ------------------------------------------------------------------------------------


def item_of(line: bytes) -> AttributeValues:
    """The item of a line. ValueError says why there is none that DynamoDB could store."""
    try:
        found = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_no_number,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    match found:
        case {"Item": dict(item)} if len(found) == 1:
            _check(item)
            return item
    raise ValueError('it must be {"Item": {…}}')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("it has a name twice")
    return made


def _no_number(_: str) -> NoReturn:
    raise ValueError("it has a number that is not text")


def _check(item: Mapping[str, Any]) -> None:
    for name, value in item.items():
        _check_text(name)
        if not 0 < len(name.encode()) <= _MAX_NAME:
            raise ValueError(f"the name of an attribute must have 1 to {_MAX_NAME:,} bytes")
        _check_value(value, 1)
        if name in KEY_ATTRIBUTES:
            _check_key(name, value)
    if not {PK, SK} <= item.keys():
        raise ValueError("it has no table key")
    if item_size(item) > MAX_ITEM_BYTES:
        raise ValueError(f"its item has more than {MAX_ITEM_BYTES:,} bytes")


def _check_key(name: str, value: Mapping[str, Any]) -> None:
    text = value.get("S")
    most = _MAX_PARTITION_KEY if name.endswith(PK) else _MAX_SORT_KEY
    if not isinstance(text, str) or not 0 < len(text.encode()) <= most:
        raise ValueError(f"its {name} must be text of 1 to {most:,} bytes")


def _check_value(value: Any, depth: int) -> None:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("an attribute must have exactly one type")
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    ((kind, content),) = value.items()
    if kind == "L" and isinstance(content, list):
        for each in content:
            _check_value(each, depth + 1)
    elif kind == "M" and isinstance(content, dict):
        for name, each in content.items():
            _check_text(name)
            _check_value(each, depth + 1)
    elif kind in _SETS:
        _check_set(content, kind)
    elif kind in _SCALARS:
        _SCALARS[kind](content)
    else:
        raise ValueError(f"{str(kind)[:20]!r} is no type of DynamoDB, or has another content")


def _check_set(content: Any, kind: str) -> None:
    if not isinstance(content, list) or not content:
        raise ValueError("a set must be a list that is not empty")
    for each in content:
        _SETS[kind](each)
    members = set(map(Decimal, content) if kind == "NS" else content)
    if len(members) != len(content):
        raise ValueError("a set has a member twice")


def _check_text(content: Any) -> None:
    if not isinstance(content, str):
        raise ValueError("a text must be text")  # noqa: TRY004 - a line's content, not an argument
    try:
        content.encode()
    except UnicodeEncodeError:
        raise ValueError("a text has half a character") from None


def _check_number(content: Any) -> None:
    if not isinstance(content, str) or _NUMBER.fullmatch(content) is None:
        raise ValueError("a number must be text such as '1.5'")
    number = Decimal(content)
    digits = len("".join(map(str, number.as_tuple().digits)).strip("0"))
    if digits > _MAX_DIGITS or (number and not -_MAX_EXPONENT <= number.adjusted() < 126):
        raise ValueError("a number has more digits than DynamoDB stores")


def _check_binary(content: Any) -> None:
    if not isinstance(content, str):
        raise ValueError("binary data must be base64 text")  # noqa: TRY004 - as above
    try:
        found = a2b_base64(content, strict_mode=True)
    except ValueError:
        raise ValueError("binary data must be base64 text") from None
    if b2a_base64(found, newline=False) != content.encode():  # the same bytes have one text
        raise ValueError("binary data must be base64 text")


def _check_flag(content: Any) -> None:
    if not isinstance(content, bool):
        raise ValueError("a flag must be true or false")  # noqa: TRY004 - as above


def _check_null(content: Any) -> None:
    if content is not True:
        raise ValueError("NULL must be true")


_SCALARS: Final[Mapping[str, Callable[[Any], None]]] = {
    "S": _check_text,
    "N": _check_number,
    "B": _check_binary,
    "BOOL": _check_flag,
    "NULL": _check_null,
}
_SETS: Final[Mapping[str, Callable[[Any], None]]] = {
    "SS": _check_text,
    "NS": _check_number,
    "BS": _check_binary,
}
