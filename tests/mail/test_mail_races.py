"""Many writers at once: counts stay exact, and every id is taken once."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dynamo_chat.core.errors import AlreadyExists, DynamoChatError, NotFound
from tests.mail.scenes import new_email
from tests.scene import Scene, race

pytestmark = pytest.mark.ministack


def test_concurrent_adds_keep_the_threads_exact(scene: Scene) -> None:
    """Late and early e-mails, all at once: no lost count, no latest time that goes back."""
    dice = random.Random(7)
    start = scene.clock() - timedelta(days=1)

    def adding(number: int) -> Callable[[], Any]:
        new = new_email(
            response_id=f"r-{number // 2}",  # every e-mail is sent twice
            message_id=f"<{number // 2}@example.com>",
            sender_email=f"s{number // 2 % 7}@example.com",
            timestamp=start + timedelta(seconds=(number // 2 * 37) % 101),
        )
        return lambda: scene.store.emails.add(f"c-{number // 2 % 3}", new)

    calls = [adding(number) for number in range(300)]
    dice.shuffle(calls)
    results = race(calls)
    assert not [each for each in results if isinstance(each, DynamoChatError)]
    for name in ("c-0", "c-1", "c-2"):
        thread = scene.store.threads.get(name, consistent=True)
        emails = scene.store.emails.list_by_conversation(name, page_size=100, consistent=True)
        assert thread.message_count == len(emails) == 50
        assert thread.last_message_at == emails.items[-1].timestamp
        assert sum(email.is_first_email for email in emails) == 1


def test_a_message_id_is_taken_once(scene: Scene) -> None:
    calls = [
        partial(
            scene.store.emails.add,
            f"c-{number}",
            new_email(message_id=f"<{number % 10}@example.com>"),
        )
        for number in range(160)
    ]
    results = race(calls)
    refused = [each for each in results if isinstance(each, AlreadyExists)]
    assert len(refused) == 150
    assert scene.kinds()["email_thread"] == scene.kinds()["email_message_id"] == 10


def test_moves_at_once_are_made_once(scene: Scene) -> None:
    """Each e-mail is responded to with one answer, whoever came first."""
    made = [scene.store.emails.add("c-1", new_email(status="processed")) for _ in range(20)]
    calls = [
        partial(
            scene.store.emails.move,
            "c-1",
            email.response_id,
            "responded",
            ai_response=f"answer {n}",
        )
        for email in made
        for n in range(8)
    ]
    results = race(calls)
    for place, email in enumerate(made):
        answers = {moved.ai_response for moved in results[8 * place : 8 * place + 8]}
        stored = scene.store.emails.get("c-1", email.response_id, consistent=True).ai_response
        assert answers == {stored}


def test_deleting_and_adding_at_once_leaves_nothing_half(scene: Scene) -> None:
    """The check of the whole table at the end is the test."""
    for _ in range(3):
        for number in range(20):
            scene.store.emails.add("c-1", new_email(message_id=f"<{number}@example.com>"))
        calls: list[Callable[[], Any]] = [
            partial(
                scene.store.emails.add,
                f"c-{number % 2}",
                new_email(message_id=f"<new-{number}@example.com>"),
            )
            for number in range(40)
        ]
        calls[10:10] = [partial(scene.store.threads.delete, "c-1")] * 3
        race(calls)
        for name in ("c-0", "c-1"):
            with suppress(NotFound):
                scene.store.threads.delete(name)
        assert scene.items() == []
