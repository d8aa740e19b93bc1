"""What released schema versions wrote is read as it was meant, and written as it was.

The files beside this one are never changed. When one of these tests fails, the stored form of an
entity changed: raise its `schema_version`, give it an upgrade, and let
``scripts/generate`` add how the new version writes it.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from dynamo_chat.calls.call import room_item
from dynamo_chat.chat.conversation import with_life
from dynamo_chat.chat.living import with_alive_until
from dynamo_chat.chat.message_ids import message_id_item
from dynamo_chat.chat.opening import stream_item
from dynamo_chat.chat.reviews import Review, review_id_item
from dynamo_chat.chat.snapshot import snapshot_of
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.attributes import unpacked
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan
from dynamo_chat.identity.logins import listing_item
from dynamo_chat.identity.user import address_item
from dynamo_chat.keyspace import KEY_SPACE, USER_EMAIL, USER_RESPONSE_EMAIL
from dynamo_chat.mail.adding import id_items
from dynamo_chat.operations.doctor.forms import Examiner
from dynamo_chat.orgs.invite import invite_items
from dynamo_chat.orgs.seats import membership_item
from generating import stored_items
from generating.stored_items import NOW, Item

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LIFE = "H8X4T2QK9M"
LATER = datetime(2026, 1, 30, 14, 0, 1, tzinfo=UTC)


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


def one(kind: str, name: str | None = None, *, version: int = 1) -> Stored:
    """An example of a kind: the first by name, which is ``full`` where there are several."""
    return next(
        each
        for each in STORED
        if (each.kind, each.version) == (kind, version) and name in (None, each.name)
    )


def read(kind: str, name: str | None = None) -> Any:
    """The entity of an example."""
    return plan(KEY_SPACE.entities[kind]).decode(one(kind, name).item)


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
    beside = ("token_hash", "sure_until", "life", "writer", "step")
    return {name: item[name] for name in beside if name in item}


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_what_was_stored_is_read_and_written_as_it_was(stored: Stored) -> None:
    check(stored)


def test_the_helpers_are_written_as_they_were() -> None:
    """No entity says how; they are made anew from the entity that they were made of."""
    made = [*_chat_helpers(), *_people_helpers(), *_mail_helpers(), room_item(read("call", "live"))]
    for item in made:
        kind = item["kind"]["S"]
        assert not lacking(item, one(kind, version=newest(kind)).item), kind


def _chat_helpers() -> Iterator[Item]:
    yield title_item(snapshot_of(read("conversation")), "Films")
    yield message_id_item(read("message"), HASH[:32], "ann")
    listed = one("message_stream").item
    place = {"conversation_id": "talk-ann", "position": listed["SK"]["S"].split("#")[1]}
    streamed = read("message").model_copy(update=place)
    yield stream_item(streamed, listed["life"]["S"], None)
    yield review_id_item(read("review"))


def _people_helpers() -> Iterator[Item]:
    yield address_item(USER_EMAIL, "ann@example.org", "ann")
    yield address_item(USER_RESPONSE_EMAIL, "ann@answers.example", "ann")
    yield listing_item(read("login"))
    yield membership_item(read("member"))
    yield from invite_items(read("invite"), HASH)[1:]


def _mail_helpers() -> Iterator[Item]:
    yield from id_items(read("email"), HASH[:32], has_response_id=True)


@pytest.mark.parametrize("kind", ["message", "review"])
def test_what_is_noted_beside_an_entity_is_written_as_it_was(kind: str) -> None:
    written = plan(KEY_SPACE.entities[kind]).encode(read(kind))
    assert not lacking(with_life(written, LIFE), one(kind, "marked").item)
    assert not lacking(with_alive_until(written, LATER), one(kind, "sliding").item)


def test_what_is_made_today_has_the_form_of_what_is_kept() -> None:
    """Also of helpers that are kept only as `populate` made them: attributes and their types."""
    for item in stored_items.items():
        kind, version = item["kind"]["S"], int(item["v"]["N"])
        kept = [each.item for each in STORED if (each.kind, each.version) == (kind, version)]
        forms = {name: {_form(each[name]) for each in kept if name in each} for name in item}
        assert all(_form(item[name]) in forms[name] for name in item), (kind, forms)
        if not (kind in KEY_SPACE.entities or KEY_SPACE.layouts[kind].is_tombstone):
            always = set.intersection(*(set(each) for each in kept))
            assert always - {"ttl"} <= item.keys(), kind


def _form(value: dict[str, Any]) -> str:
    """The type of a value; a long text is compressed, and a text all the same."""
    (form,) = value
    return "S" if form == "B" else form


@pytest.mark.parametrize("kind", KEY_SPACE.layouts)
def test_every_kind_is_kept_in_every_version(kind: str) -> None:
    found = {each.version for each in STORED if each.kind == kind}
    assert found == set(range(1, newest(kind) + 1)), "run scripts/generate"


NO_LONGER_STORED = {"conversation": {"preferences"}}
"""Attributes that older versions stored, and that are still read."""


@pytest.mark.parametrize("kind", KEY_SPACE.entities)
def test_every_attribute_is_in_an_example(kind: str) -> None:
    """An attribute that no example has could change its form unseen."""
    current = [each for each in STORED if (each.kind, each.version) == (kind, newest(kind))]
    attributes = {each.attr_name for each in plan(KEY_SPACE.entities[kind]).attributes.values()}
    attributes -= NO_LONGER_STORED.get(kind, set())
    missing = attributes - {name for each in current for name in each.item}
    assert not missing, "give it these attributes in scripts/tooling/everything.py"


NEW_VERSION = "a new index key needs a new schema version: see docs/design/schema-versions.md"


def test_no_released_item_is_damaged_to_the_doctor() -> None:
    examiner = Examiner(lambda: NOW, timedelta(days=7), timedelta(days=1))
    for stored in STORED:
        problems = examiner.form(stored.item).problems
        if stored.version == newest(stored.kind):
            assert not problems, f"{stored}: {NEW_VERSION}"
        elif stored.kind in KEY_SPACE.entities:
            assert [each.code for each in problems] == ["older_version"], str(stored)
        else:  # what it lacks is known to what it leads to: see `tests/doctor/test_upgrades.py`
            assert not problems, str(stored)


# -- that the check checks ------------------------------------------------------------------------


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
