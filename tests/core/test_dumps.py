"""The JSON of an entity is the same in every process: nothing in it follows the order of a set."""

import os
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from dynamo_chat.core.entity import TextSet
from dynamo_chat.keyspace import KEY_SPACE
from tests.compatibility.test_stored_items import STORED
from tests.places import INSTALLED, ROOT

PATH = os.pathsep.join(map(str, (INSTALLED, ROOT, ROOT / "scripts")))
SEEDS = (0, 1, 2, 3, 4, 5)
DUMP = """
import json
from tests.compatibility.test_stored_items import STORED
from dynamo_chat.core.item import plan
from dynamo_chat.keyspace import KEY_SPACE

for stored in STORED:
    if stored.kind in KEY_SPACE.entities:
        read = plan(KEY_SPACE.entities[stored.kind]).decode(stored.item)
        print(stored, json.dumps(read.model_dump(mode="json")), read.model_dump_json())
"""


def dumped(seed: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", DUMP],
        env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": PATH},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.once
def test_every_entity_dumps_the_same_under_every_hash_seed() -> None:
    first, *others = map(dumped, SEEDS)
    assert len(first.splitlines()) == sum(each.kind in KEY_SPACE.entities for each in STORED)
    assert all(other == first for other in others)


@pytest.mark.parametrize("kind", KEY_SPACE.entities)
def test_every_set_is_one_that_dumps_in_order(kind: str) -> None:
    """Whatever examples there are: a set of another type would follow its hashes."""
    for where, hint in _hints(KEY_SPACE.entities[kind]):
        assert not _has_loose_set(hint), where


def test_a_loose_set_is_seen() -> None:
    assert _has_loose_set(dict[str, frozenset[str] | None])
    assert not _has_loose_set(TextSet | None)


def _hints(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, hint in typing.get_type_hints(model, include_extras=True).items():
        if name in model.model_fields:
            yield f"{model.__name__}.{name}", hint
            for inner in _models(hint):
                yield from _hints(inner)


def _models(hint: Any) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for part in typing.get_args(hint):
        yield from _models(part)


def _has_loose_set(hint: Any) -> bool:
    if hint == TextSet:
        return False
    bare = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    if {bare, typing.get_origin(bare)} & {set, frozenset}:
        return True
    return any(map(_has_loose_set, typing.get_args(bare)))
