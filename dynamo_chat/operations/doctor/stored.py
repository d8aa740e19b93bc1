"""How items of each kind must be stored, as their layout and entity declare."""

from __future__ import annotations

from typing import Any, Final

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import helper_text, helper_time, identity_of, plan, with_index_keys
from dynamo_chat.core.keys import time
from dynamo_chat.core.layout import GSI1, GSI2, KEY_ATTRIBUTES, PK, SK, Layout
from dynamo_chat.identity.removal import is_retired

INDEX_ATTRIBUTES: Final = tuple(sorted(KEY_ATTRIBUTES - {PK, SK}))


def may_expire(layout: Layout) -> bool:
    """True if an item of this kind may have a TTL; a helper may if its owner may."""
    entity = layout.resolved()
    if entity is not None:
        return plan(entity).deadline is not None
    return layout.of is None or may_expire(layout.of)


def helper_fields(item: AttributeValues, layout: Layout) -> dict[str, Any]:
    """The fields of a helper item, from its keys and attributes. CorruptItem if one is missing.

    A retired id has only the time of its retirement.
    """
    if is_retired(item):
        return {"retired_at": helper_time(item, "retired_at", layout)}
    said = {
        each.name: (helper_time if isinstance(each, time) else helper_text)(item, each.name, layout)
        for each in layout.says
    }
    return {**said, **identity_of(layout, item)}


def helper_index_keys(layout: Layout, fields: dict[str, Any]) -> AttributeValues | None:
    """The index keys of a helper item; None if they follow from the item that it points to."""
    slots = {place: slot for place in (GSI1, GSI2) if (slot := layout.slot(place)) is not None}
    names = {name for slot in slots.values() for name in (*slot.pk.names, *slot.sk.names)}
    return with_index_keys({}, layout, fields, *slots) if names <= fields.keys() else None


def index_keys(item: AttributeValues) -> AttributeValues:
    """The index keys of an item."""
    return {name: item[name] for name in INDEX_ATTRIBUTES if name in item}
