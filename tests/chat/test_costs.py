"""What calls cost, by DynamoDB's rules, through the request meter."""

import random
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


def notes(characters: int) -> dict[str, str]:
    """Preferences of that many characters, which can't be compressed to nothing."""
    return {"notes": random.Random(characters).randbytes(characters // 2).hex()}


@pytest.mark.parametrize("characters", [100, 1_000, 4_096, 8_192])
def test_preferences_cost_an_append_and_a_list_nothing(
    store: ChatStore, talk: str, clock: FakeClock, characters: int
) -> None:
    """They are beside the head: neither rewritten by appends nor read by lists."""
    user_id = store.conversations.get(talk).user_id
    for _ in range(19):
        store.conversations.create(user_id, title="Renders", preferences=notes(characters))
    store.conversations.set_preferences(talk, notes(characters))
    assert cost(store, lambda: store.messages.append(talk, english(1_000))) == (1, 7, 0)
    for listed in (store.conversations.list_by_user, store.conversations.list_by_activity):
        assert cost(store, lambda: listed(user_id)) == (1, 0, 1.5)  # noqa: B023
    units = -(-(characters + 1_000) // 4_096) / 2  # eventually consistent, with head and message
    assert cost(store, lambda: store.conversations.get(talk))[:2] == (1, 0)
    assert cost(store, lambda: store.messages.latest_with_conversation(talk))[2] <= units + 0.5
