"""What the tests of ADK sessions share: a store with their kinds, and events."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.session import Session
from google.genai import types

from dynamo_chat import ChatStore
from dynamo_chat.entities import repository
from dynamo_chat.integrations.adk import AdkSessions

APP, USER = "shop", "u-1"


class AdkStore(ChatStore):
    """A store with sessions of the framework."""

    adk_sessions = repository(AdkSessions)
    cases = ("dynamo_chat.integrations.adk.cases",)


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test on an event loop, on which the framework's own service is closed, too."""

    async def closing(*args: Any, **kwargs: Any) -> None:
        try:
            await asyncio.wait_for(test(*args, **kwargs), 60)
        finally:
            for each in kwargs.values():
                if isinstance(each, DatabaseSessionService):
                    await each.close()

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(closing(*args, **kwargs))

    return run


def said(text: str, *, author: str = "user", **fields: Any) -> Event:
    """An event with a text; `state` is its change of state."""
    state = fields.pop("state", {})
    role = "user" if author == "user" else "model"
    return Event(
        author=author,
        invocation_id="i-1",
        content=types.Content(role=role, parts=[types.Part(text=text)]),
        actions=EventActions(state_delta=state),
        **fields,
    )


def texts(session: Session | None) -> list[str]:
    """What the events of a session say."""
    assert session is not None
    parts = [(each.content or types.Content()).parts or [] for each in session.events]
    return [each[0].text or "" for each in parts]
