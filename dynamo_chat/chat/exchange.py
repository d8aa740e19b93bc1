"""A prompt and the response to it, as one: how some products think of a conversation.

Stored, an exchange is a turn of two messages; this is the view that joins them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from dynamo_chat.chat.message import MAX_MESSAGE_ID, Feedback, Message, NewMessage
from dynamo_chat.core.entity import JsonObject, Many, Model, Number, Text, Time
from dynamo_chat.core.errors import InvalidArgument

_PROMPT = ":prompt"
MAX_EXCHANGE_ID = MAX_MESSAGE_ID - len(_PROMPT)
"""Characters of an exchange's id when it is appended: the prompt's id is made of it."""


class Exchange(Model):
    """A user's prompt and the bot's response."""

    user_prompt: Text
    bot_response: Text | None = None
    documents: Many[JsonObject] = ()
    """Documents that the response refers to, in order of relevance."""
    sent_at: Time | None = None
    """When the prompt was sent; now if not given."""
    response_time: Annotated[Number, Field(ge=0)] | None = None
    """Seconds that the response took."""
    errors: Text | None = None
    message_id: str | None = None
    """The id of the exchange: it names the response, which feedback is given on."""
    conversation_id: str | None = None
    feedback: Feedback | None = None


def new_exchange(exchange: Exchange, conversation_id: str) -> Exchange:
    """`exchange`, if it is one that can be appended to this conversation."""
    if not isinstance(exchange, Exchange):
        raise InvalidArgument("exchange", f"must be an Exchange, not {type(exchange).__name__}")
    if exchange.feedback is not None:
        raise InvalidArgument("exchange.feedback", "is given with give_feedback, once it is there")
    if exchange.conversation_id is not None and exchange.conversation_id != conversation_id:
        raise InvalidArgument("exchange.conversation_id", "names another conversation")
    if len(exchange.message_id or "") > MAX_EXCHANGE_ID:
        raise InvalidArgument(
            "exchange.message_id",
            f"must have at most {MAX_EXCHANGE_ID} characters: the prompt's id is longer",
        )
    return exchange


def exchange_turn(exchange: Exchange, now: datetime | None = None) -> list[NewMessage]:
    """The two messages that an exchange is stored as.

    With `now`, a response that is dated ahead of it (a slow one, told before its time was over)
    keeps its date, and takes its place at once.
    """
    sent, answered = exchange.sent_at, exchange.sent_at
    if sent is not None and exchange.response_time is not None:
        answered = _after(sent, exchange.response_time)
    identity = exchange.message_id
    place = answered
    if now is not None and sent is not None and answered is not None:
        place = max(sent, min(answered, now))
    return [
        NewMessage(
            role="user",
            content=exchange.user_prompt,
            message_id=None if identity is None else f"{identity}{_PROMPT}",
            at=sent,
            sent_at=sent,
        ),
        NewMessage(
            role="assistant",
            content=exchange.bot_response or "",
            message_id=identity,
            at=place,
            sent_at=answered,
            response_time=exchange.response_time,
            errors=exchange.errors,
            documents=exchange.documents,
        ),
    ]


def _after(sent: datetime, seconds: float) -> datetime:
    try:
        return sent + timedelta(seconds=seconds)
    except OverflowError as error:
        raise InvalidArgument("response_time", "ends after the year 9999") from error


class Group:
    """A user message and what follows it, up to the next one: what an exchange is made of.

    It keeps three messages, however many it is of.
    """

    def __init__(self, first: Message) -> None:
        self._first = first
        self._prompt: Message | None = None
        self._response: Message | None = None
        self.last_position = first.position
        self.add(first)

    @property
    def is_spoken(self) -> bool:
        """Whether anybody said anything in it."""
        return self._prompt is not None or self._response is not None

    def add(self, message: Message) -> None:
        """Add the next message in time order."""
        self.last_position = message.position
        if message.role == "user" and self._prompt is None:
            self._prompt = message
        elif message.role == "assistant":
            self._response = message

    def exchange(self) -> Exchange:
        """The prompt with the latest response to it."""
        prompt, response = self._prompt, self._response
        named = response or prompt or self._first
        return Exchange(
            conversation_id=named.conversation_id,
            message_id=named.message_id,
            user_prompt=prompt.content if prompt is not None else "",
            bot_response=response.content if response is not None else None,
            documents=response.documents if response is not None else (),
            sent_at=(prompt or named).sent_at,
            response_time=response.response_time if response is not None else None,
            errors=response.errors if response is not None else None,
            feedback=response.feedback if response is not None else None,
        )


class Grouping:
    """Messages in time order, cut before every user message.

    What stands before the first one, such as a system prompt, belongs to it; an assistant's
    greeting is a response without a prompt. Where nobody said anything there is no exchange.
    """

    def __init__(self) -> None:
        self._groups: list[Group] = []

    @property
    def groups(self) -> list[Group]:
        """The groups so far; the last one may not be complete."""
        return [group for group in self._groups if group.is_spoken]  # only the last may not be

    def add(self, messages: Iterable[Message]) -> None:
        """Add the messages that come next."""
        for message in messages:
            last = self._groups[-1] if self._groups else None
            if last is None or (message.role == "user" and last.is_spoken):
                self._groups.append(Group(message))
            else:
                last.add(message)


def exchanges_of(messages: Iterable[Message]) -> list[Exchange]:
    """The exchanges that all messages of a conversation, in time order, make."""
    grouping = Grouping()
    grouping.add(messages)
    return [group.exchange() for group in grouping.groups]
