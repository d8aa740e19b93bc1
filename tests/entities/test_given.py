"""Arguments of the wrong type are refused by name, and nothing is sent."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    TABLE,
    Entity,
    ExpiresAt,
    Id,
    Layout,
    PageRequest,
    Put,
    Repository,
    Slot,
    Text,
    Whose,
    partition,
    repository,
    requires_user,
    sort,
    text,
)
from dynamo_chat.testing import Engine, FakeClock, RequestMeter

LEAF = Layout(
    "leaf",
    table=Slot(partition("LEAF", text("tree_id")), sort("LEAF", text("leaf_id"))),
    whose=Whose("nobody"),
)
PAGE = Layout(
    "own_page",
    table=Slot(CONVERSATION_PARTITION, sort("APPPAGE", text("page_id"))),
    of=CONVERSATION,
)


class Leaf(Entity):
    """An item of its own."""

    layout: ClassVar[Layout] = LEAF
    tree_id: Id
    leaf_id: Id
    note: Text = ""


class OwnPage(Entity):
    """An item of a conversation."""

    layout: ClassVar[Layout] = PAGE
    conversation_id: Id
    page_id: Id
    note: Text = ""
    expires_at: ExpiresAt = None


class Leaves(Repository):
    """Both kinds."""

    kinds = (Leaf, OwnPage)


class Garden(ChatStore):
    """A store with them."""

    leaves = repository(Leaves)


@pytest.fixture
def garden(dynamo_chat_engine: Engine, clock: FakeClock) -> Garden:
    return dynamo_chat_engine.store(f"garden-{id(clock)}", store=Garden, clock=clock)


LEAF_1 = Leaf(tree_id="t", leaf_id="1")
PAGE_1 = OwnPage(conversation_id="c-1", page_id="1")
ASKED = PageRequest((), False, 5)
OF_TREE = LEAF.collection(TABLE, "t")()

Call = Callable[[Any, Any, Any], object]
"""A call of a garden's `items` and `conversation_items` with a wrong value."""

CALLS: dict[str, Call] = {
    "entity find": lambda i, c, x: i.find(x, tree_id="t", leaf_id="1"),
    "entity get": lambda i, c, x: i.get(x, tree_id="t", leaf_id="1"),
    "entity find_many": lambda i, c, x: i.find_many(x, []),
    "entity update": lambda i, c, x: i.update(x, {"note": "n"}, tree_id="t", leaf_id="1"),
    "entity delete": lambda i, c, x: i.delete(x, tree_id="t", leaf_id="1"),
    "entity requiring": lambda i, c, x: i.requiring(x, tree_id="t", leaf_id="1"),
    "entity page": lambda i, c, x: i.page(ASKED, x, OF_TREE),
    "entity create": lambda i, c, x: i.create(x),
    "entity put": lambda i, c, x: i.put(x),
    "before change": lambda i, c, x: i.change(x, note="n"),
    "beside change": lambda i, c, x: i.change(LEAF_1, x, note="n"),
    "beside create": lambda i, c, x: i.create(LEAF_1, x),
    "beside put": lambda i, c, x: i.put(LEAF_1, x),
    "beside delete": lambda i, c, x: i.delete(Leaf, x, tree_id="t", leaf_id="1"),
    "writes write": lambda i, c, x: i.write(x),
    "only_if put": lambda i, c, x: i.put(LEAF_1, only_if=x),
    "only_if delete": lambda i, c, x: i.delete(Leaf, only_if=x, tree_id="t", leaf_id="1"),
    "only_if update": lambda i, c, x: i.update(
        Leaf, {"note": "n"}, only_if=x, tree_id="t", leaf_id="1"
    ),
    "only_if requiring": lambda i, c, x: i.requiring(Leaf, only_if=x, tree_id="t", leaf_id="1"),
    "changes update": lambda i, c, x: i.update(Leaf, x, tree_id="t", leaf_id="1"),
    "keys find_many": lambda i, c, x: i.find_many(Leaf, x),
    "keys each": lambda i, c, x: i.find_many(Leaf, [x]),
    "wanted find_each": lambda i, c, x: i.find_each(x),
    "tree_id find": lambda i, c, x: i.find(Leaf, tree_id=x, leaf_id="1"),
    "asked page": lambda i, c, x: i.page(x, Leaf, OF_TREE),
    "collections page": lambda i, c, x: i.page(ASKED, Leaf, x),
    "user_id requires_user": lambda i, c, x: requires_user(x),
    "condition write": lambda i, c, x: i.write(Put({}, x)),
    "entity c.create": lambda i, c, x: c.create(x),
    "entity c.put": lambda i, c, x: c.put(x),
    "only_if c.put": lambda i, c, x: c.put(PAGE_1, only_if=x),
    "entity c.find": lambda i, c, x: c.find(x, conversation_id="c-1", page_id="1"),
    "page_id c.find": lambda i, c, x: c.find(OwnPage, conversation_id="c-1", page_id=x),
    "conversation_id c.find": lambda i, c, x: c.find(OwnPage, conversation_id=x, page_id="1"),
    "user_id c.find": lambda i, c, x: c.find(
        OwnPage, conversation_id="c-1", user_id=x, page_id="1"
    ),
    "entity c.delete": lambda i, c, x: c.delete(x, conversation_id="c-1", page_id="1"),
    "conversation_id c.write": lambda i, c, x: c.write(x, lambda talk: []),
    "make c.write": lambda i, c, x: c.write("c-1", x),
    "make returns": lambda i, c, x: c.write("c-1", lambda talk: x),
    "make returns each": lambda i, c, x: c.write("c-1", lambda talk: [x]),
    "asked c.page": lambda i, c, x: c.page(x, OwnPage, OF_TREE, conversation_id="c-1"),
    "collections c.page": lambda i, c, x: c.page(ASKED, OwnPage, x, conversation_id="c-1"),
    "asked c.page_across": lambda i, c, x: c.page_across(x, OwnPage, OF_TREE),
}
WRONG: tuple[Any, ...] = (7, 7.5, b"x", {"a": 1}, {}, {7: 7}, [7], ("x",), int, object(), True, len)
ALLOWED = {"only_if", "condition", "user_id"}
"""None means that there is none."""
OF_THE_KEY = {"tree_id", "leaf_id", "page_id"}


def test_it_is_refused_by_name(garden: Garden) -> None:
    garden.conversations.create("u-1", conversation_id="c-1")
    own, of_talks = garden.leaves.items, garden.leaves.conversation_items
    with RequestMeter(garden.connection.client) as meter:
        for name, call in CALLS.items():
            argument = name.partition(" ")[0]
            for given in (*WRONG, *(() if argument in ALLOWED else (None,))):
                if name == "make c.write" and callable(given):
                    continue
                if name == "changes update" and given == {}:
                    continue
                with pytest.raises(InvalidArgument) as refused:
                    call(own, of_talks, given)
                told = {argument, *OF_THE_KEY, *map(str, given if isinstance(given, dict) else ())}
                assert refused.value.argument in told, (name, given, refused.value)
    sent = {record.operation for record in meter.requests}
    assert sent <= {"GetItem"}  # `make` is called with the conversation


@pytest.mark.parametrize(
    ("key", "argument"),
    [
        ({"tree_id": "t"}, "leaf_id"),
        ({"tree_id": "t", "leaf_id": "1", "x": 1}, "x"),
        ({}, "tree_id"),
    ],
)
def test_a_key_has_all_of_its_fields_and_no_other(
    garden: Garden, key: dict[str, Any], argument: str
) -> None:
    items = garden.leaves.items
    calls: tuple[Callable[[], object], ...] = (
        lambda: items.find(Leaf, **key),
        lambda: items.get(Leaf, **key),
        lambda: items.find_many(Leaf, [key]),
        lambda: items.find_each((Leaf, key)),
        lambda: items.delete(Leaf, **key),
        lambda: items.update(Leaf, {"note": "n"}, **key),
    )
    for call in calls:
        with pytest.raises(InvalidArgument) as refused:
            call()
        assert refused.value.argument == argument


def test_a_field_that_does_not_exist_is_named(garden: Garden) -> None:
    items = garden.leaves.items
    calls: tuple[Callable[[], object], ...] = (
        lambda: items.update(Leaf, {"colour": "red"}, tree_id="t", leaf_id="1"),
        lambda: items.change(LEAF_1, colour="red"),
    )
    for call in calls:
        with pytest.raises(InvalidArgument, match="colour: is no field of Leaf"):
            call()


def test_what_is_too_much_for_one_transaction_is_refused(garden: Garden) -> None:
    items = garden.leaves.items
    check = items.requiring(Leaf, tree_id="t", leaf_id="1")
    with pytest.raises(InvalidArgument, match="writes: must be at most 100 writes"):
        items.write(*[check] * 101)
    with pytest.raises(InvalidArgument, match="beside: must be at most 99 writes"):
        items.create(LEAF_1, *[check] * 100)
