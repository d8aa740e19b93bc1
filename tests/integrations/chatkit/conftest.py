"""A ChatKit store on a scene's table, for tests that run on an event loop."""

import asyncio
from collections.abc import Callable

import pytest

from tests.integrations.chatkit.scenes import Talk, talking
from tests.scene import Scene


@pytest.fixture
def play(scene: Scene) -> Callable[[Talk], None]:
    """Runs a test with a store of its own."""

    async def run(talk: Talk) -> None:
        async with talking(scene) as kit:
            await talk(kit)

    return lambda talk: asyncio.run(run(talk))
