"""A soak of the asynchronous store: no step holds up the event loop, and nothing is lost.

50 tasks do 10,000 operations on a real server, one in ten is cancelled at a random moment. What
the loop runs between two moments of waiting is a step; its length is the CPU time that it took,
which other processes of the machine do not change. Python's garbage collector runs inside steps:
what it took is shown apart.

At the end every conversation is read: each message whose append returned is there, no other than
was given, and the counters are exact.
"""

import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from array import array
from asyncio.events import Handle
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from benchmarks.capacity import SERVER_HOME
from dynamo_chat import Conflict, ConnectionOptions, NewMessage, TableDefinition
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.testing import MinistackServer

OPERATIONS = 10_000
TASKS = 50
TALKS = 60
TOO_LONG = 0.020
_CANCELLED = 0.1
_SIZES = (10, 300, 1_000, 3_000, 30_000)


def measure(endpoint: str | None, operations: int = OPERATIONS) -> list[dict[str, object]]:
    """A row per number. Without an endpoint a ministack server is started for it."""
    with ExitStack() as stack:
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer(cache=SERVER_HOME)).endpoint_url
        # In a process of its own: the collector walks through everything that this one has.
        command = [sys.executable, "-m", "benchmarks.soak", endpoint, str(operations)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


# -- steps ----------------------------------------------------------------------------------------


@dataclass
class Steps:
    """The steps of a loop, in seconds of CPU. In arrays: the collector does not look into them."""

    all: "array[float]" = field(default_factory=lambda: array("d"))
    own: "array[float]" = field(default_factory=lambda: array("d"))
    """Without the garbage collector."""


@contextmanager
def watched_steps() -> Iterator[Steps]:
    """The steps of the loop that runs in this thread, as they end."""
    steps = Steps()
    collected = began = 0.0
    run = Handle._run  # noqa: SLF001 - asyncio has no public place to look at a step

    def timed(handle: Handle) -> None:
        nonlocal collected
        collected, start = 0.0, time.thread_time()
        run(handle)
        taken = time.thread_time() - start
        steps.all.append(taken)
        steps.own.append(taken - collected)

    def told(phase: str, _: object) -> None:
        nonlocal began, collected
        if phase == "start":
            began = time.thread_time()
        else:
            collected += time.thread_time() - began

    Handle._run = timed  # type: ignore[method-assign,assignment] # noqa: SLF001 - as above
    gc.callbacks.append(told)
    try:
        yield steps
    finally:
        gc.callbacks.remove(told)
        Handle._run = run  # type: ignore[method-assign] # noqa: SLF001 - as above


# -- operations -----------------------------------------------------------------------------------


@dataclass
class Soak:
    """What is done to one store, and what is known of it."""

    store: AsyncChatStore
    dice: random.Random
    talks: list[str] = field(default_factory=list)
    sent: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The ids of messages whose append was begun, by conversation."""
    done: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Those whose append returned."""
    begun: int = 0
    cancelled: int = 0

    async def prepare(self) -> None:
        """Make the conversations, and do every operation some times: a first call imports."""
        for number in range(TALKS):
            talk = await self.store.conversations.create(f"u-{number % 5}")
            self.talks.append(talk.conversation_id)
        for number in range(20):
            for operation in self.operations():
                await self._done(operation, -number)

    def operations(self) -> tuple[Callable[[str, int], Awaitable[object]], ...]:
        """What is mixed; appends are half of it."""
        return (
            *(self._append,) * 4,
            self._append_turn,
            *(self._latest, self._get, self._list, self._walk, self._rename, self._prefer),
        )

    async def run(self, operations: int) -> None:
        """Do so many operations, some of which are cancelled."""

        async def work() -> None:
            while self.begun < operations:
                self.begun += 1
                operation = self.dice.choice(self.operations())
                task = asyncio.create_task(self._done(operation, self.begun))
                if self.dice.random() < _CANCELLED:
                    await asyncio.sleep(self.dice.random() * 0.02)
                    task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    self.cancelled += 1

        await asyncio.gather(*(work() for _ in range(TASKS)))

    async def lost(self) -> dict[str, int]:
        """What is not as it was told, in numbers."""
        found = {"lost": 0, "never given": 0, "miscounted": 0}
        for talk in self.talks:
            there = [
                each.message_id async for each in self.store.messages.iterate(talk, consistent=True)
            ]
            head = await self.store.conversations.get(talk, consistent=True)
            found["lost"] += len(self.done[talk] - set(there))
            found["never given"] += len(set(there) - self.sent[talk])
            found["miscounted"] += abs(head.message_count - len(there))
        return found

    async def _done(self, operation: Callable[[str, int], Awaitable[object]], number: int) -> None:
        with suppress(Conflict):  # two tasks change one title, or one conversation's preferences
            await operation(self.dice.choice(self.talks), number)

    def _new(self, talk: str, name: str) -> NewMessage:
        self.sent[talk].add(name)
        content = "".join(self.dice.choices("etaoin shrdlu", k=self.dice.choice(_SIZES)))
        return NewMessage(role="user", content=content, message_id=name)

    async def _append(self, talk: str, number: int) -> None:
        made = await self.store.messages.append(talk, self._new(talk, f"m-{number}"))
        self.done[talk].add(made.message_id)

    async def _append_turn(self, talk: str, number: int) -> None:
        turn = [self._new(talk, f"t-{number}-{place}") for place in range(2)]
        made = await self.store.messages.append_turn(talk, turn)
        self.done[talk].update(each.message_id for each in made)

    async def _latest(self, talk: str, _: int) -> object:
        return await self.store.messages.latest_with_conversation(talk, 20)

    async def _get(self, talk: str, _: int) -> object:
        return await self.store.conversations.get(talk)

    async def _list(self, _: str, number: int) -> object:
        return await self.store.conversations.list_by_activity(f"u-{number % 5}", page_size=20)

    async def _walk(self, talk: str, _: int) -> object:
        walk = self.store.messages.iterate(talk, page_size=20)
        return [each async for each in walk]

    async def _rename(self, talk: str, number: int) -> object:
        return await self.store.conversations.rename(talk, f"Title {number}")

    async def _prefer(self, talk: str, number: int) -> object:
        return await self.store.conversations.set_preferences(talk, {"number": number})


async def soak(endpoint: str, operations: int) -> list[dict[str, object]]:
    """The rows of `measure`."""
    options = ConnectionOptions(aws_access_key_id="bench", aws_secret_access_key="bench")  # noqa: S106 - of nobody
    plain = TableDefinition(deletion_protection=False, point_in_time_recovery=False)
    async with AsyncChatStore(
        f"soak-{time.time_ns()}", region="eu-west-1", endpoint_url=endpoint, options=options
    ) as store:
        await store.table.create(plain)
        made = Soak(store, random.Random(1))
        await made.prepare()
        gc.collect()
        gc.freeze()  # as the guide advises
        with watched_steps() as steps:
            await made.run(operations)
        lost = await made.lost()
    numbers = {
        "operations": made.begun,
        "of them cancelled": made.cancelled,
        "messages lost": lost["lost"],
        "messages that nobody gave": lost["never given"],
        "messages miscounted": lost["miscounted"],
        "steps of the loop": len(steps.all),
        "steps above 20 ms": sum(each > TOO_LONG for each in steps.all),
        "longest step, ms": round(max(steps.all) * 1_000, 1),
        "the same without the garbage collector, ms": round(max(steps.own) * 1_000, 1),
    }
    return [{"measured": name, "number": number} for name, number in numbers.items()]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(soak(sys.argv[1], int(sys.argv[2])))))
