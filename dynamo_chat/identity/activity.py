"""What a user did, in time order (U4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from dynamo_chat import keyspace
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import Entity, ExpiresAt, Id, JsonObject, Text, Time, validated
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import TABLE, Layout
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Check, Put, absent
from dynamo_chat.identity.user import user_exists, user_key


class Activity(Entity):
    """One thing that a user did."""

    layout: ClassVar[Layout] = keyspace.ACTIVITY

    user_id: Id
    created_at: Time
    """When it was done."""
    activity_id: Id
    action: Annotated[Text, StringConstraints(min_length=1, max_length=200)]
    """What was done, in the application's words: ``logged_in``, ``changed_email``."""
    details: JsonObject = Field(default_factory=dict)
    expires_at: ExpiresAt = None


class ActivityExists(AlreadyExists):
    """Another activity of the user has this time and id."""

    current: Activity


class Activities(Repository):
    """Record and list what users do."""

    @access_pattern("U4", "TransactWriteItems", "1", owner="argument", renamed={"created_at": "at"})
    def record(
        self,
        user_id: str,
        action: str,
        *,
        details: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        activity_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> Activity:
        """Record something that a user did and return it. The default time is now.

        A time may be at most 5 minutes ahead of the clock: until then it would stay the latest.
        If time and id are both given, a retry returns the existing activity; AlreadyExists if that
        one is different. NotFound if the user does not exist or is being deleted: the activity
        would remain after the user.
        """
        if activity_id is not None and at is None:
            raise InvalidArgument("at", "is required with activity_id: together they identify it")
        if details is not None and not isinstance(details, Mapping):
            raise InvalidArgument("details", f"must be a mapping, not {type(details).__name__}")
        now = self._now()
        activity = validated(
            Activity,
            user_id=user_id,
            created_at=now if at is None else _moment(at, now),
            activity_id=self._new_id() if activity_id is None else activity_id,
            action=action,
            details=dict(details or {}),
            expires_at=expires_at,
        )
        try:
            self._write(
                Put(plan(Activity).encode(activity), absent(now)),
                Check(user_key(user_id), user_exists()),
            )
        except ConditionFailed as failed:
            if 1 in failed.items:
                raise NotFound("user", user_id) from failed
            there = plan(Activity).decode(failed.items[0] or {})
            if (there.action, there.details) != (activity.action, activity.details):
                raise ActivityExists("another activity has this time and id", there) from failed
            return there
        return activity

    @access_pattern("U4", "Query", "1", owner="partition")
    def list_by_user(
        self,
        user_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        consistent: bool = False,
    ) -> Page[Activity]:
        """A user's activity by time, newest first; with `since` and `until`, of [since, until)."""
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((user_id, lower, upper), newest_first, page_size, cursor, consistent),
            [keyspace.ACTIVITY.collection(TABLE, user_id)(lower=lower, until=upper)],
            plan(Activity).decode,
        )

    iterate_by_user = iterating(list_by_user)


def _moment(at: datetime, now: datetime) -> datetime:
    return not_ahead("at", utc("at", at), now)
