"""Every public argument of a store, found by introspection, and values that are costly to check.

A method's arguments come from its signature, those of a model from its fields; nothing is listed
here, so what is new is covered by itself. Calls are answered from the image of a table (`image`) on
which every condition holds, so that they go as far as they can.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Final, Literal

from pydantic import BaseModel

from dynamo_chat import ChatStore
from dynamo_chat.catalogue import repositories
from dynamo_chat.core.entity import UNCHANGED
from dynamo_chat.core.patterns import declared_pattern
from dynamo_chat.testing.clock import FakeClock
from fuzzing.corpus import VICTIM, town
from fuzzing.image import Table
from tooling.everything import PERIOD, Everything

LEFT_OUT: Final = ("table",)
"""The operator's methods, which no stranger can call."""
CHAT: Final = ("conversations.", "messages.", "states.", "reviews.")
DEEP: Final = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """An argument of a method, or a field of a model that is one."""

    method: str
    argument: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.method}({self.argument}{'.' if self.field else ''}{self.field})"


# -- values -------------------------------------------------------------------------------------

Make = Callable[[int], Any]
"""A function that makes a value of about this many characters or bytes."""


def _nested(size: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(min(size, DEEP)):
        value = make(value)
    return value


def _within_itself(_: int) -> Any:
    value: list[Any] = []
    value.append(value)
    return value


TEXTS: Final[Mapping[str, Make]] = {
    "letters": lambda size: "a" * size,
    "capital sigmas": lambda size: "\u03a3" * size,
    "distinct CJK": lambda size: "".join(map(chr, range(0x4E00, 0x9E00))) * (size // 20_480 + 1),
    "combining marks": lambda size: "a" + "\u0301\u0327" * (size // 2),
    "what NFKC makes longer": lambda size: "\ufdfa" * size,
    "NULs": lambda size: "\0" * size,
    "what keys escape": lambda size: "$#" * (size // 2),
    "lone surrogates": lambda size: "a" * size + "\ud800",
    "an address, long in front": lambda size: "a" * size + "@example.com",
    "an address of CJK": lambda size: (
        "a@" + "".join(map(chr, range(0x4E00, 0x9E00)))[:size] + ".com"
    ),
    "an address of labels": lambda size: "a@" + "\u00e9." * (size // 2) + "com",
    "an address in punycode": lambda size: "a@xn--" + "b" * size + ".com",
    "dots and at signs": lambda size: ".@" * (size // 2),
    "a store's own id": lambda size: "a" * size + "~01KF0000000000000000000000",
    "digits": lambda size: "9" * size,
    "base64": lambda size: "AAAA" * (size // 4),
    "control characters": lambda size: "\u202e\x1b[31m" * (size // 6),
}
NUMBERS: Final[Mapping[str, Make]] = {
    "an integer of 5,000 digits": lambda _: 10**5_000,
    "a negative one": lambda _: -(10**5_000),
    "an integer of as many bits": lambda size: 1 << (8 * size),
    "a huge float": lambda _: 1.7e308,
    "a tiny float": lambda _: 5e-324,
    "infinity": lambda _: float("-inf"),
    "no number": lambda _: float("nan"),
    "a decimal with a huge exponent": lambda _: Decimal("1E+999999999"),
    "a decimal of as many digits": lambda size: Decimal((0, (9,) * min(size, 1_000_000), 0)),
    "a signalling decimal": lambda _: Decimal("sNaN"),
}
TREES: Final[Mapping[str, Make]] = {
    "empty lists": lambda size: [[]] * size,
    "empty lists in an object": lambda size: {"a": [[]] * size},
    "deep lists": lambda size: _nested(size, lambda inner: [inner]),
    "deep objects": lambda size: _nested(size, lambda inner: {"a": inner}),
    "deep in an object": lambda size: {"a": _nested(size, lambda inner: [inner])},
    "a list within itself": _within_itself,
    "many keys": lambda size: {str(n): None for n in range(size // 8)},
    "a long key": lambda size: {"k" * size: 1},
    "a long text": lambda size: {"a": "\u4e00" * size},
    "a list of texts": lambda size: ["a" * 10] * (size // 10),
    "a list of long texts": lambda size: ["\u4e00" * size],
    "a set of texts": lambda size: {str(n) for n in range(size // 8)},
    "long integers": lambda size: {"a": [10**5_000] * (size // 5_000 + 1)},
    "a huge number in an object": lambda size: {"a": 1 << (8 * size)},
    "surrogates in an object": lambda size: {"a": "a" * size + "\ud800"},
    "huge numbers by name": lambda _: {"a": 1.7e308, "b": float("nan")},
}
TIMES: Final[Mapping[str, Make]] = {
    "the last moment": lambda _: datetime.max.replace(tzinfo=UTC),
    "the first moment": lambda _: datetime.min.replace(tzinfo=UTC),
    "a moment without zone": lambda _: datetime(2026, 1, 1),  # noqa: DTZ001 - that is the point
    "all the time there is": lambda _: timedelta.max,
    "less than none": lambda _: timedelta.min,
}
VALUES: Final[Mapping[str, Make]] = {**TEXTS, **NUMBERS, **TREES, **TIMES}
SIZED: Final = (*TEXTS, *TREES, "an integer of as many bits", "a decimal of as many digits")
"""The values that grow with their size."""


# -- places -------------------------------------------------------------------------------------


@cache
def methods() -> Mapping[str, Any]:
    """Every method of the catalogue, by name, and the constructor of a store."""
    found: dict[str, Any] = {"ChatStore": ChatStore.__init__}
    for name, repository in repositories().items():
        if name.split(".")[0] not in LEFT_OUT:
            for method, called in inspect.getmembers(repository, inspect.isfunction):
                if declared_pattern(called) is not None:
                    found[f"{name}.{method}"] = called
    return found


def places() -> Iterator[Place]:
    """Every argument of `methods`, and every field of those that are models."""
    for name, method in methods().items():
        for argument, annotation in _arguments(method).items():
            yield Place(name, argument)
            for model in _models(annotation):
                for field in model.model_fields:
                    yield Place(name, argument, field)


@cache
def _arguments(method: Any) -> dict[str, Any]:
    """The arguments of a method, by name, with their types."""
    inner = inspect.unwrap(method)
    scope = {**vars(typing), **vars(sys.modules[inner.__module__])}
    return {
        each.name: _type(each.annotation, scope)
        for each in inspect.signature(inner).parameters.values()
        if each.name != "self"
    }


def _type(annotation: Any, scope: Mapping[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(scope))  # noqa: S307 - this project's own annotations
    except NameError:  # imported for type checkers alone
        return Any


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an argument may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


# -- calls --------------------------------------------------------------------------------------


class _Luck(Random):
    """Dice with which every condition holds."""

    def random(self) -> float:
        return 1.0


class Arena:
    """A store whose calls are answered at once, and valid arguments for each method."""

    def __init__(self) -> None:
        scene = town()
        self._image = scene.image
        self.table = Table()
        self.store = ChatStore("fuzzing", region="eu-west-1", clock=FakeClock(scene.now))
        self.store.connection.call = self.table.call  # type: ignore[method-assign]
        self._ids = _known(Everything.named(VICTIM))

    def call(self, place: Place, value: Any) -> object:
        """Call the method with `value` in this place, and valid values everywhere else."""
        given = self._given(place, value)
        if place.method == "ChatStore":
            return ChatStore(**{**given, "table_name": given.get("table_name") or "fuzzing"})
        self.table.show(self._image, {}, 0)
        self.table._dice = _Luck()  # noqa: SLF001 - what is looked for lies behind the conditions
        self.store._snapshots._known.clear()  # noqa: SLF001 - a call knows nothing of others
        return self.method(place.method)(**given)

    def method(self, name: str) -> Callable[..., object]:
        """A method of the store, by its name."""
        found: Any = self.store
        for part in name.split("."):
            found = getattr(found, part)
        return typing.cast("Callable[..., object]", found)

    def plain(self, method: str) -> object:
        """The call with valid values only."""
        return self.call(Place(method, ""), None)

    def _given(self, place: Place, value: Any) -> dict[str, Any]:
        called = methods()[place.method]
        found = inspect.signature(called).parameters
        annotations = _arguments(called)
        given = {
            name: self._usual(name, annotation, place.method)
            for name, annotation in annotations.items()
            if found[name].default is inspect.Parameter.empty
        }
        stays = [name for name in annotations if found[name].default is UNCHANGED]
        if stays:  # an update of nothing is refused
            given[stays[0]] = self._usual(stays[0], annotations[stays[0]], place.method)
        if place.field:
            (model, *_) = _models(annotations[place.argument])
            value = model(**{**_fields(model), place.field: value})
        if place.argument:
            given[place.argument] = value
        return given

    def _usual(self, name: str, annotation: Any, method: str) -> Any:
        if name == "conversation_id" and not method.startswith(CHAT):
            return self._ids["thread_id"]
        known = self._ids.get(name)
        models = _models(annotation)
        if known is None or (models and not isinstance(known, tuple(models))):
            return plain_value(annotation, name)
        return known


def _known(ids: Everything) -> dict[str, Any]:
    """Values for arguments with common names."""
    found = {name: getattr(ids, name) for name in Everything.__dataclass_fields__}
    return {
        **found,
        "message_id": ids.brought_id,
        "response_id": ids.brought_response_id,
        "login": next(_logins()),
        "period": PERIOD,
        "owner_id": ids.user_id,
        "heir_id": f"friend-{ids.user_id}",
        "user_a": ids.user_id,
        "user_b": f"friend-{ids.user_id}",
        "reviewed_by": ids.user_id,
        "invited_by": ids.user_id,
        "email": f"{ids.user_id}@example.com",
        "response_email": f"r-{ids.user_id}@example.com",
        "until": datetime(2027, 1, 1, tzinfo=UTC),
    }


def _logins() -> Iterator[Any]:
    from dynamo_chat.core.item import plan
    from dynamo_chat.identity.logins import LoginSession

    for item in town().image.items.values():
        if item["kind"] == {"S": LoginSession.layout.kind}:
            yield plan(LoginSession).decode(dict(item))


@cache
def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The smallest valid set of fields of a model."""
    return {
        name: plain_value(field.annotation, name)
        for name, field in model.model_fields.items()
        if field.is_required()
    }


def plain_value(annotation: Any, name: str = "") -> Any:
    """A harmless value of this type."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return plain_value(parts[0], name)
    if origin is Literal:
        return parts[0]
    if origin is typing.Union or isinstance(annotation, types.UnionType):
        return plain_value(parts[0], name)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation(**_fields(annotation))
    if origin in {Sequence, list, tuple}:
        return [plain_value(parts[0])]
    if origin in {Mapping, dict}:
        return {}
    plain: dict[Any, Any] = {
        str: f"{name or 'a'}@example.com" if name.endswith("email") else "a",
        int: 1,
        float: 1.0,
        bool: True,
        Decimal: Decimal(1),
        datetime: datetime(2026, 1, 1, tzinfo=UTC),
        timedelta: timedelta(days=1),
    }
    return plain.get(annotation, {})
