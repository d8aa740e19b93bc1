"""Errors go from process to process: a worker's error reaches whoever waits for it, whole."""

import copy
import pickle
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core import errors
from dynamo_chat.core.errors import Conflict, DynamoChatError, InvalidArgument
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
    drawn = re.findall(r"(?:─ |^    )([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == [each.__name__ for each in ERRORS]


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
