"""All that one user, account and organization can have in a store: one thing of every kind."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from dynamo_chat import Feedback, NewEmail, NewInteraction, NewInvocation, NewMessage
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.store import ChatStore

TITLE: Final = "Renders"
PERIOD: Final = "2026-01"


@dataclass(frozen=True, slots=True)
class Estate:
    """The ids of what belongs to one user. Of each list there are `ENTRIES` entries or more."""

    user_id: str
    account_id: str
    organization_id: str
    conversation_id: str
    message_id: str
    """The store's own."""
    brought_id: str
    """A message id of the caller's."""
    review_id: str
    thread_id: str
    """The conversation of the e-mail thread."""
    response_id: str
    brought_response_id: str
    rfc_id: str
    """A Message-ID."""
    invite_id: str
    token: str
    login: LoginSession | None
    """None where nobody has one."""
    secret: str
    report_id: str
    invocation_id: str
    call_id: str
    room_name: str


ENTRIES: Final = 2


def nobodys(name: str) -> Estate:
    """The ids that nothing has, in the same form."""
    ulid = "01KF0000000000000000000000"
    moment = "2026-01-15T12:00:00.000000Z"
    return Estate(
        user_id=name,
        account_id=f"account-{name}",
        organization_id=f"org-{name}",
        conversation_id=f"talk-{name}",
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
        call_id=f"call-{name}",
        room_name=f"room-{name}",
    )


def settled(store: ChatStore, name: str) -> Estate:
    """Fill `store` with what belongs to the user `name`."""
    ids = nobodys(name)
    now = store._binding.clock()  # noqa: SLF001 - the same clock
    store.users.create(f"{name}@example.com", user_id=name, response_email=f"r-{name}@example.com")
    store.users.create(f"friend-{name}@example.com", user_id=f"friend-{name}")
    for place in range(ENTRIES):
        store.activity.record(name, f"signed in {place}")
    opened = store.logins.open(name, account_id=ids.account_id, secret=ids.secret)
    store.logins.open(name, lifetime=timedelta(days=1))
    # -- chat
    for place in range(ENTRIES):
        identity = ids.conversation_id if place == 0 else f"{ids.conversation_id}-{place}"
        store.conversations.create(name, conversation_id=identity, title=TITLE)
    talk = ids.conversation_id
    first = store.messages.append(talk, NewMessage(role="user", content="Hi"))
    store.messages.append(
        talk, NewMessage(role="assistant", content="Hi!", message_id=ids.brought_id)
    )
    store.messages.append(talk, NewMessage(role="user", content="4K?"))
    store.messages.append(
        talk, NewMessage(role="assistant", content="", message_id=f"s-{name}", is_streaming=True)
    )
    for each in (first.message_id, ids.brought_id):
        store.messages.give_feedback(talk, each, Feedback(type="positive", rank=5))
    store.states.save(talk, {"step": 1})
    for place in range(ENTRIES):
        review = ids.review_id if place == 0 else f"{ids.review_id}-{place}"
        store.reviews.create(talk, name, review_id=review)
    # -- mail and telemetry
    minted = ""
    for place in range(ENTRIES + 1):
        said = NewEmail(
            account_id=ids.account_id,
            sender_email=f"{name}@example.com",
            recipient_email="desk@example.com",
            subject="Renders",
            body="Hello",
            timestamp=now + timedelta(seconds=place),
            response_id=ids.brought_response_id if place == 1 else None,
            message_id=ids.rfc_id if place == 0 else None,
        )
        added = store.emails.add(ids.thread_id, said)
        minted = minted or added.response_id
    store.emails.add(
        f"{ids.thread_id}-1",
        NewEmail(
            account_id=ids.account_id,
            sender_email=f"{name}@example.com",
            recipient_email="desk@example.com",
            body="Again",
        ),
    )
    for place in range(ENTRIES):
        store.scores.record(ids.thread_id, 0.5, calculation_date=now + timedelta(seconds=place))
        store.llm.record(
            ids.thread_id,
            NewInteraction(
                account_id=ids.account_id,
                function_name="answer",
                model_used="m",
                prompt="Hi",
                prompt_tokens=1,
                response_tokens=1,
                response_time_ms=5,
            ),
        )
        invocation = ids.invocation_id if place == 0 else f"{ids.invocation_id}-{place}"
        store.invocations.record(
            NewInvocation(
                account_id=ids.account_id,
                function_name="answer",
                invocation_id=invocation,
                duration_ms=Decimal(5),
                status="success",
            )
        )
    report = store.reports.build(ids.account_id, PERIOD)
    store.reports.build(ids.account_id, "2025-12")
    store.rate_limits.count(ids.account_id, "ai", "answer")
    # -- orgs
    for place in range(ENTRIES):
        organization = ids.organization_id if place == 0 else f"{ids.organization_id}-{place}"
        store.organizations.create(name, name, organization_id=organization)
    store.members.add(ids.organization_id, f"friend-{name}")
    for place in range(ENTRIES):
        store.invites.create(
            ids.organization_id,
            f"new-{name}@example.com",
            invited_by=name,
            invite_id=ids.invite_id if place == 0 else f"{ids.invite_id}-{place}",
            token=ids.token if place == 0 else None,
        )
    # -- calls
    for each in (name, f"friend-{name}"):
        store.callers.create(each)
    older = store.calls.start(name, f"friend-{name}", room_name=f"{ids.room_name}-1")
    store.calls.end(older.call_id)
    call = store.calls.start(name, f"friend-{name}", call_id=ids.call_id, room_name=ids.room_name)
    return Estate(
        user_id=name,
        account_id=ids.account_id,
        organization_id=ids.organization_id,
        conversation_id=talk,
        message_id=first.message_id,
        brought_id=ids.brought_id,
        review_id=ids.review_id,
        thread_id=ids.thread_id,
        response_id=minted,
        brought_response_id=ids.brought_response_id,
        rfc_id=ids.rfc_id,
        invite_id=ids.invite_id,
        token=ids.token,
        login=opened.login,
        secret=ids.secret,
        report_id=report.report_id,
        invocation_id=ids.invocation_id,
        call_id=call.call_id,
        room_name=call.room_name,
    )
