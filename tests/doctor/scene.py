"""A table with everything in it: each kind of item, written by the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from dynamo_chat import (
    CallQueue,
    ChatStore,
    Feedback,
    NewEmail,
    NewInteraction,
    NewInvocation,
    NewMessage,
)
from dynamo_chat.core.item import helper_item
from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.keyspace import PROBE
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import FakeClock, StrictHook
from tests.scene import Scene

DAY = timedelta(days=1)
LOGIN_SECRET = "a-secret-that-nobody-guesses"
TOKEN = "a-token-that-nobody-guesses"


def furnish(scene: Scene, store: ChatStore) -> None:
    """Something of every domain."""
    _chat(store, scene.clock)
    _people(store)
    _mail(store)
    _calls(store)
    store.rate_limits.count("account-1", "ai", "generate_email")
    scene.put(
        helper_item(
            PROBE,
            {"probe_id": "probe-1"},
            GSI1,
            GSI2,
            expires_at=scene.clock() + timedelta(hours=1),
        )
    )


def _chat(store: ChatStore, clock: FakeClock) -> None:
    talk = store.conversations.create(
        "ann", conversation_id="talk", title="Films", preferences={"tone": "dry"}
    ).conversation_id
    long = "It was a dark and stormy night. " * 60
    store.messages.append(talk, NewMessage(role="user", content=long, message_id="m-1"))
    clock.advance(1)
    reply = store.messages.append(talk, NewMessage(role="assistant", content="Alien"))
    rated = Feedback(type="positive", rank=5, category="taste")
    store.messages.give_feedback(talk, reply.message_id, rated)
    store.states.save(talk, {"step": 3})
    store.reviews.create(talk, "boss", review_id="review-1", comments="Good")
    store.reviews.archive("review-1")
    kept = store.conversations.create(
        "ann", conversation_id="kept", retention=30 * DAY, sliding=True
    ).conversation_id
    for number in range(3):
        store.messages.append(kept, NewMessage(role="user", content=f"No. {number}"))
    store.messages.delete(kept, store.messages.latest(kept, 1)[0].message_id)
    store.conversations.create("bob", conversation_id="empty")


def _people(store: ChatStore) -> None:
    for name in ("ann", "bob", "cleo"):
        store.users.create(f"{name}@example.org", user_id=name)
    store.users.change_addresses("ann", response_email="Ann@Answers.example")
    store.activity.record("ann", "logged_in")
    store.logins.open("ann", secret=LOGIN_SECRET)
    store.organizations.create("Example", "ann", organization_id="org")
    store.members.add("org", "bob")
    store.members.update("org", "bob", status="inactive")
    store.members.add("org", "cleo", role="owner")
    store.invites.create(
        "org", "dan@example.org", invited_by="ann", invite_id="invite-1", token=TOKEN
    )


def _mail(store: ChatStore) -> None:
    for number in range(2):
        store.emails.add(
            "mail",
            NewEmail(
                account_id="account-1",
                sender_email="ann@example.org",
                recipient_email="us@example.org",
                body=f"Hello {number}",
                message_id=f"<{number}@example.org>",
                response_id=f"r-{number}",
            ),
        )
    store.scores.record("mail", 0.5)
    store.llm.record(
        "mail",
        NewInteraction(
            account_id="account-1",
            function_name="generate_email",
            model_used="small",
            prompt_tokens=10,
            response_tokens=20,
            response_time_ms=300,
            prompt="Say hello",
        ),
    )
    store.reports.build("account-1", "2024-01")
    store.invocations.record(
        NewInvocation(
            account_id="account-1", function_name="send", status="success", duration_ms=Decimal(12)
        )
    )


def _calls(store: ChatStore) -> None:
    for name in ("ann", "bob", "cleo"):
        store.callers.create(name)
    store.calls.end(store.calls.start("ann", "bob", call_id="call-0").call_id)
    store.calls.start("ann", "bob", call_id="call-1", room_name="room-1", cost=2)
    store.queue.join("cleo", CallQueue("night"), keep_for=timedelta(days=1))


@contextmanager
def doctor_of(scene: Scene, **options: Any) -> Iterator[Doctor]:
    """A doctor at the scene's table and time, who does not wait. Its requests are checked."""
    connection = scene.new_store().connection
    settings = DoctorOptions(**{"settle_seconds": 0, **options})
    made = Doctor(connection, settings, clock=scene.clock)
    with StrictHook(made._connection.client, allow_scan=True) as strict:
        yield made
    if strict.violations:
        raise strict.violations[0]
