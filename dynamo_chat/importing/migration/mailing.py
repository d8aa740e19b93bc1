"""The steps of `acs` for e-mail threads, rate limits, reports and invocations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from dynamo_chat.core.clock import MAX_AHEAD, not_ahead
from dynamo_chat.core.entity import Model, validated
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.importing.migration.acs_rows import (
    EmailRow,
    InteractionRow,
    InvocationRow,
    LimitRow,
    ReportRow,
    ScoreRow,
    ThreadRow,
)
from dynamo_chat.importing.migration.declaring import (
    Bundle,
    Made,
    Refused,
    Row,
    SourceTable,
    Step,
    Target,
    accepted,
)
from dynamo_chat.importing.migration.people import differing
from dynamo_chat.limits.rate_limit import RateLimit, Resource
from dynamo_chat.mail.email import EmailMessage, EmailStatus, NewEmail
from dynamo_chat.mail.scores import EVScore
from dynamo_chat.telemetry.invocations import Invocation
from dynamo_chat.telemetry.llm import LLMInteraction, LLMUsage, content_item
from dynamo_chat.telemetry.reports import LLMReport, ModelUsage, Period

M = TypeVar("M", bound=Model)
_STATUSES: Final[tuple[EmailStatus, ...]] = ("received", "processed", "scheduled", "responded")
"""Each is later than those before it."""


def _made(model: type[M], row: Model, table: str, **settled: Any) -> M:
    """A `model` of the row's fields with the same names, and the given other fields."""
    same = {name: value for name, value in row.__dict__.items() if name in model.model_fields}
    return validated(model, table, **{**same, **settled})


# -- threads and their e-mails ------------------------------------------------------------------

_THREADS: Final = SourceTable(
    "Threads",
    key=("conversation_id",),
    shape=ThreadRow,
    group="conversation_id",
    filled={
        "created_at": lambda record: record.get("updated_at") or record["last_message_at"],
        "updated_at": lambda record: record.get("last_message_at") or record["created_at"],
    },
    created=("created_at",),
    changed=("updated_at",),
)
_EMAILS: Final = SourceTable(
    "Conversations",
    key=("conversation_id", "response_id"),
    shape=EmailRow,
    group="conversation_id",
    created=("timestamp",),
    changed=(),  # a change of status has no time
)
_SCORES: Final = SourceTable(
    "EVDataCollection",
    key=("conversation_id",),
    shape=ScoreRow,
    group="conversation_id",
    created=("calculation_date",),
    changed=("calculation_date",),
)
_INTERACTIONS: Final = SourceTable(
    "LLMDataCollection",
    key=("conversation_id",),
    shape=InteractionRow,
    group="conversation_id",
    created=("generated_at",),
    changed=("generated_at",),
)


def _mail(bundle: Bundle) -> Iterator[Made]:
    head = next(iter(bundle.rows("Threads")), None)
    thread = None if head is None else head.read(ThreadRow)
    if thread is not None:
        not_ahead("created_at", thread.created_at, bundle.now)
        not_ahead("updated_at", thread.updated_at, bundle.now)
    emails = [
        (row, email)
        # The oldest first: of two with a Message-ID it is the one that is loaded.
        for row in sorted(bundle.rows("Conversations"), key=_sent)
        if (email := accepted(bundle, row, partial(_email, row, thread, bundle))) is not None
    ]
    emails.sort(key=lambda each: (each[1].timestamp, each[0].key))
    if head is not None and thread is not None:
        if not emails:
            raise Refused("the thread has no e-mail that can be loaded")
        _compare_with_emails(head, thread, [email for _, email in emails], bundle)
    opened = None if thread is None else _opened(thread, emails[0][1])
    for place, (row, email) in enumerate(emails):
        yield _email_made(row, bundle.group, email, None if place else opened)
    if head is not None and thread is not None and opened is not None:
        yield _thread_made(head, thread, opened, emails[-1][1].timestamp)
    account = emails[0][1].account_id if emails else None
    for row in bundle.rows("EVDataCollection"):
        made = accepted(bundle, row, partial(_score, row, account, bundle))
        if made is not None:
            yield made
    for row in bundle.rows("LLMDataCollection"):
        made = accepted(bundle, row, partial(_interaction, row, account, bundle))
        if made is not None:
            yield made


def _sent(row: Row) -> tuple[str, str]:
    return str(row.record.get("timestamp")), row.key


def _email(row: Row, thread: ThreadRow | None, bundle: Bundle) -> NewEmail:
    """An e-mail of the thread. Refused if it doesn't belong to it."""
    given = row.read(EmailRow)
    if thread is None:
        raise Refused("orphan: its thread is not in Threads, or can't be read")
    if given.associated_account != thread.associated_account:
        raise Refused("associated_account: is not that of its thread")
    named = thread.thread_id or given.conversation_id
    if given.thread_id not in {None, named}:
        raise Refused("thread_id: is not that of its thread")
    email = _made(
        NewEmail,
        given,
        row.table.name,
        account_id=given.associated_account,
        thread_id=named,
        headers=given.metadata.headers,
        attachments=given.metadata.attachments,
        spam_score=given.metadata.spam_score,
        metadata={},
    )
    not_ahead("timestamp", given.timestamp, bundle.now)
    if email.message_id is not None:
        holder = bundle.holder(f"message_id {email.account_id}", email.message_id, row)
        if holder != row.key:
            raise Refused(f"duplicate: its message_id is that of e-mail {holder}")
    return email


def _opened(thread: ThreadRow, first: NewEmail) -> datetime:
    """When the thread was opened: at the latest with its first e-mail."""
    sent = first.timestamp or thread.created_at
    return sent if thread.created_at + MAX_AHEAD < sent else thread.created_at


def _compare_with_emails(
    head: Row, thread: ThreadRow, emails: list[NewEmail], bundle: Bundle
) -> None:
    """Report where the thread says something else than its e-mails, which count here."""
    times = [each.timestamp for each in emails if each.timestamp is not None]
    if thread.message_count not in {None, len(emails)}:
        bundle.change(head, "message_count: was not the number of its e-mails, which counts here")
    if thread.last_message_at not in {None, max(times)}:
        bundle.change(head, "last_message_at: is the time of its latest e-mail")
    if thread.created_at + MAX_AHEAD < times[0]:
        bundle.change(head, "created_at: is the time of its first e-mail")
    if thread.updated_at < max(times):
        bundle.change(head, "updated_at: is the time of its latest e-mail")


def _email_made(row: Row, conversation_id: str, email: NewEmail, opened: datetime | None) -> Made:
    def load(target: Target) -> None:
        # The clock is what an e-mail opens its thread by.
        with target.at(opened or email.timestamp or target.now()):
            try:
                target.store.emails.add(conversation_id, email)
            except AlreadyExists:
                if not _moved(conversation_id, email, target):
                    raise

    return Made((row,), load, lambda target: _email_differences(conversation_id, email, target))


def _moved(conversation_id: str, email: NewEmail, target: Target) -> bool:
    """Move an e-mail that was loaded before to its newer status. False if it is another one."""
    emails, account = target.store.emails, email.account_id
    identity = email.response_id or ""
    try:
        there = emails.get(conversation_id, identity, account_id=account, consistent=True)
    except NotFound:
        return False
    if _differing(email, there):
        return False
    rank = _STATUSES.index
    if rank(there.status) >= rank(email.status):
        return True
    if there.status == "received" and email.status != "processed":
        emails.move(conversation_id, identity, "processed", account_id=account)
    emails.move(
        conversation_id,
        identity,
        email.status,
        ai_response=email.ai_response,
        ev_score=email.ev_score,
        account_id=account,
    )
    return True


def _email_differences(conversation_id: str, email: NewEmail, target: Target) -> list[str]:
    named = f"e-mail {email.response_id!r} of {conversation_id!r}"
    try:
        there = target.store.emails.get(
            conversation_id,
            email.response_id or "",
            account_id=email.account_id,
            consistent=True,
        )
    except NotFound:
        return [f"{named} is missing"]
    return [f"{named}: {name} differs" for name in _differing(email, there)]


def _differing(email: NewEmail, there: EmailMessage) -> list[str]:
    """The fields in which a stored e-mail differs."""
    ignored = {"response_id"}
    if there.status != email.status:
        ignored |= {"status", "ai_response", "ev_score"}  # it has moved on, here or there
    if email.is_first_email is None:
        ignored.add("is_first_email")  # it is known only here
    return [
        name
        for name, value in email.__dict__.items()
        if name not in ignored and getattr(there, name) != value
    ]


def _thread_made(head: Row, thread: ThreadRow, opened: datetime, latest: datetime | None) -> Made:
    changes = {
        "status": thread.status,
        **thread.attributes.__dict__,
        **thread.ai_settings.__dict__,
    }
    moment = max(thread.updated_at, latest or thread.updated_at)
    identity, account = thread.conversation_id, thread.associated_account

    def load(target: Target) -> None:
        there = target.store.threads.get(identity, account_id=account, consistent=True)
        if there.updated_at > moment:
            return  # it has changed here since
        if there.updated_at < moment or any(
            getattr(there, name) != value for name, value in changes.items()
        ):
            with target.at(moment):
                target.store.threads.update(identity, account_id=account, **changes)

    def differences(target: Target) -> list[str]:
        named = f"thread {identity!r}"
        try:
            there = target.store.threads.get(identity, account_id=account, consistent=True)
        except NotFound:
            return [f"{named} is missing"]
        # A thread that the service itself opened, beside the old one, has its clock's time.
        found = [] if abs(there.created_at - opened) <= MAX_AHEAD else ["created_at"]
        if there.updated_at <= moment:
            wanted = {**changes, "updated_at": moment}
            found += [name for name, value in wanted.items() if getattr(there, name) != value]
        return [f"{named}: {name} differs" for name in found]

    return Made((head,), load, differences)


def _score(row: Row, account: str | None, bundle: Bundle) -> Made:
    if account is None:
        raise Refused("orphan: its thread has no e-mail, or was refused")
    score = _made(EVScore, row.read(ScoreRow), row.table.name, account_id=account)
    not_ahead("calculation_date", score.calculation_date, bundle.now)
    return Made((row,), items=(plan(EVScore).encode(score),))


def _interaction(row: Row, account: str | None, bundle: Bundle) -> Made:
    given = row.read(InteractionRow)
    owner = account or given.account_id
    if owner is None:
        raise Refused("orphan: it has no thread; add its account_id to load it without one")
    if given.account_id not in {None, owner}:
        raise Refused("account_id: is not that of its thread")
    total = given.total_tokens
    interaction = _made(
        LLMInteraction,
        given,
        row.table.name,
        account_id=owner,
        interaction_id=given.conversation_id,
        total_tokens=given.prompt_tokens + given.response_tokens if total is None else total,
        has_content=given.prompt is not None or given.response is not None,
        **{**given.metadata.__dict__, "metadata": {}},
    )
    not_ahead("generated_at", interaction.generated_at, bundle.now)
    usage = LLMUsage(**{name: getattr(interaction, name) for name in LLMUsage.model_fields})
    items = [plan(LLMUsage).encode(usage)]
    if interaction.has_content:
        items.append(content_item(interaction))
    return Made((row,), items=tuple(items))


# -- limits -------------------------------------------------------------------------------------


def _limits(table: str) -> SourceTable:
    return SourceTable(
        table,
        key=("associated_account",),
        shape=LimitRow,
        group="associated_account",
        filled={"window_end": lambda record: record["reset_time"]},
        changed=("last_request", "window_start"),
    )


_RESOURCES: Final[dict[str, Resource]] = {"RL_AI": "ai", "RL_AWS": "aws"}


def _rate_limits(bundle: Bundle) -> Iterator[Made]:
    for table, resource in _RESOURCES.items():
        for row in bundle.rows(table):
            made = accepted(bundle, row, partial(_limit, row, resource, bundle))
            if made is not None:
                yield made


def _limit(row: Row, resource: Resource, bundle: Bundle) -> Made:
    given = row.read(LimitRow)
    is_ai = resource == "ai"
    window = _made(
        RateLimit,
        given,
        row.table.name,
        account_id=given.associated_account,
        resource=resource,
        request_count=given.request_count if is_ai else given.aws_requests,
        breakdown=given.metadata.function_calls if is_ai else given.metadata.service_calls,
    )
    for name in ("window_start", "last_request"):
        not_ahead(name, getattr(window, name) or bundle.now, bundle.now)

    def load(target: Target) -> None:
        target.store.rate_limits.load(window)

    def differences(target: Target) -> list[str]:
        named = f"{resource} limit of account {window.account_id!r}"
        there = target.store.rate_limits.get(window.account_id, resource, consistent=True)
        if there.window_start != window.window_start:
            return []  # another window has begun here, or this one has ended
        is_later = there.last_request != window.last_request
        return [] if is_later else differing(window, there, named)

    return Made((row,), load, differences)


# -- reports and invocations --------------------------------------------------------------------

_REPORTS: Final = SourceTable(
    "LLMReportData",
    key=("report_id",),
    shape=ReportRow,
    group="report_id",
    created=("generated_at",),
    changed=("generated_at",),
)


def _reports(bundle: Bundle) -> Iterator[Made]:
    row = bundle.head("LLMReportData")
    given = row.read(ReportRow)
    period = Period.month(given.report_period)
    report = _made(
        LLMReport,
        given,
        "LLMReportData",
        period_start=period.start,
        period_end=period.end,
        model_usage={name: ModelUsage(**used.__dict__) for name, used in given.model_usage.items()},
    )

    def load(target: Target) -> None:
        target.store.reports.load(report)

    def differences(target: Target) -> list[str]:
        named = f"report {report.report_id!r}"
        try:
            there = target.store.reports.get(
                report.report_id, account_id=report.account_id, consistent=True
            )
        except NotFound:
            return [f"{named} is missing"]
        return differing(report, there, named)

    yield Made((row,), load, differences)


_INVOCATIONS: Final = SourceTable(
    "Invocations",
    key=("id",),
    shape=InvocationRow,
    group="id",
    created=("invoked_at",),
    changed=("invoked_at",),
)


def _invocations(bundle: Bundle) -> Iterator[Made]:
    row = bundle.head("Invocations")
    given = row.read(InvocationRow)
    invocation = _made(
        Invocation,
        given,
        "Invocations",
        invocation_id=given.id,
        account_id=given.associated_account,
    )
    not_ahead("invoked_at", invocation.invoked_at, bundle.now)
    yield Made((row,), items=(plan(Invocation).encode(invocation),))


STEPS: Final = (
    Step("mail", (_THREADS, _EMAILS, _SCORES, _INTERACTIONS), _mail),
    Step("limits", (_limits("RL_AI"), _limits("RL_AWS")), _rate_limits),
    Step("reports", (_REPORTS,), _reports),
    Step("invocations", (_INVOCATIONS,), _invocations),
)
