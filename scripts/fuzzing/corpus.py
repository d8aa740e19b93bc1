"""The input that is changed: the items that a store writes, and the calls that read them.

Every scenario of the catalogue is played once on the embedded engine. Each call is kept, with the
content of the table before it. All random choices depend on a fixed seed, so that an input means
the same in every run.
"""

import base64
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from unittest.mock import patch

from ulid import ULID

from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.core import ulids
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.clock import FakeClock
from dynamo_chat.testing.engine import EmbeddedEngine
from fuzzing.image import Image, Item, Key, Table
from tooling.everything import populate

START: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
VICTIM, OTHER = "ann", "zoe"
"""The users of `town`. Lists are read for the first."""
LEFT_OUT: Final = ("table.",)
"""Methods that read no items."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One call of one method, and the table before it."""

    method: str
    place: int
    call: Callable[[], object]
    image: Image
    now: datetime
    known: dict[str, Any]
    """What the store remembered."""
    shown: tuple[Key, ...]
    """The items that the call reads if none is damaged."""


class Theatre:
    """All scenes, and one table for all of their stores."""

    def __init__(self, scenes: list[Scene], clock: FakeClock, stores: list[ChatStore]) -> None:
        self.scenes = scenes
        self.table = Table()
        self._clock = clock
        self.store = stores[0]
        self._stores = stores
        for store in stores:
            store.connection.call = self.table.call  # type: ignore[method-assign]
            store.connection.pause = _no_pause  # type: ignore[method-assign]

    def enter(self, scene: Scene) -> None:
        """Switch to the undamaged table of `scene`, at its time."""
        self.table.show(scene.image, {}, 0)
        self._clock.advance(scene.now - self._clock())

    def play(self, scene: Scene, changes: dict[Key, Item | None], dice: int) -> object:
        """The result of the call of `scene`, with these changes of its table."""
        self.table.show(scene.image, changes, dice)
        self._clock.advance(scene.now - self._clock())
        for store in self._stores:
            facts = store._snapshots._known  # noqa: SLF001 - what a store remembers is part of a scene
            facts.clear()
            if dice % 2:
                facts.update(scene.known)
        return scene.call()


@cache
def theatre(methods: tuple[str, ...] = ()) -> Theatre:
    """The scenes of these methods, or of all; made once."""
    clock = FakeClock(START)
    stores: list[ChatStore] = []
    scenes: list[Scene] = []
    for method in methods or [each for each in scenarios() if not each.startswith(LEFT_OUT)]:
        # An engine for each: a small table is read at once.
        with EmbeddedEngine() as engine, _nothing_random(method) as new_id:
            first = engine.store("fuzzing", clock=clock, ids=new_id)

            def new_store(
                _: str | None, region: str = engine.region, ids: Any = new_id
            ) -> ChatStore:
                stores.append(ChatStore("fuzzing", region=region, clock=clock, ids=ids))
                return stores[-1]

            stage = Stage(new_store, clock)
            for place, case in enumerate(scenarios()[method](stage)):
                image = Image(_items(first))
                known = dict(stage.store._snapshots._known)  # noqa: SLF001 - the same
                now = clock()
                case.call()
                scenes.append(Scene(method, place, case.call, image, now, known, ()))
    made = Theatre(scenes, clock, stores)
    made.scenes = [_with_shown(made, scene) for scene in scenes]
    return made


@cache
def town() -> Scene:
    """Two users, each with one of everything; the call lists nothing."""
    clock = FakeClock(START)
    with EmbeddedEngine() as engine, _nothing_random("town") as new_id:
        store = engine.store("fuzzing", clock=clock, ids=new_id)
        for name in (VICTIM, OTHER):
            populate(store, name, entries=2)
        return Scene("", 0, lambda: None, Image(_items(store)), clock(), {}, ())


@cache
def stored_items(theatre: Theatre) -> list[Item]:
    """A few items of every kind."""
    found: dict[str, list[Item]] = {}
    for scene in theatre.scenes:
        for item in scene.image.items.values():
            same = found.setdefault(item["kind"]["S"], [])
            if len(same) < 12 and item not in same:
                same.append(item)
    return [item for _, items in sorted(found.items()) for item in items]


def _with_shown(theatre: Theatre, scene: Scene) -> Scene:
    """The scene with the items that its call reads, whatever the dice decide."""
    shown: set[Key] = set()
    for dice in range(6):
        with suppress(Exception):  # the dice make conditions fail; that is judged elsewhere
            theatre.play(scene, {}, dice)
        shown |= theatre.table.shown
    there = tuple(sorted(key for key in shown if key in scene.image.items))
    return Scene(scene.method, scene.place, scene.call, scene.image, scene.now, scene.known, there)


def _items(store: ChatStore) -> Iterator[Item]:
    """Every item of a small table, with binary values in the form in which a store reads them."""
    for item in store.connection.client.scan(TableName=store.connection.table_name)["Items"]:
        yield {name: _as_read(value) for name, value in item.items()}


def _as_read(value: dict[str, Any]) -> dict[str, Any]:
    if "B" in value:
        return {"B": base64.b64encode(bytes(value["B"])).decode()}
    return value


@contextmanager
def _nothing_random(seed: str) -> Iterator[Callable[[datetime], str]]:
    """Make ids, secrets and pauses the same in every run. Yields the source of ids."""
    rng = random.Random(seed)

    def new_id(moment: datetime) -> str:
        lowest = int(ULID.from_str(ulids.lowest_ulid(moment)))
        return str(ULID.from_int(lowest + rng.getrandbits(80)))

    with ExitStack() as stack:
        for name, fake in {
            "uuid.uuid4": lambda: uuid.UUID(int=rng.getrandbits(128), version=4),
            "secrets.token_urlsafe": lambda size: rng.randbytes(size).hex(),
            "secrets.randbits": rng.getrandbits,
        }.items():
            stack.enter_context(patch(name, fake))
        yield new_id


def _no_pause(attempt: int) -> None:
    """Return at once instead of waiting."""
