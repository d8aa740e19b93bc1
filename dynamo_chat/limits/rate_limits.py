"""Rate limits of accounts: AI and AWS calls in fixed windows (R1–R3).

An account has one item per resource, which holds the current window, so one update decides and
counts. There are three writes; their conditions exclude one another, also with concurrent callers:

    count     the window runs, has room, and the account is not blocked     1 request
    turn      there is no window, or it has ended, and no block             2 requests
    throttle  the call is refused and counted as throttled                  2 requests

The first caller whose clock is past a window's end opens the next one. A caller whose clock is
behind counts in the window that it finds, so an old window never returns. `reset` ends a window
that was opened by mistake: it replaces it with the previous window, which is over.

Every allowed call is counted. A call may be counted twice if the answer to its update was lost and
the request was sent again. Preventing that would take a transaction for every call, at twice the
price, and concurrent callers of one account would cancel each other's transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Literal, NamedTuple

from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.core.clock import not_ahead, seconds_until, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import MAX_ID_CHARACTERS, Count, Counters, Entity, Id, Time, validated
from dynamo_chat.core.errors import InvalidArgument, LimitExceeded
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, VERSION, Layout
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Key, Put, Update, absent, contended

Resource = Literal["ai", "aws"]

DEFAULT_LIMITS: Final[Mapping[Resource, int]] = {"ai": 100, "aws": 1_000}
"""Calls per window if no limit is given."""
DEFAULT_WINDOW: Final = timedelta(hours=1)
MAX_LIMIT: Final = 10**12
MAX_WINDOW: Final = timedelta(days=366)

MAX_NAMES: Final = 50
"""A window counts at most this many functions or services by name, to keep its item small."""
MAX_NAME_CHARACTERS: Final = 100
MAX_LOADED: Final = 10**15
"""The highest count that `load` accepts: adding further calls to it cannot overflow."""
MAX_LOADED_NAMES: Final = 1_000
OTHERS: Final = "(others)"
"""The name under which calls of further functions are counted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class RateLimit(Entity):
    """The calls of an account to one resource in the current window."""

    layout: ClassVar[Layout] = keyspace.RATE_LIMIT

    account_id: Id
    resource: Resource
    limit: Count
    """Calls allowed per window, as given by the latest call."""
    window_start: Time
    window_end: Time
    """When the window ends: the first moment after it."""
    request_count: Count
    """Calls allowed in this window."""
    throttled_requests: Count
    """Calls refused in this window by the limit or a block, and throttles by the provider."""
    breakdown: Counters
    """Allowed calls by function (AI) or service (AWS)."""
    last_request: Time | None = None
    """When a call was last allowed, in any window."""
    blocked_until: Time | None = None

    @property
    def reset_time(self) -> datetime:
        """When the next window starts: the end of this one."""
        return self.window_end

    @property
    def remaining(self) -> int:
        """Calls that the window still allows, without regard to a block."""
        return max(0, self.limit - self.request_count)


class RateLimitExceeded(LimitExceeded):
    """A rate limit is used up, or its account is blocked. ``current`` is its window."""

    current: RateLimit


class RateLimits(Repository):
    """Count calls against limits; read, block and unblock."""

    @access_pattern(
        "R1",
        "UpdateItem",
        "1; 2 when refused, for a new window, or for a function beyond the 50th",
        budget=2,
        owner="argument",
    )
    def count(
        self,
        account_id: str,
        resource: Resource,
        function: str,
        *,
        limit: int | None = None,
        window: timedelta | None = None,
    ) -> RateLimit:
        """Count one call of a function (AI) or service (AWS) and return the current window.

        RateLimitExceeded, with the window as ``current``, if the window has `limit` calls
        already or the account is blocked; the refusal is counted as throttled, and ``retry_after``
        is the time until a call is allowed. The defaults are 100 AI calls or 1,000 AWS calls an
        hour. Windows are aligned to the clock (UTC); a new length takes effect when the current
        window is over.
        """
        _check_text("function", function, MAX_NAME_CHARACTERS)
        terms = _terms(account_id, resource, limit, window)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:  # one failure is usual when a new window opens
                self._connection.pause(attempt)
            now = self._now()
            try:
                return self._updated(
                    terms.key, _count(function, terms, now), _may_count(function, terms, now)
                )
            except ConditionFailed as failed:
                there = _decoded(failed.items.get(0))
            try:
                return self._not_in_this_window(function, terms, now, there)
            except ConditionFailed:
                continue  # the window has changed: read it again
        raise contended("the rate limit")

    @access_pattern("R2", "GetItem", "1", owner="argument")
    def get(
        self,
        account_id: str,
        resource: Resource,
        *,
        limit: int | None = None,
        window: timedelta | None = None,
        consistent: bool = False,
    ) -> RateLimit:
        """The current window of an account; an empty one if nothing was counted in it yet.

        `limit` and `window` apply if no call has opened the current window yet; the defaults are
        those of the last window.
        """
        terms = _terms(account_id, resource, limit, window)
        item = self._get_item(terms.key, consistent=consistent)
        now = self._now()
        there = _decoded(item)
        if there is None:
            return _empty(terms, now)
        last = _terms_of(there)
        if limit is None:
            terms = terms._replace(limit=last.limit)
        if window is None:
            terms = terms._replace(window=last.window)
        return _current(there, terms, now)

    @access_pattern("R3", "UpdateItem", "1", owner="argument")
    def block(self, account_id: str, resource: Resource, until: datetime) -> RateLimit:
        """Block all calls of an account until a time and return the current window.

        Calling this again replaces the time. InvalidArgument if the time is not in the future.
        This opens no window: the next counted call does, with its own limit and length.
        """
        now = self._now()
        moment = utc("until", until)
        if moment <= now:
            raise InvalidArgument("until", "must be in the future")
        terms = _terms(account_id, resource, None, None)
        limits = plan(RateLimit).model
        # An account without a window gets the previous one, which is over.
        empty = _empty(terms, now - terms.window)
        blocked = self._updated(
            terms.key,
            [
                *_marks(),
                *(
                    getattr(limits, name).set(getattr(limits, name) | getattr(empty, name))
                    for name in (
                        "limit",
                        "window_start",
                        "window_end",
                        "request_count",
                        "throttled_requests",
                        "breakdown",
                    )
                ),
                limits.blocked_until.set(moment),
            ],
        )
        return _current(blocked, _terms_of(blocked), now)

    @access_pattern("R3", "UpdateItem", "1", owner="argument")
    def unblock(self, account_id: str, resource: Resource) -> RateLimit:
        """Remove a block and return the current window. Without a block, nothing changes."""
        now = self._now()
        limits = plan(RateLimit).model
        terms = _terms(account_id, resource, None, None)
        try:
            free = self._updated(
                terms.key,
                [limits.blocked_until.remove()],
                limits.window_end.exists(),
            )
        except ConditionFailed:
            return _empty(terms, now)
        return _current(free, _terms_of(free), now)

    @access_pattern("R3", "UpdateItem", "1", owner="argument")
    def reset(self, account_id: str, resource: Resource) -> RateLimit:
        """End the current window, drop its counts, and return an empty window.

        For a window that was opened by mistake, for example with a length of months: the next call
        opens one of its own length. A block stays; `unblock` removes it. If no window runs,
        nothing changes.
        """
        now = self._now()
        limits = plan(RateLimit).model
        terms = _terms(account_id, resource, None, None)
        # The previous window, which is over.
        over = _empty(terms, now - terms.window)
        actions = [
            getattr(limits, name).set(getattr(over, name))
            for name in (
                "window_start",
                "window_end",
                "request_count",
                "throttled_requests",
                "breakdown",
            )
        ]
        try:
            ended = self._updated(terms.key, actions, limits.window_end > now)
        except ConditionFailed as failed:
            there = _decoded(failed.items.get(0))
            if there is None:
                return _empty(terms, now)
            return _current(there, _terms_of(there), now)
        return _current(ended, _terms_of(ended), now)

    @access_pattern(
        "R3",
        "UpdateItem",
        "1; 2 for a new window, or if a longer block exists",
        budget=1,
        owner="argument",
    )
    def record_throttle(
        self,
        account_id: str,
        resource: Resource,
        *,
        blocked_until: datetime | None = None,
        limit: int | None = None,
        window: timedelta | None = None,
    ) -> RateLimit:
        """Count a throttle reported by the provider and return the current window.

        `blocked_until`, such as a provider's Retry-After, also blocks the account. A longer block
        stays, and a time in the past is ignored. `limit` and `window` apply if this opens a new
        window.
        """
        terms = _terms(account_id, resource, limit, window)
        until = None if blocked_until is None else utc("blocked_until", blocked_until)
        limits = plan(RateLimit).model
        there: RateLimit | None = None
        is_over = False  # the usual case; if it is wrong, the failed condition returns the window
        for _ in range(self._connection.options.transaction_attempts):
            now = self._now()
            actions, condition = _blocking(until, there, now)
            if is_over:
                actions += _opening(_empty(terms, now), throttled=1)
                condition = _both(_is_over(now), condition)
            else:
                actions.append(limits.throttled_requests.add(1))
                condition = _both(limits.window_end > now, condition)
            try:
                return self._updated(terms.key, actions, condition)
            except ConditionFailed as failed:
                there = _decoded(failed.items.get(0))
                is_over = there is None or there.window_end <= now
        raise contended("the rate limit")

    @access_pattern("R1", "PutItem", "1", owner="argument")
    def load(self, counted: RateLimit) -> RateLimit:
        """Store a window that was counted elsewhere, unchanged, and return it.

        It may hold more calls than its limit, or a breakdown whose sum is different. If the account
        has a window or a block here already, that stays and is returned. InvalidArgument for counts
        above 10**15, more than 1,000 names, or a start more than five minutes ahead.
        """
        if not isinstance(counted, RateLimit):
            raise InvalidArgument("counted", f"must be a RateLimit, not {type(counted).__name__}")
        if not _SECOND <= counted.window_end - counted.window_start <= MAX_WINDOW:
            raise InvalidArgument("counted.window_end", "must be 1 second to 366 days after start")
        now = self._now()
        not_ahead("counted.window_start", counted.window_start, now)
        not_ahead("counted.last_request", counted.last_request or now, now)
        for name in ("limit", "request_count", "throttled_requests"):
            _check_loaded(name, getattr(counted, name))
        if len(counted.breakdown) > MAX_LOADED_NAMES:
            raise InvalidArgument(
                "counted.breakdown", f"must have at most {MAX_LOADED_NAMES:,} names"
            )
        for name, calls in counted.breakdown.items():
            _check_text("counted.breakdown", name, MAX_NAME_CHARACTERS)
            _check_loaded(f"breakdown.{name}", calls)
        try:
            self._write(Put(plan(RateLimit).encode(counted), absent(now)))
        except ConditionFailed as failed:
            return _decoded(failed.items.get(0)) or counted
        return counted

    def _not_in_this_window(
        self, name: str, terms: _Terms, now: datetime, there: RateLimit | None
    ) -> RateLimit:
        """Count or refuse a call that the window, `there`, could not count.

        RateLimitExceeded if it is refused. ConditionFailed if the window has changed since.
        """
        limits = plan(RateLimit).model
        blocked = there is not None and (there.blocked_until or now) > now
        is_blocked: Condition = limits.blocked_until > now
        if there is None or there.window_end <= now:
            opened = _empty(terms, now)
            if blocked or not terms.limit:
                condition = _is_over(now) & (is_blocked if blocked else _is_free(now))
                refusing = self._updated(terms.key, _opening(opened, throttled=1), condition)
                raise _refused(refusing, now)
            actions = [*_opening(opened, calls={name: 1}), limits.last_request.set(now)]
            return self._updated(terms.key, actions, _is_over(now) & _is_free(now))
        if blocked or there.request_count >= terms.limit:
            actions = [limits.throttled_requests.add(1), limits.limit.set(terms.limit)]
            is_same: Condition = limits.window_end == there.window_end
            raise _refused(self._updated(terms.key, actions, is_same), now)
        # The window has room for the call, but not for another name.
        return self._updated(terms.key, _count(OTHERS, terms, now), _may_count(OTHERS, terms, now))

    def _updated(
        self, key: Key, actions: list[Action], condition: Condition | None = None
    ) -> RateLimit:
        return plan(RateLimit).decode(self._write(Update(key, actions, condition), returning=True))


class _Terms(NamedTuple):
    """The account and resource, and how many calls are allowed in how long."""

    account_id: str
    resource: Resource
    limit: int
    window: timedelta

    @property
    def key(self) -> Key:
        """The table key of the rate limit."""
        return keyspace.RATE_LIMIT.key(account_id=self.account_id, resource=self.resource)


def window_at(moment: datetime, length: timedelta) -> tuple[datetime, datetime]:
    """Start and end of the window of this length that contains `moment`; the end is exclusive.

    Windows are counted from 1970 in UTC, so that windows of an hour start on the hour.
    """
    start = _EPOCH + (moment - _EPOCH) // length * length
    return start, start + length


def _count(name: str, terms: _Terms, now: datetime) -> list[Action]:
    limits = plan(RateLimit).model
    calls = limits.breakdown.counter(name)
    return [
        limits.request_count.add(1),
        calls.set((calls | 0) + 1),
        limits.last_request.set(now),
        limits.limit.set(terms.limit),
    ]


def _may_count(name: str, terms: _Terms, now: datetime) -> Condition:
    limits = plan(RateLimit).model
    condition: Condition = (
        (limits.window_end > now) & (limits.request_count < terms.limit) & _is_free(now)
    )
    if name != OTHERS:
        names = size(limits.breakdown)  # type: ignore[no-untyped-call]
        condition &= limits.breakdown.counter(name).exists() | (names < MAX_NAMES)
    return condition


def _opening(
    opened: RateLimit, *, throttled: int = 0, calls: dict[str, int] | None = None
) -> list[Action]:
    """Update actions that replace any existing window with a new one. A block stays."""
    limits = plan(RateLimit).model
    breakdown = calls or {}
    return [
        *_marks(),
        limits.limit.set(opened.limit),
        limits.window_start.set(opened.window_start),
        limits.window_end.set(opened.window_end),
        limits.request_count.set(sum(breakdown.values())),
        limits.throttled_requests.set(throttled),
        limits.breakdown.set(breakdown),
    ]


def _marks() -> list[Action]:
    return [
        Path(KIND).set(keyspace.RATE_LIMIT.kind),
        # An existing item keeps its version: not all of its attributes are replaced.
        Path(VERSION).set(Path(VERSION) | RateLimit.schema_version),
    ]


def _is_over(now: datetime) -> Condition:
    """Condition: there is no window, or it has ended."""
    limits = plan(RateLimit).model
    condition: Condition = limits.window_end.does_not_exist() | (limits.window_end <= now)
    return condition


def _is_free(now: datetime) -> Condition:
    """Condition: the account is not blocked."""
    limits = plan(RateLimit).model
    condition: Condition = limits.blocked_until.does_not_exist() | (limits.blocked_until <= now)
    return condition


def _blocking(
    until: datetime | None, there: RateLimit | None, now: datetime
) -> tuple[list[Action], Condition | None]:
    """Update actions that block until a time, and their condition: no block gets shorter."""
    blocked_until = plan(RateLimit).model.blocked_until
    if until is None or until <= now:
        return [], None
    if there is not None and there.blocked_until is not None and there.blocked_until > until:
        return [], blocked_until > until
    return [blocked_until.set(until)], blocked_until.does_not_exist() | (blocked_until <= until)


def _both(one: Condition, other: Condition | None) -> Condition:
    return one if other is None else one & other


def _refused(window: RateLimit, now: datetime) -> RateLimitExceeded:
    if window.blocked_until is not None and window.blocked_until > now:
        why = f"calls are blocked until {window.blocked_until.isoformat()}"
    else:
        why = (
            f"the window's {window.limit:,} calls are used up until {window.reset_time.isoformat()}"
        )
    free = max(
        window.reset_time if window.request_count >= window.limit else now,
        window.blocked_until or now,
    )
    return RateLimitExceeded(f"{window.resource}: {why}", window, seconds_until(free, now))


def _current(there: RateLimit, terms: _Terms, now: datetime) -> RateLimit:
    """The window at `now`: `there`, or an empty one if `there` is over."""
    blocked_until = there.blocked_until
    if blocked_until is not None and blocked_until <= now:
        blocked_until = None
    if there.window_end > now:
        return there.model_copy(update={"blocked_until": blocked_until})
    return _empty(terms, now).model_copy(
        update={"blocked_until": blocked_until, "last_request": there.last_request}
    )


def _empty(terms: _Terms, now: datetime) -> RateLimit:
    start, end = window_at(now, terms.window)
    return validated(
        RateLimit,
        account_id=terms.account_id,
        resource=terms.resource,
        limit=terms.limit,
        window_start=start,
        window_end=end,
        request_count=0,
        throttled_requests=0,
        breakdown={},
    )


def _terms_of(there: RateLimit) -> _Terms:
    length = there.window_end - there.window_start
    return _Terms(there.account_id, there.resource, there.limit, length)


def _terms(
    account_id: str, resource: Resource, limit: int | None, window: timedelta | None
) -> _Terms:
    if not isinstance(resource, str) or resource not in DEFAULT_LIMITS:
        raise InvalidArgument("resource", "must be 'ai' or 'aws'")
    limit = DEFAULT_LIMITS[resource] if limit is None else limit
    window = DEFAULT_WINDOW if window is None else window
    if type(limit) is not int or not 0 <= limit <= MAX_LIMIT:
        raise InvalidArgument("limit", f"must be an integer from 0 to {MAX_LIMIT:,}")
    if not isinstance(window, timedelta) or not _SECOND <= window <= MAX_WINDOW:
        raise InvalidArgument("window", "must be a timedelta from 1 second to 366 days")
    _check_text("account_id", account_id, MAX_ID_CHARACTERS)
    return _Terms(account_id, resource, limit, window)


def _check_text(argument: str, value: str, longest: int) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise InvalidArgument(argument, f"must be text of 1 to {longest} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(argument, "must not contain lone surrogates") from error


def _check_loaded(field: str, number: int) -> None:
    if number > MAX_LOADED:
        raise InvalidArgument(f"counted.{field}", f"must be at most {MAX_LOADED:,}")


def _decoded(item: AttributeValues | None) -> RateLimit | None:
    return None if item is None else plan(RateLimit).decode(item)
