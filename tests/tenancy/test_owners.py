"""Who holds the ids and cursors of another user gets nothing with them, and learns nothing."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conflict, Found, InvalidArgument, InvalidCursor, NotFound, Page
from dynamo_chat.catalogue import OWNER_ARGUMENTS, catalogue, repositories
from dynamo_chat.testing import RequestMeter
from dynamo_chat.testing.engine import EmbeddedEngine
from tests.scene import Scene
from tests.tenancy.owners import CHECKED, PAGED, READS, paged
from tooling.everything import Everything, populate


class Town:
    """A table with all that Ann and Eve have. Nothing here changes it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.store = scene.new_store()
        self.ann = populate(self.store, "ann", entries=2)
        self.eve = populate(self.store, "eve", entries=2)
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


FIELDS = {"users.update", "logins.create"}
"""Methods that take what is an owner elsewhere as a field."""


def test_what_is_declared_fits_the_method() -> None:
    """A write is not only looked at, and an owner that may be given is checked."""
    for entry in catalogue():
        repository, _, method = entry.method.rpartition(".")
        called = getattr(repositories()[repository], method)
        keywords = {
            each.name
            for each in inspect.signature(called).parameters.values()
            if each.kind is each.KEYWORD_ONLY
        }
        writes = bool(entry.operations - READS)
        match entry.owner:
            case "read":
                assert not writes, entry.method
            case "condition" | "creation":
                assert writes, entry.method
        if entry.owner in {"key", "read", "condition"}:
            assert entry.owner_argument, entry.method
        elif entry.owner in {"argument", "partition"}:
            assert not keywords & set(OWNER_ARGUMENTS) or entry.method in FIELDS
        else:
            assert entry.owner == "creation" or entry.unowned_because, entry.method


def asked(store: ChatStore, name: str, of: Everything, by: Everything) -> tuple[Any, list[str]]:
    """What an attempt gave or raised, and the operations that it sent."""
    with RequestMeter(store.connection.client) as meter:
        try:
            given: Any = CHECKED[name](store, of, by)
        except (NotFound, Conflict) as error:
            given = error
    return given, [record.operation for record in meter.requests]


def form(error: Any, *estates: Everything) -> tuple[type, str]:
    """An error without the ids in it."""
    text = str(error)
    if isinstance(error, NotFound):  # the id that was asked for, whatever it is
        text = text.replace(repr(error.identifier), "'…'")
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
    if isinstance(refused, Page):  # a list that is empty where there is nothing
        assert refused == missed == Page(())
    elif isinstance(refused, Found):
        assert len(refused) == len(missed) == 0
        assert refused.unreadable == ()
        for found, estate in ((refused, town.ann), (missed, town.nobody)):
            assert found.missing == (estate.conversation_id,)
    else:
        assert isinstance(refused, NotFound)
        assert form(refused, town.ann, town.eve) == form(missed, town.nobody, town.eve)
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
        pages[whose.user_id] = called(**paged(name, whose), page_size=1)
        assert pages[whose.user_id].cursor is not None
        again = called(**paged(name, whose), page_size=1, cursor=pages[whose.user_id].cursor)
        assert again.items != pages[whose.user_id].items
    mixed = [paged(name, town.eve)]
    if {"user_id", "account_id"} & mixed[0].keys():  # his things, as oneself
        own = {key: value for key, value in mixed[0].items() if key in OWNER_ARGUMENTS}
        mixed.append({**paged(name, town.ann), **own})
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


@pytest.mark.once
def test_the_owner_is_let_in() -> None:
    """Everywhere: some changes contradict what is there, but nothing is missing."""
    with EmbeddedEngine() as engine, Scene(engine) as scene:
        store = scene.new_store()
        bob = populate(store, "bob", entries=2)
        store.users.create("somebody@example.com", user_id="somebody")
        store.members.add(bob.organization_id, "somebody", role="owner")
        image = scene.items()
        missing = {}
        for name in CHECKED:
            given, sent = asked(store, name, bob, bob)
            if isinstance(given, NotFound):
                missing[name] = str(given)
            if not READS.issuperset(sent):
                scene.restore(image)
        assert not missing
