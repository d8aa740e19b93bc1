"""Cursors are opaque, bound to the question, and safe whoever made them."""

import base64
import random
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from dynamo_chat.core.errors import InvalidCursor
from dynamo_chat.core.keys import KeyRange, sort, text, time
from dynamo_chat.core.page import CursorCodec
from tests.laws.strategies import components, moments, shapes, texts, values_of

ALPHABET = string.ascii_letters + string.digits + "-_"
SHAPE = sort("T", time("at"), text("id"))
EVERYTHING = SHAPE.range()
MOMENT = datetime(2025, 12, 30, 14, tzinfo=UTC)
POSITION = SHAPE.encode(MOMENT, "x")

arguments = st.lists(st.none() | st.booleans() | st.integers() | texts | moments, max_size=4)
patterns = st.sampled_from(["C3", "C4", "C8", "C12"])


def opened(codec: CursorCodec, cursor: Any, pattern: str = "C3", *asked: Any) -> str:
    return codec.open(pattern, asked, cursor, SHAPE, EVERYTHING)


@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    """A cursor opens for the question it was made for, and can stand in a URL as it is."""
    shape = data.draw(shapes())
    position = shape.encode(*data.draw(values_of(shape)))
    pattern, asked = data.draw(patterns), data.draw(arguments)
    codec = CursorCodec(data.draw(texts), data.draw(st.none() | st.binary(min_size=1, max_size=40)))
    cursor = codec.seal(pattern, asked, position)
    assert codec.open(pattern, asked, cursor, shape, shape.range()) == position
    assert set(cursor) <= set(ALPHABET)


@given(patterns, patterns, arguments, arguments, components, components)
def test_bound_to_pattern_arguments_and_table(
    pattern: str, other: str, asked: list[Any], also: list[Any], table: str, table_2: str
) -> None:
    """Another access pattern, argument or table: it was made for something else."""
    one = (pattern, [repr(each) for each in asked], table)
    two = (other, [repr(each) for each in also], table_2)
    assume(one != two)
    cursor = CursorCodec(table).seal(pattern, asked, POSITION)
    with pytest.raises(InvalidCursor):
        CursorCodec(table_2).open(other, also, cursor, SHAPE, EVERYTHING)


def test_bound_to_the_secret() -> None:
    """A server with another secret, or none, did not make it."""
    cursor = CursorCodec("table", b"one").seal("C3", ["u"], POSITION)
    assert opened(CursorCodec("table", b"one"), cursor, "C3", "u") == POSITION
    for secret in (b"two", None, b"ONE"):
        with pytest.raises(InvalidCursor):
            opened(CursorCodec("table", secret), cursor, "C3", "u")


@given(st.data())
def test_altered(data: st.DataObject) -> None:
    """A character changed, taken out, put in or moved."""
    codec = CursorCodec("table")
    cursor = codec.seal("C3", ["u"], POSITION)
    place = data.draw(st.integers(0, len(cursor)))
    cut = data.draw(st.integers(0, len(cursor) - place))
    patch = data.draw(st.text(st.sampled_from(ALPHABET + "=+/ \n#é"), max_size=4))
    altered = cursor[:place] + patch + cursor[place + cut :]
    assume(altered != cursor)
    with pytest.raises(InvalidCursor):
        opened(codec, altered, "C3", "u")


@given(st.text(max_size=80) | st.text(st.sampled_from(ALPHABET), max_size=80))
def test_any_other_text(cursor: str) -> None:
    """What no store made."""
    with pytest.raises(InvalidCursor):
        opened(CursorCodec("table"), cursor, "C3", "u")


@pytest.mark.parametrize("cursor", [5, b"abc", ["x"], True, "x" * 2_049, "=" * 8, "é" * 10])
def test_no_cursor_at_all(cursor: Any) -> None:
    """Another type, or far too long."""
    with pytest.raises(InvalidCursor) as refused:
        opened(CursorCodec("table"), cursor)
    assert refused.value.argument == "cursor"


def test_a_position_outside_the_range() -> None:
    """Even a cursor with the right mark moves nobody out of what the call may read."""
    codec = CursorCodec("table", b"secret")
    for lower, upper in ((MOMENT.replace(year=2026), None), (None, MOMENT)):
        cursor = codec.seal("C3", ["u"], POSITION)
        with pytest.raises(InvalidCursor):
            codec.open("C3", ["u"], cursor, SHAPE, SHAPE.range(lower=lower, until=upper))


def test_a_position_of_another_shape() -> None:
    """A forged cursor may carry any text: it must be a key of the query's own shape."""
    codec = CursorCodec("table")
    for position in ("", "T", "U#x#", "T#x#", POSITION[:-1], POSITION + "x#", "T#\x00#"):
        forged = codec.seal("C3", ["u"], position)
        with pytest.raises(InvalidCursor):
            codec.open("C3", ["u"], forged, SHAPE, KeyRange("", "\U0010ffff"))


def test_no_personal_data_but_the_position() -> None:
    """Neither the arguments nor the table can be read out of a cursor."""
    cursor = CursorCodec("chat-prod").seal("C3", ["jane@example.com"], POSITION)
    packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert b"jane" not in packed
    assert b"chat-prod" not in packed


def test_ten_thousand_mutations_at_random() -> None:
    """Bits flipped, pieces cut and joined: not one of them opens as another position."""
    dice = random.Random(7)
    codec = CursorCodec("table")
    cursors = [
        codec.seal(pattern, ["u", number], SHAPE.encode(MOMENT, f"id-{number}"))
        for number in range(20)
        for pattern in ("C3", "C4")
    ]
    for _ in range(10_000):
        cursor = dice.choice(cursors)
        packed = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        match dice.randrange(4):
            case 0:
                packed[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
            case 1:
                del packed[dice.randrange(len(packed)) :]
            case 2:
                packed += dice.randbytes(dice.randrange(1, 9))
            case _:
                other = dice.choice(cursors).encode()
                packed[dice.randrange(len(packed)) :] = other[: dice.randrange(30)]
        changed = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        if changed == cursor:
            continue
        with pytest.raises(InvalidCursor):
            opened(codec, changed, "C3", "u", 0)
