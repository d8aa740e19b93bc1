"""Loads the thirteen records of `acs`, an e-mail service, into five domains.

The records refer to each other: the user is a member of the organization, the e-mail has a thread,
a score and an LLM interaction. So all of them are moved in time by the same amount, and each is
written at its own time. Loading again returns the existing entities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.entity import Entity, Model
from dynamo_chat.core.errors import NotFound
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User
from dynamo_chat.importing.sample_records import Replay, Sample, shift_to_live
from dynamo_chat.limits.rate_limit import RateLimit, Resource
from dynamo_chat.mail.email import EmailMessage, NewEmail
from dynamo_chat.mail.scores import EVScore
from dynamo_chat.mail.thread import EmailThread
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.orgs.organization import Billing, Organization, OrganizationSettings, Usage
from dynamo_chat.orgs.seats import Member
from dynamo_chat.store import ChatStore, StoreFactory
from dynamo_chat.telemetry.invocations import Invocation, NewInvocation
from dynamo_chat.telemetry.llm import LLMInteraction, NewInteraction
from dynamo_chat.telemetry.reports import LLMReport, ModelUsage, Period

Row = Mapping[str, Any]
M = TypeVar("M", bound=Model)

SETTLED: Final = (
    "Sessions.session_id, OrganizationInvites.invite_token: fresh secrets, stored as hashes",
    "Sessions.ttl: replaced by expires_at, which is later",
    "OrganizationMembers.invited_by: the inviter becomes a user and the organization's first owner",
    "OrganizationInvites.accepted_at: a user is created for the invited address, to accept it",
    "Threads.message_count, participants, subject: those of the one e-mail that exists",
    "LLMDataCollection: account of the thread, function generate_email, id of the conversation",
    "RL_AI, RL_AWS: unchanged (150 counted over a limit of 100), in a window that has not ended",
    "LLMReportData: unchanged (totals above the sums of their parts), for its own month",
)
"""Decisions where the document's records do not match the store's."""

_FUNCTION: Final = "generate_email"
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Acs:
    """The records of `acs` as entities in the store."""

    user: User
    login: LoginSession | None
    """None if it has expired since it was loaded."""
    organization: Organization
    member: Member
    invite: Invite
    thread: EmailThread
    email: EmailMessage
    score: EVScore | None
    ai_limit: RateLimit
    aws_limit: RateLimit
    interaction: LLMInteraction
    report: LLMReport
    invocation: Invocation
    moved_by: timedelta

    def rows(self) -> Iterator[tuple[str, Entity | None]]:
        """Each table of the document with the entity of its record."""
        yield "Users", self.user
        yield "Sessions", self.login
        yield "Organizations", self.organization
        yield "OrganizationMembers", self.member
        yield "OrganizationInvites", self.invite
        yield "Conversations", self.email
        yield "Threads", self.thread
        yield "EVDataCollection", self.score
        yield "RL_AI", self.ai_limit
        yield "RL_AWS", self.aws_limit
        yield "LLMDataCollection", self.interaction
        yield "LLMReportData", self.report
        yield "Invocations", self.invocation

    def partitions(self) -> list[str]:
        """The partition keys of the entities and of their id and address items."""
        email, invite = self.email, self.invite
        users = [self.user.user_id, *filter(None, (self.member.invited_by, invite.accepted_by))]
        found = [
            *map(keyspace.USER_PARTITION.encode, users),
            *(
                keyspace.USER_EMAIL.table.pk.encode(address_key(each))
                for each in (
                    self.user.email,
                    _address_of(self.member.invited_by or ""),
                    invite.email,
                )
            ),
            keyspace.ORGANIZATION_PARTITION.encode(self.organization.organization_id),
            keyspace.INVITE_ID.table.pk.encode(invite.invite_id),
            keyspace.MAIL_PARTITION.encode(email.conversation_id),
            keyspace.RATE_LIMIT.table.pk.encode(self.ai_limit.account_id),
            keyspace.LLM_REPORT.table.pk.encode(self.report.report_id),
            keyspace.INVOCATION.table.pk.encode(self.invocation.invocation_id),
        ]
        if self.login is not None:
            found.append(keyspace.LOGIN.table.pk.encode(self.login.login_id))
        if email.message_id is not None:
            hashed = keyspace.digest_of(email.message_id)
            found.append(keyspace.EMAIL_MESSAGE_ID.table.pk.encode(email.account_id, hashed))
        return found


def load_acs(factory: StoreFactory, sample: Sample, now: datetime) -> Acs:
    """Load the records of `acs`, moved in time so that none is expired or in the future."""
    rows = {table: found[0] for table, found in sample.records.items()}
    store = factory()
    by = _moved_by(store, rows, now)
    replay = Replay(factory, by)
    user = _user(replay, rows["Users"])
    login = _login(store, replay, rows["Sessions"], now)
    member = _member(replay, rows["Organizations"], rows["OrganizationMembers"])
    invite = _invite(store, replay, rows["OrganizationInvites"])
    email, thread = _email(replay, rows["Conversations"], rows["Threads"])
    calls = _Limits(store, now)
    return Acs(
        user=user,
        login=login,
        organization=store.organizations.get(member.organization_id, consistent=True),
        member=member,
        invite=invite,
        email=email,
        thread=thread,
        score=_score(replay, rows["EVDataCollection"]),
        ai_limit=calls.load("ai", rows["RL_AI"], "request_count", "function_calls"),
        aws_limit=calls.load("aws", rows["RL_AWS"], "aws_requests", "service_calls"),
        interaction=_interaction(replay, rows["LLMDataCollection"], email.account_id),
        report=_report(store, rows["LLMReportData"]),
        invocation=_invocation(replay, rows["Invocations"]),
        moved_by=by,
    )


def _moved_by(store: ChatStore, rows: Mapping[str, Row], now: datetime) -> timedelta:
    """How far to move the records: as far as at the first load, else to the latest past days."""
    row = rows["Users"]
    try:
        there = store.users.get(row["id"], consistent=True)
    except NotFound:
        return shift_to_live(rows, now)
    return there.created_at - datetime.fromisoformat(row["created_at"])


# -- identity, orgs -----------------------------------------------------------------------------


def _user(replay: Replay, row: Row) -> User:
    return replay.at(row["created_at"]).users.create(
        row["email"],
        user_id=row["id"],
        **_same(row, "name", "status", "role", "preferences", "organization_id"),
    )


def _login(store: ChatStore, replay: Replay, row: Row, now: datetime) -> LoginSession | None:
    for there in store.logins.list_active(row["user_id"]):
        return there
    ends = replay.moment(row["expires_at"])
    if ends <= now:
        return None
    opened = replay.at(row["created_at"]).logins.create(
        row["user_id"],
        lifetime=ends - replay.moment(row["created_at"]),
        **_same(row, "account_id", "ip_address", "user_agent", "metadata"),
    )
    return opened.login


def _member(replay: Replay, organization: Row, row: Row) -> Member:
    """Create the organization with its first owner, and return the document's member."""
    owner = row["invited_by"]
    replay.at(organization["created_at"]).users.create(_address_of(owner), user_id=owner)
    settings, billing = organization["settings"], organization["billing"]
    replay.at(organization["created_at"]).organizations.create(
        organization["name"],
        owner,
        **_same(organization, "organization_id", "domain", "status"),
        settings=OrganizationSettings(
            **{**settings, "storage_limit_gb": _exact(settings["storage_limit_gb"])}
        ),
        billing=Billing(
            plan=billing["plan"],
            next_billing_date=replay.moment(billing["next_billing_date"]),
            usage=Usage(
                emails_processed=billing["usage"]["emails_processed"],
                storage_used_gb=_exact(billing["usage"]["storage_used_gb"]),
            ),
        ),
    )
    place = (row["organization_id"], row["user_id"])
    replay.at(row["joined_at"]).members.add(
        *place,
        **_same(row, "role", "status", "permissions", "invited_by"),
        at=replay.moment(row["joined_at"]),
    )
    return replay.at(row["last_active"]).members.touch(*place)


def _address_of(owner_id: str) -> str:
    """A made-up address for a user of whom the document has only the id."""
    return f"{owner_id}@example.com"


def _invite(store: ChatStore, replay: Replay, row: Row) -> Invite:
    try:
        there = store.invites.get(row["invite_id"])
    except NotFound:
        pass
    else:
        if there.status == "accepted":
            return there
        store.invites.delete(there.invite_id)  # its token is lost
    issued = replay.at(row["timestamp"]).invites.create(
        row["organization_id"],
        row["email"],
        **_same(row, "invited_by", "role", "invite_id"),
        lifetime=replay.moment(row["expires_at"]) - replay.moment(row["timestamp"]),
    )
    then = replay.at(row["accepted_at"])
    invitee = then.users.create(row["email"], user_id=row["email"].partition("@")[0])
    then.invites.accept(issued.token, invitee.user_id)
    return then.invites.get(row["invite_id"])


# -- mail ---------------------------------------------------------------------------------------


def _email(replay: Replay, row: Row, thread: Row) -> tuple[EmailMessage, EmailThread]:
    store = replay.at(row["timestamp"])
    email = store.emails.add(
        row["conversation_id"],
        _made(
            NewEmail,
            row,
            account_id=row["associated_account"],
            timestamp=replay.moment(row["timestamp"]),
            **{**row["metadata"], "metadata": {}},
        ),
    )
    there = store.threads.get(email.conversation_id, consistent=True)
    if there.category is not None:
        return email, there
    changed = replay.at(thread["updated_at"]).threads.update(
        email.conversation_id,
        status=thread["status"],
        **thread["attributes"],
        **thread["ai_settings"],
    )
    return email, changed


def _score(replay: Replay, row: Row) -> EVScore:
    date = row["calculation_date"]
    return replay.at(date).scores.record(
        row["conversation_id"],
        row["ev_score"],
        **_same(row, "factors", "algorithm_version", "confidence_score"),
        **_same(row, "recommendations", "metadata"),
        at=replay.moment(date),
    )


# -- limits, telemetry --------------------------------------------------------------------------


class _Limits(NamedTuple):
    """Loads rate-limit windows unchanged: counting calls could not exceed the limit."""

    store: ChatStore
    now: datetime

    def load(self, resource: Resource, row: Row, count: str, parts: str) -> RateLimit:
        """Load the window, moved so that its last request was a minute ago."""
        last = datetime.fromisoformat(row["last_request"])
        by = (self.now - _MINUTE - last) // _MINUTE * _MINUTE
        window = _made(
            RateLimit,
            {"throttled_requests": 0, **row},
            account_id=row["associated_account"],
            resource=resource,
            window_start=datetime.fromisoformat(row["window_start"]) + by,
            window_end=datetime.fromisoformat(row["window_end"]) + by,
            request_count=row[count],
            breakdown=row["metadata"][parts],
            last_request=last + by,
        )
        self.store.rate_limits.load(window)
        return self.store.rate_limits.get(window.account_id, resource, consistent=True)


def _interaction(replay: Replay, row: Row, account_id: str) -> LLMInteraction:
    settings = row["metadata"]
    return replay.at(row["generated_at"]).llm.record(
        row["conversation_id"],
        _made(
            NewInteraction,
            row,
            account_id=account_id,
            function_name=_FUNCTION,
            quality_score=_exact(row["quality_score"]),
            generated_at=replay.moment(row["generated_at"]),
            interaction_id=row["conversation_id"],
            **{**settings, "cost_usd": _exact(settings["cost_usd"]), "metadata": {}},
        ),
    )


def _report(store: ChatStore, row: Row) -> LLMReport:
    period = Period.month(row["report_period"])
    report = _made(
        LLMReport,
        row,
        period_start=period.start,
        period_end=period.end,
        generated_at=datetime.fromisoformat(row["generated_at"]),
        model_usage={
            name: ModelUsage(**{**used, "cost": _exact(used["cost"])})
            for name, used in row["model_usage"].items()
        },
        **{
            name: _exact(row[name])
            for name in ("total_cost_usd", "average_response_time_ms", "average_quality_score")
        },
    )
    return store.reports.load(report)


def _invocation(replay: Replay, row: Row) -> Invocation:
    return replay.at(row["invoked_at"]).invocations.record(
        _made(
            NewInvocation,
            row,
            account_id=row["associated_account"],
            invoked_at=replay.moment(row["invoked_at"]),
            invocation_id=row["id"],
        )
    )


def _made(model: type[M], row: Row, **settled: Any) -> M:
    """A `model` of the row's fields with the same names, and the given other fields."""
    return model(**{**_same(row, *(model.model_fields.keys() & row.keys())), **settled})


def _same(row: Row, *names: str) -> dict[str, Any]:
    """The row's values of these names."""
    return {name: row[name] for name in names}


def _exact(number: float) -> Decimal:
    """The decimal number as written in the record."""
    return Decimal(str(number))
