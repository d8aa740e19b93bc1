"""Scenarios of the table itself (T1). They make tables of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dynamo_chat.cases.stage import Case, Scenarios, Stage
from dynamo_chat.provision.table import TableDefinition

UNPROTECTED: Final = TableDefinition(deletion_protection=False, encryption_managed=False)
"""A table that can be thrown away."""


def create(stage: Stage) -> Iterator[Case]:
    """A table that is not there, and the same again."""
    table = stage.without_table().table
    yield Case("", lambda: table.create(UNPROTECTED))
    yield Case("it exists already", lambda: table.create(UNPROTECTED))


def wait(stage: Stage) -> Iterator[Case]:
    """For a table that is ready."""
    yield Case("it is ready", stage.store.table.wait)


def describe(stage: Stage) -> Iterator[Case]:
    """As DynamoDB describes it."""
    yield Case("", stage.store.table.describe)


def check(stage: Stage) -> Iterator[Case]:
    """Against what it should be."""
    yield Case("", lambda: stage.store.table.check(UNPROTECTED))


def probe(stage: Stage) -> Iterator[Case]:
    """With an item of its own."""
    yield Case("", stage.store.table.probe)


TABLE: Final[Scenarios] = {
    "table.create": create,
    "table.wait": wait,
    "table.describe": describe,
    "table.check": check,
    "table.probe": probe,
}
