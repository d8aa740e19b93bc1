"""What walks are made of: steps, taken one by one, each with what it gave and what it cost.

Reading looks at what was loaded; what changes something happens to things of the walk's own, which
its last steps delete, or `forget` where the store keeps records for good. Each step names the
method that it calls, so that its cost can be told by pattern.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from dynamo_chat.cli.console import cut
from dynamo_chat.cli.item_collections import read_partitions
from dynamo_chat.core.errors import LimitExceeded
from dynamo_chat.core.transaction import key_of
from dynamo_chat.store import ChatStore
from dynamo_chat.testing.meter import RequestMeter

TOLD_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and how to tell what it gave."""

    method: str
    call: Callable[[], Any]
    tell: Callable[[Any], str]
    pattern: str = ""
    """The pattern that it shows, where that is another than the method's own."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken: what it gave, and what it cost."""

    method: str
    told: str
    requests: int
    wcu: float
    rcu: float
    pattern: str = ""


Walk: TypeAlias = Generator[Step, Any, None]


def take(walk: Walk, meter: RequestMeter) -> Iterator[Taken]:
    """Take the steps of a walk one by one; each is given what the one before it returned."""
    given: Any = None
    while True:
        try:
            step = walk.send(given)
        except StopIteration:
            return
        meter.reset()
        given = step.call()
        told = step.tell(given)
        yield Taken(step.method, told, meter.count, meter.wcu, meter.rcu, step.pattern)


def own(what: str) -> str:
    """A name for something of the walk's own, which nobody else has."""
    return f"walk-{what}-{uuid.uuid4().hex[:8]}"


def refused(call: Callable[[], Any]) -> Callable[[], LimitExceeded]:
    """The call, of which the refusal is wanted."""

    def run() -> LimitExceeded:
        try:
            call()
        except LimitExceeded as refusal:
            return refusal
        raise AssertionError("the call was meant to be refused")

    return run


def forget(store: ChatStore, *partitions: str) -> None:
    """Delete what the walk made under these partition keys and the store keeps for good."""
    for item in read_partitions(store, partitions):
        request = {"TableName": store.connection.table_name, "Key": key_of(item)}
        store.connection.call("DeleteItem", request)


# -- telling ------------------------------------------------------------------------------------


def several(found: Iterable[Any], tell: Callable[[Any], str]) -> str:
    """How many there are, and the first of them."""
    each = list(found)
    return cut(f"{len(each)}, first {tell(each[0])}" if each else "none", TOLD_WIDTH)


def clock_time(moment: datetime) -> str:
    """A time of day, to the minute."""
    return f"{moment:%H:%M}"
