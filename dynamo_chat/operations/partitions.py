"""A model of DynamoDB's partitions: which calls are throttled, and what a split changes.

    run = simulate([Flow("vote", (Leg("table", "write", 2, (newest("POLL#1"),)),), rate=1_500)], 60)
    run.courses["vote"].done[-1]        # 1,000 of the 1,500 calls of the last second

It has only what AWS has published, and one assumption, `SPLIT_AFTER`. Whole numbers and no chance:
the same flows give the same run.

A position is the hash of a partition key and, below it, the place of the sort key: 32 bits each. A
partition is a range of positions; a flow's calls fall evenly into spans of them. Units are counted
in halves, because half a unit is the least that a read costs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from dynamo_chat.core.errors import InvalidArgument

Kind = Literal["write", "read"]
Cause = tuple[str, Kind, Literal["partition", "capacity"]]
"""Where calls were refused: the place, what ran out, and whether of a partition or of the whole."""

PARTITION_UNITS: Final[Mapping[Kind, int]] = {"write": 1_000, "read": 3_000}
"""The units of one partition a second."""
ON_DEMAND_UNITS: Final[Mapping[Kind, int]] = {"write": 4_000, "read": 12_000}
"""The units of a new table on demand a second."""
ON_DEMAND_PARTITIONS: Final = 4
BURST_SECONDS: Final = 300
"""How many seconds of unused provisioned capacity are kept."""
DOUBLING_SECONDS: Final = 1_800
"""How long a peak takes to become what a table on demand may double."""
SPLIT_AFTER: Final = 300
"""An assumption: a partition is split after so many seconds in a row in which it throttles."""

_SORT: Final = 1 << 32
_END: Final = _SORT * _SORT
HALVES: Final = 2


class Span(NamedTuple):
    """Positions from `start` to before `stop`."""

    start: int
    stop: int


EVERYWHERE: Final = Span(0, _END)
"""Keys whose hashes spread evenly, such as those of many users."""


def spread(key: str) -> Span:
    """The positions of one partition key, whose sort keys are written and read evenly."""
    return Span(_hash(key) * _SORT, (_hash(key) + 1) * _SORT)


def newest(key: str) -> Span:
    """The last position of one partition key, where each sort key is above the ones before."""
    return Span(spread(key).stop - 1, spread(key).stop)


def item(key: str, sort: str = "") -> Span:
    """The position of one item."""
    start = spread(key).start + _hash(sort)
    return Span(start, start + 1)


class Leg(NamedTuple):
    """What one call uses in one place."""

    place: str
    """``table`` or the index."""
    kind: Kind
    halves: int
    """Half units."""
    spans: tuple[Span, ...]
    """Where; a call falls into one of them, each as often as the others. All have one length."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Calls of one kind, `rate` in each second from `start` to before `until`.

    A call is refused if one of its legs is. So a write waits for the indexes, too.
    """

    name: str
    legs: tuple[Leg, ...]
    rate: int
    start: int = 0
    until: int | None = None
    is_retried: bool = False
    """True if a refused call is tried again a second later, until it is done."""
    at_once: int | None = None
    """The most calls that are tried in one second, as by a few workers; the others wait."""

    def __post_init__(self) -> None:
        for leg in self.legs:
            most = PARTITION_UNITS[leg.kind] * HALVES
            if not 0 < leg.halves <= most:
                raise InvalidArgument("legs", f"must have 1 to {most:,} half units")
            if len({each.stop - each.start for each in leg.spans}) != 1:
                raise InvalidArgument("legs", "must have spans of one length")

    def arrivals(self, second: int) -> int:
        """New calls in this second."""
        return self.rate if self.start <= second < (self.until or second + 1) else 0


@dataclass(slots=True)
class Course:
    """The calls of a flow in each second."""

    offered: list[int] = field(default_factory=list)
    """New ones, and those that are tried again."""
    done: list[int] = field(default_factory=list)
    causes: Counter[Cause] = field(default_factory=Counter)
    """How many calls were refused where. A call that is refused twice counts twice."""

    @property
    def refused(self) -> int:
        """Refusals in all seconds."""
        return sum(self.offered) - sum(self.done)

    @property
    def clear_after(self) -> int | None:
        """The first second from which on no call is refused; None if there is none."""
        pairs = enumerate(zip(self.offered, self.done, strict=True))
        after = max((second + 1 for second, (offered, done) in pairs if done < offered), default=0)
        return after if after < len(self.offered) else None

    @property
    def over_after(self) -> int:
        """The first second from which on no call is done."""
        return max((second + 1 for second, done in enumerate(self.done) if done), default=0)


@dataclass(frozen=True, slots=True)
class Run:
    """What a simulation found."""

    courses: Mapping[str, Course]
    """By the names of the flows."""
    partitions: Mapping[str, int]
    """How many each place has at the end."""


def simulate(
    flows: Sequence[Flow],
    seconds: int,
    provisioned: Mapping[Kind, int] | None = None,
    *,
    saved: int = 0,
) -> Run:
    """Run these flows on a new table, on demand unless units a second are `provisioned`.

    Each index has the capacity of the table. `saved` is for how many seconds a provisioned table
    was idle before.
    """
    places = {leg.place: _Place(provisioned, saved) for flow in flows for leg in flow.legs}
    courses = {flow.name: Course() for flow in flows}
    waiting = dict.fromkeys(courses, 0)
    for second in range(seconds):
        calls = {}
        for flow in flows:
            waiting[flow.name] += flow.arrivals(second)
            most = waiting[flow.name] if flow.at_once is None else flow.at_once
            calls[flow.name] = min(waiting[flow.name], most)
        for name, place in places.items():
            place.ask(
                (leg, calls[flow.name]) for flow in flows for leg in flow.legs if leg.place == name
            )
        for flow in flows:
            done = _settle(flow, calls[flow.name], courses[flow.name], places)
            waiting[flow.name] -= done if flow.is_retried else calls[flow.name]
        for place in places.values():
            place.pass_second(second)
    return Run(courses, {name: len(place.bounds) - 1 for name, place in places.items()})


def _settle(flow: Flow, calls: int, course: Course, places: Mapping[str, _Place]) -> int:
    """Let as many calls through as every leg can take, and note which leg took the fewest."""
    taken = [(*places[leg.place].can_take(leg, calls), leg) for leg in flow.legs]
    done, reason, narrowest = min(taken, key=lambda each: each[0])
    course.offered.append(calls)
    course.done.append(done)
    if done < calls:
        course.causes[narrowest.place, narrowest.kind, reason] += calls - done
    for leg in flow.legs:
        places[leg.place].use(leg, done)
    return done


class _Place:
    """The table or an index: its partitions, and what it may use in a second."""

    def __init__(self, provisioned: Mapping[Kind, int] | None, saved: int) -> None:
        number = ON_DEMAND_PARTITIONS
        if provisioned is not None:
            parts = (Fraction(provisioned[kind], most) for kind, most in PARTITION_UNITS.items())
            number = max(1, -(-sum(parts, Fraction(0)) // 1))
        self.bounds = [_END * each // number for each in range(number + 1)]
        self._is_on_demand = provisioned is None
        units = ON_DEMAND_UNITS if provisioned is None else provisioned
        self._rate = {kind: units[kind] * HALVES for kind in units}
        kept = min(saved, BURST_SECONDS)
        self._saved = {kind: rate * kept for kind, rate in self._rate.items()}
        self._used: Counter[Kind] = Counter()
        self._peak: Counter[Kind] = Counter()
        self._asked: list[tuple[Leg, int]] = []
        self._heat: dict[int, int] = {}
        """Seconds in a row in which a partition throttled, by its start."""
        self._weights: dict[tuple[Span, ...], list[int]] = {}

    def ask(self, asked: Iterable[tuple[Leg, int]]) -> None:
        """All that is asked for in this second."""
        self._asked = list(asked)
        self._demand: dict[Kind, list[int]] = {
            kind: [0] * (len(self.bounds) - 1) for kind in PARTITION_UNITS
        }
        for leg, calls in self._asked:
            for number, part in enumerate(self._parts(leg, calls)):
                self._demand[leg.kind][number] += part * leg.halves

    def can_take(self, leg: Leg, calls: int) -> tuple[int, Literal["partition", "capacity"]]:
        """How many of these calls, and what limits them. Each flow gets its share."""
        most, demand = PARTITION_UNITS[leg.kind] * HALVES, self._demand[leg.kind]
        by_partitions = sum(
            part * most // demand[number] if demand[number] > most else part
            for number, part in enumerate(self._parts(leg, calls))
        )
        held = self._rate[leg.kind] + self._saved[leg.kind]
        wanted = sum(min(each, most) for each in demand)
        if wanted <= held:
            return by_partitions, "partition"
        return by_partitions * held // wanted, "capacity"

    def use(self, leg: Leg, calls: int) -> None:
        """Note what these calls use."""
        self._used[leg.kind] += calls * leg.halves

    def pass_second(self, second: int) -> None:
        """Save what was not used, grow, and split what was too hot for long."""
        for kind, rate in self._rate.items():
            used = self._used[kind]
            self._peak[kind] = max(self._peak[kind], used)
            if self._is_on_demand:
                if (second + 1) % DOUBLING_SECONDS == 0:
                    self._rate[kind] = max(rate, 2 * self._peak[kind])
            else:
                left = self._saved[kind] + rate - used
                self._saved[kind] = max(0, min(left, rate * BURST_SECONDS))
        self._used.clear()
        self._split_hot()

    def _split_hot(self) -> None:
        hot: dict[int, list[Kind]] = {}
        for kind, demand in self._demand.items():
            for start, each in zip(self.bounds, demand, strict=False):
                if each > PARTITION_UNITS[kind] * HALVES:
                    hot.setdefault(start, []).append(kind)
        self._heat = {start: self._heat.get(start, 0) + 1 for start in hot}
        for start in [each for each, heat in self._heat.items() if heat >= SPLIT_AFTER]:
            self._heat[start] = 0
            stop = self.bounds[self.bounds.index(start) + 1]
            cuts = (self._cut(start, stop, kind) for kind in hot[start])
            if cut := next((each for each in cuts if each is not None), None):
                self.bounds = sorted([*self.bounds, cut])
                self._weights.clear()

    def _cut(self, start: int, stop: int, kind: Kind) -> int | None:
        """Where both sides get about half of the calls; None if one side would get them all."""

        def below(end: int) -> Fraction:
            found = Fraction(0)
            for leg, calls in self._asked:
                if leg.kind == kind:
                    length = sum(each.stop - each.start for each in leg.spans)
                    share = _overlap(leg.spans, start, end)
                    found += Fraction(calls * leg.halves * share, length)
            return found

        whole, low, high = below(stop), start, stop
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if 2 * below(middle) < whole else (low, middle)
        cuts = [each for each in (low - 1, low) if start < each < stop and 0 < below(each) < whole]
        return min(cuts, key=lambda each: abs(2 * below(each) - whole), default=None)

    def _parts(self, leg: Leg, calls: int) -> Iterable[int]:
        """How many of these calls fall into each partition: whole ones, and all of them."""
        if leg.spans not in self._weights:
            self._weights[leg.spans] = [0] + [
                _overlap(leg.spans, 0, stop) for stop in self.bounds[1:]
            ]
        weights = self._weights[leg.spans]
        return (
            calls * after // weights[-1] - calls * before // weights[-1]
            for before, after in pairwise(weights)
        )


def _overlap(spans: Sequence[Span], start: int, stop: int) -> int:
    return sum(max(0, min(each.stop, stop) - max(each.start, start)) for each in spans)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
