"""An id becomes somebody else's between any two requests of a call: nothing of theirs is touched.

Each method that checks an owner is stopped before each of its requests in turn. Meanwhile another
server deletes what Ann has under the id, and Zed makes his own there. Then the method goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dynamo_chat.testing import Engine
from tests.scene import Scene
from tests.tenancy.further import FURTHER, PAGES
from tests.tenancy.handover import Moment, Stage
from tests.tenancy.lives import DOMAINS, domain_of
from tests.tenancy.owners import CHECKED, READS

pytestmark = [pytest.mark.engine, pytest.mark.long]

CALLS = {**CHECKED, **FURTHER}
CHAT = {"chat", "streaming", "aging", "idle"}


class Stages(dict[tuple[str, str], Stage]):
    """By the domain, and the words that both lives share, if they do."""

    def __init__(self, engine: Engine, stack: ExitStack) -> None:
        self._engine = engine
        self._stack = stack

    def __missing__(self, asked: tuple[str, str]) -> Stage:
        domain, words = asked
        scene = self._stack.enter_context(Scene(self._engine))
        self[asked] = Stage(scene, DOMAINS[domain], words)
        return self[asked]


@pytest.fixture(scope="module")
def stages(dynamo_chat_engine: Engine) -> Iterator[Stages]:
    """A stage for each domain, on a table of its own, made when it is first asked for."""
    with ExitStack() as stack:
        yield Stages(dynamo_chat_engine, stack)


@pytest.mark.parametrize("words", ["", "the same"], ids=["other words", "the same words"])
@pytest.mark.parametrize("name", CALLS)
def test_nothing_of_the_new_owner_is_touched(stages: Stages, name: str, words: str) -> None:
    """Read, changed or deleted: whenever it was that the id changed hands.

    By a store that knows nothing yet, and by one that remembers the old life of a conversation.
    """
    domain = domain_of(name)
    stage = stages[domain, words]
    wrong: dict[tuple[str, Moment], list[str]] = {}
    for memory in ("cold", "warm") if domain in CHAT else ("cold",):
        warm = memory == "warm"
        moments = stage.moments(CALLS[name], warm=warm)
        assert len(moments) > (name in PAGES)
        if words and all(moment.operation in READS for moment in moments):
            continue  # a reader is shown what is said
        for moment in moments:
            found = stage.play(CALLS[name], moment, warm=warm)
            if found:
                wrong[memory, moment] = found
    assert not wrong
