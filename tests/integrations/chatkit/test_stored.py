"""What this release stored is read; and what the guide and the example show is so."""

import asyncio
import json
import runpy
from pathlib import Path
from typing import Any, get_args

import pytest
from chatkit.types import ThreadItem

from dynamo_chat import Feedback
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.integrations.chatkit import AsyncChatKitStore, DynamoChatKitStore
from tests.integrations.chatkit.stored import ATTACHMENTS, FILE, ITEMS, THREADS, USER
from tests.integrations.served import program_of, read_items, served
from tests.scene import Scene

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs/guide/integrations/chatkit.md"


@pytest.mark.engine
def test_what_this_release_stored_is_read(scene: Scene) -> None:
    """`stored.json` has a thread with an item of each kind, and its files."""
    assert {type(each) for each in ITEMS} == set(get_args(get_args(ThreadItem)[0]))
    scene.put(*read_items(FILE))

    async def work(store: AsyncChatKitStore) -> None:
        kit: DynamoChatKitStore[str] = DynamoChatKitStore(store, lambda context: context)
        assert (await kit.load_threads(20, None, "asc", USER)).data == THREADS
        assert (await kit.load_thread_items("thr_1", None, 20, "asc", USER)).data == ITEMS
        assert [await kit.load_attachment(each.id, USER) for each in ATTACHMENTS] == ATTACHMENTS
        assert [await kit.load_item("thr_1", each.id, USER) for each in ITEMS] == ITEMS
        for item in ITEMS:  # a late retry
            await kit.add_thread_item("thr_1", item, USER)
        assert (await kit.load_thread_items("thr_1", None, 20, "asc", USER)).data == ITEMS

    served(scene, work, AsyncChatKitStore)


def test_the_guide(scene: Scene) -> None:
    """Its server answers, on the store with the attachments and on one of an application's own."""
    names: dict[str, Any] = {"__name__": "guide"}
    for number in (0, 1, 2):
        program = program_of(GUIDE, number)
        exec(compile(program, "guide", "exec"), names)  # noqa: S102 - the page is ours

    async def work(store: AsyncChatStore) -> None:
        server = names["server_on"](store)
        said = {
            "content": [{"type": "input_text", "text": "Hi"}],
            "attachments": [],
            "inference_options": {},
        }
        request = json.dumps({"type": "threads.create", "params": {"input": said}})
        result = await server.process(request, {"user_id": "ann"})
        events = [event async for event in result]
        assert b"Hello" in events[-1]
        (talk,) = await store.conversations.list_by_user("ann", page_size=1)
        (answer,) = await store.messages.latest(talk.conversation_id, 1)
        names.update(store=store, Feedback=Feedback)
        given = (talk.conversation_id, [answer.message_id], "negative", {"user_id": "ann"})
        await names["add_feedback"](server, *given)
        (rated,) = await store.messages.latest(talk.conversation_id, 1)
        assert rated.feedback is not None

    served(scene, work, AsyncChatKitStore)
    served(scene, work, names["AsyncMyStore"])


def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows a thread as a conversation."""
    example = runpy.run_path(str(ROOT / "examples/chatkit_server.py"))
    asyncio.run(example["main"]())
    assert capsys.readouterr().out.splitlines() == [
        "['About greetings']",
        "  user: Hello",
        "  assistant: You have said 1 things, last: Hello",
        "  user: Good evening",
        "  assistant: You have said 2 things, last: Good evening (positive)",
        "Eve sees 0 threads",
    ]
