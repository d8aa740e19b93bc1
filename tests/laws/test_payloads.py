"""Free JSON and text come back exactly as they went in, or are refused when they go in."""

import math
import random
import string
import sys
import zlib
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given, strategies as st
from pydantic import Field

from dynamo_chat.core.attributes import (
    COMPRESS_ALONE_ABOVE_BYTES,
    SHORTEST_COMPRESSED,
    json_text,
    packed,
    unpacked,
)
from dynamo_chat.core.entity import MAX_JSON_DEPTH, Entity, Id, Json, JsonObject, Many, Text
from dynamo_chat.core.errors import InvalidArgument, ItemTooLarge
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import partition, sort, text
from dynamo_chat.core.layout import Layout, Slot
from dynamo_chat.core.size import item_size, write_units
from tests.laws.strategies import broken_texts, json_objects, json_values, same, texts


class Letter(Entity):
    """Something with every kind of body."""

    layout: ClassVar[Layout] = Layout(
        "letter", table=Slot(partition("LETTER", text("letter_id")), sort("LETTER"))
    )

    letter_id: Id = "x"
    needed: Json
    maybe: Json = None
    facts: JsonObject = Field(default_factory=dict)
    says: Text = ""
    lines: Many[Text] = ()
    papers: Many[JsonObject] = ()


def through(letter: Letter) -> Letter:
    """What is read of what was written."""
    return plan(Letter).decode(plan(Letter).encode(letter))


@given(json_values, json_values, json_objects, texts, st.lists(texts), st.lists(json_objects))
def test_any_payload_comes_back_unchanged(
    needed: Any, maybe: Any, facts: Any, says: str, lines: list[str], papers: list[Any]
) -> None:
    """Types of numbers, signs of zero, empty texts, null, and the order of keys."""
    read = through(
        Letter(needed=needed, maybe=maybe, facts=facts, says=says, lines=lines, papers=papers)
    )
    assert same(read.needed, needed)
    assert same(read.maybe, maybe)
    assert same(read.facts, facts)
    assert same(list(read.papers), papers)
    assert read.says == says
    assert list(read.lines) == lines


@pytest.mark.parametrize("value", [None, False, 0, 0.0, -0.0, "", [], {}, [None], {"": None}])
@pytest.mark.parametrize("name", ["needed", "maybe"])
def test_empty_values_are_not_mistaken_for_one_another(name: str, value: Any) -> None:
    """What is left out of an item is only what a missing attribute is read as."""
    read = through(Letter.model_validate({"needed": 1, name: value}))
    assert same(getattr(read, name), value)


@pytest.mark.parametrize("digits", [19, 38, 39, 100, 1_000, 3_800])
def test_integers_of_any_size_within_the_limit(digits: int) -> None:
    """Up to about 3,800 digits, far beyond what a DynamoDB number holds."""
    for value in (10**digits - 1, -(10**digits) + 1):
        assert same(through(Letter(needed={"n": [value]})).needed, {"n": [value]})


def test_longer_integers_are_refused() -> None:
    """Python itself would not read them back."""
    for value in (10 ** sys.get_int_max_str_digits(), -(10**5_000)):
        with pytest.raises(InvalidArgument, match="integers may have at most about") as refused:
            Letter(needed={"n": value})
        assert refused.value.argument == "needed"


def nested(depth: int, inner: Any = 1) -> Any:
    """A list in a list, so many times."""
    for level in range(depth):
        inner = [inner] if level % 2 else {"k": inner}
    return inner


def test_depth_up_to_the_limit_and_not_beyond() -> None:
    """100 levels, wherever they stand."""
    deep = nested(MAX_JSON_DEPTH)
    assert same(through(Letter(needed=deep)).needed, deep)
    inside = nested(MAX_JSON_DEPTH - 1)
    read = through(Letter(needed=1, papers=[{"k": inside}]))
    assert same(read.papers[0], {"k": inside})
    with pytest.raises(InvalidArgument, match="100 levels"):
        Letter(needed=nested(MAX_JSON_DEPTH + 1))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidArgument, match="100 levels"):
        Letter(needed=endless)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        {1: "a"},
        {None: 1},
        {True: 1},
        (1, 2),
        {1},
        b"bytes",
        1j,
        datetime(2025, 1, 1, tzinfo=UTC),
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_give_back_is_refused(value: Any) -> None:
    """NaN, infinities, keys and values of other types; wherever they hide."""
    for where in (value, [value], {"a": {"b": [1, value]}}):
        with pytest.raises(InvalidArgument) as refused:
            Letter(needed=where)
        assert refused.value.argument == "needed"
    with pytest.raises(InvalidArgument):
        Letter(needed=1, papers=[{"a": value}])


@given(broken_texts)
def test_lone_surrogates_are_refused(broken: str) -> None:
    """In text, in keys and in values, and the error names the field."""
    refusals: list[tuple[str, dict[str, Any]]] = [
        ("needed", {"needed": broken}),
        ("needed", {"needed": {broken: 1}}),
        ("needed", {"needed": [{"a": broken}]}),
        ("says", {"needed": 1, "says": broken}),
        ("lines.0", {"needed": 1, "lines": [broken]}),
        ("papers.0", {"needed": 1, "papers": [{broken: 1}]}),
        ("letter_id", {"needed": 1, "letter_id": broken}),
    ]
    for name, fields in refusals:
        with pytest.raises(InvalidArgument, match="surrogates") as refused:
            Letter(**fields)
        assert refused.value.argument.startswith(name)


def test_what_went_in_is_not_shared() -> None:
    """Changing the dict afterwards changes no entity."""
    facts: dict[str, Any] = {"a": [1]}
    letter = Letter(needed=facts, facts=facts)
    facts["a"].append(2)
    assert letter.needed == letter.facts == {"a": [1]}


# -- compression --------------------------------------------------------------------------------


@given(st.text(max_size=40), st.integers(0, 400))
def test_bodies_are_compressed_where_that_makes_them_smaller(piece: str, times: int) -> None:
    """Short or random bodies stay text; either way they come back."""
    body = piece * times
    stored = packed(body)
    assert unpacked(stored) == body
    if "B" in stored:
        assert len(body.encode()) > COMPRESS_ALONE_ABOVE_BYTES
        assert len(stored["B"]) < len(body.encode())


def test_long_bodies_are_compressed_and_short_ones_are_not() -> None:
    """From the first byte over the threshold, counted in UTF-8."""
    assert "S" in packed("a" * COMPRESS_ALONE_ABOVE_BYTES)
    assert "B" in packed("a" * (COMPRESS_ALONE_ABOVE_BYTES + 1))
    assert "B" in packed("😀" * (COMPRESS_ALONE_ABOVE_BYTES // 4 + 1))
    noise = "".join(random.Random(1).choices(string.printable, k=2_000))
    assert len(packed(noise).get("B", b"")) < 2_000


_WORDS = st.lists(
    st.sampled_from(["the", "quarterly", "figures", "came", "in", "Straße", "日本語", "x1B9q"])
)
_SIZES = st.integers(0, 1_500)
_PACKED = frozenset({"needed", "says", "facts"})
_BODIES = st.one_of(
    st.text(max_size=300),
    st.builds(lambda words, times: " ".join(words) * times, _WORDS, st.integers(0, 40)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size).hex(), st.integers(), _SIZES),
)


@given(says=_BODIES, needed=_BODIES, key=_BODIES)
def test_no_item_costs_more_than_with_or_without_compression(
    says: str, needed: str, key: str
) -> None:
    """Neither storing all of its bodies as they are, nor compressing each, takes fewer units."""
    letter = Letter(needed=needed, says=says, facts={key: 1})
    item = plan(Letter).encode(letter)
    plain = {name: {"S": unpacked(value)} for name, value in item.items() if name in _PACKED}
    squeezed = {
        name: {"B": zlib.compress(value["S"].encode(), 6)}
        for name, value in plain.items()
        if len(value["S"]) > SHORTEST_COMPRESSED
    }
    units = write_units(item_size(item))
    assert units <= write_units(item_size({**item, **plain}))
    assert units <= write_units(item_size({**item, **plain, **squeezed}))
    if item_size({**item, **plain}) <= 960:
        assert {name: item[name] for name in plain} == plain  # it stays readable
    assert plan(Letter).decode(item) == letter


def test_short_bodies_are_not_compressed_in_a_large_item() -> None:
    """It would cost time and save nothing."""
    item = plan(Letter).encode(Letter(needed="a" * 50, says="The figures came in. " * 100))
    assert "S" in item["needed"]
    assert "B" in item["says"]


@given(json_values)
def test_large_payloads_come_back_compressed(value: Any) -> None:
    """Repeated until they are worth compressing."""
    many = [value] * (1 + COMPRESS_ALONE_ABOVE_BYTES // max(1, len(json_text(value))) * 16)
    letter = Letter(needed=many, facts={"k": many}, papers=[{"k": many}])
    read = through(letter)
    assert same(read.needed, many)
    assert same(read.facts, {"k": many})
    assert same(list(read.papers), [{"k": many}])


def test_what_still_does_not_fit_is_refused() -> None:
    """With the largest attribute, the size and the limit in the error; at the limit it fits."""
    noise = random.Random(2).randbytes(200_000).hex()
    room = 409_600 - item_size(plan(Letter).encode(Letter(needed=1, says="x"))) + 1
    chars = "".join(random.Random(3).choices(string.ascii_letters, k=600_000))
    large = Letter(needed=1, says=noise + chars)
    with pytest.raises(ItemTooLarge, match="DynamoDB allows at most 409,600 bytes") as refused:
        plan(Letter).encode(large)
    assert refused.value.argument == "says"
    assert refused.value.size is not None
    assert refused.value.size > refused.value.limit == 409_600

    # Many short lines are one JSON text: a byte more or less decides.
    plain = {"S": "y" * room}
    assert item_size({**plan(Letter).encode(Letter(needed=1, says="x")), "says": plain}) == 409_600
