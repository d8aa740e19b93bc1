"""Gives an old record the types of its documented form, and says what was changed for that.

The form is a pydantic model of the row: the types of its fields are the rules. What differs only in
how it is written is converted (a number as text, a time in another form, ``Active`` for
``active``); an attribute that the document doesn't have is left out. Both are reported. What can't
be converted stays as it is, for the model to refuse.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.keys import format_time
from dynamo_chat.importing.migration.numerals import read_numeral
from dynamo_chat.importing.migration.times import TimeRules, read_time

Record = dict[str, Any]
_MOST_DIGITS: Final = 40


class Field(NamedTuple):
    """A field of a row's model: its names and its type."""

    attribute: str
    hint: Any


class Shaper:
    """Converts the values of one record. `changes` says what was done, once for each attribute."""

    def __init__(self, table: str, rules: TimeRules) -> None:
        self.changes: list[str] = []
        self._table = table
        self._rules = rules

    def shaped(self, model: type[BaseModel], record: Mapping[str, Any], path: str = "") -> Record:
        """The record with the attributes and types of `model`. InvalidArgument for a bad time."""
        fields = _fields(model)
        kept: Record = {}
        for name, value in record.items():
            at = f"{path}{name}"
            field = fields.get(name)
            if field is None:
                if value is not None:
                    self._say(at, "is not part of the document, and left out")
            elif value is not None:
                kept[field.attribute] = self._value(field.hint, value, at)
        return kept

    def _value(self, hint: Any, value: Any, at: str) -> Any:
        inner = _bare(hint)
        origin, arguments = typing.get_origin(inner), typing.get_args(inner)
        if isinstance(value, Mapping):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                return self.shaped(inner, value, f"{at}.")
            if origin is dict:
                return {key: self._value(arguments[1], each, at) for key, each in value.items()}
        elif isinstance(value, (list, tuple)) and origin is tuple:
            return [self._value(arguments[0], each, at) for each in value]
        elif origin is typing.Literal:
            return self._chosen(arguments, value, at)
        else:
            convert = self._conversions().get(inner)
            if convert is not None:
                return convert(value, at)
        return self._plain(value, at)

    def _conversions(self) -> Mapping[Any, Callable[[Any, str], Any]]:
        return {
            datetime: self._time,
            bool: self._flag,
            int: self._whole,
            float: self._float,
            Decimal: self._exact,
            str: self._text,
        }

    def _time(self, value: Any, at: str) -> str:
        try:
            moment, said = read_time(value, self._rules.zone_of(f"{self._table}.{at}"))
        except ValueError as error:
            raise InvalidArgument(at, str(error)) from None
        if said is not None:
            self._say(at, said)
        return format_time(moment)

    def _flag(self, value: Any, at: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
            return value
        number = _decimal(value)
        known = {"true": True, "false": False} if isinstance(value, str) else {}
        found = known.get(str(value).lower()) if known else None
        if found is None and number is not None and number in (0, 1):
            found = bool(number)
        if found is not None:
            self._say(at, "was read as true or false")
        return value if found is None else found

    def _whole(self, value: Any, at: str) -> Any:
        number = _decimal(value)
        if number is None or number != number.to_integral_value() or abs(number) > 10**31:
            return self._plain(value, at)
        if type(value) is not int:
            self._say(at, "was read as a whole number")
        return int(number)

    def _float(self, value: Any, at: str) -> Any:
        number = _decimal(value)
        if number is None or math.isinf(float(number)):
            return self._plain(value, at)
        if isinstance(value, str):
            self._say(at, "was read as a number")
        return float(number)

    def _exact(self, value: Any, at: str) -> Any:
        number = _decimal(value)
        if number is None:
            return value
        if isinstance(value, str):
            self._say(at, "was read as a number")
        return number

    def _text(self, value: Any, at: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return value
        self._say(at, "a number was read as text")
        return str(value)

    def _chosen(self, allowed: Sequence[Any], value: Any, at: str) -> Any:
        if isinstance(value, str) and value not in allowed:
            folded = value.strip().casefold()
            for each in allowed:
                if isinstance(each, str) and each.casefold() == folded:
                    self._say(at, f"was read as {each!r}")
                    return each
        return value

    def _plain(self, value: Any, at: str) -> Any:
        """A value of free JSON, without the decimals that JSON doesn't have."""
        if isinstance(value, Mapping):
            return {key: self._plain(each, at) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._plain(each, at) for each in value]
        if isinstance(value, Decimal):
            self._say(at, "a number with more digits than a float holds is kept as text")
            return str(value)
        return value

    def _say(self, at: str, what: str) -> None:
        said = f"{at}: {what}"
        if said not in self.changes:
            self.changes.append(said)


def time_of(
    table: str, record: Mapping[str, Any], attributes: Iterable[str], rules: TimeRules
) -> str:
    """The first of a record's attributes that is a time, as sortable text; empty without one."""
    for name in attributes:
        zone = rules.zone_of(f"{table}.{name}")
        try:
            return format_time(read_time(record.get(name), zone).moment)
        except ValueError:
            continue
    return ""


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, Field]:
    hints = typing.get_type_hints(model, include_extras=True)
    return {
        (info.alias or name): Field(info.alias or name, hints[name])
        for name, info in model.model_fields.items()
    }


def _bare(hint: Any) -> Any:
    """A type without ``Annotated`` and ``| None`` around it."""
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif origin in (types.UnionType, typing.Union):
            kept = [each for each in typing.get_args(hint) if each is not type(None)]
            if len(kept) != 1:
                return hint
            hint = kept[0]
        else:
            return hint


def _decimal(value: Any) -> Decimal | None:
    """A number, or a number written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    if isinstance(value, str) and len(value) > _MOST_DIGITS:
        return None
    try:
        return read_numeral(value.strip() if isinstance(value, str) else value)
    except ValueError:
        return None
