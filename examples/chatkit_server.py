"""A ChatKit server whose threads are in a chat table.

    python examples/chatkit_server.py

It runs on the embedded engine, with a model that only pretends. Needs the extras `chatkit` and
`testing`. A web framework would call `server.process` with the body of a request.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from chatkit.server import ChatKitServer, StreamingResult
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    FeedbackKind,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from dynamo_chat import Feedback
from dynamo_chat.integrations.chatkit import AsyncChatKitStore, DynamoChatKitStore
from dynamo_chat.testing import EmbeddedEngine

Context = dict[str, str]


async def model(heard: list[str]) -> AsyncIterator[str]:
    """Stands for a call of a model."""
    for word in f"You have said {len(heard)} things, last: {heard[-1]}".split():
        await asyncio.sleep(0)
        yield word + " "


class Server(ChatKitServer[Context]):
    """Answers with the model, which knows the latest messages."""

    def __init__(self, store: AsyncChatKitStore) -> None:
        super().__init__(DynamoChatKitStore(store, user_of=lambda context: context["user_id"]))
        self.chat = store

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,  # noqa: ARG002
        context: Context,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Stream the answer, and give the thread a title."""
        latest = await self.chat.messages.latest(
            thread.id, 20, user_id=context["user_id"], consistent=True
        )
        answer = AssistantMessageItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(),  # noqa: DTZ005 - as the framework does
            content=[AssistantMessageContent(text="")],
        )
        yield ThreadItemAddedEvent(item=answer)
        async for piece in model([each.content for each in latest if each.role == "user"]):
            answer.content[0].text += piece
            delta = AssistantMessageContentPartTextDelta(content_index=0, delta=piece)
            yield ThreadItemUpdatedEvent(item_id=answer.id, update=delta)
        yield ThreadItemDoneEvent(item=answer)
        if thread.title is None:
            thread.title = "About greetings"  # the framework saves it

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Context
    ) -> None:
        """Items are messages, so it is the feedback of messages."""
        for item_id in item_ids:
            await self.chat.messages.give_feedback(
                thread_id, item_id, Feedback(type=feedback), user_id=context["user_id"]
            )


async def ask(server: Server, user_id: str, wanted: str, **params: Any) -> Any:
    """Send a request as ChatKit's web component does; return the events, or the answer."""
    request = json.dumps({"type": wanted, "params": params})
    result = await server.process(request, {"user_id": user_id})
    if isinstance(result, StreamingResult):
        return [json.loads(event.removeprefix(b"data: ")) async for event in result]
    return json.loads(result.json)


async def chat(store: AsyncChatKitStore) -> None:
    """Talk as Ann; then look at the table as the application does."""
    server = Server(store)

    def said(text: str) -> dict[str, Any]:
        content = [{"type": "input_text", "text": text}]
        return {"content": content, "attachments": [], "inference_options": {}}

    events = await ask(server, "ann", "threads.create", input=said("Hello"))
    thread_id = events[0]["thread"]["id"]
    await ask(
        server, "ann", "threads.add_user_message", thread_id=thread_id, input=said("Good evening")
    )
    listed = await ask(server, "ann", "threads.list")
    print([thread["title"] for thread in listed["data"]])
    newest = await ask(server, "ann", "items.list", thread_id=thread_id, limit=1)
    await ask(
        server,
        "ann",
        "items.feedback",
        thread_id=thread_id,
        item_ids=[newest["data"][0]["id"]],
        kind="positive",
    )

    (talk,) = await store.conversations.find_by_title("About greetings", user_id="ann")
    for message in await store.messages.latest(talk.conversation_id, 10, user_id="ann"):
        rated = "" if message.feedback is None else f"({message.feedback.type})"
        print(f"  {message.role}: {message.content.strip()} {rated}".rstrip())
    print(f"Eve sees {len((await ask(server, 'eve', 'threads.list'))['data'])} threads")


async def main() -> None:
    """Make a table that lives as long as this program."""
    with EmbeddedEngine() as engine:
        where = engine.store("chat").connection
        async with AsyncChatKitStore(
            where.table_name, region=engine.region, endpoint_url=engine.endpoint_url
        ) as store:
            await chat(store)


if __name__ == "__main__":
    asyncio.run(main())
