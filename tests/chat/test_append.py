"""C7: each message lands once, in order, together with the counters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import (
    ChatStore,
    Exchange,
    ExtractedFilters,
    NewMessage,
    ToolCall,
    YearRange,
)
from dynamo_chat.core.errors import (
    InvalidArgument,
    NotFound,
)
from dynamo_chat.core.ulids import ulid_time
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import assistant, not_there, said, say, user
from tests.laws.strategies import same
from tests.scene import DAY, MINUTE, SECOND, Scene, just_before, requests

pytestmark = pytest.mark.engine

FULL: dict[str, Any] = {
    "content": "Here are some.",
    "response_time": 1.25,
    "errors": "one source was slow",
    "documents": [{"title": "A", "score": 1.0}, {"title": "B", "score": 2, "": None}],
    "filters": ExtractedFilters(
        genres=["drama", ""], year_range=YearRange(min=1980), rating=7.0, keywords=["heist"]
    ),
    "recommendations": ["Heat", "Ronin"],
    "confidence": 0.1,
    "tool_calls": [
        ToolCall(tool="search", args={"q": "4K", "n": 10**40}, result=[-0.0, None], call_id="t-1"),
        ToolCall(tool="idle"),
    ],
    "metadata": {"model": "m", "nested": {"a": [1, 1.0, True, ""]}},
}


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation the store knows."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def test_what_append_returned_is_what_is_read(
    store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """Every attribute, through every read."""
    sent = clock() - MINUTE
    made = store.messages.append(talk, assistant(**FULL, message_id="m-1", sent_at=sent))
    assert made.role == "assistant"
    assert made.message_id == "m-1"
    assert made.sent_at == sent
    assert same(made.metadata, FULL["metadata"])
    assert repr(made.tool_calls[0].result) == "[-0.0, None]"
    for read in (
        store.messages.get(talk, "m-1"),
        store.messages.get_by_id("m-1"),
        store.messages.latest(talk)[0],
        store.messages.list(talk).items[0],
        store.messages.list(talk, newest_first=True).items[0],
    ):
        assert read == made
        assert same(read.metadata, made.metadata)
        assert same(list(read.documents), FULL["documents"])
        assert same(read.tool_calls[0].args, made.tool_calls[0].args)


def test_the_least_a_message_says(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """A role is enough; it is named and dated by its place."""
    made = store.messages.append(talk, NewMessage(role="system"))
    assert made.content == ""
    assert made.message_id == f"{talk}~{made.position}"
    assert made.sent_at == ulid_time(made.position)
    assert timedelta(0) <= clock() - made.sent_at < timedelta(milliseconds=1)
    assert store.messages.get(talk, made.message_id) == made


def test_one_request_and_the_counters(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """However long the conversation is; counters and activity move with the message."""
    made = say(store, talk, "first")[0]
    for number in range(11):
        clock.advance(MINUTE)
        with requests(store, 1) as meter:
            made = store.messages.append(talk, user(str(number)))
        assert meter.requests[0].operation == "TransactWriteItems"
    head = store.conversations.get(talk)
    assert (head.message_count, head.appended_count) == (12, 12)
    assert head.last_position == made.position
    assert head.updated_at == ulid_time(made.position)


def test_two_requests_where_the_store_does_not_know_the_conversation(
    scene: Scene, talk: str
) -> None:
    """The first time; after that one."""
    stranger = scene.new_store()
    with requests(stranger, 2):
        say(stranger, talk, "hello")
    with requests(stranger, 1):
        say(stranger, talk, "hello")
    reader = scene.new_store()
    reader.messages.latest_with_conversation(talk)
    with requests(reader, 1):
        say(reader, talk, "hello")


def test_a_turn_lands_together_and_in_order(store: ChatStore, talk: str) -> None:
    """In one request: user, assistant with a tool call, tool, assistant."""
    turn = [
        user("Weather?"),
        assistant("", tool_calls=[ToolCall(tool="weather", call_id="t")]),
        NewMessage(role="tool", content="sunny", metadata={"tool_call_id": "t"}),
        assistant("It is sunny."),
    ]
    with requests(store, 1):
        made = store.messages.append_turn(talk, turn)
    assert [each.turn_index for each in made] == [0, 1, 2, 3]
    assert [each.content for each in made] == [each.content for each in turn]
    assert store.messages.latest(talk) == made
    assert store.conversations.get(talk).message_count == 4


def test_the_largest_turn(store: ChatStore, talk: str) -> None:
    """45 messages with ids of their own are still one transaction."""
    turn = [user(str(number), message_id=f"m-{number}") for number in range(45)]
    store.conversations.create("u-1", conversation_id="untitled")
    for identity in (talk, "untitled"):
        with requests(store, 1):
            store.messages.append_turn(identity, turn)
        assert said(store, identity) == [str(number) for number in range(45)]


def test_order_is_the_order_of_appending(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """Though the clock stands still, or is set back."""
    for number in range(30):
        if number % 10 == 9:
            clock.advance(-2 * SECOND)
        say(store, talk, str(number))
    assert said(store, talk) == [str(number) for number in range(30)]
    positions = [each.position for each in store.messages.list(talk, page_size=100)]
    assert positions == sorted(set(positions))


@pytest.mark.once
def test_order_is_kept_between_servers_whose_clocks_disagree(scene: Scene, talk: str) -> None:
    """Nobody lands before what is there already, and nobody's message is lost."""
    skews = [timedelta(0), SECOND, -SECOND, timedelta(milliseconds=400)]
    stores = [scene.new_store(scene.clock.skewed(skew)) for skew in skews]
    expected = []
    for number in range(40):
        store = stores[number % 4 if number % 7 else 0]
        say(store, talk, str(number))
        expected.append(str(number))
        if number % 3 == 0:
            scene.clock.advance(timedelta(milliseconds=150))
    assert said(stores[0], talk) == expected
    assert stores[0].conversations.get(talk).message_count == 40


def test_two_servers_that_must_both_go_past_the_same_message(scene: Scene, talk: str) -> None:
    """They never choose the same place: each message is there, under a name of its own."""
    ahead = scene.new_store(scene.clock.skewed(SECOND))
    one, other = scene.new_store(), scene.new_store()
    for number in range(12):
        say(ahead, talk, f"ahead {number}")
        one.conversations.get(talk)
        other.conversations.get(talk)
        first = say(one, talk, f"one {number}")
        second = say(other, talk, f"other {number}")
        assert first[0].message_id != second[0].message_id
    assert len(said(one, talk)) == one.conversations.get(talk).message_count == 36


@pytest.mark.parametrize("ahead", [DAY, 3_000 * DAY])
def test_a_server_far_ahead_moves_places_and_no_times(
    scene: Scene, store: ChatStore, clock: FakeClock, ahead: timedelta
) -> None:
    """What is appended after it keeps its order, says its own time, and does not top the list."""
    for identity in ("c-1", "c-2"):
        store.conversations.create("u-1", conversation_id=identity, title="T")
    say(scene.new_store(scene.clock.skewed(ahead)), "c-1", "from tomorrow")
    clock.advance(MINUTE)
    turn = store.messages.append_turn(
        "c-1", [user("a"), assistant("b"), user("c", sent_at=clock())]
    )
    given = store.messages.append("c-1", user("d", at=clock() - SECOND))
    assert [each.sent_at for each in (*turn, given)] == [clock()] * 3 + [clock() - SECOND]
    assert said(store, "c-1") == ["from tomorrow", "a", "b", "c", "d"]
    assert store.messages.latest("c-1", 4) == (*turn, given)
    assert store.conversations.get("c-1").updated_at == clock()
    clock.advance(MINUTE)
    say(store, "c-2", "later")
    listed = store.conversations.list_by_activity("u-1")
    assert [each.conversation_id for each in listed] == ["c-2", "c-1"]


def test_a_server_far_ahead_never_shortens_a_life(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """A sliding conversation is kept until its period after the place of the latest message."""
    store.conversations.create("u-1", conversation_id="c-1", retention=2 * DAY, sliding=True)
    say(scene.new_store(scene.clock.skewed(DAY)), "c-1", "from tomorrow")
    clock.advance(MINUTE)
    last = say(store, "c-1", "now")[0]
    head = store.conversations.get("c-1")
    assert head.expires_at == ulid_time(last.position) + 2 * DAY
    assert last.sent_at == head.updated_at == clock()


# -- times and places ---------------------------------------------------------------------------


def test_a_message_may_take_an_earlier_place(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """But not before the latest one: old conversations are brought over in their order."""
    store.conversations.create("u-1", conversation_id="old", at=clock() - 10 * DAY)
    moments = [clock() - 10 * DAY + n * MINUTE for n in range(3)]
    made = [
        store.messages.append("old", user(str(n), at=moment)) for n, moment in enumerate(moments)
    ]
    for each, moment in zip(made, moments, strict=True):
        assert timedelta(0) <= moment - each.sent_at < timedelta(milliseconds=1)
    late = store.messages.append("old", user("late", at=moments[0], sent_at=moments[0]))
    assert late.sent_at == moments[0]
    assert late.position > made[-1].position
    assert ulid_time(late.position) - ulid_time(made[-1].position) <= timedelta(milliseconds=1)
    head = store.conversations.get("old")
    assert head.updated_at == ulid_time(late.position)
    assert head.created_at == clock() - 10 * DAY


def test_activity_never_lies_before_the_creation(store: ChatStore, clock: FakeClock) -> None:
    """A message older than its conversation keeps its own place."""
    made = store.conversations.create("u-1", conversation_id="c-1")
    say(store, "c-1", "old", at=clock() - DAY)
    assert store.conversations.get("c-1").updated_at == made.created_at


def test_places_in_a_turn_follow_each_other(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """Whatever times its messages give."""
    turn = [
        user("a", at=clock() - MINUTE),
        assistant("b"),
        user("c", at=clock() - 2 * MINUTE),
        assistant("d", at=clock() - 30 * SECOND),
    ]
    made = store.messages.append_turn(talk, turn)
    positions = [each.position for each in made]
    assert positions == sorted(set(positions))
    assert said(store, talk) == ["a", "b", "c", "d"]
    assert (
        timedelta(0) <= clock() - 30 * SECOND - ulid_time(positions[3]) < timedelta(milliseconds=1)
    )


def test_a_place_far_ahead_is_refused(
    scene: Scene, store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """More than five minutes: everything after it would have to go there, too."""
    before = scene.items()
    for ahead in (5 * MINUTE + timedelta(milliseconds=1), DAY, 400 * 365 * DAY):
        with pytest.raises(InvalidArgument, match="at: must not be more than 5 minutes") as refused:
            store.messages.append(talk, user(at=clock() + ahead))
        assert refused.value.argument == "at"
    with pytest.raises(InvalidArgument, match="at: must not be before 1970"):
        store.messages.append(talk, user(at=datetime(1969, 12, 31, tzinfo=UTC)))
    assert scene.items() == before
    store.messages.append(talk, user("ahead", at=clock() + 5 * MINUTE))
    say(store, talk, "behind")
    assert said(store, talk) == ["ahead", "behind"]


# -- conversations that are not there -----------------------------------------------------------


def test_nothing_is_appended_to_what_is_not_there(scene: Scene, store: ChatStore) -> None:
    """Never created, deleted, expired; known to the store or not."""
    identities = not_there(scene, store)
    before = scene.items()
    for each in (store, scene.new_store()):
        for identity in identities:
            with pytest.raises(NotFound):
                each.messages.append(identity, user("hello", message_id="m-1"))
            with pytest.raises(NotFound):
                each.messages.append_turn(identity, [user(), assistant()])
    assert scene.items() == before


def test_a_conversation_deleted_just_before(scene: Scene, store: ChatStore, talk: str) -> None:
    """The condition on its head holds the append back."""
    other = scene.new_store()
    with (
        just_before(
            store.connection, "TransactWriteItems", lambda: other.conversations.delete(talk)
        ),
        pytest.raises(NotFound),
    ):
        say(store, talk, "too late")
    assert scene.items() == []


def test_an_id_given_anew_to_another_owner(scene: Scene, store: ChatStore, talk: str) -> None:
    """What the store remembers of the old conversation is replaced by what is there now."""
    say(store, talk, "hello")
    other = scene.new_store()
    other.conversations.delete(talk)
    other.conversations.create("u-2", conversation_id=talk)
    with pytest.raises(NotFound):
        store.messages.append(talk, user("mine?"), user_id="u-1")
    store.messages.append(talk, user("theirs"), user_id="u-2")
    head = store.conversations.get(talk)
    assert (head.user_id, head.title, head.message_count) == ("u-2", "theirs", 1)
    assert not store.conversations.list_by_activity("u-1").items
    assert len(store.conversations.list_by_activity("u-2")) == 1


@pytest.mark.parametrize("maker", ["another store", "this store"])
def test_an_id_given_anew_at_the_same_creation_time(
    scene: Scene, store: ChatStore, clock: FakeClock, maker: str
) -> None:
    """As an import that is run again does. Nothing of the old conversation is taken for the new."""
    other = scene.new_store()
    born = clock() - 100 * DAY
    store.conversations.create("u-1", conversation_id="c-1", title="Old", at=born)
    store.messages.append("c-1", user("old", at=born + 50 * DAY))
    other.conversations.delete("c-1")
    anew = other if maker == "another store" else store
    anew.conversations.create("u-1", conversation_id="c-1", keep_last=2, at=born)
    for day in range(1, 5):
        at = born + day * DAY
        stored = store.messages.append("c-1", user(f"day {day}", at=at))
        assert abs(stored.sent_at - at) < SECOND
    head, kept = store.messages.latest_with_conversation("c-1")
    assert head.updated_at < born + 5 * DAY
    assert (head.title, head.message_count) == ("day 1", 2)
    assert [message.content for message in kept] == ["day 3", "day 4"]


def test_an_id_given_anew_with_the_same_deadline(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """Fixed before, sliding now: the append moves its end all the same."""
    other = scene.new_store()
    born = clock()
    store.conversations.create("u-1", conversation_id="c-1", retention=4 * DAY, at=born)
    other.conversations.delete("c-1")
    other.conversations.create(
        "u-1", conversation_id="c-1", retention=2 * DAY, sliding=True, at=born
    )
    clock.advance(DAY)
    say(store, "c-1", "hello")
    ends = store.conversations.get("c-1").expires_at
    assert ends is not None
    assert ends - born > 3 * DAY - SECOND


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "fields"),
    [
        ("role", {"role": "bot"}),
        ("role", {}),
        ("content", {"role": "user", "content": None}),
        ("content", {"role": "user", "content": b"x"}),
        ("content", {"role": "user", "content": "\ud800"}),
        ("message_id", {"role": "user", "message_id": ""}),
        ("message_id", {"role": "user", "message_id": "x" * 201}),
        ("message_id", {"role": "user", "message_id": 5}),
        ("message_id", {"role": "user", "message_id": "c~01ARZ3NDEKTSV4RRFFQ69G5FAV"}),
        ("at", {"role": "user", "at": datetime(2025, 1, 1)}),  # noqa: DTZ001 - naive on purpose
        ("sent_at", {"role": "user", "sent_at": "2025-01-01"}),
        ("tool_calls", {"role": "user", "tool_calls": [ToolCall(tool="t")]}),
        ("tool_calls.0.tool", {"role": "assistant", "tool_calls": [{"tool": 5}]}),
        ("response_time", {"role": "assistant", "response_time": -1.0}),
        ("response_time", {"role": "assistant", "response_time": float("nan")}),
        ("confidence", {"role": "assistant", "confidence": float("inf")}),
        ("confidence", {"role": "assistant", "confidence": "high"}),
        ("documents.0", {"role": "assistant", "documents": [[]]}),
        ("documents.0", {"role": "assistant", "documents": [{"a": {1}}]}),
        ("recommendations.1", {"role": "assistant", "recommendations": ["a", 1]}),
        ("metadata", {"role": "user", "metadata": {"a": float("nan")}}),
        ("metadata", {"role": "user", "metadata": []}),
        ("is_streaming", {"role": "user", "is_streaming": 1}),
        ("unknown", {"role": "user", "unknown": 1}),
    ],
)
def test_bad_messages_are_refused_when_they_are_made(argument: str, fields: dict[str, Any]) -> None:
    """The error names the part."""
    with pytest.raises(InvalidArgument) as refused:
        NewMessage(**fields)
    assert refused.value.argument == argument


def test_bad_turns(scene: Scene, store: ChatStore, talk: str) -> None:
    """Empty, too long, mixed, doubled, or not of messages; nothing is sent."""
    before = scene.items()
    attempts: list[tuple[str, Any]] = [
        ("messages", []),
        ("messages", [user()] * 46),
        ("messages", [user(message_id="m-1"), user()]),
        ("messages", [user(), user(message_id="m-1")]),
        ("messages", [user(message_id="m-1"), user("x", message_id="m-1")]),
        ("messages", [{"role": "user"}]),
        ("messages", None),
        ("messages", 5),
    ]
    for argument, turn in attempts:
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            store.messages.append_turn(talk, turn)
        assert refused.value.argument == argument
    for identity in ("", None, 5, "\ud800", "x" * 2_100):
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            store.messages.append(identity, user())  # type: ignore[arg-type]
        assert refused.value.argument == "conversation_id"
    assert scene.items() == before


# -- exchanges ----------------------------------------------------------------------------------


def test_an_exchange_is_a_turn_of_two(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """The prompt when it was sent, the response when it was there; its id names the response."""
    exchange = Exchange(
        user_prompt="What is 4K?",
        bot_response="A resolution.",
        documents=[{"title": "A"}, {"title": "B"}],
        sent_at=clock() - MINUTE,
        response_time=2.5,
        errors="slow",
        message_id="x-1",
    )
    with requests(store, 1):
        made = store.messages.append_exchange(talk, exchange)
    assert made == exchange.model_copy(update={"conversation_id": talk})
    prompt, response = store.messages.latest(talk)
    assert (prompt.role, prompt.content, prompt.message_id) == ("user", "What is 4K?", "x-1:prompt")
    assert prompt.sent_at == clock() - MINUTE
    assert (response.role, response.message_id) == ("assistant", "x-1")
    assert response.sent_at == clock() - MINUTE + 2.5 * SECOND
    assert (response.response_time, response.errors) == (2.5, "slow")
    assert store.messages.append_exchange(talk, exchange) == made
    assert store.messages.list_exchanges(talk).items == (made,)


def test_the_longest_id_of_an_exchange(scene: Scene, store: ChatStore, talk: str) -> None:
    """The prompt's id is made of it, and has to fit as well."""
    before = scene.items()
    with pytest.raises(InvalidArgument, match=r"^exchange\.message_id: .* 193 characters"):
        store.messages.append_exchange(talk, Exchange(user_prompt="q", message_id="x" * 194))
    assert scene.items() == before
    longest = Exchange(user_prompt="q", bot_response="a", message_id="x" * 193)
    assert store.messages.append_exchange(talk, longest).message_id == "x" * 193


def test_an_exchange_that_failed(store: ChatStore, talk: str) -> None:
    """Errors and no words."""
    made = store.messages.append_exchange(talk, Exchange(user_prompt="?", errors="timeout"))
    assert made.errors == "timeout"
    assert not made.bot_response
    assert store.messages.list_exchanges(talk).items == (made,)


def test_a_response_after_the_end_of_time(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """A typed error, as for everything else."""
    with pytest.raises(InvalidArgument, match="response_time"):
        store.messages.append_exchange(
            talk, Exchange(user_prompt="?", sent_at=clock(), response_time=1e12)
        )
