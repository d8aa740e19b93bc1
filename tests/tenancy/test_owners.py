"""Who holds the ids and cursors of another user gets nothing with them, and learns nothing."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conflict, InvalidArgument, InvalidCursor, NotFound
from dynamo_chat.cases.everything import Everything, populate
from dynamo_chat.catalogue import catalogue, repositories
from dynamo_chat.testing import RequestMeter
from dynamo_chat.testing.engine import EmbeddedEngine
from fuzzing.paging import paged_methods
from tests.scene import Scene
from tests.tenancy.owners import CHECKED, EMPTY, OWNERLESS_LISTS, PAGED, TABLE, UNCHECKED

OWNERS = {"user_id", "account_id", "organization_id"}


class Town:
    """A table with all that Ann and Eve have. Nothing here changes it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.store = scene.new_store()
        self.ann = populate(self.store, "ann")
        self.eve = populate(self.store, "eve")
        self.nobody = Everything.named("nob")
        self.items = scene.items()

    def forget(self) -> None:
        """Make the store what a fresh process has."""
        for estate in (self.ann, self.eve):
            self.store._snapshots.forget(estate.conversation_id)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """On the embedded engine: what is compared here is what a store asks and tells."""
    with EmbeddedEngine() as engine, Scene(engine) as scene:
        yield Town(scene)


def method_of(name: str) -> str:
    return name.partition(" ")[0]


def test_every_method_of_the_catalogue_is_accounted_for() -> None:
    """A new method is either tried here, or listed with the reason why it has no owner."""
    checked = {method_of(name) for name in (*CHECKED, *EMPTY)}
    listed = {entry.method for entry in catalogue() if not entry.method.startswith(TABLE)}
    assert not checked & set(UNCHECKED)
    assert checked | set(UNCHECKED) == listed
    assert set(PAGED) | OWNERLESS_LISTS == set(paged_methods())


def test_every_optional_owner_is_tried() -> None:
    """A method that takes an owner beside an id is in the table of those that check it."""
    optional = set()
    for name, repository in repositories().items():
        for method, called in inspect.getmembers(repository, callable):
            if not method.startswith("_"):
                found = inspect.signature(called).parameters.values()
                keywords = {each.name for each in found if each.kind is each.KEYWORD_ONLY}
                if keywords & OWNERS and not {"heir_id"} & keywords:
                    optional.add(f"{name}.{method}")
    creating = {"users.create", "users.update", "organizations.create", "logins.open"}
    assert optional - creating <= {method_of(name) for name in (*CHECKED, *EMPTY)}


def asked(store: ChatStore, name: str, of: Everything, by: Everything) -> tuple[Any, list[str]]:
    """What an attempt gave or raised, and the operations that it sent."""
    with RequestMeter(store.connection.client) as meter:
        try:
            given: Any = (CHECKED.get(name) or EMPTY[name])(store, of, by)
        except (NotFound, Conflict) as error:
            given = error
    return given, [record.operation for record in meter.requests]


def form(error: Any, *estates: Everything) -> tuple[type, str]:
    """An error without the ids in it."""
    text = str(error)
    for estate in estates:
        values = [getattr(estate, each.name) for each in fields(estate)]
        for value in sorted(filter(lambda v: isinstance(v, str), values), key=len, reverse=True):
            text = text.replace(value, "…")
    return type(error), text


@pytest.mark.parametrize("memory", ["cold", "warm"])
@pytest.mark.parametrize("name", CHECKED)
def test_what_is_anothers_is_not_found(town: Town, name: str, memory: str) -> None:
    """By the same error after the same requests as what does not exist, and nothing changes."""
    if memory == "cold":
        town.forget()
    else:
        town.store.conversations.get(town.ann.conversation_id)
    refused, sent = asked(town.store, name, town.ann, town.eve)
    missed, as_sent = asked(town.store, name, town.nobody, town.eve)
    assert isinstance(refused, NotFound)
    assert form(refused, town.ann, town.eve) == form(missed, town.nobody, town.eve)
    assert sent == as_sent


@pytest.mark.parametrize("name", EMPTY)
def test_lists_of_what_is_anothers_are_empty(town: Town, name: str) -> None:
    refused, sent = asked(town.store, name, town.ann, town.eve)
    missed, as_sent = asked(town.store, name, town.nobody, town.eve)
    assert refused == missed
    assert (refused.items, refused.cursor, refused.unreadable) == ((), None, ())
    assert sent == as_sent


def test_nothing_was_changed_by_any_of_it(town: Town) -> None:
    """Run after the attempts above; and once more here, for whoever runs it alone."""
    for name in CHECKED:
        asked(town.store, name, town.ann, town.eve)
    assert town.scene.items() == town.items


@pytest.mark.parametrize("name", PAGED)
def test_cursors_of_another_read_nothing(town: Town, name: str) -> None:
    """Given with one's own ids, and with the other's: InvalidCursor, before any request."""
    repository, _, method = name.partition(".")
    called = getattr(getattr(town.store, repository), method)
    pages = {}
    for whose in (town.ann, town.eve):
        pages[whose.user_id] = called(**PAGED[name](whose), page_size=1)
        assert pages[whose.user_id].cursor is not None
        again = called(**PAGED[name](whose), page_size=1, cursor=pages[whose.user_id].cursor)
        assert again.items != pages[whose.user_id].items
    mixed = [PAGED[name](town.eve)]
    if {"user_id", "account_id"} & mixed[0].keys():  # his things, as oneself
        own = {key: value for key, value in mixed[0].items() if key in OWNERS}
        mixed.append({**PAGED[name](town.ann), **own})
    for arguments in mixed:
        with RequestMeter(town.store.connection.client) as meter, pytest.raises(InvalidCursor):
            called(**arguments, page_size=1, cursor=pages["ann"].cursor)
        assert meter.count == 0


@pytest.mark.parametrize("name", CHECKED)
def test_an_owner_is_text(town: Town, name: str) -> None:
    """An empty owner is a mistake of the application: it never stands for anybody."""
    nameless = Everything(**{each.name: "" for each in fields(Everything)})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        CHECKED[name](town.store, town.ann, nameless)


@pytest.mark.parametrize("name", EMPTY)
def test_an_owner_of_a_list_is_text(town: Town, name: str) -> None:
    nameless = Everything(**{each.name: "" for each in fields(Everything)})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        EMPTY[name](town.store, town.ann, nameless)


def test_the_owner_is_let_in() -> None:
    """Everywhere; some changes contradict one another, but nothing is missing."""
    with EmbeddedEngine() as engine, Scene(engine) as scene:
        store = scene.new_store()
        bob = populate(store, "bob")
        store.users.create("somebody@example.com", user_id="somebody")
        store.members.add(bob.organization_id, "somebody", role="owner")
        missing = [
            (name, str(given))
            for name in (*EMPTY, *CHECKED)
            for given in [asked(store, name, bob, bob)[0]]
            if isinstance(given, NotFound)
        ]
        assert not missing
