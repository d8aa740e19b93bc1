"""A worked call of each method, for `dynamo-chat patterns --measure` (see `dynamo_chat.cases`).

The store class names this module in `cases`, and its repositories `checkpoints` and `memories`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dynamo_chat.cases import Case, Stage
from dynamo_chat.integrations.langgraph.kinds import At, Written
from dynamo_chat.store import ChatStore

_STATE = [b"msgpack", b"state", b"msgpack", b"metadata"]
_FIRST = At("thread", "", "1")
_SECOND = At("thread", "", "2")
_WRITTEN = [Written(0, "messages", "msgpack", b"value", "")]
_LABELS = ("profile",)


def _store(stage: Stage) -> tuple[Any, str]:
    """The application's store, and a user."""
    return stage.of(ChatStore), stage.fresh("user")


def _saved(stage: Stage) -> tuple[Any, str]:
    """The checkpoints of a user who has two, with what tasks wrote."""
    store, user = _store(stage)
    for at in (_FIRST, _SECOND):
        store.checkpoints.save(user, at, _STATE)
        store.checkpoints.save_writes(user, at, "task", _WRITTEN)
    return store.checkpoints, user


def checkpoints_save(stage: Stage) -> Iterator[Case]:
    """A small one."""
    store, user = _store(stage)
    yield Case("", lambda: store.checkpoints.save(user, _FIRST, _STATE))


def checkpoints_save_writes(stage: Stage) -> Iterator[Case]:
    """One value; then others of the same task."""
    kept, user = _saved(stage)
    yield Case("", lambda: kept.save_writes(user, _SECOND, "other", _WRITTEN))
    more = [*_WRITTEN, _WRITTEN[0]._replace(place=1)]
    yield Case("more values", lambda: kept.save_writes(user, _SECOND, "other", more), budget=3)


def checkpoints_latest(stage: Stage) -> Iterator[Case]:
    """Of two."""
    kept, user = _saved(stage)
    yield Case("", lambda: kept.latest(user, "thread", ""))


def checkpoints_get(stage: Stage) -> Iterator[Case]:
    """The first of two."""
    kept, user = _saved(stage)
    yield Case("", lambda: kept.get(user, _FIRST))


def checkpoints_items_before(stage: Stage) -> Iterator[Case]:
    """All, and those before the second."""
    kept, user = _saved(stage)
    yield Case("", lambda: kept.items_before(user, "thread", ""))
    yield Case("before one", lambda: kept.items_before(user, "thread", "", before="2"))


def checkpoints_outlines(stage: Stage) -> Iterator[Case]:
    """Of two checkpoints."""
    kept, user = _saved(stage)
    yield Case("", lambda: kept.outlines(user, "thread"))


def checkpoints_remove(stage: Stage) -> Iterator[Case]:
    """Two checkpoints, and what tasks wrote."""
    kept, user = _saved(stage)
    found = kept.outlines(user, "thread")
    yield Case("", lambda: kept.remove(user, found))


def checkpoints_copy(stage: Stage) -> Iterator[Case]:
    """Two checkpoints, and what tasks wrote."""
    kept, user = _saved(stage)
    yield Case("", lambda: kept.copy(user, "thread", "copy"))


def _remembered(stage: Stage) -> tuple[Any, str]:
    store, user = _store(stage)
    store.memories.put(user, _LABELS, "about", {"name": "Ann"}, minutes=60)
    return store.memories, user


def memories_put(stage: Stage) -> Iterator[Case]:
    """A new value; then another one in its place."""
    store, user = _store(stage)
    yield Case("", lambda: store.memories.put(user, _LABELS, "about", {"name": "Ann"}))
    yield Case("again", lambda: store.memories.put(user, _LABELS, "about", {}), budget=2)


def memories_delete(stage: Stage) -> Iterator[Case]:
    """One value."""
    kept, user = _remembered(stage)
    yield Case("", lambda: kept.delete(user, _LABELS, "about"))


def memories_get(stage: Stage) -> Iterator[Case]:
    """One value, and one that there is not."""
    kept, user = _remembered(stage)
    yield Case("", lambda: kept.get(user, [(_LABELS, "about"), (_LABELS, "other")]))


def memories_list(stage: Stage) -> Iterator[Case]:
    """One value."""
    kept, user = _remembered(stage)
    yield Case("", lambda: kept.list(user, _LABELS))


def memories_next_namespace(stage: Stage) -> Iterator[Case]:
    """The first one."""
    kept, user = _remembered(stage)
    yield Case("", lambda: kept.next_namespace(user))


def memories_refresh(stage: Stage) -> Iterator[Case]:
    """A value that was just written, but for longer."""
    kept, user = _remembered(stage)
    found = [each.model_copy(update={"minutes": 120.0}) for each in kept.list(user)]
    yield Case("", lambda: kept.refresh(user, found))
