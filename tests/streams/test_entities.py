"""Streams know every kind of item that there is."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.layout import Layout
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.streams.entities import ENTITIES, ENTITY_OF, HELPER_KINDS

LAYOUTS = [layout for layouts in KEY_SPACE.values() for layout in layouts]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind)
def test_every_kind_is_a_helper_or_an_entity(layout: Layout) -> None:
    """A domain that adds a kind adds its entity to `streams.entities`."""
    if layout.helper:
        assert layout.kind in HELPER_KINDS
        assert layout.kind not in ENTITY_OF
    else:
        assert ENTITY_OF[layout.kind].layout is layout


def test_nothing_is_listed_twice_or_without_being_in_the_key_space() -> None:
    assert len(ENTITIES) == len(ENTITY_OF)
    assert set(ENTITY_OF) | HELPER_KINDS == {layout.kind for layout in LAYOUTS}


def stored_entities() -> Iterator[type[Entity]]:
    """Every class of the domains that declares a layout of its own."""
    for domain, layouts in KEY_SPACE.items():
        if all(layout.helper for layout in layouts):
            continue
        package = importlib.import_module(f"dynamo_chat.{domain}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if _is_entity(value) and "layout" in vars(value) and not value.layout.helper:
                    yield value


def _is_entity(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Entity)


def test_every_entity_of_the_package_is_listed() -> None:
    """Where two classes are read from one kind, the one that declares the layout is stored."""
    assert set(stored_entities()) == set(ENTITIES)


def test_kinds_that_share_a_key_are_told_apart_by_it() -> None:
    """So no change turns one entity into another; only helpers take an entity's place."""
    for one in ENTITIES:
        for other in ENTITIES:
            if one is not other and one.layout.table == other.layout.table:
                assert "part" in one.layout.table.sk.names
