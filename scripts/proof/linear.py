"""Whether a history of calls on one item could have happened one call at a time.

This is the algorithm of Wing and Gong with Lowe's memory: try each call that no other must precede,
depth first, and never continue from the same set of calls and the same state twice. A history is
linearizable if its calls have an order in which

* every call that returned before another began comes first,
* and each call's result is what the model gives in that order.

A call with an unknown outcome may be anywhere after its beginning, or nowhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from proof.history import NEVER

S = TypeVar("S", bound=Hashable)
C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)

MAX_CONFIGURATIONS = 300_000


class Model(Protocol[S, C_contra]):
    """What a single item does when calls come one at a time."""

    @property
    def initial(self) -> S:
        """The state before any call."""
        ...

    def after(self, state: S, call: C_contra) -> Iterable[S]:
        """The states that the item may be in after `call`; none if its result is impossible."""
        ...


@dataclass(frozen=True, slots=True)
class Interval(Generic[C]):
    """A call, and when it ran; without end if its outcome is unknown."""

    invoked: float
    returned: float
    call: C


class Undecided(Exception):
    """The history has too many possible orders to try them all."""


def is_linearizable(
    model: Model[S, C], history: Iterable[Interval[C]], *, most: int = MAX_CONFIGURATIONS
) -> bool:
    """True if `history` could have happened one call at a time. Undecided after `most` tries."""
    calls = sorted(history, key=lambda each: each.invoked)
    finished = _bits(place for place, each in enumerate(calls) if each.returned < NEVER)
    seen: set[tuple[int, S]] = set()
    stack: list[tuple[int, S]] = [(0, model.initial)]
    while stack:
        done, state = stack.pop()
        if done & finished == finished:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        if len(seen) > most:
            raise Undecided
        for place in _next(calls, done):
            for following in model.after(state, calls[place].call):
                reached = (done | 1 << place, following)
                if reached not in seen:
                    stack.append(reached)
    return False


def _next(calls: Sequence[Interval[C]], done: int) -> list[int]:
    """The remaining calls that no other remaining call must precede."""
    found: list[int] = []
    earliest = NEVER
    for place, each in enumerate(calls):
        if done >> place & 1:
            continue
        if each.invoked > earliest:
            break
        found.append(place)
        earliest = min(earliest, each.returned)
    return [place for place in found if calls[place].invoked <= earliest]


def _bits(places: Iterable[int]) -> int:
    return sum(1 << place for place in places)
