"""What is no id, no exchange, no count is refused by name, before anything is sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import Parameter, signature
from operator import attrgetter
from typing import Any

import pytest

from dynamo_chat import UNCHANGED, ChatStore, Exchange, Feedback, InvalidArgument, NewMessage
from dynamo_chat.catalogue import catalogue

NO_IDS: list[Any] = [7, b"x", "", [], {}, {"a"}, object()]
HELLO = NewMessage(role="user", content="Hello")


def calls(store: ChatStore, talk: Any, user: Any) -> dict[str, Callable[[], object]]:
    messages, talks = store.messages, store.conversations
    return {
        "append": lambda: messages.append(talk, HELLO, user_id=user),
        "list": lambda: messages.list(talk, user_id=user),
        "open": lambda: messages.latest_with_conversation(talk, user_id=user),
        "delete message": lambda: messages.delete(talk, "m", user_id=user),
        "feedback": lambda: messages.give_feedback(
            talk, "m", Feedback(type="positive"), user_id=user
        ),
        "get": lambda: talks.get(talk, user_id=user),
        "rename": lambda: talks.rename(talk, "Title", user_id=user),
        "delete": lambda: talks.delete(talk, user_id=user),
        "save": lambda: store.states.save(talk, {}, user_id=user),
    }


@pytest.mark.parametrize("wrong", NO_IDS, ids=lambda value: type(value).__name__)
def test_what_is_no_conversation_id_is_refused(chat_store: ChatStore, wrong: Any) -> None:
    for name, call in calls(chat_store, wrong, None).items():
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert caught.value.argument == "conversation_id", name


@pytest.mark.parametrize("wrong", NO_IDS, ids=lambda value: type(value).__name__)
def test_what_is_no_user_id_is_refused(chat_store: ChatStore, wrong: Any) -> None:
    """An empty or mistyped owner is a mistake of the program, not somebody else's conversation."""
    talk = chat_store.conversations.create("u").conversation_id
    message = NewMessage(role="user", content="There", message_id="m")
    chat_store.messages.append(talk, message)
    for name, call in calls(chat_store, talk, wrong).items():
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert caught.value.argument == "user_id", name
    assert [each.content for each in chat_store.messages.latest(talk)] == ["There"]


@pytest.mark.parametrize("count", [0, -1, 1_001, True, "2", None])
def test_a_count_is_named_as_such(chat_store: ChatStore, count: Any) -> None:
    talk = chat_store.conversations.create("u").conversation_id
    for call in (chat_store.messages.latest, chat_store.messages.latest_with_conversation):
        with pytest.raises(InvalidArgument, match=r"^count: "):
            call(talk, count)


def test_only_an_exchange_that_can_be_appended_is_taken(chat_store: ChatStore) -> None:
    """Nothing that an exchange carries is dropped without a word."""
    talk = chat_store.conversations.create("u").conversation_id
    praised = Exchange(user_prompt="q", feedback=Feedback(type="positive"))
    elsewhere = Exchange(user_prompt="q", conversation_id="another")
    wrong: Any
    for wrong, argument in (
        (None, "exchange"),
        (praised, "exchange.feedback"),
        (elsewhere, "exchange.conversation_id"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            chat_store.messages.append_exchange(talk, wrong)
        assert caught.value.argument == argument
    assert chat_store.messages.latest(talk) == ()


def test_a_slow_response_is_dated_ahead_and_takes_its_place_now(chat_store: ChatStore) -> None:
    talk = chat_store.conversations.create("u").conversation_id
    sent = datetime.now(UTC) - timedelta(seconds=1)
    slow = Exchange(user_prompt="q", bot_response="a", sent_at=sent, response_time=400.0)
    stored = chat_store.messages.append_exchange(talk, slow)
    assert (stored.sent_at, stored.response_time) == (sent, 400.0)
    prompt, response = chat_store.messages.latest(talk)
    assert response.sent_at == sent + timedelta(seconds=400)
    assert prompt.position < response.position


FLAGS: list[Any] = [None, 0, 1, "false", "", [], {}, object(), UNCHANGED]


def test_every_flag_of_every_method_is_true_or_false(chat_store: ChatStore) -> None:
    """What only counts as true, such as the text "false", is refused before anything is sent."""
    seen = set()
    for entry in catalogue():
        method = attrgetter(entry.method)(chat_store)
        flags = [n for n, p in signature(method).parameters.items() if p.annotation == "bool"]
        for flag in flags:
            seen.add(flag)
            for wrong in FLAGS:
                with pytest.raises(InvalidArgument) as caught:
                    method(**{flag: wrong})
                assert caught.value.argument == flag, entry.method
    assert seen >= {"consistent", "newest_first", "sliding", "archived", "descending"}


def test_unchanged_is_taken_only_where_something_can_stay(chat_store: ChatStore) -> None:
    """By every method, for every argument: what has no such default is refused by name."""
    taken = set()
    for entry in catalogue():
        method = attrgetter(entry.method)(chat_store)
        for name, parameter in signature(method).parameters.items():
            if parameter.default is UNCHANGED:
                taken.add(f"{entry.method} {name}")
                continue
            if parameter.kind in {Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL}:
                continue
            with pytest.raises(InvalidArgument) as caught:
                method(**{name: UNCHANGED})
            assert caught.value.argument == name, entry.method
    assert "messages.edit content" in taken
    with pytest.raises(InvalidArgument, match=r"^title: "):
        chat_store.conversations.rename("c", UNCHANGED)  # type: ignore[arg-type]


def test_names_keep_their_capitals() -> None:
    with pytest.raises(InvalidArgument, match=r"^metadata: NaN and infinities are not JSON$"):
        NewMessage(role="user", metadata={"a": float("nan")})
    with pytest.raises(InvalidArgument, match=r"^content: input should be"):
        NewMessage(role="user", content=7)  # type: ignore[arg-type]


def test_what_is_no_conversation_of_an_exchange_is_refused(chat_store: ChatStore) -> None:
    wrong: Any
    for wrong in ([], {}, {"a"}):
        with pytest.raises(InvalidArgument, match=r"^conversation_id: "):
            chat_store.messages.append_exchange(wrong, Exchange(user_prompt="q"))
        with pytest.raises(InvalidArgument, match=r"^user_id: "):
            chat_store.messages.get_by_id("m", user_id=wrong)
        with pytest.raises(InvalidArgument, match=r"^message: "):
            chat_store.messages.append("c", wrong)
