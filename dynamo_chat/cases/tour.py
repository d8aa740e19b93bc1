"""One conversation from its first message to its end, and what the store does for it.

Each step is a call with its result and its measured cost. The demo shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from dynamo_chat.cases.playing import Player, Taken
from dynamo_chat.chat.message import Message, NewMessage
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.faults import DropAnswer, FaultInjector

TURNS: Final = 10
PAGE: Final = 5
KEPT: Final = timedelta(days=30)
_QUESTIONS: Final = (
    "Is there a night train to Vienna?",
    "Does it stop in Salzburg?",
    "What does a bed cost?",
    "Can I bring a bicycle?",
    "When does it arrive?",
)
_ANSWERS: Final = (
    "Yes, every evening at 20:11 from platform 7.",
    "It does, at 4:28 in the morning.",
    "A bed in a compartment for three costs 69 euros.",
    "Yes, with a reservation for it; there are eight places.",
    "At 7:55, at the main station.",
)


@dataclass(frozen=True, slots=True)
class Step:
    """A call, what came of it, and what it cost."""

    part: str
    """The part of the tour: load, page, retry, race, delete or expiry."""
    call: str
    """The call, as a program would write it."""
    told: str
    """What came of it."""
    taken: Taken

    def as_dict(self) -> dict[str, Any]:
        """The step as JSON values."""
        return {
            "part": self.part,
            "call": self.call,
            "result": self.told,
            "requests": self.taken.requests,
            "wcu": self.taken.wcu,
            "rcu": self.taken.rcu,
        }


class Tour:
    """The steps, on a stage of their own. The player's table is left as it was.

    Take `load`, `page`, `retry` and `race` first: the conversation then has its most items. `end`
    deletes a copy of it, and lets it expire.
    """

    def __init__(self, player: Player) -> None:
        stage = player.stage
        self.user_id, self.talk = stage.fresh("ann"), stage.fresh("talk")
        self._player, self._store = player, stage.store
        self._workers = (stage.store, stage.cold_store())
        self._own_id = stage.fresh("message")

    def begin(self) -> Iterator[Step]:
        """Load a conversation, page through it, retry, and write at the same moment."""
        yield from self._load()
        yield from self._page()
        yield from self._retry()
        yield from self._race()

    def end(self) -> Iterator[Step]:
        """Delete a second conversation, and let the first one expire."""
        yield from self._delete()
        yield from self._expire()

    def _step(
        self, part: str, call: str, tell: Callable[[Any], str], do: Callable[[], Any]
    ) -> Step:
        taken = self._player.take(do)
        return Step(part, call, tell(taken.given), taken)

    def _load(self) -> Iterator[Step]:
        conversations, messages = self._store.conversations, self._store.messages
        yield self._step(
            "load",
            "conversations.create(ann, retention=timedelta(days=30))",
            lambda _: "a conversation that is kept for 30 days",
            lambda: conversations.create(
                self.user_id, conversation_id=self.talk, title="Night trains", retention=KEPT
            ),
        )
        yield self._step(
            "load",
            "messages.append_turn(talk, [question, answer])",
            lambda stored: f"{len(stored)} messages, both or none",
            lambda: messages.append_turn(self.talk, _turn(0)),
        )
        yield self._step(
            "load",
            f"the same, {TURNS - 1} times more",
            lambda stored: f"{sum(map(len, stored))} messages; each turn costs the same",
            lambda: [self._appended(turn) for turn in range(1, TURNS)],
        )

    def _page(self) -> Iterator[Step]:
        conversations, messages = self._store.conversations, self._store.messages
        yield self._step(
            "page",
            "conversations.list_by_activity(ann)",
            lambda page: f"her conversations, last used first: {page.items[0].title}",
            lambda: conversations.list_by_activity(self.user_id),
        )
        yield self._step(
            "page",
            f"messages.latest_with_conversation(talk, {PAGE})",
            lambda found: f"the conversation and its latest {len(found[1])} messages",
            lambda: messages.latest_with_conversation(self.talk, PAGE),
        )
        newest = self._store.messages.list(self.talk, newest_first=True, page_size=PAGE)
        yield self._step(
            "page",
            "messages.list(talk, cursor=page.cursor)",
            lambda page: f"the {len(page.items)} messages before those",
            lambda: messages.list(
                self.talk, newest_first=True, page_size=PAGE, cursor=newest.cursor
            ),
        )

    def _retry(self) -> Iterator[Step]:
        question = NewMessage(role="user", content="And back?", message_id=self._own_id)
        call = "messages.append(talk, message_with_an_id)"

        def append(worker: ChatStore) -> Message:
            return worker.messages.append(self.talk, question)

        def lost() -> Message:
            with FaultInjector(self._store.connection.client) as faults:
                faults.plan(DropAnswer())
                return append(self._store)

        yield self._step(
            "retry",
            call,
            lambda stored: f"the answer is lost; it is sent again: {self._number_of(stored)}",
            lost,
        )
        yield self._step(
            "retry",
            "another worker makes the same call",
            lambda stored: f"it gets the stored message: {self._number_of(stored)}",
            lambda: append(self._workers[1]),
        )

    def _race(self) -> Iterator[Step]:
        before = self._store.conversations.get(self.talk).message_count

        def append(worker: ChatStore) -> Message:
            answer = NewMessage(role="assistant", content="At 20:05 on every evening.")
            return worker.messages.append(self.talk, answer)

        def save(worker: ChatStore) -> str:
            mine = {"worker": self._workers.index(worker)}
            return _refusal(lambda: worker.states.save(self.talk, mine, revision=0))

        def both(_: Any) -> str:
            after = self._store.conversations.get(self.talk, consistent=True).message_count
            return f"both are kept: {before} messages before, {after} after"

        yield self._step(
            "race",
            "two workers call messages.append at the same moment",
            both,
            lambda: self._at_once(append),
        )
        yield self._step(
            "race",
            "two workers call states.save(talk, data, revision=0)",
            lambda ends: f"one saved, the other one got {next(filter(None, ends))}",
            lambda: self._at_once(save),
        )

    def _delete(self) -> Iterator[Step]:
        store, other = self._store, self._player.stage.fresh("talk")
        store.conversations.create(self.user_id, conversation_id=other, title="Another one")
        store.messages.append_turn(other, _turn(0))
        yield self._step(
            "delete",
            "conversations.delete(another_talk)",
            lambda count: f"its {count} items are gone",
            lambda: store.conversations.delete(other),
        )
        late = NewMessage(role="assistant", content="Too late")
        yield self._step(
            "delete",
            "messages.append(another_talk, late_answer)",
            lambda error: f"{error}: a late worker cannot bring it back",
            lambda: _refusal(lambda: self._workers[1].messages.append(other, late)),
        )

    def _expire(self) -> Iterator[Step]:
        store = self._store
        self._player.stage.later(KEPT)
        yield self._step(
            "expiry",
            "messages.latest_with_conversation(talk), 30 days later",
            lambda error: f"{error}, at the exact second; DynamoDB deletes it later",
            lambda: _refusal(lambda: store.messages.latest_with_conversation(self.talk)),
        )
        yield self._step(
            "expiry",
            "conversations.list_by_activity(ann), 30 days later",
            lambda page: f"{len(page.items)} conversations",
            lambda: store.conversations.list_by_activity(self.user_id),
        )

    def _appended(self, turn: int) -> Sequence[Message]:
        self._player.stage.later()
        return self._store.messages.append_turn(self.talk, _turn(turn))

    def _at_once(self, call: Callable[[ChatStore], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(self._workers)) as pool:
            return list(pool.map(call, self._workers))

    def _number_of(self, stored: Message) -> str:
        """How many messages with this one's id there are, in words."""
        found = [each for each in self._store.messages.iterate(self.talk) if each == stored]
        return "one is there" if len(found) == 1 else f"{len(found)} are there"


def _turn(number: int) -> Sequence[NewMessage]:
    place = number % len(_QUESTIONS)
    return (
        NewMessage(role="user", content=_QUESTIONS[place]),
        NewMessage(role="assistant", content=_ANSWERS[place]),
    )


def _refusal(call: Callable[[], Any]) -> str:
    """The name of the error that the call raises; empty if it raises none."""
    try:
        call()
    except DynamoChatError as error:
        return type(error).__name__
    return ""
