"""C25: two writers of one answer, and what happens to it while it is written."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from dynamo_chat import (
    ChatStore,
    ConnectionOptions,
    Message,
    MessageConflict,
    MessageStream,
    NewMessage,
    StreamLost,
)
from dynamo_chat.chat.streaming import Held
from dynamo_chat.core.errors import (
    MessageDeleted,
)
from dynamo_chat.testing import FakeClock, ServerError
from tests.chat.scenes import assistant, said, say
from tests.chat.streams import check_sound, stored, unfinished
from tests.scene import (
    DAY,
    MINUTE,
    ON_LOOP,
    SECOND,
    Scene,
    at_request,
    cut_short,
    each_fault,
    faults,
    just_before,
    race,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation with a question."""
    store.conversations.create("ann", conversation_id="c-1", title="T")
    say(store, "c-1", "question")
    return "c-1"


# -- two writers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("minted", [False, True])
def test_a_second_writer_takes_it_over(
    scene: Scene, store: ChatStore, talk: str, clock: FakeClock, minted: bool
) -> None:
    """From the beginning; the slow first one is refused, and overwrites nothing."""
    first = store.messages.stream(talk, message_id=None if minted else "s-1", characters=1)
    identity = first.message.message_id
    first.write("the first says")
    first.checkpoint()
    second = scene.new_store().messages.stream(talk, message_id=identity)
    assert second.message.content == "the first says"
    second.write("the second")
    clock.advance(MINUTE)
    with pytest.raises(StreamLost) as lost:
        first.write(" more")
    assert lost.value.current is not None
    assert lost.value.current.content == "the first says"
    second.checkpoint()
    with pytest.raises(StreamLost):
        first.finish()
    first.__exit__(None, None, None)
    assert stored(store, identity).content == "the second"
    assert second.finish() == stored(store, identity)
    assert said(store, talk) == ["question", "the second"]
    assert store.conversations.get(talk).appended_count == 2
    check_sound(scene)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_was_not_finished_is_written_again(store: ChatStore, talk: str, status: str) -> None:
    """By the same id; nothing of the former error stays."""
    with store.messages.stream(talk, message_id="s-1") as answer:
        answer.write("half")
        getattr(answer, status.replace("failed", "fail").replace("cancelled", "cancel"))("why")
    with store.messages.stream(talk, message_id="s-1") as answer:
        assert unfinished(store) == ["half"]
        answer.write("whole")
    found = stored(store)
    assert (found.content, found.status, found.errors) == ("whole", "complete", None)


def test_what_was_finished_is_not(scene: Scene, store: ChatStore, talk: str) -> None:
    """The error has the answer: a worker that runs again has nothing to do."""
    with store.messages.stream(talk, message_id="s-1") as answer:
        answer.write("whole")
    before = scene.items()
    with pytest.raises(MessageConflict) as refused:
        store.messages.stream(talk, message_id="s-1")
    assert refused.value.current == answer.message
    store.messages.append(talk, assistant("x", message_id="m-1"))
    with pytest.raises(MessageConflict):
        store.messages.stream(talk, message_id="m-1")
    store.messages.delete(talk, "m-1")
    assert len(scene.items()) > len(before)


@pytest.mark.once
def test_many_writers_of_one_answer(scene: Scene, store: ChatStore, talk: str) -> None:
    """One of them finishes; the others are told, and there is one message with one text."""
    stores = [scene.new_store() for _ in range(6)]

    def write(number: int) -> str:
        with stores[number].messages.stream(talk, message_id="s-1", characters=1) as answer:
            for _ in range(3):
                answer.write(f"{number}")
                answer.checkpoint()
        return answer.content

    found = race([partial(write, number) for number in range(6)])
    texts = [each for each in found if isinstance(each, str)]
    assert said(store, talk)[1:] == texts
    assert all(isinstance(each, (str, StreamLost, MessageConflict)) for each in found)
    assert unfinished(store) == []
    check_sound(scene)


def test_a_checkpoint_that_was_held_up_undoes_nothing(store: ChatStore, talk: str) -> None:
    """It arrives after a later one of this writer, as of another task; the answer goes on."""
    if ON_LOOP:
        pytest.skip("looks inside")
    answer = store.messages.stream(talk, message_id="s-1")
    held: Held = answer._held
    late = Held(held.message, held.writer, step=0)
    for piece in ("one", " two"):
        answer.write(piece)
        answer.checkpoint()
    answer._streamer.checkpoint(late, "one")
    assert stored(store).content == "one two"
    assert answer.finish() == stored(store)


# -- what happens to the message meanwhile --------------------------------------------------------

GONE: dict[str, Callable[[ChatStore], object]] = {
    "message": lambda store: store.messages.delete("c-1", "s-1"),
    "popped": lambda store: store.messages.pop("c-1"),
    "pruned": lambda store: store.messages.prune("c-1", 0),
    "conversation": lambda store: store.conversations.delete("c-1"),
    "user": lambda store: store.users.delete("ann"),
}


@pytest.mark.parametrize("go", GONE.values(), ids=GONE)
@pytest.mark.parametrize("late", ["checkpoint", "finish", "cancel"])
def test_it_is_deleted_while_it_is_written(
    scene: Scene, store: ChatStore, talk: str, go: Callable[[ChatStore], object], late: str
) -> None:
    """The writer is told, and nothing comes back."""
    store.users.create("ann@example.com", user_id="ann")
    answer = scene.new_store().messages.stream(talk, message_id="s-1")
    answer.write("x")
    go(store)
    with pytest.raises(MessageDeleted):
        getattr(answer, late)()
    answer.__exit__(None, None, None)
    assert "message_stream" not in scene.kinds()
    assert unfinished(store) == []
    check_sound(scene)


def test_its_conversation_is_made_again(scene: Scene, store: ChatStore, talk: str) -> None:
    """With a message of the same id, that is no stream of the old writer's."""
    answer = scene.new_store().messages.stream(talk, message_id="s-1")
    store.conversations.delete(talk)
    store.conversations.create("bob", conversation_id=talk)
    new = store.messages.stream(talk, message_id="s-1", user_id="bob")
    with pytest.raises(MessageDeleted):
        answer.finish()
    new.write("new")
    assert new.finish() == stored(store)
    check_sound(scene)


def test_it_falls_out_of_what_is_kept(scene: Scene, store: ChatStore) -> None:
    """Of a conversation that keeps two."""
    store.conversations.create("ann", conversation_id="c-1", keep_last=2)
    answer = store.messages.stream("c-1", message_id="s-1")
    say(store, "c-1", "a", "b")
    with pytest.raises(MessageDeleted):
        answer.finish()
    assert said(store, "c-1") == ["a", "b"]
    check_sound(scene)


@pytest.mark.parametrize("sliding", [False, True])
def test_it_expires_with_its_conversation(
    scene: Scene, store: ChatStore, clock: FakeClock, sliding: bool
) -> None:
    """A stream does not keep a conversation alive; its listing goes at the same moment."""
    store.conversations.create("ann", conversation_id="c-1", retention=DAY, sliding=sliding)
    answer = store.messages.stream("c-1", message_id="s-1")
    clock.advance(DAY - MINUTE)
    answer.write("x")
    answer.checkpoint()
    assert unfinished(store) == ["x"]
    clock.advance(2 * MINUTE)
    assert unfinished(store) == []
    clock.advance(DAY)
    with pytest.raises(MessageDeleted):
        answer.finish()


def test_a_renewal_moves_its_listing(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """With everything else in a sliding conversation."""
    store.conversations.create("ann", conversation_id="c-1", retention=DAY, sliding=True)
    answer = store.messages.stream("c-1", message_id="s-1")
    for _ in range(4):
        clock.advance(DAY - MINUTE)
        say(store, "c-1", "x")
    assert unfinished(store) == [""]
    answer.finish()
    check_sound(scene)


CHANGED: dict[str, Callable[[ChatStore], Message]] = {
    "edit": lambda store: store.messages.edit("c-1", "s-1", content="edited"),
    "put": lambda store: store.messages.put("c-1", assistant("edited", message_id="s-1")),
    "finish": lambda store: store.messages.finish("c-1", "s-1", content="edited"),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("late", ["checkpoint", "finish"])
def test_it_is_changed_while_it_is_written(
    scene: Scene, store: ChatStore, talk: str, change: Callable[[ChatStore], Message], late: str
) -> None:
    """The change counts: the writer overwrites nothing, and the stream is over."""
    answer = scene.new_store().messages.stream(talk, message_id="s-1")
    answer.write("x")
    changed = change(store)
    with pytest.raises(StreamLost) as lost:
        getattr(answer, late)()
    found = stored(store)
    assert lost.value.current == found
    assert (found.content, found.is_streaming) == ("edited", False)
    assert found.edited_at == changed.edited_at
    assert unfinished(store) == []
    check_sound(scene)


def test_an_edited_one_is_taken_over(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """An edit before this writer began is no reason to stop."""
    store.messages.stream(talk, message_id="s-1")
    store.messages.edit(talk, "s-1", metadata={"a": 1})
    clock.advance(SECOND)
    with store.messages.stream(talk, message_id="s-1") as answer:
        answer.write("x")
        answer.checkpoint()
    assert (stored(store).content, stored(store).metadata) == ("x", {"a": 1})


def test_it_is_edited_and_finished_while_it_is_written(store: ChatStore, talk: str) -> None:
    """By somebody else, who has the last word; the writer is told that its text was not stored."""
    answer = store.messages.stream(talk, message_id="s-1")
    answer.write("x")
    store.messages.edit(talk, "s-1", metadata={"a": 1})
    store.messages.finish(talk, "s-1", content="theirs")
    with pytest.raises(StreamLost) as lost:
        answer.finish()
    assert lost.value.current == stored(store)
    assert stored(store).content == "theirs"


def _again(store: ChatStore) -> MessageStream:
    return store.messages.stream("c-1", message_id="s-1")


MEANWHILE: dict[str, tuple[Callable[[ChatStore], object], type[Exception], str]] = {
    "finished": (lambda s: s.messages.finish("c-1", "s-1", content="f"), StreamLost, "complete"),
    "put": (CHANGED["put"], StreamLost, "complete"),
    "ended": (lambda s: s.messages.end_stream("c-1", "s-1"), StreamLost, "failed"),
    "taken over": (_again, StreamLost, "streaming"),
    "deleted": (GONE["message"], MessageDeleted, ""),
    "the conversation": (GONE["conversation"], MessageDeleted, ""),
}


@pytest.mark.parametrize(("act", "error", "status"), MEANWHILE.values(), ids=MEANWHILE)
def test_a_writer_that_was_edited_is_slow_to_end(
    scene: Scene,
    store: ChatStore,
    talk: str,
    act: Callable[[ChatStore], object],
    error: type[Exception],
    status: str,
) -> None:
    """What became of the message meanwhile stays."""
    writer = scene.new_store()
    answer = writer.messages.stream(talk, message_id="s-1")
    answer.write("x")
    store.messages.edit(talk, "s-1", content="edited")
    with just_before(writer, "TransactWriteItems", lambda: act(store)), pytest.raises(error):
        answer.checkpoint()
    answer.__exit__(None, None, None)
    if status:
        assert stored(store).status == status
        check_sound(scene)


@pytest.mark.parametrize("late", ["checkpoint", "finish"])
def test_a_lost_writer_is_slow_to_clean_up(
    scene: Scene, store: ChatStore, talk: str, late: str
) -> None:
    """Meanwhile the message is streamed again: it stays listed."""
    writer = scene.new_store()
    answer = writer.messages.stream(talk, message_id="s-1")
    answer.write("x")
    store.messages.end_stream(talk, "s-1")
    with at_request(writer, 2, lambda: _again(store)), pytest.raises(StreamLost):
        getattr(answer, late)()
    assert unfinished(store) == [""]
    check_sound(scene)


def test_who_finishes_is_slow_to_clean_up(scene: Scene, store: ChatStore, talk: str) -> None:
    """Meanwhile the message is begun anew, and streamed again: it stays listed."""
    store.messages.stream(talk, message_id="s-1")

    def anew() -> None:
        begun = assistant("", message_id="s-1", is_streaming=True)
        store.messages.put(talk, begun)
        _again(store)

    slow = scene.interrupted("UpdateItem", 1, anew)
    slow.messages.finish(talk, "s-1", content="f")
    assert unfinished(store) == [""]
    check_sound(scene)


def test_it_is_popped_as_it_is(scene: Scene, store: ChatStore, talk: str) -> None:
    """Not as it was a checkpoint ago."""
    writer = scene.new_store().messages.stream(talk, message_id="s-1")

    def goes_on() -> None:
        scene.clock.advance(SECOND)
        writer.write("more")
        writer.checkpoint()

    slow = scene.interrupted("Query", 1, goes_on)
    popped = slow.messages.pop(talk)
    assert popped is not None
    assert popped.content == "more"


def test_what_a_model_is_shown_of_it(store: ChatStore, talk: str) -> None:
    """Not what is still arriving, nor an end without a word; what a reader has seen, yes."""
    for identity, end in (("s-1", "cancel"), ("s-2", "fail"), ("s-3", "")):
        answer = store.messages.stream(talk, message_id=identity)
        if identity != "s-2":
            answer.write(identity)
        if end:
            getattr(answer, end)()
        else:
            answer.checkpoint()
    store.messages.append(talk, NewMessage(role="tool", content="a result"))
    shown = store.messages.context(talk, max_tokens=1_000)
    assert [each.content for each in shown] == ["question", "s-1"]


# -- faults ---------------------------------------------------------------------------------------


def written(store: ChatStore) -> MessageStream:
    """A stream of three checkpoints."""
    with store.messages.stream("c-1", message_id="s-1") as answer:
        for piece in "abc":
            answer.write(piece)
            answer.checkpoint()
        answer.write("d")
    return answer


@pytest.mark.once
@pytest.mark.parametrize(
    ("number", "fault"), list(each_fault(5)), ids=lambda each: str(each)[:30].replace(" ", "-")
)
def test_cut_short_and_written_again(
    scene: Scene, store: ChatStore, talk: str, number: int, fault: Any
) -> None:
    """By another server: one message, complete, with the text; nothing is left over."""
    store.conversations.get(talk)
    cut_short(scene, number, fault, lambda: written(store))
    other = scene.new_store()
    with suppress(MessageConflict):  # everything was done
        written(other)
    assert (stored(store).content, stored(store).status) == ("abcd", "complete")
    assert said(store, talk) == ["question", "abcd"]
    assert unfinished(store) == []
    assert store.conversations.get(talk).message_count == 2
    check_sound(scene)


def test_a_checkpoint_that_is_refused_ends_nothing(
    scene: Scene, talk: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next one stores everything; one that was asked for is raised."""
    store = scene.new_store(options=ConnectionOptions(max_attempts=1))
    with faults(store) as injector, store.messages.stream(talk, message_id="s-1") as answer:
        scene.clock.advance(MINUTE)
        injector.plan(ServerError(), operation="UpdateItem", every_attempt=True)
        answer.write("x" * 200)
        assert "was not stored" in caplog.text
        assert stored(store).content == ""
    assert stored(store).content == "x" * 200
