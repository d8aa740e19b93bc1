"""What the checks of several domains share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from proof.evidence import Evidence, Violation, told
from proof.history import NEVER, Call
from proof.linear import Interval, Model, Undecided, is_linearizable

tally: Final[Counter[str]] = Counter()
"""The number of histories that were checked, and of those with too many possible orders."""


@dataclass(frozen=True, slots=True)
class Register:
    """An item that holds the last value written."""

    initial: str
    writes: str
    """The kind of the calls that write ``args["value"]``; others read ``result["value"]``."""

    def after(self, state: str, call: Call) -> Iterable[str]:
        """The values that it may hold after a call."""
        if call.kind == self.writes:
            return [call.args["value"]]
        return [state] if call.result["value"] == state else []


def linear(
    what: str, item: str, model: Model[Any, Call], calls: Iterable[Call], *, reads: Sequence[str]
) -> Iterator[Violation]:
    """Report calls on one item that cannot have happened one at a time.

    Reads without an answer tell nothing, and are left out; so are calls that were refused without
    telling why, because of throttling.
    """
    known = [
        call
        for call in calls
        if call.is_ok
        or (call.is_unknown and call.kind not in reads)
        or (call.outcome == "refused" and call.result is not None)
    ]
    intervals = [Interval(call.invoked, call.returned, call) for call in known]
    tally["histories"] += 1
    try:
        if not is_linearizable(model, intervals):
            text = f"{item} could not have answered so, one call at a time:{told(known, 40)}"
            yield Violation(f"history of a {what}", text)
    except Undecided:
        tally["undecided"] += 1


def as_sent(evidence: Evidence, calls: Iterable[Call]) -> Iterator[Call]:
    """The calls; before each call that was sent again, another that may have been effective.

    What is answered in the end may be what was seen later than what was done: the first try did
    it, its answer was lost, and a later try found it done and looked.
    """
    for call in calls:
        if call.resends or evidence.was_restarted(call):
            yield replace(call, outcome="unknown", returned=NEVER)
        yield call


def ordered(
    what: str,
    item: str,
    calls: Sequence[Call],
    place: Callable[[Call], tuple[str, str | None]],
) -> Iterator[Violation]:
    """Report a call that began after another had returned, but got an earlier position."""
    by_return = sorted(calls, key=lambda call: call.returned)
    highest: Call | None = None
    returned = 0
    for call in sorted(calls, key=lambda each: each.invoked):
        while returned < len(by_return) and by_return[returned].returned < call.invoked:
            other = by_return[returned]
            if highest is None or _last(place(other)) > _last(place(highest)):
                highest = other
            returned += 1
        if highest is not None and place(call)[0] <= _last(place(highest)):
            yield Violation(what, f"{item}: first{told([highest])}\n  then{told([call])}")


def _last(place: tuple[str, str | None]) -> str:
    return place[1] or place[0]
