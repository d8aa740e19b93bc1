"""A worker process: threads that share one store, make the calls of their plans, and record them.

Run as ``python -m proof.worker SETTING``, where SETTING is a `Setting` as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dynamo_chat import ChatStore
from dynamo_chat.core import errors
from dynamo_chat.testing import Engine, Killed, Lag, StrictHook
from proof import faults
from proof.bugs import planted
from proof.domains import ACTIONS, chosen
from proof.faults import ShiftedClock
from proof.history import Json, Outcome, Recorder
from proof.steps import Action, Args, Dice, Planner, Step

TOGETHER: Final = 4
"""The most calls that one step makes at the same time."""
RETRIED: Final = 0.6
"""How often a call whose response was lost is made again."""
AWAY: Final = 1.0
"""How long to wait when the server cannot be reached, in seconds."""

_SURELY_NOT_DONE: Final = frozenset({"Throttled", "TransactionConflict", "Unreachable"})
"""Faults after which a request was certainly not done."""
_ONLY_LATER: Final = frozenset({"Slow"})
"""Faults that only delay a request."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The settings of a worker process."""

    name: str
    seed: str
    table: str
    region: str
    endpoint: str | None
    history: str
    """The file to write."""
    threads: int
    steps: int
    """The most steps of each thread."""
    deadline: float
    """When to stop, by the monotonic clock."""
    ahead: float
    """Seconds that the clock of this process is ahead."""
    domains: Sequence[str]
    faults: float
    """How often requests fail; 1.0 is as often as planned."""
    strict: bool
    """True if each request is checked for what DynamoDB would reject."""
    bug: str | None = None
    forks: bool = False
    """True if the process forks after it began."""
    lag: float = 0.0
    """How many seconds its reads are behind, if it is the only process."""

    def to_json(self) -> str:
        """The setting as the worker's argument."""
        return json.dumps(asdict(self))

    @property
    def clock(self) -> ShiftedClock:
        """The clock of the process."""
        return ShiftedClock(timedelta(seconds=self.ahead))

    def store(self) -> ChatStore:
        """A store of this process."""
        return ChatStore(
            self.table, region=self.region, endpoint_url=self.endpoint, clock=self.clock
        )


class Runner:
    """Makes calls and records what they return. Thread-safe."""

    def __init__(self, store: ChatStore, recorder: Recorder, clock: ShiftedClock) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._actions: Mapping[str, Action] = ACTIONS

    def run(self, step: Step) -> Outcome:
        """Make one call. Returns its outcome."""
        action = self._actions[step.kind]
        faults.forget()
        call_id = self._recorder.began(step.kind, step.args, self._clock().timestamp())
        outcome, result, error = self._answer(action, step.args)
        met = faults.forget()
        self._recorder.ended(call_id, outcome, result, error, met)
        if outcome == "unknown" and not set(met) - _ONLY_LATER:
            time.sleep(AWAY)  # nothing was injected: the server is away
        return outcome

    def insist(self, step: Step, times: int = 8) -> None:
        """Make a call until its outcome is known."""
        for _ in range(times):
            if self.run(step) != "unknown":
                return

    def _answer(self, action: Action, args: Args) -> tuple[Outcome, Json, str]:
        try:
            return "ok", action.do(self._store, args), ""
        except Killed:
            return "unknown", None, "Killed"
        except errors.ServiceError as error:
            return _what_of(error, action), None, f"{type(error).__name__}: {error}"
        except errors.MessageDeleted as error:
            # An earlier try, whose answer was lost, appended it; where is not known any more.
            return "unknown", None, f"{type(error).__name__}: {error}"
        except errors.DynamoChatError as error:
            outcome: Outcome = "refused" if isinstance(error, action.refusals) else "broken"
            return outcome, _current(error), f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - to find those is what this is for
            return "broken", None, f"{type(error).__name__}: {error}"


def _what_of(error: errors.ServiceError, action: Action) -> Outcome:
    """The outcome of a call that the service did not serve."""
    if isinstance(error, errors.Contended) and not action.many:
        return "refused"  # the one change that it makes was not made
    not_done = set(faults.known()) <= _SURELY_NOT_DONE | _ONLY_LATER and not action.many
    if isinstance(error, errors.Throttled) and not_done:
        return "refused"
    open_ended = (errors.Contended, errors.Throttled, errors.Unreachable, errors.BatchIncomplete)
    if isinstance(error, open_ended):
        return "unknown"
    return "broken"  # nothing that is injected leads to it


def _current(error: errors.DynamoChatError) -> Json:
    """The entity that an error carries."""
    current = getattr(error, "current", None)
    return None if current is None else current.model_dump(mode="json")


def work(setting: Setting, store: ChatStore | None = None) -> list[str]:
    """Run the threads of a worker until they are done. Returns what the strict hook found."""
    store = setting.store() if store is None else store
    recorder = Recorder(Path(setting.history), setting.name)
    runner = Runner(store, recorder, setting.clock)
    client = store.connection.client
    strict = StrictHook(client) if setting.strict else None
    with ExitStack() as stack:
        stack.enter_context(planted(setting.bug))
        if setting.lag:
            lag = Lag(timedelta(seconds=setting.lag), seed=zlib.crc32(setting.seed.encode()))
            stack.enter_context(lag).attach(store)
        stack.enter_context(strict or nullcontext())
        stack.enter_context(
            faults.troubled(client, f"{setting.seed}/{setting.name}", setting.faults)
        )
        threads = [
            threading.Thread(target=_follow, args=(setting, number, runner))
            for number in range(setting.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    recorder.close()
    return [str(violation) for violation in strict.violations] if strict else []


def _follow(setting: Setting, number: int, runner: Runner) -> None:
    """Follow one plan until it is time to stop."""
    dice = Dice(setting.seed, f"{setting.name}.{number}")
    again = Dice(setting.seed, f"{setting.name}.{number}/again")
    with ThreadPoolExecutor(TOGETHER) as pool:
        for count, steps in enumerate(Planner(dice, chosen(setting.domains))):
            if count >= setting.steps or time.monotonic() >= setting.deadline:
                return
            if len(steps) > 1:
                outcomes = list(pool.map(runner.run, steps))
            else:
                outcomes = [runner.run(steps[0])]
            for step, outcome in zip(steps, outcomes, strict=True):
                if outcome == "unknown":
                    _once_more(step, again, runner)


def _once_more(step: Step, dice: Dice, runner: Runner) -> None:
    """Make a call again after a lost response, mostly, as a caller with its own ids would do."""
    if ACTIONS[step.kind].repeatable and dice.random() < RETRIED:
        runner.run(step)


def main(arguments: Sequence[str]) -> int:
    """Run as the settings say. Returns 3 if DynamoDB would reject one of the requests."""
    told: dict[str, Any] = json.loads(arguments[0])
    setting = Setting(**told)
    with Engine(setting.endpoint, region=setting.region):
        if setting.forks:
            from proof.forks import work_forked

            found = work_forked(setting)
        else:
            found = work(setting)
    for violation in found:
        sys.stderr.write(f"{violation}\n")
    return 3 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
