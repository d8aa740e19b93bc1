"""The guide's recipes run, and keep what they say."""

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from strands import Agent
from strands.models import Model
from strands.session.snapshot_session_manager import SnapshotSessionManager
from strands.storage import InMemoryStorage
from strands.types.exceptions import StorageError

from dynamo_chat import AlreadyExists, ChatStore, NewMessage, NotFound
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.testing.engine import Engine
from tests.integrations.served import program_of

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "integrations" / "recipes.md"
LANGCHAIN, STRANDS, CHAINLIT = range(3)


def recipe(number: int) -> Any:
    """The names that a program of the page defines."""
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(program_of(GUIDE, number), GUIDE, "exec"), names)  # noqa: S102 - the guide's
    return names


# -- LangChain ----------------------------------------------------------------------------------


SAID = [
    SystemMessage("Be brief."),
    HumanMessage(
        content=[{"type": "text", "text": "Show"}, {"type": "image", "url": "https://a.b"}]
    ),
    AIMessage("", tool_calls=[{"name": "look", "args": {"x": None}, "id": "c-1"}], id="run-1"),
    ToolMessage("2", tool_call_id="c-1", artifact={"rows": [1, 2]}),
    AIMessage("Two.", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
]


@pytest.fixture
def history(chat_store: ChatStore) -> Callable[..., Any]:
    kind = recipe(LANGCHAIN)["DynamoHistory"]
    return lambda user_id="u-1", talk="talk-1": kind(chat_store, user_id, talk)


def test_a_history_keeps_messages(history: Callable[..., Any], chat_store: ChatStore) -> None:
    history().add_messages(SAID)
    assert history().messages == SAID
    shown = chat_store.messages.list("talk-1", user_id="u-1")
    assert [each.role for each in shown] == ["system", "user", "assistant", "tool", "assistant"]
    assert shown.items[1].content == "Show"
    chat_store.messages.append("talk-1", NewMessage(role="user", content="aside"))
    assert history().messages[-1] == HumanMessage("aside")
    history().clear()
    assert history().messages == []


@pytest.mark.once
def test_a_history_longer_than_a_transaction(history: Callable[..., Any]) -> None:
    many = [HumanMessage(str(number)) for number in range(50)]
    history().add_messages(many)
    history().add_messages([])
    assert history().messages == many


def test_a_history_is_of_one_user(history: Callable[..., Any], chat_store: ChatStore) -> None:
    mine = history()
    mine.add_messages(SAID)
    with pytest.raises(AlreadyExists):
        history("u-2")
    chat_store.conversations.give_to("talk-1", "u-2")
    for ask in (mine.clear, lambda: mine.messages, lambda: mine.add_messages(SAID)):
        with pytest.raises(NotFound):
            ask()
    assert history("u-2").messages == SAID


# -- Strands ------------------------------------------------------------------------------------


@pytest.fixture
def strands(dynamo_chat_engine: Engine, request: pytest.FixtureRequest) -> Any:
    """Storages of users, and the store."""
    names = recipe(STRANDS)
    store = dynamo_chat_engine.store(f"strands-{id(request)}", store=names["MyStore"])
    yield lambda user_id="u-1": names["DynamoStorage"](store, user_id), store
    store.connection.client.delete_table(TableName=store.connection.table_name)


class Said(Model):
    """A model that says one thing."""

    def update_config(self, **_: Any) -> None:
        """Nothing to set."""

    def get_config(self) -> Any:
        """Nothing is set."""
        return {}

    async def structured_output(self, *_: Any, **__: Any) -> Any:
        """Not asked for."""
        yield {}

    async def stream(self, *_: Any, **__: Any) -> Any:
        """One answer."""
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        yield {"contentBlockDelta": {"delta": {"text": "Hello"}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}


@pytest.mark.once
def test_a_storage_like_the_frameworks(strands: Any) -> None:
    """Step by step what the one in memory does."""
    storages = [strands[0](), InMemoryStorage()]

    async def both(name: str, *args: Any) -> Any:
        ours, theirs = [await getattr(each, name)(*args) for each in storages]
        assert ours == theirs
        return ours

    async def main() -> None:
        await both("read", "a/b")
        await both("delete", "a/b")
        for key, size in (("a/b", 3), ("a/c", 0), ("ab", 700_000), ("a/b", 650_000), ("é/x", 1)):
            await both("write", key, bytes(range(256)) * (size // 256) + b"x" * (size % 256))
            await both("read", key)
        await both("write", "ab", b"short")
        for prefix in ("", "a", "a/", "a/b", "b", "é"):
            await both("list", prefix)
        await both("delete", "ab")
        assert await both("list", "") == ["a/b", "a/c", "é/x"]
        assert [each.key for each in await both("search", "short")] == []
        with pytest.raises(StorageError):
            await storages[0].write("big", bytes(3_000_001))
        with pytest.raises(StorageError):
            await storages[0].write("", b"x")

    asyncio.run(main())
    storage, store = strands
    assert asyncio.run(storage("u-2").list("")) == []
    kinds = [record.kind for record in store.people.export("u-1")]
    assert sorted(kinds) == ["strands_blob"] * 3 + ["strands_piece"] * 4
    store.people.erase("u-1")
    assert asyncio.run(storage().list("")) == []


@pytest.mark.once
def test_writers_at_once(strands: Any) -> None:
    """The value is whole, one writer's or the other's, and no piece of others is left."""
    storage, store = strands

    async def main() -> bytes:
        values = [bytes([number]) * 400_000 for number in range(4)]
        await asyncio.gather(*(storage().write("k", value) for value in values))
        found = await storage().read("k")
        assert found in values
        return bytes(found)

    asyncio.run(main())
    assert [record.kind for record in store.people.export("u-1")].count("strands_piece") == 2


def test_an_agent_goes_on(strands: Any) -> None:
    for turn in (1, 2):
        sessions = SnapshotSessionManager("s-1", storage=strands[0]())
        agent = Agent(
            model=Said(), session_manager=sessions, agent_id="clerk", callback_handler=None
        )
        assert len(agent.messages) == 2 * (turn - 1)
        agent(f"turn {turn}")
        assert [each["role"] for each in agent.messages] == ["user", "assistant"] * turn


# -- Chainlit -----------------------------------------------------------------------------------


class _Favorites:
    """What a data layer of Chainlit 2.12 inherits."""

    async def set_step_favorite(self, step_dict: Any, favorite: bool) -> Any:
        """As in the framework, by an update."""
        step_dict["metadata"] = {**(step_dict.get("metadata") or {}), "favorite": favorite}
        await self.update_step(step_dict)  # type: ignore[attr-defined]
        return step_dict


METHODS = [
    "get_user",
    "create_user",
    "delete_feedback",
    "upsert_feedback",
    "create_element",
    "get_element",
    "delete_element",
    "create_step",
    "update_step",
    "delete_step",
    "get_thread_author",
    "delete_thread",
    "list_threads",
    "get_thread",
    "update_thread",
    "build_debug_url",
    "close",
    "get_favorite_steps",
]


@pytest.fixture
def chainlit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The recipe's names, over the framework where it is installed, else over a stand-in."""
    if find_spec("chainlit") is None:
        base = type(
            "BaseDataLayer", (_Favorites, ABC), {each: abstractmethod(pass_by) for each in METHODS}
        )
        names: dict[str, dict[str, Any]] = {
            "chainlit": {},
            "chainlit.data": {},
            "chainlit.data.base": {"BaseDataLayer": base},
            "chainlit.data.utils": {"queue_until_user_message": lambda: lambda method: method},
            "chainlit.types": {"PageInfo": SimpleNamespace, "PaginatedResponse": SimpleNamespace},
            "chainlit.user": {"PersistedUser": SimpleNamespace},
        }
        for name, found in names.items():
            module = ModuleType(name)
            vars(module).update(found)
            monkeypatch.setitem(sys.modules, name, module)
    return recipe(CHAINLIT)


def pass_by(*_: Any) -> None:
    """A method that a data layer must write."""


@pytest.mark.once
def test_a_data_layer(chainlit: Any, async_chat_store: AsyncChatStore) -> None:
    layer = chainlit["DynamoDataLayer"](async_chat_store)
    asked = {"id": "s-1", "threadId": "t-1", "type": "user_message", "name": "Ann", "output": "Hi"}
    told = {
        "id": "s-2",
        "threadId": "t-1",
        "type": "tool",
        "name": "look",
        "output": "1",
        "input": "?",
    }

    async def main() -> None:
        assert (await layer.create_user(SimpleNamespace(identifier="u-1"))).identifier == "u-1"
        assert await layer.get_thread("t-1") is None
        assert await layer.get_thread_author("t-1") == ""
        await layer.update_thread("t-1", name="Hi", user_id="u-1", metadata={"a": 1}, tags=["x"])
        await layer.update_thread("t-1", metadata={"a": 2})
        await layer.create_step(dict(asked))
        await layer.create_step({**told, "output": ""})
        await layer.update_step(dict(told))
        await layer.update_step(dict(told))
        await layer.set_step_favorite(dict(asked), True)
        rated = await layer.upsert_feedback(SimpleNamespace(forId="s-2", value=1, comment="Good"))
        thread = await layer.get_thread("t-1")
        assert (thread["name"], thread["metadata"], thread["tags"]) == ("Hi", {"a": 2}, ["x"])
        assert [(each["id"], each["output"]) for each in thread["steps"]] == [
            ("s-1", "Hi"),
            ("s-2", "1"),
        ]
        first, second = thread["steps"]
        assert first["metadata"] == {"favorite": True}
        assert {**second, "feedback": None}.items() >= {**told, "feedback": None}.items()
        assert (second["feedback"]["value"], second["feedback"]["comment"]) == (1, "Good")
        assert await layer.delete_feedback(rated)
        await layer.delete_step("s-1")
        await layer.delete_step("s-1")
        steps = (await layer.get_thread("t-1"))["steps"]
        assert [(each["id"], each["feedback"]) for each in steps] == [("s-2", None)]
        assert await layer.get_thread_author("t-1") == "u-1"
        with pytest.raises(AlreadyExists):
            await layer.update_thread("t-1", user_id="u-2")
        for number in range(3):
            await layer.update_thread(f"n-{number}", user_id="u-1")
        page = SimpleNamespace(first=3, cursor=None)
        mine = SimpleNamespace(userId="u-1", search=None, feedback=None)
        one = await layer.list_threads(page, mine)
        assert (len(one.data), one.pageInfo.hasNextPage) == (3, True)
        page.cursor = one.pageInfo.endCursor
        rest = await layer.list_threads(page, mine)
        assert (len(rest.data), rest.pageInfo.hasNextPage) == (1, False)
        await layer.delete_thread("t-1")
        assert await layer.get_thread("t-1") is None
        assert await layer.get_favorite_steps("u-1") == []
        for element in (
            layer.create_element(None),
            layer.get_element("t-1", "e"),
            layer.delete_element("e"),
        ):
            assert await element is None
        await layer.close()

    asyncio.run(main())
