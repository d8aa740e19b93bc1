"""A workload in small, on the embedded engine: what each of its patterns takes is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.layout import PLACES
from dynamo_chat.core.size import item_size
from dynamo_chat.mail.email import NewEmail
from dynamo_chat.operations.cost import Usage, Workload
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.clock import FakeClock
from dynamo_chat.testing.engine import EmbeddedEngine
from dynamo_chat.testing.meter import RequestMeter

PAGE: Final = 20
_STORED_ITEM_BYTES: Final = 100
"""What DynamoDB adds to each item, in the table and in each index, when it counts storage."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the workload takes."""

    usages: tuple[Usage, ...]
    stored_bytes: int
    """In the table and its indexes, of as many months as are kept."""


class _Measured:
    """Counts what each of the store's calls takes, and how much is stored after it."""

    def __init__(self, store: ChatStore, meter: RequestMeter, clock: FakeClock) -> None:
        self.store = store
        self._meter = meter
        self._clock = clock
        self.usages: list[Usage] = []

    def call(self, what: str, pattern: str, times: int, *calls: Callable[[], Any]) -> Any:
        """One usage: `times` a month what these calls take on average. The last one's result."""
        writes = reads = Decimal(0)
        result = None
        for call in calls:
            self._clock.advance(timedelta(seconds=1))
            self._meter.reset()
            result = call()
            writes += Decimal(str(self._meter.wcu))
            reads += Decimal(str(self._meter.rcu))
        mean = Decimal(len(calls))
        self.usages.append(Usage(what, times, writes / mean, reads / mean, pattern))
        return result

    def stored(self) -> int:
        """Bytes that DynamoDB would count: each item in the table and in every index it is in."""
        client = self.store.connection.client
        pages = client.get_paginator("scan").paginate(TableName=self.store.connection.table_name)
        total = 0
        for page in pages:
            for item in page["Items"]:
                held = sum(place.pk in item and place.sk in item for place in PLACES)
                total += held * (item_size(item) + _STORED_ITEM_BYTES)
        return total


def rehearse(workload: Workload) -> Rehearsal:
    """Play one conversation, e-mail and call of the workload; what all of them take in a month.

    Everything else in the table is other users': it changes the cost of none of these calls. A
    conversation is opened when it is complete, and a list shows a full page: the dearest cases.
    """
    clock = FakeClock()
    with EmbeddedEngine() as engine:
        store = engine.store("rehearsal", clock=clock)
        with RequestMeter(store.connection.client) as meter:
            measured = _Measured(store, meter, clock)
            _converse(measured, workload)
            stored = measured.stored() * workload.conversations
            if workload.emails:
                before = measured.stored()
                _mail(measured, workload)
                stored += (measured.stored() - before) * workload.emails
            if workload.calls:
                before = measured.stored()
                _phone(measured, workload)
                stored += (measured.stored() - before) * workload.calls
            if workload.lists:
                _list(measured, workload)
    return Rehearsal(tuple(measured.usages), stored * workload.retention_months)


def _converse(measured: _Measured, workload: Workload) -> None:
    store, number = measured.store, workload.conversations
    talk = measured.call(
        "create a conversation", "C1", number, lambda: store.conversations.create("user-1")
    )
    turn = [
        NewMessage(role="user", content="q" * workload.question_bytes),
        NewMessage(role="assistant", content="a" * workload.answer_bytes),
    ]
    appends = [lambda: store.messages.append_turn(talk.conversation_id, turn)] * workload.turns
    measured.call("append a turn", "C7", number * workload.turns, *appends)
    if workload.opens:
        measured.call(
            "open a conversation",
            "C8",
            number * workload.opens,
            lambda: store.messages.open(talk.conversation_id),
        )


def _list(measured: _Measured, workload: Workload) -> None:
    store = measured.store
    for _ in range(min(PAGE, workload.conversations) - 1):
        other = store.conversations.create("user-1").conversation_id
        store.messages.append(other, NewMessage(role="user", content="q" * workload.question_bytes))
    measured.call(
        "list conversations",
        "C4",
        workload.conversations * workload.lists,
        lambda: store.conversations.list_by_activity("user-1", page_size=PAGE),
    )


def _mail(measured: _Measured, workload: Workload) -> None:
    email = NewEmail.model_validate(
        {
            "account_id": "account-1",
            "sender_email": "ada@example.com",
            "recipient_email": "info@example.com",
            "message_id": "<1@example.com>",
            "subject": "A question",
            "body": "e" * workload.email_bytes,
        }
    )
    store = measured.store
    measured.call("add an e-mail", "M1", workload.emails, lambda: store.emails.add("mail-1", email))
    measured.call(
        "read a thread",
        "M2",
        workload.emails,
        lambda: store.emails.list_by_conversation("mail-1"),
    )


def _phone(measured: _Measured, workload: Workload) -> None:
    store = measured.store
    for user in ("caller-1", "caller-2"):
        store.callers.create(user)
    call = measured.call(
        "start a call",
        "P6",
        workload.calls,
        lambda: store.calls.start("caller-1", "caller-2"),
    )
    measured.call("end a call", "P6", workload.calls, lambda: store.calls.end(call.call_id))
