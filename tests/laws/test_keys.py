"""The four laws of keys, and the bounds that follow from them."""

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from dynamo_chat.core.errors import InvalidKey
from dynamo_chat.core.keys import (
    KeyRange,
    above,
    below,
    flag,
    format_time,
    integer,
    parse_time,
    partition,
    sort,
    text,
    time,
)
from tests.laws.strategies import (
    broken_texts,
    characters,
    components,
    moments,
    near,
    shapes,
    texts,
    values_of,
)


@given(st.data())
def test_reversible(data: st.DataObject) -> None:
    """What was written is read, and written again the same."""
    shape = data.draw(shapes())
    values = data.draw(values_of(shape))
    key = shape.encode(*values)
    assert shape.decode(key) == values
    assert [type(each) for each in shape.decode(key)] == [type(each) for each in values]
    assert shape.matches(key)
    assert shape.encode(*shape.decode(key)) == key


@given(st.data())
def test_ordered(data: st.DataObject) -> None:
    """Keys sort, by their UTF-8 bytes, exactly as their components do."""
    shape = data.draw(shapes(least=1))
    left = data.draw(values_of(shape))
    right = data.draw(near(shape, left))
    one, other = shape.encode(*left).encode(), shape.encode(*right).encode()
    assert (one < other) == (left < right)
    assert (one == other) == (left == right)


@given(st.data())
def test_prefix_exact(data: st.DataObject) -> None:
    """A prefix begins the keys that extend it, and no others."""
    shape = data.draw(shapes(least=1))
    values = data.draw(values_of(shape))
    other = data.draw(near(shape, values))
    length = data.draw(st.integers(0, len(values)))
    prefix = shape.prefix(*values[:length])
    assert shape.encode(*values).startswith(prefix)
    assert shape.encode(*other).startswith(prefix) == (other[:length] == values[:length])


def test_one_never_finds_ten() -> None:
    """The example in the law."""
    shape = sort("T", text("c0"))
    assert not shape.encode("10").startswith(shape.prefix("1"))
    assert not shape.range("1").lower <= shape.encode("10") <= shape.range("1").upper


@given(st.text(string.ascii_letters + string.digits + "-_.@:", min_size=1))
def test_plain_identifiers_stay_readable(identifier: str) -> None:
    """Letters, digits and ``-_.@:`` are written as they are."""
    assert sort("T", text("c0")).encode(identifier) == f"T#{identifier}#"


@given(st.data())
def test_decode_refuses_what_encode_would_not_write(data: st.DataObject) -> None:
    """Whatever text is accepted is the very text that its components make."""
    shape = data.draw(shapes())
    key = shape.encode(*data.draw(values_of(shape)))
    place = data.draw(st.integers(0, len(key)))
    cut = data.draw(st.integers(0, 3))
    replacement = data.draw(
        st.one_of(
            st.text(characters, max_size=3),
            st.sampled_from(["$", "#", "##", "$2", "$24", "$23", "$2G", "$1F", "$1f", "$41", "\n"]),
            st.sampled_from(["+1", "-1", "٣", "1_0", " 1", "1.0", "2025-13-01", "T24", "\ud800"]),
        )
    )
    changed = key[:place] + replacement + key[place + cut :]
    try:
        values = shape.decode(changed)
    except ValueError:
        assert not shape.matches(changed)
    else:
        assert shape.encode(*values) == changed


@pytest.mark.parametrize(
    "key",
    [
        "",
        "T",
        "T#",
        "T#a",
        "T##",
        "U#a#",
        "T#a#b#",
        "T#a##",
        "#T#a#",
        "t#a#",
        "T#a#\n",
        "T#$41#",
        "T#$2G#",
        "T#$2#",
        "T#$#",
        "T#a b#",
        "T#\x00#",
        "T#\ud800#",
    ],
)
def test_not_a_key(key: str) -> None:
    """Other tags, missing and spare components, raw characters, needless escapes."""
    shape = sort("T", text("c0"))
    with pytest.raises(ValueError, match="T"):
        shape.decode(key)
    assert not shape.matches(key)


@given(st.data())
def test_ranges_include_their_start_and_not_their_end(data: st.DataObject) -> None:
    """``range(p, lower=…, until=…)`` holds the extensions of p in [lower, until)."""
    shape = data.draw(shapes(least=1))
    values = data.draw(values_of(shape))
    key = data.draw(near(shape, values))
    place = data.draw(st.integers(0, len(values) - 1))
    lower = data.draw(st.none() | st.just(values[place]))
    until = data.draw(st.none() | near(shape, values).map(lambda each: each[place]))
    bounds = shape.range(*values[:place], lower=lower, until=until)
    inside = (
        key[:place] == values[:place]
        and (lower is None or lower <= key[place])
        and (until is None or key[place] < until)
    )
    assert (bounds.lower <= shape.encode(*key) <= bounds.upper) == inside
    if lower is not None and until is not None and lower >= until:
        assert bounds.is_empty


@given(st.data())
def test_bounds_lie_between_a_prefix_and_its_neighbours(data: st.DataObject) -> None:
    """`above` and `below` part the extensions of a prefix from everything else."""
    shape = data.draw(shapes(least=1))
    values = data.draw(values_of(shape))
    other = data.draw(near(shape, values))
    length = data.draw(st.integers(1, len(values)))
    prefix = shape.prefix(*values[:length])
    key = shape.encode(*other)
    assert (key < below(prefix)) == (other[:length] < values[:length])
    assert (key > above(prefix)) == (other[:length] > values[:length])
    assert below(prefix) < prefix <= shape.encode(*values) < above(prefix)


@given(st.data())
def test_narrowed_ranges(data: st.DataObject) -> None:
    """`after` and `before` a key hold what of the range sorts after and before it."""
    shape = data.draw(shapes(least=1))
    at = data.draw(values_of(shape))
    other = data.draw(near(shape, at))
    key = shape.encode(*other)
    for first in (0, data.draw(st.integers(0, len(at)))):
        whole = shape.range(*at[:first])
        within = whole.lower <= key <= whole.upper
        after, before = whole.after(shape.encode(*at)), whole.before(shape.encode(*at))
        assert (after.lower <= key <= after.upper) == (within and other > at)
        assert (before.lower <= key <= before.upper) == (within and other < at)


def test_an_empty_range_says_so() -> None:
    """A range whose start lies above its end holds nothing."""
    assert KeyRange("b", "a").is_empty
    assert not KeyRange("a", "a").is_empty


# -- limits -------------------------------------------------------------------------------------


@given(characters, st.sampled_from([sort, partition]))
def test_keys_up_to_the_limit_and_not_beyond(character: str, kind: Any) -> None:
    """1,024 bytes for a sort key, 2,048 for a partition key, counted after encoding."""
    shape = kind("T", text("name"))
    limit = {sort: 1_024, partition: 2_048}[kind]
    each = len(shape.encode(character).encode()) - len("T##")
    room = limit - len("T##")
    fitting = character * (room // each) + "x" * (room % each)
    key = shape.encode(fitting)
    assert len(key.encode()) == limit
    assert shape.decode(key) == (fitting,)
    with pytest.raises(
        InvalidKey, match=f"name: makes a key of .* bytes; DynamoDB allows {limit:,}"
    ):
        shape.encode(fitting + "x")


def test_what_is_too_long_is_no_key() -> None:
    """`decode` refuses a key that DynamoDB would not take."""
    shape = sort("T", text("name"))
    assert not shape.matches(f"T#{'x' * 1_022}#")
    assert shape.matches(f"T#{'x' * 1_021}#")


def test_the_component_to_blame_is_the_longest() -> None:
    """The error names what makes the key too long."""
    shape = sort("T", text("short"), text("long"), text("other"))
    with pytest.raises(InvalidKey) as refused:
        shape.encode("a", "b" * 1_100, "c")
    assert refused.value.argument == "long"


# -- what is refused ----------------------------------------------------------------------------


@given(broken_texts)
def test_lone_surrogates_are_refused(broken: str) -> None:
    """They have no UTF-8; the error names the component."""
    with pytest.raises(InvalidKey, match="name: must not contain lone surrogates"):
        sort("T", text("name")).encode(broken)


@pytest.mark.parametrize(
    ("component", "value", "complaint"),
    [
        (text("name"), "", "must not be empty"),
        (text("name"), 5, "must be text, not int"),
        (text("name"), None, "must be text, not NoneType"),
        (text("name"), b"x", "must be text, not bytes"),
        (time("name"), "2025-01-01", "must be a datetime, not str"),
        (time("name"), datetime(2025, 1, 1), "must be an aware datetime"),  # noqa: DTZ001
        (time("name"), datetime.min.replace(tzinfo=UTC), None),
        (integer("name", 2), -1, "must be from 0 to 99"),
        (integer("name", 2), 100, "must be from 0 to 99"),
        (integer("name", 2), True, "must be an integer, not bool"),
        (integer("name", 2), 1.0, "must be an integer, not float"),
        (flag("name"), 1, "must be True or False, not int"),
        (flag("name"), None, "must be True or False, not NoneType"),
    ],
)
def test_components_are_typed(component: Any, value: object, complaint: str | None) -> None:
    """A value of another type or range is refused, and the component named."""
    shape = sort("T", component)
    if complaint is None:
        assert shape.decode(shape.encode(value)) == (value,)
    else:
        with pytest.raises(InvalidKey, match=complaint) as refused:
            shape.encode(value)
        assert refused.value.argument == "name"


def test_times_before_the_first_year_are_refused() -> None:
    """A time whose name in UTC would have no year."""
    early = datetime.min.replace(tzinfo=UTC).astimezone(UTC).isoformat()
    moment = datetime.fromisoformat(early.replace("+00:00", "+14:00"))
    with pytest.raises(InvalidKey, match="years 1 to 9999"):
        sort("T", time("name")).encode(moment)


def test_half_a_component_cannot_be_asked_for() -> None:
    """A prefix ends where a component ends; a whole key has them all."""
    shape = sort("T", text("a"), text("b"))
    assert shape.prefix() == "T#"
    assert shape.prefix("x") == "T#x#"
    with pytest.raises(TypeError, match="2 components"):
        shape.encode("x")


@pytest.mark.parametrize("tag", ["", "t", "T#", "T-X", "1T", "T x", "É"])
def test_tags_are_plain(tag: str) -> None:
    """Upper-case letters and digits."""
    with pytest.raises(ValueError, match="tag"):
        sort(tag)


# -- times --------------------------------------------------------------------------------------


@given(moments, moments)
def test_times_are_of_one_width_and_ordered(left: datetime, right: datetime) -> None:
    """Written in UTC to the microsecond, whatever the zone; text order is time order."""
    one, other = format_time(left), format_time(right)
    assert parse_time(one) == left
    assert parse_time(one).utcoffset() == timedelta(0)
    assert len(one) == len("2025-12-30T14:00:00.000000Z")
    assert (one < other) == (left < right)


@given(moments, st.integers(0, 26), st.one_of(characters, texts))
def test_no_other_text_is_a_time(moment: datetime, place: int, other: str) -> None:
    """One form only: `parse_time` reads nothing that `format_time` would not write."""
    written = format_time(moment)
    changed = written[:place] + other + written[place + 1 :]
    assume(changed != written)
    try:
        read = parse_time(changed)
    except ValueError:
        return
    assert format_time(read) == changed


@given(components)
def test_case_and_unicode_form_are_kept(name: str) -> None:
    """Two texts that only look alike are two keys."""
    shape = sort("T", text("name"))
    for other in (name.upper(), name.lower(), name.casefold()):
        if other and other != name:
            assert shape.encode(other) != shape.encode(name)
