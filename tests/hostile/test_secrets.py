"""What a caller gave wrongly is in no error, no traceback and no log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from pydantic import ValidationError

import dynamo_chat
from dynamo_chat.core.entity import Model
from dynamo_chat.core.errors import InvalidArgument, InvalidKey
from fuzzing.hostile import Arena, Place, methods, places, plain_value
from tests.places import modules

SECRET = "hunter2-Pa55phrase"
QUOTED = {"time_zone"}
"""A name that nobody knows is quoted, like an id that was not found."""


class Odd:
    """What no field takes."""

    def __repr__(self) -> str:
        return SECRET

    __str__ = __repr__


WRONG: dict[str, Any] = {
    "a text": SECRET,
    "a text with a lone surrogate": f"{SECRET}\ud800",
    "a long text": SECRET * 20_000,
    "bytes": SECRET.encode(),
    "a list": [SECRET, {"a": SECRET}],
    "an object": {"a": SECRET},
    "an object with a key that is none": {"a": {1: SECRET}},
    "a set": {SECRET},
    "something else": Odd(),
}
"""Keys are no secrets: an error names the field that is wrong by its path."""


def models() -> Iterator[type[Model]]:
    """Every model of the package, also those that nobody makes by hand."""
    for module in modules():
        import_module(module)
    waiting = [Model]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if model.__module__.startswith(f"{dynamo_chat.__name__}.") and model.model_fields:
            yield model


MODELS = sorted(set(models()), key=lambda model: f"{model.__module__}.{model.__name__}")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_field_is_never_shown(model: type[Model], caplog: pytest.LogCaptureFixture) -> None:
    """However wrong it is; whichever way the model is made."""
    caplog.set_level(logging.DEBUG)
    usual = {
        name: plain_value(field.annotation, name)
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    for name in model.model_fields:
        for value in WRONG.values():
            for make in (model, model.model_validate):
                given = {**usual, name: value}
                shown = complaint(lambda make=make, given=given: _made(make, given))
                assert SECRET not in shown, shown
    assert SECRET not in caplog.text


@pytest.mark.once
@pytest.mark.parametrize("method", methods())
def test_an_argument_is_never_shown(method: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dynamo_chat")
    arena = Arena()
    for place in places():
        if place.method == method and place.argument not in QUOTED:
            for value in WRONG.values():
                shown = complaint(lambda place=place, value=value: arena.call(place, value))
                assert SECRET not in shown, f"{place}: {shown}"
    assert SECRET not in caplog.text


def complaint(call: Any) -> str:
    """All that is said of a wrong argument, and of what led to it."""
    try:
        call()
    except (InvalidArgument, ValidationError) as error:
        said = [*traceback.format_exception(error)]
        link: BaseException | None = error
        while link is not None:
            said += [str(link), repr(link), repr(link.args)]
            link = link.__cause__ or link.__context__
        return "\n".join([*said, repr(vars(error))])
    except dynamo_chat.DynamoChatError:
        return ""  # an id that was not found is named
    return ""


def _made(make: Any, given: dict[str, Any]) -> object:
    return make(given) if getattr(make, "__name__", "") == "model_validate" else make(**given)


def test_it_would_be_seen() -> None:
    def shows() -> None:
        raise InvalidKey("name", f"must not be {SECRET}")

    assert SECRET in complaint(shows)
    assert len(MODELS) > 40
    assert Place("users.create", "email") in set(places())
