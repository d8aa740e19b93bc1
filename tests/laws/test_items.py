"""What an item says is read, or refused as damaged; nothing else can happen."""

import base64
import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, strategies as st
from pydantic import Field

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import ExtractedFilters, Feedback, Message, ToolCall, YearRange
from dynamo_chat.chat.reviews import Review
from dynamo_chat.chat.states import ConversationState
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.entity import (
    UNCHANGED,
    Count,
    Derived,
    Entity,
    ExpiresAt,
    Id,
    Json,
    JsonObject,
    Many,
    Model,
    Number,
    Text,
    Time,
)
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import flag, integer, partition, sort, text, time
from dynamo_chat.core.layout import Layout, Slot
from dynamo_chat.core.ulids import new_ulid
from tests.laws.strategies import components, json_objects, json_values, modern, same, texts


class Part(Model):
    """A value inside."""

    name: Text
    size: Count = 0
    seen_at: Time | None = None


class Thing(Entity):
    """One field of every type, needed and optional, and every type of key component."""

    layout: ClassVar[Layout] = Layout(
        "thing",
        table=Slot(
            partition("THING", text("name"), flag("is_new")),
            sort("THING", time("made_at"), integer("place", 6)),
        ),
    )

    name: Id
    is_new: bool
    made_at: Time
    place: int
    title: Text
    maybe_title: Text | None = None
    total: Count
    maybe_total: Count | None = None
    signed: int = 0
    ratio: Number
    maybe_ratio: Number | None = None
    price: Decimal
    is_on: bool = True
    is_off: bool = False
    is_sure: bool | None = None
    when: Time
    maybe_when: Time | None = None
    needed_or_none: Time | None
    color: Literal["red", "green"] = "red"
    duration: timedelta | None = None
    part: Part | None = None
    parts: Many[Part] = ()
    two: Many[Text] = ("a", "b")
    free: Json = None
    facts: JsonObject = Field(default_factory=dict)
    expires_at: ExpiresAt = None
    length: Annotated[int, Derived()] = 0

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        fields["length"] = len(fields["title"])


numbers = st.floats(-1e120, 1e120).filter(lambda x: x == 0 or abs(x) > 1e-127)
decimals = st.decimals(
    allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9
)
parts = st.builds(Part, name=texts, size=st.integers(0, 10**30), seen_at=st.none() | modern)
whole_moments = modern.map(whole_second)

things = st.builds(
    Thing,
    name=components,
    is_new=st.booleans(),
    made_at=modern,
    place=st.integers(0, 10**6 - 1),
    title=texts,
    maybe_title=st.none() | texts,
    total=st.integers(0, 10**30),
    maybe_total=st.none() | st.integers(0, 10**30),
    signed=st.integers(-(10**30), 10**30),
    ratio=numbers,
    maybe_ratio=st.none() | numbers,
    price=decimals,
    is_on=st.booleans(),
    is_off=st.booleans(),
    is_sure=st.none() | st.booleans(),
    when=modern,
    maybe_when=st.none() | modern,
    needed_or_none=st.none() | modern,
    color=st.sampled_from(["red", "green"]),
    duration=st.none() | st.timedeltas(timedelta(0), timedelta(days=36_500)),
    part=st.none() | parts,
    parts=st.lists(parts, max_size=3),
    two=st.lists(texts, max_size=3),
    free=json_values,
    facts=json_objects,
    expires_at=st.none() | whole_moments,
)


@given(things)
def test_every_type_of_field_comes_back(thing: Thing) -> None:
    """None, False and empty collections included, whatever the defaults."""
    read = plan(Thing).decode(plan(Thing).encode(thing))
    expected = thing.model_copy(update={"length": len(thing.title)})
    assert read == expected
    assert same(read.free, thing.free)
    assert same(read.facts, thing.facts)
    for name in ("ratio", "maybe_ratio", "price", "total"):
        assert type(getattr(read, name)) is type(getattr(expected, name))


@given(things)
def test_what_the_key_says_is_not_stored_again(thing: Thing) -> None:
    """Nor what is derived; the deadline is the TTL attribute."""
    item = plan(Thing).encode(thing)
    assert not {"name", "is_new", "made_at", "place", "length", "expires_at"} & set(item)
    assert ("ttl" in item) == (thing.expires_at is not None)
    assert item["kind"] == {"S": "thing"}
    assert item["v"] == {"N": "1"}


def test_unchanged_is_neither_true_nor_false() -> None:
    """A mix-up with None does not pass silently."""
    with pytest.raises(TypeError, match="is UNCHANGED"):
        bool(UNCHANGED)
    assert repr(UNCHANGED) == "UNCHANGED"


def test_negative_zero_is_zero() -> None:
    """DynamoDB's numbers have one zero, so what was returned is what is read."""
    assert repr(Feedback(type="positive", rank=None).rank) == "None"
    assert repr(ExtractedFilters(rating=-0.0).rating) == "0.0"


# -- declarations that could not be read back ---------------------------------------------------


def declared(**fields: Any) -> type[Entity]:
    """An entity with these further fields."""
    layout = Layout("odd", table=Slot(partition("ODD", text("name")), sort("ODD")))
    annotations: dict[str, Any] = {"layout": ClassVar[Layout], "name": Id}
    annotations |= {name: hint for name, (hint, _) in fields.items()}
    values = {name: default for name, (_, default) in fields.items() if default is not ...}
    return type(
        "Odd",
        (Entity,),
        {"__annotations__": annotations, "layout": layout, **values, "__module__": __name__},
    )


def test_what_may_be_none_has_no_other_default() -> None:
    """A missing attribute would be read as the default instead."""
    with pytest.raises(TypeError, match="may be None, so it must default"):
        plan(declared(size=(int | None, 5)))


def test_names_that_pynamodb_has_taken() -> None:
    """They would break its models without a word."""
    for name in ("count", "query", "save", "kind", "v", "PK", "GSI1SK"):
        with pytest.raises(TypeError, match="reserved by PynamoDB"):
            plan(declared(**{name: (str, ...)}))


# -- damaged items ------------------------------------------------------------------------------

NOW = datetime(2025, 12, 30, 14, 0, 0, 123_000, tzinfo=UTC)
POSITION = new_ulid(NOW)
ENTITIES: list[Entity] = [
    Thing(
        name="n",
        is_new=True,
        made_at=NOW,
        place=7,
        title="t" * 2_000,
        total=1,
        ratio=0.5,
        price=Decimal("1.50"),
        when=NOW,
        needed_or_none=NOW,
        duration=timedelta(days=30),
        part=Part(name="p", seen_at=NOW),
        parts=[Part(name="q")],
        free={"a": [1, "x" * 2_000]},
        facts={"k": 1},
        expires_at=whole_second(NOW),
        maybe_total=3,
        maybe_ratio=1.5,
        is_sure=False,
        maybe_when=NOW,
        maybe_title="m",
    ),
    Conversation(
        conversation_id="c",
        user_id="u",
        title="T",
        created_at=NOW,
        updated_at=NOW,
        message_count=2,
        appended_count=3,
        last_position=POSITION,
        has_preferences=True,
        preferences=None,
        retention=timedelta(days=30),
        is_sliding=True,
        keep_last=10,
        idle_until=NOW,
        kept_until=whole_second(NOW),
        renewing_from=NOW,
    ),
    Message(
        conversation_id="c",
        position=POSITION,
        message_id="m",
        role="assistant",
        content="Hello. " * 400,
        sent_at=NOW + timedelta(seconds=1),
        turn_index=1,
        is_streaming=True,
        status="streaming",
        edited_at=NOW,
        response_time=1.5,
        errors="none",
        documents=[{"title": "a"}],
        filters=ExtractedFilters(genres=["a"], year_range=YearRange(min=1980), rating=7.5),
        recommendations=["Alien"],
        confidence=0.9,
        tool_calls=[ToolCall(tool="t", args={"a": 1}, result=[1], call_id="i")],
        metadata={"k": {"n": 1}},
        feedback=Feedback(type="positive", rank=5, category="c", text="x", given_at=NOW),
        expires_at=whole_second(NOW),
    ),
    Review(
        conversation_id="c",
        review_id="r",
        reviewed_by="a",
        comments="Fine",
        reviewed_at=NOW,
        archived_at=NOW,
        expires_at=whole_second(NOW),
    ),
    ConversationState(
        conversation_id="c",
        revision=3,
        data={"step": 1},
        saved_at=NOW,
        expires_at=whole_second(NOW),
    ),
]

GARBAGE = [
    {"S": ""},
    {"S": "x"},
    {"S": "null"},
    {"S": "[]"},
    {"S": "{}"},
    {"S": "[" * 500},
    {"S": '{"a": NaN}'},
    {"S": "9" * 5_000},
    {"S": "2025-02-30T00:00:00.000000Z"},
    {"S": "99999-01-01T00:00:00.000000Z"},
    {"N": "0"},
    {"N": "-1"},
    {"N": "1.5"},
    {"N": "1E+30"},
    {"N": "9" * 38},
    {"N": "abc"},
    {"N": "NaN"},
    {"N": ""},
    {"BOOL": True},
    {"NULL": True},
    {"B": base64.b64encode(b"not compressed").decode()},
    {"B": "*"},
    {"B": b"raw"},
    {"B": base64.b64encode(b"x\x9c\x03\x00").decode()},
    {"L": []},
    {"M": {}},
    {"SS": ["a"]},
    {},
    {"S": None},
    {"S": 5},
    None,
    "text",
    [],
]


def is_read_or_told(entity: type[Entity], item: Any) -> None:
    """The one alternative."""
    told: CorruptItem | None = None
    read: object = None
    try:
        read = plan(entity).decode(item)
    except CorruptItem as error:
        told = error
    if told is None:
        assert isinstance(read, entity)
    else:
        assert told.kind == entity.layout.kind
        assert told.reason
        assert "cannot be read" in str(told)


@pytest.mark.parametrize("whole", ENTITIES, ids=lambda each: type(each).__name__)
def test_one_attribute_damaged(whole: Entity) -> None:
    """Of another type, out of bounds, not what it should be, or gone."""
    item = plan(type(whole)).encode(whole)
    assert plan(type(whole)).decode(item) == whole or isinstance(whole, Thing)
    for name in item:
        is_read_or_told(type(whole), {key: value for key, value in item.items() if key != name})
        for garbage in GARBAGE:
            is_read_or_told(type(whole), {**item, name: garbage})


@pytest.mark.parametrize("whole", ENTITIES, ids=lambda each: type(each).__name__)
@given(data=st.data())
def test_attributes_swapped_and_cut(whole: Entity, data: st.DataObject) -> None:
    """Any text in place of any text, attributes exchanged, bytes of a compressed body changed."""
    item: Any = copy.deepcopy(plan(type(whole)).encode(whole))
    names = st.sampled_from(sorted(item))
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(names)
        change: Callable[[Any], Any] = data.draw(
            st.sampled_from([_swapped(item, data.draw(names)), _cut(data), _other_text(data)])
        )
        item[name] = change(item[name])
    is_read_or_told(type(whole), item)


def _swapped(item: Any, other: str) -> Callable[[Any], Any]:
    return lambda _: item[other]


def _cut(data: st.DataObject) -> Callable[[Any], Any]:
    def cut(value: Any) -> Any:
        ((kind, content),) = value.items()
        if isinstance(content, (str, bytes)) and content:
            place = data.draw(st.integers(0, len(content) - 1))
            return {kind: content[:place]}
        return {kind: content}

    return cut


def _other_text(data: st.DataObject) -> Callable[[Any], Any]:
    return lambda _: {data.draw(st.sampled_from(["S", "N", "B"])): data.draw(texts)}


def test_another_kind_or_version() -> None:
    """An item of another kind, or written by a newer package, is told as such."""
    review = ENTITIES[3]
    item = plan(type(review)).encode(review)
    for changed, reason in [
        ({**item, "kind": {"S": "message"}}, "its kind is 'message'"),
        ({**item, "v": {"N": "2"}}, "schema version 2 is newer"),
        ({**item, "v": {"N": "0"}}, "no upgrade from schema version 0"),
        ({}, "'kind' is missing"),
    ]:
        with pytest.raises(CorruptItem, match=reason):
            plan(Review).decode(changed)


def test_old_versions_are_upgraded_when_they_are_read() -> None:
    """Step by step, and what an upgrade cannot handle is told."""

    class Upgraded(Thing):
        schema_version: ClassVar[int] = 3
        upgrades: ClassVar[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
            1: lambda item: {**item, "title": {"S": item["title"]["S"] + " 2"}},
            2: lambda item: {**item, "title": {"S": item["title"]["S"] + " 3"}},
        }

    first: Any = ENTITIES[0]
    old = plan(Thing).encode(first.model_copy(update={"title": "1"}))
    assert plan(Upgraded).decode(old).title == "1 2 3"
    assert old["title"] == {"S": "1"}
    with pytest.raises(CorruptItem):
        plan(Upgraded).decode({**old, "title": {"N": "1"}})
