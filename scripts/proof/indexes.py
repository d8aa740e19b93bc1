"""Checks of every item, whatever its domain: it is readable, and its keys agree with its fields.

An index's key is taken apart, and each component compared with the field of that name. That does
not use what wrote it, so a key that was put together wrongly, or not anew, is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call as VoiceCall
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, GSI2, PK, PLACES, SK, Layout, Place
from dynamo_chat.mail.email import EmailSummary
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.telemetry.invocations import Invocation
from dynamo_chat.telemetry.llm import LLMUsage
from proof.evidence import Evidence, Item, Violation, kind_of

ENTITIES: Final = keyspace.KEY_SPACE.entities


def readable(evidence: Evidence) -> Iterator[Violation]:
    """Every item is of a known kind, is readable, and has both keys of an index or neither."""
    for item in evidence.items:
        kind = kind_of(item)
        if kind not in keyspace.KEY_SPACE.layouts:
            yield Violation("unknown kind", f"{kind!r} at {_at(item)}")
            continue
        for place in PLACES:
            if (place.pk in item) != (place.sk in item):
                yield Violation("half an index key", f"{kind} at {_at(item)}")
        if kind in ENTITIES:
            try:
                plan(ENTITIES[kind]).decode(item)
            except CorruptItem as error:
                yield Violation("unreadable", f"{_at(item)}: {error}")


def index_keys(evidence: Evidence) -> Iterator[Violation]:
    """The index keys of an item agree with its fields."""
    for item in evidence.items:
        entity = ENTITIES.get(kind_of(item))
        if entity is None:
            continue
        try:
            fields = _fields(plan(entity).decode(item))
        except CorruptItem:
            continue  # told by another check
        for place in (GSI1, GSI2):
            yield from _keys_of(item, entity.layout, place, fields)


def index_contents(evidence: Evidence) -> Iterator[Violation]:
    """An index holds exactly the items of the table that have its keys, with equal attributes."""
    for place in (GSI1, GSI2):
        expected = {_at(item): item for item in evidence.items if place.pk in item}
        found = {_at(item): item for item in evidence.indexed[str(place.index)]}
        for where in expected.keys() ^ found.keys():
            side = "the table" if where in expected else place.index
            yield Violation("index contents", f"{where} is in {side} alone")
        for where in expected.keys() & found.keys():
            if expected[where] != found[where]:
                yield Violation("index contents", f"{where} differs in {place.index}")


def _keys_of(
    item: Item, layout: Layout, place: Place, fields: dict[str, Any]
) -> Iterator[Violation]:
    slot, is_there = layout.slot(place), place.pk in item
    belongs = slot is not None and _belongs(layout, place, fields)
    if is_there != belongs:
        where = "is in" if is_there else "is not in"
        yield Violation("index key", f"{layout.kind} at {_at(item)} {where} {place.index}")
    if slot is None or not (is_there and belongs):
        return
    said: dict[str, Any] = {}
    for shape, name in ((slot.pk, place.pk), (slot.sk, place.sk)):
        said |= dict(zip(shape.names, shape.decode(item[name]["S"]), strict=True))
    if place == GSI2 and layout is keyspace.CALL:
        fields = fields | {"user_id": fields["user_b"]}
    wrong = {
        name: value for name, value in said.items() if name in fields and fields[name] != value
    }
    if wrong:
        true = {name: str(fields[name]) for name in wrong}
        text = f"{layout.kind} at {_at(item)} says {true}, its {place.index} key {wrong}"
        yield Violation("index key", text)


def _belongs(layout: Layout, place: Place, fields: dict[str, Any]) -> bool:
    """True if an item with these fields belongs in an index."""
    if layout is keyspace.MESSAGE:
        return fields["rated_at" if place == GSI1 else "category"] is not None
    if layout is keyspace.EMAIL and place == GSI2:
        return fields["message_id"] is not None
    return True


def _fields(entity: Any) -> dict[str, Any]:
    """What the key components of an entity must be, by name."""
    fields = dict(entity.__dict__)
    match entity:
        case Message():
            given = entity.feedback
            fields["rated_at"] = given and given.given_at
            fields["category"] = given and given.category
            fields["feedback_type"] = given and given.type
            fields["rank"] = (given and given.rank) or 0
        case VoiceCall():
            fields["user_id"] = entity.user_a
        case Invite():
            fields["address"] = address_key(entity.email)
        case Review():
            fields["archived"] = entity.is_archived
        case EmailSummary():
            known = entity.message_id
            fields["message_hash"] = known and keyspace.digest_of(known)
        case LLMUsage() | Invocation():
            fields["shard"] = entity.shard
    return fields


def _at(item: Item) -> str:
    return f"{item[PK]['S']} / {item[SK]['S']}"
