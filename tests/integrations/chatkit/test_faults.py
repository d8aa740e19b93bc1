"""What is interrupted at any request is done by doing it again; nothing is lost or doubled."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata

from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.testing import DropAnswer, Fault, FaultInjector, Kill, Killed, RequestMeter
from dynamo_chat.testing.engine import Engine
from tests.integrations.chatkit.scenes import ANN, BOB, NOW, Kit, asked, file, said, talking
from tests.on_loop import CancelTask
from tests.scene import Scene

pytestmark = [pytest.mark.engine, pytest.mark.once]

TITLED = ThreadMetadata(id="thr_1", created_at=NOW, title="New", metadata={"a": [1]})
OPERATIONS: dict[str, Callable[[Kit], Awaitable[None]]] = {
    "create a thread": lambda kit: kit.kit.save_thread(
        TITLED.model_copy(update={"id": "thr_2"}), ANN
    ),
    "change a thread": lambda kit: kit.kit.save_thread(TITLED, ANN),
    "add an item": lambda kit: kit.kit.add_thread_item("thr_1", said("new"), ANN),
    "save a new item": lambda kit: kit.kit.save_item("thr_1", said("new"), ANN),
    "save an item": lambda kit: kit.kit.save_item("thr_1", said("msg_1", "Edited"), ANN),
    "delete an item": lambda kit: kit.kit.delete_thread_item("thr_1", "msg_1", ANN),
    "delete a thread": lambda kit: kit.kit.delete_thread("thr_1", ANN),
    "send a file": lambda kit: kit.kit.save_attachment(file(thread_id="thr_1"), ANN),
    "delete a file": lambda kit: kit.kit.delete_attachment("atc_2", ANN),
}
SHORT = ("change a thread", "send a file")
FAULTS: tuple[Fault, ...] = (
    Kill(),
    Kill(after_sending=True),
    DropAnswer(),
    CancelTask(is_sent=False),
    CancelTask(is_sent=True),
)


async def prepare(kit: Kit) -> None:
    """A thread with two items, and files that are uploaded and sent."""
    await kit.thread(title="Old")
    for item in (asked("msg_1"), said("msg_2")):
        await kit.kit.add_thread_item("thr_1", item, ANN)
    await kit.kit.save_attachment(file(), ANN)
    await kit.kit.save_attachment(file("atc_2", thread_id="thr_1"), ANN)


async def seen(kit: Kit) -> list[Any]:
    """All that Ann sees."""
    found: list[Any] = []
    for thread in (await kit.kit.load_threads(20, None, "asc", ANN)).data:
        page = await kit.kit.load_thread_items(thread.id, None, 100, "asc", ANN)
        head = await kit.store.conversations.get(thread.id, consistent=True)
        found += [thread, *page.data, head.message_count]
    for attachment in ("atc_1", "atc_2"):
        with suppress(NotFoundError):
            found.append(await kit.kit.load_attachment(attachment, ANN))
    return found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SHORT else pytest.mark.long, id=name)
        for name in OPERATIONS
    ],
)
def test_interrupted_at_each_request(
    dynamo_chat_engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a crash, a lost answer or a cancelled task; then another server does it again."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    call = OPERATIONS[name]

    async def main() -> None:
        with Scene(dynamo_chat_engine) as scene:
            async with talking(scene) as kit, talking(scene) as other:
                await prepare(kit)
                before = scene.items()
                with RequestMeter(other.client) as meter:
                    await call(other)
                wanted = await seen(other)
                for number in range(1, meter.count + 1):
                    for fault in FAULTS:
                        scene.restore(before)
                        with FaultInjector(kit.client) as injector:
                            injector.plan(fault, at=number)
                            with suppress(Killed, DynamoChatError, asyncio.CancelledError):
                                await asyncio.create_task(_called(call, kit))
                        await call(other)
                        assert await seen(other) == wanted, (number, fault)

    asyncio.run(main())


async def _called(call: Callable[[Kit], Awaitable[None]], kit: Kit) -> None:
    await call(kit)


def test_a_cancelled_write_is_waited_out(scene: Scene) -> None:
    """When the cancellation comes, the item is there, or never will be."""

    async def main() -> None:
        async with talking(scene) as kit:
            await prepare(kit)
            for number, fault in enumerate(FAULTS[3:]):
                item = said(f"late_{number}")
                with FaultInjector(kit.client) as injector:
                    injector.plan(fault, at=1)
                    with pytest.raises(asyncio.CancelledError):
                        await asyncio.create_task(
                            _called(lambda kit: kit.kit.add_thread_item("thr_1", item, ANN), kit)  # noqa: B023
                        )
                assert await kit.kit.load_item("thr_1", item.id, ANN) == item

    asyncio.run(main())


def test_two_servers_create_the_same_thread(scene: Scene) -> None:
    """Between the look and the creation: the later one changes it; another user's is not found."""

    async def main() -> None:
        async with talking(scene) as kit, talking(scene) as other:
            for context, outcome in ((ANN, None), (BOB, NotFoundError)):
                thread = ThreadMetadata(id=f"thr_{context['user']}", created_at=NOW, title="First")
                meanwhile = other.kit.save_thread(thread, context)
                create = kit.store.conversations.create

                async def late(
                    *args: Any,
                    meanwhile: Any = meanwhile,
                    create: Any = create,
                    **options: Any,
                ) -> Any:
                    await meanwhile
                    return await create(*args, **options)

                kit.store.conversations.create = late  # type: ignore[method-assign]
                mine = thread.model_copy(update={"title": "Second"})
                if outcome is None:
                    await kit.kit.save_thread(mine, ANN)
                    assert await other.kit.load_thread(thread.id, ANN) == mine
                else:
                    with pytest.raises(outcome):
                        await kit.kit.save_thread(mine, ANN)
                    assert await other.kit.load_thread(thread.id, BOB) == thread
                del kit.store.conversations.create

    asyncio.run(main())
