"""Entities of every class, with anything in their fields that the fields allow.

A strategy follows from a field's annotation, so that an entity of a new domain is tried without a
word being added here, as long as its fields are of the known types.
"""

import re
import types
import typing
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ulid import ULID

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.core.addresses import Address, Domain
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.entity import (
    Count,
    Counters,
    Deadline,
    Entity,
    Json,
    JsonObject,
    Number,
    TextSet,
)
from dynamo_chat.core.keys import format_time, integer
from dynamo_chat.core.ulids import Position
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.limits.rate_limit import RateLimit
from dynamo_chat.orgs.organization import Gigabytes
from dynamo_chat.telemetry.amounts import Amount, Sum
from tests.laws.strategies import components, json_objects, json_values, modern, texts

ENTITIES = [KEY_SPACE.entities[layout.kind] for layout in KEY_SPACE if not layout.helper]
"""What streams tell of."""

_LAST_ULID = (253_402_214_400_000 << 80) - 1  # the last day of the year 9999
_counts = st.integers(0, 10**30)
_numbers = st.floats(-1e120, 1e120).filter(lambda x: x == 0 or abs(x) > 1e-127)


def _decimals(most: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, most, allow_nan=False, allow_infinity=False, places=places)


_BY_HINT: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Count, _counts),
    (Number, _numbers),
    (Json, json_values),
    (JsonObject, json_objects),
    (TextSet, st.frozensets(components, max_size=4)),
    (Counters, st.dictionaries(components, _counts, max_size=4)),
    (Position, st.integers(0, _LAST_ULID).map(lambda number: str(ULID.from_int(number)))),
    (Address, st.sampled_from(["ann@example.org", "Ann.B+c@Bücher.example"])),
    (Domain, st.sampled_from(["example.org", "xn--bcher-kva.example"])),
    (Amount, _decimals(10**15 - 1, 12)),
    (Sum, _decimals(10**15, 6)),
    (Gigabytes, _decimals(10**12, 9)),
]


_OF: dict[type[Entity], dict[str, st.SearchStrategy[Any]]] = {
    RateLimit: {"earlier": st.dictionaries(modern.map(format_time), _counts, max_size=4)}
}
"""Strategies of fields whose types do not say all."""


def entities(entity: type[Entity]) -> st.SearchStrategy[Entity]:
    """Entities of one class."""
    slot = entity.layout.table
    numbers = {
        part.name: st.integers(0, 10**part.width - 1)
        for part in (*slot.pk.components, *slot.sk.components)
        if isinstance(part, integer)
    }
    return _models(entity, **numbers, **_OF.get(entity, {})).map(_as_stored)


def _as_stored(entity: Entity) -> Entity:
    """With what a read can know: a head says whether there are preferences, not which.

    And a message that is still arriving has the status that says so, and no other has it.
    """
    if isinstance(entity, Message):
        ended = "complete" if entity.status == "streaming" else entity.status
        status = "streaming" if entity.is_streaming else ended
        return entity.model_copy(update={"status": status})
    if not isinstance(entity, Conversation):
        return entity
    return entity.model_copy(update={"preferences": None if entity.has_preferences else {}})


def _models(model: type[BaseModel], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(model, include_extras=True)
    fields = {name: _values(hints[name]) for name in model.model_fields if name not in given}
    return st.builds(model, **fields, **given)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    for known, strategy in _BY_HINT:
        if hint == known:
            return strategy
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _constrained(arguments[0], arguments[1:])
    if origin in (types.UnionType, typing.Union):
        return st.one_of([_values(each) for each in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(*map(_values, arguments), max_size=3)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _models(hint)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        str: components,
        bool: st.booleans(),
        int: st.integers(-(10**30), 10**30),
        float: _numbers,
        datetime: modern,
        timedelta: st.timedeltas(timedelta(0), timedelta(days=36_500)),
    }
    return plain[hint]


def _constrained(hint: Any, marks: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """What a hint allows within the bounds that its marks set."""
    bounds: list[Any] = []
    for mark in marks:
        bounds += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    if any(isinstance(mark, Deadline) for mark in bounds):
        return _values(hint).map(lambda moment: moment and whole_second(moment))
    low, high = _of(bounds, "ge"), _of(bounds, "le")
    if hint is int:
        return st.integers(max(low, default=None), min(high, default=None))
    if patterns := _of(bounds, "pattern"):
        return st.from_regex(re.compile(patterns[0], re.ASCII), fullmatch=True)
    if hint is str:
        inner = components if any(_of(bounds, "min_length")) else texts
        most = min(_of(bounds, "max_length"), default=40)
        return inner.filter(lambda value: len(value) <= most)
    if low:
        return _values(hint).map(abs).filter(lambda value: value >= max(low))
    return _values(hint)


def _of(marks: list[Any], name: str) -> list[Any]:
    """The bounds of one name: by annotated-types, and by pydantic's StringConstraints."""
    found = [getattr(mark, name, None) for mark in marks]
    return [bound for bound in found if bound is not None]
