"""C7 with `also`: messages and what belongs to them are written completely, or not at all."""

from functools import partial
from typing import Any

import pytest

from dynamo_chat import ChatStore, Message, NewState, StateConflict
from dynamo_chat.core.errors import Conflict, InvalidArgument, ItemTooLarge, NotFound
from dynamo_chat.core.item import Item
from dynamo_chat.core.transaction import Check, Delete, Put, Update
from dynamo_chat.testing import DropAnswer, RequestMeter
from tests.chat.scenes import assistant, said, say, user
from tests.scene import DAY, Scene, faults, just_before, race, requests

pytestmark = pytest.mark.engine

OWN = {"PK": {"S": "ORDER#1#"}, "SK": {"S": "ORDER#"}, "kind": {"S": "order"}}
KEY = {name: OWN[name] for name in ("PK", "SK")}
TURN = [user("x" * 1_000), assistant("y" * 1_000)]


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def test_a_turn_with_the_state(store: ChatStore, talk: str) -> None:
    """In one request, and 2 write units less than in two."""
    with RequestMeter(store.connection.client) as apart:
        store.messages.append_turn(talk, TURN)
        store.states.save(talk, {"step": 1})
    with RequestMeter(store.connection.client) as together:
        made = store.messages.append_turn(talk, TURN, also=[NewState(data={"step": 2}, revision=1)])
    assert (apart.count, together.count) == (2, 1)
    assert together.wcu == apart.wcu - 2
    state = store.states.get(talk)
    assert state is not None
    assert (state.data, state.revision) == ({"step": 2}, 2)
    assert store.messages.latest(talk, 2) == made
    saved = store.states.save(talk, {"step": 3}, revision=2)
    assert saved.revision == 3


@pytest.mark.parametrize("revision", [0, 1, 3])
def test_a_state_saved_in_between(scene: Scene, store: ChatStore, talk: str, revision: int) -> None:
    """The conflict shows it, and leaves nothing of the turn."""
    store.states.save(talk, {"n": 0})
    there = store.states.save(talk, {"n": 1}, revision=1)
    before = scene.items()
    with pytest.raises(StateConflict) as refused:
        store.messages.append(talk, user(), also=[NewState(data={}, revision=revision)])
    assert refused.value.current == there
    assert scene.items() == before


def test_no_state_yet(scene: Scene, store: ChatStore, talk: str) -> None:
    """There is none at a later revision."""
    before = scene.items()
    with pytest.raises(StateConflict, match="no saved state") as refused:
        store.messages.append(talk, user(), also=[NewState(data={}, revision=1)])
    assert refused.value.current is None
    assert scene.items() == before


def test_own_items(scene: Scene, store: ChatStore, talk: str) -> None:
    """Put, changed, checked and deleted, with the messages."""
    store.messages.append(talk, user("a"), also=[Put(OWN, Item.PK.does_not_exist())])
    assert OWN in scene.items()
    store.messages.append(
        talk, user("b"), also=[Update(KEY, [Item.kind.set("paid")], Item.kind == "order")]
    )
    store.messages.append(talk, user("c"), also=[Check(KEY, Item.kind == "paid")])
    attempts: list[list[Any]] = [
        [Check(KEY, Item.kind == "order")],
        [NewState(data={}), Put(OWN, Item.PK.does_not_exist())],
    ]
    for also in attempts:
        before = scene.items()
        with pytest.raises(Conflict, match=rf"also\[{len(also) - 1}\]"):
            store.messages.append(talk, user("x"), also=also)
        assert scene.items() == before
    store.messages.append(talk, user("d"), also=[Delete(KEY)])
    assert said(store, talk) == [*"abcd"]
    assert scene.kinds()["paid"] == 0


def test_a_turn_appended_before(scene: Scene, store: ChatStore, talk: str) -> None:
    """Its ids say so: what was beside it was written then, whatever it is now."""
    turn = [user("a", message_id="m-1"), assistant("b", message_id="m-2")]
    made = store.messages.append_turn(talk, turn, also=[NewState(data={"n": 1})])
    store.states.save(talk, {"n": 2}, revision=1)
    before = scene.items()
    again = scene.new_store().messages.append_turn(talk, turn, also=[NewState(data={"n": 1})])
    assert again == made
    assert scene.items() == before


@pytest.mark.parametrize("message_id", [None, "m-1"])
def test_a_lost_answer(store: ChatStore, talk: str, message_id: str | None) -> None:
    """Is no conflict with oneself."""
    with faults(store) as injector:
        injector.plan(DropAnswer(), operation="TransactWriteItems")
        made = store.messages.append(
            talk, user("a", message_id=message_id), also=[NewState(data={"n": 1})]
        )
        assert injector.injected
    assert store.messages.latest(talk) == (made,)
    state = store.states.get(talk)
    assert state is not None
    assert state.revision == 1


def test_another_append_meanwhile(scene: Scene, store: ChatStore, talk: str) -> None:
    """Only the place of the messages changes."""
    other = scene.new_store()
    with just_before(store, "TransactWriteItems", lambda: say(other, talk, "theirs")):
        store.messages.append(talk, user("mine"), also=[NewState(data={"n": 1})])
    assert said(store, talk) == ["theirs", "mine"]
    assert store.states.get(talk) is not None


def test_one_of_many_saves(scene: Scene, talk: str) -> None:
    """Its message is there, and nobody else's."""
    stores = [scene.new_store() for _ in range(4)]

    def append(number: int) -> Message:
        state = NewState(data={"n": number})
        return stores[number % 4].messages.append(talk, user(str(number)), also=[state])

    made = race([partial(append, number) for number in range(16)])
    (won,) = [each for each in made if isinstance(each, Message)]
    assert sum(isinstance(each, StateConflict) for each in made) == 15
    state = stores[0].states.get(talk)
    assert state is not None
    assert [str(state.data["n"])] == said(stores[0], talk) == [won.content]


def test_the_state_expires_with_the_conversation(scene: Scene, store: ChatStore) -> None:
    """It has the deadline and the life of the conversation."""
    made = store.conversations.create("u-1", conversation_id="c-2", retention=DAY)
    store.messages.append("c-2", user(), also=[NewState(data={"n": 1})])
    item = scene.only("conversation_state")
    assert item["life"] == {"S": made.life}
    assert item["ttl"] == scene.only("conversation")["ttl"]


def test_with_keep_last(store: ChatStore) -> None:
    """Older messages are deleted afterwards."""
    store.conversations.create("u-1", conversation_id="c-2", title="T", keep_last=2)
    for number in range(4):
        state = NewState(data={"n": number}, revision=number)
        store.messages.append("c-2", user(str(number)), also=[state])
    assert said(store, "c-2") == ["2", "3"]
    assert store.conversations.get("c-2").message_count == 2


def test_of_nobody_else(scene: Scene, store: ChatStore, talk: str) -> None:
    """Another user's state is not shown by a conflict."""
    store.states.save(talk, {"secret": 1})
    before = scene.items()
    with pytest.raises(NotFound):
        store.messages.append(talk, user(), user_id="u-2", also=[NewState(data={})])
    assert scene.items() == before


def test_what_does_not_fit(scene: Scene, store: ChatStore, talk: str) -> None:
    """A state beyond 400 KB is refused, and nothing is written."""
    noise = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(330_000))
    before = scene.items()
    with pytest.raises(ItemTooLarge):
        store.messages.append(talk, user(), also=[NewState(data={"a": noise})])
    assert scene.items() == before


@pytest.mark.parametrize(
    ("also", "argument"),
    [
        (5, "also"),
        (NewState(data={}), "also"),
        ([{}], "also.0"),
        ([NewState(data={}), None], "also.1"),
        ([NewState(data={}), NewState(data={})], "also"),
        ([Delete(KEY)] * 6, "also"),
    ],
)
def test_bad_arguments(store: ChatStore, talk: str, also: Any, argument: str) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.messages.append(talk, user(), also=also)
    assert refused.value.argument == argument
