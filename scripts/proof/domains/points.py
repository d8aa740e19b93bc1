"""The points of callers who do nothing else: spent by many at once, refunded, never below zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dynamo_chat import ChatStore
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.core.errors import LimitExceeded
from proof.domains.common import as_sent, linear
from proof.evidence import Evidence, Violation
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

PAYERS: Final = tuple(f"payer-{number}" for number in range(12))
KINDS: Final = ("points.spend", "points.get", "points.reset")


def _create(store: ChatStore, args: Args) -> Json:
    store.callers.create(args["user"])


def _spend(store: ChatStore, args: Args) -> Json:
    return {
        "points_left": store.callers.spend(
            args["user"], args["points"], spend_id=args["id"]
        ).points_left
    }


def _get(store: ChatStore, args: Args) -> Json:
    return {"points_left": store.callers.get(args["user"], consistent=True).points_left}


def _reset(store: ChatStore, args: Args) -> Json:
    return list(store.callers.reset_points([args["user"]], reset_id=args["id"]))


def _plan_race(dice: Dice) -> Sequence[Step]:
    """Several calls spend at once, one of them twice with the same id."""
    payer = dice.choice(PAYERS)
    ids = [dice.fresh("spend") for _ in range(2)]
    points = dice.randrange(1, 8)
    return [
        Step("points.spend", {"user": payer, "points": points, "id": each})
        for each in [*ids, ids[0]]
    ]


def _setup() -> Iterator[Step]:
    for user in PAYERS:
        yield Step("points.create", {"user": user})


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    del calls
    for user in PAYERS:
        yield Step("points.get", {"user": user})


def _found(evidence: Evidence) -> Iterable[str]:
    del evidence
    return ()


class Purse(NamedTuple):
    """The balance of a payer, and what is remembered of their spending."""

    left: int
    spends: frozenset[str]
    before: frozenset[str]
    reset_id: str


class Spending:
    """Points as documented: an id spends once, and a reset fills the balance up once."""

    initial = Purse(DAILY_POINTS, frozenset(), frozenset(), "")

    def after(self, state: Purse, call: Call) -> Iterable[Purse]:
        """The balances that are possible after a call; none if its result is wrong."""
        following = self._after(state, call)
        if following is None:
            return []
        fits = call.is_unknown or call.kind == "points.reset"
        fits = fits or call.result["points_left"] == following.left
        return [following] if fits else []

    def _after(self, state: Purse, call: Call) -> Purse | None:
        if call.kind == "points.get":
            return state
        identity = call.args["id"]
        if call.kind == "points.reset":
            if state.reset_id == identity:
                return state
            return Purse(DAILY_POINTS, frozenset(), state.spends, identity)
        is_known = identity in state.spends | state.before
        has_enough = state.left >= call.args["points"]
        if call.outcome == "refused":
            return None if is_known or has_enough else state
        if is_known:
            return state
        if not has_enough:
            return None
        return state._replace(
            left=state.left - call.args["points"], spends=state.spends | {identity}
        )


def _spent(evidence: Evidence) -> Iterator[Violation]:
    for payer, calls in evidence.grouped("user", *KINDS).items():
        telling = [call for call in calls if call.may_count or call.result is not None]
        sent = as_sent(evidence, telling)
        yield from linear("payer's points", payer, Spending(), sent, reads=["points.get"])


DOMAIN: Final = Domain(
    name="points",
    weight=2,
    actions={
        "points.create": Action(_create),
        "points.spend": Action(_spend, refusals=(LimitExceeded,)),
        "points.get": Action(_get),
        "points.reset": Action(_reset),
    },
    plans=[
        (5, _plan_race),
        (
            8,
            alone(
                "points.spend",
                lambda dice: {
                    "user": dice.choice(PAYERS),
                    "points": dice.randrange(1, 5),
                    "id": dice.fresh("spend"),
                },
            ),
        ),
        (4, alone("points.get", lambda dice: {"user": dice.choice(PAYERS)})),
        (
            4,
            alone(
                "points.reset",
                lambda dice: {"user": dice.choice(PAYERS), "id": dice.fresh("reset")},
            ),
        ),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[("histories of points", _spent)],
)
