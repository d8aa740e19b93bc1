"""The items that checkpoints are kept in, and what is read of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, NamedTuple

from dynamo_chat.entities import (
    Bytes,
    Count,
    Entity,
    ExpiresAt,
    Id,
    Layout,
    Slot,
    Text,
    integer,
    partition,
    sort,
    text,
)

PIECE_BYTES: Final = 380_000
"""The most bytes of one item: 400 KB, less its keys and other attributes."""
MAX_PIECES: Final = 1_000
WRITES_OUTLIVE: Final = timedelta(hours=1)
"""How much longer writes are kept than a checkpoint of the same moment: they may be stored first,
and are never shown without it."""

STATE: Final = "checkpoint"

_WHOLE: Final = "/"
_LONGEST: Final = 200
_TIME_CHARACTERS: Final = 10

_PARTITION: Final = partition("LGTHREADS", text("user_id"))
_ADDRESS: Final = (text("thread_id"), text("namespace"), text("checkpoint_id"))

CHECKPOINT: Final = Layout(
    "langgraph_checkpoint",
    table=Slot(_PARTITION, sort("CHECKPOINT", *_ADDRESS, text("part"))),
)
PIECE: Final = Layout(
    "langgraph_piece",
    table=Slot(_PARTITION, sort("PIECE", *_ADDRESS, text("digest"), integer("number", 4))),
)


def namespace_key(namespace: str) -> str:
    """A namespace as a component of a key: not empty, and not too long.

    Subgraphs of subgraphs have long ones, of which a digest is in the key.
    """
    if len(namespace) <= _LONGEST:
        return _WHOLE + namespace
    return "~" + hashlib.sha256(namespace.encode()).hexdigest()


class At(NamedTuple):
    """Which checkpoint: its thread, its namespace in there, its id."""

    thread_id: str
    namespace: str
    checkpoint_id: str

    @property
    def key(self) -> dict[str, str]:
        """The components of its items' keys."""
        return {**self._asdict(), "namespace": namespace_key(self.namespace)}

    @property
    def long_namespace(self) -> str | None:
        """The namespace, if it is too long for a key."""
        return None if self.key["namespace"][0] == _WHOLE else self.namespace


class CheckpointItem(Entity):
    """The state of a graph at one time, or what one of its tasks wrote after it."""

    layout: ClassVar[Layout] = CHECKPOINT

    user_id: Id
    thread_id: Id
    namespace: Id
    checkpoint_id: Id
    part: Id
    mark: Id
    """A ULID, another one each time it is written; its pieces have the same."""
    parent_id: Id | None = None
    """The checkpoint that this one follows."""
    run_id: Id | None = None
    data: Bytes
    """What it holds; empty if that is in pieces."""
    digest: Text | None = None
    """What its pieces are named by."""
    pieces: Count = 0
    long_namespace: Text | None = None
    expires_at: ExpiresAt = None

    @property
    def at(self) -> At:
        """The checkpoint that it is part of."""
        namespace = self.long_namespace or self.namespace[1:]
        return At(self.thread_id, namespace, self.checkpoint_id)

    @property
    def is_state(self) -> bool:
        """True for the checkpoint itself, False for what a task wrote."""
        return self.part == STATE


class CheckpointPiece(Entity):
    """Up to 380,000 bytes of a large item of a checkpoint."""

    layout: ClassVar[Layout] = PIECE

    user_id: Id
    thread_id: Id
    namespace: Id
    checkpoint_id: Id
    digest: Id
    number: Count
    mark: Id
    data: Bytes
    long_namespace: Text | None = None
    expires_at: ExpiresAt = None

    @property
    def at(self) -> At:
        """The checkpoint that it is part of."""
        namespace = self.long_namespace or self.namespace[1:]
        return At(self.thread_id, namespace, self.checkpoint_id)


Stored = CheckpointItem | CheckpointPiece


class Written(NamedTuple):
    """One value that a task wrote to a channel."""

    place: int
    """Among the task's writes; negative for special ones, of which the last counts."""
    channel: str
    form: str
    value: bytes
    task_path: str


class Saved(NamedTuple):
    """A checkpoint as it is stored."""

    user_id: str
    at: At
    parent_id: str | None
    state: list[bytes]
    writes: list[tuple[str, Written]]
    """What tasks wrote, each with the task's id; in no order."""


class Outline(NamedTuple):
    """An item without its content, to decide what is deleted."""

    kind: type[Stored]
    at: At
    is_state: bool
    parent_id: str | None
    run_id: str | None
    key: Mapping[str, Any]
    mark: str
    size: int


def outline_of(item: Stored) -> Outline:
    """An item without its content."""
    table = item.layout.table
    key = {name: getattr(item, name) for name in (*table.pk.names, *table.sk.names)}
    is_state = isinstance(item, CheckpointItem) and item.is_state
    parent, run = (
        (item.parent_id, item.run_id) if isinstance(item, CheckpointItem) else (None, None)
    )
    return Outline(
        type(item), item.at, is_state, parent, run, key, item.mark, len(item.data) + 2_000
    )


def is_earlier(mark: str, other: str) -> bool:
    """True if `mark` was made in an earlier millisecond than `other`: both are ULIDs."""
    return mark[:_TIME_CHARACTERS] < other[:_TIME_CHARACTERS]


def flat(writes: Iterable[Written]) -> Iterator[bytes]:
    """What is stored of a task's writes."""
    for each in writes:
        yield str(each.place).encode()
        yield each.channel.encode()
        yield each.form.encode()
        yield each.value
        yield each.task_path.encode()


def written(content: Sequence[bytes]) -> Iterator[Written]:
    """The inverse of `flat`."""
    for at in range(0, len(content), 5):
        place, channel, form, value, path = content[at : at + 5]
        yield Written(int(place), channel.decode(), form.decode(), value, path.decode())


def writes_of_tasks(writes: Iterable[Sequence[bytes]]) -> Iterator[tuple[str, Written]]:
    """Each write of what is stored of some tasks, with its task's id."""
    for task_id, *content in writes:
        for each in written(content):
            yield task_id.decode(), each


def order_of_removal(outline: Outline) -> int:
    """States first, so that no checkpoint is seen without its writes or pieces."""
    if outline.is_state:
        return 0
    return 1 if outline.kind is CheckpointItem else 2
