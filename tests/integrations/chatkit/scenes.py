"""What the tests of ChatKit's store share: a store, items, and a server with a fake model."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from chatkit.server import ChatKitServer, StreamingResult
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    HiddenContextItem,
    InferenceOptions,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    UserMessageTextContent,
)

from dynamo_chat.integrations.chatkit import AsyncChatKitStore, DynamoChatKitStore
from dynamo_chat.testing import StrictHook
from tests.scene import Scene

ANN, BOB = {"user": "ann"}, {"user": "bob"}
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - as the framework dates things

Context = dict[str, str]


class Kit:
    """The store of a test, and ChatKit's store over it."""

    def __init__(self, scene: Scene, store: AsyncChatKitStore) -> None:
        self.scene = scene
        self.store = store
        self.kit: DynamoChatKitStore[Context] = DynamoChatKitStore(
            store, lambda context: context["user"]
        )

    @property
    def client(self) -> Any:
        """The client whose requests are counted, or fail."""
        return self.store.connection.client

    async def thread(self, thread_id: str = "thr_1", **fields: Any) -> ThreadMetadata:
        """A saved thread of Ann's."""
        made = ThreadMetadata(id=thread_id, **{"created_at": NOW, **fields})
        await self.kit.save_thread(made, ANN)
        return made

    async def items(
        self, order: str = "asc", after: str | None = None, limit: int = 100, thread: str = "thr_1"
    ) -> list[str]:
        """The ids of a page of Ann's thread."""
        page = await self.kit.load_thread_items(thread, after, limit, order, ANN)
        return [each.id for each in page.data]


Talk = Callable[[Kit], Awaitable[None]]


@asynccontextmanager
async def talking(scene: Scene, **options: Any) -> AsyncIterator[Kit]:
    """A new server's store on the scene's table."""
    async with AsyncChatKitStore(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        clock=scene.clock,
        **options,
    ) as store:
        with StrictHook(store.connection.client):
            yield Kit(scene, store)


def said(item_id: str, text: str = "Hi", thread: str = "thr_1") -> AssistantMessageItem:
    """An answer."""
    return AssistantMessageItem(
        id=item_id,
        thread_id=thread,
        created_at=NOW + timedelta(seconds=1),
        content=[AssistantMessageContent(text=text)],
    )


def asked(item_id: str, text: str = "Hello", thread: str = "thr_1") -> UserMessageItem:
    """A question."""
    return UserMessageItem(
        id=item_id,
        thread_id=thread,
        created_at=NOW,
        content=[UserMessageTextContent(text=text)],
        inference_options=InferenceOptions(),
    )


def hidden(item_id: str, content: Any = None, thread: str = "thr_1") -> HiddenContextItem:
    """An item that is no message."""
    return HiddenContextItem(id=item_id, thread_id=thread, created_at=NOW, content=content)


def file(attachment_id: str = "atc_1", **fields: Any) -> FileAttachment:
    """An uploaded file."""
    return FileAttachment(id=attachment_id, name="plan.pdf", mime_type="application/pdf", **fields)


Respond = Callable[
    [ThreadMetadata, UserMessageItem | None, "Server"], AsyncIterator[ThreadStreamEvent]
]


class Server(ChatKitServer[Context]):
    """A server whose answers a test writes."""

    def __init__(self, kit: DynamoChatKitStore[Context], answer: Respond) -> None:
        super().__init__(kit)
        self.answer = answer

    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        """What the test wants."""
        return self.answer(thread, input_user_message, self)

    async def ask(self, kind: str, context: Context = ANN, **params: Any) -> Any:
        """Process a request: the events of a stream, or the answer."""
        result = await self.process(json.dumps({"type": kind, "params": params}), context)
        if isinstance(result, StreamingResult):
            return [json.loads(each.removeprefix(b"data: ")) async for each in result]
        return json.loads(result.json)

    async def say(self, text: str, thread_id: str | None = None, **more: Any) -> list[Any]:
        """Ann's message, in a thread or in a new one."""
        message = {
            "content": [{"type": "input_text", "text": text}],
            "attachments": more.pop("attachments", []),
            "inference_options": {},
        }
        if thread_id is None:
            return list(await self.ask("threads.create", input=message))
        return list(await self.ask("threads.add_user_message", input=message, thread_id=thread_id))


def new_item(
    made: Callable[..., ThreadItem], thread: ThreadMetadata, server: Server, **fields: Any
) -> Any:
    """An item of a thread, with an id of the store's and the present time."""
    return made(
        id=server.store.generate_item_id("message", thread, ANN),
        thread_id=thread.id,
        created_at=datetime.now(),  # noqa: DTZ005 - as the framework does
        **fields,
    )
