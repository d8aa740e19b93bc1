"""The linearizability checker, on histories that are and are not, and against trying everything."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import pytest
from hypothesis import given, strategies as st

from proof.linear import Interval, Undecided, is_linearizable

NEVER = math.inf


class Op(NamedTuple):
    """A write of a value, or a read that saw it."""

    writes: bool
    value: int


class Register:
    """What was written last; 0 in the beginning."""

    initial = 0

    def after(self, state: int, call: Op) -> Iterable[int]:
        if call.writes:
            return [call.value]
        return [state] if call.value == state else []


def write(value: int, invoked: float, returned: float = NEVER) -> Interval[Op]:
    return Interval(invoked, returned, Op(True, value))


def read(value: int, invoked: float, returned: float) -> Interval[Op]:
    return Interval(invoked, returned, Op(False, value))


LINEARIZABLE = {
    "nothing": [],
    "one after another": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read during a write sees the old": [write(1, 0, 10), read(0, 1, 2)],
    "a read during a write sees the new": [write(1, 0, 10), read(1, 1, 2)],
    "first the old, then the new": [write(1, 0, 10), read(0, 1, 2), read(1, 3, 4)],
    "two writes at once, in either order": [write(1, 0, 5), write(2, 0, 5), read(1, 6, 7)],
    "a write without an answer happened late": [write(1, 0), read(0, 1, 2), read(1, 8, 9)],
    "a write without an answer never happened": [write(1, 0), read(0, 1, 2), read(0, 8, 9)],
    "reads that overlap may see both": [write(1, 0, 10), read(1, 1, 4), read(0, 2, 3)],
}
NOT_LINEARIZABLE = {
    "a write that had returned is not seen": [write(1, 0, 1), read(0, 2, 3)],
    "what nobody wrote is seen": [read(7, 0, 1)],
    "first the new, then the old": [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)],
    "what is written later is seen": [read(1, 0, 1), write(1, 2, 3)],
    "a write comes back": [
        write(1, 0, 1),
        write(2, 2, 3),
        read(2, 4, 5),
        read(1, 6, 7),
    ],
    "a write without an answer is undone": [write(1, 0), read(1, 1, 2), read(0, 3, 4)],
    "two readers disagree on the order": [
        write(1, 0, 20),
        write(2, 0, 20),
        read(1, 1, 2),
        read(2, 3, 4),
        read(1, 5, 6),
    ],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_histories_that_are(name: str) -> None:
    assert is_linearizable(Register(), LINEARIZABLE[name])


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_histories_that_are_not(name: str) -> None:
    assert not is_linearizable(Register(), NOT_LINEARIZABLE[name])


@st.composite
def histories(draw: st.DrawFn) -> list[Interval[Op]]:
    calls = []
    for _ in range(draw(st.integers(0, 5))):
        invoked = draw(st.integers(0, 8))
        op = Op(draw(st.booleans()), draw(st.integers(0, 2)))
        lost = op.writes and draw(st.booleans())
        returned = NEVER if lost else invoked + draw(st.integers(0, 5)) + 0.5
        calls.append(Interval(float(invoked), float(returned), op))
    return calls


@given(histories())
def test_it_decides_as_trying_every_order_does(history: list[Interval[Op]]) -> None:
    assert is_linearizable(Register(), history) == by_trying(history)


def by_trying(history: Sequence[Interval[Op]]) -> bool:
    """Every subset of the calls without an answer, in every order."""
    known = [each for each in history if each.returned < NEVER]
    lost = [each for each in history if each.returned == NEVER]
    return any(
        fits(order)
        for count in range(len(lost) + 1)
        for some in combinations(lost, count)
        for order in permutations([*known, *some])
    )


def fits(order: Sequence[Interval[Op]]) -> bool:
    state = 0
    for place, each in enumerate(order):
        if any(later.returned < each.invoked for later in order[place + 1 :]):
            return False
        if not each.call.writes and each.call.value != state:
            return False
        state = each.call.value
    return True


def test_a_history_with_too_many_orders_is_undecided() -> None:
    """Twenty writes without an answer, and a read of what nobody wrote."""
    history = [write(value, 0) for value in range(20)] + [read(99, 1, 2)]
    with pytest.raises(Undecided):
        is_linearizable(Register(), history, most=1_000)


def test_a_long_history_takes_no_time() -> None:
    """Four clients, one after another each, as a round records them."""
    history = [write(value, value, value + 3.5) for value in range(600)]
    history.append(read(599, 700, 701))
    assert is_linearizable(Register(), history)
