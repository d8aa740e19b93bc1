"""What the tests of mail, limits and telemetry share: a store, a clock, a look at everything."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any
from uuid import uuid4

import pytest

from dynamo_chat import (
    ChatStore,
    EmailSummary,
    EmailThread,
    NewEmail,
    RequestEvent,
    keyspace,
)
from dynamo_chat.core.addresses import MAX_ADDRESS_BYTES
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, PLACES
from dynamo_chat.mail.email import parse_minted
from dynamo_chat.mail.thread import MAX_PARTICIPANTS, thread_item
from dynamo_chat.testing import (
    DropAnswer,
    Engine,
    FakeClock,
    Fault,
    FaultInjector,
    Kill,
    Killed,
    StrictHook,
)

Item = Mapping[str, Any]
Address = tuple[str, str]
THREADS = 16


@dataclass(frozen=True)
class Scene:
    """A store on a table of its own, its clock, and a client that no hook looks at."""

    store: ChatStore
    clock: FakeClock
    client: Any

    def items(self) -> list[Item]:
        """Everything in the table."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.store.connection.table_name, ConsistentRead=True
        )
        return [item for page in pages for item in page["Items"]]

    def kinds(self) -> Counter[str]:
        """How many items there are of each kind."""
        return Counter(item[KIND]["S"] for item in self.items())


@contextmanager
def open_scene(engine: Engine, clock: FakeClock | None = None) -> Iterator[Scene]:
    """A scene on a fresh table, under the strict hook, which is checked at the end."""
    clock = FakeClock() if clock is None else clock
    store = engine.store(f"scene-{uuid4()}", clock=clock)
    scene = Scene(store, clock, _client(engine))
    try:
        with StrictHook(store.connection.client) as strict:
            yield scene
        assert not strict.violations
        assert_sound(scene)
    finally:
        scene.client.delete_table(TableName=store.connection.table_name)


@cache
def _client(engine: Engine) -> Any:
    return engine.client()


@pytest.fixture
def scene(dynamo_chat_engine: Engine) -> Iterator[Scene]:
    """A scene for one test; what it leaves in the table must be sound."""
    with open_scene(dynamo_chat_engine) as opened:
        yield opened


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore sends again at once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def new_email(**fields: Any) -> NewEmail:
    """An e-mail of account ``a-1``, with what the test does not care about."""
    usual = {
        "account_id": "a-1",
        "sender_email": "ann@example.com",
        "recipient_email": "bob@example.com",
        "subject": "Prices",
        "body": "What does it cost?",
    }
    return NewEmail(**{**usual, **fields})


def race(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the calls return, or the package's errors they raise, run by 16 threads at once."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except DynamoChatError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, calls))


def faults(requests: int) -> Iterator[tuple[int, Fault]]:
    """What can happen to an operation: death before it or after each request, each answer lost.

    Death before the next request leaves the table as death after this one does. A lost answer is
    followed by botocore's second try.
    """
    numbers = range(1, requests + 1)
    dead = ((number, Kill(after_sending=True)) for number in numbers)
    dropped = ((number, DropAnswer()) for number in numbers)
    return chain([(1, Kill())], dead, dropped)


def disturbed(scene: Scene, number: int, fault: Fault, call: Callable[[], object]) -> None:
    """Run `call`, which meets `fault` at this request; whatever it raises is lost with it."""
    with FaultInjector(scene.store.connection.client) as injector:
        injector.plan(fault, at=number)
        with suppress(Killed, DynamoChatError):
            call()
        assert injector.injected, f"the operation has no request number {number}"


def interrupted(scene: Scene, action: Callable[[], object], *, after: int = 1) -> ChatStore:
    """A store that lets somebody else act right after its request of this number."""
    seen: list[RequestEvent] = []

    def hook(event: RequestEvent) -> None:
        seen.append(event)
        if len(seen) == after:
            action()

    connection = scene.store.connection
    return ChatStore(
        connection.table_name,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
        clock=scene.clock,
        on_request=hook,
    )


# -- what must hold of the whole table, whatever happened ---------------------------------------


def assert_sound(scene: Scene) -> None:
    """Every thread is in step with its e-mails, and no item is without those it belongs to."""
    items = scene.items()
    for item in items:
        for place in PLACES:
            assert (place.pk in item) == (place.sk in item)
    of_conversation = defaultdict(list)
    for item in items:
        if keyspace.MAIL_PARTITION.matches(item["PK"]["S"]):
            of_conversation[item["PK"]["S"]].append(item)
    for partition in of_conversation.values():
        _assert_in_step(partition)
    _assert_helpers(items)


def _assert_in_step(partition: list[Item]) -> None:
    """The thread says of its e-mails what they say themselves."""
    kinds = Counter(item[KIND]["S"] for item in partition)
    emails = [
        plan(EmailSummary).decode(dict(item)) for item in partition if _is(item, keyspace.EMAIL)
    ]
    threads = [item for item in partition if _is(item, keyspace.EMAIL_THREAD)]
    if kinds[keyspace.EMAIL_THREAD_TOMBSTONE.kind]:
        assert not threads
        return
    assert len(threads) == bool(emails)
    assert kinds[keyspace.EMAIL_CONTENT.kind] == len(emails)
    assert threads or not kinds[keyspace.EV_SCORE.kind]
    for item in threads:
        thread = plan(EmailThread).decode(dict(item))
        assert thread.message_count == len(emails)
        assert thread.last_message_at == max(email.timestamp for email in emails)
        assert {email.account_id for email in emails} == {thread.account_id}
        assert {email.thread_id for email in emails} == {thread.thread_id}
        assert thread.participants == _participants(emails) or _is_full(thread)
        assert {name: item[name] for name in ("GSI1PK", "GSI1SK")} == {
            name: thread_item(thread)[name] for name in ("GSI1PK", "GSI1SK")
        }


def _participants(emails: list[EmailSummary]) -> set[str]:
    # The tests write addresses whose normal form is lower case.
    named = chain.from_iterable((email.sender_email, email.recipient_email) for email in emails)
    return {address.lower() for address in named if len(address) <= MAX_ADDRESS_BYTES}


def _is_full(thread: EmailThread) -> bool:
    return len(thread.participants) == MAX_PARTICIPANTS


def _assert_helpers(items: list[Item]) -> None:
    """Every id of an e-mail is kept, and nothing is kept of e-mails that are gone."""
    expected: Counter[Address] = Counter()
    for item in items:
        if not _is(item, keyspace.EMAIL):
            continue
        email = plan(EmailSummary).decode(dict(item))
        if parse_minted(email.response_id) is None:
            expected[_address(keyspace.EMAIL_RESPONSE_ID.key(**email.__dict__))] += 1
        if email.message_id is not None:
            fields = {**email.__dict__, "message_hash": keyspace.digest_of(email.message_id)}
            expected[_address(keyspace.EMAIL_MESSAGE_ID.key(**fields))] += 1
    deleting = {item["PK"]["S"] for item in items if _is(item, keyspace.EMAIL_THREAD_TOMBSTONE)}
    helpers = {keyspace.EMAIL_RESPONSE_ID.kind, keyspace.EMAIL_MESSAGE_ID.kind}
    found = Counter(_address(item) for item in items if item[KIND]["S"] in helpers)
    # While a thread is being deleted, ids in its own partition may go before or after the e-mail.
    differing = (expected - found) + (found - expected)
    assert {partition for partition, _ in differing} <= deleting


def _is(item: Item, layout: Any) -> bool:
    return bool(item[KIND]["S"] == layout.kind)


def _address(item: Item) -> Address:
    return item["PK"]["S"], item["SK"]["S"]
