"""Random changes of values that suit their type: text, JSON, AttributeValues, compressed bodies."""

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

STRANGE: Final = (
    *("", "#", "$", "##", "$23", "$2", "\x00", " ", "\n", "\u2028", "\ufeff", "\u202e", "\x7f"),
    *(
        "\ud800",
        "\udfff",
        "\ue000",
        "\U0010ffff",
        "İ",
        "ß",
        "ς",
        "é",
        "e\u0301",
        "ﷺ",
        "٣",
        "\U0001d7d9",
    ),
    *("0", "-1", "1e5", "1E+400", "NaN", "Infinity", "-0", "0x1f", "9" * 400, "1_000", "1.0"),
    *("null", "true", "[]", "{}", '"', "\\", "\\ud800", "'", "%s", "{0}", "../", "@", "a@b", "."),
    *("2025-12-30T14:00:00.000000Z", "2025-13-30T14:00:00.000000Z", "0000-01-01T00:00:00.000000Z"),
    *("01ARZ3NDEKTSV4RRFFQ69G5FAV", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "xn--", "xn--a-ä", "PK", "S"),
)
"""Texts that are known to cause trouble."""

NUMBERS: Final = (
    *(0, -1, 1, 2, 255, 256, 2**31, 2**53 + 1, 2**63, 10**30, -(10**40), 10**400),
    *(0.0, -0.0, 0.1, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
)

TYPES: Final = ("S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS")
"""The types of an AttributeValue."""

_DEEP: Final = 400
_MOST_UNPACKED: Final = 1_000_000


def _boxed(plain: bytes) -> dict[str, Any]:
    return {"B": base64.b64encode(zlib.compress(plain)).decode()}


BODIES: Final = (
    _boxed(bytes(40_000_000)),  # a decompression bomb
    _boxed(zlib.compress(bytes(4_000_000))),
    _boxed(b"[" * 100_000 + b"]" * 100_000),
    _boxed(b'{"a":' * 300 + b"1" + b"}" * 300),
    _boxed(b"\xff\xfe not UTF-8"),
    _boxed(b"\xed\xa0\x80"),
    _boxed(b"NaN"),
    _boxed(b"9" * 5_000),
    _boxed(b""),
    {"B": ""},
    {"B": "not base64!"},
    {"B": "eJw="},
    {"B": b"\x00\x01\x02"},
    {"B": 7},
)
"""Compressed bodies that are made to do harm."""


def mutated(value: Any, rng: Random, donors: Sequence[Any] = ()) -> Any:
    """`value` with one or a few changes; `donors` are values from which parts are taken."""
    for _ in range(1 if rng.random() < 0.7 else rng.randint(2, 4)):
        value = _changed(value, rng, donors)
    return value


def mutated_text(text: str, rng: Random) -> str:
    """`text` with a character, a part or all of it changed."""
    change = rng.choice(_TEXT_CHANGES)
    return change(text, rng)


def _changed(value: Any, rng: Random, donors: Sequence[Any]) -> Any:
    if rng.random() < 0.06:
        return strange_value(rng, donors)
    if isinstance(value, dict):
        return _changed_object(value, rng, donors)
    if isinstance(value, list):
        return _changed_list(value, rng, donors)
    if isinstance(value, str):
        return _changed_text(value, rng, donors)
    if isinstance(value, bytes):
        return _changed_bytes(value, rng)
    return strange_value(rng, donors)


def strange_value(rng: Random, donors: Sequence[Any] = ()) -> Any:
    """Any value at all."""
    match rng.randrange(10):
        case 0 | 1:
            return rng.choice(STRANGE)
        case 2:
            return rng.choice(NUMBERS)
        case 3:
            return rng.choice((None, True, False, [], {}, b"", b"\xff"))
        case 4:
            return {rng.choice(TYPES): rng.choice((*STRANGE, None, True, [], {}, 5))}
        case 5:
            return rng.choice(BODIES)
        case 6:
            return _nested(rng.randint(1, _DEEP), rng)
        case 7:
            return "x" * rng.choice((100, 257, 1_025, 2_049, 20_000))
        case _:
            return rng.choice(donors) if donors else rng.choice(STRANGE)


def _nested(depth: int, rng: Random) -> Any:
    value: Any = rng.choice(("x", 1, None))
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"M": value}
    return value


def _changed_object(value: dict[str, Any], rng: Random, donors: Sequence[Any]) -> Any:
    copy = dict(value)
    if not copy:
        return {rng.choice(TYPES): rng.choice(STRANGE)}
    name = rng.choice(list(copy))
    if rng.random() < 0.7:
        if len(copy) == 1 and name in TYPES and rng.random() < 0.5:
            return _changed_attribute(name, copy[name], rng)
        copy[name] = _changed(copy[name], rng, donors)
        return copy
    match rng.randrange(6):
        case 0 | 1:
            del copy[name]
        case 2:
            copy[mutated_text(name, rng)] = copy.pop(name)
        case 3:
            other = rng.choice(list(copy))
            copy[name], copy[other] = copy[other], copy[name]
        case 4:
            copy[name] = strange_value(rng, donors)
        case _:
            copy[rng.choice((*STRANGE, *copy))] = strange_value(rng, donors)
    return copy


def _changed_attribute(name: str, inside: Any, rng: Random) -> Any:
    """An AttributeValue of another type, of two types, or of none."""
    match rng.randrange(5):
        case 0 | 1:
            return {rng.choice(TYPES): inside}
        case 2:
            return {name: inside, rng.choice(TYPES): rng.choice(STRANGE)}
        case 3:
            return rng.choice(BODIES)
        case _:
            return rng.choice(({}, None, inside, {"NULL": True}, {"M": {name: inside}}))


def _changed_list(value: list[Any], rng: Random, donors: Sequence[Any]) -> Any:
    copy = list(value)
    if not copy:
        return [strange_value(rng, donors)]
    place = rng.randrange(len(copy))
    match rng.randrange(8):
        case 0:
            del copy[place]
        case 1:
            copy.insert(place, copy[rng.randrange(len(copy))])
        case 2:
            copy[place] = strange_value(rng, donors)
        case 3:
            copy *= rng.choice((0, 2, 20))
        case _:
            copy[place] = _changed(copy[place], rng, donors)
    return copy


def _changed_text(value: str, rng: Random, donors: Sequence[Any]) -> Any:
    if value[:1] in {"{", "["} and rng.random() < 0.7:
        try:
            return json.dumps(_changed(json.loads(value), rng, donors))
        except (ValueError, RecursionError, TypeError):
            pass  # it is no JSON any more, or cannot be
    if value[:2] in {"eJ", "eN", "eA", "eF"} and rng.random() < 0.8:
        try:
            packed = base64.b64decode(value)
            plain = zlib.decompressobj().decompress(packed, _MOST_UNPACKED).decode()
            inside = _changed_text(plain, rng, donors)
            if isinstance(inside, str):
                return base64.b64encode(zlib.compress(inside.encode())).decode()
        except (ValueError, zlib.error):
            pass  # it only looks like a compressed body
    return mutated_text(value, rng)


def _changed_bytes(value: bytes, rng: Random) -> bytes:
    copy = bytearray(value or b"\x00")
    place = rng.randrange(len(copy))
    match rng.randrange(5):
        case 0 | 1:
            copy[place] ^= 1 << rng.randrange(8)
        case 2:
            del copy[place : place + rng.randint(1, 40)]
        case 3:
            copy[place:place] = rng.randbytes(rng.randint(1, 8))
        case _:
            copy[place:place] = rng.choice(
                (b"\xff", b"\xed\xa0\x80", b"\n", b"\x00", b"\xef\xbb\xbf")
            )
    return bytes(copy)


def _flip(text: str, rng: Random) -> str:
    if not text:
        return rng.choice(STRANGE)
    place = rng.randrange(len(text))
    return text[:place] + chr(ord(text[place]) ^ 1 << rng.randrange(7)) + text[place + 1 :]


def _cut(text: str, rng: Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.choice((1, 1, 2, 5, len(text))) :]


def _insert(text: str, rng: Random) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(STRANGE) + text[place:]


def _replace(_: str, rng: Random) -> str:
    return rng.choice(STRANGE)


def _splice(text: str, rng: Random) -> str:
    one, other = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
    return text[:one] + text[other:]


def _grow(text: str, rng: Random) -> str:
    return text * rng.choice((2, 3, 40)) if len(text) < 2_000 else text + text[:50]


def _recase(text: str, rng: Random) -> str:
    return rng.choice((text.upper(), text.lower(), text.title(), text[::-1], text.strip("#")))


_TEXT_CHANGES: Final[tuple[Callable[[str, Random], str], ...]] = (
    *(_flip, _flip, _cut, _cut, _insert, _insert, _splice, _replace, _grow, _recase),
)
