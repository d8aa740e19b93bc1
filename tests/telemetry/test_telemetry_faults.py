"""Whatever is cut short: recorded once, reported once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat.testing import Engine, RequestMeter
from tests.mail.scenes import open_scene
from tests.scene import Scene, cut_short, each_fault
from tests.telemetry.samples import new_interaction, new_invocation

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff"), pytest.mark.once]


def record(scene: Scene, **content: Any) -> Any:
    at = scene.clock() - timedelta(minutes=1)
    new = new_interaction(interaction_id="i-9", generated_at=at, **content)
    return scene.store.llm.record("c-1", new)


OPERATIONS: dict[str, tuple[int, Callable[[Scene], Any]]] = {
    "record numbers": (1, record),
    "record what was said": (1, lambda scene: record(scene, prompt="Say something.")),
    "record an invocation": (
        1,
        lambda scene: scene.store.invocations.record(new_invocation(invocation_id="v-9")),
    ),
    "build a report": (
        5,
        lambda scene: scene.store.reports.build("a-1", scene.clock().strftime("%Y-%m")),
    ),
}


def prepare(scene: Scene) -> None:
    for number in range(3):
        at = scene.clock() - timedelta(seconds=number)
        new = new_interaction(interaction_id=f"i-{number}", generated_at=at, prompt="p")
        scene.store.llm.record("c-1", new)


def seen(scene: Scene) -> Any:
    """Everything that readers see."""
    return (
        scene.kinds(),
        [*scene.store.llm.list_by_conversation("c-1")],
        [*scene.store.invocations.list_by_account("a-1")],
        [*scene.store.reports.list_by_account("a-1")],
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_disturbed_operation_is_finished_by_calling_again(
    dynamo_chat_engine: Engine, name: str
) -> None:
    requests, call = OPERATIONS[name]
    with open_scene(dynamo_chat_engine) as undisturbed:
        prepare(undisturbed)
        with RequestMeter(undisturbed.store.connection.client) as meter:
            call(undisturbed)
            assert meter.count == requests
        clock, expected = undisturbed.clock, seen(undisturbed)
    for number, fault in each_fault(requests):
        with open_scene(dynamo_chat_engine, clock) as scene:
            prepare(scene)
            cut_short(scene, number, fault, lambda: call(scene))
            call(scene)
            assert seen(scene) == expected
