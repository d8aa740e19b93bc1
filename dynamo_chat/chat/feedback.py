"""Feedback on messages: give, change, withdraw (C11), and list across conversations (C12).

Feedback is part of its message. A message with feedback is in GSI1 under type and rank, and with
a category also in GSI2 under type and category. Both are sharded, so that a product whose users
all press "thumbs up" does not write to one partition.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation, check_ids, head_key, live_head
from dynamo_chat.chat.message import Feedback, FeedbackType, Message, indexed_feedback
from dynamo_chat.chat.message_ids import MessageFinder
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.errors import InvalidArgument, ItemTooLarge, NotFound
from dynamo_chat.core.item import check_size, encoded, plan
from dynamo_chat.core.layout import GSI1, GSI2, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Update, live, remove_index_keys

RANKS = range(6)
"""1 to 5, and 0 for feedback without a rank."""


class FeedbackWriter(Repository):
    """Gives and withdraws feedback."""

    def __init__(self, binding: Binding, finder: MessageFinder) -> None:
        super().__init__(binding)
        self._finder = finder

    def give(
        self, conversation_id: str, message_id: str, feedback: Feedback, user_id: str | None
    ) -> Feedback:
        """Set or replace the feedback on a message, and return it as stored. NotFound."""
        if not isinstance(feedback, Feedback):
            raise InvalidArgument("feedback", f"must be Feedback, not {type(feedback).__name__}")
        now = self._now()
        if feedback.given_at is None:
            feedback = feedback.model_copy(update={"given_at": now})
        not_ahead("feedback.given_at", feedback.given_at or now, now)
        check_ids(conversation_id, user_id)
        position = self._finder.position(conversation_id, message_id, user_id)
        stored = encoded(plan(Message).attributes["feedback"], feedback)
        keys = feedback_keys(feedback, conversation_id, position)
        values = {"feedback": stored, **{name: {"S": key} for name, key in keys.items()}}
        check_size(values)
        actions: list[Action] = [Path(name).set(Raw(value)) for name, value in values.items()]
        if feedback.category is None:
            actions += remove_index_keys(GSI2)
        try:
            self._change(conversation_id, message_id, position, actions, user_id)
        except ItemTooLarge as error:
            key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=position)
            raise self._finder.too_large(key, values) from error
        return feedback

    def withdraw(self, conversation_id: str, message_id: str, user_id: str | None) -> None:
        """Remove the feedback from a message; no error if it has none. NotFound."""
        check_ids(conversation_id, user_id)
        position = self._finder.position(conversation_id, message_id, user_id)
        attributes = plan(Message).model
        actions = [attributes.feedback.remove(), *remove_index_keys(GSI1, GSI2)]
        self._change(conversation_id, message_id, position, actions, user_id)

    def _change(
        self,
        conversation_id: str,
        message_id: str,
        position: str,
        actions: list[Action],
        user_id: str | None,
    ) -> None:
        """Change an existing message in a live conversation of this user. NotFound."""
        check_ids(conversation_id, user_id)
        key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=position)
        owned = live_head(self._now())
        if user_id is not None:
            owned &= plan(Conversation).model.user_id == user_id
        try:
            self._write(
                Check(head_key(conversation_id), owned), Update(key, actions, live(self._now()))
            )
        except ConditionFailed as failed:
            if 0 in failed.items:
                raise NotFound("conversation", conversation_id) from failed
            raise NotFound("message", message_id) from failed


def feedback_keys(feedback: Feedback, conversation_id: str, position: str) -> dict[str, str]:
    """The index keys of a message with this feedback."""
    keys: dict[str, str] = {}
    for place, fields in indexed_feedback(feedback, conversation_id, position).items():
        keys |= keyspace.MESSAGE.index_key(place, fields)
    return keys


def feedback_lists(
    feedback_type: str,
    rank: int | None,
    category: str | None,
    lower: datetime | None,
    upper: datetime | None,
) -> list[Collection]:
    """The collections of messages with this feedback, given in [lower, upper)."""
    if feedback_type not in get_args(FeedbackType):
        raise InvalidArgument("feedback_type", "must be 'positive' or 'negative'")
    if rank is not None and category is not None:
        raise InvalidArgument("category", "cannot be combined with a rank")
    if category is not None:
        if not isinstance(category, str) or not category:
            raise InvalidArgument("category", "must be text, not empty")
        return [
            keyspace.MESSAGE.collection(GSI2, feedback_type, category, shard)(
                lower=lower, until=upper
            )
            for shard in keyspace.FEEDBACK_CATEGORY_SHARDS.shards()
        ]
    if rank is not None and (type(rank) is not int or not 1 <= rank <= 5):
        raise InvalidArgument("rank", "must be an integer from 1 to 5")
    return [
        keyspace.MESSAGE.collection(GSI1, feedback_type, each, shard)(lower=lower, until=upper)
        for each in (RANKS if rank is None else [rank])
        for shard in keyspace.FEEDBACK_RANK_SHARDS.shards()
    ]
