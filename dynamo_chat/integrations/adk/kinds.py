"""What sessions have beside their conversation: how they are found, and three scopes of state.

adk_session          in the conversation: which session it is; listed by user and application
adk_session_state    in the conversation: the session's state, and what its latest event is
adk_user_state       the state of a user in an application, for all of their sessions
adk_app_state        the state of an application, for all of its users
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast

from dynamo_chat.core.entity import validated
from dynamo_chat.core.item import plan
from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    GSI1,
    USER_PARTITION,
    Count,
    Entity,
    ExpiresAt,
    Id,
    JsonObject,
    Layout,
    Model,
    Number,
    Page,
    PageRequest,
    Put,
    Repository,
    Slot,
    Talk,
    Text,
    Update,
    Whose,
    Write,
    access_pattern,
    digest_of,
    fields,
    live,
    partition,
    sort,
    text,
)

_PAGE_SIZE = 90
"""Sessions of a page: their states and the two others fit into one BatchGetItem."""

ADK_SESSION = Layout(
    "adk_session",
    table=Slot(CONVERSATION_PARTITION, sort("APPADKSESSION")),
    gsi1=Slot(USER_PARTITION, sort("APPADKSESSION", text("app_name"), text("conversation_id"))),
    of=CONVERSATION,
)
ADK_SESSION_STATE = Layout(
    "adk_session_state",
    table=Slot(CONVERSATION_PARTITION, sort("APPADKSTATE")),
    of=CONVERSATION,
)
ADK_USER_STATE = Layout(
    "adk_user_state",
    table=Slot(partition("ADKUSER", text("user_id")), sort("STATE", text("app_name"))),
)
ADK_APP_STATE = Layout(
    "adk_app_state",
    table=Slot(partition("ADKAPP", text("app_name")), sort("STATE")),
    whose=Whose("nobody"),
)


class SessionKey(Model):
    """What names a session. InvalidArgument for an id that is empty or too long."""

    app_name: Id
    user_id: Id
    session_id: Id

    @property
    def conversation_id(self) -> str:
        """The id of its conversation: another one for every user and application."""
        named = json.dumps([self.app_name, self.user_id, self.session_id])
        return f"adk-{digest_of(named)}"


class AdkSession(Entity):
    """Which session a conversation is."""

    layout: ClassVar[Layout] = ADK_SESSION

    conversation_id: Id
    user_id: Id
    app_name: Id
    session_id: Id
    expires_at: ExpiresAt = None


class AdkSessionState(Entity):
    """The state of a session, and its latest event, by which a stale session is known."""

    layout: ClassVar[Layout] = ADK_SESSION_STATE

    conversation_id: Id
    of_life: str
    """The life of the conversation: another one when the session's id is given anew."""
    last_event_id: Text | None = None
    """None before the first event."""
    last_update_time: Number
    """The time of its latest event, or of its creation, in seconds since 1970."""
    state: JsonObject
    expires_at: ExpiresAt = None

    @property
    def revision(self) -> str:
        """Changes with every event, and is never the same again."""
        return f"{self.of_life}/{self.last_event_id or ''}"

    def moved(
        self, event_id: str, at: float, delta: Mapping[str, Any], now: datetime
    ) -> tuple[Update, AdkSessionState]:
        """The update to the next event, if this is still the latest; and what is stored then.

        An empty `delta` leaves the stored state as it is, which need not be known. ItemTooLarge.
        """
        changed = {"last_event_id": event_id, "last_update_time": at}
        state = {**self.state, **delta}
        after = validated(AdkSessionState, **{**self.__dict__, **changed, "state": state})
        plan(AdkSessionState).encode(after)  # refuses what is larger than an item
        stored = fields(AdkSessionState)
        actions = [stored.last_event_id.set(event_id), stored.last_update_time.set(at)]
        if delta:
            actions.append(stored.state.set(after.state))
        key = ADK_SESSION_STATE.key(conversation_id=self.conversation_id)
        return Update(key, actions, self._is_latest(now)), after

    def _is_latest(self, now: datetime) -> Any:
        stored = fields(AdkSessionState)
        last = stored.last_event_id
        same = last.does_not_exist() if self.last_event_id is None else last == self.last_event_id
        condition = live(now) & same
        # Not known of a session that was made by hand: then its last event is enough.
        return condition & (stored.of_life == self.of_life) if self.of_life else condition


class AdkUserState(Entity):
    """The state of a user in an application."""

    layout: ClassVar[Layout] = ADK_USER_STATE

    user_id: Id
    app_name: Id
    revision: Count
    """1 for the first; one more for each later one."""
    state: JsonObject


class AdkAppState(Entity):
    """The state of an application."""

    layout: ClassVar[Layout] = ADK_APP_STATE

    app_name: Id
    revision: Count
    """1 for the first; one more for each later one."""
    state: JsonObject


@dataclass(frozen=True)
class States:
    """The three scopes of state, as they are stored."""

    user: AdkUserState
    app: AdkAppState
    session: AdkSessionState | None = None
    """None if there is no such session."""

    def merged(self, session: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a session shows: the keys of users and applications have a prefix."""
        own = session if self.session is None else self.session.state
        shown = dict(own or {})
        shown.update({f"app:{key}": value for key, value in self.app.state.items()})
        shown.update({f"user:{key}": value for key, value in self.user.state.items()})
        return shown


class AdkSessions(Repository):
    """Sessions beside their conversations, and the states of users and applications."""

    kinds = (AdkSession, AdkSessionState, AdkUserState, AdkAppState)

    @access_pattern(
        "AD1",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def open(
        self, session: AdkSession, state: Mapping[str, Any], beside: Sequence[Write]
    ) -> AdkSessionState:
        """Make a session of a conversation, with its state, and return that.

        `beside` is written in the same transaction. NotFound if there is no such conversation of
        this user; Conflict if it is a session already, or a condition of `beside` fails.
        """
        items, begun = self.conversation_items, self.items.now().timestamp()

        def made(talk: Talk) -> AdkSessionState:
            return _opened(session, state, talk.life or "", begun)

        def writes(talk: Talk) -> Sequence[Write]:
            return [talk.creating(session), talk.creating(made(talk)), *beside]

        talk = items.write(session.conversation_id, writes, user_id=session.user_id)
        return talk.kept(made(talk))

    def check_size(self, session: AdkSession, state: Mapping[str, Any]) -> None:
        """ItemTooLarge if `open` would refuse this state. Sends nothing."""
        now = self.items.now()
        life = self.items.new_id()
        plan(AdkSessionState).encode(_opened(session, state, life, now.timestamp()))

    @access_pattern("AD2", "BatchGetItem", "1", owner="argument")
    def states(self, key: SessionKey) -> States:
        """The states that a session shows, strongly consistent.

        Whose conversation it is has to be checked by reading that.
        """
        session, user, app = self.items.find_each(
            (AdkSessionState, {"conversation_id": key.conversation_id}),
            (AdkUserState, {"user_id": key.user_id, "app_name": key.app_name}),
            (AdkAppState, {"app_name": key.app_name}),
            consistent=True,
        )
        return States(
            _user_state(user, key.app_name, key.user_id),
            _app_state(app, key.app_name),
            cast("AdkSessionState | None", session),
        )

    @access_pattern("AD3", "GetItem", "1", owner="key")
    def user_state(self, app_name: str, user_id: str) -> AdkUserState:
        """The state of a user in an application, strongly consistent; revision 0 without one."""
        found = self.items.find(AdkUserState, consistent=True, user_id=user_id, app_name=app_name)
        return _user_state(found, app_name, user_id)

    @access_pattern("AD4", "Query", "1", index="GSI1", owner="argument")
    def list_by_user(
        self, app_name: str, user_id: str, *, cursor: str | None = None
    ) -> Page[AdkSession]:
        """A page of a user's sessions in an application, in the order of their conversations.

        Also those whose conversation is gone, or was given to somebody, a moment ago.
        """
        asked = PageRequest((app_name, user_id), False, _PAGE_SIZE, cursor)
        return self.items.page(asked, AdkSession, ADK_SESSION.collection(GSI1, user_id)(app_name))

    @access_pattern("AD5", "BatchGetItem", "1", owner="argument", reads="late")
    def states_of(
        self, app_name: str, user_id: str, sessions: Sequence[AdkSession]
    ) -> tuple[States, dict[str, AdkSessionState]]:
        """The states of a user and an application, and those of a page of sessions.

        The latter by the conversation's id.
        """
        user, app, *found = self.items.find_each(
            (AdkUserState, {"user_id": user_id, "app_name": app_name}),
            (AdkAppState, {"app_name": app_name}),
            *((AdkSessionState, {"conversation_id": each.conversation_id}) for each in sessions),
        )
        states = [cast("AdkSessionState", each) for each in found if each is not None]
        scopes = States(_user_state(user, app_name, user_id), _app_state(app, app_name))
        return scopes, {each.conversation_id: each for each in states}

    def scoped_writes(
        self, states: States, user: Mapping[str, Any], app: Mapping[str, Any]
    ) -> list[Put]:
        """The writes that change a user's and an application's state, if they are as in `states`.

        Sends nothing. ItemTooLarge.
        """
        deltas = ((states.user, user), (states.app, app))
        return [self._merging(before, delta) for before, delta in deltas if delta]

    def _merging(self, before: AdkUserState | AdkAppState, delta: Mapping[str, Any]) -> Put:
        kind, revision = type(before), before.revision
        state = {**before.state, **delta}
        after = kind(**{**before.__dict__, "revision": revision + 1, "state": state})
        if not revision:
            return self.items.creating(after)
        return self.items.putting(after, only_if=fields(kind).revision == revision)


def _opened(
    session: AdkSession, state: Mapping[str, Any], life: str, begun: float
) -> AdkSessionState:
    return AdkSessionState(
        conversation_id=session.conversation_id,
        of_life=life,
        last_update_time=begun,
        state=dict(state),
    )


def _user_state(found: Entity | None, app_name: str, user_id: str) -> AdkUserState:
    none = AdkUserState(user_id=user_id, app_name=app_name, revision=0, state={})
    return none if found is None else cast("AdkUserState", found)


def _app_state(found: Entity | None, app_name: str) -> AdkAppState:
    none = AdkAppState(app_name=app_name, revision=0, state={})
    return none if found is None else cast("AdkAppState", found)
