"""The map of the table: no two shapes overlap, and every index key leads back to its item."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat.core.keys import Component, flag, integer, text, time
from dynamo_chat.core.layout import GSI1, GSI2, PLACES, TABLE, Layout, Place, Slot
from dynamo_chat.core.sharding import shard_of
from dynamo_chat.keyspace import (
    CONVERSATION,
    CONVERSATION_STATE,
    CONVERSATION_TITLE,
    KEY_SPACE,
    MESSAGE,
    MESSAGE_ID,
    REVIEW,
    digest_of,
)
from tests.laws.strategies import components, moments, texts

LAYOUTS = list(KEY_SPACE)
CONSTANT = {"part"}
"""Components that say which of the items of one entity this is: the same for every item."""


def slots() -> Iterator[tuple[Layout, Place, Slot]]:
    for layout in LAYOUTS:
        for place in PLACES:
            slot = layout.slot(place)
            if slot is not None:
                yield layout, place, slot


def value_of(component: Component) -> st.SearchStrategy[Any]:
    match component:
        case text():
            return components
        case time():
            return moments
        case integer(width=width):
            return st.integers(0, 10**width - 1)
        case flag():
            return st.booleans()
    raise AssertionError(component)


def fields_of(layout: Layout) -> st.SearchStrategy[dict[str, Any]]:
    """A value for every component of every key of a kind."""
    named: dict[str, Component] = {}
    for place in PLACES:
        slot = layout.slot(place)
        if slot is not None:
            named |= {each.name: each for each in (*slot.pk.components, *slot.sk.components)}
    return st.fixed_dictionaries({name: value_of(each) for name, each in named.items()})


def test_every_kind_has_a_name_of_its_own() -> None:
    """`kind` tells what an item is."""
    kinds = [layout.kind for layout in LAYOUTS]
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place.index or "table"))
def test_no_two_shapes_of_one_place_overlap(place: Place) -> None:
    """The tags of a key tell its kind, but where two kinds are declared to share a slot."""
    here = [(layout, slot) for layout, at, slot in slots() if at is place]
    for (one, left), (other, right) in combinations(here, 2):
        if left is right:
            # One in the other's stead, told apart by `kind` or by a constant component.
            assert one.table is other.table
            continue
        if left.pk.tag == right.pk.tag:
            # The same partition, so its key is made of the same things under the same names.
            assert [repr(each) for each in left.pk.components] == [
                repr(each) for each in right.pk.components
            ], (one.kind, other.kind)
            assert left.sk.tag != right.sk.tag, (one.kind, other.kind)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind)
@settings(max_examples=50)  # for each kind
@given(data=st.data())
def test_a_key_is_of_one_shape_only(layout: Layout, data: st.DataObject) -> None:
    """The keys of a kind are read by its own shapes, and together by no others of that place."""
    fields = data.draw(fields_of(layout))
    for place in PLACES:
        slot = layout.slot(place)
        if slot is None:
            continue
        keys = {place.pk: slot.pk, place.sk: slot.sk}
        written = {
            name: shape.encode(*(fields[each] for each in shape.names))
            for name, shape in keys.items()
        }
        readers = [
            other
            for _, at, other in slots()
            if at is place
            and other.pk.matches(written[place.pk])
            and other.sk.matches(written[place.sk])
        ]
        assert readers
        assert all(reader is slot for reader in readers)


@pytest.mark.parametrize(
    ("layout", "place"),
    [
        pytest.param(layout, place, id=f"{layout.kind}-{place.index}")
        for layout, place, _ in slots()
        if place is not TABLE
    ],
)
@settings(max_examples=50)  # for each kind
@given(data=st.data())
def test_an_index_key_rebuilds_the_table_key(
    layout: Layout, place: Place, data: st.DataObject
) -> None:
    """Both keys of an index name the item: so they are unique, and lead to it."""
    fields = data.draw(fields_of(layout))
    slot = layout.slot(place)
    assert slot is not None
    keys = layout.index_key(place, fields)
    read = {
        **dict(zip(slot.pk.names, slot.pk.decode(keys[place.pk]), strict=True)),
        **dict(zip(slot.sk.names, slot.sk.decode(keys[place.sk]), strict=True)),
    }
    constant = {name: fields[name] for name in CONSTANT if name in fields}
    assert layout.key(**read, **constant) == layout.key(**fields)


def test_the_head_sorts_directly_after_the_messages() -> None:
    """One descending query gives the head and the latest messages."""
    between = CONVERSATION.table.sk.encode()
    message = MESSAGE.table.sk.encode("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
    behind = [
        MESSAGE_ID.table.sk.prefix(),
        REVIEW.table.sk.prefix(),
        CONVERSATION_STATE.table.sk.prefix(),
        CONVERSATION_TITLE.table.sk.prefix(),
    ]
    assert message < between < min(behind)


def test_a_kind_without_a_slot_says_so() -> None:
    """Asking for keys in an index that the kind is not in is a mistake in the code."""
    with pytest.raises(TypeError, match="conversation_state has no slot in GSI1"):
        CONVERSATION_STATE.index_key(GSI1, {})
    with pytest.raises(TypeError, match="conversation_state has no slot in GSI2"):
        CONVERSATION_STATE.collection(GSI2, "u")


@given(texts, st.integers(1, 64))
def test_shards_are_stable_and_within_bounds(identifier: str, shards: int) -> None:
    """The same id is always in the same shard."""
    assert 0 <= shard_of(identifier, shards) < shards
    assert shard_of(identifier, shards) == shard_of(identifier, shards)


def test_shards_are_even() -> None:
    """No shard gets more than a few percent above its share; and the spread never changes."""
    counts = [0] * 8
    for number in range(8_000):
        counts[shard_of(f"conversation-{number}", 8)] += 1
    assert max(counts) < 1_150
    assert min(counts) > 850
    assert [shard_of(name, 4) for name in ("a", "b", "c", "😀")] == [1, 1, 1, 3]


@given(texts, texts)
def test_digests_tell_texts_apart(left: str, right: str) -> None:
    """32 hexadecimal digits, of any text, the empty one too."""
    assert (digest_of(left) == digest_of(right)) == (left == right)
    assert len(digest_of(left)) == 32
