"""Loads conversations of other systems, with their ids and times.

A record is a conversation to import, in one form for all sources. The documents' items and rows
are converted to records; `load` writes a record into a store, and writing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dynamo_chat.chat.appending import MAX_TURN
from dynamo_chat.chat.conversation import Conversation, ConversationStatus
from dynamo_chat.chat.message import MAX_MESSAGE_ID, Feedback, NewMessage
from dynamo_chat.chat.messages import Messages
from dynamo_chat.core.errors import Conflict, MessageDeleted
from dynamo_chat.keyspace import digest_of
from dynamo_chat.store import ChatStore

TOOL_CALL_ID: Final = "tool_call_id"
"""In a tool message's metadata: the id of the call whose result it is."""
_PER_TURN = 20
_TURN_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """A review to import."""

    review_id: str
    reviewed_by: str
    reviewed_at: datetime
    comments: str | None = None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A conversation to import. All of its messages have ids."""

    conversation_id: str
    user_id: str
    messages: Sequence[NewMessage] = ()
    title: str | None = None
    created_at: datetime | None = None
    status: ConversationStatus = "active"
    retention: timedelta | None = None
    keep_last: int | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    """By message id."""
    reviews: Sequence[ReviewRecord] = ()
    state: Mapping[str, Any] | None = None


def load(record: ConversationRecord, into: ChatStore, *, in_bulk: bool = False) -> Conversation:
    """Write a record into a store, and return its conversation.

    With `in_bulk`, in as few transactions as possible: messages of several turns make one.

    Idempotent, also after a crash: messages and reviews whose ids exist are not written again.
    AlreadyExists if the conversation id is another user's, Conflict if a message id exists with
    other content, InvalidArgument if the conversation has expired.
    """
    talk = into.conversations.create(
        record.user_id,
        conversation_id=record.conversation_id,
        title=record.title,
        retention=record.retention,
        keep_last=record.keep_last,
        preferences=record.preferences,
        at=record.created_at,
    )
    identity, owner = talk.conversation_id, talk.user_id
    for turn in _turns(record.messages, in_bulk=in_bulk):
        _append(into.messages, talk, turn)
    for message_id, feedback in record.feedback.items():
        into.messages.give_feedback(identity, message_id, feedback, user_id=owner)
    for review in record.reviews:
        into.reviews.create(
            identity,
            review.reviewed_by,
            comments=review.comments,
            review_id=review.review_id,
            at=review.reviewed_at,
            user_id=owner,
        )
        if review.is_archived:
            into.reviews.archive(review.review_id, at=review.reviewed_at)
    if record.state is not None and into.states.get(identity, user_id=owner) is None:
        into.states.save(identity, dict(record.state), user_id=owner)
    if record.status != "active":
        into.conversations.set_status(identity, record.status, user_id=owner)
    return into.conversations.get(identity, user_id=owner, consistent=True)


def _append(messages: Messages, talk: Conversation, turn: Sequence[NewMessage]) -> None:
    try:
        messages.append_turn(talk.conversation_id, turn, user_id=talk.user_id)
    except MessageDeleted:
        if len(turn) > 1:
            for message in turn:
                _append(messages, talk, [message])
    except Conflict:
        # The turn may have grown since it was first loaded: then some of its ids exist.
        if len(turn) == 1:
            raise
        for message in turn:
            _append(messages, talk, [message])


def _turns(messages: Sequence[NewMessage], *, in_bulk: bool) -> Iterator[list[NewMessage]]:
    """Messages split where a transaction would be too large, and before every user message.

    Not before user messages if `in_bulk`: each transaction also rewrites the conversation and its
    places in the indexes, which costs more than a short message.
    """
    most = MAX_TURN if in_bulk else _PER_TURN
    turn: list[NewMessage] = []
    size = 0
    for message in messages:
        adds = len(message.model_dump_json().encode())
        begins = message.role == "user" and not in_bulk
        if turn and (begins or len(turn) == most or size + adds > _TURN_BYTES):
            yield turn
            turn, size = [], 0
        turn.append(message)
        size += adds
    if turn:
        yield turn


def numbered_id(conversation_id: str, place: int) -> str:
    """The id for a message without one: the same at every load."""
    plain = f"{conversation_id}:{place}"
    return plain if len(plain) <= MAX_MESSAGE_ID else f"{digest_of(conversation_id)}:{place}"
