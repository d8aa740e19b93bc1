"""The contract of session services: ours, beside those that the framework ships.

Each test runs on all three, except where those two disagree with one another or with the contract.
"""

from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.sessions import BaseSessionService, DatabaseSessionService, InMemorySessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session

from dynamo_chat.testing import FakeClock
from tests.integrations.adk.kit import APP, USER, awaited, said, texts

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("frozen")]

NAMES = ("dynamo", "memory", "database")


@pytest.fixture(params=NAMES)
def sessions(request: pytest.FixtureRequest) -> BaseSessionService:
    """Each of the services."""
    if request.param == "memory":
        return InMemorySessionService()
    if request.param == "database":
        return DatabaseSessionService("sqlite+aiosqlite:///:memory:")
    found: BaseSessionService = request.getfixturevalue("service")
    return found


@pytest.fixture
def clock(frozen: FakeClock) -> FakeClock:
    """The time of the services."""
    return frozen


async def created(sessions: BaseSessionService, session_id: str = "s-1", **more: Any) -> Session:
    names: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": session_id, **more}
    return await sessions.create_session(**names)


async def loaded(sessions: BaseSessionService, session_id: str = "s-1", **more: Any) -> Session:
    names: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": session_id, **more}
    found = await sessions.get_session(**names)
    assert found is not None
    return found


@awaited
async def test_created_and_loaded(sessions: BaseSessionService, clock: FakeClock) -> None:
    session = await created(sessions, state={"colour": "red", "user:name": "Ann", "app:open": True})
    assert session.state == {"colour": "red", "user:name": "Ann", "app:open": True}
    assert session.last_update_time == pytest.approx(clock().timestamp(), abs=1e-5)
    again = await loaded(sessions)
    assert (again.id, again.app_name, again.user_id) == ("s-1", APP, USER)
    assert again.state == session.state
    assert again.events == []
    assert again.last_update_time == session.last_update_time


@awaited
async def test_an_id_is_made(sessions: BaseSessionService) -> None:
    one = await sessions.create_session(app_name=APP, user_id=USER)
    other = await sessions.create_session(app_name=APP, user_id=USER)
    assert one.id != other.id
    assert (await loaded(sessions, one.id)).id == one.id


@awaited
async def test_an_id_that_exists_is_refused(sessions: BaseSessionService) -> None:
    session = await created(sessions, state={"kept": 1})
    await sessions.append_event(session, said("Hello"))
    with pytest.raises(AlreadyExistsError):
        await created(sessions, state={"kept": 2, "user:name": "Bo"})
    again = await loaded(sessions)
    assert again.state == {"kept": 1}
    assert texts(again) == ["Hello"]


@awaited
async def test_the_same_id_of_other_users_and_applications(sessions: BaseSessionService) -> None:
    await created(sessions, state={"whose": "mine"})
    await created(sessions, user_id="u-2", state={"whose": "yours"})
    await created(sessions, app_name="bank", state={"whose": "the bank's"})
    assert (await loaded(sessions)).state == {"whose": "mine"}
    assert (await loaded(sessions, user_id="u-2")).state == {"whose": "yours"}
    assert (await loaded(sessions, app_name="bank")).state == {"whose": "the bank's"}
    for names in ({"user_id": "u-3"}, {"app_name": "zoo"}, {"session_id": "s-2"}):
        given: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": "s-1", **names}
        assert await sessions.get_session(**given) is None


@awaited
async def test_events_and_state(sessions: BaseSessionService, clock: FakeClock) -> None:
    session = await created(sessions)
    for number in range(3):
        clock.advance(1)
        state = {"count": number, "user:seen": number, "app:all": number, "temp:scratch": number}
        await sessions.append_event(session, said(f"m{number}", state=state))
    # The session that was appended to has the state, the scratch of its invocation too.
    assert session.state["temp:scratch"] == 2
    assert texts(session) == ["m0", "m1", "m2"]
    again = await loaded(sessions)
    assert again.state == {"count": 2, "user:seen": 2, "app:all": 2}
    assert [each.model_dump() for each in again.events] == [
        each.model_dump() for each in session.events
    ]
    assert again.last_update_time == pytest.approx(clock().timestamp(), abs=1e-5)
    assert "temp:scratch" not in again.events[-1].actions.state_delta


@awaited
async def test_scopes_are_shared(sessions: BaseSessionService) -> None:
    session = await created(sessions, state={"own": 1})
    await sessions.append_event(session, said("x", state={"user:name": "Ann", "app:open": True}))
    mine = await created(sessions, "s-2")
    assert mine.state == {"user:name": "Ann", "app:open": True}
    assert (await created(sessions, user_id="u-2")).state == {"app:open": True}
    assert (await created(sessions, app_name="bank")).state == {}
    assert await sessions.get_user_state(app_name=APP, user_id=USER) == {"name": "Ann"}
    assert await sessions.get_user_state(app_name=APP, user_id="u-2") == {}
    assert await sessions.get_user_state(app_name="bank", user_id=USER) == {}


@awaited
async def test_none_is_a_value(sessions: BaseSessionService) -> None:
    session = await created(sessions, state={"a": 1})
    await sessions.append_event(session, said("x", state={"a": None}))
    assert (await loaded(sessions)).state == {"a": None}


@awaited
async def test_partial_events_are_not_stored(sessions: BaseSessionService) -> None:
    session = await created(sessions)
    event = said("Hel", author="agent", partial=True, state={"a": 1})
    assert await sessions.append_event(session, event) is event
    assert session.events == []
    again = await loaded(sessions)
    assert (again.events, again.state) == ([], {})


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
@awaited
async def test_recent_events(sessions: BaseSessionService, clock: FakeClock, count: int) -> None:
    session = await created(sessions)
    for number in range(5):
        clock.advance(1)
        await sessions.append_event(session, said(f"m{number}"))
    found = await loaded(sessions, config=GetSessionConfig(num_recent_events=count))
    assert texts(found) == ["m0", "m1", "m2", "m3", "m4"][max(0, 5 - count) :]


@awaited
async def test_events_from_a_time_on(sessions: BaseSessionService, clock: FakeClock) -> None:
    session = await created(sessions)
    times = []
    for number in range(5):
        clock.advance(0.0015)
        event = await sessions.append_event(session, said(f"m{number}"))
        times.append(event.timestamp)
    for number, at in enumerate(times):
        found = await loaded(sessions, config=GetSessionConfig(after_timestamp=at))
        assert texts(found) == texts(session)[number:]
        both = GetSessionConfig(after_timestamp=at, num_recent_events=2)
        assert texts(await loaded(sessions, config=both)) == texts(session)[number:][-2:]
    later = GetSessionConfig(after_timestamp=times[-1] + 1)
    assert texts(await loaded(sessions, config=later)) == []


@awaited
async def test_listed_by_activity(sessions: BaseSessionService, clock: FakeClock) -> None:
    made = {}
    for name in ("s-1", "s-2", "s-3"):
        clock.advance(1)
        made[name] = await created(sessions, name, state={"name": name, "user:last": name})
    await created(sessions, "s-4", user_id="u-2")
    await created(sessions, "s-5", app_name="bank")
    clock.advance(1)
    await sessions.append_event(made["s-1"], said("Hello"))
    listed = (await sessions.list_sessions(app_name=APP, user_id=USER)).sessions
    assert [each.id for each in listed] == ["s-2", "s-3", "s-1"]
    assert [each.events for each in listed] == [[], [], []]
    assert [each.state["name"] for each in listed] == ["s-2", "s-3", "s-1"]
    assert {each.state["user:last"] for each in listed} == {"s-3"}
    assert (await sessions.list_sessions(app_name="zoo", user_id=USER)).sessions == []


@awaited
async def test_deleted(sessions: BaseSessionService) -> None:
    session = await created(sessions, state={"own": 1, "user:name": "Ann"})
    await sessions.append_event(session, said("Hello"))
    names: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": "s-1"}
    await sessions.delete_session(**{**names, "user_id": "u-2"})
    assert texts(await loaded(sessions)) == ["Hello"]
    await sessions.delete_session(**names)
    await sessions.delete_session(**names)
    assert await sessions.get_session(**names) is None
    assert (await sessions.list_sessions(app_name=APP, user_id=USER)).sessions == []
    with pytest.raises(SessionNotFoundError):
        await sessions.append_event(session, said("Anyone?"))
    # The id is free; nothing of the old life is in the new one, but what is the user's stays.
    again = await created(sessions)
    assert (again.state, again.events) == ({"user:name": "Ann"}, [])
    assert texts(await loaded(sessions)) == []


@awaited
async def test_many_events(sessions: BaseSessionService, clock: FakeClock) -> None:
    session = await created(sessions)
    for number in range(12):
        clock.advance(0.01)
        await sessions.append_event(session, said(f"m{number}"))
    assert texts(await loaded(sessions)) == [f"m{number}" for number in range(12)]


@pytest.mark.parametrize("sessions", ["dynamo", "database"], indirect=True)
@awaited
async def test_a_stale_session_is_refused(sessions: BaseSessionService, clock: FakeClock) -> None:
    """Not in memory, where nothing is ever stale."""
    await created(sessions)
    one, other = await loaded(sessions), await loaded(sessions)
    clock.advance(1)
    await sessions.append_event(one, said("first", state={"by": "one"}))
    clock.advance(1)
    with pytest.raises(StaleSessionError):
        await sessions.append_event(other, said("second", state={"by": "other"}))
    assert texts(other) == []
    assert (await loaded(sessions)).state == {"by": "one"}
    await sessions.append_event(one, said("third"))
    clock.advance(1)  # at one time, the framework's own orders events by their random ids
    other = await loaded(sessions)
    await sessions.append_event(other, said("fourth"))
    assert texts(await loaded(sessions)) == ["first", "third", "fourth"]


@pytest.mark.parametrize("sessions", ["dynamo", "database"], indirect=True)
@awaited
async def test_a_session_made_by_hand(sessions: BaseSessionService, clock: FakeClock) -> None:
    """It has no revision: its last event must be the latest that is stored."""
    await created(sessions)
    plain = Session(id="s-1", app_name=APP, user_id=USER, last_update_time=1.0)
    clock.advance(1)
    await sessions.append_event(plain, said("first"))
    behind = Session(id="s-1", app_name=APP, user_id=USER, last_update_time=1.0)
    clock.advance(1)
    with pytest.raises(StaleSessionError):
        await sessions.append_event(behind, said("second"))
    events = (await loaded(sessions)).events
    level = Session(id="s-1", app_name=APP, user_id=USER, events=events, last_update_time=1.0)
    await sessions.append_event(level, said("third"))
    assert texts(await loaded(sessions)) == ["first", "third"]


@awaited
async def test_flush_has_nothing_to_do(sessions: BaseSessionService) -> None:
    await sessions.flush()
