"""Expected-value scores of e-mail conversations (M11). They are never changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from dynamo_chat import keyspace
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import (
    Entity,
    Id,
    JsonObject,
    Many,
    Model,
    Number,
    Text,
    Time,
    validated,
)
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.core.item import helper_text, plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import TABLE, Layout
from dynamo_chat.core.owners import check_owner, is_owned
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Check, Put, absent, contended
from dynamo_chat.mail.thread import ThreadReader, exists_thread, is_thread, thread_key

MAX_FACTORS = 100
MAX_RECOMMENDATIONS = 100
_Name = Annotated[str, StringConstraints(max_length=256)]

_MICROSECOND = timedelta(microseconds=1)
_ACCOUNT = "account_id"


class EVScore(Entity):
    """The expected value of replying to a conversation, and what it is based on."""

    layout: ClassVar[Layout] = keyspace.EV_SCORE

    conversation_id: Id
    calculation_date: Time
    """Identifies the score: a conversation has at most one for each time."""
    ev_score: Number
    factors: dict[Text, Number] = Field(default_factory=dict)
    """The factors of the score by name, such as ``urgency``."""
    algorithm_version: Text | None = None
    confidence_score: Number | None = None
    recommendations: Many[Text] = ()
    metadata: JsonObject = Field(default_factory=dict)
    account_id: Id | None = None
    """The account that owned the thread; None for scores that an older version recorded."""


class ScoreExists(AlreadyExists):
    """Another score of the conversation has this time."""

    current: EVScore | None


class _Bounds(Model):
    """Limits for a new score. Stored scores of older versions may exceed them."""

    factors: Annotated[dict[_Name, Number], Field(max_length=MAX_FACTORS)]
    algorithm_version: _Name | None
    recommendations: Annotated[Many[Text], Field(max_length=MAX_RECOMMENDATIONS)]


class EVScores(Repository):
    """Record scores and read the latest one or all."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._threads = ThreadReader(binding)

    @access_pattern(
        "M11",
        "TransactWriteItems, or GetItem + TransactWriteItems",
        "1 with the account given; 2 without",
        budget=2,
        owner="condition",
        renamed={"calculation_date": "at"},
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
        at: datetime | None = None,
        account_id: str | None = None,
    ) -> EVScore:
        """Record a score of a conversation and return it.

        Its `calculation_date` is `at`, or now. A retry with the same one returns the existing
        score; AlreadyExists if that one is different. NotFound if the thread does not exist, or is
        not `account_id`'s.
        InvalidArgument for a date more than five minutes ahead: it would stay the latest.
        """
        given = validated(
            _Bounds,
            factors={} if factors is None else factors,
            algorithm_version=algorithm_version,
            recommendations=recommendations,
        )
        moment = now = self._now()
        if at is not None:
            moment = not_ahead("at", utc("at", at), now)
        check_owner("account_id", account_id)
        owner = account_id or _owner_of(self._threads.item(conversation_id, None, consistent=True))
        for _ in range(self._connection.options.transaction_attempts):
            score = validated(
                EVScore,
                conversation_id=conversation_id,
                calculation_date=moment,
                ev_score=ev_score,
                confidence_score=confidence_score,
                metadata={} if metadata is None else metadata,
                account_id=owner,
                **given.__dict__,
            )
            try:
                self._write(
                    Check(thread_key(conversation_id), exists_thread(owner)),
                    Put(plan(EVScore).encode(score), absent(self._now())),
                )
            except ConditionFailed as failed:
                if 0 in failed.items:
                    thread = failed.items[0]
                    if account_id is not None or not is_thread(thread):
                        raise NotFound("e-mail thread", conversation_id) from failed
                    owner = _owner_of(thread or {})  # the thread has a new owner
                    continue
                taken = failed.items.get(1)
                there = None if taken is None else plan(EVScore).decode(taken)
                if there is not None and _of(there, owner) == score:
                    return there
                if at is not None:
                    raise ScoreExists("another score has this time", there) from failed
                moment += _MICROSECOND  # another score has the same instant
            else:
                return score
        raise contended("the scores")

    @access_pattern(
        "M11", "Query, or GetItem + Query", "1; 2 with the account given", budget=2, owner="read"
    )
    def latest(
        self, conversation_id: str, *, account_id: str | None = None, consistent: bool = False
    ) -> EVScore | None:
        """The latest score of a conversation; None if it has none.

        With `account_id`, NotFound if the thread does not exist or is another account's.
        """
        if account_id is not None:
            self._threads.item(conversation_id, account_id, consistent=consistent)
        collection = keyspace.EV_SCORE.collection(TABLE, conversation_id)()
        asked = PageRequest((conversation_id,), True, 1, consistent=consistent)
        page = self._page(asked, [collection], plan(EVScore).decode, is_kept=_may_show(account_id))
        if page.unreadable:
            raise page.unreadable[0]
        return page.items[0] if page.items else None

    @access_pattern(
        "M11", "Query, or GetItem + Query", "1; 2 with the account given", budget=2, owner="read"
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
        """A conversation's scores by calculation date, newest first; empty if it has none.

        With `since` and `until`, those of [since, until). With `account_id`, NotFound if the
        thread does not exist or is another account's.
        """
        lower, upper = time_range(since, until)
        collection = keyspace.EV_SCORE.collection(TABLE, conversation_id)(lower=lower, until=upper)
        asked = PageRequest(
            (conversation_id, account_id, lower, upper), newest_first, page_size, cursor, consistent
        )
        if account_id is not None:
            self._narrowed(asked, [collection])  # refuses an invalid cursor before any request
            self._threads.item(conversation_id, account_id, consistent=consistent)
        return self._page(asked, [collection], plan(EVScore).decode, is_kept=_may_show(account_id))

    iterate_by_conversation = iterating(list_by_conversation)


def _owner_of(thread: AttributeValues) -> str:
    """The account that owns a thread. CorruptItem."""
    return helper_text(thread, _ACCOUNT, keyspace.EMAIL_THREAD)


def _may_show(account_id: str | None) -> Callable[[AttributeValues], bool]:
    """A filter that drops scores of other accounts; scores that name none are kept.

    The thread was read before and may be another account's by now.
    """
    return lambda item: _ACCOUNT not in item or is_owned(item, _ACCOUNT, account_id)


def _of(score: EVScore, account_id: str) -> EVScore:
    """The score with this account, if it names none."""
    if score.account_id is not None:
        return score
    return score.model_copy(update={_ACCOUNT: account_id})
