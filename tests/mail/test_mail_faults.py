"""Whatever is cut short: no thread out of step with its e-mails, and calling again finishes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from dynamo_chat.core.errors import NotFound
from dynamo_chat.testing import DropAnswer, Engine, RequestMeter
from tests.mail.scenes import assert_sound, new_email, open_scene
from tests.scene import Scene, cut_short, each_fault
from tests.telemetry.samples import new_interaction

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff"), pytest.mark.once]

MINUTE = timedelta(minutes=1)


class Operation(NamedTuple):
    """A change of ``c-1``, which has a thread of three e-mails; and the requests that it takes."""

    requests: int
    call: Callable[[Scene], Any]
    interactions: int = 0
    """LLM interactions of the conversation beforehand."""


def late(scene: Scene) -> Any:
    new = new_email(response_id="r-9", message_id="<9@example.com>", body="Late")
    return scene.store.emails.add("c-1", new.model_copy(update={"timestamp": opened(scene)}))


def opened(scene: Scene) -> Any:
    """Before every e-mail that is there."""
    return scene.clock() - timedelta(days=2)


def delete(scene: Scene) -> None:
    """Calling again after the last answer was lost finds nothing any more."""
    try:
        scene.store.threads.delete("c-1")
    except NotFound:
        assert scene.items() == []


OPERATIONS = {
    "add the first": Operation(
        1,
        lambda scene: scene.store.emails.add(
            "c-2", new_email(response_id="r-1", is_first_email=True)
        ),
    ),
    "add the first, unannounced": Operation(
        2, lambda scene: scene.store.emails.add("c-2", new_email(message_id="<1@c-2>"))
    ),
    "add the latest": Operation(
        1, lambda scene: scene.store.emails.add("c-1", new_email(response_id="r-9"))
    ),
    "add a late one": Operation(2, late),
    "move": Operation(
        2, lambda scene: scene.store.emails.move("c-1", "r-1", "processed", ai_response="Yes.")
    ),
    "update": Operation(1, lambda scene: scene.store.threads.update("c-1", urgency="low")),
    "record a score": Operation(
        2, lambda scene: scene.store.scores.record("c-1", 0.5, at=scene.clock())
    ),
    "delete": Operation(4, delete, interactions=50),  # more than a transaction of items
}


def prepare(scene: Scene, interactions: int) -> None:
    """A thread of three e-mails with a score and LLM interactions."""
    for number in range(3):
        scene.store.emails.add(
            "c-1",
            new_email(
                response_id=f"r-{number}",
                message_id=f"<{number}@example.com>" if number else None,
                timestamp=scene.clock() - (3 - number) * MINUTE,
                is_first_email=not number,
            ),
        )
    scene.store.scores.record("c-1", 0.1, at=scene.clock() - MINUTE)
    for _ in range(interactions):
        scene.store.llm.record("c-1", new_interaction(prompt="Hello"))


def seen(scene: Scene) -> Any:
    """Everything that readers see, without what the store draws at random."""
    found: dict[str, Any] = {"kinds": scene.kinds()}
    for name in ("c-1", "c-2"):
        try:
            found[name] = scene.store.threads.get(name)
            emails = scene.store.emails.list_by_conversation(name)
        except NotFound:
            continue
        drawn = {"entry_id", "response_id"}
        found[f"{name} e-mails"] = [email.model_dump(exclude=drawn) for email in emails]
        found[f"{name} ids"] = [e.response_id for e in emails if "~" not in e.response_id]
        found[f"{name} scores"] = [*scene.store.scores.list_by_conversation(name)]
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_disturbed_operation_is_finished_by_calling_again(
    dynamo_chat_engine: Engine, name: str
) -> None:
    operation = OPERATIONS[name]
    with open_scene(dynamo_chat_engine) as undisturbed:
        clock = undisturbed.clock
        prepare(undisturbed, operation.interactions)
        with RequestMeter(undisturbed.store.connection.client) as meter:
            operation.call(undisturbed)
            assert meter.count == operation.requests
        expected = seen(undisturbed)
    for number, fault in each_fault(operation.requests):
        with open_scene(dynamo_chat_engine, clock) as scene:
            prepare(scene, operation.interactions)
            cut_short(scene, number, fault, lambda: operation.call(scene))
            if isinstance(fault, DropAnswer):
                assert seen(scene) == expected
            assert_sound(scene)
            operation.call(scene)
            assert seen(scene) == expected
