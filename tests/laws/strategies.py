"""What the laws are tried on: texts, times, components and JSON that look for trouble."""

import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from dynamo_chat.core.keys import Component, Shape, flag, integer, sort, text, time

TROUBLEMAKERS = (
    '#$ !"%~\x00\x01\x1f\x22\x23\x24\x25\x7f\x80ßſKÅé\u2028\ufeff\ufffd\uffff\U00010000\U0010ffff😀'
)
"""Characters around the escape, around the ends of UTF-8's lengths, and of two Unicode forms."""

characters = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from(TROUBLEMAKERS),
    st.sampled_from(string.ascii_letters + string.digits + "-_.@:"),
)
texts = st.text(characters, max_size=40)
"""Any Unicode text, without surrogates."""
components = st.text(characters, min_size=1, max_size=12)
"""Text that a key can hold."""
surrogates = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)
broken_texts = st.builds("{}{}{}".format, texts, surrogates, texts)
"""Text with a lone surrogate in it."""

offsets = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
FIRST, LAST = map(datetime.fromisoformat, ("0001-01-02", "9999-12-30"))
moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC) | offsets)
"""Aware times of any year, in any zone, that have a name in UTC."""
modern = st.datetimes(
    datetime.fromisoformat("1970-01-02"),
    datetime.fromisoformat("2200-01-01"),
    timezones=st.just(UTC),
)
"""Aware times that a ULID holds."""

VALUES = {
    text: components,
    time: moments,
    integer: st.integers(0, 10**6 - 1),
    flag: st.booleans(),
}


@st.composite
def shapes(draw: st.DrawFn, *, least: int = 0, most: int = 4) -> Shape:
    """A shape of up to four components of any types."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=least, max_size=most))
    return sort("T", *(_component(kind, place) for place, kind in enumerate(kinds)))


def _component(kind: Any, place: int) -> Component:
    name = f"c{place}"
    made: Component = integer(name, 6) if kind is integer else kind(name)
    return made


def values_of(shape: Shape) -> st.SearchStrategy[tuple[Any, ...]]:
    """Components for every place of a shape."""
    return st.tuples(*(VALUES[type(component)] for component in shape.components))


@st.composite
def near(draw: st.DrawFn, shape: Shape, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Components that share a beginning with `values`, or extend one of them: the hard cases."""
    kept = draw(st.integers(0, len(values)))
    other: list[Any] = [*values[:kept], *draw(values_of(shape))[kept:]]
    longer = [
        place for place, component in enumerate(shape.components) if isinstance(component, text)
    ]
    extends: bool = draw(st.booleans())
    if longer and extends:
        place = draw(st.sampled_from(longer))
        other[place] = values[place] + draw(components)
    return tuple(other)


integers = st.one_of(
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.builds(lambda n, e: n * 10**e, st.integers(-9, 9), st.integers(0, 3_000)),
    st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63, 2**64, 10**100]),
)
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e16, 1e22, 1e23, 1.0]),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)
"""Any JSON value."""
json_objects = st.dictionaries(texts, json_values, max_size=5)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: types, signs of zero and order of keys included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)
