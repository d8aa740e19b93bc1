"""A ChatKit server with a model that only pretends, through the requests that a client sends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from chatkit.errors import ErrorCode
from chatkit.store import AttachmentStore
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    AttachmentCreateParams,
    ClientToolCallItem,
    EndOfTurnItem,
    FileAttachment,
    HiddenContextItem,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from tests.integrations.chatkit.scenes import (
    ANN,
    BOB,
    Context,
    Kit,
    Server,
    Talk,
    new_item,
    talking,
)
from tests.scene import Scene

pytestmark = pytest.mark.engine

Play = Callable[[Talk], None]
WORKERS, TURNS = 16, 2


def text_of(message: UserMessageItem | None) -> str:
    return "" if message is None else "".join(part.text for part in message.content)


async def echo(
    thread: ThreadMetadata, message: UserMessageItem | None, server: Server
) -> AsyncIterator[ThreadStreamEvent]:
    """Says what it heard, in two pieces, and ends its turn."""
    answer = new_item(AssistantMessageItem, thread, server, content=[])
    yield ThreadItemAddedEvent(item=answer)
    heard = f"You said: {text_of(message)}"
    for piece in (heard[:4], heard[4:]):
        update = AssistantMessageContentPartTextDelta(content_index=0, delta=piece)
        yield ThreadItemUpdatedEvent(item_id=answer.id, update=update)
    answer.content = [AssistantMessageContent(text=heard)]
    yield ThreadItemDoneEvent(item=answer)
    hidden = new_item(HiddenContextItem, thread, server, content={"tokens": 7})
    yield ThreadItemDoneEvent(item=hidden)
    if thread.title is None:
        thread.title = "A talk"
        thread.metadata["turns"] = 1
    yield ThreadItemDoneEvent(item=new_item(EndOfTurnItem, thread, server))


def test_a_conversation_from_its_first_message_on(play: Play) -> None:
    """Streamed, then listed, renamed and deleted; what is stored is an ordinary conversation."""

    async def talk(kit: Kit) -> None:
        server = Server(kit.kit, echo)
        events = await server.say("Hello")
        assert not [each for each in events if each["type"] == "error"]
        thread_id = events[0]["thread"]["id"]
        await server.say("Again", thread_id)
        shown = await server.ask("threads.get_by_id", thread_id=thread_id)
        assert shown["title"] == "A talk"
        kinds = [each["type"] for each in shown["items"]["data"]]
        assert kinds == ["user_message", "assistant_message", "end_of_turn"] * 2
        (found,) = await kit.store.conversations.find_by_title("A talk", user_id="ann")
        latest = await kit.store.messages.latest(found.conversation_id, user_id="ann")
        assert [(each.role, each.content) for each in latest if each.content] == [
            ("user", "Hello"),
            ("assistant", "You said: Hello"),
            ("user", "Again"),
            ("assistant", "You said: Again"),
        ]
        exchanges = await kit.store.messages.list_exchanges(found.conversation_id)
        assert [each.bot_response for each in exchanges] == ["You said: Hello", "You said: Again"]
        assert (await kit.kit.load_thread(thread_id, ANN)).metadata == {"turns": 1}

        page = await server.ask("items.list", thread_id=thread_id, limit=1, order="asc")
        after = (await server.ask("items.list", thread_id=thread_id, after=page["after"]))["data"]
        assert page["has_more"]
        assert after == []  # newest first, nothing is behind the oldest
        renamed = await server.ask("threads.update", thread_id=thread_id, title="Renamed")
        assert renamed["title"] == "Renamed"
        listed = await server.ask("threads.list")
        assert [each["title"] for each in listed["data"]] == ["Renamed"]
        assert (await server.ask("threads.list", BOB))["data"] == []
        await server.ask("threads.delete", thread_id=thread_id)
        assert (await server.ask("threads.list"))["data"] == []

    play(talk)


def test_a_tool_in_the_client_answers(play: Play) -> None:
    """Its call waits in the thread, and gets its output in its place."""

    async def answer(
        thread: ThreadMetadata, message: UserMessageItem | None, server: Server
    ) -> AsyncIterator[ThreadStreamEvent]:
        if message is not None:
            call = new_item(
                ClientToolCallItem, thread, server, call_id="c", name="pick", arguments={"n": 1}
            )
            yield ThreadItemDoneEvent(item=call)
            return
        async for event in echo(thread, message, server):
            yield event

    async def talk(kit: Kit) -> None:
        server = Server(kit.kit, answer)
        events = await server.say("Pick one")
        thread_id = events[0]["thread"]["id"]
        await server.ask(
            "threads.add_client_tool_output", thread_id=thread_id, result={"picked": [1, None]}
        )
        items = await kit.kit.load_thread_items(thread_id, None, 20, "asc", ANN)
        call = items.data[1]
        assert isinstance(call, ClientToolCallItem)
        assert (call.status, call.output) == ("completed", {"picked": [1, None]})
        stored = await kit.store.messages.get(thread_id, call.id)
        assert [(each.tool, each.args, each.call_id) for each in stored.tool_calls] == [
            ("pick", {"n": 1}, "c")
        ]

    play(talk)


def test_a_structured_input_is_answered(play: Play) -> None:
    """The framework replaces the item: it keeps its place."""

    async def answer(
        thread: ThreadMetadata, message: UserMessageItem | None, server: Server
    ) -> AsyncIterator[ThreadStreamEvent]:
        if message is not None:
            form = new_item(
                StructuredInputItem,
                thread,
                server,
                inputs=[StructuredInputFreeform(id="q", question="Where to?")],
            )
            yield ThreadItemDoneEvent(item=form)
        async for event in echo(thread, message, server):
            yield event

    async def talk(kit: Kit) -> None:
        server = Server(kit.kit, answer)
        thread_id = (await server.say("Travel"))[0]["thread"]["id"]
        before = await kit.kit.load_thread_items(thread_id, None, 20, "asc", ANN)
        form = before.data[1]
        await server.ask(
            "threads.add_structured_input",
            thread_id=thread_id,
            item_id=form.id,
            input={"answers": {"q": {"values": ["Oslo"]}}},
        )
        after = await kit.kit.load_thread_items(thread_id, None, 20, "asc", ANN)
        assert [each.id for each in after.data[:2]] == [each.id for each in before.data[:2]]
        filled = after.data[1]
        assert isinstance(filled, StructuredInputItem)
        assert filled.inputs[0].answer is not None
        assert filled.inputs[0].answer.values == ["Oslo"]

    play(talk)


def test_the_last_answer_is_given_again(play: Play) -> None:
    """What came after the message is deleted, and another answer follows."""

    async def talk(kit: Kit) -> None:
        server = Server(kit.kit, echo)
        thread_id = (await server.say("Hello"))[0]["thread"]["id"]
        await server.say("Again", thread_id)
        items = await kit.kit.load_thread_items(thread_id, None, 20, "asc", ANN)
        first = items.data[0].id
        await server.ask("threads.retry_after_item", thread_id=thread_id, item_id=first)
        left = await kit.kit.load_thread_items(thread_id, None, 20, "asc", ANN)
        assert [each.type for each in left.data] == [
            "user_message",
            "assistant_message",
            "hidden_context_item",
            "end_of_turn",
        ]

    play(talk)


def test_files_are_registered_and_sent(play: Play) -> None:
    """Through the framework's own requests."""

    class Bucket(AttachmentStore[Context]):
        async def delete_attachment(self, attachment_id: str, context: Context) -> None:
            """The bytes."""

        async def create_attachment(
            self,
            input: AttachmentCreateParams,  # noqa: A002 - the framework's name
            context: Context,
        ) -> FileAttachment:
            return FileAttachment(
                id=self.generate_attachment_id(input.mime_type, context),
                name=input.name,
                mime_type=input.mime_type,
            )

    async def talk(kit: Kit) -> None:
        server = Server(kit.kit, echo)
        server.attachment_store = Bucket()
        made = await server.ask(
            "attachments.create", name="a.pdf", size=7, mime_type="application/pdf"
        )
        events = await server.say("Read this", attachments=[made["id"]])
        thread_id = events[0]["thread"]["id"]
        sent = await kit.kit.load_attachment(made["id"], ANN)
        assert sent.thread_id == thread_id
        items = await kit.kit.load_thread_items(thread_id, None, 1, "asc", ANN)
        assert isinstance(items.data[0], UserMessageItem)
        assert items.data[0].attachments == [sent]
        await server.ask("attachments.delete", attachment_id=made["id"])
        assert not kit.scene.kinds()["chatkit_attachment"]

    play(talk)


# -- streams that end early ---------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 20])
def test_a_cancelled_stream_keeps_what_was_said(play: Play, times: int) -> None:
    """Also if it is cancelled again and again, as a task group does."""

    async def talk(kit: Kit) -> None:
        thinking = asyncio.Event()

        async def endless(
            thread: ThreadMetadata, _: UserMessageItem | None, server: Server
        ) -> AsyncIterator[ThreadStreamEvent]:
            """Says something, and then thinks for ever."""
            answer = new_item(AssistantMessageItem, thread, server, content=[])
            yield ThreadItemAddedEvent(item=answer)
            update = AssistantMessageContentPartTextDelta(content_index=0, delta="So far")
            yield ThreadItemUpdatedEvent(item_id=answer.id, update=update)
            thinking.set()
            await asyncio.sleep(60)

        thread_id = (await kit.thread()).id
        task = asyncio.create_task(Server(kit.kit, endless).say("Tell me", thread_id))
        await thinking.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        items = await kit.kit.load_thread_items(thread_id, None, 20, "asc", ANN)
        kinds = [each.type for each in items.data]
        assert kinds[:2] == ["user_message", "assistant_message"]
        assert times > 1 or kinds[2:] == ["sdk_hidden_context"]
        answer = items.data[1]
        assert isinstance(answer, AssistantMessageItem)
        assert [part.text for part in answer.content] == ["So far"]

    play(talk)


def test_a_failing_model_leaves_what_was_finished(play: Play) -> None:
    """The client gets the framework's error; the next message goes on."""

    async def broken(
        thread: ThreadMetadata, message: UserMessageItem | None, server: Server
    ) -> AsyncIterator[ThreadStreamEvent]:
        first = new_item(
            AssistantMessageItem, thread, server, content=[AssistantMessageContent(text="One")]
        )
        yield ThreadItemDoneEvent(item=first)
        yield ThreadItemReplacedEvent(
            item=first.model_copy(update={"content": [AssistantMessageContent(text="Two")]})
        )
        raise RuntimeError("the model is gone")

    async def talk(kit: Kit) -> None:
        server = Server(kit.kit, broken)
        events = await server.say("Hello")
        assert events[-1]["code"] == ErrorCode.STREAM_ERROR.value
        server.answer = echo
        thread_id = events[0]["thread"]["id"]
        await server.say("Still there?", thread_id)
        items = await kit.kit.load_thread_items(thread_id, None, 3, "asc", ANN)
        assert [each.type for each in items.data] == [
            "user_message",
            "assistant_message",
            "user_message",
        ]
        assert "Two" in items.data[1].model_dump_json()

    play(talk)


# -- many at once -------------------------------------------------------------------------------


@pytest.mark.once
def test_many_workers_lose_and_double_nothing(play: Play, scene: Scene) -> None:
    """16 tasks on two servers add to one thread; every stream's items keep their order."""

    async def talk(kit: Kit) -> None:
        thread_id = (await kit.thread()).id
        async with talking(scene) as other:
            servers = [Server(kit.kit, echo), Server(other.kit, echo)]

            async def work(number: int) -> None:
                for turn in range(TURNS):
                    events = await servers[number % 2].say(f"{number}/{turn}", thread_id)
                    assert not [each for each in events if each["type"] == "error"]

            await asyncio.gather(*map(work, range(WORKERS)))
        found: list[Any] = []
        after = None
        while True:
            page = await kit.kit.load_thread_items(thread_id, after, 50, "asc", ANN)
            found += page.data
            if not page.has_more:
                break
            after = page.after
        assert len(found) == len({each.id for each in found}) == WORKERS * TURNS * 4
        texts = [
            each.content[0].text
            for each in found
            if each.type in ("user_message", "assistant_message")
        ]
        for number in range(WORKERS):
            turns = [f"{number}/{turn}" for turn in range(TURNS)]
            wanted = [text for turn in turns for text in (turn, f"You said: {turn}")]
            assert [text for text in texts if text in wanted] == wanted
        head = await kit.store.conversations.get(thread_id, consistent=True)
        assert head.message_count == len(found)

    play(talk)
