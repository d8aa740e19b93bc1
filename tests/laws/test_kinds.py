"""What the key space says of a kind is true: what it is read as, and what it belongs to."""

import importlib
import pkgutil
from collections.abc import Iterator
from itertools import combinations

import pytest

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.keys import partition, sort, text
from dynamo_chat.core.layout import KeySpace, Layout, Slot
from dynamo_chat.keyspace import CONVERSATION, KEY_SPACE

every_kind = pytest.mark.parametrize("layout", list(KEY_SPACE), ids=lambda layout: layout.kind)


@every_kind
def test_a_kind_is_read_as_the_entity_it_names(layout: Layout) -> None:
    entity = layout.resolved()
    if entity is None:
        assert layout.helper
    else:
        assert entity.layout is layout


@every_kind
def test_a_kind_belongs_to_another_or_says_that_it_is_a_root(layout: Layout) -> None:
    assert (layout.of is None) == layout.root, f"give {layout.kind} either `of` or `root`"
    assert layout.of is None or layout.of in KEY_SPACE


@every_kind
def test_a_kind_has_one_schema_version(layout: Layout) -> None:
    """An entity has it with its upgrades, so its layout says none; helpers have no upgrades."""
    entity = layout.resolved()
    if entity is None:
        assert layout.newest == layout.version
    else:
        assert layout.version == 1
        assert layout.newest == entity.schema_version == 1 + len(entity.upgrades)


@every_kind
def test_only_helpers_say_their_attributes(layout: Layout) -> None:
    """Those of an entity are its fields."""
    assert not layout.says or layout.resolved() is None


def stored_entities() -> Iterator[type[Entity]]:
    """Every class of the domains that declares a layout of its own."""
    for domain in KEY_SPACE.domains:
        package = importlib.import_module(f"dynamo_chat.{domain}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith(".cdk"):  # needs an extra that not every environment has
                continue
            for value in vars(importlib.import_module(module.name)).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, Entity)
                    and "layout" in vars(value)
                ):
                    yield value


def test_every_entity_of_the_package_is_named_by_its_kind() -> None:
    """Where two classes are read from one kind, the one that declares the layout is stored."""
    assert set(stored_entities()) == set(KEY_SPACE.entities.values())


def test_kinds_that_share_a_key_are_told_apart_by_it() -> None:
    """So no change turns one entity into another; only helpers take an entity's place."""
    for one, other in combinations((each for each in KEY_SPACE if not each.helper), 2):
        if one.table == other.table:
            assert "part" in one.table.sk.names


def test_a_tombstone_takes_the_place_of_what_it_belongs_to() -> None:
    assert KEY_SPACE.in_place_of(CONVERSATION) == {"conversation", "conversation_tombstone"}
    assert [each.kind for each in KEY_SPACE if each.is_tombstone] == [
        each.kind for each in KEY_SPACE if each.kind.endswith("_tombstone")
    ]


def test_a_layout_may_have_its_entity_at_hand() -> None:
    """As for a kind that is declared where its entity is, in another package."""

    class Note(Entity):
        """A note."""

    layout = Layout("note", table=Slot(partition("NOTE", text("id")), sort("NOTE")), entity=Note)
    assert KeySpace([layout]).entities == {"note": Note}
