"""What the tests of mail, limits and telemetry share: an e-mail, and what must hold."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest

from dynamo_chat import EmailSummary, EmailThread, NewEmail, keyspace
from dynamo_chat.core.addresses import MAX_ADDRESS_BYTES
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, PLACES
from dynamo_chat.mail.email import parse_minted
from dynamo_chat.mail.thread import MAX_PARTICIPANTS
from dynamo_chat.testing import Engine, FakeClock
from tests.scene import Item, Scene, address

Address = tuple[str, str]


@contextmanager
def open_scene(engine: Engine, clock: FakeClock | None = None) -> Iterator[Scene]:
    """A scene whose table must be sound at the end."""
    with Scene(engine, clock) as scene:
        yield scene
        assert_sound(scene)


@pytest.fixture
def scene(scene: Scene) -> Iterator[Scene]:
    """A scene for one test; what it leaves in the table must be sound."""
    yield scene
    assert_sound(scene)


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
    emails = [plan(EmailSummary).decode(item) for item in partition if _is(item, keyspace.EMAIL)]
    threads = [item for item in partition if _is(item, keyspace.EMAIL_THREAD)]
    if kinds[keyspace.EMAIL_THREAD_TOMBSTONE.kind]:
        assert not threads
        return
    assert len(threads) == bool(emails)
    assert kinds[keyspace.EMAIL_CONTENT.kind] == len(emails)
    assert threads or not kinds[keyspace.EV_SCORE.kind]
    for item in threads:
        thread = plan(EmailThread).decode(item)
        assert thread.message_count == len(emails)
        assert thread.last_message_at == max(email.timestamp for email in emails)
        assert {email.account_id for email in emails} == {thread.account_id}
        assert {email.thread_id for email in emails} == {thread.thread_id}
        assert thread.participants == _participants(emails) or _is_full(thread)
        assert {name: item[name] for name in ("GSI1PK", "GSI1SK")} == {
            name: plan(EmailThread).encode(thread)[name] for name in ("GSI1PK", "GSI1SK")
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
        email = plan(EmailSummary).decode(item)
        if parse_minted(email.response_id) is None:
            expected[address(keyspace.EMAIL_RESPONSE_ID.key(**email.__dict__))] += 1
        if email.message_id is not None:
            fields = {**email.__dict__, "message_hash": keyspace.digest_of(email.message_id)}
            expected[address(keyspace.EMAIL_MESSAGE_ID.key(**fields))] += 1
    deleting = {item["PK"]["S"] for item in items if _is(item, keyspace.EMAIL_THREAD_TOMBSTONE)}
    helpers = {keyspace.EMAIL_RESPONSE_ID.kind, keyspace.EMAIL_MESSAGE_ID.kind}
    found = Counter(address(item) for item in items if item[KIND]["S"] in helpers)
    # While a thread is being deleted, ids in its own partition may go before or after the e-mail.
    differing = (expected - found) + (found - expected)
    assert {partition for partition, _ in differing} <= deleting


def _is(item: Item, layout: Any) -> bool:
    return bool(item[KIND]["S"] == layout.kind)
