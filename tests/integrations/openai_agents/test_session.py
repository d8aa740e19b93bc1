"""`DynamoSession` keeps the contract of a session, in an ordinary conversation of one user."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import SessionSettings
from agents.memory import Session
from hypothesis import given, settings, strategies as st

from dynamo_chat import ConnectionOptions, NewMessage
from dynamo_chat.core.errors import (
    AlreadyExists,
    Contended,
    InvalidArgument,
    ItemTooLarge,
    MessageDeleted,
    ServiceError,
    Unreachable,
)
from dynamo_chat.integrations.openai_agents import DynamoSession
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter, ServerError
from dynamo_chat.testing.engine import Engine
from tests.integrations.openai_agents.stored import FILE, ITEMS
from tests.integrations.served import WORKERS, read_items, served
from tests.on_loop import CancelTask
from tests.scene import Scene

pytestmark = pytest.mark.engine

PAIR: list[Any] = [ITEMS[0], ITEMS[6]]
LONG: list[Any] = [{"role": "user", "content": f"{number}"} for number in range(100)]
Work = Callable[[Any], Awaitable[Any]]


def session_of(store: Any, user_id: str = "u-1", **options: Any) -> DynamoSession:
    return DynamoSession("talk-1", store, user_id, **options)


def test_it_is_a_session(scene: Scene) -> None:
    async def work(store: Any) -> None:
        session: Session = session_of(store)
        assert isinstance(session, Session)
        assert await session.get_items() == []
        assert await session.pop_item() is None
        await session.clear_session()
        await session.add_items([])
        assert scene.items() == []  # nothing is made before the first item

        await session.add_items(ITEMS)
        assert await session.get_items() == ITEMS
        assert await session.get_items(3) == ITEMS[-3:]
        assert await session.get_items(0) == []
        assert await session.get_items(1_000_000) == ITEMS
        assert await session.pop_item() == ITEMS[-1]
        await session.add_items(ITEMS[-1:])  # an item that was popped may come back
        assert await session.get_items() == ITEMS
        await session.clear_session()
        assert await session.get_items() == []
        assert await session.pop_item() is None
        await session.add_items(PAIR)
        assert await session.get_items() == PAIR

    served(scene, work)


def test_the_settings_have_a_limit(scene: Scene) -> None:
    async def work(store: Any) -> None:
        session = session_of(store, session_settings=SessionSettings(limit=2))
        await session.add_items(LONG[:5])
        assert await session.get_items() == LONG[3:5]
        assert await session.get_items(4) == LONG[1:5]

    served(scene, work)


def test_requests_and_units(scene: Scene) -> None:
    """A turn is one request, and so are the latest items; a pop is two."""

    async def work(store: Any) -> None:
        session = session_of(store)
        with RequestMeter(store.connection.client) as meter:
            await session.add_items(PAIR)
            assert meter.count == 3  # nothing there, make it, append
            meter.reset()
            await session.add_items(PAIR)
            assert (meter.count, meter.wcu) == (1, 8)
            meter.reset()
            assert await session.get_items(2) == PAIR
            assert (meter.count, meter.rcu) == (1, 1)
            meter.reset()
            assert await session.get_items() == PAIR * 2
            assert meter.count == 1
            meter.reset()
            await session.pop_item()
            assert meter.count == 2

        other = session_of(store)  # the store knows the conversation: no further look
        with RequestMeter(store.connection.client) as meter:
            await other.add_items(PAIR)
            assert meter.count == 1

    served(scene, work)


def test_a_turn_of_a_thousand_characters(scene: Scene) -> None:
    """A question, and an answer of 1,000 characters of English with what the SDK says of it."""
    words = (Path(__file__).parents[3] / "README.md").read_text("utf-8")[:1_000]
    answer: Any = {**ITEMS[6], "content": [{**ITEMS[6]["content"][0], "text": words}]}

    async def work(store: Any) -> None:
        session = session_of(store)
        await session.add_items(PAIR)
        with RequestMeter(store.connection.client) as meter:
            await session.add_items([ITEMS[0], answer])
        assert (meter.count, meter.wcu <= 9) == (1, True)

    served(scene, work)


def test_it_is_an_ordinary_conversation(scene: Scene) -> None:
    async def work(store: Any) -> None:
        session = session_of(store, retention=timedelta(days=3), sliding=True, keep_last=40)
        await session.add_items(PAIR)
        (talk,) = await store.conversations.list_by_activity("u-1")
        assert talk.title == "What is 2 + 2, and what is on the picture?"
        assert (talk.conversation_id, talk.message_count) == ("talk-1", 2)
        assert (talk.retention, talk.is_sliding, talk.keep_last) == (timedelta(days=3), True, 40)
        latest = await store.messages.latest("talk-1", 5)
        assert [each.content for each in latest][1] == "It is 4."

        await store.messages.edit("talk-1", latest[1].message_id, content="It is four.")
        edited: Any = await session.get_items(1)
        assert edited[0]["content"][0]["text"] == "It is four."
        await store.messages.append("talk-1", NewMessage(role="user", content="Typed elsewhere"))
        assert await session.get_items(1) == [{"role": "user", "content": "Typed elsewhere"}]
        await store.messages.append(
            "talk-1", NewMessage(role="assistant", content="Half an", is_streaming=True)
        )
        assert len(await session.get_items()) == 3
        assert await session.pop_item() == {"role": "user", "content": "Typed elsewhere"}

        await store.conversations.rename("talk-1", "Mine")
        await session.clear_session()
        talk = await store.conversations.get("talk-1")
        assert (talk.title, talk.message_count, talk.keep_last) == ("Mine", 0, 40)

    served(scene, work)


def test_a_stranger_gets_nowhere(scene: Scene) -> None:
    async def work(store: Any) -> None:
        await session_of(store).add_items(PAIR)
        before = scene.items()
        stranger = session_of(store, "u-2")
        assert await stranger.get_items() == []
        assert await stranger.pop_item() is None
        await stranger.clear_session()
        with pytest.raises(AlreadyExists):
            await stranger.add_items(PAIR)
        assert scene.items() == before

    served(scene, work)


@pytest.mark.parametrize("name", ["session_id", "user_id"])
@pytest.mark.parametrize("value", ["", None, 7])
def test_who_asks_must_be_said(name: str, value: Any) -> None:
    arguments: dict[str, Any] = {"session_id": "s", "store": None, "user_id": "u", name: value}
    with pytest.raises(InvalidArgument, match=name):
        DynamoSession(**arguments)


def test_bad_input_writes_nothing(scene: Scene) -> None:
    async def work(store: Any) -> None:
        session = session_of(store)
        for items, named in (
            ("text", "items"),
            ([PAIR[0], 7], "items.1"),
            ([{"role": "user", "content": {1}}], "items.0"),
        ):
            with pytest.raises(InvalidArgument, match=named):
                await session.add_items(items)  # type: ignore[arg-type]
        for limit in (-1, "1", True):
            with pytest.raises(InvalidArgument, match="limit"):
                await session.get_items(limit)  # type: ignore[arg-type]
        assert scene.items() == []

    served(scene, work)


def noise(size: int) -> str:
    """Text that can't be compressed well."""
    import random

    dice = random.Random(size)
    return "".join(chr(dice.randrange(0x4E00, 0x9000)) for _ in range(size // 3))


@pytest.mark.once
def test_large_items(scene: Scene) -> None:
    """Up to what an item holds; a turn that holds one too large writes nothing."""

    async def work(store: Any) -> None:
        session = session_of(store)
        large: list[Any] = [{"role": "user", "content": noise(700_000)}]
        for items in (large, [*LONG, *large]):
            with pytest.raises(ItemTooLarge):
                await session.add_items(items)
            assert scene.items() == []  # no conversation is made for it, either
        await session.add_items([{"role": "user", "content": noise(300_000)}])
        for items in (large, [*LONG, *large]):
            with pytest.raises(ItemTooLarge):
                await session.add_items(items)
        assert len(await session.get_items()) == 1
        await session.clear_session()
        several: list[Any] = [{"role": "user", "content": noise(380_000 + at)} for at in range(16)]
        await session.add_items(several)
        assert await session.get_items() == several

    served(scene, work)


@pytest.mark.once
def test_a_long_history(scene: Scene) -> None:
    async def work(store: Any) -> None:
        session = session_of(store)
        for _ in range(11):
            await session.add_items(LONG)
        assert await session.get_items() == LONG * 11
        assert await session.get_items(1_050) == (LONG * 11)[-1_050:]
        with RequestMeter(store.connection.client) as meter:
            assert await session.get_items(5) == LONG[-5:]
        assert meter.count == 1
        await session.clear_session()
        assert await session.get_items() == []

    served(scene, work)


@pytest.mark.once
def test_forty_pops_at_once(scene: Scene) -> None:
    """No item is handed out twice, and none is left."""

    async def work(store: Any) -> None:
        await session_of(store).add_items(LONG[:40])

        async def pop() -> Any:
            while True:
                try:
                    return await session_of(store).pop_item()
                except Contended:
                    continue

        popped = await asyncio.gather(*(pop() for _ in range(40)))
        assert sorted(int(each["content"]) for each in popped) == list(range(40))
        assert await session_of(store).get_items() == []

    served(scene, work)


@pytest.mark.once
@pytest.mark.parametrize("fault", [None, DropAnswer(), ServerError()])
def test_sixteen_workers(scene: Scene, fault: Any) -> None:
    """Each adds turns to one new session, whatever happens to requests: none lost, none doubled."""

    async def work(store: Any) -> None:
        async def worker(name: int) -> None:
            session = session_of(store)
            for turn in range(4):
                while True:
                    try:
                        await session.add_items(
                            [{"role": "user", "content": f"{name} {turn} {at}"} for at in range(3)]
                        )
                        break
                    except Contended:  # nothing was written
                        continue

        with FaultInjector(store.connection.client) as faults:
            if fault is not None:
                faults.gamble({fault: 0.2}, seed=7)
            await asyncio.gather(*(worker(name) for name in range(WORKERS)))
        found: list[Any] = await session_of(store).get_items()
        said = [item["content"] for item in found]
        turns = [said[at : at + 3] for at in range(0, len(said), 3)]
        assert all(len({each.rpartition(" ")[0] for each in turn}) == 1 for turn in turns)
        assert all([each[-1] for each in turn] == ["0", "1", "2"] for turn in turns)
        for name in range(WORKERS):
            mine = [turn[0].split()[1] for turn in turns if turn[0].split()[0] == str(name)]
            assert mine == ["0", "1", "2", "3"]
        assert len(turns) == WORKERS * 4

    served(scene, work)


@pytest.mark.parametrize("at", range(1, 6))
def test_a_long_turn_goes_on_where_it_stopped(scene: Scene, at: int) -> None:
    """Its requests: look, make it, and three appends. Each of them loses its answer for good."""

    async def work(store: Any) -> None:
        session = session_of(store)
        with FaultInjector(store.connection.client) as faults:
            faults.plan(DropAnswer(), at=at)
            with pytest.raises(ServiceError):
                await session.add_items(LONG)
        await session.add_items(LONG)
        assert await session.get_items() == LONG
        await session.add_items(LONG)  # the same again is meant so
        assert await session.get_items() == LONG * 2

    served(scene, work, options=ConnectionOptions(max_attempts=1))


def test_a_long_turn_of_which_a_part_was_taken_away(scene: Scene) -> None:
    """It doesn't come back unnoticed; after that the turn is a new one."""

    async def work(store: Any) -> None:
        session = session_of(store)
        with FaultInjector(store.connection.client) as faults:
            faults.plan(ServerError(), at=4)
            with pytest.raises(ServiceError):
                await session.add_items(LONG)
        await session_of(store).clear_session()
        with pytest.raises(MessageDeleted):
            await session.add_items(LONG)
        await session.add_items(LONG)
        assert await session.get_items() == LONG

    served(scene, work, options=ConnectionOptions(max_attempts=1))


def test_a_turn_is_written_all_or_not_at_all(scene: Scene) -> None:
    async def work(store: Any) -> None:
        session = session_of(store)
        await session.add_items(PAIR)
        for fault, written in ((ServerError(), 0), (DropAnswer(), 45)):
            with FaultInjector(store.connection.client) as faults:
                faults.plan(fault)
                with pytest.raises((ServiceError, Unreachable)):
                    await session.add_items(LONG[:45])
            assert len(await session.get_items()) == 2 + written

    served(scene, work, options=ConnectionOptions(max_attempts=1))


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize(
    ("items", "at"),
    [(PAIR, 1), (PAIR, 2), (PAIR, 3), *((LONG, at) for at in range(1, 6))],
)
def test_cancelled_at_each_request(scene: Scene, items: list[Any], at: int, is_sent: bool) -> None:
    """A write that was begun is waited out: what is there then is a beginning, and stays so."""

    async def work(store: Any) -> None:
        session = session_of(store)
        with FaultInjector(store.connection.client) as faults:
            faults.plan(CancelTask(is_sent), at=at)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.ensure_future(session.add_items(items))
        written: Any = await session.get_items()
        assert written == items[: len(written)]
        assert len(written) in (0, 45, 90, len(items))
        await asyncio.sleep(0.01)
        assert await session.get_items() == written
        if not written or items is LONG:
            await session.add_items(items)
        assert await session.get_items() == items

    served(scene, work)


def test_what_this_release_stored_is_read(scene: Scene) -> None:
    """`stored.json`, written by the release that added the session."""
    scene.put(*read_items(FILE))

    async def work(store: Any) -> None:
        session = session_of(store)
        assert await session.get_items() == ITEMS
        assert await session.pop_item() == ITEMS[-1]
        await session.add_items(PAIR)
        assert await session.get_items() == ITEMS[:-1] + PAIR

    served(scene, work)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.sampled_from(ITEMS), max_size=3)),
        st.tuples(st.just("pop"), st.none()),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("get"), st.integers(0, 5)),
    ),
    max_size=12,
)


@pytest.mark.once
def test_it_behaves_like_a_list(dynamo_chat_engine: Engine) -> None:
    """Whatever is done to it, in whatever order."""
    with Scene(dynamo_chat_engine) as scene:

        @settings(max_examples=25)
        @given(ACTIONS)
        def behaves(actions: list[tuple[str, Any]]) -> None:
            async def work(store: Any) -> None:
                session = session_of(store)
                model: list[Any] = []
                for name, value in actions:
                    if name == "add":
                        await session.add_items(value)
                        model += value
                    elif name == "pop":
                        assert await session.pop_item() == (model.pop() if model else None)
                    elif name == "clear":
                        await session.clear_session()
                        model.clear()
                    else:
                        expected = model[-value:] if value else []
                        assert await session.get_items(value) == expected
                    assert await session.get_items() == model

            scene.restore([])
            served(scene, work)

        behaves()
