"""Reports of an account's LLM usage in a period, built from its interactions (L2).

A report's id is made of its account and period, so building it again replaces it. A report counts
the interactions that the index shows while it is built: an interaction that was just recorded may
be missing until the report is built again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints, model_validator

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import MAX_ID_CHARACTERS, Count, Entity, Id, Model, Time, validated
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import GSI1, Layout
from dynamo_chat.core.owners import check_owner, is_owned, own
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.sweep import Sweep, Sweeper
from dynamo_chat.core.transaction import Delete, Put, absent, is_live, key_of, live
from dynamo_chat.telemetry.amounts import Sum, mean, plus
from dynamo_chat.telemetry.llm import LLMUsage, account_usage

MAX_NAMES: Final = 100
"""A report has at most this many models and functions by name, so that it fits into an item."""
MAX_COUNTED_NAMES: Final = 10_000
"""At most this many names are counted while building; then the most used ones are selected."""
MAX_LOADED_NAMES: Final = 1_000
OTHERS: Final = "(others)"
"""The name under which the usage of further models and functions is added up."""

INDEX_BEHIND: Final = timedelta(minutes=1)
"""The index is surely up to date after so long; mostly it takes a fraction of a second."""

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_LAST_MONTH = (9999, 12)


class Period(Model):
    """The time from `start` (inclusive) to `end` (exclusive)."""

    start: Time
    end: Time

    @model_validator(mode="after")
    def _check(self) -> Period:
        if self.start >= self.end:
            raise ValueError("start must be before end")
        return self

    @classmethod
    def month(cls, name: str) -> Period:
        """The calendar month in UTC with a name such as ``2024-01``. InvalidArgument."""
        match = _MONTH.fullmatch(name) if isinstance(name, str) else None
        year, month = (int(match[1]), int(match[2])) if match else (0, 0)
        if not year or (year, month) == _LAST_MONTH:
            raise InvalidArgument("period", "must be a month such as '2024-01', or a Period")
        start = datetime(year, month, 1, tzinfo=UTC)
        return cls(start=start, end=datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC))

    @property
    def name(self) -> str:
        """``2024-01`` for a calendar month; otherwise ``start/end``."""
        if (self.start.year, self.start.month) != _LAST_MONTH:
            month = f"{self.start.year:04d}-{self.start.month:02d}"
            if Period.month(month) == self:
                return month
        return f"{format_time(self.start)}/{format_time(self.end)}"


class ModelUsage(Model):
    """The usage of one model."""

    requests: Count
    tokens: Count
    cost: Sum
    """In US dollars."""


class LLMReport(Entity):
    """An account's LLM usage in a period."""

    layout: ClassVar[Layout] = keyspace.LLM_REPORT

    report_id: Id
    account_id: Id
    report_period: Annotated[str, StringConstraints(min_length=1)]
    """``2024-01`` for a calendar month; otherwise ``start/end``."""
    period_start: Time
    period_end: Time
    """The first moment after the period."""
    generated_at: Time
    total_requests: Count
    total_tokens: Count
    total_cost_usd: Sum
    average_response_time_ms: Sum | None = None
    """Rounded half-even to six decimal places; None without requests."""
    average_quality_score: Sum | None = None
    """The mean of the interactions with a score, to six decimal places; None without any."""
    model_usage: dict[str, ModelUsage] = Field(default_factory=dict)
    """Requests, tokens and cost of the 100 most used models; the rest is in ``(others)``."""
    function_breakdown: dict[str, Count] = Field(default_factory=dict)
    """Requests of the 100 most used functions; the rest is in ``(others)``."""


class ReportExists(AlreadyExists):
    """The report's id is taken."""

    current: LLMReport | None


class LLMReports(Repository):
    """Build, find, list and delete reports."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._sweeper = Sweeper(binding)

    @access_pattern(
        "L2",
        "Query, PutItem",
        "pages of all shards + 1",
        budget=keyspace.LLM_SHARDS + 1,
        index="GSI1 + table",
        owner="argument",
    )
    def build(self, account_id: str, period: str | Period) -> LLMReport:
        """Build the report of an account for a period, store it and return it.

        The period is a calendar month in UTC, such as ``2024-01``, or a `Period`. Building it
        again replaces the report. If another call that started later has stored one, that report
        stays and is returned; so does one of the last minute that counts more, as the index may
        have been behind this time.
        """
        asked = period if isinstance(period, Period) else Period.month(period)
        generated_at = self._now()
        report = _report(account_id, asked, generated_at, self._usage(account_id, asked))
        stored = plan(LLMReport).model
        is_older = (stored.generated_at <= generated_at) & (
            (stored.total_requests <= report.total_requests)
            | (stored.generated_at <= generated_at - INDEX_BEHIND)
        )
        try:
            self._write(Put(plan(LLMReport).encode(report), absent(generated_at) | is_older))
        except ConditionFailed as failed:
            newer = failed.items.get(0)
            return report if newer is None else plan(LLMReport).decode(newer)
        return report

    @access_pattern("L2", "PutItem", "1", owner="creation")
    def load(self, report: LLMReport) -> LLMReport:
        """Store a report that was made elsewhere, unchanged, under its own id, and return it.

        Its totals need not be the sums of its parts. Loading it again changes nothing;
        AlreadyExists if the id belongs to a different report. `build` never replaces it: built
        reports have other ids. InvalidArgument for more than 1,000 models or functions.
        """
        if not isinstance(report, LLMReport):
            raise InvalidArgument("report", f"must be an LLMReport, not {type(report).__name__}")
        if report.period_start >= report.period_end:
            raise InvalidArgument("report.period_end", "must be after period_start")
        if len(report.report_period) > MAX_ID_CHARACTERS:
            raise InvalidArgument(
                "report.report_period", f"must have at most {MAX_ID_CHARACTERS} characters"
            )
        _check_names("report.model_usage", report.model_usage)
        _check_names("report.function_breakdown", report.function_breakdown)
        try:
            self._write(Put(plan(LLMReport).encode(report), absent(self._now())))
        except ConditionFailed as failed:
            item = failed.items.get(0)
            there = None if item is None else plan(LLMReport).decode(item)
            if there != report:
                seen = own(there, "account_id", report.account_id)
                raise ReportExists(f"report id {report.report_id!r} is taken", seen) from failed
        return report

    @access_pattern("L2", "GetItem", "1", owner="read")
    def get(
        self, report_id: str, *, account_id: str | None = None, consistent: bool = False
    ) -> LLMReport:
        """The report with this id. NotFound, also if it is not `account_id`'s."""
        check_owner("account_id", account_id)
        item = self._get_item(keyspace.LLM_REPORT.key(report_id=report_id), consistent=consistent)
        if item is None or not is_live(item, self._now()):
            raise NotFound("report", report_id)
        if not is_owned(item, "account_id", account_id):
            raise NotFound("report", report_id)
        return plan(LLMReport).decode(item)

    @access_pattern("L2", "Query", "1", index="GSI1", owner="argument")
    def list_by_account(
        self,
        account_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[LLMReport]:
        """An account's reports by the start of their period, latest first.

        With `since` and `until`, those whose period starts in [since, until).
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((account_id, lower, upper), newest_first, page_size, cursor),
            [keyspace.LLM_REPORT.collection(GSI1, account_id)(lower=lower, until=upper)],
            plan(LLMReport).decode,
        )

    iterate_by_account = iterating(list_by_account)

    @access_pattern("L4", "DeleteItem", "1", owner="condition")
    def delete(self, report_id: str, *, account_id: str | None = None) -> None:
        """Delete a report. NotFound, also if it is not `account_id`'s."""
        check_owner("account_id", account_id)
        is_it = live(self._now())
        if account_id is not None:
            is_it &= plan(LLMReport).model.account_id == account_id
        try:
            self._write(Delete(keyspace.LLM_REPORT.key(report_id=report_id), is_it))
        except ConditionFailed as failed:
            if failed.items.get(0) is None and failed.was_resent:
                return  # our own deletion, whose response was lost
            raise NotFound("report", report_id) from failed

    @access_pattern(
        "L4",
        "Query, TransactWriteItems",
        "2⌈MB⌉ + ⌈reports/100⌉",
        budget=3,
        index="GSI1 + table",
        owner="argument",
    )
    def delete_all(self, account_id: str) -> int:
        """Delete all reports of an account, and return how many.

        Reports stored meanwhile are deleted as soon as the index shows them. After a crash, call
        it again.
        """
        return self._sweeper.sweep(reports_of(account_id))

    def _usage(self, account_id: str, period: Period) -> Iterator[LLMUsage]:
        now = self._now()
        for collection in account_usage(account_id, period.start, period.end):
            for items in self._walk(collection):
                yield from (plan(LLMUsage).decode(item) for item in items if is_live(item, now))


def reports_of(account_id: str) -> Sweep:
    """The reports of an account, to be deleted."""
    is_theirs = plan(LLMReport).model.account_id == account_id
    listed = keyspace.LLM_REPORT.collection(GSI1, account_id)()
    return Sweep([listed], lambda item: (Delete(key_of(item), is_theirs),))


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def count(self, usage: LLMUsage) -> None:
        self.add(_Tally(1, usage.total_tokens, usage.cost_usd or Decimal(0)))

    def add(self, other: _Tally) -> None:
        self.requests += other.requests
        self.tokens += other.tokens
        self.cost = plus(self.cost, other.cost)


class _Tallies(dict[str, _Tally]):
    """Tallies of a limited number of names."""

    def of(self, name: str) -> _Tally:
        """The tally of a name; that of `OTHERS` if there are too many names."""
        is_known = name in self or len(self) < MAX_COUNTED_NAMES
        return self.setdefault(name if is_known else OTHERS, _Tally())

    def most_used(self) -> dict[str, _Tally]:
        """The tallies of the `MAX_NAMES` most used names, sorted by name; the rest is added up."""
        names = sorted(self.keys() - {OTHERS}, key=lambda name: (-self[name].requests, name))
        named = {name: self[name] for name in sorted(names[:MAX_NAMES])}
        rest = [*names[MAX_NAMES:], *self.keys() & {OTHERS}]
        if rest:
            named[OTHERS] = _Tally()
            for name in rest:
                named[OTHERS].add(self[name])
        return named


@dataclass(slots=True)
class _Totals:
    everything: _Tally = field(default_factory=_Tally)
    by_model: _Tallies = field(default_factory=_Tallies)
    by_function: _Tallies = field(default_factory=_Tallies)
    milliseconds: int = 0
    quality: Decimal = Decimal(0)
    scored: int = 0

    def count(self, usage: LLMUsage) -> None:
        self.everything.count(usage)
        self.by_model.of(usage.model_used).count(usage)
        self.by_function.of(usage.function_name).count(usage)
        self.milliseconds += usage.response_time_ms
        if usage.quality_score is not None:
            self.quality = plus(self.quality, usage.quality_score)
            self.scored += 1


def report_id_of(account_id: str, period: Period) -> str:
    """The id of the report that is built for this account and period."""
    return keyspace.digest_of(
        json_text([account_id, format_time(period.start), format_time(period.end)])
    )


def _report(
    account_id: str, period: Period, generated_at: datetime, usage: Iterator[LLMUsage]
) -> LLMReport:
    totals = _Totals()
    for each in usage:
        totals.count(each)
    return validated(
        LLMReport,
        report_id=report_id_of(account_id, period),
        account_id=account_id,
        report_period=period.name,
        period_start=period.start,
        period_end=period.end,
        generated_at=generated_at,
        total_requests=totals.everything.requests,
        total_tokens=totals.everything.tokens,
        total_cost_usd=totals.everything.cost,
        average_response_time_ms=mean(totals.milliseconds, totals.everything.requests),
        average_quality_score=mean(totals.quality, totals.scored),
        model_usage={
            name: ModelUsage(requests=tally.requests, tokens=tally.tokens, cost=tally.cost)
            for name, tally in totals.by_model.most_used().items()
        },
        function_breakdown={
            name: tally.requests for name, tally in totals.by_function.most_used().items()
        },
    )


def _check_names(argument: str, named: Mapping[str, object]) -> None:
    """InvalidArgument if a loaded report has too many names, or one too long."""
    if len(named) > MAX_LOADED_NAMES:
        raise InvalidArgument(argument, f"must have at most {MAX_LOADED_NAMES:,} names")
    if not all(1 <= len(name) <= MAX_ID_CHARACTERS for name in named):
        raise InvalidArgument(argument, f"must have names of 1 to {MAX_ID_CHARACTERS} characters")
