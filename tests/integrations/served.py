"""Stores on an event loop for adapters' tests, and what those tests have in common."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from dynamo_chat.aio import AsyncChatStore
from tests.scene import Item, Scene

T = TypeVar("T")
WORKERS = 16


def served(
    scene: Scene,
    work: Callable[[Any], Awaitable[T]],
    kind: type[AsyncChatStore] = AsyncChatStore,
    **options: Any,
) -> T:
    """What `work` returns, run on a new loop with a store on the scene's table."""

    async def main() -> T:
        async with kind(
            scene.table,
            region=scene.engine.region,
            endpoint_url=scene.engine.endpoint_url,
            clock=scene.clock,
            **options,
        ) as store:
            return await work(store)

    return asyncio.run(main())


def program_of(page: Path, number: int = 0) -> str:
    """A Python block of a page."""
    return page.read_text("utf-8").split("```python\n")[1 + number].partition("```")[0]


def write_items(path: Path, items: list[Item]) -> None:
    """Write stored items to a file; bytes as base64, as in DynamoDB's own JSON."""

    def plain(value: Any) -> str:
        return base64.b64encode(value).decode()

    text = json.dumps(items, indent=1, sort_keys=True, default=plain, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")


def read_items(path: Path) -> list[Item]:
    """The items of such a file."""

    def typed(found: dict[str, Any]) -> dict[str, Any]:
        if found.keys() == {"B"} and isinstance(found["B"], str):
            return {"B": base64.b64decode(found["B"])}
        return found

    items: list[Item] = json.loads(path.read_text("utf-8"), object_hook=typed)
    return items


def write_stored(
    path: Path,
    work: Callable[[Any], Awaitable[object]],
    kind: type[AsyncChatStore] = AsyncChatStore,
) -> None:
    """Write to a file what `work` stores in a new table."""
    from dynamo_chat.testing import EmbeddedEngine

    with EmbeddedEngine() as engine, Scene(engine) as scene:
        served(scene, work, kind)
        write_items(
            path, sorted(scene.items(), key=lambda item: (item["PK"]["S"], item["SK"]["S"]))
        )
