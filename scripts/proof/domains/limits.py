"""Rate limits in windows of two seconds: many calls of a few accounts, from different clocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import LimitExceeded
from proof.domains.common import linear
from proof.evidence import LONGEST, Evidence, Violation, told
from proof.history import NEVER, Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

ACCOUNTS: Final = tuple(f"account-{number}" for number in range(6))
LIMIT: Final = 8
WINDOW: Final = timedelta(seconds=2)
TRIES: Final = 4
"""How often a request is sent again at most."""
SLACK: Final = 1.0
"""How much clocks may differ, in seconds."""


def _count(store: ChatStore, args: Args) -> Json:
    window = store.rate_limits.count(
        args["account"], "ai", args["function"], limit=LIMIT, window=WINDOW
    )
    return window.model_dump(mode="json")


def _get(store: ChatStore, args: Args) -> Json:
    found = store.rate_limits.get(
        args["account"], "ai", limit=LIMIT, window=WINDOW, consistent=True
    )
    return found.model_dump(mode="json")


def _plan_count(dice: Dice) -> Args:
    return {"account": dice.choice(ACCOUNTS), "function": f"function-{dice.randrange(3)}"}


def _plan_burst(dice: Dice) -> Sequence[Step]:
    account = dice.choice(ACCOUNTS)
    return [
        Step("limits.count", {"account": account, "function": f"function-{dice.randrange(3)}"})
        for _ in range(4)
    ]


def _setup() -> Iterable[Step]:
    return ()


def _settle(calls: Sequence[Call]) -> Iterable[Step]:
    del calls
    return ()


def _found(evidence: Evidence) -> Iterable[str]:
    del evidence
    return ()


class Window:
    """One window of one account: a counter that stops at the limit."""

    initial = 0

    def after(self, state: int, call: Call) -> Iterable[int]:
        """The counts that a call may leave."""
        if call.kind == "limits.get":
            return [state] if call.result["request_count"] == state else []
        if call.outcome == "refused":
            return [state] if state >= LIMIT else []
        if state >= LIMIT or (call.is_ok and call.result["request_count"] != state + 1):
            return []
        return [state + 1]


def unheard(evidence: Evidence, call: Call) -> list[Call]:
    """The counts of a call that its caller did not see: one for each lost response.

    A call that is sent again may count twice, as the documents say, and the first time in an
    earlier window than the one that it tells of; never more often than it was sent.
    """
    lost = TRIES if evidence.was_restarted(call) else call.resends
    return [replace(call, outcome="unknown", returned=NEVER)] * (lost + call.is_unknown)


def _may_be_of(call: Call, start: float) -> bool:
    """True if a call may have counted in the window that starts then."""
    return call.now - WINDOW.total_seconds() - SLACK < start < call.now + LONGEST


def _windows(evidence: Evidence) -> Iterator[Violation]:
    """The counts of each window are possible if calls came one at a time."""
    for account, calls in evidence.grouped("account", "limits.count", "limits.get").items():
        windows: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            if call.result is not None:
                windows[call.result["window_start"]].append(call)
        lost = [
            each
            for call in calls
            if call.kind == "limits.count"
            for each in unheard(evidence, call)
        ]
        for start, counted in windows.items():
            near = [call for call in lost if _may_be_of(call, _seconds(start))]
            name = f"{account} from {start}"
            yield from linear("rate limit", name, Window(), [*counted, *near], reads=[])


def _never_back(evidence: Evidence) -> Iterator[Violation]:
    """A call that began after another had returned does not count in an earlier window."""
    for calls in evidence.grouped("account", "limits.count").values():
        done = [call for call in calls if call.is_ok]
        by_return = sorted(done, key=lambda call: call.returned)
        latest: Call | None = None
        place = 0
        for call in done:
            while by_return[place].returned < call.invoked:
                seen = by_return[place]
                if latest is None or _start(seen) > _start(latest):
                    latest = seen
                place += 1
            if latest is not None and _start(call) < _start(latest):
                yield Violation("a window came back", told([latest, call]))


def _breakdown(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.of("limits.count", "limits.get"):
        window = call.result
        if window and sum(window["breakdown"].values()) != window["request_count"]:
            yield Violation("breakdown of a rate limit", str(call))


def _start(call: Call) -> str:
    start: str = call.result["window_start"]
    return start


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


DOMAIN: Final = Domain(
    name="limits",
    weight=1,
    actions={
        "limits.count": Action(_count, refusals=(LimitExceeded,), repeatable=False),
        "limits.get": Action(_get),
    },
    plans=[
        (4, alone("limits.count", _plan_count)),
        (2, _plan_burst),
        (1, alone("limits.get", lambda dice: {"account": dice.choice(ACCOUNTS)})),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[
        ("histories of rate limits", _windows),
        ("windows", _never_back),
        ("breakdowns", _breakdown),
    ],
)
