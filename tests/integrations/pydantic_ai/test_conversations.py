"""`DynamoConversationStore` keeps the contract of Pydantic AI's store, as its own store does."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai import UserError
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    InMemoryConversationStore,
)
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart

from dynamo_chat import ConnectionOptions, NewMessage
from dynamo_chat.core.errors import InvalidArgument, ServiceError
from dynamo_chat.integrations.pydantic_ai import DynamoConversationStore, as_history
from dynamo_chat.testing import DropAnswer, FaultInjector, Kill, Killed, RequestMeter, ServerError
from tests.integrations.pydantic_ai.stored import (
    CONVERSATION_ID,
    FILE,
    HISTORY,
    AsyncRecordStore,
    conversation,
)
from tests.integrations.served import WORKERS, read_items, served
from tests.on_loop import CancelTask
from tests.scene import Scene

pytestmark = pytest.mark.engine

ID = CONVERSATION_ID
TURNS = 1
Work = Callable[[Any], Awaitable[Any]]


def said(*texts: str) -> list[ModelMessage]:
    """Messages: a prompt, an answer, and so on."""
    return [
        ModelResponse([TextPart(text)]) if at % 2 else ModelRequest.user_text_prompt(text)
        for at, text in enumerate(texts)
    ]


LONG = said(*(f"{number}" for number in range(100)))


def texts(found: Conversation | None) -> list[str]:
    assert found is not None
    return [str(part.content) for each in found.messages for part in each.parts]  # type: ignore[union-attr]


def run(scene: Scene, work: Work, **options: Any) -> Any:
    return served(scene, work, AsyncRecordStore, **options)


def on_both(scene: Scene, work: Work) -> None:
    """The test holds for Pydantic AI's own store, and for this one."""
    asyncio.run(work(InMemoryConversationStore()))  # type: ignore[arg-type]

    async def ours(store: Any) -> None:
        await work(DynamoConversationStore(store, "u-1"))

    run(scene, ours)


# -- the contract ---------------------------------------------------------------------------------


def test_a_conversation_comes_back(scene: Scene) -> None:
    async def work(store: Any) -> None:
        assert await store.load(ID) is None
        saved = conversation()
        entries = await store.save(saved)
        assert [each.message for each in entries] == HISTORY
        loaded = await store.load(ID)
        assert loaded == saved
        assert await store.load_entries(ID) == entries
        assert (await store.load(ID, limit=2)).messages == HISTORY[-2:]
        assert (await store.load(ID, limit=0)).messages == []
        assert await store.read_entry(entries[3].id) == entries[3]
        with pytest.raises(LookupError):
            await store.read_entry("nowhere")
        with pytest.raises(LookupError):
            await store.read_history("nowhere")
        with pytest.raises(UserError):
            await store.load(ID, limit=-1)

    on_both(scene, work)


def test_only_what_is_new_is_saved(scene: Scene) -> None:
    async def work(store: Any) -> None:
        await store.save(Conversation(conversation_id=ID, messages=said("a", "b")))
        loaded = await store.load(ID)
        loaded.messages += said("c", "d")
        assert len(await store.save(loaded)) == 2
        assert await store.save(loaded) == []
        assert texts(await store.load(ID)) == ["a", "b", "c", "d"]
        window = await store.load(ID, limit=1)
        window.messages += said("e")
        await store.save(window)
        assert texts(await store.load(ID)) == ["a", "b", "c", "d", "e"]

    on_both(scene, work)


def test_a_stale_save_is_refused(scene: Scene) -> None:
    async def work(store: Any) -> None:
        await store.save(Conversation(conversation_id=ID, messages=said("a")))
        first, second = await store.load(ID), await store.load(ID)
        first.messages += said("b")
        second.messages += said("c")
        await store.save(first)
        for stale in (second, Conversation(conversation_id=ID, messages=said("new"))):
            with pytest.raises(ConversationConflict):
                await store.save(stale)
        await store.delete(ID)
        with pytest.raises(ConversationConflict):
            await store.save(first)
        await store.save(Conversation(conversation_id=ID, messages=said("again")))
        with pytest.raises(ConversationConflict):
            await store.save(first)
        assert texts(await store.load(ID)) == ["again"]

    on_both(scene, work)


def test_branches(scene: Scene) -> None:
    async def work(store: Any) -> None:
        await store.save(Conversation(conversation_id=ID, messages=said("a", "b", "c", "d")))
        loaded = await store.load(ID)
        old = await store.load_entries(ID)
        branched = await store.branch(ID, at=2, expected_revision=loaded.revision)
        assert texts(branched) == ["a", "b"]
        with pytest.raises(ConversationConflict):
            await store.branch(ID, at=1, expected_revision=loaded.revision)
        branched.messages += said("x")
        await store.save(branched)
        assert texts(await store.load(ID)) == ["a", "b", "x"]
        assert texts(await store.load(ID, limit=2)) == ["b", "x"]
        (record,) = await store.list_conversations()
        assert record.branches == [old[-1].id]
        back = await store.branch(ID, from_entry=old[2].id, expected_revision=record.revision)
        assert texts(back) == ["a", "b", "c"]
        empty = await store.branch(ID, at=0, expected_revision=back.revision)
        assert texts(await store.load(ID)) == texts(empty) == []

        rewritten = Conversation(conversation_id=ID, messages=said("z"), revision=empty.revision)
        await store.save(rewritten)
        assert texts(await store.load(ID)) == ["z"]

    on_both(scene, work)


def test_forks(scene: Scene) -> None:
    async def work(store: Any) -> None:
        await store.save(Conversation(conversation_id=ID, messages=said("a", "b", "c")), scope="s")
        entries = await store.load_entries(ID)
        fork = await store.fork(ID, at=2, new_conversation_id="fork")
        assert texts(fork) == texts(await store.load("fork")) == ["a", "b"]
        assert await store.load_entries("fork") == entries[:2]
        fork.messages += said("x")
        await store.save(fork)
        with pytest.raises(ConversationConflict):
            await store.fork(ID, new_conversation_id="fork")
        of_fork = await store.fork("fork", new_conversation_id="2nd", scope="other")
        assert texts(of_fork) == ["a", "b", "x"]
        assert texts(await store.fork(ID, at=0, new_conversation_id="empty")) == []
        records = {each.conversation_id: each for each in await store.list_conversations()}
        assert records["fork"].forked_from == ID
        assert (records["fork"].forked_at, records["fork"].scope) == (entries[1].id, "s")

        await store.delete(ID)
        assert await store.load(ID) is None
        assert texts(await store.load("fork")) == ["a", "b", "x"]
        assert texts(await store.load("2nd")) == ["a", "b", "x"]

    on_both(scene, work)


def test_lists_by_scope(scene: Scene) -> None:
    async def work(store: Any) -> None:
        for number in range(6):
            named = Conversation(conversation_id=f"t-{number}", messages=said("a"))
            await store.save(named, scope=f"s-{number % 2}")
        found = [each.conversation_id for each in await store.list_conversations()]
        assert found == ["t-5", "t-4", "t-3", "t-2", "t-1", "t-0"]
        found = [each.conversation_id for each in await store.list_conversations(limit=2)]
        assert found == ["t-5", "t-4"]
        found = [each.conversation_id for each in await store.list_conversations(scope="s-1")]
        assert found == ["t-5", "t-3", "t-1"]
        assert await store.list_conversations(scope="s") == []
        assert await store.list_conversations(limit=0) == []
        assert await store.load("t-0", scope="s-1") is None
        await store.delete("t-0", scope="s-1")
        assert await store.load("t-0", scope="s-0") is not None
        loaded = await store.load("t-0")
        with pytest.raises(ConversationConflict):
            await store.save(loaded, scope="s-1")

    on_both(scene, work)


def test_records_and_entries_are_checked(scene: Scene) -> None:
    async def work(store: Any) -> None:
        entry = ConversationEntry(parent_id=None, message=HISTORY[0])
        record = ConversationRecord(conversation_id=ID, head_id=entry.id)
        with pytest.raises(ConversationConflict):
            await store.write_record(record, expected_revision=None)  # its head is nowhere
        with pytest.raises(ConversationConflict):
            await store.write_record(record, new_entries=[entry], expected_revision="r")
        assert await store.read_record(ID) is None
        await store.write_record(record, new_entries=[entry], expected_revision=None)
        assert await store.read_record(ID) == record
        moved = replace(record, head_id="nowhere", revision="r-2")
        with pytest.raises(ConversationConflict):
            await store.write_record(moved, expected_revision=record.revision)
        with pytest.raises(ConversationConflict):
            await store.delete_record(ID, expected_revision="r-2")
        with pytest.raises(ConversationConflict):
            await store.delete_record("nowhere", expected_revision="r-2")
        assert await store.read_record(ID) == record
        await store.delete_record(ID, expected_revision=record.revision)
        assert await store.read_record(ID) is None

    on_both(scene, work)


# -- in the table ---------------------------------------------------------------------------------


def test_requests(scene: Scene) -> None:
    """Two for a turn and two for a load, of which Pydantic AI asks for the record first."""

    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        with RequestMeter(store.connection.client) as meter:
            await kept.save(Conversation(conversation_id=ID, messages=said("a", "b")))
            assert meter.count == 4
            meter.reset()
            loaded = await kept.load(ID)
            assert loaded is not None
            assert meter.operations() == {"BatchGetItem": 1, "Query": 1}
            meter.reset()
            loaded.messages += said("c", "d")
            await kept.save(loaded)
            assert meter.operations() == {"BatchGetItem": 1, "TransactWriteItems": 1}
            assert meter.wcu <= 21
            meter.reset()
            await kept.branch(ID, at=2, expected_revision=loaded.revision)
            assert meter.count == 3
            meter.reset()
            await kept.list_conversations()
            assert meter.count == 3

    run(scene, work)


def test_it_is_an_ordinary_conversation(scene: Scene) -> None:
    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1", retention=timedelta(days=2), sliding=True)
        entries = await kept.save(Conversation(conversation_id=ID, messages=said("Hello", "Hi")))
        (talk,) = await store.conversations.list_by_activity("u-1")
        assert (talk.title, talk.retention) == ("Hello", timedelta(days=2))
        one = await store.messages.get(ID, entries[1].id)
        assert (one.role, one.content) == ("assistant", "Hi")
        latest = await store.messages.latest(ID, 5)
        assert as_history(latest) == [each.message for each in entries]
        record = scene.only("pydantic_ai_record")
        assert record["ttl"] == scene.only("conversation")["ttl"]

        await store.messages.append(ID, NewMessage(role="user", content="Typed elsewhere"))
        assert texts(await kept.load(ID)) == ["Hello", "Hi"]
        await store.messages.edit(ID, entries[1].id, content="Hi!")
        assert texts(await kept.load(ID)) == ["Hello", "Hi!"]
        await store.messages.delete(ID, entries[0].id)
        assert texts(await kept.load(ID)) == ["Hi!"]
        await store.messages.delete(ID, entries[1].id)
        with pytest.raises(LookupError):
            await kept.load(ID)

        await store.conversations.create("u-1", conversation_id="made", title="Mine")
        await kept.save(Conversation(conversation_id="made", messages=said("Hello")))
        assert (await store.conversations.get("made")).title == "Mine"
        await kept.delete("made")
        await kept.delete(ID)
        assert scene.items() == []

    run(scene, work)


def test_it_expires_with_its_conversation(scene: Scene) -> None:
    """And its id may be used anew, before DynamoDB has removed anything."""

    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1", retention=timedelta(days=2))
        await kept.save(Conversation(conversation_id=ID, messages=said("old")))
        scene.clock.advance(timedelta(days=3))
        assert await kept.load(ID) is None
        assert await kept.list_conversations() == []
        await kept.save(Conversation(conversation_id=ID, messages=said("new")))
        assert texts(await kept.load(ID)) == ["new"]

    run(scene, work)


def test_a_stranger_gets_nowhere(scene: Scene) -> None:
    async def work(store: Any) -> None:
        kept, stranger = (DynamoConversationStore(store, user) for user in ("u-1", "u-2"))
        entries = await kept.save(conversation(), scope="s")
        (record,) = await kept.list_conversations()
        before = scene.items()
        assert await stranger.load(ID) is None
        assert await stranger.list_conversations() == []
        assert await stranger.list_conversations(scope="s") == []
        for reading in (stranger.read_entry, stranger.read_history):
            with pytest.raises(LookupError):
                await reading(entries[-1].id)
        await stranger.delete(ID)
        with pytest.raises(UserError):
            await stranger.fork(ID)
        for writing in (
            stranger.save(conversation()),
            stranger.delete_record(ID, expected_revision=record.revision),
            stranger.write_record(replace(record), expected_revision=record.revision),
            stranger.write_record(
                replace(record, conversation_id="mine", forked_from=ID), expected_revision=None
            ),
        ):
            with pytest.raises(ConversationConflict):
                await writing
        assert scene.items() == before

        await store.conversations.give_to(ID, "u-2")
        assert await kept.load(ID) is None
        assert await kept.list_conversations() == []
        given = await stranger.load(ID)
        assert given is not None
        await stranger.save(given)
        assert len(await stranger.list_conversations()) == 1

    run(scene, work)


def test_bad_input_writes_nothing(scene: Scene) -> None:
    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        for bad, named in (
            ({"conversation_id": ""}, "conversation_id"),
            ({"messages": [ModelRequest.user_text_prompt("\ud800")]}, "new_entries.0"),
        ):
            with pytest.raises(InvalidArgument, match=named):
                await kept.save(Conversation(**{"conversation_id": ID, **bad}))  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="scope"):
            await kept.save(Conversation(conversation_id=ID, messages=said("a")), scope="")
        for limit in (-1, True, 1.5, "1"):
            for reading in (kept.read_records(limit=limit), kept.read_history("e", limit=limit)):  # type: ignore[arg-type]
                with pytest.raises(InvalidArgument, match="limit"):
                    await reading
        assert scene.items() == []
        with pytest.raises(InvalidArgument, match="user_id"):
            DynamoConversationStore(store, "")

    run(scene, work)

    async def without_records(store: Any) -> None:
        with pytest.raises(InvalidArgument, match="pydantic_ai_records"):
            DynamoConversationStore(store, "u-1")

    served(scene, without_records)


def test_what_this_release_stored_is_read(scene: Scene) -> None:
    """`stored.json`, written by the release that added the store."""
    scene.put(*read_items(FILE))

    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        loaded = await kept.load(ID, scope="work")
        assert loaded is not None
        assert loaded == replace(conversation(), revision=loaded.revision)
        loaded.messages += said("more")
        await kept.save(loaded)
        fork = await kept.load("talk-2")
        assert fork is not None
        assert fork.messages == HISTORY[:2]

    run(scene, work)


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.once
def test_sixteen_workers(scene: Scene) -> None:
    """Each adds turns to one conversation, and loads it again after a conflict."""

    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        await kept.save(Conversation(conversation_id=ID))

        async def worker(name: int) -> None:
            for turn in range(TURNS):
                while True:
                    found = await kept.load(ID)
                    assert found is not None
                    found.messages += said(f"{name} {turn} 0", f"{name} {turn} 1")
                    try:
                        await kept.save(found)
                        break
                    except ConversationConflict:
                        await asyncio.sleep(0)

        with FaultInjector(store.connection.client) as faults:
            faults.gamble({DropAnswer(): 0.1, ServerError(): 0.1}, seed=5)
            await asyncio.gather(*(worker(name) for name in range(WORKERS)))
        found = texts(await kept.load(ID))
        expected = {
            f"{name} {turn} {at}"
            for name in range(WORKERS)
            for turn in range(TURNS)
            for at in (0, 1)
        }
        assert len(found) == len(expected)
        assert set(found) == expected
        assert [each[-1] for each in found] == ["0", "1"] * (len(found) // 2)
        assert len(scene.items()) == 2 + 1 + 2 * len(expected)  # nothing else is left

    run(scene, work)


def turn_of(store: Any, messages: list[ModelMessage]) -> Callable[[], Awaitable[Any]]:
    """One save of a turn, with its arguments, that may be called again."""
    entries: list[ConversationEntry] = []
    for each in messages:
        parent = entries[-1].id if entries else None
        entries.append(ConversationEntry(parent_id=parent, message=each))
    record = ConversationRecord(conversation_id=ID, head_id=entries[-1].id)
    kept = DynamoConversationStore(store, "u-1")

    async def save() -> None:
        await kept.write_record(record, new_entries=entries, expected_revision=None)

    return save


@pytest.mark.once
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(LONG[:2], id="one request"),
        pytest.param(LONG[:46], id="several", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize(
    "fault", [DropAnswer(), ServerError(), Kill(), CancelTask(True), CancelTask(False)], ids=repr
)
def test_a_save_that_is_called_again(
    scene: Scene, messages: list[ModelMessage], fault: Any
) -> None:
    """Cut short at each of its requests, it is either done or not; then it is done, once."""

    async def work(store: Any) -> None:
        for at in range(1, 10):
            scene.restore([])
            save = turn_of(store, messages)
            with FaultInjector(store.connection.client) as faults:
                faults.plan(fault, at=at)
                with suppress(ServiceError, Killed, asyncio.CancelledError):
                    await asyncio.ensure_future(save())
            if not faults.injected:
                break
            kept = DynamoConversationStore(store, "u-1")
            found = await kept.load(ID)
            assert found is None or found.messages == messages
            await save()
            found = await kept.load(ID)
            assert found is not None
            assert found.messages == messages
            assert len(await store.messages.latest(ID, 200)) == len(messages)
        assert at > 3

    run(scene, work, options=ConnectionOptions(max_attempts=1))


@pytest.mark.once
def test_a_long_save_that_loses_leaves_nothing(scene: Scene) -> None:
    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        await kept.save(Conversation(conversation_id=ID, messages=said("a")))
        loaded, other = await kept.load(ID), await kept.load(ID)
        assert loaded is not None
        assert other is not None
        loaded.messages += LONG[:50]
        append, raced = store.messages.append_turn, False

        async def racing(*args: Any, **kwargs: Any) -> Any:
            nonlocal raced
            if kwargs.get("also") and not raced:
                raced = True
                await kept.save(other)
            return await append(*args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(store.messages), "append_turn", staticmethod(racing))
            with pytest.raises(ConversationConflict):
                await kept.save(loaded)
        assert len(await store.messages.latest(ID, 200)) == 1

    run(scene, work)


@pytest.mark.once
def test_a_long_fork_is_finished(scene: Scene) -> None:
    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        await kept.save(Conversation(conversation_id=ID, messages=LONG[:50]))
        with FaultInjector(store.connection.client) as faults:
            faults.plan(DropAnswer(), operation="TransactWriteItems")
            with pytest.raises(ServiceError):
                await kept.fork(ID, new_conversation_id="fork")
        assert await kept.load("fork") is None
        await kept.fork(ID, new_conversation_id="fork")
        found = await kept.load("fork")
        assert found is not None
        assert found.messages == LONG[:50]
        assert len(await store.messages.latest("fork", 200)) == len(LONG[:50])

    run(scene, work, options=ConnectionOptions(max_attempts=1))


@pytest.mark.once
def test_a_deletion_that_was_interrupted(scene: Scene) -> None:
    """Nobody sees the conversation; the next one with its id finishes the deletion first."""

    async def work(store: Any) -> None:
        for at in range(1, 9):
            scene.restore([])
            kept = DynamoConversationStore(store, "u-1")
            await kept.save(Conversation(conversation_id=ID, messages=LONG[:5]))
            with FaultInjector(store.connection.client) as faults:
                faults.plan(Kill(after_sending=True), at=at)
                with suppress(Killed):
                    await kept.delete(ID)
            if not faults.injected:
                break
            found = await kept.load(ID)
            if found is not None:
                assert found.messages == LONG[:5]
                await kept.delete(ID)
            await kept.save(Conversation(conversation_id=ID, messages=said("new")))
            assert texts(await kept.load(ID)) == ["new"]
            assert len(await store.messages.latest(ID, 200)) == 1
        assert at > 3

    run(scene, work)


def test_a_deletion_that_was_overtaken(scene: Scene) -> None:
    """Held up before it begins, it doesn't delete the conversation that came after."""

    async def work(store: Any) -> None:
        kept = DynamoConversationStore(store, "u-1")
        await kept.save(Conversation(conversation_id=ID, messages=said("old")))
        (record,) = await kept.list_conversations()
        await kept.delete(ID)
        await kept.save(Conversation(conversation_id=ID, messages=said("new")))
        with pytest.raises(ConversationConflict):
            await kept.delete_record(ID, expected_revision=record.revision)
        assert texts(await kept.load(ID)) == ["new"]

    run(scene, work)
