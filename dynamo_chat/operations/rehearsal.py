"""Run a small version of a workload on the embedded engine, and measure its capacity."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from dynamo_chat.cases.playing import Player
from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import PLACES
from dynamo_chat.core.size import item_size
from dynamo_chat.mail.email import NewEmail
from dynamo_chat.operations import cost as costs
from dynamo_chat.operations.cost import STORED_ITEM_BYTES, Bill, Prices, Provision, Usage, Workload
from dynamo_chat.operations.prose import prose
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.engine import EmbeddedEngine
from dynamo_chat.testing.meter import totals

PAGE: Final = 20
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The measured usage of a workload."""

    usages: tuple[Usage, ...]
    stored_bytes: int
    """Bytes in the table and its indexes, for as many months as are kept."""


class _Measured:
    """Measures the capacity of each of the store's calls, and the stored bytes after it."""

    def __init__(self, player: Player) -> None:
        self.store = player.stage.store
        self._player = player
        self.usages: list[Usage] = []

    def call(self, what: str, times: int, *calls: Callable[[], Any]) -> Any:
        """Add a usage: the calls' average, `times` a month. Returns the last call's result."""
        taken = [self._player.take(call) for call in calls]
        records = [record for each in taken for record in each.records]
        writes, reads = (
            {place: Decimal(str(units)) / len(calls) for place, units in total.items()}
            for total in totals(records)
        )
        places = {
            place: (writes.get(place, _ZERO), reads.get(place, _ZERO))
            for place in writes.keys() | reads.keys()
        }
        all_writes, all_reads = sum(writes.values(), _ZERO), sum(reads.values(), _ZERO)
        pattern = records[0].pattern
        self.usages.append(Usage(what, times, all_writes, all_reads, pattern, places))
        return taken[-1].given

    def stored(self) -> int:
        """The bytes that DynamoDB would count: each item in the table and its indexes."""
        client = self.store.connection.client
        pages = client.get_paginator("scan").paginate(TableName=self.store.connection.table_name)
        total = 0
        for page in pages:
            for item in page["Items"]:
                held = sum(place.pk in item and place.sk in item for place in PLACES)
                total += held * (item_size(item) + STORED_ITEM_BYTES)
        return total


def rehearse(workload: Workload) -> Rehearsal:
    """Run one conversation, e-mail and call of the workload. Returns the usage of a month.

    Other items in the table don't change the cost of these calls. A conversation is opened when it
    is complete, and a list returns a full page: the most expensive cases.
    """
    # Nested engines share their tables, so this table has a unique name.
    name = f"rehearsal-{uuid.uuid4().hex}"
    with EmbeddedEngine() as engine:
        engine.store(name)

        def factory(table_name: str | None = None, **options: Any) -> ChatStore:
            return ChatStore(table_name or name, region=engine.region, **options)

        with Player(factory) as player:
            measured = _Measured(player)
            stored = _played(measured, workload)
        engine.client().delete_table(
            TableName=name
        )  # inside another engine, nobody else deletes it
    return Rehearsal(tuple(measured.usages), stored)


def _played(measured: _Measured, workload: Workload) -> int:
    """Run each part. Returns the bytes that all of them store. Parts that only read come last."""
    months, total = workload.retention_months, 0
    for number, play, kept in (
        (workload.conversations, _converse, months),
        (workload.emails, _mail, months),
        (workload.calls, _phone, months),
        (workload.users, _sign_in, 1),
    ):
        if number:
            before = measured.stored()
            play(measured, workload)
            total += (measured.stored() - before) * number * kept
    if workload.lists and workload.conversations:
        _list(measured, workload)
    return total


def _converse(measured: _Measured, workload: Workload) -> None:
    store, number = measured.store, workload.conversations
    talk = measured.call(
        "create a conversation", number, lambda: store.conversations.create("user-1")
    )
    turn = [
        NewMessage(role="user", content=prose(workload.question_bytes)),
        NewMessage(role="assistant", content=prose(workload.answer_bytes)),
    ]
    appends = [lambda: store.messages.append_turn(talk.conversation_id, turn)] * workload.turns
    measured.call("append a turn", number * workload.turns, *appends)
    if workload.opens:
        measured.call(
            "open a conversation",
            number * workload.opens,
            lambda: store.messages.latest_with_conversation(talk.conversation_id),
        )


def _list(measured: _Measured, workload: Workload) -> None:
    store = measured.store
    for _ in range(min(PAGE, workload.conversations) - 1):
        other = store.conversations.create("user-1").conversation_id
        question = NewMessage(role="user", content=prose(workload.question_bytes))
        store.messages.append(other, question)
    measured.call(
        "list conversations",
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
            "body": prose(workload.email_bytes),
        }
    )
    store = measured.store
    measured.call("add an e-mail", workload.emails, lambda: store.emails.add("mail-1", email))
    measured.call(
        "read a thread",
        workload.emails,
        lambda: store.emails.list_by_conversation("mail-1"),
    )


def _phone(measured: _Measured, workload: Workload) -> None:
    store = measured.store
    for user in ("caller-1", "caller-2"):
        store.callers.create(user)
    call = measured.call(
        "start a call",
        workload.calls,
        lambda: store.calls.start("caller-1", "caller-2"),
    )
    measured.call("end a call", workload.calls, lambda: store.calls.end(call.call_id))


def _sign_in(measured: _Measured, workload: Workload) -> None:
    """Run the reads of a profile, and the logins of a month."""
    store, opened = measured.store, workload.users * workload.sign_ins
    store.users.create("ada@example.com", user_id="user-1")
    if not opened:
        return
    # All logins of a month, because all are stored: a login lasts longer than a month.
    openings = [lambda: store.logins.create("user-1")] * workload.sign_ins
    login = measured.call("sign in", opened, *openings)
    measured.call("read a profile", opened, lambda: store.users.get("user-1"))
    if workload.checks:
        looked_up = opened * workload.checks
        measured.call("check a login", looked_up, lambda: store.logins.get(login.secret))
        measured.call("note a login's use", looked_up, lambda: store.logins.touch(login.secret))


def bills(workload: Workload, prices: Prices, provision: Provision | None = None) -> list[Bill]:
    """This package's bill on demand and with provisioned capacity, then the other designs' bills.

    All use the same prices. InvalidArgument if the embedded engine is not installed.
    """
    try:
        played = rehearse(workload)
    except ModuleNotFoundError as error:  # moto is looked for when its engine starts
        raise InvalidArgument(
            "cost", "needs the embedded engine: pip install 'dynamo_chat[cli,testing]'"
        ) from error
    taken = (played.usages, played.stored_bytes, prices)
    return [
        costs.bill(costs.OWN, *taken),
        costs.provisioned_bill(f"{costs.OWN}, provisioned", *taken, provision or Provision()),
        costs.embedded_list(workload, prices),
        costs.table_per_entity(workload, prices),
    ]
