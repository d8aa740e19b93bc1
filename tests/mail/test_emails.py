"""E-mails: added in any order, found in every documented way (M1–M7)."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import EmailMessage, NewEmail
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    InvalidArgument,
    InvalidCursor,
    ItemTooLarge,
    NotFound,
)
from dynamo_chat.core.size import item_size, write_units
from dynamo_chat.mail.email import parse_minted
from dynamo_chat.mail.thread import MAX_PARTICIPANTS
from dynamo_chat.testing import RequestMeter
from tests.mail.scenes import new_email
from tests.scene import Scene

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)


def noise(characters: int) -> str:
    """Text that compression hardly makes smaller."""
    dice = random.Random(characters)
    return "".join(chr(dice.randrange(0x4E00, 0x9FFF)) for _ in range(characters))


def test_an_email_comes_back_with_every_attribute(scene: Scene) -> None:
    sent = datetime(2024, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
    body = "Dear Bob,\n\n  what does it cost?\n" + "x" * 300
    new = NewEmail(
        account_id="account-uuid",
        sender_email="sender@example.com",
        recipient_email="recipient@example.com",
        subject="Email Subject",
        body=body,
        timestamp=sent,
        message_id="<msg-uuid@example.com>",
        response_id="response-uuid",
        is_first_email=True,
        thread_id="thread-uuid",
        status="processed",
        ai_response="Generated AI response",
        ev_score=0.85,
        spam_score=0.1,
        headers={"Received": ["one", "two"], "X-Odd": None},
        attachments=[{"name": "a.pdf", "size": 10**20}],
        metadata={"source": "imap", "": {"deep": [1.5, True]}},
    )
    made = scene.store.emails.add("conv-uuid", new)
    assert isinstance(made, EmailMessage)
    said = {name: getattr(made, name) for name in NewEmail.model_fields}
    assert said == new.__dict__
    assert made.conversation_id == "conv-uuid"
    assert made.body_length == len(body)
    assert made.preview == ("Dear Bob, what does it cost? " + "x" * 300)[:100]
    assert scene.store.emails.get("conv-uuid", "response-uuid", consistent=True) == made
    assert scene.store.emails.get_by_response_id("response-uuid") == made
    assert scene.store.emails.list_by_conversation("conv-uuid").items == (made,)
    summary = scene.store.emails.get_by_message_id("account-uuid", "<msg-uuid@example.com>")
    assert summary.__dict__ == {name: getattr(made, name) for name in type(summary).model_fields}


def test_an_email_needs_little(scene: Scene) -> None:
    """Time, ids and place in the conversation are the store's to give."""
    new = NewEmail(account_id="a-1", sender_email="<>", recipient_email="postmaster")
    made = scene.store.emails.add("c-1", new)
    assert (made.timestamp, made.is_first_email, made.thread_id) == (scene.clock(), True, "c-1")
    assert (made.subject, made.body, made.preview, made.message_id) == ("", "", "", None)
    assert parse_minted(made.response_id) is not None
    assert scene.store.emails.get("c-1", made.response_id) == made
    assert scene.store.emails.get_by_response_id(made.response_id) == made
    follow_up = scene.store.emails.add("c-1", new)
    assert not follow_up.is_first_email
    assert scene.store.threads.get("c-1").participants == {"<>", "postmaster"}


def test_a_conversation_is_listed_in_time_order_whatever_the_order_of_arrival(
    scene: Scene,
) -> None:
    start = scene.clock() - timedelta(days=1)
    arrivals = [4, 0, 3, 6, 1, 5, 2, 6, 6]
    added = []
    for step, minute in enumerate(arrivals):
        new = new_email(timestamp=start + minute * MINUTE, body=f"body {step}")
        added.append(scene.store.emails.add("c-1", new))
        scene.clock.advance(1)
    # Those of the same instant stay in the order in which they came.
    expected = sorted(added, key=lambda email: email.timestamp)
    listed = scene.store.emails.list_by_conversation
    assert [*listed("c-1")] == expected
    assert [*listed("c-1", newest_first=True)] == expected[::-1]
    within = listed("c-1", since=start + 2 * MINUTE, until=start + 5 * MINUTE)
    assert [*within] == expected[2:5]
    thread = scene.store.threads.get("c-1")
    assert (thread.message_count, thread.last_message_at) == (9, start + 6 * MINUTE)
    assert thread.updated_at == scene.clock() - timedelta(seconds=1)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8])
def test_pages_of_a_conversation_are_whole(
    scene: Scene, newest_first: bool, page_size: int
) -> None:
    start = scene.clock() - timedelta(days=1)
    added = [
        scene.store.emails.add("c-1", new_email(timestamp=start + n * MINUTE, body=f"body {n}"))
        for n in range(7)
    ]
    found: list[EmailMessage] = []
    cursor = None
    while True:
        page = scene.store.emails.list_by_conversation(
            "c-1", newest_first=newest_first, page_size=page_size, cursor=cursor
        )
        assert len(page.items) == page_size or page.cursor is None or len(found) == 7
        found += page
        cursor = page.cursor
        if cursor is None:
            break
    assert found == (added[::-1] if newest_first else added)


def test_a_page_that_dynamodb_cuts_in_two_is_whole(scene: Scene) -> None:
    """A megabyte ends between an e-mail and its content: the content is fetched."""
    start = scene.clock() - timedelta(days=1)
    added = []
    for number, size in enumerate([100_000, 100_000, 100_000, 100_000, 100_000]):
        new = new_email(timestamp=start + number * MINUTE, body=noise(size + number))
        added.append(scene.store.emails.add("c-1", new))
    for newest_first in (False, True):
        for page_size in (2, 3, 4, 5):
            page = scene.store.emails.list_by_conversation(
                "c-1", newest_first=newest_first, page_size=page_size
            )
            expected = added[::-1] if newest_first else added
            assert [*page] == expected[:page_size]


def test_the_body_is_stored_once_and_not_written_again(scene: Scene) -> None:
    """A 50 KB body costs its size once: no index holds it, no move of state rewrites it."""
    body = noise(17_000)  # three bytes each
    with RequestMeter(scene.store.connection.client) as meter:
        made = scene.store.emails.add("c-1", new_email(body=body, is_first_email=True))
        (content,) = (item for item in scene.items() if item["kind"]["S"] == "email_content")
        in_transaction = 2 * write_units(item_size(content))
        assert 60 < in_transaction < meter.wcu <= in_transaction + 8
        meter.reset()
        scene.store.emails.move("c-1", made.response_id, "processed", ai_response="Fine.")
        assert meter.wcu <= 3
        meter.reset()
        scene.store.emails.list_by_account("a-1")
        assert meter.rcu <= 1


def test_a_body_over_the_limit_is_refused(scene: Scene) -> None:
    with pytest.raises(ItemTooLarge, match="body"):
        scene.store.emails.add("c-1", new_email(body=noise(250_000)))
    assert scene.items() == []


def test_the_first_email_may_come_last(scene: Scene) -> None:
    """Its subject is the thread's, and its account's lists tell it from the follow-ups."""
    emails, now = scene.store.emails, scene.clock()
    reply = emails.add("c-1", new_email(subject="Re: Prices", is_first_email=False))
    assert scene.store.threads.get("c-1").subject == "Re: Prices"
    first = emails.add(
        "c-1", new_email(subject="Prices", is_first_email=True, timestamp=now - MINUTE)
    )
    scene.clock.advance(60)
    other = emails.add("c-1", new_email(subject="Another matter"))
    assert scene.store.threads.get("c-1").subject == "Prices"
    assert [each.response_id for each in emails.list_by_first_email("a-1", True)] == [
        first.response_id
    ]
    assert [each.response_id for each in emails.list_by_first_email("a-1", False)] == [
        other.response_id,
        reply.response_id,
    ]


def test_the_emails_of_an_account_are_merged_in_time_order(scene: Scene) -> None:
    emails, now = scene.store.emails, scene.clock() - timedelta(days=1)
    for number in range(6):
        emails.add(f"c-{number % 3}", new_email(timestamp=now + number * MINUTE))
    emails.add("c-9", new_email(account_id="a-2"))
    expected = [now + number * MINUTE for number in range(6)]
    found: list[datetime] = []
    cursor = None
    while True:
        page = emails.list_by_account("a-1", page_size=2, newest_first=False, cursor=cursor)
        found += [each.timestamp for each in page]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == expected
    assert [e.timestamp for e in emails.list_by_account("a-1")] == expected[::-1]
    within = emails.list_by_account("a-1", since=expected[1], until=expected[4])
    assert [each.timestamp for each in within] == expected[3:0:-1]
    assert len(emails.list_by_account("a-3")) == 0
    with pytest.raises(InvalidCursor):
        emails.list_by_account("a-2", cursor=emails.list_by_account("a-1", page_size=2).cursor)


def test_adding_again_adds_once(scene: Scene) -> None:
    """By the response id, by the Message-ID, or by both; the e-mail comes back as it is now."""
    emails = scene.store.emails
    for ids in (
        {"response_id": "r-1"},
        {"message_id": "<m-2@example.com>"},
        {"response_id": "r-3", "message_id": "<m-3@example.com>"},
    ):
        new = new_email(**ids)
        made = emails.add("c-1", new)
        emails.move("c-1", made.response_id, "processed", ai_response="Yes.", ev_score=0.5)
        scene.clock.advance(60)
        again = emails.add("c-1", new)
        assert again == made.model_copy(
            update={"status": "processed", "ai_response": "Yes.", "ev_score": 0.5}
        )
    # The Message-ID alone says which e-mail it is, under whatever id that was added.
    assert emails.add("c-1", new_email(message_id="<m-3@example.com>")).response_id == "r-3"
    assert scene.store.threads.get("c-1").message_count == 3


def test_another_email_under_a_taken_id_is_refused(scene: Scene) -> None:
    emails = scene.store.emails
    made = emails.add("c-1", new_email(response_id="r-1", message_id="<m-1@example.com>"))
    before = scene.items()
    for other, what in (
        (new_email(response_id="r-1", message_id="<m-2@example.com>"), "response id"),
        (new_email(response_id="r-1", body="Other"), "response id"),
        (new_email(response_id="r-2", message_id="<m-1@example.com>"), "Message-ID"),
        (new_email(message_id="<m-1@example.com>", body="Other"), "Message-ID"),
    ):
        with pytest.raises(AlreadyExists, match=what) as refused:
            emails.add("c-1", other)
        assert refused.value.current == made
    with pytest.raises(AlreadyExists, match="Message-ID") as refused:
        emails.add("c-2", new_email(message_id="<m-1@example.com>"))
    assert refused.value.current == made
    assert scene.items() == before


def test_ids_of_other_accounts_and_conversations_do_not_clash(scene: Scene) -> None:
    emails = scene.store.emails
    one = emails.add("c-1", new_email(response_id="r-1", message_id="<m@example.com>"))
    two = emails.add(
        "c-2", new_email(account_id="a-2", response_id="r-1", message_id="<m@example.com>")
    )
    assert emails.get("c-1", "r-1") == one
    assert emails.get("c-2", "r-1") == two
    assert emails.get_by_message_id("a-1", "<m@example.com>").conversation_id == "c-1"
    assert emails.get_by_message_id("a-2", "<m@example.com>").conversation_id == "c-2"
    assert emails.get_by_response_id("r-1") == one


def test_an_email_takes_over_the_thread_id(scene: Scene) -> None:
    emails = scene.store.emails
    emails.add("c-1", new_email(thread_id="t-1"))
    assert emails.add("c-1", new_email()).thread_id == "t-1"
    assert emails.add("c-1", new_email(thread_id="t-1")).thread_id == "t-1"
    before = scene.items()
    with pytest.raises(Conflict, match="'t-1'") as refused:
        emails.add("c-1", new_email(thread_id="t-2"))
    assert refused.value.current == scene.store.threads.get("c-1")
    with pytest.raises(Conflict, match="another account") as foreign:
        emails.add("c-1", new_email(account_id="a-2", thread_id="t-1"))
    assert foreign.value.current is None
    assert scene.items() == before


@pytest.mark.once
def test_participants_are_one_address_each_and_bounded(scene: Scene) -> None:
    emails = scene.store.emails
    emails.add("c-1", new_email(sender_email="Ann@Example.com"))
    emails.add("c-1", new_email(sender_email="ann@example.COM", recipient_email="x" * 998))
    assert scene.store.threads.get("c-1").participants == {"ann@example.com", "bob@example.com"}
    for number in range(MAX_PARTICIPANTS):
        emails.add("c-2", new_email(sender_email=f"s{number}@example.com"))
    thread = scene.store.threads.get("c-2")
    assert (len(thread.participants), thread.message_count) == (MAX_PARTICIPANTS, 100)
    assert f"s{MAX_PARTICIPANTS - 1}@example.com" not in thread.participants
    with RequestMeter(scene.store.connection.client) as meter:
        emails.add("c-2", new_email(sender_email="one-more@example.com"))
        assert meter.count == 2
    full = scene.store.threads.get("c-2")
    assert (full.participants, full.message_count) == (thread.participants, 101)


def test_what_is_not_there_is_not_found(scene: Scene) -> None:
    emails = scene.store.emails
    made = emails.add("c-1", new_email())
    own_elsewhere = made.response_id.replace("c-1", "c-2", 1)
    another = made.response_id[:-1] + ("1" if made.response_id.endswith("0") else "0")
    for response_id in ("r-1", own_elsewhere, another):
        with pytest.raises(NotFound):
            emails.get("c-1", response_id)
        with pytest.raises(NotFound):
            emails.get_by_response_id(response_id)
        with pytest.raises(NotFound):
            emails.move("c-1", response_id, "processed")
    with pytest.raises(NotFound):
        emails.get("c-2", made.response_id)
    with pytest.raises(NotFound):
        emails.get_by_message_id("a-1", "<m@example.com>")
    for newest_first in (False, True):
        with pytest.raises(NotFound):
            emails.list_by_conversation("c-2", newest_first=newest_first)


def test_bad_input_writes_nothing(scene: Scene) -> None:
    bad: tuple[dict[str, Any], ...] = (
        {"account_id": ""},
        {"sender_email": ""},
        {"recipient_email": "x" * 999},
        {"timestamp": datetime(2024, 1, 1)},  # noqa: DTZ001
        {"message_id": ""},
        {"response_id": "x" * 201},
        {"response_id": "c-1~2024-01-01T00:00:00.000000Z~01ARZ3NDEKTSV4RRFFQ69G5FAV"},
        {"status": "lost"},
        {"ev_score": float("nan")},
        {"headers": {"x": float("inf")}},
        {"attachments": [b"bytes"]},
        {"body": "\ud800"},
        {"unknown": 1},
    )
    with RequestMeter(scene.store.connection.client) as meter:
        for fields in bad:
            with pytest.raises(InvalidArgument):
                new_email(**fields)
        with pytest.raises(InvalidArgument):
            scene.store.emails.add("", new_email())
        with pytest.raises(InvalidArgument):
            scene.store.emails.add("c-1", {"body": "Hello"})  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            scene.store.emails.get("c-1", "")
        with pytest.raises(InvalidArgument):
            scene.store.emails.list_by_first_email("a-1", 1)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            scene.store.emails.list_by_conversation("c-1", page_size=0)
        assert meter.count == 0


def test_budgets(scene: Scene) -> None:
    """Every way of adding and finding, in its number of requests."""
    emails, now = scene.store.emails, scene.clock()
    with RequestMeter(scene.store.connection.client) as meter:

        def costs(requests: int, call: Any) -> Any:
            meter.reset()
            result = call()
            assert meter.count == requests, meter.operations()
            return result

        costs(1, lambda: emails.add("c-1", new_email(is_first_email=True, response_id="r-1")))
        own = costs(1, lambda: emails.add("c-1", new_email(message_id="<m@example.com>")))
        costs(2, lambda: emails.add("c-1", new_email(timestamp=now - MINUTE)))
        costs(2, lambda: emails.add("c-2", new_email()))
        costs(2, lambda: emails.add("c-1", new_email(is_first_email=True, response_id="r-1")))
        for newest_first in (False, True):
            page = costs(
                1,
                lambda flag=newest_first: emails.list_by_conversation(
                    "c-1", newest_first=flag, page_size=2
                ),
            )
            costs(
                1,
                lambda flag=newest_first, cursor=page.cursor: emails.list_by_conversation(
                    "c-1", newest_first=flag, page_size=2, cursor=cursor
                ),
            )
        costs(1, lambda: emails.get("c-1", own.response_id))
        costs(2, lambda: emails.get("c-1", "r-1"))
        costs(2, lambda: emails.list_by_account("a-1"))
        costs(1, lambda: emails.list_by_first_email("a-1", False))
        costs(1, lambda: emails.get_by_message_id("a-1", "<m@example.com>"))
        costs(1, lambda: emails.get_by_response_id(own.response_id))
        costs(2, lambda: emails.get_by_response_id("r-1"))
        costs(1, lambda: emails.move("c-1", own.response_id, "processed"))
        costs(2, lambda: emails.move("c-1", "r-1", "processed"))


def test_an_email_of_the_future_is_refused(scene: Scene) -> None:
    """Its thread would stay the latest for as long; clocks may differ by five minutes."""
    now = scene.clock()
    with pytest.raises(InvalidArgument, match="timestamp"):
        scene.store.emails.add("c-1", new_email(timestamp=now + timedelta(minutes=6)))
    assert scene.items() == []
    soon = now + timedelta(minutes=5)
    assert scene.store.emails.add("c-1", new_email(timestamp=soon)).timestamp == soon


@pytest.mark.once
def test_what_is_written_again_with_each_email_is_bounded(scene: Scene) -> None:
    """The thread, whatever the e-mails are like: its subject, and whom it lists."""
    bad: tuple[dict[str, Any], ...] = ({"subject": "x" * 999}, {"attachments": [{}] * 1_001})
    for fields in bad:
        with pytest.raises(InvalidArgument, match=next(iter(fields))):
            new_email(**fields)
    for number in range(120):
        address = f"{number:03}{'x' * 61}@{'y' * 60}.{'z' * 60}.{'w' * 60}.org"
        scene.store.emails.add("c-1", new_email(subject="\u4e00" * 998, sender_email=address))
    (thread,) = (item for item in scene.items() if item["kind"]["S"] == "email_thread")
    assert item_size(thread) < 32_000
