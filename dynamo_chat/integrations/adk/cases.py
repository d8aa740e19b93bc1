"""A worked call of each method of `AdkSessions`, which ``patterns --measure`` runs."""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_chat.cases import Case, Stage
from dynamo_chat.integrations.adk.kinds import AdkSession, AdkSessions, SessionKey

_STATE = {"step": 1}


def _talk(stage: Stage) -> tuple[AdkSessions, AdkSession, SessionKey]:
    """The repository, and a session that could be opened."""
    sessions: AdkSessions = stage.store.adk_sessions  # type: ignore[attr-defined]
    key = SessionKey(app_name="shop", user_id=stage.fresh("user"), session_id="s-1")
    stage.store.conversations.create(key.user_id, conversation_id=key.conversation_id)
    return sessions, AdkSession(conversation_id=key.conversation_id, **key.__dict__), key


def adk_sessions_open(stage: Stage) -> Iterator[Case]:
    """With a state."""
    sessions, session, _ = _talk(stage)
    yield Case("", lambda: sessions.open(session, _STATE, []).state)


def adk_sessions_states(stage: Stage) -> Iterator[Case]:
    """Of a session."""
    sessions, session, key = _talk(stage)
    sessions.open(session, _STATE, [])
    yield Case("", lambda: sessions.states(key).merged())


def adk_sessions_user_state(stage: Stage) -> Iterator[Case]:
    """Of a user with one."""
    sessions, session, key = _talk(stage)
    beside = sessions.scoped_writes(sessions.states(key), _STATE, {})
    sessions.open(session, _STATE, beside)
    yield Case("", lambda: sessions.user_state(key.app_name, key.user_id).state)


def adk_sessions_list_by_user(stage: Stage) -> Iterator[Case]:
    """One session."""
    sessions, session, key = _talk(stage)
    sessions.open(session, _STATE, [])
    yield Case("", lambda: len(sessions.list_by_user(key.app_name, key.user_id)))


def adk_sessions_states_of(stage: Stage) -> Iterator[Case]:
    """Of a page with one session."""
    sessions, session, key = _talk(stage)
    sessions.open(session, _STATE, [])
    yield Case("", lambda: len(sessions.states_of(key.app_name, key.user_id, [session])[1]))
