"""Whatever dies or gets lost on the way: called again, the end is the same.

Each operation is run once undisturbed, which tells how many requests it makes and how the table
should look. Then, from the same beginning each time, it is killed before and after each of its
requests, and each of its answers is lost, on the wire or for good; and it is called again.
"""

import contextlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, Exchange, Feedback
from dynamo_chat.core import errors
from dynamo_chat.testing import (
    DropAnswer,
    Fault,
    Kill,
    Killed,
    ServerError,
    TransactionConflict,
    kill_points,
)
from dynamo_chat.testing.engine import Engine
from dynamo_chat.testing.faults import Attempt
from tests.chat.scenes import assistant, said, user
from tests.scene import DAY, Item, Scene, faults

pytestmark = [pytest.mark.engine, pytest.mark.once]

HOUR = timedelta(hours=1)
Do = Callable[[ChatStore], Any]


@dataclass(frozen=True)
class Operation:
    """Something that is prepared, and then done with faults in its way."""

    name: str
    do: Do
    prepare: Do = lambda store: store.conversations.create("u-1", conversation_id="c-1", title="T")
    wait: timedelta = timedelta(0)
    done_already: type[Exception] | None = None
    """What the second call raises when the first one did everything."""


def full(store: ChatStore, **options: Any) -> None:
    """A conversation with one of everything."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", **options)
    for number in range(4):
        store.messages.append("c-1", user(str(number), message_id=f"m-{number}"))
    store.messages.give_feedback("c-1", "m-3", Feedback(type="positive", category="a"))
    store.states.save("c-1", {"step": 1})
    store.reviews.create("c-1", "admin", review_id="r-1")


def aging(store: ChatStore) -> None:
    """A sliding conversation whose next message must move every deadline."""
    full(store, retention=DAY, sliding=True)


def streaming(store: ChatStore) -> None:
    """A message whose content is still arriving."""
    full(store)
    store.messages.append("c-1", assistant(message_id="s-1", is_streaming=True))


TURN = [user("a", message_id="x-1"), assistant("b", message_id="x-2")]

OPERATIONS = [
    Operation(
        "create",
        lambda store: store.conversations.create("u-1", conversation_id="c-1"),
        prepare=lambda store: None,
    ),
    Operation(
        "create with a title",
        lambda store: store.conversations.create("u-1", conversation_id="c-1", title="T"),
        prepare=lambda store: None,
    ),
    Operation(
        "create over an idle one",
        lambda store: store.conversations.create("u-2", conversation_id="c-1", title="T"),
        prepare=aging,
        wait=DAY + HOUR,
    ),
    Operation(
        "append with an id",
        lambda store: store.messages.append("c-1", user("a", message_id="x-1")),
        prepare=lambda store: store.conversations.create("u-1", conversation_id="c-1"),
    ),
    Operation("append a turn", lambda store: store.messages.append_turn("c-1", TURN)),
    Operation(
        "append an exchange",
        lambda store: store.messages.append_exchange(
            "c-1", Exchange(user_prompt="?", bot_response="!", message_id="x-1")
        ),
    ),
    Operation(
        "append to a conversation that keeps three",
        lambda store: store.messages.append("c-1", user("a", message_id="x-1")),
        prepare=lambda store: full(store, keep_last=3),
    ),
    Operation(
        "append that renews",
        lambda store: store.messages.append("c-1", user("a", message_id="x-1")),
        prepare=aging,
        wait=23 * HOUR,
    ),
    Operation("rename", lambda store: store.conversations.rename("c-1", "U")),
    Operation(
        "change title and preferences",
        lambda store: store.conversations.change("c-1", title="U", preferences={"b": [2]}),
    ),
    Operation("take the title away", lambda store: store.conversations.rename("c-1", None)),
    Operation(
        "give to another user",
        lambda store: store.conversations.give_to("c-1", "u-2", user_id="u-1"),
        prepare=full,
    ),
    Operation("set status", lambda store: store.conversations.set_status("c-1", "archived")),
    Operation(
        "set preferences", lambda store: store.conversations.set_preferences("c-1", {"a": {"b": 1}})
    ),
    Operation(
        "merge preferences",
        lambda store: store.conversations.merge_preferences("c-1", {"a": {"b": 1}, "c": None}),
    ),
    Operation(
        "give feedback",
        lambda store: store.messages.give_feedback(
            "c-1", "m-1", Feedback(type="negative", rank=2, category="b")
        ),
        prepare=full,
    ),
    Operation(
        "withdraw feedback",
        lambda store: store.messages.withdraw_feedback("c-1", "m-3", user_id="u-1"),
        prepare=full,
    ),
    Operation(
        "save a state",
        lambda store: store.states.save("c-1", {"step": 2}, revision=1),
        prepare=full,
    ),
    Operation(
        "create a review",
        lambda store: store.reviews.create("c-1", "admin", comments="Good.", review_id="r-2"),
        prepare=full,
    ),
    Operation("archive a review", lambda store: store.reviews.archive("r-1"), prepare=full),
    Operation("prune", lambda store: store.messages.prune("c-1", 1), prepare=full),
    Operation(
        "edit", lambda store: store.messages.edit("c-1", "m-1", content="edited"), prepare=full
    ),
    Operation(
        "finish",
        lambda store: store.messages.finish("c-1", "s-1", content="done", response_time=1.0),
        prepare=streaming,
    ),
    Operation("delete a message", lambda store: store.messages.delete("c-1", "m-3"), prepare=full),
    Operation(
        "delete a conversation",
        lambda store: store.conversations.delete("c-1"),
        prepare=full,
        done_already=errors.NotFound,
    ),
]


class Stage:
    """One table on which an operation is played again and again from the same beginning."""

    def __init__(self, scene: Scene, operation: Operation) -> None:
        self.scene = scene
        self.operation = operation
        self.known = scene.new_store(options=ConnectionOptions(max_attempts=2))
        self.stranger = scene.new_store()
        operation.prepare(self.known)
        scene.clock.advance(operation.wait)
        self.beginning = scene.items()
        self._remember()
        with faults(self.known) as counter:
            operation.do(self.known)
        self.requests = counter.requests
        self.end = blurred(scene.items())

    def play(self, fault: Fault, **plan: Any) -> bool:
        """Do it from the beginning, with a fault in its way; whether the fault happened."""
        self.scene.restore(self.beginning)
        self._remember()
        with faults(self.known) as injector:
            injector.plan(fault, **plan)
            self.operation.do(self.known)
        return bool(injector.injected)

    def _remember(self) -> None:
        """One store knows the conversation's head, the other nothing."""
        for store in (self.known, self.stranger):
            store._snapshots._known.clear()
        with contextlib.suppress(errors.NotFound):
            self.known.conversations.get("c-1")

    def comes_to_the_same_end(self, *, again: bool) -> None:
        """As undisturbed; with `again`, another server calls it first."""
        if again:
            try:
                self.operation.do(self.stranger)
            except errors.DynamoChatError as error:
                if self.operation.done_already is not type(error):
                    raise
        assert blurred(self.scene.items()) == self.end


ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
LIFE = re.compile(r'("life": \{\s*"S": ")[0-9A-Z]{10}(?=")')
SHARD = re.compile(r"((?:FEEDBACK|CATEGORY)#.*#)\d\d#")


def blurred(items: list[Item]) -> str:
    """Items as text, without what is random.

    Positions become numbers, shards of feedback and marks of lives dots.
    """
    text = json.dumps(items, indent=1, sort_keys=True, default=repr)
    numbers = {ulid: f"P{n}" for n, ulid in enumerate(sorted(set(ULID.findall(text))))}
    lines = ULID.sub(lambda found: numbers[found.group()], text).splitlines()
    blurred_lines = "\n".join(SHARD.sub(r"\1..#", line) for line in lines)
    return LIFE.sub(r"\1..", blurred_lines)


@pytest.fixture(scope="module", params=OPERATIONS, ids=lambda operation: operation.name)
def stage(dynamo_chat_engine: Engine, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage for each of the operations. Nobody waits between two tries."""
    with Scene(dynamo_chat_engine) as scene, pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        yield Stage(scene, request.param)


def test_called_twice(stage: Stage) -> None:
    """Without any fault: the second call changes nothing."""
    assert not stage.play(Kill(), at=stage.requests + 1)
    stage.comes_to_the_same_end(again=True)


def test_killed_at_each_request(stage: Stage) -> None:
    """Before it was sent, and after it was done."""
    for number, kill in kill_points(stage.requests):
        with pytest.raises(Killed):
            stage.play(kill, at=number)
        stage.comes_to_the_same_end(again=True)


def test_each_answer_lost_on_the_wire(stage: Stage) -> None:
    """The request is sent again, and so done twice; the caller hears nothing of it."""
    for number in range(1, stage.requests + 1):
        assert stage.play(DropAnswer(), at=number)
        stage.comes_to_the_same_end(again=False)
        stage.comes_to_the_same_end(again=True)


def test_each_answer_lost_for_good(stage: Stage) -> None:
    """The caller hears that nobody knows, and calls again."""
    for number in range(1, stage.requests + 1):
        with contextlib.suppress(errors.Unreachable):
            stage.play(DropAnswer(), at=number, every_attempt=True)
        stage.comes_to_the_same_end(again=True)


def test_each_request_refused_once(stage: Stage) -> None:
    """The second try meets a server that works."""
    for number in range(1, stage.requests + 1):
        assert stage.play(ServerError(), at=number)
        stage.comes_to_the_same_end(again=False)


def test_each_write_in_the_way_of_another(stage: Stage) -> None:
    """A conflict of transactions is waited out."""
    number = 1
    while stage.play(TransactionConflict(), at=number):
        stage.comes_to_the_same_end(again=False)
        number += 1
    assert number > 1


# -- messages without an id of their own --------------------------------------------------------


@dataclass(frozen=True)
class Forgetful(Fault):
    """The request is done, its answer lost, and the server has forgotten the client's token."""

    def happen(self, attempt: Attempt) -> Any:
        """Send it twice, under two tokens."""
        attempt.forward({**attempt.body, "ClientRequestToken": str(uuid.uuid4())})
        return attempt.forward()


@pytest.mark.parametrize("fault", [DropAnswer(), Forgetful()], ids=["lost", "forgotten"])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_message_without_an_id_lands_once(scene: Scene, fault: Fault, ahead: bool) -> None:
    """Its place is its identity: what lies there after a lost answer is the message itself."""
    store = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1")
    if ahead:
        fast = scene.new_store(scene.clock.skewed(timedelta(seconds=1)))
        fast.messages.append("c-1", user("first"))
    else:
        store.messages.append("c-1", user("first"))
    for turn in ([user("a")], [user("b"), assistant("c"), user("d")]):
        with faults(store) as injector:
            injector.plan(fault, operation="TransactWriteItems")
            made = store.messages.append_turn("c-1", turn)
            assert injector.injected
        assert store.messages.latest("c-1", len(turn)) == made
    assert said(store, "c-1") == ["first", "a", "b", "c", "d"]
    assert store.conversations.get("c-1").message_count == 5


def test_an_id_whose_server_forgot_the_token(scene: Scene) -> None:
    """The id item tells that it was appended."""
    store = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1", keep_last=2)
    for content in "abc":
        with faults(store) as injector:
            injector.plan(Forgetful(), operation="TransactWriteItems")
            store.messages.append("c-1", user(content, message_id=content))
            assert injector.injected
    assert said(store, "c-1") == ["b", "c"]
    assert store.conversations.get("c-1").appended_count == 3
