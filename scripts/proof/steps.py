"""What a worker can do, and the plan that is drawn from its seed.

A plan is drawn before anything is called: no step depends on an answer, only on the dice and on
what was planned before. So the same seed and the same name give a worker the same calls with the
same ids, contents and order. How the calls of several workers interleave is the machine's affair.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import DynamoChatError
from proof.evidence import Claim, Evidence, Violation
from proof.history import Call, Json

Args = dict[str, Json]

REMEMBERED: Final = 40
"""How many items of a kind a worker can come back to."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call to make."""

    kind: str
    args: Args


class Dice(random.Random):
    """A worker's source of random choices and fresh names, with what it has planned so far."""

    def __init__(self, seed: str, name: str) -> None:
        super().__init__(f"{seed}/{name}")
        self.name = name
        self._made = 0
        self._next: deque[Sequence[Step]] = deque()
        self._known: dict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def fresh(self, what: str) -> str:
        """A name that no other worker of the round uses."""
        self._made += 1
        return f"{what}-{self.name}-{self._made}"

    def secret(self, what: str) -> str:
        """A fresh secret of 256 bits, for the token of an invite or for a login."""
        return hashlib.sha256(f"{self.random()} {self.fresh(what)}".encode()).hexdigest()

    def remember(self, what: str, thing: Any) -> Any:
        """Remember `thing`, so that it can be recalled later."""
        self._known[what].append(thing)
        return thing

    def recall(self, what: str) -> Any | None:
        """One of the things that were remembered last; None if there are none."""
        known = self._known[what]
        return self.choice(known) if known else None

    def then(self, *groups: Sequence[Step]) -> None:
        """Plan what follows this step: one group of steps after another."""
        self._next.extend(groups)

    def following(self) -> Sequence[Step] | None:
        """The group that was planned next; None if there is none."""
        return self._next.popleft() if self._next else None


Plan = Callable[[Dice], Sequence[Step] | None]
"""The steps to be made at the same time; None when there is nothing to do it with."""

Claims = Callable[[Call], Iterable[Claim]]


def no_claims(_: Call) -> Iterable[Claim]:
    """The claims of a call that writes nothing: none."""
    return ()


@dataclass(frozen=True, slots=True)
class Action:
    """A repository method as the proof calls it."""

    do: Callable[[ChatStore, Args], Json]
    refusals: tuple[type[DynamoChatError], ...] = ()
    """The errors that it may raise; any other is a violation."""
    claims: Claims = no_claims
    """What it writes or deletes, if it happens."""
    about: Claims = no_claims
    """What it is about. If that was acknowledged and nobody deleted it, it must be found."""
    repeatable: bool = True
    """True if it may be called again with the same arguments after a lost response."""
    many: bool = False
    """True if it writes in several requests, so that a refused call may have done a part."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A part of the store: how to use it, and what must hold afterwards."""

    name: str
    actions: dict[str, Action]
    plans: Sequence[tuple[int, Plan]]
    """How to plan a step, each with its weight."""
    setup: Callable[[], Iterable[Step]]
    """The data that exists before the workers start."""
    settle: Callable[[Sequence[Call]], Iterable[Step]]
    """The calls after all workers: they finish what was interrupted, and read everything."""
    found: Callable[[Evidence], Iterable[str]]
    """The items in the table that claims are about."""
    checks: Sequence[tuple[str, Callable[[Evidence], Iterable[Violation]]]] = ()
    weight: int = 1


@dataclass(slots=True)
class Planner:
    """Draws the steps of one worker."""

    dice: Dice
    domains: Sequence[Domain]
    _weights: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._weights = [domain.weight for domain in self.domains]

    def __iter__(self) -> Iterator[Sequence[Step]]:
        while True:
            while following := self.dice.following():
                yield following
            (domain,) = self.dice.choices(self.domains, self._weights)
            weights, plans = zip(*domain.plans, strict=True)
            (plan,) = self.dice.choices(plans, weights)
            steps = plan(self.dice)
            if steps:
                yield steps


def alone(kind: str, plan: Callable[[Dice], Args | None]) -> Plan:
    """A plan of one call."""

    def planned(dice: Dice) -> Sequence[Step] | None:
        args = plan(dice)
        return None if args is None else [Step(kind, args)]

    return planned
