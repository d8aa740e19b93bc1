"""Items: how an entity is stored as one item of the table and read back.

From an entity's pydantic fields, its plan derives the PynamoDB model for conditions and updates,
and the decoders for reading. The rules:

* fields that are part of the table key are not stored again: they are read from the key;
* None, False and empty collections are not stored if they are the field's default; a missing
  attribute is read as the default;
* text is S, bytes are B, numbers are N, flags are BOOL, times are S; a `TextSet` is SS and
  `Counters` are M, so that writers can add to them; other structured values are one JSON text;
  bodies (`Text` and JSON) are compressed if that makes them smaller and the item takes more than
  one write unit;
* every item has ``kind``, its schema version ``v`` and, if it expires, ``ttl``.
"""

from __future__ import annotations

import types
import typing
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pynamodb.attributes import Attribute, NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from dynamo_chat.core import attributes as stored
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import (
    STORED,
    Counters,
    Deadline,
    Derived,
    Entity,
    Json,
    JsonObject,
    Text,
    TextSet,
    adapter_of,
)
from dynamo_chat.core.errors import CorruptItem, InvalidKey, ItemTooLarge
from dynamo_chat.core.keys import Shape, parse_time
from dynamo_chat.core.layout import KEY_ATTRIBUTES, KIND, PK, SK, TTL, VERSION, Layout, Place
from dynamo_chat.core.size import MAX_ITEM_BYTES, attribute_size, item_size


class Item(Model):
    """The attributes of every item. The PynamoDB model of each entity extends it."""

    PK = UnicodeAttribute(hash_key=True)
    SK = UnicodeAttribute(range_key=True)
    GSI1PK = UnicodeAttribute(null=True)
    GSI1SK = UnicodeAttribute(null=True)
    GSI2PK = UnicodeAttribute(null=True)
    GSI2SK = UnicodeAttribute(null=True)
    ttl = NumberAttribute(null=True)
    kind = UnicodeAttribute()
    v = NumberAttribute()


UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, zlib.error)
"""The exceptions that reading a malformed value may raise."""

E = TypeVar("E", bound=Entity)
F = TypeVar("F", bound=Callable[..., Any])
Decode = Callable[[dict[str, Any]], Any]

_BODIES = (Text, Json, JsonObject)
_RESERVED = frozenset(name for name in dir(Model) if not name.startswith("__")) | {
    KIND,
    VERSION,
    *KEY_ATTRIBUTES,
}


@dataclass(frozen=True, slots=True)
class ItemPlan(Generic[E]):
    """How the items of one entity are written and read."""

    entity: type[E]
    model: Any
    """The PynamoDB model: one attribute per stored field, under the field's name."""
    attributes: Mapping[str, Attribute[Any]]
    decoders: Mapping[str, tuple[str, Decode, bool]]
    """By stored attribute: the field, its decoder, and whether the decoder validates the value.

    Structured values are validated while their JSON is parsed. Validating them again with the
    entity would take twice as long."""
    empty: Mapping[str, Any]
    """Fields whose default is empty, with that default, which is not stored."""
    nullable: tuple[str, ...]
    """Fields without a default that may be None: a missing attribute is None."""
    deadline: str | None
    pk_names: tuple[str, ...]
    sk_names: tuple[str, ...]
    key_names: tuple[str, ...]
    """`pk_names` and `sk_names` together."""
    unwanted: tuple[str, ...]
    """Components of the key that are not fields of the entity."""

    def encode(self, entity: E, *, is_checked: bool = True) -> AttributeValues:
        """The item of `entity`, with its keys in the table and in the indexes. ItemTooLarge.

        Without `is_checked`, the caller adds to the item and checks its size.
        """
        layout = entity.layout
        fields = entity.__dict__
        item: AttributeValues = {
            PK: {"S": layout.table.pk.encode(*(getattr(entity, n) for n in self.pk_names))},
            SK: {"S": layout.table.sk.encode(*(getattr(entity, n) for n in self.sk_names))},
            KIND: {"S": layout.kind},
            VERSION: {"N": str(entity.schema_version)},
        }
        implied = entity.implied() | entity.beside
        bodies: list[str] = []
        for name, attribute in self.attributes.items():
            value = fields[name]
            if name in implied or self.is_left_out(name, value):
                continue
            if isinstance(attribute, stored.BodyAttribute):
                text = attribute.text(value)
                item[attribute.attr_name] = {"S": text}
                if len(text) > stored.SHORTEST_COMPRESSED:
                    bodies.append(attribute.attr_name)
            else:
                item[attribute.attr_name] = encoded(attribute, value)
        for place, index_fields in entity.indexed().items():
            with_index_keys(item, layout, index_fields, place)
        if bodies:
            stored.compress_bodies(item, bodies)
        if is_checked:
            check_size(item)
        return item

    def is_left_out(self, name: str, value: Any) -> bool:
        """True if the value is not stored, because a missing attribute means the same."""
        if name in self.empty:
            default = self.empty[name]
            return value is default or (type(value) is type(default) and value == default)
        return value is None and name in self.nullable

    def decode(self, item: Mapping[str, Any]) -> E:
        """The entity stored as `item`. CorruptItem when it cannot be read."""
        layout = self.entity.layout
        try:
            if item[KIND]["S"] != layout.kind:
                raise ValueError(f"its kind is {item[KIND]['S']!r}")
            version = int(item[VERSION]["N"])
            if version != self.entity.schema_version:
                item = self.upgraded(dict(item), version)
            in_key = _key(layout.table.pk, item[PK]["S"]) + layout.table.sk.decode(item[SK]["S"])
            fields: dict[str, Any] = dict(zip(self.key_names, in_key, strict=True))
            fields.update(dict.fromkeys(self.nullable))
            for name in self.unwanted:
                del fields[name]
            checked: dict[str, Any] = {}
            decoders = self.decoders
            for name, value in item.items():
                if name in decoders:
                    field, decoder, is_checked = decoders[name]
                    (checked if is_checked else fields)[field] = decoder(value)
            self.entity.complete(fields)
            validator = self.entity.__pydantic_validator__
            entity: E = validator.validate_python(fields, context=STORED)
            if checked:
                entity.__dict__.update(checked)
                entity.__pydantic_fields_set__.update(checked)
            return entity
        except UNREADABLE as error:
            raise corrupt(item, _reason(error), layout) from error

    def upgraded(self, item: dict[str, Any], version: int) -> dict[str, Any]:
        """The attributes of an item of schema `version`, converted to the current version.

        ``v`` is not changed: it is raised when the item is written. ValueError if it cannot be
        converted.
        """
        if version > self.entity.schema_version:
            raise ValueError(f"schema version {version} is newer than this package can read")
        while version < self.entity.schema_version:
            upgrade = self.entity.upgrades.get(version)
            if upgrade is None:
                raise ValueError(f"no upgrade from schema version {version} exists")
            item, version = upgrade(item), version + 1
        return item


def _cached(function: F) -> F:
    """`functools.cache`, typed so that a generic function keeps its return type."""
    return cast("F", cache(function))


@_cached
def plan(entity: type[E]) -> ItemPlan[E]:
    """The `ItemPlan` of `entity`, derived once, on first use."""
    layout = entity.layout
    pk_names, sk_names = layout.table.pk.names, layout.table.sk.names
    from_key = {*pk_names, *sk_names}
    hints = typing.get_type_hints(entity, include_extras=True)
    derived: dict[str, Attribute[Any]] = {}
    deadline = None
    for name, info in entity.model_fields.items():
        if name in from_key or any(isinstance(mark, Derived) for mark in info.metadata):
            continue
        if _is_deadline(hints[name]):
            deadline = name
            derived[name] = stored.DeadlineAttribute(attr_name=TTL, null=True)
            continue
        if name in _RESERVED:
            raise TypeError(f"{entity.__name__}.{name}: this name is reserved by PynamoDB models")
        defaults_to_none = info.default is None or info.is_required() or name in entity.beside
        if not defaults_to_none and _takes_none(hints[name]):
            raise TypeError(f"{entity.__name__}.{name}: may be None, so it must default to None")
        derived[name] = _attribute(hints[name], info)
    # The base class declares `ttl` itself; an entity's deadline is the same stored attribute.
    model = type(
        f"{entity.__name__}Item",
        (Item,),
        {"__module__": entity.__module__, "__doc__": f"The item of {entity.__name__}.", **derived},
    )
    decoders = {
        attribute.attr_name: (
            name,
            _decoder(attribute),
            isinstance(attribute, stored.JsonAttribute)
            and not entity.model_fields[name].is_required(),
        )
        for name, attribute in derived.items()
    }
    return ItemPlan(
        entity=entity,
        model=model,
        attributes=derived,
        decoders=decoders,
        empty={
            name: default
            for name in derived
            if not (info := entity.model_fields[name]).is_required()
            and _is_empty(default := info.get_default(call_default_factory=True))
        },
        nullable=tuple(
            name
            for name in derived
            if entity.model_fields[name].is_required() and _takes_none(hints[name])
        ),
        deadline=deadline,
        pk_names=pk_names,
        sk_names=sk_names,
        key_names=pk_names + sk_names,
        unwanted=tuple(sorted(from_key - set(entity.model_fields))),
    )


def encoded(attribute: Attribute[Any], value: Any) -> dict[str, Any]:
    """The AttributeValue of `value`."""
    if isinstance(attribute, stored.BodyAttribute):
        return attribute.encode(value)
    return {attribute.attr_type: attribute.serialize(value)}


def check_size(item: AttributeValues, *, reserved: int = 0) -> None:
    """ItemTooLarge, which names the largest attribute, when `item` exceeds DynamoDB's limit.

    `reserved` bytes are kept free for what later changes add.
    """
    if _is_surely_within(item, MAX_ITEM_BYTES - reserved):
        return
    size = item_size(item)
    if size > MAX_ITEM_BYTES - reserved:
        largest = max(item, key=lambda name: attribute_size(item[name]))
        raise ItemTooLarge(largest, size, MAX_ITEM_BYTES - reserved)


def helper_item(
    layout: Layout,
    fields: Mapping[str, Any],
    *places: Place,
    expires_at: datetime | None = None,
    **attributes: Any,
) -> AttributeValues:
    """An item that makes an entity findable or unique: keys from `fields`, text `attributes`."""
    item: AttributeValues = {
        **layout.key(**fields),
        KIND: {"S": layout.kind},
        VERSION: {"N": str(layout.version)},
        **{name: {"S": value} for name, value in attributes.items()},
    }
    if expires_at is not None:
        item[TTL] = {"N": str(stored.epoch_seconds(expires_at))}
    return with_index_keys(item, layout, fields, *places)


def helper_text(item: AttributeValues, name: str, layout: Layout) -> str:
    """A text attribute of an item, such as `helper_item` stores. CorruptItem."""
    with suppress(*UNREADABLE):
        found = item[name]["S"]
        if isinstance(found, str) and found.encode():
            return found
    raise corrupt(item, f"{name!r} is missing or not text", layout)


def helper_time(item: AttributeValues, name: str, layout: Layout) -> datetime:
    """A time that `helper_item` stored. CorruptItem."""
    try:
        return parse_time(helper_text(item, name, layout))
    except ValueError as error:
        raise corrupt(item, f"{name!r} is not a time", layout) from error


@contextmanager
def leading(pointer: AttributeValues, layout: Layout) -> Iterator[None]:
    """Raise CorruptItem if a key made from the attributes of `pointer` is invalid."""
    try:
        yield
    except InvalidKey as error:
        raise corrupt(pointer, str(error), layout) from error


def kind_of(item: AttributeValues, layout: Layout) -> str:
    """The item's ``kind``. CorruptItem, as of a `layout` item, if it has none."""
    return helper_text(item, KIND, layout)


def is_kind(item: Mapping[str, Any], layout: Layout) -> bool:
    """True if the item's ``kind`` is that of `layout`. Accepts a malformed ``kind``."""
    return bool(item.get(KIND) == {"S": layout.kind})


def text_in(item: Mapping[str, Any], name: str) -> str | None:
    """The text in an attribute; None if it is missing, or no text."""
    stored = item.get(name)
    found = stored.get("S") if isinstance(stored, dict) else None
    return found if isinstance(found, str) else None


def key_parts(layout: Layout, item: AttributeValues, attribute: str) -> tuple[Any, ...]:
    """The components of an item's PK or SK. CorruptItem if it lacks the shape of `layout`."""
    shape = layout.table.pk if attribute == PK else layout.table.sk
    return _parts(shape, layout, item, attribute)


def index_key_parts(layout: Layout, item: AttributeValues, place: Place) -> tuple[Any, ...]:
    """The components of an item's key in an index: partition key, then sort key. CorruptItem."""
    slot = layout.slot(place)
    if slot is None:
        raise TypeError(f"a {layout.kind} has no slot in {place.index}")
    return _parts(slot.pk, layout, item, place.pk) + _parts(slot.sk, layout, item, place.sk)


def _parts(shape: Shape, layout: Layout, item: AttributeValues, attribute: str) -> tuple[Any, ...]:
    try:
        return shape.decode(item[attribute]["S"])
    except UNREADABLE as error:
        raise corrupt(item, f"{attribute} does not have the shape of its kind", layout) from error


def corrupt(item: Mapping[str, Any], reason: str, layout: Layout) -> CorruptItem:
    """The error for an item that cannot be read as one of `layout`."""
    return CorruptItem(layout.kind, reason, identity_of(layout, item))


def identity_of(layout: Layout, item: Any) -> dict[str, Any]:
    """The fields in an item's table key, as far as they can be read."""
    found: dict[str, Any] = {}
    for attribute, shape in zip((PK, SK), layout.table, strict=True):
        with suppress(*UNREADABLE):
            found.update(zip(shape.names, shape.decode(item[attribute]["S"]), strict=True))
    return found


def with_index_keys(
    item: AttributeValues, layout: Layout, fields: Mapping[str, Any], *places: Place
) -> AttributeValues:
    """`item` with both key attributes of each index in `places`, all components from `fields`."""
    for place in places:
        for name, key in layout.index_key(place, fields).items():
            item[name] = {"S": key}
    return item


def _is_surely_within(item: AttributeValues, limit: int) -> bool:
    """A quick check that avoids the exact sum: a character has at most 4 bytes."""
    characters = 0
    for name, value in item.items():
        for content in value.values():
            if isinstance(content, (str, bytes)):
                characters += len(name) + len(content)
            elif not isinstance(content, bool):
                return False
    return 4 * characters + len(item) <= limit


def _is_empty(value: Any) -> bool:
    return (
        value is None
        or value is False
        or (isinstance(value, (tuple, dict, frozenset)) and not value)
    )


def _attribute(hint: Any, info: FieldInfo) -> Attribute[Any]:
    optional = not info.is_required()
    bare = _without_none(hint)
    if bare in _BODIES:
        kind = stored.BodyAttribute if bare is Text or bare == Text else stored.FreeJsonAttribute
        return kind(null=optional)
    if bare == TextSet:
        return stored.TextSetAttribute(null=optional)
    if bare == Counters:
        return stored.CountersAttribute(null=optional)
    plain = _unannotated(bare)
    simple: dict[Any, type[Attribute[Any]]] = {
        str: stored.TextAttribute,
        bytes: stored.BytesAttribute,
        bool: stored.FlagAttribute,
        int: stored.IntegerAttribute,
        float: stored.FloatAttribute,
        Decimal: stored.DecimalAttribute,
        datetime: stored.TimeAttribute,
    }
    if typing.get_origin(plain) is typing.Literal:
        plain = type(typing.get_args(plain)[0])
    if plain in simple:
        return simple[plain](null=optional)
    return stored.JsonAttribute(adapter_of(bare), null=optional)


def _decoder(attribute: Attribute[Any]) -> Decode:
    if isinstance(attribute, stored.JsonAttribute):
        return attribute.decode_json
    decode: Decode = attribute.decode  # type: ignore[attr-defined]
    return decode


def _without_none(hint: Any) -> Any:
    """`hint` without ``| None`` around it."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        kept = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(kept) == 1:
            return kept[0]
    return hint


def _takes_none(hint: Any) -> bool:
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    return _without_none(hint) is not hint


def _unannotated(hint: Any) -> Any:
    while typing.get_origin(hint) is typing.Annotated:
        hint = _without_none(typing.get_args(hint)[0])
    return hint


def _is_deadline(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Annotated and any(
        isinstance(mark, Deadline) for mark in hint.__metadata__
    )


@cache
def _partition_cache(_: Shape) -> dict[str, tuple[Any, ...]]:
    return {}


def _key(shape: Shape, key: str) -> tuple[Any, ...]:
    """`shape.decode(key)`, with the last result cached: the items of a page share a partition."""
    known = _partition_cache(shape)
    values = known.get(key)
    if values is None:
        values = shape.decode(key)
        known.clear()
        known[key] = values
    return values


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'item'}: {first['msg']}"
    if isinstance(error, zlib.error):
        return "a compressed body is damaged"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing or has another type"
    return str(error) or type(error).__name__
