"""A prompt and its response as one entity: how some products see a conversation.

An exchange is stored as a turn of two messages; reading joins them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import in_life
from dynamo_chat.chat.message import MAX_MESSAGE_ID, Feedback, Message, NewMessage
from dynamo_chat.chat.snapshot import Heads
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.entity import JsonObject, Many, Model, Number, Text, Time
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import TABLE
from dynamo_chat.core.page import MAX_PAGE_SIZE, Page, check_page_size
from dynamo_chat.core.repository import MIN_FOLLOW_UP, PageRequest, Repository

_PROMPT = ":prompt"
MAX_EXCHANGE_ID = MAX_MESSAGE_ID - len(_PROMPT)
"""Characters of an exchange's id; fewer than a message's, as the prompt's id is longer."""


class Exchange(Model):
    """A user's prompt and the bot's response."""

    user_prompt: Text
    bot_response: Text | None = None
    documents: Many[JsonObject] = ()
    """Documents that the response refers to, in order of relevance."""
    sent_at: Time | None = None
    """When the prompt was sent; now if not given."""
    response_time: Annotated[Number, Field(ge=0)] | None = None
    """Seconds that the response took to generate."""
    errors: Text | None = None
    message_id: str | None = None
    """The id of the exchange, which is that of the response: give feedback on it."""
    conversation_id: str | None = None
    feedback: Feedback | None = None


def new_exchange(exchange: Exchange, conversation_id: str) -> Exchange:
    """`exchange`, if it can be appended to this conversation; else InvalidArgument."""
    if not isinstance(exchange, Exchange):
        raise InvalidArgument("exchange", f"must be an Exchange, not {type(exchange).__name__}")
    if exchange.feedback is not None:
        raise InvalidArgument("exchange.feedback", "must be None: append first, then give_feedback")
    if exchange.conversation_id is not None and exchange.conversation_id != conversation_id:
        raise InvalidArgument("exchange.conversation_id", "is another conversation's")
    if len(exchange.message_id or "") > MAX_EXCHANGE_ID:
        raise InvalidArgument(
            "exchange.message_id",
            f"must have at most {MAX_EXCHANGE_ID} characters",
        )
    return exchange


def exchange_turn(exchange: Exchange, now: datetime | None = None) -> list[NewMessage]:
    """The two messages that an exchange is stored as.

    With `now`, a response whose `sent_at` is later (`response_time` has not passed yet) keeps that
    `sent_at`, but its position is at `now`.
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
    """A user message and all messages before the next one: they make one exchange.

    Holds at most three messages, however many are added.
    """

    def __init__(self, first: Message) -> None:
        self._first = first
        self._prompt: Message | None = None
        self._response: Message | None = None
        self.last_position = first.position
        self.add(first)

    @property
    def is_spoken(self) -> bool:
        """True if it has a user's or an assistant's message."""
        return self._prompt is not None or self._response is not None

    def add(self, message: Message) -> None:
        """Add the next message in time order."""
        self.last_position = message.position
        if message.role == "user" and self._prompt is None:
            self._prompt = message
        elif message.role == "assistant":
            self._response = message

    def exchange(self) -> Exchange:
        """The prompt with its latest response."""
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
    """Splits messages in time order before every user message.

    A system prompt before the first user message belongs to its group; an assistant's greeting is
    a response without a prompt. System and tool messages alone make no exchange.
    """

    def __init__(self) -> None:
        self._groups: list[Group] = []

    @property
    def groups(self) -> list[Group]:
        """The groups so far; the last one may not be complete."""
        return [group for group in self._groups if group.is_spoken]  # all are, but maybe the last

    def add(self, messages: Iterable[Message]) -> None:
        """Add the next messages in time order."""
        for message in messages:
            last = self._groups[-1] if self._groups else None
            if last is None or (message.role == "user" and last.is_spoken):
                self._groups.append(Group(message))
            else:
                last.add(message)


def exchanges_of(messages: Iterable[Message]) -> list[Exchange]:
    """The exchanges of a conversation, from all its messages in time order."""
    grouping = Grouping()
    grouping.add(messages)
    return [group.exchange() for group in grouping.groups]


class ExchangeReader(Repository):
    """Reads pages of exchanges."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def page(
        self,
        conversation_id: str,
        user_id: str | None,
        page_size: int,
        cursor: str | None,
        consistent: bool,
    ) -> Page[Exchange]:
        """A page of a conversation's exchanges, oldest first. NotFound."""
        check_page_size(page_size, 200)
        collection = keyspace.MESSAGE.collection(TABLE, conversation_id)()
        asked = PageRequest(
            (conversation_id, user_id),
            False,
            2 * page_size + 1,
            cursor,
            consistent=consistent,
            one_way=True,
        )
        self._narrowed(asked, [collection])  # refuse a foreign cursor before any read
        is_kept = in_life(self._heads.read(conversation_id, user_id).life)
        grouping = Grouping()
        unreadable: list[CorruptItem] = []
        step, rest = MIN_FOLLOW_UP, asked
        while True:
            page = self._page(rest, [collection], plan(Message).decode, is_kept=is_kept)
            grouping.add(page.items)
            unreadable += page.unreadable
            if page.cursor is None or len(grouping.groups) > page_size:
                break
            # An exchange may have very many messages: small steps would cost a request each.
            rest = replace(asked, cursor=page.cursor, page_size=step)
            step = min(2 * step, MAX_PAGE_SIZE)
        groups = grouping.groups
        taken = groups[:page_size]
        next_cursor = None
        if len(groups) > page_size:
            end = taken[-1].last_position
            last = keyspace.MESSAGE.table.sk.encode(end)
            next_cursor = self._cursor_after(asked, [collection], last)
            # What comes after `end` is read again, and reported, with the next page.
            unreadable = [each for each in unreadable if each.identity.get("position", "") <= end]
        ends = [keyspace.MESSAGE.table.sk.encode(group.last_position) for group in taken]
        return Page(
            tuple(group.exchange() for group in taken),
            next_cursor,
            tuple(unreadable),
            self._cursors_of_page(asked, [collection], ends),
        )
