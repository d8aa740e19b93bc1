"""A storm over ids that are given anew: four servers clear, create and append under the same ones.

Some of their requests are slow, so that a server is overtaken between any two of its steps. The
check is exact: what is in the conversation that lives at the end are the messages whose appends to
that very life were acknowledged, neither fewer nor more.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import AlreadyExists, Contended, NotFound
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import user
from tests.scene import MINUTE

SERVERS = 4
SLOW = 0.2
"""Of all requests…"""
DELAY = 0.2
"""…are late by up to so many seconds."""
MESSAGES = 3
_TRIES = 200


@contextmanager
def slowed(store: ChatStore, seed: int) -> Iterator[None]:
    """Some of the store's requests leave late."""
    dice = random.Random(seed)

    def wait(**_: Any) -> None:
        if dice.random() < SLOW:
            time.sleep(dice.uniform(0, DELAY))

    events = store.connection.client.meta.events
    events.register_first("before-call.dynamodb", wait)
    try:
        yield
    finally:
        events.unregister("before-call.dynamodb", wait)


@dataclass
class Storm:
    """Rounds of a storm on one table. All stores share a clock that only the storm moves."""

    stores: list[ChatStore]
    reader: ChatStore
    clock: FakeClock
    lost: list[str] = field(default_factory=list)
    lives: int = 0

    def blow(self, rounds: int) -> None:
        """Every second round deletes; the others take an id whose conversation has expired."""
        with ThreadPoolExecutor(len(self.stores)) as pool:
            for number in range(rounds):
                talk = f"talk-{number}"
                is_deleting = number % 2 == 0
                self._prepare(talk, is_sliding=not is_deleting)
                barrier = threading.Barrier(len(self.stores))
                work = self._delete_and_begin if is_deleting else self._begin
                jobs = [
                    pool.submit(self._run, barrier, work, store, talk, server)
                    for server, store in enumerate(self.stores)
                ]
                acknowledged = [each for job in jobs for each in job.result()]
                self.lives += len({life for life, _, _ in acknowledged})
                self._check(talk, acknowledged)

    def _prepare(self, talk: str, *, is_sliding: bool) -> None:
        options: dict[str, Any] = {"retention": MINUTE, "sliding": True} if is_sliding else {}
        self.reader.conversations.create("ann", conversation_id=talk, title="Old", **options)
        old = [user(f"old {n}", message_id=f"0-{n}") for n in range(40)]
        self.reader.messages.append_turn(talk, old)
        for number in range(2):
            self.reader.reviews.create(talk, "boss", review_id=f"{talk}-{number}")
        if is_sliding:
            self.clock.advance(2 * MINUTE)

    def _run(
        self,
        barrier: threading.Barrier,
        work: Callable[[ChatStore, str], None],
        store: ChatStore,
        talk: str,
        server: int,
    ) -> list[tuple[str | None, str, str]]:
        """Begin anew and append; the life, the id and the position of each message told."""
        barrier.wait()
        done: list[tuple[str | None, str, str]] = []
        for _ in range(_TRIES):
            try:
                work(store, talk)
                for number in range(MESSAGES):
                    identity = f"{server}-{number}"
                    made = store.messages.append(talk, user(identity, message_id=identity))
                    snapshot = store._snapshots.get(talk)
                    assert snapshot is not None
                    done.append((snapshot.life, identity, made.position))
            except (NotFound, AlreadyExists, Contended):
                work = self._begin  # somebody else deletes, too
                continue
            return done
        raise AssertionError(f"server {server} never got through")

    def _begin(self, store: ChatStore, talk: str) -> None:
        store.conversations.create("ann", conversation_id=talk, retention=MINUTE, sliding=True)

    def _delete_and_begin(self, store: ChatStore, talk: str) -> None:
        with suppress(NotFound):
            store.conversations.delete(talk)
        self._begin(store, talk)

    def _check(self, talk: str, acknowledged: list[tuple[str | None, str, str]]) -> None:
        head = self.reader.conversations.get(talk, consistent=True)
        page = self.reader.messages.list(talk, page_size=1_000, consistent=True)
        there = {(each.message_id, each.position) for each in page}
        told = {(name, place) for life, name, place in acknowledged if life == head.life}
        if there != told:
            self.lost.append(f"{talk}: lost {told - there}, unexpected {there - told}")
        if not head.message_count == head.appended_count == len(told):
            self.lost.append(f"{talk}: {head.message_count} counted of {len(told)}")
        for identity, position in told & there:
            with suppress(NotFound):
                if self.reader.messages.get(talk, identity, consistent=True).position == position:
                    continue
            self.lost.append(f"{talk}: {identity} is not found by its id")
        if self.reader.reviews.list_by_conversation(talk, consistent=True).items:
            self.lost.append(f"{talk}: a review of the old one")
