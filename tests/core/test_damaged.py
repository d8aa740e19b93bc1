"""A damaged item is an error that names it, and no page is lost with it."""

import base64
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core.attributes import packed, unpacked
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import CorruptItem, InvalidCursor, ItemTooLarge
from dynamo_chat.core.item import helper_text, helper_time, is_kind, key_parts, kind_of, plan
from dynamo_chat.core.keys import MAX_SORT_KEY_BYTES, just_above, just_below
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.core.page import Items
from dynamo_chat.core.size import DEFAULT_BODY_BYTES, MAX_BODY_BYTES
from dynamo_chat.core.transaction import is_live
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, token_hash_of
from tests.core import things as the_things
from tests.core.things import LAYOUT, Thing, Things, item_of
from tests.scene import Scene, drained

ITEM = item_of(Thing(group="g", name="n-1"))


def decoded(**changes: Any) -> Any:
    return plan(Thing).decode({**ITEM, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"note": {"N": "1"}},
        {"note": {}},
        {"note": None},
        {"note": "text"},
        {"v": {"N": "2"}},
        {"v": {"S": "1"}},
        {"kind": {"S": "other"}},
        {"kind": {"S": ["thing"]}},
        {"ttl": {"S": "soon"}},
        {"ttl": {"N": "1E+400"}},
    ],
    ids=str,
)
def test_the_error_names_the_item(changes: dict[str, Any]) -> None:
    """By what its key says."""
    with pytest.raises(CorruptItem) as told:
        decoded(**changes)
    assert told.value.kind == "thing"
    assert told.value.identity == {"group": "g", "name": "n-1"}
    assert str(told.value).startswith("a stored thing cannot be read")


def test_the_error_names_what_can_be_read_of_the_key() -> None:
    with pytest.raises(CorruptItem) as told:
        decoded(SK={"S": "THING#"})
    assert told.value.identity == {"group": "g"}
    with pytest.raises(CorruptItem) as told:
        plan(Thing).decode({})
    assert told.value.identity == {}


def test_the_message_shows_ids_and_places_and_nothing_personal() -> None:
    error = CorruptItem("x", "why", {"user_id": "u", "address": "ann@x.org", "title_hash": "h"})
    assert str(error) == "a stored x cannot be read (user_id 'u'): why"


HELPERS = [
    lambda item: helper_text(item, "to", LAYOUT),
    lambda item: helper_time(item, "to", LAYOUT),
    lambda item: kind_of({**item, "kind": item["to"]} if "to" in item else {}, LAYOUT),
    lambda item: key_parts(LAYOUT, {**item, SK: item["to"]} if "to" in item else {}, SK),
    lambda item: key_parts(LAYOUT, {**item, PK: item["to"]} if "to" in item else {}, PK),
]


@pytest.mark.parametrize("read", HELPERS)
@pytest.mark.parametrize(
    "value", [{"N": "1"}, {"S": ""}, {"S": "\ud800"}, {"S": None}, {"S": {}}, {}, None, 5, [], "S"]
)
def test_what_leads_to_another_item(read: Any, value: Any) -> None:
    for item in ({**ITEM, "to": value}, ITEM):
        with pytest.raises(CorruptItem, match="a stored thing cannot be read"):
            read(item)


def test_whatever_a_kind_is_it_can_be_asked_for() -> None:
    assert is_kind(ITEM, LAYOUT)
    for kind in ({"S": ["thing"]}, None, 5, {"N": "1"}):
        assert not is_kind({"kind": kind}, LAYOUT)


@pytest.mark.parametrize(
    "ttl", [{"S": "soon"}, {"N": "soon"}, {"N": float("inf")}, {"N": None}, {}, None, 5, []]
)
def test_a_damaged_deadline_hides_nothing(ttl: Any) -> None:
    """The engine deletes nothing by it either; whoever reads the item complains."""
    assert is_live({**ITEM, "ttl": ttl}, datetime(2026, 1, 15, tzinfo=UTC))


@pytest.mark.parametrize("token_hash", [{"S": "x" * 3_000}, {"S": ""}, {"N": "1"}, {}])
def test_a_damaged_hash_is_no_part_of_a_key(token_hash: dict[str, str]) -> None:
    with pytest.raises(CorruptItem, match="a stored invite cannot be read"):
        token_hash_of({HASH_ATTRIBUTE: token_hash})


# -- bodies -------------------------------------------------------------------------------------


def test_a_body_as_large_as_it_may_be() -> None:
    """And one that is larger is refused when it is written, not when it is read."""
    body = "x" * DEFAULT_BODY_BYTES
    assert unpacked(packed(body)) == body
    stored = {"B": zlib.compress(b"x" * MAX_BODY_BYTES)}
    assert unpacked(stored) == "x" * MAX_BODY_BYTES
    with pytest.raises(ItemTooLarge, match=r"content: makes an uncompressed body of 1,048,577"):
        packed(body + "x", "content")


def test_a_decompression_bomb() -> None:
    """400 KB that would be 400 MB: no more of it is made than a body may have."""
    bomb = zlib.compress(bytes(4 * MAX_BODY_BYTES))
    with pytest.raises(ValueError, match="more than 16,777,216 bytes"):
        unpacked({"B": base64.b64encode(bomb).decode()})


@pytest.mark.parametrize("cut", [1, 10, -1, -5])
def test_a_body_that_is_cut_short_or_goes_on(cut: int) -> None:
    whole = packed("x" * 5_000)["B"]
    for damaged in (whole[:cut], whole + b"more"):
        with pytest.raises(ValueError, match="damaged"):
            unpacked({"B": damaged})


# -- pages --------------------------------------------------------------------------------------


def put_stray(scene: Scene, sort_key: str) -> None:
    item: AttributeValues = {**ITEM, SK: {"S": sort_key}, "GSI1SK": {"S": sort_key}}
    scene.put(item)


STRAYS = ["THING#", "THING#a", "THING##", "THING#b#c#", "THING#é", "THING#~\x00", "THING#$zz#"]


@pytest.mark.engine
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("page_size", [1, 2, 20])
def test_items_at_keys_of_no_shape_are_passed(
    scene: Scene, things: Things, page_size: int, forward: bool
) -> None:
    """A page may end with one; the next goes on behind it, and nothing is missed or twice."""
    made = [Thing(group="g", name=name) for name in ("a0", "b1", "b#2", "c3", "zz4")]
    things.add(*made)
    for stray in STRAYS:
        put_stray(scene, stray)
    for listed in (
        lambda **more: things.of_group("g", page_size=page_size, forward=forward, **more),
        lambda **more: things.everywhere(page_size=page_size, forward=forward, **more),
    ):
        pages = drained(listed)
        names = sorted((each.name for each in made), reverse=not forward)
        assert [each.name for page in pages for each in page] == names
        assert sum(len(page.unreadable) for page in pages) == len(STRAYS)


@pytest.mark.engine
def test_a_damaged_mark_that_decides_whether_an_item_is_shown(
    scene: Scene, things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and not shown."""
    things.add(*(Thing(group="g", name=name) for name in ("a1", "b2", "c3")))
    scene.put({**ITEM, SK: {"S": "THING#b2#"}, "kind": {"N": "5"}})

    def is_shown(item: AttributeValues) -> bool:
        return kind_of(item, LAYOUT) == "thing"

    monkeypatch.setattr(the_things, "_is_shown", is_shown)
    page = things.of_group("g", page_size=20)
    assert [each.name for each in page] == ["a1", "c3"]
    assert [told.identity["name"] for told in page.unreadable] == ["b2"]


def test_a_stray_cursor_is_no_way_out(things: Things) -> None:
    """It is held to the list's range, and must not name a sound position."""
    codec = things._binding.cursors
    for position in ("THING%", "A", "", "THING#x#", "THING#" + "x" * MAX_SORT_KEY_BYTES):
        cursor = codec.seal("X1", ("g", True), position, is_stray=True)
        with pytest.raises(InvalidCursor):
            things.of_group("g", page_size=5, cursor=cursor)


@given(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5))
def test_bounds_beside_any_text(key: str, other: str) -> None:
    """Nothing lies between a key and the bound above it; the bound below lies below."""
    assert key < just_above(key)
    assert just_below(key) < key
    assert not key < other < just_above(key)
    if other < key and not other.startswith(just_below(key)):
        assert other <= just_below(key)


@given(st.text(st.characters(codec="utf-8"), min_size=MAX_SORT_KEY_BYTES - 4, max_size=1_024))
def test_bounds_are_no_longer_than_a_sort_key(key: str) -> None:
    size = len(key.encode())
    if size <= MAX_SORT_KEY_BYTES:
        assert len(just_above(key).encode()) <= MAX_SORT_KEY_BYTES
        assert len(just_below(key).encode()) <= MAX_SORT_KEY_BYTES


@pytest.mark.parametrize("last", ["\x7f", "\ud7ff", "\U0010ffff", "\x00", "\x01", "\ue000"])
def test_bounds_of_the_longest_keys(last: str) -> None:
    key = "x" * (MAX_SORT_KEY_BYTES - len(last.encode())) + last
    for bound in (just_above(key), just_below(key)):
        assert len(bound.encode()) <= MAX_SORT_KEY_BYTES
        assert bound != key
    assert just_below(key) < key < just_above(key)


def test_items_are_a_tuple() -> None:
    """With what cannot be read beside them."""
    error = CorruptItem("thing", "why")
    made = Items.of([1, 2], [error])
    assert made.unreadable == (error,)
    assert made == (1, 2)
    assert Items([1]).unreadable == ()
