"""C18, C20: one caller learns that it deleted a message, and one gets the last message."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ReadTimeoutError

from dynamo_chat import ChatStore, Feedback, Message
from dynamo_chat.core.errors import (
    Contended,
    CorruptItem,
    InvalidArgument,
    MessageDeleted,
    NotFound,
    Unreachable,
)
from dynamo_chat.testing import DropAnswer, FakeClock, Fault
from dynamo_chat.testing.faults import Attempt
from tests.chat.scenes import assistant, said, say, user
from tests.scene import DAY, SECOND, Scene, faults, just_before, requests

pytestmark = pytest.mark.engine

CALLERS = 40


@dataclass(frozen=True)
class Forgotten(Fault):
    """The request is done, its answer lost, and the server has forgotten the client's token."""

    def happen(self, attempt: Attempt) -> Any:
        """Send it under another token, and raise a timeout: botocore sends it again."""
        attempt.forward({**attempt.body, "ClientRequestToken": str(uuid4())})
        raise ReadTimeoutError(endpoint_url=attempt.url, error="injected")


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def together(callers: list[Any]) -> list[Any]:
    """What all of them get, who begin at the same moment."""
    barrier = Barrier(len(callers))

    def run(call: Any) -> Any:
        barrier.wait()
        while True:
            try:
                return call()
            except Contended:  # nothing was changed: called again, as the guide says
                continue

    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(run, callers))


# -- delete ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("message_id", [None, "m-1"])
def test_the_first_delete_says_so(store: ChatStore, talk: str, message_id: str | None) -> None:
    """And no later one; what never was is not deleted either."""
    made = store.messages.append(talk, user(message_id=message_id))
    assert store.messages.delete(talk, made.message_id) is True
    assert store.messages.delete(talk, made.message_id) is False
    assert store.messages.delete(talk, "m-9") is False
    assert store.messages.delete(talk, f"{talk}~{'0' * 26}") is False
    assert store.messages.delete(talk, f"c-2~{'0' * 26}") is False


def test_one_of_many_deleted_it(scene: Scene, talk: str) -> None:
    """Forty callers through four servers."""
    stores = [scene.new_store() for _ in range(4)]
    message_id = stores[0].messages.append(talk, user()).message_id
    calls = [lambda s=stores[n % 4]: s.messages.delete(talk, message_id) for n in range(CALLERS)]
    assert Counter(together(calls)) == {True: 1, False: CALLERS - 1}
    assert stores[0].conversations.get(talk).message_count == 0


# -- pop ------------------------------------------------------------------------------------------


def test_the_last_one_is_taken(store: ChatStore, talk: str) -> None:
    """In two requests, as it was stored, with its feedback; and counted out."""
    say(store, talk, "first")
    last = store.messages.append(talk, assistant("last", message_id="m-1", metadata={"n": 1}))
    store.messages.give_feedback(talk, "m-1", Feedback(type="positive", category="a"))
    last = store.messages.get(talk, "m-1")
    with requests(store, 2):
        assert store.messages.pop(talk, user_id="u-1") == last
    assert said(store, talk) == ["first"]
    assert not store.messages.list_by_feedback("positive").items
    head = store.conversations.get(talk)
    assert (head.message_count, head.appended_count) == (1, 2)
    with pytest.raises(MessageDeleted):
        store.messages.append(talk, assistant("last", message_id="m-1", metadata={"n": 1}))


def test_until_none_is_left(store: ChatStore, talk: str) -> None:
    """Then None, in one request; the next append sorts behind all that was taken."""
    made = say(store, talk, "a", "b", "c")
    assert [store.messages.pop(talk) for _ in "abc"] == made[::-1]
    with requests(store, 1):
        assert store.messages.pop(talk) is None
    assert store.messages.append(talk, user("d")).position > made[-1].position


def test_what_is_being_written_stays_if_asked_for(store: ChatStore, talk: str) -> None:
    """Until its stream has ended; what is before it is taken meanwhile."""
    say(store, talk, "first", "second")
    with store.messages.stream(talk) as answer:
        answer.write("third")
        taken = store.messages.pop(talk, finished_only=True)
        assert taken is not None
        assert taken.content == "second"
    assert said(store, talk) == ["first", "third"]
    taken = store.messages.pop(talk, finished_only=True)
    assert taken is not None
    assert taken.content == "third"


def test_of_nobody_else(scene: Scene, store: ChatStore, talk: str) -> None:
    """Another user's conversation is not found, and neither is none, or a deleted one."""
    say(store, talk, "a")
    before = scene.items()
    with pytest.raises(NotFound, match="conversation"):
        store.messages.pop(talk, user_id="u-2")
    with pytest.raises(NotFound, match="conversation"):
        store.messages.pop("c-9")
    with pytest.raises(InvalidArgument, match="conversation_id"):
        store.messages.pop("")
    assert scene.items() == before
    store.conversations.delete(talk)
    with pytest.raises(NotFound, match="conversation"):
        store.messages.pop(talk)


def test_what_has_expired_is_not_taken(store: ChatStore, clock: FakeClock) -> None:
    """Neither the conversation, nor what an earlier one with its id left."""
    store.conversations.create("u-1", conversation_id="c-2", retention=DAY)
    say(store, "c-2", "old")
    clock.advance(DAY + SECOND)
    with pytest.raises(NotFound):
        store.messages.pop("c-2")
    store.conversations.create("u-1", conversation_id="c-2")
    assert store.messages.pop("c-2") is None


def test_what_cannot_be_read_stays(scene: Scene, store: ChatStore, talk: str) -> None:
    """The caller could not be given it."""
    say(store, talk, "a")
    scene.put({**scene.only("message"), "sent_at": {"S": "yesterday"}})
    with pytest.raises(CorruptItem):
        store.messages.pop(talk)
    assert store.conversations.get(talk).message_count == 1


def test_forty_callers_take_each_message_once(scene: Scene, talk: str) -> None:
    """Of thirty messages, from four servers; ten callers get none."""
    stores = [scene.new_store() for _ in range(4)]
    made = say(stores[0], talk, *map(str, range(30)))
    calls = [lambda s=stores[n % 4]: s.messages.pop(talk) for n in range(CALLERS)]
    taken = together(calls)
    assert Counter(each.content for each in taken if each) == Counter(m.content for m in made)
    assert taken.count(None) == CALLERS - 30
    assert stores[0].conversations.get(talk).message_count == 0
    assert scene.kinds()["message"] == 0


def test_pops_and_appends_at_once(scene: Scene, talk: str) -> None:
    """What was appended is taken once or is still there; the count is right."""
    stores = [scene.new_store() for _ in range(4)]

    def append(number: int) -> Message:
        return stores[number % 4].messages.append(talk, user(str(number)))

    calls = [
        lambda n=n: append(n) if n % 2 else stores[n % 4].messages.pop(talk) for n in range(40)
    ]
    taken = [each for place, each in enumerate(together(calls)) if place % 2 == 0 and each]
    left = said(stores[0], talk)
    assert sorted([each.content for each in taken] + left) == sorted(map(str, range(1, 40, 2)))
    assert stores[0].conversations.get(talk, consistent=True).message_count == len(left)


def test_one_appended_meanwhile_is_taken_first(scene: Scene, store: ChatStore, talk: str) -> None:
    """Last means last at the moment of taking."""
    say(store, talk, "a")
    other = scene.new_store()
    with just_before(store, "TransactWriteItems", lambda: say(other, talk, "b")):
        taken = store.messages.pop(talk)
    assert taken is not None
    assert taken.content == "b"
    assert said(store, talk) == ["a"]


@pytest.mark.parametrize("change", ["edit", "feedback", "finish"])
def test_one_changed_meanwhile_is_taken_as_it_is_then(
    scene: Scene, store: ChatStore, talk: str, change: str
) -> None:
    """Not as it was read before."""
    made = store.messages.append(talk, assistant(is_streaming=change == "finish"))
    other = scene.new_store()
    changed: list[Message] = []

    def meanwhile() -> None:
        if change == "edit":
            other.messages.edit(talk, made.message_id, content="edited")
        elif change == "finish":
            other.messages.finish(talk, made.message_id, content="all")
        else:
            other.messages.give_feedback(talk, made.message_id, Feedback(type="negative"))
        changed.append(other.messages.get(talk, made.message_id))

    with just_before(store, "TransactWriteItems", meanwhile):
        assert store.messages.pop(talk) == changed[0] != made
    assert said(store, talk) == []


def test_one_taken_meanwhile_is_not_taken_again(scene: Scene, store: ChatStore, talk: str) -> None:
    """The one below it is, with one more read."""
    say(store, talk, "a", "b")
    other = scene.new_store()
    with (
        requests(store, 4),
        just_before(store, "TransactWriteItems", lambda: other.messages.pop(talk)),
    ):
        taken = store.messages.pop(talk)
    assert taken is not None
    assert taken.content == "a"
    assert store.conversations.get(talk).message_count == 0


def test_an_id_given_anew_meanwhile(scene: Scene, store: ChatStore, talk: str) -> None:
    """The new conversation's messages stay with it when the caller named the owner."""
    say(store, talk, "a")
    other = scene.new_store()

    def meanwhile() -> None:
        other.conversations.delete(talk)
        other.conversations.create("u-2", conversation_id=talk)
        say(other, talk, "theirs")

    with (
        just_before(store, "TransactWriteItems", meanwhile),
        pytest.raises(NotFound, match="conversation"),
    ):
        store.messages.pop(talk, user_id="u-1")
    assert said(store, talk) == ["theirs"]


def test_a_lost_answer_takes_one(store: ChatStore, talk: str) -> None:
    """The transaction's token recognises the second try."""
    say(store, talk, "a", "b")
    with faults(store) as injector:
        injector.plan(DropAnswer(), operation="TransactWriteItems")
        taken = store.messages.pop(talk)
        assert injector.injected
    assert taken is not None
    assert taken.content == "b"
    assert said(store, talk) == ["a"]


def test_an_answer_that_nobody_remembers(store: ChatStore, talk: str) -> None:
    """It may have been this call that took it: the next message must not go, too."""
    say(store, talk, "a", "b")
    with faults(store) as injector:
        injector.plan(Forgotten(), operation="TransactWriteItems")
        with pytest.raises(Unreachable):
            store.messages.pop(talk)
    assert said(store, talk) == ["a"]
