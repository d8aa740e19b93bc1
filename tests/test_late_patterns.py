"""Every method shows the past, or does not, as its pattern says; and there is a way that does not.

The table was empty when its replica was made, so a late read finds nothing of what is there.
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.catalogue import Entry, catalogue, repositories
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.testing import Engine, FakeClock, Lag
from tests.reads import READS, calls, fill, outcome, values
from tests.scene import DAY, Scene

pytestmark = [pytest.mark.engine, pytest.mark.once]
HOUR = timedelta(hours=1)
START = datetime(2026, 1, 15, 12, tzinfo=UTC)
BY_METHOD = {entry.method: entry for entry in catalogue()}
LISTS = [entry for entry in READS if entry.reads == "late" and entry.domain != "workflows"]


WRITES = [
    entry
    for entry in catalogue()
    if entry.reads == "late" and entry not in READS and entry.domain != "provision"
]
"""Methods that look for what they change in an index."""
DELETIONS = {"organizations.delete", "users.delete"}
"""Those of an id that is gone then, and conversations of it may be left."""
ERASED = re.compile(r"erased~\w+")


@dataclass(frozen=True)
class Servers:
    """Two servers on one table, of which one reads what was there before everything was."""

    scene: Scene
    plain: ChatStore
    late: ChatStore
    known: dict[str, list[Any]]

    def calls(self, entry: Entry) -> list[dict[str, Any]]:
        """The arguments of each call of a read that finds something now."""
        found = [each for each in calls(entry, self.known) if self._finds(entry, each)]
        assert found, f"nothing in `fill` is found by {entry.method}"
        return found

    def _finds(self, entry: Entry, arguments: dict[str, Any]) -> bool:
        now = outcome(self.plain, entry, arguments)
        is_error = isinstance(now, tuple) and isinstance(now[0], type)
        return not is_error and now is not None and (not hasattr(now, "__len__") or len(now) > 0)

    def shows_the_past(self, entry: Entry, **options: Any) -> set[bool]:
        """Whether what the late server says is something else, of all calls."""
        return {
            outcome(self.late, entry, {**arguments, **options})
            != outcome(self.plain, entry, {**arguments, **options})
            for arguments in self.calls(entry)
        }


@pytest.fixture(scope="module")
def servers(dynamo_chat_engine: Engine) -> Iterator[Servers]:
    clock = FakeClock(START)
    with Scene(dynamo_chat_engine, clock) as scene, Lag(365 * DAY, seed=1, clock=clock) as lag:
        late = lag.attach(scene.new_store())
        known = values(fill(scene.store))
        clock.advance(HOUR)  # whose streams nobody writes any more
        yield Servers(scene, scene.store, late, known)


@pytest.mark.parametrize("entry", READS, ids=lambda entry: entry.method)
def test_a_read_shows_the_past_only_where_its_pattern_says_so(
    servers: Servers, entry: Entry
) -> None:
    match entry.reads:
        case "strong":
            assert servers.shows_the_past(entry) == {False}
        case "strong by default":
            assert servers.shows_the_past(entry) == {False}
            assert servers.shows_the_past(entry, consistent=False) == {True}
        case "late by default":
            assert servers.shows_the_past(entry) == {True}
            assert servers.shows_the_past(entry, consistent=True) == {False}
        case _:
            assert True in servers.shows_the_past(entry)


@pytest.mark.parametrize("entry", WRITES, ids=lambda entry: entry.method)
def test_what_a_write_overlooks_is_done_by_the_next_call(servers: Servers, entry: Entry) -> None:
    scene = servers.scene
    known = servers.known | {"longest": [HOUR / 2], "user_id": ["ann"]}
    (arguments,) = calls(entry, known)
    before = scene.items()

    def after(*servers: ChatStore) -> list[str]:
        scene.restore(before)
        for server in servers:
            outcome(server, entry, arguments)
        return [ERASED.sub("erased", repr(item)) for item in scene.items()]

    try:
        done = after(scene.new_store())
        assert after(servers.late) != done
        if entry.method not in DELETIONS:
            assert after(servers.late, scene.new_store()) == done
            return
        (owner,) = arguments.values()
        owner = OfOrganization(owner) if entry.repository == "organizations" else owner
        after(servers.late)
        for left in servers.plain.conversations.list_by_user(owner):
            scene.new_store().conversations.delete(left.conversation_id)
        assert [repr(item) for item in scene.items()] == done
    finally:
        scene.restore(before)


@pytest.mark.parametrize("entry", LISTS, ids=lambda entry: entry.method)
def test_what_is_listed_late_is_read_at_once_by_its_id(servers: Servers, entry: Entry) -> None:
    strong = strong_way(entry)
    for arguments in servers.calls(entry):
        for listed in entities(outcome(servers.plain, entry, arguments)):
            asked = {name: getattr(listed, name) for name in required(strong)}
            if strong.reads.endswith("by default"):
                asked["consistent"] = True
            found = entities(outcome(servers.late, strong, asked))
            assert any(is_same(listed, each) for each in found), strong.method


def strong_way(entry: Entry) -> Entry:
    """The method of the same repository that reads one of what is listed, and not the past."""
    names = ("get", "get_by_id", "list_by_conversation")
    fields = fields_of(entry)
    for name in names:
        found = BY_METHOD.get(f"{entry.repository}.{name}")
        if found is not None and found.reads != "late" and set(required(found)) <= fields:
            return found
    raise LookupError(f"{entry.method} is late, and no other method of the repository is not")


def required(entry: Entry) -> list[str]:
    """The names of the arguments that a method must be given."""
    parameters = inspect.signature(method_of(entry)).parameters.values()
    return [each.name for each in parameters if each.default is each.empty][1:]


def fields_of(entry: Entry) -> set[str]:
    """The fields of what a method lists."""
    inner = inspect.unwrap(method_of(entry))
    kind = str(inspect.signature(inner).return_annotation).removesuffix("]").rpartition("[")[2]
    entity: type[Entity] = inner.__globals__[kind]
    return set(entity.model_fields)


def method_of(entry: Entry) -> Any:
    repository, _, method = entry.method.partition(".")
    return getattr(repositories()[repository], method)


def entities(given: Any) -> list[Entity]:
    """What a method returned, as a list."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, Entity) else [given]


def is_same(listed: Entity, found: Entity) -> bool:
    """True if one item was read twice. A list may leave out long fields, as None."""
    return all(
        value is None or getattr(found, name, value) == value
        for name, value in listed.__dict__.items()
    )
