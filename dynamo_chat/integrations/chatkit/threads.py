"""ChatKit's threads as conversations.

Title, owner and time are the conversation's own. What else a thread has is a preference of the
conversation, under ``chatkit``, and only where it isn't what the framework's threads begin with.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from chatkit.types import ActiveStatus, ThreadMetadata
from pydantic import BaseModel, ValidationError

from dynamo_chat.chat.conversation import MAX_TITLE_CHARACTERS, Conversation
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.integrations.chatkit.moments import local, note

NAME: Final = "chatkit"
"""Under this name the framework's JSON is in preferences and metadata."""

_FIRST: Final[dict[str, Any]] = {
    "status": ActiveStatus().model_dump(mode="json"),
    "allowed_image_domains": None,
    "metadata": {},
}


def short_title(title: str | None) -> str | None:
    """The title of the conversation: at most 200 characters, and None for an empty one."""
    return title[:MAX_TITLE_CHARACTERS] or None if title is not None else None


def details(thread: ThreadMetadata, created_at: datetime | None) -> dict[str, Any]:
    """The thread's JSON without what a conversation of this title and time says."""
    theirs = json_of(thread, "thread", include=set(_FIRST))
    noted = {name: value for name, value in theirs.items() if value != _FIRST[name]}
    if thread.title != short_title(thread.title):
        noted["title"] = thread.title
    moment = note(thread.created_at, created_at)
    if moment is not None:
        noted["created_at"] = moment
    return {NAME: noted or None}


def thread_of(conversation: Conversation) -> ThreadMetadata:
    """The thread that a conversation is; its preferences were read. CorruptItem."""
    noted = (conversation.preferences or {}).get(NAME) or {}
    fields: dict[str, Any] = {
        "created_at": local(conversation.created_at),
        **(noted if isinstance(noted, dict) else {NAME: noted}),
        "id": conversation.conversation_id,
    }
    title = fields.get("title")
    if not isinstance(title, str) or short_title(title) != conversation.title:
        fields["title"] = conversation.title  # it was renamed outside of ChatKit
    try:
        return ThreadMetadata.model_validate(fields)
    except ValidationError as error:
        raise unreadable(
            "conversation", error, conversation_id=conversation.conversation_id
        ) from None


def json_of(made: BaseModel, argument: str, **options: Any) -> dict[str, Any]:
    """The JSON of one of the framework's objects. InvalidArgument if it has none."""
    try:
        return made.model_dump(mode="json", **options)
    except ValueError as error:
        raise InvalidArgument(argument, "must be JSON, without lone surrogates") from error


def unreadable(kind: str, error: ValidationError, **identity: str) -> CorruptItem:
    """The error of JSON that the framework does not take: it says where, and shows no value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, (NAME, *first["loc"])))
    return CorruptItem(kind, f"{where}: {first['msg']}", identity)
