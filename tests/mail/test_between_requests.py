"""What somebody else does between two requests of one call: the conditions see it."""

from contextlib import suppress
from datetime import timedelta

import pytest

from dynamo_chat.core.errors import Conflict, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.mail.scenes import new_email
from tests.scene import Scene

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)


def test_the_thread_that_an_email_was_late_for_is_another_one_by_now(scene: Scene) -> None:
    now = scene.clock()

    def replace() -> None:
        scene.store.threads.delete("c-1")
        scene.store.emails.add("c-1", new_email(timestamp=now - 3 * MINUTE))

    scene.store.emails.add("c-1", new_email(timestamp=now - MINUTE))
    store = scene.interrupted(None, 1, replace)
    added = store.emails.add("c-1", new_email(timestamp=now - 2 * MINUTE))
    thread = scene.store.threads.get("c-1")
    assert (thread.message_count, thread.last_message_at) == (2, added.timestamp)


def test_a_later_email_comes_in_between(scene: Scene) -> None:
    now = scene.clock()
    store = scene.interrupted(
        None, 1, lambda: scene.store.emails.add("c-1", new_email(timestamp=now))
    )
    added = store.emails.add("c-1", new_email(timestamp=now - MINUTE))
    assert not added.is_first_email
    thread = scene.store.threads.get("c-1")
    assert (thread.message_count, thread.last_message_at) == (2, now)


def test_another_account_opens_the_thread_in_between(scene: Scene) -> None:
    store = scene.interrupted(
        None, 1, lambda: scene.store.emails.add("c-1", new_email(account_id="a-2"))
    )
    with pytest.raises(Conflict, match="another account"):
        store.emails.add("c-1", new_email())
    assert scene.store.threads.get("c-1").message_count == 1


def test_the_thread_is_deleted_in_between(scene: Scene) -> None:
    """An e-mail that was late for it opens it anew."""
    now = scene.clock()
    scene.store.emails.add("c-1", new_email(timestamp=now))
    store = scene.interrupted(None, 1, lambda: scene.store.threads.delete("c-1"))
    assert store.emails.add("c-1", new_email(timestamp=now - MINUTE)).is_first_email
    assert scene.store.threads.get("c-1").message_count == 1


@pytest.mark.once
def test_a_slow_deletion_leaves_what_was_added_after_a_quick_one(scene: Scene) -> None:
    """The quick one finishes; the slow one must not take the ids of what came next."""
    now = scene.clock()

    def fill(emails: int) -> None:
        for number in range(emails):
            ids = {"message_id": f"<{number}@example.com>", "response_id": f"r-{number}"}
            scene.store.emails.add("c-1", new_email(**ids, timestamp=now))
            scene.store.scores.record("c-1", 1.0, at=now)

    def delete_and_add_again() -> None:
        with suppress(NotFound):  # the slow one was done
            scene.store.threads.delete("c-1")
        fill(1)

    # With many e-mails, what the slow one has read takes more than one transaction.
    for after, emails in ((1, 2), (2, 2), (3, 2), (2, 40), (3, 40), (4, 40)):
        fill(emails)
        scene.interrupted(None, after, delete_and_add_again).threads.delete("c-1")
        assert scene.kinds() == {
            "email_thread": 1,
            "email": 1,
            "email_content": 1,
            "email_response_id": 1,
            "email_message_id": 1,
            "ev_score": 1,
        }
        scene.store.threads.delete("c-1")


@pytest.mark.once
def test_a_message_id_that_is_free_again_is_left_to_its_new_email(scene: Scene) -> None:
    """Of two deletions at once, one frees a Message-ID that another conversation takes."""
    start = scene.clock() - timedelta(days=1)
    for number in range(40):
        ids = {"message_id": f"<{number}@example.com>", "response_id": f"r-{number}"}
        scene.store.emails.add("c-1", new_email(**ids, timestamp=start + number * MINUTE))

    def free_and_take() -> None:
        with FaultInjector(scene.store.connection.client) as faults:
            faults.plan(Kill(), operation="TransactWriteItems", at=3)
            with suppress(Killed):
                scene.store.threads.delete("c-1")
        scene.store.emails.add("c-2", new_email(message_id="<39@example.com>"))

    scene.interrupted(None, 2, free_and_take).threads.delete("c-1")
    assert scene.store.threads.get("c-2").message_count == 1
    assert scene.kinds()["email_message_id"] == 1
