"""An id becomes somebody else's between any two requests of a call: nothing of theirs is touched.

Each method that checks an owner is stopped before each of its requests in turn. Meanwhile another
server deletes what Ann has under the id, and Zed makes his own there. Then the method goes on.
"""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.testing import Engine
from tests.chat.world import Item, World
from tests.tenancy.lives import NEW, SCENES, scene_of
from tests.tenancy.owners import CHECKED, EMPTY

pytestmark = pytest.mark.engine

ATTEMPTS = {**CHECKED, **EMPTY}
MOST_REQUESTS = 40


class Stage:
    """One table, on which the same ids are Ann's or Zed's."""

    def __init__(self, world: World, name: str, words: str) -> None:
        self.world = world
        self.store = world.store()
        self.ann, self.before, self.after = SCENES[name].played(world, words)
        self.is_changed = False

    def show(self, image: list[Item]) -> None:
        """Make the table what it was, in few requests."""
        wanted = {_address(item): item for item in image}
        there = {_address(item): item for item in self.world.items()}
        writes: list[Item] = [
            {"DeleteRequest": {"Key": {"PK": item["PK"], "SK": item["SK"]}}}
            for address, item in there.items()
            if address not in wanted
        ]
        writes += [
            {"PutRequest": {"Item": item}}
            for address, item in wanted.items()
            if item != there.get(address)
        ]
        for start in range(0, len(writes), 25):
            left = {self.world.table: writes[start : start + 25]}
            while left:
                answer = self.world._client.batch_write_item(RequestItems=left)
                left = answer.get("UnprocessedItems")

    @contextmanager
    def hand_over(self, before_request: int) -> Iterator[None]:
        """Let the ids become Zed's just before the store's request of this number."""
        self.is_changed = False
        seen = 0

        def act(**_: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == before_request:
                self.is_changed = True
                self.show(self.after)

        events = self.store.connection.client.meta.events
        events.register_first("before-call.dynamodb", act)
        try:
            yield
        finally:
            events.unregister("before-call.dynamodb", act)

    def play(self, name: str, before_request: int, *, warm: bool) -> list[str]:
        """What was wrong when the ids changed hands at this request of Ann's call."""
        self.show(self.before)
        self.store._memory.forget(self.ann.conversation_id)
        if warm:
            self.store.conversations.get(self.ann.conversation_id)
            self.store.messages.latest(self.ann.conversation_id)
        with self.hand_over(before_request):
            seen = _told(self.store, name, self.ann)
        if not self.is_changed:
            return []
        wrong = [f"showed {each}" for each in seen if NEW in each]
        return wrong + _differences(self.after, self.world.items())


@pytest.fixture(scope="module")
def stages(dynamo_chat_engine: Engine) -> Iterator[Stages]:
    """A stage for each domain, on a table of its own, made when it is first asked for."""

    with ExitStack() as stack:
        yield Stages(dynamo_chat_engine, stack)


class Stages(dict[tuple[str, str], Stage]):
    """By the scene, and the words that both lives share, if they do."""

    def __init__(self, engine: Engine, stack: ExitStack) -> None:
        self._engine = engine
        self._stack = stack

    def __missing__(self, asked: tuple[str, str]) -> Stage:
        world = self._stack.enter_context(World(self._engine))
        self[asked] = Stage(world, *asked)
        return self[asked]


CASES = [
    (name, memory, words)
    for name in ATTEMPTS
    for memory in ("cold", "warm")
    if memory == "cold" or scene_of(name) in {"chat", "streaming"}
    for words in ("", "the same")
]


@pytest.mark.parametrize(
    ("name", "memory", "words"), CASES, ids=[" ".join(each).rstrip() for each in CASES]
)
def test_nothing_of_the_new_owner_is_touched(
    stages: Stages, name: str, memory: str, words: str
) -> None:
    """Read, changed or deleted: whenever it was that the id changed hands."""
    stage = stages[scene_of(name), words]
    wrong: dict[int, list[str]] = defaultdict(list)
    for request in range(1, MOST_REQUESTS):
        found = stage.play(name, request, warm=memory == "warm")
        if not stage.is_changed:
            assert request > 1, "the call makes requests"
            break
        if found:
            wrong[request] = found
    assert not wrong


def _told(store: ChatStore, name: str, ann: Any) -> list[str]:
    """All that the caller gets to see."""
    try:
        return [repr(ATTEMPTS[name](store, ann, ann))]
    except DynamoChatError as error:
        shown = "".join(traceback.format_exception(error, limit=0))
        return [f"{error!r} {vars(error)} {shown}"]


def _differences(expected: list[Item], found: list[Item]) -> list[str]:
    wanted = {_address(item): item for item in expected}
    there = {_address(item): item for item in found}
    return [
        f"{'deleted' if address not in there else 'made' if address not in wanted else 'changed'}"
        f" {(there.get(address) or wanted[address])['kind']['S']}"
        for address in sorted({*wanted, *there})
        if wanted.get(address) != there.get(address)
    ]


def _address(item: Item) -> tuple[str, str]:
    return item["PK"]["S"], item["SK"]["S"]
