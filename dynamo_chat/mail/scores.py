"""Expected-value scores of conversations by e-mail (M11): recorded, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from dynamo_chat import keyspace
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity, Id, JsonObject, Many, Number, Text, Time, validated
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import TABLE, Layout
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, time_range
from dynamo_chat.core.transaction import Check, Put, absent, contended
from dynamo_chat.mail.thread import ThreadReader, exists_thread, thread_key

_MICROSECOND = timedelta(microseconds=1)


class EVScore(Entity):
    """What answering a conversation was expected to be worth, and why."""

    layout: ClassVar[Layout] = keyspace.EV_SCORE

    conversation_id: Id
    calculation_date: Time
    """Names the score: a conversation has one at a time."""
    ev_score: Number
    factors: dict[Text, Number] = Field(default_factory=dict)
    """What went into it, by name, such as ``urgency``."""
    algorithm_version: Text | None = None
    confidence_score: Number | None = None
    recommendations: Many[Text] = ()
    metadata: JsonObject = Field(default_factory=dict)


class EVScores(ThreadReader):
    """Record scores, read the latest and the history."""

    @access_pattern(
        "M11", operation="TransactWriteItems", requests="1", replaces="EVDataCollection PK"
    )
    def record(
        self,
        conversation_id: str,
        ev_score: float,
        *,
        factors: dict[str, float] | None = None,
        algorithm_version: str | None = None,
        confidence_score: float | None = None,
        recommendations: Sequence[str] = (),
        metadata: dict[str, Any] | None = None,
        calculation_date: datetime | None = None,
        account_id: str | None = None,
    ) -> EVScore:
        """Record a score of a conversation and return it.

        With a calculation date that was used before: the same score again returns what is there,
        another one raises AlreadyExists. NotFound when there is no such thread (of `account_id`, if
        given); InvalidArgument for a date ahead of the clock, which would stay the latest.
        """
        moment = now = self._now()
        if calculation_date is not None:
            given = utc("calculation_date", calculation_date)
            moment = not_ahead("calculation_date", given, now)
        for _ in range(self._connection.options.transaction_attempts):
            score = validated(
                EVScore,
                conversation_id=conversation_id,
                calculation_date=moment,
                ev_score=ev_score,
                factors={} if factors is None else factors,
                algorithm_version=algorithm_version,
                confidence_score=confidence_score,
                recommendations=recommendations,
                metadata={} if metadata is None else metadata,
            )
            try:
                self._write(
                    Check(thread_key(conversation_id), exists_thread(account_id)),
                    Put(plan(EVScore).encode(score), absent(self._now())),
                )
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise NotFound("e-mail thread", conversation_id) from failed
                taken = failed.items.get(1)
                there = None if taken is None else _decode(taken)
                if there == score:
                    return there
                if calculation_date is not None:
                    raise AlreadyExists("there is another score of that time", there) from failed
                moment += _MICROSECOND  # somebody else's score of the same instant
            else:
                return score
        raise contended("the scores")

    @access_pattern(
        "M11",
        operation="Query, or GetItem + Query",
        requests="1; 2 with the account given",
        budget=2,
        replaces="EVDataCollection, conversation_id-index",
    )
    def latest(
        self, conversation_id: str, *, account_id: str | None = None, consistent: bool = False
    ) -> EVScore | None:
        """The latest score of a conversation; None when it has none.

        With `account_id` the thread is read first: NotFound when there is none of this account.
        """
        if account_id is not None:
            self._thread(conversation_id, account_id, consistent=consistent)
        collection = keyspace.EV_SCORE.collection(TABLE, conversation_id)()
        asked = PageRequest("M11", (conversation_id,), 1, forward=False, consistent=consistent)
        page = self._page(asked, [collection], _decode)
        if page.unreadable:
            raise page.unreadable[0]
        return page.items[0] if page.items else None

    @access_pattern(
        "M11",
        operation="Query, or GetItem + Query",
        requests="1; 2 with the account given",
        budget=2,
    )
    def list_by_conversation(
        self,
        conversation_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        account_id: str | None = None,
        consistent: bool = False,
    ) -> Page[EVScore]:
        """A conversation's scores by calculation date, newest first; empty when it has none.

        With `since` and `until`, those of [since, until). With `account_id` the thread is read
        first: NotFound when there is none of this account.
        """
        lower, upper = time_range(since, until)
        collection = keyspace.EV_SCORE.collection(TABLE, conversation_id)(lower=lower, until=upper)
        asked = PageRequest(
            "M11",
            (conversation_id, account_id, lower, upper, newest_first),
            page_size,
            cursor,
            not newest_first,
            consistent,
        )
        if account_id is not None:
            self._narrowed(asked, [collection])  # somebody else's cursor reads nothing
            self._thread(conversation_id, account_id, consistent=consistent)
        return self._page(asked, [collection], _decode)


def _decode(item: AttributeValues) -> EVScore:
    found: EVScore = plan(EVScore).decode(item)
    return found
