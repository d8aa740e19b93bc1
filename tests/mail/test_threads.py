"""Threads: found, changed, listed, deleted with all that belongs to them (M8, M9, M12)."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat.core.errors import Conflict, InvalidArgument, NotFound
from dynamo_chat.testing import DropAnswer, FaultInjector, Kill, Killed, RequestMeter
from tests.mail.scenes import new_email
from tests.scene import Scene
from tests.telemetry.samples import new_interaction

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)


def test_a_thread_is_opened_by_its_first_email(scene: Scene) -> None:
    sent = scene.clock() - MINUTE
    scene.store.emails.add("c-1", new_email(timestamp=sent, thread_id="t-1"))
    thread = scene.store.threads.get("c-1", consistent=True)
    assert (thread.account_id, thread.thread_id, thread.status) == ("a-1", "t-1", "active")
    assert (thread.created_at, thread.updated_at) == (scene.clock(), scene.clock())
    assert (thread.subject, thread.message_count) == ("Prices", 1)
    assert thread.last_message_at == sent
    assert thread.participants == {"ann@example.com", "bob@example.com"}


def test_a_thread_takes_attributes_and_settings(scene: Scene) -> None:
    scene.store.emails.add("c-1", new_email())
    scene.clock.advance(60)
    values: dict[str, Any] = {
        "status": "closed",
        "urgency": "high",
        "category": "sales",
        "priority": 10,
        "sentiment": "negative",
        "auto_response_enabled": True,
        "response_delay_hours": 2,
        "max_response_length": 500,
    }
    changed = scene.store.threads.update("c-1", **values)
    assert {name: getattr(changed, name) for name in values} == values
    assert changed.updated_at == scene.clock()
    assert scene.store.threads.get("c-1") == changed
    assert [*scene.store.threads.list_by_account("a-1")] == [changed]
    later = scene.store.threads.update("c-1", urgency=None, auto_response_enabled=False)
    kept = {**values, "urgency": None, "auto_response_enabled": False}
    assert {name: getattr(later, name) for name in values} == kept
    # An e-mail changes nothing of it.
    scene.store.emails.add("c-1", new_email())
    assert {n: getattr(scene.store.threads.get("c-1"), n) for n in values} == kept


def test_bad_values_change_nothing(scene: Scene) -> None:
    scene.store.emails.add("c-1", new_email())
    before = scene.items()
    bad: tuple[dict[str, Any], ...] = (
        {"status": "lost"},
        {"status": None},
        {"urgency": "urgent"},
        {"category": ""},
        {"priority": 0},
        {"priority": 11},
        {"priority": 5.0},
        {"sentiment": 1},
        {"auto_response_enabled": None},
        {"response_delay_hours": -1},
        {"max_response_length": -1},
    )
    for values in bad:
        with pytest.raises(InvalidArgument, match=next(iter(values))):
            scene.store.threads.update("c-1", **values)
    assert scene.items() == before
    with pytest.raises(NotFound):
        scene.store.threads.update("c-2", status="closed")
    with pytest.raises(NotFound):
        scene.store.threads.get("c-2")
    assert scene.items() == before


def test_threads_are_listed_by_their_latest_email(scene: Scene) -> None:
    start = scene.clock() - timedelta(days=1)
    for minute, name in [(0, "c-1"), (1, "c-2"), (2, "c-3"), (5, "c-1"), (3, "c-2"), (1, "c-3")]:
        scene.store.emails.add(name, new_email(timestamp=start + minute * MINUTE))
    listed = scene.store.threads.list_by_account

    def names(**options: Any) -> list[str]:
        return [thread.conversation_id for thread in listed("a-1", **options)]

    assert names() == ["c-1", "c-2", "c-3"]
    assert names(newest_first=False) == ["c-3", "c-2", "c-1"]
    assert names(since=start + 2 * MINUTE, until=start + 5 * MINUTE) == ["c-2", "c-3"]
    page = listed("a-1", page_size=2)
    assert [thread.conversation_id for thread in page] == ["c-1", "c-2"]
    assert names(cursor=page.cursor) == ["c-3"]
    assert len(listed("a-2")) == 0


def full_conversation(scene: Scene, conversation_id: str, *, emails: int = 3) -> int:
    """A thread with everything that can belong to it; how many items that are."""
    before = len(scene.items())
    for number in range(emails):
        scene.store.emails.add(
            conversation_id,
            new_email(
                message_id=f"<{conversation_id}-{number}@example.com>" if number % 3 else None,
                response_id=f"r-{number}" if number % 2 else None,
            ),
        )
    for _ in range(2):
        scene.store.scores.record(conversation_id, 0.5)
        scene.store.llm.record(conversation_id, new_interaction(prompt="Say something."))
    scene.store.llm.record(conversation_id, new_interaction())
    return len(scene.items()) - before


def test_deleting_takes_everything_of_the_conversation_and_nothing_else(scene: Scene) -> None:
    full_conversation(scene, "c-1", emails=5)
    others = scene.items()
    count = full_conversation(scene, "c-2", emails=8)
    assert scene.store.threads.delete("c-2") == count
    assert sorted(map(str, scene.items())) == sorted(map(str, others))
    with pytest.raises(NotFound):
        scene.store.threads.get("c-2")
    with pytest.raises(NotFound):
        scene.store.emails.list_by_conversation("c-2")
    with pytest.raises(NotFound):
        scene.store.threads.delete("c-2")
    assert len(scene.store.llm.list_by_account("a-1")) == 3
    # Its ids are free again.
    assert full_conversation(scene, "c-2", emails=8) == count


def test_deleting_costs_what_the_items_cost(scene: Scene) -> None:
    """1 + ⌈items/99⌉ + ⌈MB⌉ requests, also for many e-mails with Message-IDs."""
    for emails in (1, 3, 20, 50):
        for number in range(emails):
            new = new_email(
                message_id=f"<{emails}-{number}@example.com>", response_id=f"r-{number}"
            )
            scene.store.emails.add("c-1", new)
        with RequestMeter(scene.store.connection.client) as meter:
            items = scene.store.threads.delete("c-1")
            assert meter.count == 1 + -(-items // 99) + 1
        assert items == 4 * emails + 1
        assert scene.items() == []


def test_more_emails_than_a_transaction_takes(scene: Scene) -> None:
    for number in range(60):
        scene.store.emails.add("c-1", new_email(message_id=f"<{number}@example.com>"))
    assert scene.store.threads.delete("c-1") == 181
    assert scene.items() == []


def test_what_was_recorded_without_a_thread_is_deleted_too(scene: Scene) -> None:
    scene.store.llm.record("c-1", new_interaction(prompt="Say something."))
    scene.store.llm.record("c-2", new_interaction())
    assert scene.store.threads.delete("c-1") == 2
    assert scene.kinds() == {"llm_usage": 1}


def test_an_unfinished_deletion_takes_no_emails(scene: Scene) -> None:
    """Readers see the thread gone, writers are told, and calling again finishes."""
    made = scene.store.emails.add("c-1", new_email(message_id="<m@example.com>"))
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(Kill(), at=2)
        with pytest.raises(Killed):
            scene.store.threads.delete("c-1")
    with pytest.raises(NotFound):
        scene.store.threads.get("c-1")
    with pytest.raises(NotFound):
        scene.store.threads.update("c-1", status="closed")
    with pytest.raises(NotFound):
        scene.store.emails.list_by_conversation("c-1")
    with pytest.raises(NotFound):
        scene.store.emails.list_by_conversation("c-1", newest_first=True)
    with pytest.raises(NotFound):
        scene.store.scores.record("c-1", 0.5)
    assert len(scene.store.threads.list_by_account("a-1")) == 0
    for is_first in (True, False, None):
        with pytest.raises(Conflict, match="being deleted"):
            scene.store.emails.add("c-1", new_email(is_first_email=is_first))
    scene.store.emails.move("c-1", made.response_id, "processed")
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.threads.delete("c-1")
        assert meter.count == 3  # no more than the first time
    assert scene.items() == []
    assert scene.store.emails.add("c-1", new_email(message_id="<m@example.com>")).is_first_email


def test_an_email_that_lost_its_content_is_gone(scene: Scene) -> None:
    """As earlier releases left it, when their deletion was cut short."""
    made = scene.store.emails.add("c-1", new_email(message_id="<m@example.com>"))
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(Kill(), at=2)
        with pytest.raises(Killed):
            scene.store.threads.delete("c-1")
    (content,) = (item for item in scene.items() if item["kind"]["S"] == "email_content")
    scene.client.delete_item(
        TableName=scene.store.connection.table_name,
        Key={name: content[name] for name in ("PK", "SK")},
    )
    with pytest.raises(NotFound):
        scene.store.emails.get("c-1", made.response_id)
    with pytest.raises(NotFound):
        scene.store.emails.get_by_response_id(made.response_id)
    part = scene.store.emails.list_by_conversation("c-1", since=made.timestamp)
    assert (part.items, part.unreadable) == ((), ())


@pytest.mark.usefixtures("no_backoff")
def test_the_last_answer_of_a_deletion_is_lost(scene: Scene) -> None:
    """It is sent again, finds the tombstone gone, and knows its own work."""
    scene.store.llm.record("c-1", new_interaction(prompt="Say something."))
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), operation="TransactWriteItems", at=3)
        assert scene.store.threads.delete("c-1") == 2
        assert faults.injected
    assert scene.items() == []
