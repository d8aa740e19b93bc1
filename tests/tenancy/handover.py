"""A table on which ids change hands at a chosen moment of somebody's call."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSResponse

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import DynamoChatError, NotFound
from dynamo_chat.testing import Fault
from dynamo_chat.testing.answers import json_answer
from dynamo_chat.testing.faults import Attempt
from tests.scene import Item, Scene, address, at_request, before_each_request, faults
from tests.tenancy.lives import NEW, Domain
from tooling.everything import Everything

Call = Callable[[ChatStore, Everything, Everything], Any]


@dataclass(frozen=True)
class Moment:
    """When the ids change hands: before a request, or amid a BatchGetItem, which is no snapshot."""

    request: int
    """From 1."""
    operation: str
    late: tuple[int, ...] | None = None
    """The places of a batch that are read afterwards; None for all of the request."""


class Stage:
    """One table, on which the same ids are Ann's or Zed's."""

    def __init__(self, scene: Scene, domain: Domain, words: str) -> None:
        self.scene = scene
        self.store = scene.new_store()
        self.ann, self.before, self.after = domain.played(scene, words)
        self._there: list[Item] | None = None

    def show(self, image: list[Item]) -> None:
        """Make the table what it was, in few requests."""
        self.scene.restore(image, there=self._there)

    def moments(self, call: Call, *, warm: bool) -> list[Moment]:
        """Every moment of the call at which the ids can change hands."""
        found: list[Moment] = []

        def note(sent: list[str], body: Any) -> None:
            operation, number = sent[-1], len(sent)
            found.append(Moment(number, operation))
            if operation == "BatchGetItem":
                tables = json.loads(body)["RequestItems"].values()
                keys = range(sum(len(part["Keys"]) for part in tables))
                parts = [part for cut in keys[1:] for part in (keys[:cut], keys[cut:])]
                found.extend(Moment(number, operation, tuple(late)) for late in parts)

        self._begin(warm=warm)
        with before_each_request(self.store, note):
            told(self.store, call, self.ann)
        return found

    def play(self, call: Call, moment: Moment, *, warm: bool) -> list[str]:
        """What was wrong when the ids changed hands at this moment of Ann's call."""
        self._begin(warm=warm)
        changed = []

        def change() -> None:
            changed.append(True)
            self.show(self.after)

        with self._at(moment, change):
            seen = told(self.store, call, self.ann)
        assert changed, "the call went as it had gone before"
        showed = [f"showed {seen}"] if NEW in seen else []
        self._there = self.scene.items()
        return showed + differences(self.after, self._there)

    def _begin(self, *, warm: bool) -> None:
        self.show(self.before)
        self._there = None  # the call may change it
        self.store._snapshots.forget(self.ann.conversation_id)
        if warm:
            with suppress(NotFound):
                self.store.messages.latest_with_conversation(self.ann.conversation_id)

    @contextmanager
    def _at(self, moment: Moment, change: Callable[[], None]) -> Iterator[None]:
        if moment.late is None:
            with at_request(self.store, moment.request, change):
                yield
            return
        with faults(self.store) as injector:
            injector.plan(TornBatch(moment.late, change), at=moment.request)
            yield


@dataclass(frozen=True)
class TornBatch(Fault):
    """A BatchGetItem reads some of its items before something happens, and the rest after it."""

    late: tuple[int, ...]
    happening: Callable[[], None]

    def happen(self, attempt: Attempt) -> AWSResponse:
        """Two answers, as if they were one."""
        body = attempt.body
        ((table, part),) = body["RequestItems"].items()
        is_late = [place in self.late for place in range(len(part["Keys"]))]
        found: list[Any] = []
        for time in (False, True):
            keys = [key for key, late in zip(part["Keys"], is_late, strict=True) if late is time]
            asked = {**body, "RequestItems": {table: {**part, "Keys": keys}}}
            found += json.loads(attempt.forward(asked).content)["Responses"][table]
            if not time:
                self.happening()
        return json_answer(attempt.url, {"Responses": {table: found}, "UnprocessedKeys": {}})


def told(store: ChatStore, call: Call, ann: Everything) -> str:
    """All that the caller gets to see."""
    try:
        return repr(call(store, ann, ann))
    except DynamoChatError as error:
        shown = "".join(traceback.format_exception(error, limit=0))
        return f"{error!r} {vars(error)} {shown}"


def differences(expected: list[Item], found: list[Item]) -> list[str]:
    """What is not as it should be, by kind."""
    wanted = {address(item): item for item in expected}
    there = {address(item): item for item in found}
    return [
        f"{'deleted' if key not in there else 'made' if key not in wanted else 'changed'}"
        f" {(there.get(key) or wanted[key])['kind']['S']}"
        for key in sorted({*wanted, *there})
        if wanted.get(key) != there.get(key)
    ]
