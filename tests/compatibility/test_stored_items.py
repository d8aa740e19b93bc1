"""What released schema versions wrote is read as it was meant, and written as it was.

The files beside this one are never changed. When one of these tests fails, the stored form of an
entity changed: raise its `schema_version`, give it an upgrade, and let
``scripts/generate`` add how the new version writes it.
"""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.attributes import unpacked
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.doctor.forms import Examiner
from generating import stored_items
from generating.stored_items import NOW, Item


class Stored(NamedTuple):
    """An item as a released version wrote it."""

    kind: str
    version: int
    name: str
    item: Item
    entity: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.kind}-v{self.version}-{self.name}"


def _stored(path: Path) -> Iterator[Stored]:
    version = int(path.parent.name.removeprefix("v"))
    for name, kept in json.loads(path.read_text("utf-8")).items():
        yield Stored(path.stem, version, name, kept["item"], kept["entity"])


FILES = sorted(Path(__file__).parent.glob("v*/*.json"))
STORED = [each for path in FILES for each in _stored(path)]


def newest(kind: str) -> int:
    """The schema version that a kind is written in now."""
    return KEY_SPACE.layouts[kind].newest


def lacking(made: Item, kept: Item) -> set[str]:
    """The attributes of `kept` that `made` has not, or has with another value."""
    return {name for name in kept if _said(made.get(name)) != _said(kept[name])}


def _said(value: dict[str, Any] | None) -> Any:
    """A value apart from how it was compressed: libraries of one format differ in that."""
    if value is None or "B" not in value:
        return value
    content = value["B"]
    return {"B": unpacked({"B": content if isinstance(content, str) else _text(content)})}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def check(stored: Stored) -> None:
    """An item of a released version is read as it was meant, and written as it was."""
    entity = KEY_SPACE.entities.get(stored.kind)
    if entity is None:
        return
    read = plan(entity).decode(stored.item)
    said = read.model_dump(mode="json")
    wanted = {name: value for name, value in (stored.entity or {}).items() if name in said}
    assert {name: said[name] for name in wanted} == wanted
    if stored.version == entity.schema_version:
        assert wanted == stored.entity, "a field is gone"
        assert not lacking(plan(entity).encode(read) | _noted(stored.item), stored.item)


def _noted(item: Item) -> Item:
    """What an item holds beside its entity."""
    return {name: item[name] for name in ("token_hash", "sure_until", "life") if name in item}


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_what_was_stored_is_read_and_written_as_it_was(stored: Stored) -> None:
    check(stored)


def test_the_writers_write_what_they_wrote() -> None:
    """Helper items, too, which no entity says how to write."""
    kept = {(each.kind, each.version, each.name): each.item for each in STORED}
    for name, item in stored_items.examples():
        kind, version = item["kind"]["S"], int(item["v"]["N"])
        assert (kind, version, name) in kept, "run scripts/generate"
        assert not lacking(item, kept[kind, version, name]), (kind, name)


@pytest.mark.parametrize("kind", KEY_SPACE.layouts)
def test_every_kind_is_kept_in_every_version(kind: str) -> None:
    found = {each.version for each in STORED if each.kind == kind}
    assert found == set(range(1, newest(kind) + 1)), "run scripts/generate"


@pytest.mark.parametrize("kind", KEY_SPACE.entities)
def test_every_attribute_is_in_an_example(kind: str) -> None:
    """An attribute that no example has could change its form unseen."""
    current = [each for each in STORED if (each.kind, each.version) == (kind, newest(kind))]
    attributes = {each.attr_name for each in plan(KEY_SPACE.entities[kind]).attributes.values()}
    missing = attributes - {name for each in current for name in each.item}
    assert not missing, "give an example of scripts/generating/stored_items.py these attributes"


def test_no_released_item_is_damaged_to_the_doctor() -> None:
    examiner = Examiner(lambda: NOW, timedelta(days=7), timedelta(days=1))
    for stored in STORED:
        problems = examiner.form(stored.item).problems
        if stored.version == newest(stored.kind):
            assert not problems, str(stored)
        elif stored.kind in KEY_SPACE.entities:
            assert [each.code for each in problems] == ["older_version"], str(stored)
        else:  # what it lacks is known to what it leads to: see `tests/doctor/test_upgrades.py`
            assert not problems, str(stored)


# -- that the check checks ------------------------------------------------------------------------


def one(kind: str, name: str = "full") -> Stored:
    return next(each for each in STORED if (each.kind, each.name) == (kind, name))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("review", {"comments": None, "remarks": {"S": "Good"}}),  # renamed
        ("review", {"reviewed_by": {"N": "7"}}),  # of another type
        ("member", {"GSI1SK": {"S": "MEMBER#elsewhere#"}}),  # another index key
        ("message", {"turn_index": {"N": "7"}}),  # another value
        ("call", {"duration_minutes": {"S": "PT3M"}}),  # another form of the same
    ],
)
def test_another_stored_form_is_seen(kind: str, change: dict[str, Any]) -> None:
    """As if the version that is released had written it otherwise than the code of today does."""
    stored = one(kind)
    item = {name: value for name, value in (stored.item | change).items() if value is not None}
    with pytest.raises((AssertionError, CorruptItem)):
        check(stored._replace(item=item))


def test_a_field_that_is_gone_is_seen() -> None:
    stored = one("review")
    with pytest.raises(AssertionError, match="a field is gone"):
        check(stored._replace(entity={**(stored.entity or {}), "stars": 5}))


def test_a_raised_version_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an upgrade, the items of the version before are read, and need not be written so."""
    stored = one("review")
    old = {name: value for name, value in stored.item.items() if name != "comments"}
    old["note"] = stored.item["comments"]

    class Upgrades:
        table: ClassVar = {1: lambda item: {**item, "comments": item["note"]}}

    monkeypatch.setattr(Review, "schema_version", 2)
    with pytest.raises(CorruptItem, match="no upgrade from schema version 1"):
        check(stored._replace(item=old))
    monkeypatch.setattr(Review, "upgrades", Upgrades.table)
    check(stored._replace(item=old))
    assert plan(Review).encode(plan(Review).decode(old))["v"] == {"N": "2"}
