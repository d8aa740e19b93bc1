"""Run a small version of a workload on the embedded engine, and measure its capacity."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, Final

from dynamo_chat.cases.playing import Player, Taken
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Scenario
from dynamo_chat.catalogue import Entry, catalogue
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
        self.stage = player.stage
        self.store = player.stage.store
        self._player = player
        self.usages: list[Usage] = []

    def call(self, what: str, times: int, *calls: Callable[[], Any]) -> Any:
        """Add a usage: the calls' average, `times` a month. Returns the last call's result."""
        taken = [self._player.take(call) for call in calls]
        self.add(what, times, taken)
        return taken[-1].given

    def take_by_turns(self, *calls: Sequence[Callable[[], Any]]) -> list[tuple[Taken, ...]]:
        """Run the first call of each sequence, then the second of each, and so on."""
        return [tuple(map(self._player.take, each)) for each in zip(*calls, strict=True)]

    def add(self, what: str, times: int, taken: Sequence[Taken]) -> None:
        """Add a usage: the average of what these calls took, `times` a month."""
        records = [record for each in taken for record in each.records]
        writes, reads = (
            {place: Decimal(str(units)) / len(taken) for place, units in total.items()}
            for total in totals(records)
        )
        places = {
            place: (writes.get(place, _ZERO), reads.get(place, _ZERO))
            for place in writes.keys() | reads.keys()
        }
        all_writes, all_reads = sum(writes.values(), _ZERO), sum(reads.values(), _ZERO)
        pattern = records[0].pattern
        self.usages.append(Usage(what, times, all_writes, all_reads, pattern, places))

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


def rehearse(
    workload: Workload, methods: Mapping[str, int] | None = None, store: type[ChatStore] = ChatStore
) -> Rehearsal:
    """Run one conversation, thread and call of the workload. Returns the usage of a month.

    Other items in the table don't change the cost of these calls. A conversation is opened when it
    is complete, and a list returns a full page: the most expensive cases. `methods` are further
    methods of the store, with their calls a month: the first case of each is run. InvalidArgument
    if the store has no such method, or no case for it.
    """
    chosen = [(*_case_of(store, method), times) for method, times in (methods or {}).items()]
    # Nested engines share their tables, so this table has a unique name.
    name = f"rehearsal-{uuid.uuid4().hex}"
    with EmbeddedEngine() as engine:
        engine.store(name)

        def factory(table_name: str | None = None, **options: Any) -> ChatStore:
            return store(table_name or name, region=engine.region, **options)

        with Player(factory) as player:
            measured = _Measured(player)
            stored = _played(measured, workload)
            for entry, scenario, times in chosen:
                stored += _own(measured, entry, scenario, times) * workload.retention_months
        engine.client().delete_table(
            TableName=name
        )  # inside another engine, nobody else deletes it
    return Rehearsal(tuple(measured.usages), stored)


def _played(measured: _Measured, workload: Workload) -> int:
    """Run each part. Returns the bytes that all of them store. Parts that only read come last."""
    months, total = workload.retention_months, 0
    thread = min(workload.thread_emails, workload.emails) or 1
    for number, play, kept in (
        (workload.conversations, _converse, months),
        (Fraction(workload.emails, thread), _mail, months),
        (workload.calls, _phone, months),
        (workload.users, _sign_in, 1),
    ):
        if number:
            before = measured.stored()
            play(measured, workload)
            total += int((measured.stored() - before) * number) * kept
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
    """Run a thread: its first e-mail, its follow-ups, and a read of all of it after each one."""
    store, emails, threads = measured.store, workload.emails, workload.threads
    size = min(workload.thread_emails, emails)
    adds = [
        partial(store.emails.add, "mail-1", _email(workload.email_bytes, number))
        for number in range(size)
    ]
    reads = [partial(store.emails.list_by_conversation, "mail-1")] * size
    opening, *following = measured.take_by_turns(adds, reads)
    measured.add("open a thread", threads, [opening[0]])
    if following:
        measured.add("add a follow-up", emails - threads, [added for added, _ in following])
    measured.add("read a thread", emails, [read for _, read in (opening, *following)])


def _email(size: int, number: int) -> NewEmail:
    return NewEmail.model_validate(
        {
            "account_id": "account-1",
            "sender_email": "ada@example.com",
            "recipient_email": "info@example.com",
            "message_id": f"<{number}@example.com>",
            "subject": "A question",
            "body": prose(size),
            "is_first_email": number == 0,
        }
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


def _case_of(store: type[ChatStore], method: str) -> tuple[Entry, Scenario]:
    """The catalogue's entry of a method, and its scenario."""
    entries = {entry.method: entry for entry in catalogue(store)}
    found = scenarios(store)
    if method not in entries:
        raise InvalidArgument("methods", f"{method}: there is no such method in {store.__name__}")
    if method not in found:
        raise InvalidArgument("methods", f"{method}: has no case in {store.__name__}.cases")
    return entries[method], found[method]


def _own(measured: _Measured, entry: Entry, scenario: Scenario, times: int) -> int:
    """Run the first case of a method. Returns the bytes that all calls of a month add."""
    case = next(iter(scenario(measured.stage)), None)
    if case is None:
        raise InvalidArgument("methods", f"{entry.method}: its case is empty")
    before = measured.stored()
    measured.call(entry.method, times, case.call)
    return max(0, measured.stored() - before) * times


def bills(
    workload: Workload,
    prices: Prices,
    provision: Provision | None = None,
    *,
    methods: Mapping[str, int] | None = None,
    store: type[ChatStore] = ChatStore,
) -> list[Bill]:
    """This package's bill on demand and with provisioned capacity, then the other designs' bills.

    All use the same prices. `methods` and `store` as for `rehearse`. InvalidArgument if the
    embedded engine is not installed.
    """
    try:
        played = rehearse(workload, methods, store)
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
