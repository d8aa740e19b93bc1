"""Conditions of repairs: an item that changed since it was checked is not overwritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import reduce
from operator import and_

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from dynamo_chat.core.attributes import AttributeValue, ExactPath, Raw
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.layout import KEY_ATTRIBUTES, PK, SK, TTL
from dynamo_chat.core.transaction import Check, Delete, Key, Update, absent, key_of
from dynamo_chat.operations.doctor.findings import kind_of
from dynamo_chat.operations.doctor.kinds import known_kinds

_KEY = (PK, SK)


def unchanged(item: AttributeValues) -> Condition:
    """Condition that the item is unchanged: every attribute, and no further one of its kind."""
    entity = known_kinds().entities.get(kind_of(item))
    known = set() if entity is None else {a.attr_name for a in plan(entity).attributes.values()}
    lacking = sorted((known | KEY_ATTRIBUTES | {TTL}) - item.keys())
    conditions: list[Condition] = [Item.PK.exists()]
    conditions += [
        ExactPath([name]) == Raw(value) for name, value in item.items() if name not in _KEY
    ]
    conditions += [ExactPath([name]).does_not_exist() for name in lacking]
    return reduce(and_, conditions)


def set_attributes(item: AttributeValues, wanted: Mapping[str, AttributeValue | None]) -> Update:
    """Set these attributes of an unchanged item; None removes one."""
    actions: list[Action] = [
        ExactPath([name]).remove() if value is None else ExactPath([name]).set(Raw(value))
        for name, value in wanted.items()
    ]
    return Update(key_of(item), actions, unchanged(item))


def delete(item: AttributeValues) -> Delete:
    """Delete an unchanged item."""
    return Delete(key_of(item), unchanged(item))


def still(item: AttributeValues) -> Check:
    """Check that the item is unchanged."""
    return Check(key_of(item), unchanged(item))


def not_there(key: Key, now: datetime) -> Check:
    """Check that the item doesn't exist or has expired."""
    return Check(key, absent(now))


def same(names: Iterable[str], item: AttributeValues) -> Condition:
    """Condition that these attributes are unchanged."""
    conditions = [
        ExactPath([name]) == Raw(item[name]) if name in item else ExactPath([name]).does_not_exist()
        for name in names
    ]
    return reduce(and_, conditions)
