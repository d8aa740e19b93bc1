"""One of everything: an item of each kind of the key space, made through the repositories.

    made = populate(store)
    store.messages.get(made.conversation_id, made.message_id)

Examples of stored items, the doctor's tests, the fuzzing and the tests of tenancy start from it. A
new entity adds its line to the function of its domain; a test names the kinds that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from dynamo_chat.calls.ticket import CallQueue
from dynamo_chat.chat.message import Feedback, NewMessage
from dynamo_chat.core.keys import format_time
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.keyspace import (
    CONVERSATION_TOMBSTONE,
    EMAIL_THREAD_TOMBSTONE,
    ORGANIZATION_TOMBSTONE,
    PROBE,
    USER_TOMBSTONE,
)
from dynamo_chat.mail.email import NewEmail
from dynamo_chat.store import ChatStore
from dynamo_chat.telemetry.invocations import NewInvocation
from dynamo_chat.telemetry.llm import NewInteraction

TITLE: Final = "Renders"
PERIOD: Final = "2026-01"
PERIODS: Final = (PERIOD, "2025-12", "2025-11")
QUEUE: Final = CallQueue("night")
LONG: Final = "It was a dark and stormy night. " * 60
"""Text that is stored compressed."""
LATE: Final = datetime(2100, 1, 1, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Everything:
    """The ids of what belongs to one user, their account and their organization."""

    user_id: str
    friend_id: str
    """An inactive member of the organization, and the other side of the calls."""
    partner_id: str
    """The organization's second owner, who waits in a queue."""
    account_id: str
    organization_id: str
    conversation_id: str
    sliding_id: str
    """A conversation whose expiry slides."""
    message_id: str
    """Minted by the store."""
    brought_id: str
    """A message id that the caller supplied."""
    review_id: str
    """The id of an archived review."""
    thread_id: str
    """The conversation of the e-mail thread."""
    response_id: str
    """Minted by the store."""
    brought_response_id: str
    """A response id that the caller supplied."""
    rfc_id: str
    """A Message-ID."""
    invite_id: str
    token: str
    login: LoginSession | None
    """None if there is none."""
    secret: str
    report_id: str
    invocation_id: str
    interaction_id: str
    """Of the latest LLM interaction of the e-mail thread."""
    interaction_at: datetime
    call_id: str
    """The id of a live call."""
    room_name: str

    @classmethod
    def named(cls, name: str) -> Everything:
        """The ids of the user `name`, whether anything is stored under them or not."""
        ulid = "01KF0000000000000000000000"
        moment = "2026-01-15T12:00:00.000000Z"
        return cls(
            user_id=name,
            friend_id=f"friend-{name}",
            partner_id=f"partner-{name}",
            account_id=f"account-{name}",
            organization_id=f"org-{name}",
            conversation_id=f"talk-{name}",
            sliding_id=f"talk-{name}-1",
            message_id=f"talk-{name}~{ulid}",
            brought_id=f"message-{name}",
            review_id=f"review-{name}",
            thread_id=f"mail-{name}",
            response_id=f"mail-{name}~{moment}~{ulid}",
            brought_response_id=f"response-{name}",
            rfc_id=f"<{name}@example.com>",
            invite_id=f"invite-{name}",
            token=f"token-of-the-invite-{name}",
            login=None,
            secret=f"secret-of-the-login-{name}",
            report_id="0" * 64,
            invocation_id=f"invocation-{name}",
            interaction_id=ulid,
            interaction_at=datetime(2026, 1, 15, 12, tzinfo=UTC),
            call_id=f"call-{name}",
            room_name=f"room-{name}",
        )


def populate(store: ChatStore, name: str = "ann", *, entries: int = 1) -> Everything:
    """Fill `store` with everything that the user `name` can have, and return its ids.

    Each list has at least `entries` entries (up to 3). With the same clock and the same source of
    ids, the same items are made each time.
    """
    ids = Everything.named(name)
    for make in (_identity, _chat, _orgs, _mail, _limits, _telemetry, _calls):
        ids = make(store, ids, entries)
    return ids


DELETIONS: Final[Mapping[str, Callable[[ChatStore, Everything], object]]] = {
    CONVERSATION_TOMBSTONE.kind: lambda s, ids: s.conversations.delete(ids.conversation_id),
    USER_TOMBSTONE.kind: lambda s, ids: s.users.delete(ids.friend_id),
    ORGANIZATION_TOMBSTONE.kind: lambda s, ids: s.organizations.delete(ids.organization_id),
    EMAIL_THREAD_TOMBSTONE.kind: lambda s, ids: s.threads.delete(ids.thread_id),
}
"""By the kind of a tombstone, the deletion during which it exists."""

NOT_MADE: Final[Mapping[str, str]] = {
    **dict.fromkeys(DELETIONS, "there only while something is being deleted"),
    PROBE.kind: "written and deleted by one test of access",
}
"""The kinds that `populate` leaves out, and why."""


def _identity(store: ChatStore, ids: Everything, entries: int) -> Everything:
    name = ids.user_id
    store.users.create(f"{name}@example.com", user_id=name, response_email=f"r-{name}@example.com")
    store.users.set_password_hash(name, "$argon2id$v=19$m=65536$c2FsdA$aGFzaA")
    for other in (ids.friend_id, ids.partner_id):
        store.users.create(f"{other}@example.com", user_id=other)
    for place in range(entries):
        store.activity.record(name, "signed in", details={"place": place}, expires_at=LATE)
    opened = store.logins.create(name, account_id=ids.account_id, secret=ids.secret)
    for _ in range(1, entries):
        store.logins.create(name, lifetime=timedelta(days=1))
    return replace(ids, login=opened.login)


def _chat(store: ChatStore, ids: Everything, entries: int) -> Everything:
    talk, name = ids.conversation_id, ids.user_id
    store.conversations.create(name, conversation_id=talk, title=TITLE, preferences={"tone": "dry"})
    first = store.messages.append(talk, NewMessage(role="user", content="Hi"))
    for answer in (
        NewMessage(role="assistant", content=LONG, message_id=ids.brought_id),
        NewMessage(role="user", content="4K?"),
        NewMessage(role="assistant", content="", message_id=f"s-{name}", is_streaming=True),
    ):
        store.messages.append(talk, answer)
    with store.messages.stream(talk, message_id=f"stopped-{name}") as stopped:
        stopped.write("Let me")
        stopped.cancel()
    store.messages.stream(talk, message_id=f"live-{name}").checkpoint()
    for rated in (first.message_id, ids.brought_id):
        feedback = Feedback(type="positive", rank=5, category="taste")
        store.messages.give_feedback(talk, rated, feedback)
    store.states.save(talk, {"step": 1})
    for review in _numbered(ids.review_id, 2 * entries - 1):
        store.reviews.create(talk, name, review_id=review, comments="Good")
    store.reviews.archive(ids.review_id)
    # -- one that expires, and an empty one
    store.conversations.create(
        name,
        conversation_id=ids.sliding_id,
        title=TITLE,
        retention=timedelta(days=30),
        sliding=True,
        keep_last=10_000,
        preferences={"tone": "dry"},
    )
    said = [
        store.messages.append(ids.sliding_id, NewMessage(role="user", content=f"No. {place}"))
        for place in range(3)
    ]
    store.messages.delete(ids.sliding_id, said[-1].message_id)
    store.conversations.create(ids.friend_id, conversation_id=f"empty-{name}")
    # -- one that had another owner, and would get no title
    given = f"given-{name}"
    store.conversations.create(ids.partner_id, conversation_id=given, title=TITLE, auto_title=False)
    store.conversations.give_to(given, ids.friend_id)
    return replace(ids, message_id=first.message_id)


def _orgs(store: ChatStore, ids: Everything, entries: int) -> Everything:
    for organization in _numbered(ids.organization_id, entries):
        store.organizations.create(ids.user_id, ids.user_id, organization_id=organization)
    store.members.add(ids.organization_id, ids.friend_id)
    store.members.update(ids.organization_id, ids.friend_id, status="inactive")
    store.members.add(ids.organization_id, ids.partner_id, role="owner")
    for invite in _numbered(ids.invite_id, entries):
        store.invites.create(
            ids.organization_id,
            f"new-{ids.user_id}@example.com",
            invited_by=ids.user_id,
            invite_id=invite,
            token=ids.token if invite == ids.invite_id else None,
        )
    return ids


def _mail(store: ChatStore, ids: Everything, entries: int) -> Everything:
    start = store.users.get(ids.user_id).created_at
    first = store.emails.add(
        ids.thread_id,
        _email(ids, subject=TITLE, body="Hello", message_id=ids.rfc_id, timestamp=start),
    )
    store.emails.add(
        ids.thread_id,
        _email(
            ids,
            body=LONG,
            response_id=ids.brought_response_id,
            message_id=f"<second-{ids.user_id}@example.com>",
            timestamp=start + SECOND,
        ),
    )
    for thread in _numbered(ids.thread_id, entries):
        store.emails.add(thread, _email(ids, body="Again", timestamp=start + 2 * SECOND))
    for place in range(entries):
        store.scores.record(ids.thread_id, 0.5, at=start + place * SECOND)
    return replace(ids, response_id=first.response_id)


def _email(
    ids: Everything,
    *,
    timestamp: datetime,
    body: str,
    subject: str = "",
    response_id: str | None = None,
    message_id: str | None = None,
) -> NewEmail:
    return NewEmail(
        account_id=ids.account_id,
        sender_email=f"{ids.user_id}@example.com",
        recipient_email="desk@example.com",
        timestamp=timestamp,
        body=body,
        subject=subject,
        response_id=response_id,
        message_id=message_id,
    )


def _limits(store: ChatStore, ids: Everything, _: int) -> Everything:
    store.rate_limits.count(ids.account_id, "ai", "answer")
    counted = store.rate_limits.count(
        ids.account_id, "tokens", "answer", amount=9, limit=100, sliding=True
    )
    before = format_time(counted.window_start)  # the end of the part before
    store.rate_limits.load(
        counted.model_copy(
            update={
                "resource": "searches",
                "request_count": 12,
                "earlier": {before: 3},
                "refunds": 1,
            }
        )
    )
    return ids


def _telemetry(store: ChatStore, ids: Everything, entries: int) -> Everything:
    for invocation in _numbered(ids.invocation_id, entries):
        made = store.llm.record(ids.thread_id, _interaction(ids))
        ids = replace(ids, interaction_id=made.interaction_id, interaction_at=made.generated_at)
        store.invocations.record(
            NewInvocation(
                account_id=ids.account_id,
                function_name="answer",
                invocation_id=invocation,
                duration_ms=Decimal(5),
                status="success",
            )
        )
    # -- of a chat conversation: the one that expires
    store.llm.record(ids.sliding_id, _interaction(ids))
    (report, *_) = [store.reports.build(ids.account_id, each) for each in PERIODS[:entries]]
    return replace(ids, report_id=report.report_id)


def _interaction(ids: Everything) -> NewInteraction:
    return NewInteraction(
        account_id=ids.account_id,
        function_name="answer",
        model_used="m",
        prompt="Hi",
        prompt_tokens=1,
        response_tokens=1,
        response_time_ms=5,
    )


def _calls(store: ChatStore, ids: Everything, _: int) -> Everything:
    for caller in (ids.user_id, ids.friend_id, ids.partner_id):
        store.callers.create(caller)
    older = store.calls.start(ids.user_id, ids.friend_id, room_name=f"{ids.room_name}-1")
    # A duration of 0 would be returned as 0.0 or as 0, depending on the engine.
    store.calls.end(older.call_id, at=older.started_at + timedelta(minutes=1.5))
    store.calls.start(
        ids.user_id, ids.friend_id, call_id=ids.call_id, room_name=ids.room_name, cost=2
    )
    store.queue.join(ids.partner_id, QUEUE, keep_for=timedelta(days=1))
    return ids


def _numbered(first: str, count: int) -> list[str]:
    """`first`, and more ids like it."""
    return [first, *(f"{first}-{place}" for place in range(1, count))]
