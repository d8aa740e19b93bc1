"""What calls cost, by DynamoDB's rules, through the request meter."""

from collections.abc import Callable
from functools import partial

import pytest

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.testing import FakeClock, RequestMeter
from tests.scene import SECOND


def cost(store: ChatStore, call: Callable[[], object]) -> tuple[int, float, float]:
    """Requests, write units and read units of a call."""
    with RequestMeter(store.connection.client) as meter:
        call()
    return meter.count, meter.wcu, meter.rcu


def english(characters: int, role: str = "user") -> NewMessage:
    """A message of that many characters."""
    text = ENGLISH * (characters // len(ENGLISH) + 1)
    return NewMessage.model_validate({"role": role, "content": text[:characters]})


@pytest.fixture
def talk(store: ChatStore, clock: FakeClock) -> str:
    """A conversation with a title, begun a second ago: an append moves it in the activity list."""
    made = store.conversations.create("user-1", title="Renders of the harbour at night")
    clock.advance(SECOND)
    return made.conversation_id


@pytest.mark.parametrize("characters", [50, 500, 900, 1_000, 1_024, 1_400])
def test_an_append_costs_seven_units(store: ChatStore, talk: str, characters: int) -> None:
    """Two for the message, five for the head in the table and in both indexes."""
    assert cost(store, lambda: store.messages.append(talk, english(characters))) == (1, 7, 0)


def test_a_turn_of_two_costs_nine_units(store: ChatStore, talk: str) -> None:
    turn = [english(1_000), english(1_000, "assistant")]
    assert cost(store, lambda: store.messages.append_turn(talk, turn)) == (1, 9, 0)


def test_finishing_a_stream_costs_one_unit(store: ChatStore, talk: str) -> None:
    """An update compresses, too, though it does not know the rest of the item."""
    begun = store.messages.append(talk, NewMessage(role="assistant", is_streaming=True))
    costs = cost(store, lambda: store.messages.finish(talk, begun.message_id, content=ENGLISH))
    assert costs == (2, 1, 1)


def test_keeping_the_last_messages_costs_two_units_more(store: ChatStore, clock: FakeClock) -> None:
    """The message that falls out is deleted in the same transaction, without a look."""
    made = store.conversations.create("user-1", title="Renders", keep_last=10)
    for number in range(10):
        clock.advance(SECOND)
        role = "assistant" if number % 2 else "user"
        store.messages.append(made.conversation_id, english(1_000, role))
    clock.advance(SECOND)
    append = partial(store.messages.append, made.conversation_id, english(1_000))
    assert cost(store, append) == (1, 9, 0)
    turn = [english(1_000), english(1_000, "assistant")]
    clock.advance(SECOND)
    append_turn = partial(store.messages.append_turn, made.conversation_id, turn)
    assert cost(store, append_turn) == (1, 13, 0)
    assert store.conversations.get(made.conversation_id).message_count == 10
