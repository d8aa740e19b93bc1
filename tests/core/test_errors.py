"""Errors go from process to process: a worker's error reaches whoever waits for it, whole."""

import ast
import copy
import pickle
import re
import typing
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import dynamo_chat
from dynamo_chat.core import errors
from dynamo_chat.core.clock import seconds_until
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import Conflict, DynamoChatError, InvalidArgument, NotFound
from tests.core.things import Thing


def _all_below(kind: type[DynamoChatError]) -> Iterator[type[DynamoChatError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_below(below)


ERRORS = sorted(
    {each for each in _all_below(DynamoChatError) if each.__module__ == errors.__name__},
    key=lambda each: each.__name__,
)
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "the oldest pickle": lambda error: pickle.loads(pickle.dumps(error, 0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
# What an argument of this annotation may be. One without any is a text.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(max_size=20),
    "int": st.integers(),
    "int | None": st.none() | st.integers(),
    "Any": st.none() | st.builds(Thing, group=st.just("g"), name=st.just("n")),
    "Mapping[str, Any] | None": st.none() | st.dictionaries(st.text(max_size=9), st.integers()),
}


def made(kind: type[DynamoChatError]) -> st.SearchStrategy[DynamoChatError]:
    """Any error of this class."""
    if kind.__init__ is DynamoChatError.__init__:
        return st.builds(kind, VALUES["str"])
    hints = typing.cast("dict[str, str]", kind.__init__.__annotations__)
    return st.builds(kind, **{n: VALUES[hint] for n, hint in hints.items() if n != "return"})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ERRORS)
@settings(max_examples=10)  # of each class, in each way
@given(data=st.data())
def test_an_error_survives(kind: type[DynamoChatError], way: str, data: st.DataObject) -> None:
    """Its class, its text and everything it carries."""
    error = data.draw(made(kind))
    error.add_note("a note")
    came = WAYS[way](error)
    assert type(came) is kind
    assert came is not error
    assert (str(came), came.args, vars(came)) == (str(error), error.args, vars(error))


def test_every_class_of_the_tree_is_tried() -> None:
    tree, *_ = (errors.__doc__ or "").split("A Conflict that is about")
    drawn = re.findall(r"(?:─ |^    )([A-Z]\w+)", tree, re.MULTILINE)
    assert sorted(drawn) == [each.__name__ for each in ERRORS]


def _of_one_kind() -> dict[str, type[DynamoChatError]]:
    """The classes of conflicts that domains define, by name."""
    root = Path(dynamo_chat.__file__).parent
    for domain in ("calls", "chat", "identity", "limits", "mail", "orgs", "telemetry"):
        for file in (root / domain).glob("*.py"):
            import_module(f"dynamo_chat.{domain}.{file.stem}")
    return {
        each.__name__: each
        for each in _all_below(Conflict)
        if each.__module__.startswith("dynamo_chat.") and each not in ERRORS
    }


def test_each_class_about_one_kind_is_listed_public_and_typed() -> None:
    """Whoever catches it knows what ``current`` is, and so does a type checker."""
    _, listed = (errors.__doc__ or "").split("A Conflict that is about")
    classes = _of_one_kind()
    assert len(classes) > 20
    for name, each in classes.items():
        assert each.__name__ in listed
        assert getattr(dynamo_chat, name) is each
        told = typing.get_type_hints(each)["current"]
        kinds = [kind for kind in typing.get_args(told) or (told,) if kind is not NoneType]
        assert kinds
        assert all(issubclass(kind, Entity) for kind in kinds)


def test_a_conflict_with_an_entity_is_raised_as_the_class_for_it() -> None:
    """Not as its base, of whose ``current`` a type checker knows nothing."""
    bases = {each.__name__ for each in ERRORS if issubclass(each, Conflict)}
    root = Path(dynamo_chat.__file__).parent
    # An application's own kinds have no class of the package's.
    files = set(root.rglob("*.py")) - set((root / "entities").rglob("*.py"))
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                carries = len(node.args) > 1 or node.keywords
                assert not (node.func.id in bases and carries), f"{file}:{node.lineno}"


def test_every_error_has_the_status_of_a_web_service_s_answer() -> None:
    statuses = {each.__name__: each.http_status for each in ERRORS}
    assert {name for name, status in statuses.items() if status < 500} == {
        each.__name__ for each in ERRORS if issubclass(each, (InvalidArgument, NotFound, Conflict))
    }
    assert (statuses["NotFound"], statuses["InvalidCursor"], statuses["ItemTooLarge"]) == (
        404,
        400,
        413,
    )
    assert (statuses["AlreadyExists"], statuses["LimitExceeded"]) == (409, 429)
    assert (statuses["Throttled"], statuses["AccessDenied"]) == (503, 500)


def test_a_throttled_call_may_be_tried_again_after_a_second() -> None:
    assert errors.Throttled("slow down").retry_after == 1
    assert errors.AccessDenied("no").retry_after is None
    assert errors.LimitExceeded("full").retry_after is None
    assert errors.LimitExceeded("full", None, 30).retry_after == 30


@pytest.mark.parametrize(
    ("microseconds", "seconds"),
    [(-5_000_000, 1), (0, 1), (1, 1), (1_000_000, 1), (1_000_001, 2), (59_999_999, 60)],
)
def test_seconds_until_a_moment_are_rounded_up(microseconds: int, seconds: int) -> None:
    """Who waits so long does not come too early."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert seconds_until(now + timedelta(microseconds=microseconds), now) == seconds


def test_a_class_of_a_user_s_own_survives() -> None:
    """Whatever its constructor takes."""
    error = OverBudget("t-1", spent=3)
    for way in WAYS.values():
        assert (way(error).spent, str(way(error))) == (3, "budget of t-1: spent")


class OverBudget(Conflict):
    """An error of a program that builds on the package."""

    def __init__(self, team: str, *, spent: int) -> None:
        super().__init__(f"budget of {team}: spent")
        self.spent = spent


def test_an_error_without_a_constructor_call_is_refused_as_before() -> None:
    """Only pickle and copy make errors without their arguments."""
    with pytest.raises(TypeError):
        InvalidArgument()  # type: ignore[call-arg]
