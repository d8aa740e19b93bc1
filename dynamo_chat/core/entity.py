"""Entities: frozen pydantic models, and the types of their fields.

A field is declared once; `dynamo_chat.core.item` derives from that how it is stored.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PydanticUserError,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from dynamo_chat.core.described import LazySignature, descriptions
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import GSI1, GSI2, Layout, Place

MAX_JSON_DEPTH: Final = 100
MAX_JSON_VALUES: Final = 100_000
"""The most values in one piece of JSON: an empty list is 3 bytes of text, but 60 in memory."""

MAX_ID_CHARACTERS: Final = 256
_MAX_EXACT_BITS: Final = 512
"""Far more than the 38 digits that DynamoDB keeps."""

_MISPLACED: Final = "misplaced"


class Unchanged:
    """The type of `UNCHANGED`."""

    def __repr__(self) -> str:
        return "UNCHANGED"

    def __bool__(self) -> bool:
        raise TypeError("compare with `is UNCHANGED`; UNCHANGED is neither true nor false")

    def __reduce__(self) -> str:
        """Its name, so that copies, and other processes, have this same object."""
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
"""The default of an update's arguments: leave the field as it is. None removes the value."""


class Model(BaseModel):
    """Base of entities and of the values inside them: frozen, strict, no unknown fields.

    The constructor raises `InvalidArgument`, which names the field and says what is allowed.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        defer_build=True,
        ser_json_inf_nan="constants",
        ser_json_bytes="base64",  # an application's bytes need not be UTF-8
        val_json_bytes="base64",
        hide_input_in_errors=True,  # a traceback would show the input
    )

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
                return
            except ValidationError as error:
                refused = as_invalid_argument(error)
            # Outside of the except block: the chained error would hold the whole input.
            raise refused

        # Without this mark pydantic would also call __init__ for every item that is read.
        __init__.__pydantic_base_init__ = True

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # The validator is built at its first use, and the signature with it; until then the class
        # would show that of __init__, or its parent's.
        if "__signature__" not in cls.__dict__:
            cls.__signature__ = LazySignature()  # type: ignore[assignment]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        fields = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions(cls).items():
            if name in fields:
                fields[name].setdefault("description", text)
        return schema


Indexed: TypeAlias = Mapping[Place, Mapping[str, Any]]
"""For each index, the values of its key components."""


class Entity(Model):
    """What a caller stores and reads. Its `layout` says where it is in the table."""

    layout: ClassVar[Layout]
    schema_version: ClassVar[int] = 1
    upgrades: ClassVar[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
    """By schema version: converts stored attributes to the next version when an item is read."""

    beside: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that are stored in an item of their own. An older version may have stored
    them here; None means that they were not read."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        layout = cls.__dict__.get("layout")
        if isinstance(layout, Layout):
            layout.bind(cls)

    def implied(self) -> frozenset[str]:
        """Names of fields that are not stored, because `complete` can compute them."""
        return frozenset()

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        """Add the fields that `implied` left out to those that were read."""

    def indexed(self) -> Indexed:
        """The indexes that it is in, with the values of its key components there.

        By default its fields, in every index for which its layout has a slot.
        """
        slots = ((GSI1, self.layout.gsi1), (GSI2, self.layout.gsi2))
        return {place: self.__dict__ for place, slot in slots if slot is not None}


def adapter_of(hint: Any) -> TypeAdapter[Any]:
    """A validator for values of this type, whose errors show no value."""
    try:
        return TypeAdapter(hint, config=ConfigDict(hide_input_in_errors=True))
    except PydanticUserError:
        return TypeAdapter(hint)  # a model, which has its own configuration


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], argument: str = "", /, **data: Any) -> M:
    """`model(**data)`. InvalidArgument names the field, after `argument` if given."""
    try:
        made: M = model.__pydantic_validator__.validate_python(data)
        return made
    except ValidationError as error:
        refused = as_invalid_argument(error, argument)
    raise refused


def as_invalid_argument(error: ValidationError, argument: str = "") -> InvalidArgument:
    """The first error of a ValidationError as an `InvalidArgument`."""
    first = error.errors(include_url=False, include_input=False)[0]
    named = first.get("ctx", {}).get(_MISPLACED, "")
    where = ".".join(str(part)[:100] for part in (argument, *first["loc"], named) if part != "")
    complaint = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_unicode":
        complaint = "must not contain lone surrogates"
    if complaint.partition(" ")[0].istitle():  # the first word of a sentence, not a name like NaN
        complaint = complaint[:1].lower() + complaint[1:]
    return InvalidArgument(where or error.title, complaint)


def misplaced(field: str, complaint: str) -> PydanticCustomError:
    """The error that a validator of a whole model raises about one of its fields."""
    return PydanticCustomError(
        _MISPLACED, "{complaint}", {_MISPLACED: field, "complaint": complaint}
    )


def _to_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError("must be an aware datetime (with a time zone)")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be in the years 1 to 9999 in UTC") from None


def _no_surrogates(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("must not contain lone surrogates") from None
    return value


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class _ListIsTaken:
    """Accepts a list for a tuple. JSON has only lists, so it needs no conversion."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema = handler(source)
        return core_schema.json_or_python_schema(
            json_schema=schema,
            python_schema=core_schema.no_info_before_validator_function(_to_tuple, schema),
        )


def _finite(value: float) -> float:
    # DynamoDB stores numbers from 1E-130 to 9.99E+125.
    if not math.isfinite(value) or (value != 0 and not 1e-128 < abs(value) < 1e125):
        raise ValueError("must be a finite number between 1E-128 and 1E+125 in size, or 0")
    return value + 0.0  # DynamoDB has no negative zero


def exact(value: Any) -> Any:
    """An integer as a Decimal; any other value unchanged, for pydantic to check.

    Floats are not converted, because they are not exact. A very long integer is a ValueError,
    because converting it takes time that grows with the square of its length.
    """
    if type(value) is not int:
        return value
    if value.bit_length() > _MAX_EXACT_BITS:
        raise ValueError("has too many digits")
    return Decimal(value)


def json_copy(value: Any) -> Any:
    """A deep copy of a JSON value.

    ValueError for anything that JSON cannot return unchanged, or that is too deep or too large.
    """
    return _json_copy(value, 0, [MAX_JSON_VALUES])


def _json_copy(value: Any, depth: int, room: list[int]) -> Any:
    """A copy of a value at this depth, while `room` counts down the values still allowed."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return _no_surrogates(value)
    if kind is int:
        limit = sys.get_int_max_str_digits()
        if limit and value.bit_length() > limit * 3:
            raise ValueError(f"integers may have at most about {limit * 9 // 10:,} digits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise ValueError("NaN and infinities are not JSON")
        return value
    if kind is list or kind is dict:
        return _container_copy(value, depth, room)
    raise ValueError(f"{kind.__name__} is not JSON; use dict, list, str, int, float, bool or None")


def _container_copy(value: Any, depth: int, room: list[int]) -> Any:
    if depth >= MAX_JSON_DEPTH:
        raise ValueError(f"may be nested at most {MAX_JSON_DEPTH} levels deep")
    room[0] -= len(value)
    if room[0] < 0:
        raise ValueError(f"may have at most {MAX_JSON_VALUES:,} values")
    if type(value) is list:
        return [_json_copy(each, depth + 1, room) for each in value]
    copied = {}
    for key, each in value.items():
        if type(key) is not str:
            raise ValueError(f"keys must be text, not {type(key).__name__}")
        copied[_no_surrogates(key)] = _json_copy(each, depth + 1, room)
    return copied


STORED: Final = object()
"""The validation context of stored items: their free JSON was just parsed and needs no copy."""


def _json_value(value: Any, info: ValidationInfo) -> Any:
    return value if info.context is STORED else json_copy(value)


T = TypeVar("T")

Json = Annotated[Any, AfterValidator(_json_value)]
"""Any JSON value; it comes back exactly as it went in."""

JsonObject = Annotated[dict[str, Any], AfterValidator(_json_value)]
"""A JSON object; it comes back exactly as it went in."""

Text = Annotated[str, StringConstraints(min_length=0)]
"""Text, limited only by the size of an item; may be empty.

The constraint makes pydantic check it for lone surrogates, which is fast."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARACTERS)]
"""An identifier, caller-supplied or generated: 1 to 256 characters, any Unicode."""

Time = Annotated[datetime, AfterValidator(_to_utc)]
"""An aware point in time, kept in UTC to the microsecond."""

Bytes = Annotated[bytes, Field(max_length=409_600)]
"""Binary data, limited only by the size of an item; may be empty."""

Number = Annotated[float, AfterValidator(_finite)]
"""A float that DynamoDB's number type can hold."""

Count = Annotated[int, Field(ge=0, le=10**30)]
"""A number of things, from 0."""

TextSet = Annotated[
    frozenset[Text],
    Field(max_length=10_000),
    # The order of a set changes from process to process; that of its JSON must not.
    PlainSerializer(sorted, return_type=list[str], when_used="json"),
]
"""A set of texts, stored as a DynamoDB set, so that additions are atomic.

In JSON it is a sorted list."""

Counters = Annotated[dict[Text, Count], Field(max_length=10_000)]
"""Named counters, stored as a DynamoDB map, so that each can be changed alone."""

if TYPE_CHECKING:
    Many = Sequence  # so that a type checker accepts a list; the value is always a tuple
else:
    Many = Annotated[tuple[T, ...], FailFast(), _ListIsTaken()]
"""A tuple; a list is accepted and converted."""


class Deadline:
    """Marks the field that is stored in the table's TTL attribute."""


ExpiresAt = Annotated[Time | None, Deadline()]
"""When the item expires for every reader, in whole seconds; None for never."""


class Derived:
    """Marks a field that is computed from others when it is read, and not stored."""
