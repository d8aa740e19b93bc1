"""The key codec: the only place where key strings are built or parsed.

A key is a tag and typed components, each followed by ``#``: ``CONV#01J…#``. In a component, ``$``,
``#`` and every character below them are written as ``$`` and two lower-case hex digits. ``#`` is
then the lowest character of any key and ``$`` the next, which gives four laws (``enc`` encodes
one shape, comparison is by UTF-8 bytes):

1. reversible: ``dec(enc(t)) == t``, and ``dec`` refuses text that ``enc`` would not write;
2. ordered: ``enc(a) < enc(b)`` exactly when ``a < b``, component by component;
3. prefix-exact: keys that begin with ``enc(p)`` are the extensions of ``p``, nothing else;
4. letters, digits and ``-_.@:`` are written as they are.

So a prefix has two bounds. With its last ``#`` replaced by ``$``, it sorts above every extension of
the prefix and below everything after them; without the ``#``, it sorts below every extension and
above everything before them. Ranges and cursors use these bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from dynamo_chat.core.errors import InvalidKey

MAX_PARTITION_KEY_BYTES = 2_048
MAX_SORT_KEY_BYTES = 1_024

_CLOSE = "#"
_ESCAPE = "$"
_HIGHEST = "\U0010ffff"
_NEEDS_ESCAPE = re.compile(r"[\x00-\x24]")
_ESCAPED = re.compile(r"\$([0-9a-f]{2})")
_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})\.(\d{6})Z", re.ASCII)
_PLAIN_KEY = re.compile(r"[\x25-\x7f#]*#", re.ASCII)
_TAG = re.compile(r"[A-Z][A-Z0-9]*", re.ASCII)


def format_time(moment: datetime) -> str:
    """`moment` as ``2025-12-30T14:00:00.000000Z``: fixed width, UTC, ordered as text.

    Formatted by hand, because strftime pads years differently on each platform and isoformat
    leaves out zero microseconds.
    """
    m = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return (
        f"{m.year:04d}-{m.month:02d}-{m.day:02d}T"
        f"{m.hour:02d}:{m.minute:02d}:{m.second:02d}.{m.microsecond:06d}Z"
    )


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`; ValueError for any other text."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time of the form 2025-12-30T14:00:00.000000Z")
    year, month, day, hour, minute, second, micro = map(int, match.groups())
    return datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)


class Component(Protocol):
    """One typed part of a key: a name, and a text form that keeps order."""

    @property
    def name(self) -> str: ...

    def write(self, value: Any) -> str: ...

    def read(self, text: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class text:  # noqa: N801 - reads as a type in shape declarations
    """A component of any non-empty Unicode text. Case and Unicode form are kept."""

    name: str

    def write(self, value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidKey(self.name, f"must be text, not {type(value).__name__}")
        if not value:
            raise InvalidKey(self.name, "must not be empty")
        if len(value) > MAX_PARTITION_KEY_BYTES:  # checked first: the rest takes time by its length
            raise InvalidKey(
                self.name, f"must have fewer than {MAX_PARTITION_KEY_BYTES:,} characters"
            )
        if value.isascii() and _NEEDS_ESCAPE.search(value) is None:
            return value
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidKey(self.name, "must not contain lone surrogates") from error
        return _NEEDS_ESCAPE.sub(lambda found: f"${ord(found.group()):02x}", value)

    def read(self, text: str) -> str:
        if _ESCAPE not in text:
            return text
        return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


@dataclass(frozen=True, slots=True)
class time:  # noqa: N801
    """A component that is an aware point in time, kept to the microsecond, in UTC."""

    name: str

    def write(self, value: Any) -> str:
        if not isinstance(value, datetime):
            raise InvalidKey(self.name, f"must be a datetime, not {type(value).__name__}")
        if value.tzinfo is None or value.utcoffset() is None:
            raise InvalidKey(self.name, "must be an aware datetime (with a time zone)")
        try:
            return format_time(value)
        except OverflowError as error:
            raise InvalidKey(self.name, "must be in the years 1 to 9999 in UTC") from error

    def read(self, text: str) -> datetime:
        return parse_time(text)


@dataclass(frozen=True, slots=True)
class integer:  # noqa: N801
    """A component that is an integer from 0, of at most `width` decimal digits."""

    name: str
    width: int

    def write(self, value: Any) -> str:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidKey(self.name, f"must be an integer, not {type(value).__name__}")
        if not 0 <= value < 10**self.width:
            raise InvalidKey(self.name, f"must be from 0 to {10**self.width - 1:,}")
        return f"{value:0{self.width}d}"

    def read(self, text: str) -> int:
        return int(text)


@dataclass(frozen=True, slots=True)
class flag:  # noqa: N801
    """A component that is False or True, written ``0`` or ``1``."""

    name: str

    def write(self, value: Any) -> str:
        if not isinstance(value, bool):
            raise InvalidKey(self.name, f"must be True or False, not {type(value).__name__}")
        return "1" if value else "0"

    def read(self, text: str) -> bool:
        return text == "1"


class KeyRange(NamedTuple):
    """Sort keys from `lower` to `upper`, both included. Bounds need not be keys themselves."""

    lower: str
    upper: str

    @property
    def is_empty(self) -> bool:
        return self.lower > self.upper

    def after(self, key: str, *, is_stray: bool = False) -> KeyRange:
        """The part of this range that sorts after `key`, which may be any text if it is stray."""
        return self._replace(lower=max(self.lower, just_above(key) if is_stray else above(key)))

    def before(self, key: str, *, is_stray: bool = False) -> KeyRange:
        """The part of this range that sorts before `key`, which may be any text if it is stray."""
        return self._replace(upper=min(self.upper, just_below(key) if is_stray else below(key)))


def above(prefix: str) -> str:
    """A bound above every extension of the encoded `prefix`, itself included."""
    return prefix[:-1] + _ESCAPE


def below(prefix: str) -> str:
    """A bound below every extension of the encoded `prefix`, itself included."""
    return prefix[:-1]


def just_above(key: str) -> str:
    """The bound directly above `key`, which may be any text that DynamoDB allows as a sort key."""
    if len(key.encode()) < MAX_SORT_KEY_BYTES:
        return key + "\x00"
    for place in reversed(range(len(key))):
        if key[place] != _HIGHEST:
            bound = key[:place] + _neighbour(key[place], 1)
            if len(bound.encode()) <= MAX_SORT_KEY_BYTES:
                return bound
    return key


def just_below(key: str) -> str:
    """A bound below `key`, which may be any text, and above every earlier key that is in use.

    No text is directly below another: between ``a`` and ``b`` is ``a`` with any text after it.
    """
    before, last = key[:-1], key[-1:]
    if last in {"", "\x00"}:
        return before
    bound = before + _neighbour(last, -1) + _HIGHEST
    return bound if len(bound.encode()) <= MAX_SORT_KEY_BYTES else bound[:-1]


def _neighbour(character: str, step: int) -> str:
    """The next character up or down, without surrogates."""
    code = ord(character) + step
    if 0xD800 <= code <= 0xDFFF:
        code = 0xE000 if step > 0 else 0xD7FF
    return chr(code)


class Shape:
    """A tag and the components after it. Encodes and decodes the keys of this shape."""

    __slots__ = ("_head", "_is_text", "components", "limit", "names", "tag")

    def __init__(self, tag: str, *components: Component, limit: int = MAX_SORT_KEY_BYTES) -> None:
        if _TAG.fullmatch(tag) is None:
            raise ValueError(f"tag {tag!r} must be upper-case letters and digits")
        self.tag = tag
        self.components = components
        self.limit = limit
        self.names = tuple(component.name for component in components)
        self._head = tag + _CLOSE
        self._is_text = all(isinstance(component, text) for component in components)

    def __repr__(self) -> str:
        return self.pattern()

    def pattern(self) -> str:
        """The shape as the documentation shows it: ``CONV#<created_at>#<conversation_id>``."""
        return _CLOSE.join([self.tag, *(f"<{name}>" for name in self.names)])

    def encode(self, *values: Any) -> str:
        """The key with these values for all components, in order. InvalidKey names a bad one."""
        if len(values) != len(self.components):
            raise TypeError(f"{self!r} takes {len(self.components)} components")
        return self.prefix(*values)

    def prefix(self, *values: Any) -> str:
        """The beginning of every key whose first components have these values. InvalidKey."""
        key = self._head
        for component, value in zip(self.components, values, strict=False):
            key += component.write(value) + _CLOSE
        size = len(key) if key.isascii() else len(key.encode())
        if size > self.limit:
            longest = max(
                zip(self.components, values, strict=False),
                key=lambda pair: len(pair[0].write(pair[1]).encode()),
            )
            raise InvalidKey(
                longest[0].name,
                f"makes a key of {size:,} bytes; DynamoDB allows {self.limit:,}",
            )
        return key

    def decode(self, key: str) -> tuple[Any, ...]:
        """The components of `key`. ValueError for any text that `encode` would not write."""
        parts = key.split(_CLOSE)
        # The fast way, for nearly every key: text without escapes.
        if self._is_text and len(key) <= self.limit and _PLAIN_KEY.fullmatch(key) is not None:
            values = tuple(parts[1:-1])
            if parts[0] == self.tag and len(values) == len(self.names) and all(values):
                return values
        if parts[0] != self.tag or parts[-1] or len(parts) != len(self.components) + 2:
            raise ValueError(f"not a key of the shape {self!r}")
        values = tuple(
            component.read(part)
            for component, part in zip(self.components, parts[1:-1], strict=True)
        )
        # Encoding again is the cheapest complete check that the text is canonical.
        if self._needs_check(key) and self._written(values) != key:
            raise ValueError(f"not a key of the shape {self!r}")
        return values

    def matches(self, key: str) -> bool:
        """True if `key` is a key of this shape."""
        try:
            self.decode(key)
        except ValueError:
            return False
        return True

    def range(self, *values: Any, lower: Any = None, until: Any = None) -> KeyRange:
        """The keys that begin with `values` and whose next component is in [lower, until).

        Without a bound the range is open on that side.
        """
        start = self.prefix(*values) if lower is None else self.prefix(*values, lower)
        if until is None:
            return KeyRange(start, above(self.prefix(*values)))
        return KeyRange(start, below(self.prefix(*values, until)))

    def _needs_check(self, key: str) -> bool:
        return (
            min(key) < _CLOSE
            or _ESCAPE in key
            or _CLOSE + _CLOSE in key
            or not self._is_text
            or not key.isascii()
            or len(key) > self.limit
        )

    def _written(self, values: tuple[Any, ...]) -> str | None:
        try:
            return self.prefix(*values)
        except InvalidKey:
            return None


def partition(tag: str, *components: Component) -> Shape:
    """A shape for partition keys: at most 2,048 bytes."""
    return Shape(tag, *components, limit=MAX_PARTITION_KEY_BYTES)


def sort(tag: str, *components: Component) -> Shape:
    """A shape for sort keys: at most 1,024 bytes."""
    return Shape(tag, *components, limit=MAX_SORT_KEY_BYTES)
