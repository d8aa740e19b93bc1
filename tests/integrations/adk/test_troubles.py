"""Sessions under retries, lost answers, cancelled tasks, other workers, and strangers."""

import asyncio
import contextlib
import hashlib
import zlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session

from dynamo_chat import ChatStore, DynamoChatError
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.chat.message import MessageConflict
from dynamo_chat.integrations.adk import DynamoSessionService, conversation_id_of
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import DropAnswer, FakeClock, FaultInjector, Kill, Killed, RequestMeter
from tests.integrations.adk.kit import APP, USER, AdkStore, awaited, said, texts
from tests.on_loop import CancelTask

pytestmark = pytest.mark.engine

ALL = {"own": 1, "user:name": "Ann", "app:open": True}
WORKERS = 16


async def create(service: DynamoSessionService, session_id: str = "s-1", **more: Any) -> Session:
    given: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": session_id, **more}
    return await service.create_session(**given)


async def load(service: DynamoSessionService, session_id: str = "s-1", **more: Any) -> Session:
    given: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": session_id, **more}
    found = await service.get_session(**given)
    assert found is not None
    return found


def again(event: Event) -> Event:
    """The event as another process has it."""
    return Event.model_validate_json(event.model_dump_json())


@awaited
async def test_an_event_is_stored_once(service: DynamoSessionService) -> None:
    """Also by a worker whose session is from before; then the next event finds it out."""
    session = await create(service)
    behind = await load(service)
    event = said("Hello", state=ALL)
    await service.append_event(session, again(event))
    await service.append_event(session, again(event))
    assert texts(session) == ["Hello"]
    await service.append_event(behind, again(event))
    assert behind.model_dump() == session.model_dump() == (await load(service)).model_dump()
    await service.append_event(behind, said("more"))
    late = said("Hello", id=event.id)
    with pytest.raises(MessageConflict):
        await service.append_event(behind, late)
    with pytest.raises(StaleSessionError):
        await service.append_event(session, said("unseen"))
    # A retry of what has long been followed by others changes nothing either.
    await service.append_event(await load(service), again(event))
    assert texts(await load(service)) == ["Hello", "more"]


@awaited
async def test_workers_share_a_session(service: DynamoSessionService) -> None:
    """Parallel agents of one invocation: nothing lost, nothing doubled, in one order."""
    session = await create(service)
    calls = [
        service.append_event(session, said(f"m{number}", state={f"k{number}": number, **ALL}))
        for number in range(WORKERS)
    ]
    await asyncio.gather(*calls)
    assert sorted(texts(session)) == sorted(f"m{number}" for number in range(WORKERS))
    assert (await load(service)).model_dump() == session.model_dump()


@pytest.mark.once
@awaited
async def test_workers_with_sessions_of_their_own(service: DynamoSessionService) -> None:
    """Each change of what they share arrives, and those who lost a race load again."""
    await create(service)

    async def work(number: int) -> None:
        mine = await create(service, f"w-{number}")
        event = said("x", state={f"user:u{number}": number, f"app:a{number}": number})
        await service.append_event(mine, event)
        event = said(f"m{number}", state={f"k{number}": number})
        while True:
            try:
                await service.append_event(await load(service), again(event))
                return
            except StaleSessionError:
                await asyncio.sleep(0)

    await asyncio.gather(*map(work, range(WORKERS)))
    found = await load(service)
    expected: dict[str, int] = {}
    for number in range(WORKERS):
        expected |= {f"k{number}": number, f"user:u{number}": number, f"app:a{number}": number}
    assert found.state == expected
    assert sorted(texts(found)) == sorted(f"m{number}" for number in range(WORKERS))


@awaited
async def test_one_of_many_creates(service: DynamoSessionService) -> None:
    made = await asyncio.gather(
        *(create(service, state={"by": number, "app:by": number}) for number in range(8)),
        return_exceptions=True,
    )
    won = [each for each in made if isinstance(each, Session)]
    assert len(won) == 1
    assert all(isinstance(each, (Session, AlreadyExistsError)) for each in made)
    assert (await load(service)).state == won[0].state


@pytest.mark.parametrize("state", [{}, ALL])
@pytest.mark.parametrize("fault", [Kill(), Kill(after_sending=True), DropAnswer()])
@pytest.mark.once
@awaited
async def test_interrupted_at_each_request(
    service: DynamoSessionService, async_chat_store: AsyncChatStore, state: Any, fault: Any
) -> None:
    """Event and state are both there or both not, and called again all of it is there once."""
    for number in range(1, 4):
        names: dict[str, Any] = {"user_id": f"u-{number}"}
        with FaultInjector(async_chat_store.connection.client) as injector:
            injector.plan(fault, at=number)
            with contextlib.suppress(Killed, DynamoChatError):
                await create(service, **names, state=state)
        with contextlib.suppress(AlreadyExistsError):
            await create(service, **names, state=state)
        session = await load(service, **names)
        assert session.state == state
        event = said("Hello", state={**state, "own": number, "user:own": number})
        with FaultInjector(async_chat_store.connection.client) as injector:
            injector.plan(fault, at=number)
            with contextlib.suppress(Killed, DynamoChatError):
                await service.append_event(session.model_copy(deep=True), again(event))
        found = await load(service, **names)
        if texts(found):
            assert found.state["own"] == found.state["user:own"] == number
        await service.append_event(session, event)
        found = await load(service, **names)
        assert (texts(found), found.state) == (["Hello"], session.state)


@pytest.mark.once
@awaited
async def test_a_cancelled_append(
    service: DynamoSessionService, async_chat_store: AsyncChatStore
) -> None:
    """The write is waited out: when the cancellation comes, it is there, and a retry is no more."""
    session = await create(service)
    event = said("Hello", state=ALL)
    for number, is_sent in ((1, False), (1, True), (2, False), (2, True)):
        with FaultInjector(async_chat_store.connection.client) as injector:
            injector.plan(CancelTask(is_sent), at=number)
            mine = session.model_copy(deep=True)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(service.append_event(mine, again(event)))
        # The first request reads, the second one writes.
        assert texts(await load(service)) == (["Hello"] if number == 2 else [])
    await service.append_event(session, event)
    found = await load(service)
    assert (texts(found), found.state) == (["Hello"], ALL)


@awaited
async def test_the_slow_one(service: DynamoSessionService) -> None:
    """A worker stops; its session is deleted, and the id given anew: it changes nothing there."""
    slow = await create(service, state={"life": "old"})
    names: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": "s-1"}
    await service.append_event(slow, said("old", state={"old": 1}))
    empty = await load(service, config=GetSessionConfig(num_recent_events=0))
    await service.delete_session(**names)
    with pytest.raises(SessionNotFoundError):
        await service.append_event(slow, said("late"))
    await create(service, state={"life": "new"})
    for each in (slow, empty):
        with pytest.raises(StaleSessionError):
            await service.append_event(each, said("late", state={"late": 1}))
    fresh = await load(service)
    assert (texts(fresh), fresh.state) == ([], {"life": "new"})
    # Both lives are without events: they are told apart all the same.
    await service.delete_session(**names)
    await create(service)
    with pytest.raises(StaleSessionError):
        await service.append_event(fresh, said("late"))


@awaited
async def test_strangers(
    service: DynamoSessionService, async_chat_store: AsyncChatStore, chat_store: ChatStore
) -> None:
    """Who knows the id of somebody's session finds nothing; nor does its owner of before."""
    session = await create(service, state=ALL)
    await service.append_event(session, said("mine"))
    theirs = session.model_copy(deep=True, update={"user_id": "u-2"})
    with pytest.raises(SessionNotFoundError):
        await service.append_event(theirs, said("theirs", state=ALL))
    names: dict[str, Any] = {"app_name": APP, "session_id": "s-1"}
    assert await service.get_session(**names, user_id="u-2") is None
    await service.delete_session(**names, user_id="u-2")
    assert await service.get_user_state(app_name=APP, user_id="u-2") == {}
    assert texts(await load(service)) == ["mine"]
    # Given to somebody else, the conversation is no session of the old owner any more.
    talk = conversation_id_of(APP, USER, "s-1")
    await async_chat_store.conversations.give_to(talk, "u-3")
    for config in (None, GetSessionConfig(num_recent_events=0)):
        assert await service.get_session(**names, user_id=USER, config=config) is None
    assert (await service.list_sessions(app_name=APP, user_id=USER)).sessions == []
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, said("late"))
    with pytest.raises(AlreadyExistsError):
        await create(service)
    await service.delete_session(**names, user_id=USER)
    assert chat_store.conversations.get(talk).user_id == "u-3"


@awaited
async def test_a_message_of_a_session_is_deleted(
    service: DynamoSessionService, async_chat_store: AsyncChatStore
) -> None:
    """By whoever may: the session goes on without it."""
    session = await create(service)
    await service.append_event(session, said("one"))
    last = await service.append_event(session, said("two"))
    talk = conversation_id_of(APP, USER, "s-1")
    await async_chat_store.messages.delete(talk, last.id)
    found = await load(service)
    assert texts(found) == ["one"]
    await service.append_event(found, said("three"))
    assert texts(await load(service)) == ["one", "three"]


@awaited
async def test_sessions_expire(
    async_chat_store: AsyncChatStore, frozen: FakeClock, chat_store: ChatStore
) -> None:
    service = DynamoSessionService(async_chat_store, retention=timedelta(hours=1), sliding=True)
    session = await create(service, state={"user:name": "Ann", "own": 1})
    for _ in range(3):
        frozen.advance(timedelta(minutes=50))
        await service.append_event(session, said("still here"))
    assert len((await load(service)).events) == 3
    frozen.advance(timedelta(minutes=61))
    names: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": "s-1"}
    assert await service.get_session(**names) is None
    assert (await service.list_sessions(app_name=APP, user_id=USER)).sessions == []
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, said("late"))
    assert (await create(service)).state == {"user:name": "Ann"}


@pytest.mark.once
@awaited
async def test_exported_erased_and_examined(
    service: DynamoSessionService, chat_store: AdkStore
) -> None:
    """What is a person's goes with them; what is the application's stays."""
    for user in (USER, "u-2"):
        session = await create(service, user_id=user, state=ALL)
        await service.append_event(session, said("Hello", state={"own": 2}))
    doctor = Doctor(chat_store.connection, DoctorOptions(settle_seconds=0), store=AdkStore)
    assert not doctor.examine().findings
    expected = {"conversation", "message", "adk_session", "adk_session_state", "adk_user_state"}
    assert Counter(each.kind for each in chat_store.people.export(USER)) == Counter(expected)
    chat_store.people.erase(USER)
    assert [*chat_store.people.export(USER)] == []
    assert (await create(service)).state == {"app:open": True}
    assert (await load(service, user_id="u-2")).state == {**ALL, "own": 2}


def english(characters: int) -> str:
    """Words in no order that a compressor could guess."""
    words = [
        "it",
        "shows",
        "the",
        "darker",
        "renders",
        "of",
        "a",
        "blue",
        "chair",
        "with",
        "glass",
        "before",
        "light",
        "falls",
        "on",
        "wood",
    ]
    said = (words[zlib.crc32(str(number).encode()) % len(words)] for number in range(characters))
    return " ".join(said)[:characters]


@awaited
async def test_requests_and_units(
    service: DynamoSessionService, async_chat_store: AsyncChatStore
) -> None:
    """The guide has this table."""
    session = await create(service)
    await service.append_event(session, said("x" * 500))

    async def costs(call: Any) -> tuple[int, float, float]:
        with RequestMeter(async_chat_store.connection.client) as meter:
            await call
        return meter.count, meter.rcu, meter.wcu

    assert (await costs(create(service, "s-2")))[0] == 3
    for _ in range(18):
        await service.append_event(session, said("x" * 500))
    event = said(english(1_000))
    assert (await costs(service.append_event(session, event)))[::2] == (1, 12)
    event = said("x", state={"own": 1})
    assert (await costs(service.append_event(session, event)))[::2] == (2, 12)
    event = said("x", state=ALL)
    assert (await costs(service.append_event(session, event)))[::2] == (2, 16)
    assert (await costs(load(service)))[0] == 2
    digits = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(94))
    await service.append_event(session, said("x", state={"digits": digits}))
    assert (await costs(service.append_event(session, said("x"))))[::2] == (1, 12 + 2 * 3)
    recent = GetSessionConfig(num_recent_events=5)
    assert (await costs(load(service, config=recent)))[0] == 2
    names: dict[str, Any] = {"app_name": APP, "user_id": USER}
    assert (await costs(service.list_sessions(**names)))[0] == 3
    assert (await costs(service.get_user_state(**names)))[0] == 1
