"""An append to a conversation with `keep_last` deletes what falls out in its own transaction."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import ChatStore, ConnectionOptions
from dynamo_chat.chat.window import MAX_WINDOW, Window
from dynamo_chat.core.errors import MessageDeleted
from dynamo_chat.testing import DropAnswer, FakeClock, Throttled
from tests.chat.scenes import said, say, user
from tests.machines import walks
from tests.scene import (
    DAY,
    SECOND,
    Scene,
    before_each_request,
    faults,
    just_before,
    race,
    requests,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation that keeps the last three of five messages; the store knows them."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=3)
    say(store, "c-1", *"abcde")
    return "c-1"


def counts(store: ChatStore, talk: str) -> tuple[int, int]:
    """Messages stored, and messages ever appended."""
    head = store.conversations.get(talk, consistent=True)
    return head.message_count, head.appended_count


# -- one request --------------------------------------------------------------------------------


def test_a_store_that_knows_the_messages_needs_one_request(store: ChatStore, talk: str) -> None:
    """From the first message on, for single messages and for turns."""
    with requests(store, 1):
        store.messages.append(talk, user("f"))
    with requests(store, 1):
        store.messages.append_turn(talk, [user("g"), user("h")])
    assert said(store, talk) == list("fgh")
    assert counts(store, talk) == (3, 8)


def test_reading_all_messages_is_knowing_them(scene: Scene, store: ChatStore, talk: str) -> None:
    """As a server does that reads the context, asks a model and appends the answer."""
    other = scene.new_store()
    other.messages.latest(talk, 3)
    with requests(other, 1):
        other.messages.append(talk, user("f"))
    assert said(store, talk) == list("def")


def test_reading_some_messages_is_not(scene: Scene, store: ChatStore, talk: str) -> None:
    other = scene.new_store()
    other.messages.latest(talk, 2)
    with requests(other, 2):
        other.messages.append(talk, user("f"))
    assert said(store, talk) == list("def")


def test_a_cold_store_reads_them_first(scene: Scene, store: ChatStore, talk: str) -> None:
    """The head, then head and keys of the messages; from then on it knows them."""
    other = scene.new_store()
    with requests(other, 3):
        other.messages.append(talk, user("f"))
    with requests(other, 1):
        other.messages.append(talk, user("g"))
    assert said(store, talk) == list("efg")


def test_what_an_own_deletion_leaves_is_read_again(store: ChatStore, talk: str) -> None:
    """Of one message, of the last one, of the oldest."""
    store.messages.delete(talk, store.messages.latest(talk)[1].message_id)
    for letter in "fg":
        store.messages.append(talk, user(letter))
    assert said(store, talk) == list("efg")
    store.messages.pop(talk)
    store.messages.append(talk, user("h"))
    assert said(store, talk) == list("efh")
    store.messages.prune(talk, 1)
    with requests(store, 2):
        store.messages.append(talk, user("i"))
    assert said(store, talk) == ["h", "i"]


# -- others -------------------------------------------------------------------------------------


def test_another_store_that_appends(scene: Scene, store: ChatStore, talk: str) -> None:
    """The first append after it costs a refused transaction; while it goes on, a look each."""
    other = scene.new_store()
    other.messages.append(talk, user("f"))
    with requests(store, 3):
        store.messages.append(talk, user("g"))
    other.messages.append(talk, user("h"))
    with requests(store, 2):
        store.messages.append(talk, user("i"))
    with requests(store, 2):  # it looks once more, and finds itself alone
        store.messages.append(talk, user("j"))
    with requests(store, 1):
        store.messages.append(talk, user("k"))
    assert said(store, talk) == list("ijk")
    assert counts(store, talk) == (3, 11)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_deletion_by_another_store(scene: Scene, store: ChatStore, talk: str, place: str) -> None:
    """A message less: nothing falls out, and nothing is counted twice."""
    other = scene.new_store()
    found = store.messages.latest(talk)[0 if place == "first" else -1]
    other.messages.delete(talk, found.message_id)
    store.messages.append(talk, user("f"))
    left = "def" if place == "first" else "cdf"
    assert said(store, talk) == list(left)
    assert counts(store, talk) == (3, 6)


MEDDLING: dict[str, Callable[[ChatStore], object]] = {
    "append": lambda other: other.messages.append("c-1", user("x")),
    "prune": lambda other: other.messages.prune("c-1", 1),
    "delete": lambda other: other.messages.delete(
        "c-1", other.messages.latest("c-1")[0].message_id
    ),
    "pop": lambda other: other.messages.pop("c-1"),
}
LEFT = {"append": "exf", "prune": "ef", "delete": "def", "pop": "cdf"}


@pytest.mark.parametrize("what", MEDDLING)
@pytest.mark.parametrize("operation", ["Query", "TransactWriteItems"])
def test_a_change_in_between(
    scene: Scene, store: ChatStore, talk: str, operation: str, what: str
) -> None:
    """Before the messages are read, and between reading and appending."""
    late, other = scene.new_store(), scene.new_store()
    with just_before(late.connection, operation, lambda: MEDDLING[what](other)):
        late.messages.append(talk, user("f"))
    assert said(store, talk) == list(LEFT[what])
    assert counts(store, talk) == (len(LEFT[what]), 7 if what == "append" else 6)


def test_others_that_never_stop(scene: Scene, store: ChatStore, talk: str) -> None:
    """After three refusals the message is appended alone, and what fell out goes afterwards."""
    other = scene.new_store()
    letters = iter("tuv")

    def meddle(seen: list[str], _: Any) -> None:
        if seen[-1] == "TransactWriteItems" and (letter := next(letters, "")):
            other.messages.append(talk, user(letter))

    with before_each_request(store, meddle):
        store.messages.append(talk, user("f"))
    assert said(store, talk) == list("uvf")
    assert counts(store, talk) == (3, 9)


def test_many_at_once(scene: Scene, store: ChatStore, talk: str) -> None:
    """From two stores, in eight threads: each message is appended once, three are kept."""
    stores = [store, scene.new_store()]
    race(
        [
            partial(stores[at % 2].messages.append, talk, user(str(at), message_id=f"m-{at}"))
            for at in range(8)
        ]
    )
    store.messages.append(talk, user("end"))
    assert len(said(store, talk)) == 3
    assert counts(store, talk) == (3, 14)


# -- lost answers, retries, lives ---------------------------------------------------------------


def test_a_lost_answer(store: ChatStore, talk: str) -> None:
    """The resent transaction deletes no second message."""
    for message in (user("f"), user("g", message_id="m-g")):
        with faults(store) as injector:
            injector.plan(DropAnswer(), operation="TransactWriteItems")
            store.messages.append(talk, message)
            assert injector.injected
    assert said(store, talk) == list("efg")
    assert counts(store, talk) == (3, 7)


def test_a_retry_with_the_same_id(scene: Scene, store: ChatStore, talk: str) -> None:
    """By a store that knows the messages and by one that does not; then it has fallen out."""
    made = store.messages.append(talk, user("f", message_id="m-f"))
    assert store.messages.append(talk, user("f", message_id="m-f")) == made
    assert scene.new_store().messages.append(talk, user("f", message_id="m-f")) == made
    assert said(store, talk) == list("def")
    say(store, talk, *"ghi")
    with pytest.raises(MessageDeleted):
        store.messages.append(talk, user("f", message_id="m-f"))
    assert said(store, talk) == list("ghi")


def test_an_id_given_anew(scene: Scene, store: ChatStore, talk: str) -> None:
    """What is remembered of the earlier conversation deletes nothing of the new one."""
    other = scene.new_store()
    other.conversations.delete(talk)
    other.conversations.create("u-1", conversation_id=talk, title="T", keep_last=3)
    say(other, talk, *"vwx")
    store.messages.append(talk, user("y"))
    assert said(store, talk) == list("wxy")
    assert counts(store, talk) == (3, 4)


def test_an_expired_namesake(store: ChatStore, clock: FakeClock, scene: Scene) -> None:
    """Its messages are still in the table, and are not taken for this conversation's."""
    for letters in ("abcd", "vwxy"):
        store.conversations.create("u-1", conversation_id="c-1", retention=DAY, keep_last=3)
        say(store, "c-1", *letters)
        cold = scene.new_store()
        cold.messages.append("c-1", user("z"))
        assert said(store, "c-1") == [*letters[-2:], "z"]
        assert counts(store, "c-1") == (3, 5)
        clock.advance(DAY + SECOND)


# -- when it does not go in one transaction -----------------------------------------------------


def test_leftovers_go_with_the_next_append(scene: Scene, store: ChatStore, talk: str) -> None:
    """More than one message may be too many, after a pruning that failed."""
    hasty = scene.new_store(options=ConnectionOptions(max_attempts=1))
    with faults(hasty) as injector:
        injector.plan(Throttled(), operation="Query", times=2)
        hasty.messages.append(talk, user("f"))
    assert said(store, talk) == list("cdef")
    store.messages.append(talk, user("g"))
    assert said(store, talk) == list("efg")


def test_a_count_that_is_wrong(scene: Scene, store: ChatStore, talk: str) -> None:
    """After a repair by hand, say: the messages are deleted as the count tells."""
    head = scene.only("conversation")
    scene.put({**head, "message_count": {"N": "5"}})
    cold = scene.new_store()
    cold.messages.append(talk, user("f"))
    assert counts(store, talk)[0] == 3


def test_a_turn_longer_than_what_is_kept(store: ChatStore, talk: str) -> None:
    """Its own first messages go at once, as before."""
    store.messages.append_turn(talk, [user(each) for each in "vwxyz"])
    assert said(store, talk) == list("xyz")
    assert counts(store, talk) == (3, 10)


def test_more_writes_than_a_transaction_takes(store: ChatStore) -> None:
    """45 messages with ids push out 45 others: 136 writes."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=45)
    for turn in "ab":
        named = [user(f"{turn}{n}", message_id=f"{turn}{n}") for n in range(45)]
        store.messages.append_turn("c-1", named)
    assert said(store, "c-1") == [f"b{n}" for n in range(45)]
    assert counts(store, "c-1") == (45, 90)


def test_more_bytes_than_a_transaction_takes(store: ChatStore) -> None:
    """Messages of 3 MB push out others of 3 MB."""
    noise = [random.Random(n).randbytes(190_000).hex() for n in range(8)]
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=8)
    for _ in range(2):
        store.messages.append_turn("c-1", [user(each) for each in noise])
    assert said(store, "c-1") == noise
    assert counts(store, "c-1") == (8, 16)


def test_too_many_to_remember(store: ChatStore) -> None:
    """They are deleted after the append, and nothing is remembered of them."""
    keep = MAX_WINDOW + 1
    store.conversations.create("u-1", conversation_id="c-1", title="T", keep_last=keep)
    for start in range(0, keep + 3, 8):
        store.messages.append_turn("c-1", [user(str(n)) for n in range(start, start + 8)])
    assert len(said(store, "c-1")) == keep


# -- any order ----------------------------------------------------------------------------------


class Step(NamedTuple):
    """What one of the stores does."""

    store: int
    what: str
    number: int


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 1),
        st.sampled_from(
            ["append", "append", "append", "named", "delete", "pop", "prune", "latest"]
        ),
        st.integers(1, 4),
    ),
    max_size=25,
)


def test_any_order(scene: Scene) -> None:
    """Two stores with different knowledge keep the same messages as a list that is cut."""

    @walks(scene.engine)
    @given(st.integers(1, 4), steps)
    def check(keep: int, plan: list[Step]) -> None:
        stores, onlooker = [scene.new_store(), scene.new_store()], scene.new_store()
        talk = stores[0].conversations.create("u-1", title="T", keep_last=keep).conversation_id
        there: list[str] = []
        appended = 0
        for at, step in enumerate(plan):
            messages = stores[step.store].messages
            if step.what in {"append", "named"}:
                texts = [f"{at}.{n}" for n in range(step.number)]
                is_named = step.what == "named"
                turn = [user(each, message_id=each if is_named else None) for each in texts]
                messages.append_turn(talk, turn)
                there = [*there, *texts][-keep:]
                appended += len(texts)
            elif step.what == "delete" and len(there) >= step.number:
                found = messages.latest(talk, 10, consistent=True)
                messages.delete(talk, found[step.number - 1].message_id)
                del there[step.number - 1]
            elif step.what == "pop":
                popped = messages.pop(talk)
                assert (popped.content if popped else None) == (there.pop() if there else None)
            elif step.what == "prune":
                messages.prune(talk, step.number)
                there = there[-step.number :]
            elif step.what == "latest":
                messages.latest(talk, step.number)
            assert said(onlooker, talk) == there
            assert counts(onlooker, talk) == (len(there), appended)

    check()


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 10))
def test_a_window_is_a_list_of_positions(count: int, dropped: int, added: int) -> None:
    """In one text."""
    positions = [f"{n:026d}" for n in range(count + added)]
    window = Window.of(positions[:count])
    assert window.count == count
    assert window.oldest(min(dropped, count)) == positions[:count][:dropped]
    moved = window.moved(min(dropped, count), positions[count:])
    assert moved == Window.of(positions[min(dropped, count) :])
