"""A rate limit: the window that is stored, and how one window follows another.

A fixed window starts empty. A sliding window has ten parts, each a window of its own whose count
includes the calls of earlier parts that still count. So counting is the same for both, and only
opening the next one differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Final, NamedTuple, TypeAlias

from pydantic import Field, StringConstraints, field_validator

from dynamo_chat import keyspace
from dynamo_chat.core import patterns
from dynamo_chat.core.clock import seconds_until
from dynamo_chat.core.entity import MAX_ID_CHARACTERS, Count, Counters, Entity, Id, Time, validated
from dynamo_chat.core.errors import Conflict, InvalidArgument, LimitExceeded
from dynamo_chat.core.keys import format_time, parse_time
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.transaction import Key

Resource: TypeAlias = str
"""What calls are counted of: "ai", "aws", or any other name."""

DEFAULT_LIMITS: Final[Mapping[Resource, int]] = {"ai": 100, "aws": 1_000}
"""Calls per window if no limit is given. Other resources have no default."""
DEFAULT_WINDOW: Final = timedelta(hours=1)
MAX_LIMIT: Final = 10**12
MAX_WINDOW: Final = timedelta(days=366)
_MAX_SECONDS: Final = 366 * 24 * 60 * 60
MAX_NAME_CHARACTERS: Final = 100
SLIDING_PARTS: Final = 10
"""How many parts a sliding window has; calls stop counting part by part."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class RateLimit(Entity):
    """The calls of an account to one resource in the current window."""

    layout: ClassVar[Layout] = keyspace.RATE_LIMIT

    account_id: Id
    resource: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS)]
    limit: Count
    """Calls allowed per window, as given by the latest call."""
    window_start: Time
    """When the window starts; of a sliding window, when its current part does."""
    window_end: Time
    """The first moment after the window, or after the current part of a sliding window."""
    request_count: Count
    """Calls that count against the limit; of a sliding window, those of earlier parts, too."""
    throttled_requests: Count
    """Calls refused in this window by the limit or a block, and throttles by the provider."""
    breakdown: Counters
    """Allowed calls by function (AI) or service (AWS), in the window or the current part."""
    last_request: Time | None = None
    """When a call was last allowed, in any window."""
    blocked_until: Time | None = None
    """Until when all calls are refused."""
    sliding_seconds: Annotated[int, Field(ge=1, le=_MAX_SECONDS)] | None = None
    """The length of a sliding window in seconds; None for a fixed one."""
    earlier: Counters = Field(default_factory=dict)
    """Sliding: calls of earlier parts that still count, by the end of their part."""
    refunds: Count | None = None
    """How often calls were refunded, in all windows."""

    @field_validator("earlier")
    @classmethod
    def _are_parts(cls, counts: dict[str, int]) -> dict[str, int]:
        for end in counts:
            parse_time(end)
        return counts

    @property
    def reset_time(self) -> datetime:
        """When the next window starts: the end of this one, or of this part."""
        return self.window_end

    @property
    def remaining(self) -> int:
        """Calls that the window still allows, without regard to a block."""
        return max(0, self.limit - self.request_count)

    def room_at(self, amount: int = 1) -> datetime | None:
        """When there will be room for `amount` calls, without regard to a block.

        The start of the window if there is room now; None if the limit is lower than `amount`.
        """
        if amount > self.limit:
            return None
        if self.request_count + amount <= self.limit:
            return self.window_start
        if self.sliding_seconds is None:
            return self.window_end
        window = timedelta(seconds=self.sliding_seconds)
        part = window / SLIDING_PARTS
        left = self.request_count
        for end, calls in sorted(_parts(self).items()):
            left -= calls
            if left + amount <= self.limit:
                # A part counts until a part starts that is a whole window after its end.
                return _EPOCH - (_EPOCH - end - window) // part * part
        return None


class RateLimitExceeded(LimitExceeded):
    """A rate limit is used up, or its account is blocked. ``current`` is its window."""

    current: RateLimit


class RefundRefused(Conflict):
    """Fewer calls are counted than should be refunded. ``current`` is the window."""

    current: RateLimit


class Terms(NamedTuple):
    """The account and resource, how many calls are allowed in how long, and how many are made."""

    account_id: str
    resource: Resource
    limit: int
    window: timedelta
    is_sliding: bool = False
    amount: int = 1

    @property
    def key(self) -> Key:
        """The table key of the rate limit."""
        return keyspace.RATE_LIMIT.key(account_id=self.account_id, resource=self.resource)


def terms_of(there: RateLimit) -> Terms:
    """The terms of the last window."""
    length = there.window_end - there.window_start
    if there.sliding_seconds is not None:
        length = timedelta(seconds=there.sliding_seconds)
    is_sliding = there.sliding_seconds is not None
    return Terms(there.account_id, there.resource, there.limit, length, is_sliding)


def checked_terms(
    account_id: str,
    resource: Resource,
    limit: int | None,
    window: timedelta | None,
    *,
    sliding: bool = False,
    amount: int = 1,
    needs_limit: bool = True,
) -> Terms:
    """The terms of a call, with defaults. InvalidArgument."""
    check_text("resource", resource, MAX_NAME_CHARACTERS)
    if limit is None:
        limit = DEFAULT_LIMITS.get(resource)
        if limit is None and needs_limit:
            raise InvalidArgument("limit", "must be given for resources other than 'ai' and 'aws'")
    limit = 0 if limit is None else limit
    window = DEFAULT_WINDOW if window is None else window
    if type(limit) is not int or not 0 <= limit <= MAX_LIMIT:
        raise InvalidArgument("limit", f"must be an integer from 0 to {MAX_LIMIT:,}")
    if not isinstance(window, timedelta) or not _SECOND <= window <= MAX_WINDOW:
        raise InvalidArgument("window", "must be a timedelta from 1 second to 366 days")
    if sliding and window.microseconds:
        raise InvalidArgument("window", "must be in whole seconds if it is sliding")
    check_amount(amount)
    check_text("account_id", account_id, MAX_ID_CHARACTERS)
    return Terms(account_id, resource, limit, window, sliding, amount)


def check_amount(amount: int) -> None:
    """InvalidArgument unless `amount` is an integer from 1."""
    if type(amount) is not int or not 1 <= amount <= MAX_LIMIT:
        raise InvalidArgument("amount", f"must be an integer from 1 to {MAX_LIMIT:,}")


def check_text(argument: str, value: str, longest: int) -> None:
    """InvalidArgument unless `value` is text of 1 to `longest` characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise InvalidArgument(argument, f"must be text of 1 to {longest} characters")
    patterns.check_text(argument, value)


def window_at(moment: datetime, length: timedelta) -> tuple[datetime, datetime]:
    """Start and end of the window of this length that contains `moment`; the end is exclusive.

    Windows are counted from 1970 in UTC, so that windows of an hour start on the hour.
    """
    start = _EPOCH + (moment - _EPOCH) // length * length
    return start, start + length


def empty_window(terms: Terms, now: datetime) -> RateLimit:
    """The window that contains `now`, without calls."""
    length = terms.window / SLIDING_PARTS if terms.is_sliding else terms.window
    start, end = window_at(now, length)
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
        sliding_seconds=int(terms.window.total_seconds()) if terms.is_sliding else None,
    )


def next_window(there: RateLimit | None, terms: Terms, now: datetime) -> RateLimit:
    """The window that contains `now` after `there`, which is over; None if there was none."""
    opened = empty_window(terms, now)
    if there is None or not terms.is_sliding:
        return opened
    since = opened.window_start - terms.window
    earlier = {
        format_time(end): calls for end, calls in _parts(there).items() if calls and end > since
    }
    return opened.model_copy(
        update={"earlier": earlier, "request_count": sum(earlier.values())},
    )


def _parts(window: RateLimit) -> dict[datetime, int]:
    """The calls of each part, by the end of the part; a fixed window is one part."""
    own = window.request_count - sum(window.earlier.values())
    parts = {parse_time(end): calls for end, calls in window.earlier.items()}
    return {**parts, window.window_end: parts.get(window.window_end, 0) + own}


def current_window(there: RateLimit, terms: Terms, now: datetime) -> RateLimit:
    """The window at `now`: `there`, or the next one if `there` is over."""
    blocked_until = there.blocked_until
    if blocked_until is not None and blocked_until <= now:
        blocked_until = None
    if there.window_end > now:
        return there.model_copy(update={"blocked_until": blocked_until})
    return next_window(there, terms, now).model_copy(
        update={
            "blocked_until": blocked_until,
            "last_request": there.last_request,
            "refunds": there.refunds,
        }
    )


def refusal(window: RateLimit, amount: int, now: datetime) -> RateLimitExceeded:
    """The error of a call that `window` refuses."""
    room = window.room_at(amount)
    is_blocked = window.blocked_until is not None and window.blocked_until > now
    wait: int | None = None
    if room is not None:
        wait = seconds_until(max(room, window.blocked_until or room), now)
    if is_blocked and window.blocked_until is not None:
        why = f"calls are blocked until {window.blocked_until.isoformat()}"
    elif room is None:
        why = f"{amount:,} is more than the limit of {window.limit:,}"
    elif not window.remaining:
        why = f"the window's {window.limit:,} calls are used up until {room.isoformat()}"
    else:
        why = (
            f"{window.remaining:,} of the window's {window.limit:,} calls are left until "
            f"{room.isoformat()}, not {amount:,}"
        )
    return RateLimitExceeded(f"{window.resource}: {why}", window, wait)
