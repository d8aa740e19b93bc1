"""Rate limits of accounts: calls in fixed or sliding windows (R1–R4).

An account has one item per resource, which holds the current window, so one update decides and
counts. There are three writes; their conditions exclude one another, also with concurrent callers:

    count     the window runs, has room, and the account is not blocked     1 request
    turn      there is no window, or it has ended, and no block             2 requests
    throttle  the call is refused and counted as throttled                  2 requests

The first caller whose clock is past a window's end opens the next one. A caller whose clock is
behind counts in the window that it finds, so an old window never returns. `reset` ends a window
that was opened by mistake: it replaces it with the previous window, which is over.

The part of a sliding window takes over the calls of earlier parts. Its turn is conditioned on the
counts that it takes over, so that no call is lost between reading and writing them.

Every allowed call is counted. A call may be counted twice if the answer to its update was lost and
the request was sent again. Preventing that would take a transaction for every call, at twice the
price, and concurrent callers of one account would cancel each other's transactions. A refund must
not be applied twice, because that would allow more than the limit: it is conditioned on the number
of refunds before it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import MAX_ID_CHARACTERS
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import KIND, TABLE, VERSION
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.sweep import Sweep, Sweeper
from dynamo_chat.core.transaction import (
    Delete,
    Key,
    Put,
    Update,
    absent,
    contended,
    key_of,
    live,
)
from dynamo_chat.limits.rate_limit import (
    MAX_NAME_CHARACTERS,
    MAX_WINDOW,
    RateLimit,
    RefundRefused,
    Resource,
    Terms,
    check_amount,
    check_text,
    checked_terms,
    current_window,
    empty_window,
    next_window,
    refusal,
    terms_of,
)

MAX_NAMES: Final = 50
"""A window counts at most this many functions or services by name, to keep its item small."""
MAX_LOADED: Final = 10**15
"""The highest count that `load` accepts: adding further calls to it cannot overflow."""
MAX_LOADED_NAMES: Final = 1_000
OTHERS: Final = "(others)"
"""The name under which calls of further functions are counted."""

_SECOND = timedelta(seconds=1)


class RateLimits(Repository):
    """Count calls against limits; read, block, unblock and delete."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._sweeper = Sweeper(binding)

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
        amount: int = 1,
        limit: int | None = None,
        window: timedelta | None = None,
        sliding: bool = False,
    ) -> RateLimit:
        """Count a call of a function (AI) or service (AWS) and return the current window.

        `amount` counts so many calls, tokens or other units at once, all or none.
        RateLimitExceeded, with the window as ``current``, if the window has no room for them or the
        account is blocked; the refusal is counted as throttled, and ``retry_after`` is the time
        until there is room.

        `resource` is any name; only "ai" (100 an hour) and "aws" (1,000 an hour) have a default
        limit. A fixed window is aligned to the clock (UTC). With `sliding`, no period of the
        window's length has more than `limit` calls, wherever it starts. A new length or kind of
        window takes effect when the current window, or part of a sliding window, is over.
        """
        check_text("function", function, MAX_NAME_CHARACTERS)
        terms = checked_terms(account_id, resource, limit, window, sliding=sliding, amount=amount)
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

    @access_pattern(
        "R1",
        "UpdateItem, GetItem",
        "1; 2 if the window or its refunds changed",
        budget=2,
        owner="argument",
    )
    def refund(self, counted: RateLimit, function: str, amount: int) -> RateLimit:
        """Take back calls that were counted but not made, and return the current window.

        `counted` is the window that `count` returned; `function` is that of the call. If that
        window is over, or its part no longer counts, nothing changes. RefundRefused if fewer calls
        are counted. It is applied at most once: after Unreachable, do not repeat it, because the
        calls may have been refunded; if they were not, they count until the window is over. Do not
        refund what was counted before a `reset`.
        """
        if not isinstance(counted, RateLimit):
            raise InvalidArgument("counted", f"must be a RateLimit, not {type(counted).__name__}")
        terms = terms_of(counted)
        if not _SECOND <= terms.window <= MAX_WINDOW:
            raise InvalidArgument("counted.window_end", "must be 1 second to 366 days after start")
        check_text("function", function, MAX_NAME_CHARACTERS)
        check_amount(amount)
        key = terms.key
        there, is_read = counted, False
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 1:  # one failure is usual when others refund, too
                self._connection.pause(attempt)
            now = self._now()
            if not _still_counts(counted, there, now):
                if not is_read:
                    there = _decoded(self._get_item(key, consistent=True)) or there
                return current_window(there, terms_of(there), now)
            actions, condition = _refunding(counted, there, function, amount)
            if is_read and not _has(counted, there, function, amount):
                raise RefundRefused(
                    f"{there.resource}: fewer than {amount:,} calls of {function!r} are counted",
                    current_window(there, terms_of(there), now),
                )
            try:
                there = self._updated(key, actions, condition)
                return current_window(there, terms_of(there), now)
            except ConditionFailed as failed:
                found = _decoded(failed.items.get(0))
                if found is None:
                    return empty_window(terms, now)
                if failed.was_resent and found.refunds != there.refunds:
                    # The first attempt may have done it. Twice would allow more than the limit.
                    return current_window(found, terms_of(found), now)
                there, is_read = found, True
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
        those of the last window. A resource other than "ai" and "aws" needs a `limit`.
        """
        terms = checked_terms(account_id, resource, limit, window)
        item = self._get_item(terms.key, consistent=consistent)
        now = self._now()
        there = _decoded(item)
        if there is None:
            return empty_window(terms, now)
        last = terms_of(there)
        if limit is None:
            terms = terms._replace(limit=last.limit)
        if window is None:
            terms = terms._replace(window=last.window, is_sliding=last.is_sliding)
        return current_window(there, terms, now)

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
        terms = checked_terms(account_id, resource, None, None, needs_limit=False)
        limits = plan(RateLimit).model
        # An account without a window gets the previous one, which is over.
        empty = empty_window(terms, now - terms.window)
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
        return current_window(blocked, terms_of(blocked), now)

    @access_pattern("R3", "UpdateItem", "1", owner="argument")
    def unblock(self, account_id: str, resource: Resource) -> RateLimit:
        """Remove a block and return the current window. Without a block, nothing changes."""
        now = self._now()
        limits = plan(RateLimit).model
        terms = checked_terms(account_id, resource, None, None, needs_limit=False)
        try:
            free = self._updated(
                terms.key,
                [limits.blocked_until.remove()],
                limits.window_end.exists(),
            )
        except ConditionFailed:
            return empty_window(terms, now)
        return current_window(free, terms_of(free), now)

    @access_pattern("R3", "UpdateItem", "1", owner="argument")
    def reset(self, account_id: str, resource: Resource) -> RateLimit:
        """End the current window, drop its counts, and return an empty window.

        For a window that was opened by mistake, for example with a length of months: the next call
        opens one of its own length. A block stays; `unblock` removes it. If no window runs,
        nothing changes.
        """
        now = self._now()
        limits = plan(RateLimit).model
        terms = checked_terms(account_id, resource, None, None, needs_limit=False)
        # The previous window, which is over.
        over = empty_window(terms, now - terms.window)
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
        actions.append(limits.earlier.remove())
        try:
            ended = self._updated(terms.key, actions, limits.window_end > now)
        except ConditionFailed as failed:
            there = _decoded(failed.items.get(0))
            if there is None:
                return empty_window(terms, now)
            return current_window(there, terms_of(there), now)
        return current_window(ended, terms_of(ended), now)

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
        window; a sliding window stays sliding, with its length.
        """
        terms = checked_terms(account_id, resource, limit, window, needs_limit=False)
        until = None if blocked_until is None else utc("blocked_until", blocked_until)
        limits = plan(RateLimit).model
        there: RateLimit | None = None
        is_over = False  # the usual case; if it is wrong, the failed condition returns the window
        for _ in range(self._connection.options.transaction_attempts):
            now = self._now()
            actions, condition = _blocking(until, there, now)
            if is_over:
                if there is not None and there.sliding_seconds is not None:
                    kept = terms_of(there)
                    terms = kept if limit is None else kept._replace(limit=limit)
                actions += _opening(next_window(there, terms, now), throttled=1)
                over = _is_over_as(there, now) if terms.is_sliding else _is_over(now)
                condition = _both(over, condition)
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
            check_text("counted.breakdown", name, MAX_NAME_CHARACTERS)
            _check_loaded(f"breakdown.{name}", calls)
        try:
            self._write(Put(plan(RateLimit).encode(counted), absent(now)))
        except ConditionFailed as failed:
            return _decoded(failed.items.get(0)) or counted
        return counted

    @access_pattern("R4", "DeleteItem", "1", owner="argument")
    def delete(self, account_id: str, resource: Resource) -> None:
        """Delete an account's window of a resource, with its counts and its block. NotFound.

        The next counted call opens a new window.
        """
        terms = checked_terms(account_id, resource, None, None, needs_limit=False)
        try:
            self._write(Delete(terms.key, live(self._now())))
        except ConditionFailed as failed:
            if failed.was_resent:
                return  # our own deletion, whose response was lost
            raise NotFound("rate limit", resource) from failed

    @access_pattern(
        "R4", "Query, TransactWriteItems", "⌈MB⌉ + ⌈windows/100⌉", budget=2, owner="argument"
    )
    def delete_all(self, account_id: str) -> int:
        """Delete the windows of all resources of an account, and return how many."""
        check_text("account_id", account_id, MAX_ID_CHARACTERS)
        return self._sweeper.sweep(limits_of(account_id))

    def _not_in_this_window(
        self, name: str, terms: Terms, now: datetime, there: RateLimit | None
    ) -> RateLimit:
        """Count or refuse a call that the window, `there`, could not count.

        RateLimitExceeded if it is refused. ConditionFailed if the window has changed since.
        """
        limits = plan(RateLimit).model
        blocked = there is not None and (there.blocked_until or now) > now
        is_blocked: Condition = limits.blocked_until > now
        if there is None or there.window_end <= now:
            opened = next_window(there, terms, now)
            over = _is_over_as(there, now) if terms.is_sliding else _is_over(now)
            if blocked or opened.request_count + terms.amount > terms.limit:
                condition = over & (is_blocked if blocked else _is_free(now))
                refusing = self._updated(terms.key, _opening(opened, throttled=1), condition)
                raise refusal(refusing, terms.amount, now)
            calls = {name: terms.amount}
            actions = [*_opening(opened, calls=calls), limits.last_request.set(now)]
            return self._updated(terms.key, actions, over & _is_free(now))
        if blocked or there.request_count + terms.amount > terms.limit:
            actions = [limits.throttled_requests.add(1), limits.limit.set(terms.limit)]
            is_same: Condition = limits.window_end == there.window_end
            raise refusal(self._updated(terms.key, actions, is_same), terms.amount, now)
        # The window has room for the call, but not for another name.
        return self._updated(terms.key, _count(OTHERS, terms, now), _may_count(OTHERS, terms, now))

    def _updated(
        self, key: Key, actions: list[Action], condition: Condition | None = None
    ) -> RateLimit:
        return plan(RateLimit).decode(self._write(Update(key, actions, condition), returning=True))


def limits_of(account_id: str) -> Sweep:
    """The windows of an account, to be deleted."""
    windows = keyspace.RATE_LIMIT.collection(TABLE, account_id)()
    return Sweep([windows], lambda item: (Delete(key_of(item), Item.PK.exists()),))


def _count(name: str, terms: Terms, now: datetime) -> list[Action]:
    limits = plan(RateLimit).model
    calls = limits.breakdown.counter(name)
    return [
        limits.request_count.add(terms.amount),
        calls.set((calls | 0) + terms.amount),
        limits.last_request.set(now),
        limits.limit.set(terms.limit),
    ]


def _may_count(name: str, terms: Terms, now: datetime) -> Condition:
    limits = plan(RateLimit).model
    condition: Condition = (
        (limits.window_end > now)
        & (limits.request_count <= terms.limit - terms.amount)
        & _is_free(now)
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
    seconds = opened.sliding_seconds
    return [
        *_marks(),
        limits.limit.set(opened.limit),
        limits.window_start.set(opened.window_start),
        limits.window_end.set(opened.window_end),
        limits.request_count.set(opened.request_count + sum(breakdown.values())),
        limits.throttled_requests.set(throttled),
        limits.breakdown.set(breakdown),
        limits.earlier.set(opened.earlier) if opened.earlier else limits.earlier.remove(),
        limits.sliding_seconds.remove() if seconds is None else limits.sliding_seconds.set(seconds),
    ]


def _marks() -> list[Action]:
    return [
        Path(KIND).set(keyspace.RATE_LIMIT.kind),
        # An existing item keeps its version: not all of its attributes are replaced.
        Path(VERSION).set(Path(VERSION) | RateLimit.schema_version),
    ]


def _still_counts(counted: RateLimit, there: RateLimit, now: datetime) -> bool:
    """True if the calls of the window `counted` count in `there`, the window that is stored."""
    if there.window_end == counted.window_end:
        return there.window_end > now or there.sliding_seconds is not None
    return format_time(counted.window_end) in there.earlier


def _has(counted: RateLimit, there: RateLimit, function: str, amount: int) -> bool:
    """True if `there` counts at least so many calls of the window `counted`."""
    if there.window_end == counted.window_end:
        return there.breakdown.get(_name_in(there, function), 0) >= amount
    return there.earlier[format_time(counted.window_end)] >= amount


def _name_in(there: RateLimit, function: str) -> str:
    """The name under which the calls of a function are counted."""
    return OTHERS if function not in there.breakdown and OTHERS in there.breakdown else function


def _refunding(
    counted: RateLimit, there: RateLimit, function: str, amount: int
) -> tuple[list[Action], Condition]:
    """Update actions that take back calls, and their condition: all is as in `there`."""
    limits = plan(RateLimit).model
    if there.window_end == counted.window_end:
        calls = limits.breakdown.counter(_name_in(there, function))
    else:
        calls = limits.earlier.counter(format_time(counted.window_end))
    actions = [
        limits.request_count.add(-amount),
        calls.set(calls - amount),
        limits.refunds.set((there.refunds or 0) + 1),
    ]
    condition = (
        (limits.window_end == there.window_end)
        & (limits.window_start == there.window_start)
        & (calls >= amount)
        & _refunded(there)
    )
    return actions, condition


def _is_over(now: datetime) -> Condition:
    """Condition: there is no window, or it has ended."""
    limits = plan(RateLimit).model
    condition: Condition = limits.window_end.does_not_exist() | (limits.window_end <= now)
    return condition


def _is_over_as(there: RateLimit | None, now: datetime) -> Condition:
    """Condition: the window has ended, with the counts of `there`; or there is none, as before."""
    limits = plan(RateLimit).model
    is_same: Condition = limits.window_end.does_not_exist()
    if there is not None:
        is_same = (limits.window_end == there.window_end) & (
            limits.request_count == there.request_count
        )
        is_same &= _is_over(now) & _refunded(there)
    return is_same


def _refunded(there: RateLimit) -> Condition:
    """Condition: nothing was refunded since `there` was read."""
    refunds = plan(RateLimit).model.refunds
    condition: Condition = (
        refunds.does_not_exist() if there.refunds is None else refunds == there.refunds
    )
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


def _check_loaded(field: str, number: int) -> None:
    if number > MAX_LOADED:
        raise InvalidArgument(f"counted.{field}", f"must be at most {MAX_LOADED:,}")


def _decoded(item: AttributeValues | None) -> RateLimit | None:
    return None if item is None else plan(RateLimit).decode(item)
