"""The framework's session service over a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakValueDictionary

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.platform.uuid import new_uuid
from google.adk.sessions.base_session_service import (
    BaseSessionService,
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.session import Session

from dynamo_chat.chat.message import Message, MessageConflict, NewMessage
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    CorruptItem,
    InvalidArgument,
    MessageDeleted,
    NotFound,
)
from dynamo_chat.core.page import MAX_PAGE_SIZE
from dynamo_chat.core.transaction import Put, contended
from dynamo_chat.integrations.adk.events import EVENT, Scopes, event_of, message_of, since
from dynamo_chat.integrations.adk.kinds import (
    AdkSession,
    AdkSessions,
    AdkSessionState,
    SessionKey,
    States,
)
from dynamo_chat.store import ChatStore

if TYPE_CHECKING:
    from dynamo_chat.aio import AsyncChatStore

logger = logging.getLogger("dynamo_chat")

T = TypeVar("T")

NAME: Final = "adk_sessions"
"""The attribute of a store that is its `AdkSessions`."""


def conversation_id_of(app_name: str, user_id: str, session_id: str) -> str:
    """The id of the conversation that a session is, for the methods of the store."""
    return SessionKey(app_name=app_name, user_id=user_id, session_id=session_id).conversation_id


class DynamoSessionService(BaseSessionService):
    """Keeps sessions as conversations of their users, and events as messages.

    `store` is of a class with ``adk_sessions = repository(AdkSessions)``. `retention` and `sliding`
    are those of the conversations that it creates.
    """

    def __init__(
        self,
        store: AsyncChatStore,
        *,
        retention: timedelta | None = None,
        sliding: bool = False,
    ) -> None:
        if not hasattr(store, NAME):
            raise InvalidArgument("store", f"its class needs {NAME} = repository(AdkSessions)")
        self._store = store
        self._retention = retention
        self._sliding = sliding
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Create a session and return it. AlreadyExistsError if there is one with this id."""
        key = SessionKey(
            app_name=app_name,
            user_id=user_id,
            session_id=new_uuid() if session_id is None else session_id,
        )
        scopes = Scopes("state", state)
        return await self._store.run_sync(self._create, key, scopes)

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        """The session with its events and state; None if this user has none with this id."""
        key = SessionKey(app_name=app_name, user_id=user_id, session_id=session_id)
        return await self._store.run_sync(_loaded, key, config or GetSessionConfig())

    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """A user's sessions with their states, without events; the latest active one is the last.

        InvalidArgument without a user: sessions of all users are nobody's to list.
        """
        if user_id is None:
            raise InvalidArgument("user_id", "must be given: sessions are listed by user")
        sessions = await self._store.run_sync(_listed, app_name, user_id)
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session with its events and state; no error if there is none."""
        key = SessionKey(app_name=app_name, user_id=user_id, session_id=session_id)
        await self._store.run_sync(_deleted, key)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The state of a user in an application, its keys without a prefix."""
        found = await self._store.run_sync(
            lambda store: _sessions(store).user_state(app_name, user_id)
        )
        return dict(found.state)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Store an event with its change of state, add it to the session, and return it.

        A partial event is only returned. Storing an event again changes nothing. StaleSessionError
        if the session has another latest event than when it was loaded; SessionNotFoundError;
        MessageConflict if the session has another event with this id.
        """
        if event.partial:
            return event
        key = SessionKey(app_name=session.app_name, user_id=session.user_id, session_id=session.id)
        message, scopes = message_of(event), Scopes("event.state_delta", event.actions.state_delta)
        # Parallel agents of one invocation share the session: each waits for the one before.
        async with self._turns.setdefault(key.conversation_id, asyncio.Lock()):
            known = _known(key, session)
            is_known = any(each.id == event.id for each in session.events)
            stored = await self._store.run_sync(_appended, key, message, scopes, known)
            if is_known:
                return event
            event = await super().append_event(session, event)
            session.last_update_time = event.timestamp
            session._storage_update_marker = stored.revision  # noqa: SLF001 - for services
        return event

    def _create(self, store: ChatStore, key: SessionKey, scopes: Scopes) -> Session:
        sessions = _sessions(store)
        opened = AdkSession(conversation_id=key.conversation_id, **key.__dict__)

        def attempt(_: int) -> Session | None:
            states = sessions.states(key)
            if states.session is not None and _is_live(store, key):
                raise _taken(key)
            beside = sessions.scoped_writes(states, scopes.user, scopes.app)
            sessions.check_size(opened, scopes.session)  # before there is a conversation for it
            try:
                store.conversations.create(
                    key.user_id,
                    conversation_id=key.conversation_id,
                    retention=self._retention,
                    sliding=self._sliding,
                )
            except AlreadyExists as error:  # it is being deleted, or was given to somebody
                raise _taken(key) from error
            try:
                session = sessions.open(opened, scopes.session, beside)
            except (Conflict, NotFound):
                return None  # somebody was first, with the session or with a state: look again
            after = States(
                states.user.model_copy(update={"state": {**states.user.state, **scopes.user}}),
                states.app.model_copy(update={"state": {**states.app.state, **scopes.app}}),
                session,
            )
            return _shown(key, session, after)

        return _tried(store, attempt)


def _sessions(store: ChatStore) -> AdkSessions:
    found: AdkSessions = getattr(store, NAME)
    return found


def _tried(store: ChatStore, attempt: Callable[[int], T | None]) -> T:
    """The result of `attempt`, which is None as long as others were first."""
    for number in range(store.connection.options.transaction_attempts):
        made = attempt(number)
        if made is not None:
            return made
        store.connection.pause(number)
    raise contended("the state")


def _taken(key: SessionKey) -> AlreadyExistsError:
    return AlreadyExistsError(f"Session with id {key.session_id} already exists.")


def _is_live(store: ChatStore, key: SessionKey) -> bool:
    try:
        store.conversations.get(key.conversation_id, user_id=key.user_id, consistent=True)
    except NotFound:
        return False
    return True


def _shown(
    key: SessionKey, stored: AdkSessionState, states: States, events: list[Event] | None = None
) -> Session:
    session = Session(
        id=key.session_id,
        app_name=key.app_name,
        user_id=key.user_id,
        state=states.merged(stored.state),
        events=events or [],
        last_update_time=stored.last_update_time,
    )
    session._storage_update_marker = stored.revision  # noqa: SLF001 - for services
    return session


# -- loading ----------------------------------------------------------------------------------


def _loaded(store: ChatStore, key: SessionKey, config: GetSessionConfig) -> Session | None:
    """The session as it was at one moment: its events are those that its state is of."""
    sessions = _sessions(store)
    try:
        states = sessions.states(key)
        for _ in range(store.connection.options.transaction_attempts):
            if states.session is None:
                return None
            latest, events = _read_events(store, key, config)
            if config.num_recent_events == 0 or latest == states.session.last_event_id:
                return _shown(key, states.session, states, events)
            again = sessions.states(key)
            if again.session is not None and again.session.revision == states.session.revision:
                return _shown(key, again.session, again, events)
            states = again
    except NotFound:
        return None
    raise contended("the session")


def _read_events(
    store: ChatStore, key: SessionKey, config: GetSessionConfig
) -> tuple[str | None, list[Event]]:
    """The id of the latest event that was looked at, and the events that are asked for, in order.

    NotFound if the session is gone, or somebody else's.
    """
    if config.num_recent_events == 0:
        store.conversations.get(key.conversation_id, user_id=key.user_id, consistent=True)
        return None, []
    latest: str | None = None
    events: list[Event] = []
    for event in _newest_first(store, key, config):
        latest = latest or event.id
        if config.after_timestamp is None or event.timestamp >= config.after_timestamp:
            events.append(event)
        if len(events) == config.num_recent_events:
            break
    return latest, events[::-1]


def _newest_first(store: ChatStore, key: SessionKey, config: GetSessionConfig) -> Iterator[Event]:
    """The events, the latest first, from the time that is asked for on."""
    cursor: str | None = None
    while True:
        page = store.messages.list(
            key.conversation_id,
            user_id=key.user_id,
            since=since(config.after_timestamp),
            newest_first=True,
            page_size=min(config.num_recent_events or MAX_PAGE_SIZE, MAX_PAGE_SIZE),
            cursor=cursor,
            consistent=True,
        )
        for damaged in page.unreadable:
            logger.warning("an event of a session was left out: %s", damaged)
        yield from filter(None, map(_readable, page.items))
        cursor = page.cursor
        if cursor is None:
            return


def _readable(message: Message) -> Event | None:
    try:
        return event_of(message)
    except CorruptItem as damaged:
        logger.warning("an event of a session was left out: %s", damaged)
        return None


def _listed(store: ChatStore, app_name: str, user_id: str) -> list[Session]:
    sessions, found = _sessions(store), list[Session]()
    cursor: str | None = None
    while True:
        page = sessions.list_by_user(app_name, user_id, cursor=cursor)
        if page.items:
            ids = [each.conversation_id for each in page]
            heads = {each.conversation_id: each for each in _heads(store, ids, user_id)}
            scopes, states = sessions.states_of(app_name, user_id, page.items)
            for each in page:
                head, state = heads.get(each.conversation_id), states.get(each.conversation_id)
                if head is not None and state is not None and (head.life or "") == state.of_life:
                    key = SessionKey(app_name=app_name, user_id=user_id, session_id=each.session_id)
                    found.append(_shown(key, state, scopes))
        cursor = page.cursor
        if cursor is None:
            return sorted(found, key=lambda each: (each.last_update_time, each.id))


def _heads(store: ChatStore, ids: list[str], user_id: str) -> Any:
    return store.conversations.get_many(ids, user_id=user_id)


# -- changing ---------------------------------------------------------------------------------


def _deleted(store: ChatStore, key: SessionKey) -> None:
    try:
        store.conversations.delete(key.conversation_id, user_id=key.user_id)
    except NotFound:
        return


def _known(key: SessionKey, session: Session) -> AdkSessionState:
    """What a session was loaded of, as far as that is needed to know whether it is stale.

    One that was made by hand has no revision: its last event must be the stored one.
    """
    revision = session._storage_update_marker  # noqa: SLF001 - for services
    life, _, last = (revision or "").partition("/")
    if revision is None and session.events:
        last = session.events[-1].id
    return AdkSessionState(
        conversation_id=key.conversation_id,
        of_life=life,
        last_event_id=last or None,
        last_update_time=session.last_update_time,
        state={},
    )


def _appended(
    store: ChatStore,
    key: SessionKey,
    message: NewMessage,
    scopes: Scopes,
    known: AdkSessionState,
) -> AdkSessionState:
    """Append the event's message with all changes of state in one transaction.

    Returns what is stored of the session then.
    """
    sessions, at = _sessions(store), message.metadata[EVENT]["timestamp"]

    def attempt(number: int) -> AdkSessionState | None:
        before, beside = known, list[Put]()
        if scopes or number:
            states = sessions.states(key)
            if states.session is None:
                raise _missing(key)
            if number and not _is_of(states.session, known):
                raise StaleSessionError(
                    "The session has another latest event than when it was loaded: load it again."
                )
            before = known.model_copy(update={"state": states.session.state})
            beside += sessions.scoped_writes(states, scopes.user, scopes.app)
        update, after = before.moved(
            message.message_id or "", at, scopes.session, sessions.items.now()
        )
        try:
            store.messages.append(
                key.conversation_id, message, user_id=key.user_id, also=[update, *beside]
            )
        except (MessageConflict, MessageDeleted):
            raise
        except Conflict:
            return None
        except NotFound as error:
            raise _missing(key) from error
        except InvalidArgument as error:
            if error.argument == "at":
                raise InvalidArgument("event.timestamp", error.allowed) from error
            raise
        return after

    return _tried(store, attempt)


def _is_of(stored: AdkSessionState, known: AdkSessionState) -> bool:
    return stored.last_event_id == known.last_event_id and known.of_life in ("", stored.of_life)


def _missing(key: SessionKey) -> SessionNotFoundError:
    return SessionNotFoundError(f"Session {key.session_id} not found.")
