"""A task that is cancelled at any request loses nothing, and leaves nothing on its way."""

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from dynamo_chat.testing.engine import Engine
from tests.chat.test_faults import OPERATIONS, Operation, Stage
from tests.on_loop import CancelTask
from tests.scene import Scene

pytestmark = pytest.mark.once

SHORT = ("append with an id", "edit", "delete a message", "delete a conversation")


def marked(operation: Operation) -> Any:
    marks = () if operation.name in SHORT else (pytest.mark.long,)
    return pytest.param(operation, marks=marks, id=operation.name)


@pytest.fixture(scope="module", params=map(marked, OPERATIONS))
def stage(dynamo_chat_engine: Engine, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage whose stores are asynchronous. Nobody waits between two tries."""
    with Scene(dynamo_chat_engine, on_loop=True) as scene, pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        yield Stage(scene, request.param)


@pytest.mark.parametrize("is_sent", [False, True])
def test_cancelled_at_each_request(stage: Stage, is_sent: bool) -> None:
    """Called again by another server, it comes to the end that it would have come to."""
    for number in range(1, stage.requests + 1):
        with contextlib.suppress(asyncio.CancelledError), pytest.raises(CancelledError):
            stage.play(CancelTask(is_sent), at=number)
        stage.comes_to_the_same_end(again=True)
