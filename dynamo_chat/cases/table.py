"""Scenarios of the table itself (T1). They make tables of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.provision.table import TableDefinition

UNPROTECTED: Final = TableDefinition(deletion_protection=False, encryption_managed=False)
"""A table that can be thrown away."""


def table_create(stage: Stage) -> Iterator[Case]:
    table = stage.without_table().table
    yield Case("", lambda: table.create(UNPROTECTED), lambda _: "created")
    yield Case("it exists already", lambda: table.create(UNPROTECTED), lambda _: "unchanged")


def table_wait(stage: Stage) -> Iterator[Case]:
    yield Case("it is ready", stage.store.table.wait)


def table_describe(stage: Stage) -> Iterator[Case]:
    yield Case("", stage.store.table.describe, lambda found: str(found["TableStatus"]))


def table_check(stage: Stage) -> Iterator[Case]:
    yield Case(
        "", lambda: stage.store.table.check(UNPROTECTED), lambda found: f"{len(found)} differences"
    )


def table_probe(stage: Stage) -> Iterator[Case]:
    yield Case("", stage.store.table.probe, lambda steps: f"{len(steps)} steps worked")
