"""C25, C26: an answer is written piece by piece; what becomes of its writer is known."""

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import (
    ChatStore,
    ConnectionOptions,
    Feedback,
    MessageConflict,
    StreamLost,
    ToolCall,
)
from dynamo_chat.chat.opening import WRITER
from dynamo_chat.chat.streaming import Pace
from dynamo_chat.core.errors import (
    InvalidArgument,
    ItemTooLarge,
    NotFound,
)
from dynamo_chat.testing import FakeClock, RequestMeter, ServerError
from tests.chat.scenes import assistant, said, say
from tests.chat.streams import NOW, check_sound, stored, unfinished
from tests.doctor.scene import doctor_of
from tests.scene import (
    DAY,
    MINUTE,
    SECOND,
    Scene,
    drained,
    faults,
    requests,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation with a question."""
    store.conversations.create("ann", conversation_id="c-1", title="T")
    say(store, "c-1", "question")
    return "c-1"


# -- written to the end ---------------------------------------------------------------------------


def test_an_answer_is_written_and_finished(
    scene: Scene, store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """Two requests, if it is short and quick; it is an ordinary message afterwards, not edited."""
    with requests(store, 2), store.messages.stream(talk, message_id="s-1", user_id="ann") as answer:
        answer.write("Hello")
        answer.write(", ")
        clock.advance(SECOND)
        answer.write("Ann")
        assert answer.content == "Hello, Ann"
    found = stored(store)
    assert found == answer.message
    assert (found.content, found.status, found.role) == ("Hello, Ann", "complete", "assistant")
    assert (found.is_streaming, found.checkpoint_at, found.edited_at) == (False, None, None)
    head = store.conversations.get(talk)
    assert (head.message_count, head.appended_count) == (2, 2)
    assert store.messages.latest(talk)[-1] == found
    assert unfinished(store) == []
    assert "message_stream" not in scene.kinds()
    check_sound(scene)


def test_what_comes_with_the_end(store: ChatStore, talk: str) -> None:
    """Tool calls, metadata and the like; again with the same it is the same."""
    call = ToolCall(tool="search", args={"q": 1}, call_id="t-1")
    said_too: dict[str, Any] = {
        "response_time": 1.5,
        "documents": [{"id": 1}],
        "tool_calls": [call],
        "metadata": {"usage": {"output_tokens": 7}},
    }
    with store.messages.stream(talk, message_id="s-1") as answer:
        answer.write("Let me see.")
        done = answer.finish(**said_too)
        with requests(store, 0):
            assert answer.finish(**said_too) == done
            with pytest.raises(MessageConflict):
                answer.finish(metadata={"usage": 8})
            with pytest.raises(StreamLost):
                answer.write("more")
    assert stored(store) == done
    assert (done.tool_calls, done.metadata) == ((call,), said_too["metadata"])
    assert (done.response_time, done.documents) == (1.5, ({"id": 1},))


def test_only_an_assistant_calls_tools(store: ChatStore, talk: str) -> None:
    """The error names the argument; the message is left unfinished for another try."""
    answer = store.messages.stream(talk, role="user")
    with pytest.raises(InvalidArgument, match="tool_calls"):
        answer.finish(tool_calls=[ToolCall(tool="t")])
    assert answer.finish().role == "user"


def test_a_reader_follows_it(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """By its id or in a list; checkpoints are no edits, and the text only grows."""
    seen = []
    with store.messages.stream(talk, message_id="s-1", characters=1) as answer:
        for piece in ["one", "two", "three", "four"]:
            clock.advance(SECOND)
            answer.write(piece)
            seen.append(stored(store))
            assert store.messages.list(talk, consistent=True).items[-1] == seen[-1]
    assert [each.content for each in seen] == ["one", "onetwo", "onetwothree", "onetwothreefour"]
    assert {each.status for each in seen} == {"streaming"}
    assert {each.edited_at for each in seen} == {None}
    assert seen[-1].checkpoint_at == clock()


def test_feedback_and_other_messages_meanwhile(store: ChatStore, talk: str) -> None:
    """They stay, and neither disturbs the stream."""
    with store.messages.stream(talk, message_id="s-1") as answer:
        store.messages.give_feedback(talk, "s-1", Feedback(type="positive"))
        say(store, talk, "next")
        store.conversations.give_to(talk, "bob")
        answer.write("x")
    assert stored(store).feedback is not None
    assert said(store, talk) == ["question", "x", "next"]
    assert [each.content for each in store.messages.list_by_feedback("positive")] == ["x"]


# -- what it costs --------------------------------------------------------------------------------


@given(
    pieces=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 3_000)), max_size=60),
    every=st.integers(0, 5_000),
    characters=st.integers(1, 1_000),
    density=st.integers(1, 2_000),
)
def test_the_checkpoints_cost_in_proportion(
    pieces: list[tuple[int, int]], every: int, characters: int, density: int
) -> None:
    """At most a unit for each `characters`, and for each `every`; and some for signs of life."""
    clock = FakeClock()
    began = clock()
    pace = Pace(timedelta(milliseconds=every), characters)
    pace.stored(0, 1, began)
    length = spent = largest = slow = 0
    last = began
    for grown, waited in pieces:
        clock.advance(timedelta(milliseconds=waited))
        length += grown
        if pace.is_due(length, clock()):
            units = 1 + length // density
            spent, largest = spent + units, max(largest, units)
            slow += units if clock() - last >= 15 * SECOND else 0
            last = clock()
            pace.stored(length, units, clock())
    # What one costs is paid before the next; the latest is still to be paid.
    assert spent - slow <= length / characters + largest + slow
    if every:
        elapsed = (clock() - began) / timedelta(milliseconds=every)
        assert spent <= elapsed + largest


def test_the_pace_of_a_long_text_stays_when_a_checkpoint_fails() -> None:
    """A large text is not sent each second to a table that is throttled."""
    clock = FakeClock()
    pace = Pace(SECOND, 200)
    pace.stored(20_000, 10, clock())
    clock.advance(10 * SECOND)
    assert pace.is_due(22_000, clock())
    pace.failed(22_000, clock())
    clock.advance(9 * SECOND)
    assert not pace.is_due(30_000, clock())
    clock.advance(SECOND)
    assert not pace.is_due(23_999, clock())
    assert pace.is_due(24_000, clock())


@pytest.mark.once
@pytest.mark.parametrize(("characters", "most"), [(1_000, 20), (8_000, 70)])
def test_what_a_streamed_answer_costs(
    store: ChatStore, talk: str, clock: FakeClock, characters: int, most: int
) -> None:
    """The guide's numbers: 200 characters in a second, in pieces of 20; each word differs."""
    text = " ".join(f"{number * 7919 % 100_003:x}" for number in range(3_000))[:characters]
    with RequestMeter(store.connection.client) as meter, store.messages.stream(talk) as answer:
        for at in range(0, characters, 20):
            clock.advance(SECOND / 10)
            answer.write(text[at : at + 20])
    assert meter.wcu <= most
    assert answer.message.content == text


def test_an_ordinary_append_costs_as_before(store: ChatStore, talk: str) -> None:
    """The listing item is the stream's alone."""
    with requests(store, 1) as meter:
        store.messages.append(talk, assistant("x"))
    ordinary = meter.wcu
    with requests(store, 1) as meter:
        answer = store.messages.stream(talk)
    assert meter.wcu == ordinary + 3
    with requests(store, 1) as meter:
        answer.finish()
    assert meter.wcu == 5


# -- what ends it otherwise -----------------------------------------------------------------------


class Broken(Exception):
    """With a text that nobody is to read."""


@pytest.mark.parametrize(
    ("error", "status", "errors"),
    [
        (Broken("secret"), "failed", "Broken"),
        (InvalidArgument("x", "y"), "failed", "InvalidArgument"),
        (asyncio.CancelledError(), "cancelled", None),
        (GeneratorExit(), "cancelled", None),
        (KeyboardInterrupt(), "cancelled", None),
        (SystemExit(1), "cancelled", None),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, BaseException) else str(each),
)
def test_an_exception_marks_it_and_goes_on(
    scene: Scene, store: ChatStore, talk: str, error: BaseException, status: str, errors: str | None
) -> None:
    """With what has arrived, and the name of the error's class, not its text."""

    def write() -> None:
        with store.messages.stream(talk, message_id="s-1") as answer:
            answer.write("half an")
            raise error

    with pytest.raises(type(error)) as raised:
        write()
    assert raised.value is error
    found = stored(store)
    assert (found.content, found.status, found.errors) == ("half an", status, errors)
    assert (found.is_streaming, found.edited_at) == (False, None)
    assert unfinished(store) == []
    check_sound(scene)


def test_a_generator_that_nobody_reads_on(store: ChatStore, talk: str) -> None:
    """As of a web service whose client has gone."""

    def pieces() -> Any:
        with store.messages.stream(talk, message_id="s-1") as answer:
            for piece in "abc":
                answer.write(piece)
                yield piece

    reading = pieces()
    assert next(reading) == "a"
    reading.close()
    assert (stored(store).content, stored(store).status) == ("a", "cancelled")


def test_failed_with_words_of_ones_own(store: ChatStore, talk: str) -> None:
    """The text of an error is stored only if the caller gives it."""
    with store.messages.stream(talk, message_id="s-1") as answer:
        answer.fail("the model is overloaded")
    with store.messages.stream(talk, message_id="s-2") as answer:
        answer.cancel()
    assert (stored(store).status, stored(store).errors) == ("failed", "the model is overloaded")
    assert (stored(store, "s-2").status, stored(store, "s-2").errors) == ("cancelled", None)


def test_the_error_goes_on_when_it_cannot_be_marked(scene: Scene, talk: str) -> None:
    """The message is found later."""
    store = scene.new_store(options=ConnectionOptions(max_attempts=1))

    def write() -> None:
        with faults(store) as injector, store.messages.stream(talk, message_id="s-1"):
            injector.plan(ServerError(), operation="TransactWriteItems", every_attempt=True)
            raise Broken

    with pytest.raises(Broken):
        write()
    assert stored(store).status == "streaming"


# -- found ----------------------------------------------------------------------------------------


def test_what_nobody_finished_is_found_by_its_age(
    store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """The age of its latest checkpoint, not of its begin."""
    left = store.messages.stream(talk, message_id="s-1")
    clock.advance(MINUTE)
    alive = store.messages.stream(talk, message_id="s-2", characters=1)
    for _ in range(4):
        clock.advance(MINUTE)
        alive.write("alive ")
    store.messages.append(talk, assistant("", is_streaming=True))
    assert unfinished(store, timedelta(minutes=6)) == []
    assert unfinished(store, timedelta(minutes=5)) == [""]
    assert unfinished(store, NOW) == ["", "alive " * 4]
    (found,) = store.messages.list_unfinished()
    assert found == left.message
    assert [each.message_id for each in store.messages.iterate_unfinished(older_than=NOW)] == [
        "s-1",
        "s-2",
    ]


def test_pages_of_unfinished_ones(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """Of all conversations, the first begun first, whatever lies between."""
    expected = []
    for number in range(9):
        talk = store.conversations.create("ann", conversation_id=f"c-{number}").conversation_id
        answer = store.messages.stream(talk, message_id=f"s-{number}")
        clock.advance(SECOND)
        if number == 2:
            store.messages.delete(talk, "s-2")
        elif number == 5:
            store.conversations.delete(talk)
        elif number == 7:
            answer.finish()
        else:
            expected.append(f"s-{number}")
    for size in (1, 2, 5, 100):
        pages = drained(store.messages.list_unfinished, older_than=NOW, page_size=size)
        assert [each.message_id for page in pages for each in page] == expected
    with pytest.raises(InvalidArgument, match="page_size"):
        store.messages.list_unfinished(page_size=101)


def test_a_damaged_one_hides_no_other(scene: Scene, store: ChatStore, talk: str) -> None:
    """It is told beside the others."""
    for number in range(2):
        store.messages.stream(talk, message_id=f"s-{number}")
    item = next(each for each in scene.items() if each["kind"]["S"] == "message" and WRITER in each)
    scene.put({**item, "role": {"N": "1"}})
    page = store.messages.list_unfinished(older_than=NOW)
    assert len(page) == len(page.unreadable) == 1


def test_one_is_ended_for_its_writer(
    scene: Scene, store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """With what it has stored; a writer that is alive changes nothing any more."""
    writer = scene.new_store().messages.stream(talk, message_id="s-1")
    writer.write("half")
    writer.checkpoint()
    writer.write(" an answer")
    clock.advance(10 * MINUTE)
    (found,) = store.messages.list_unfinished()
    ended = store.messages.end_stream(talk, found.message_id, errors="lost", user_id="ann")
    assert ended == stored(store)
    assert (ended.content, ended.status, ended.errors) == ("half", "failed", "lost")
    assert store.messages.end_stream(talk, "s-1") == ended
    with pytest.raises(MessageConflict):
        store.messages.end_stream(talk, "s-1", status="cancelled")
    for late in (writer.checkpoint, writer.finish):
        with pytest.raises(StreamLost):
            late()
    assert stored(store) == ended
    assert unfinished(store) == []
    check_sound(scene)


def test_one_that_goes_on_is_not_ended(store: ChatStore, scene: Scene, talk: str) -> None:
    """What it stored meanwhile is in the error."""
    writer = scene.new_store().messages.stream(talk, message_id="s-1")
    scene.clock.advance(SECOND)

    def goes_on() -> None:
        writer.write("more")
        writer.checkpoint()

    slow = scene.interrupted("GetItem", 1, goes_on)
    with pytest.raises(MessageConflict, match="is being written") as refused:
        slow.messages.end_stream(talk, "s-1")
    assert refused.value.current is not None
    assert refused.value.current.content == "more"
    assert writer.finish().content == "more"
    with pytest.raises(MessageConflict, match="complete"):
        store.messages.end_stream(talk, "s-1")


# -- bounds ---------------------------------------------------------------------------------------


def test_an_answer_that_is_too_long(scene: Scene, store: ChatStore, talk: str) -> None:
    """Refused where it is written; what was stored stays, and the message says that it failed."""
    noise = "".join(chr(0x4E00 + (n * 7919 + n // 3) % 20_000) for n in range(120_000))

    def write() -> None:
        with store.messages.stream(talk, message_id="s-1") as answer:
            answer.write("short")
            answer.checkpoint()
            for at in range(0, 4 * len(noise), 60_000):
                answer.write(noise[at % len(noise) :][:60_000])
                scene.clock.advance(MINUTE)

    with pytest.raises(ItemTooLarge):
        write()
    found = stored(store)
    assert (found.status, found.errors) == ("failed", "ItemTooLarge")
    assert found.content
    check_sound(scene)


def noise() -> str:
    """More than an item holds, compressed or not."""
    return "".join(map(chr, Random(1).choices(range(0x4E00, 0x9E00), k=280_000)))


def test_an_answer_that_turns_out_too_long_at_its_end(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """Without a checkpoint of the rest before: the message says that it failed, too."""

    def write() -> None:
        with store.messages.stream(talk, message_id="s-1") as answer:
            answer.write("short")
            answer.checkpoint()
            answer.write(noise())

    with pytest.raises(ItemTooLarge):
        write()
    found = stored(store)
    assert (found.content, found.status, found.errors) == ("short", "failed", "ItemTooLarge")
    assert unfinished(store) == []
    check_sound(scene)


def test_an_end_that_is_too_long(scene: Scene, store: ChatStore, talk: str) -> None:
    """By who ends it for the writer: the error names the argument, and nothing is written."""
    store.messages.stream(talk, message_id="s-1")
    before = scene.items()
    with pytest.raises(ItemTooLarge, match="errors"):
        store.messages.end_stream(talk, "s-1", errors=noise())
    assert scene.items() == before


@pytest.mark.parametrize("piece", [None, 5, b"x", "\ud800", ["x"]])
def test_pieces_that_are_no_text(store: ChatStore, talk: str, piece: Any) -> None:
    """Named; the answer goes on."""
    with store.messages.stream(talk, message_id="s-1") as answer:
        answer.write("a")
        with pytest.raises(InvalidArgument) as refused:
            answer.write(piece)
        assert refused.value.argument == "piece"
        answer.write("b")
    assert stored(store).content == "ab"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("every", 1),
        ("every", -SECOND),
        ("every", DAY),
        ("characters", 0),
        ("characters", True),
        ("characters", 10**6),
        ("role", "robot"),
        ("message_id", ""),
        ("message_id", "x" * 201),
        ("user_id", ""),
    ],
)
def test_bad_arguments(store: ChatStore, talk: str, argument: str, value: Any) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.messages.stream(talk, **{argument: value})
    assert refused.value.argument == argument


@pytest.mark.parametrize("value", [1, -SECOND, None, timedelta.max])
def test_bad_ages(store: ChatStore, value: Any) -> None:
    with requests(store, 0), pytest.raises(InvalidArgument, match="older_than"):
        store.messages.list_unfinished(older_than=value)


def test_what_is_not_there(store: ChatStore, talk: str) -> None:
    """Somebody else's conversation, and a message that never was."""
    for call in (
        lambda: store.messages.stream(talk, user_id="bob"),
        lambda: store.messages.stream("c-2"),
        lambda: store.messages.stream(talk, message_id="c-2~01KF0000000000000000000000"),
        lambda: store.messages.stream(talk, message_id=f"{talk}~01KF0000000000000000000000"),
        lambda: store.messages.end_stream(talk, "s-1"),
        lambda: store.messages.end_stream(talk, "s-1", user_id="bob"),
    ):
        with pytest.raises(NotFound):
            call()


# -- the doctor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["listing", "message", "ended"])
def test_the_doctor_repairs_a_listing(
    scene: Scene, store: ChatStore, talk: str, damage: str
) -> None:
    """That is missing, or that lists nothing."""
    answer = store.messages.stream(talk, message_id="s-1")
    if damage == "listing":
        scene.delete(scene.only("message_stream"))
    else:
        item = next(each for each in scene.items() if WRITER in each)
        if damage == "message":
            listed = scene.only("message_stream")
            store.messages.delete(talk, "s-1")
            assert listed in scene.items()
        else:
            scene.put({name: value for name, value in item.items() if name != "is_streaming"})
    with doctor_of(scene) as doctor:
        report = doctor.examine()
        assert [each.kind for each in report.findings] == [
            "message" if damage == "listing" else "message_stream"
        ]
        doctor.repair(report.findings)
    check_sound(scene)
    assert scene.kinds()["message_stream"] == (damage == "listing")
    if damage == "listing":
        answer.finish()
