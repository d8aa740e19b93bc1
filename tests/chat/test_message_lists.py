"""C8: the messages of a conversation, in the order in which they were appended."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Exchange, Feedback, Message, NewMessage
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, InvalidCursor, NotFound
from dynamo_chat.core.ulids import ulid_time
from dynamo_chat.importing.support import support_rows
from dynamo_chat.testing import FakeClock, RequestMeter
from tests.chat.scenes import assistant, not_there, say, user
from tests.scene import DAY, MINUTE, SECOND, Scene, drained, just_before, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


@pytest.fixture
def said(store: ChatStore, talk: str, clock: FakeClock) -> list[Message]:
    """Nine messages, a minute apart."""
    made = []
    for number in range(9):
        made += say(store, talk, str(number))
        clock.advance(MINUTE)
    return made


def contents(messages: Any) -> str:
    return "".join(message.content for message in messages)


def test_both_directions(store: ChatStore, talk: str, said: list[Message]) -> None:
    """Oldest first unless told otherwise; the head is read in the same request or one more."""
    with requests(store, 2):
        assert list(store.messages.list(talk)) == said
    with requests(store, 1):
        assert list(store.messages.list(talk, newest_first=True)) == said[::-1]


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("page_size", [1, 2, 4, 9, 10])
def test_pages_are_full_and_add_up(
    store: ChatStore,
    talk: str,
    said: list[Message],
    page_size: int,
    newest_first: bool,
    consistent: bool,
) -> None:
    """Each holds `page_size` unless there are no more."""
    pages = drained(
        lambda **more: store.messages.list(talk, user_id="u-1", **more),
        page_size=page_size,
        newest_first=newest_first,
        consistent=consistent,
    )
    assert [each for page in pages for each in page] == (said[::-1] if newest_first else said)
    assert all(len(page) == page_size for page in pages[:-2])
    assert len(pages) <= len(said) // page_size + 1


def test_a_range_holds_its_start_and_not_its_end(
    store: ChatStore, talk: str, said: list[Message]
) -> None:
    """[since, until) by the time of their places, in both directions and in pages."""
    moments = [ulid_time(each.position) for each in said]
    step = timedelta(milliseconds=1)
    for newest_first in (False, True):
        ranges: list[tuple[Any, Any, str]] = [
            (moments[2], moments[5], "234"),
            (moments[2] + step, moments[5] + step, "345"),
            (moments[7], None, "78"),
            (None, moments[2], "01"),
            (moments[3], moments[3], ""),
            (moments[8] + step, None, ""),
            (None, moments[0], ""),
        ]
        for since, until, expected in ranges:
            for page_size in (1, 2, 20):
                pages = drained(
                    lambda **more: store.messages.list(talk, **more),
                    since=since,
                    until=until,
                    newest_first=newest_first,
                    page_size=page_size,
                )
                found = "".join(contents(page) for page in pages)
                assert found == (expected[::-1] if newest_first else expected)


def test_the_latest_in_chronological_order(
    store: ChatStore, talk: str, said: list[Message]
) -> None:
    """What goes into a model's context, with the head and without, in one request."""
    for count in (1, 3, 9, 10):
        with requests(store, 1):
            assert list(store.messages.latest(talk, count)) == said[-count:]
        with requests(store, 1):
            head, latest = store.messages.latest_with_conversation(
                talk, count, user_id="u-1", consistent=True
            )
        assert list(latest) == said[-count:]
        assert head == store.conversations.get(talk)


def test_a_conversation_without_messages(store: ChatStore, talk: str) -> None:
    """Is empty, not missing."""
    with requests(store, 1):
        head, latest = store.messages.latest_with_conversation(talk)
    assert head.conversation_id == talk
    assert latest == store.messages.latest(talk) == ()
    for newest_first in (True, False):
        page = store.messages.list(talk, newest_first=newest_first)
        assert (page.items, page.cursor) == ((), None)
    page_of_exchanges = store.messages.list_exchanges(talk)
    assert (page_of_exchanges.items, page_of_exchanges.cursor) == ((), None)


def test_no_conversation(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """Never there, deleted, expired or slid away: not found, whatever is left in the table."""
    for identity in not_there(scene, store, lambda each: say(store, each, "hello")):
        for ask in (
            store.messages.list,
            store.messages.latest,
            store.messages.latest_with_conversation,
            store.messages.list_exchanges,
            lambda c: store.messages.list(c, newest_first=True),
            lambda c: store.messages.list(c, newest_first=True, until=clock()),
        ):
            with pytest.raises(NotFound, match="conversation"):
                ask(identity)


def test_a_conversation_gone_between_two_pages(
    store: ChatStore, talk: str, said: list[Message]
) -> None:
    """The next page is not found, rather than empty."""
    for newest_first in (True, False):
        assert store.messages.list(talk, newest_first=newest_first, page_size=2).cursor
    cursor = store.messages.list(talk, page_size=2).cursor
    store.conversations.delete(talk)
    with pytest.raises(NotFound):
        store.messages.list(talk, cursor=cursor)


def test_a_cursor_survives_what_it_points_at(
    store: ChatStore, talk: str, said: list[Message]
) -> None:
    """The message at the cursor may be deleted: the list goes on after it."""
    forward = store.messages.list(talk, page_size=3)
    backward = store.messages.list(talk, page_size=3, newest_first=True)
    for number in (2, 3, 6):
        store.messages.delete(talk, said[number].message_id)
    say(store, talk, "9")
    assert contents(store.messages.list(talk, cursor=forward.cursor)) == "4578" + "9"
    page = store.messages.list(talk, cursor=backward.cursor, newest_first=True)
    assert contents(page) == "5410"


def test_a_cursor_is_for_its_own_list(store: ChatStore, talk: str, said: list[Message]) -> None:
    """Another conversation's, user's, direction's, range's or list's is refused."""
    store.conversations.create("u-1", conversation_id="c-2")
    cursor = store.messages.list(talk, page_size=2).cursor
    exchanges = store.messages.list_exchanges(talk, page_size=2).cursor
    messages = store.messages
    attempts: list[Any] = [
        lambda: messages.list("c-2", cursor=cursor),
        lambda: messages.list(talk, cursor=cursor, user_id="u-1"),
        lambda: messages.list(talk, cursor=cursor, newest_first=True),
        lambda: messages.list(talk, cursor=cursor, since=said[0].sent_at),
        lambda: messages.list(talk, cursor=exchanges),
        lambda: messages.list_exchanges(talk, cursor=cursor),
        lambda: messages.list_exchanges("c-2", cursor=exchanges),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidCursor):
            attempt()


def test_a_damaged_message_is_told_and_hides_no_other(
    scene: Scene, store: ChatStore, talk: str, said: list[Message]
) -> None:
    """In a page beside the others, and so with the latest; the error names it."""
    item = next(i for i in scene.items() if i.get("content") == {"S": "4"})
    scene.put({**item, "documents": {"S": "{"}})
    page = store.messages.list(talk)
    assert contents(page) == "01235678"
    assert [told.kind for told in page.unreadable] == ["message"]
    assert contents(store.messages.latest(talk, 3)) == "678"
    latest = store.messages.latest(talk, 9)
    assert contents(latest) == "01235678"
    (told,) = latest.unreadable
    assert isinstance(told, CorruptItem)
    assert told.identity == {"conversation_id": talk, "position": said[4].position}
    assert str(told).startswith(
        f"a stored message cannot be read (conversation_id {talk!r}, position '{said[4].position}')"
    )
    assert (
        store.messages.latest_with_conversation(talk, 9)[1].unreadable[0].identity == told.identity
    )
    assert store.messages.latest(talk, 3).unreadable == ()


def test_messages_of_an_expired_namesake_are_not_shown(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """The id may be given anew before DynamoDB has deleted everything."""
    for number in range(2):
        store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
        for content in "abcde" if number == 0 else "xyz":
            say(store, "c-1", content)
        clock.advance(DAY + SECOND if number == 0 else 0)
    assert scene.kinds()["message"] == 8
    for reader in (store, scene.new_store()):
        assert contents(reader.messages.list("c-1")) == "xyz"
        assert contents(reader.messages.list("c-1", newest_first=True, page_size=5)) == "zyx"
        assert contents(reader.messages.latest("c-1", 5)) == "xyz"
        assert reader.conversations.get("c-1").message_count == 3
    pages = drained(lambda **more: store.messages.list("c-1", page_size=2, **more))
    assert [contents(page) for page in pages if page.items] == ["xy", "z"]


def test_a_message_that_arrives_while_the_list_is_read(
    scene: Scene, store: ChatStore, talk: str, said: list[Message]
) -> None:
    """Between head and query: it is shown, or not, but nothing breaks."""
    other = scene.new_store()
    with just_before(store, "Query", lambda: say(other, talk, "9")):
        assert contents(store.messages.list(talk)) == "0123456789"


@pytest.mark.parametrize("size", [0, -1, 1_001, 2.0, "5", None, True])
def test_sizes(store: ChatStore, talk: str, size: Any) -> None:
    """From 1 to 1,000; of exchanges, to 200."""
    for argument, ask in (
        ("page_size", lambda: store.messages.list(talk, page_size=size)),
        ("page_size", lambda: store.messages.list(talk, page_size=size, newest_first=True)),
        ("page_size", lambda: store.messages.list_exchanges(talk, page_size=size)),
        ("count", lambda: store.messages.latest(talk, size)),
        ("count", lambda: store.messages.latest_with_conversation(talk, size)),
    ):
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            ask()
        assert refused.value.argument == argument
    with pytest.raises(InvalidArgument):
        store.messages.list_exchanges(talk, page_size=201)


# -- exchanges ----------------------------------------------------------------------------------


def test_exchanges_are_cut_before_each_user_message(store: ChatStore, talk: str) -> None:
    """What the assistant says last answers; tool and system messages belong to the exchange."""
    for message in (
        assistant("Welcome."),
        user("one"),
        assistant("thinking"),
        assistant("1"),
        user("two"),
        user("three"),
        assistant("3", errors="slow"),
    ):
        store.messages.append(talk, message)
    found = store.messages.list_exchanges(talk)
    assert [(each.user_prompt, each.bot_response, each.errors) for each in found] == [
        ("", "Welcome.", None),
        ("one", "1", None),
        ("two", None, None),
        ("three", "3", "slow"),
    ]


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 11, 12])
def test_pages_of_exchanges_never_cut_one(store: ChatStore, talk: str, page_size: int) -> None:
    """However many messages each of them is made of."""
    for number in range(11):
        turn = [user(f"q{number}")] + [assistant(f"a{number}.{n}") for n in range(number % 5)]
        store.messages.append_turn(talk, turn)
    pages = drained(lambda **more: store.messages.list_exchanges(talk, **more), page_size=page_size)
    prompts = [each.user_prompt for page in pages for each in page]
    assert prompts == [f"q{number}" for number in range(11)]
    responses = [each.bot_response for page in pages for each in page]
    assert responses == [f"a{n}.{n % 5 - 1}" if n % 5 else None for n in range(11)]
    assert all(len(page) == page_size for page in pages[:-1])


def test_feedback_is_part_of_an_exchange(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """It is given on the response, which the exchange's id names."""
    made = store.messages.append_exchange(talk, Exchange(user_prompt="?", bot_response="!"))
    assert made.message_id is not None
    given = store.messages.give_feedback(talk, made.message_id, Feedback(type="positive", rank=5))
    assert store.messages.list_exchanges(talk).items == (
        made.model_copy(update={"feedback": given}),
    )


def test_what_stands_before_the_first_prompt_makes_no_exchange(store: ChatStore) -> None:
    """A system prompt belongs to the first exchange; a greeting is a response of its own."""
    talk = store.conversations.create("u-1", conversation_id="c-1")
    system = NewMessage(role="system", content="Be short.")
    store.messages.append("c-1", system)
    assert store.messages.list_exchanges("c-1").items == ()
    question = user("Why?")
    store.messages.append("c-1", system)
    store.messages.append("c-1", question)
    store.messages.append("c-1", assistant("Because."))
    (only,) = store.messages.list_exchanges("c-1", page_size=1)
    assert (only.user_prompt, only.bot_response) == ("Why?", "Because.")
    messages = store.messages.latest("c-1")
    assert only.sent_at == messages[2].sent_at
    assert only.message_id == messages[3].message_id
    assert support_rows(talk, messages).chat_session["message_count"] == 1
    store.conversations.create("u-1", conversation_id="c-2")
    store.messages.append_turn("c-2", [assistant("Hello!"), question])
    greeting, asked = store.messages.list_exchanges("c-2")
    assert (greeting.user_prompt, greeting.bot_response) == ("", "Hello!")
    assert (asked.user_prompt, asked.bot_response) == ("Why?", None)


def test_an_exchange_of_very_many_messages_is_read_in_growing_steps(store: ChatStore) -> None:
    """In a number of requests that grows slower than the messages do."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    for start in range(0, 900, 45):
        turn = [assistant(str(start + n)) for n in range(45)]
        store.messages.append_turn("c-1", turn)
    say(store, "c-1", "next")
    with RequestMeter(store.connection.client) as meter:
        page = store.messages.list_exchanges("c-1", page_size=1)
    assert [each.bot_response for each in page] == ["899"]
    assert meter.count <= 10
    rest = store.messages.list_exchanges("c-1", page_size=1, cursor=page.cursor)
    assert [each.user_prompt for each in rest] == ["next"]
