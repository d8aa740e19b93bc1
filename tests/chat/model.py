"""A chat domain in plain dicts and lists: what the store must agree with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dynamo_chat import Conversation, ConversationState, Feedback, Message, NewMessage, Review
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.ulids import ulid_time


@dataclass
class Talk:
    """A conversation, with everything in it."""

    conversation_id: str
    user_id: str
    title: str | None
    created_at: datetime
    retention: timedelta | None
    is_sliding: bool
    keep_last: int | None
    status: str = "active"
    preferences: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    brought: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Role and content by the id that the caller brought; of deleted messages, too."""
    appended_count: int = 0
    last_position: str | None = None
    state: ConversationState | None = None
    reviews: dict[str, Review] = field(default_factory=dict)

    @property
    def updated_at(self) -> datetime:
        """The latest activity."""
        if self.last_position is None:
            return self.created_at
        return max(self.created_at, ulid_time(self.last_position))

    @property
    def expires_at(self) -> datetime | None:
        """When it is gone."""
        if self.retention is None:
            return None
        if self.is_sliding:
            return self.updated_at + self.retention
        return whole_second(self.created_at + self.retention)

    def is_live(self, now: datetime) -> bool:
        """Whether anybody can see it."""
        return self.expires_at is None or now < self.expires_at

    def add(self, stored: tuple[Message, ...]) -> None:
        """Messages that were appended."""
        for message in stored:
            assert self.last_position is None or message.position > self.last_position
            self.last_position = message.position
            self.messages.append(message)
            if message.message_id != f"{self.conversation_id}~{message.position}":
                self.brought[message.message_id] = (message.role, message.content)
            self.appended_count += 1
        if self.title is None:
            self.title = next((m.content for m in stored if m.role == "user"), None)
        self.status = "active"
        if self.keep_last is not None:
            self.keep(self.keep_last)

    def keep(self, last: int) -> int:
        """Prune; how many went."""
        gone = max(0, len(self.messages) - last)
        del self.messages[:gone]
        return gone

    def knows(self, turn: list[NewMessage]) -> list[bool]:
        """Which ids of a turn were appended before."""
        return [new.message_id in self.brought for new in turn]

    def agrees(self, turn: list[NewMessage]) -> bool:
        """Whether known ids came with the same content."""
        return all(self.brought[str(new.message_id)] == (new.role, new.content) for new in turn)

    def has_lost(self, turn: list[NewMessage]) -> bool:
        """Whether messages of a turn are deleted, and not just pruned because it was too long."""
        there = {message.message_id for message in self.messages}
        kept = [new.message_id in there for new in turn]
        is_pruned = self.keep_last is not None and kept[-1] and kept == sorted(kept)
        return not all(kept) and not is_pruned

    def change(self, place: int, **changes: Any) -> Message:
        """Change a message."""
        self.messages[place] = self.messages[place].model_copy(update=changes)
        return self.messages[place]

    def is_listed_as(self, head: Conversation) -> bool:
        """Whether a conversation from a list says the same: there, preferences are not read."""
        if head.has_preferences != bool(self.preferences):
            return False
        unread: dict[str, Any] | None = None if self.preferences else {}
        return head.preferences == unread and self.is_told_by(
            head.model_copy(update={"preferences": self.preferences})
        )

    def is_told_by(self, head: Conversation) -> bool:
        """Whether a conversation that was read says the same."""
        return (
            head.conversation_id,
            head.user_id,
            head.title,
            head.status,
            head.created_at,
            head.updated_at,
            head.message_count,
            head.appended_count,
            head.last_position,
            head.preferences,
            head.expires_at,
        ) == (
            self.conversation_id,
            self.user_id,
            self.title,
            self.status,
            self.created_at,
            self.updated_at,
            len(self.messages),
            self.appended_count,
            self.last_position,
            self.preferences,
            self.expires_at,
        )


def timeless(messages: Any) -> list[Message]:
    """Messages without their deadline: with sliding retention it moves."""
    return [message.model_copy(update={"expires_at": None}) for message in messages]


def rated(talks: list[Talk], feedback_type: str) -> list[Message]:
    """Messages with this feedback, the latest given first."""
    found = [
        (given.given_at, talk.conversation_id, message.position, message)
        for talk in talks
        for message in talk.messages
        if (given := message.feedback) is not None and given.type == feedback_type
    ]
    return [message for *_, message in sorted(found, key=lambda each: each[:3], reverse=True)]


def given(kind: Any, at: datetime) -> Feedback:
    """Feedback as it is stored."""
    return Feedback(type=kind, given_at=at)
