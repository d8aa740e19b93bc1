"""Memories of graphs, as items that belong to a user: values by namespace and key.

A namespace is one component of the key: its labels, each followed by NUL, which no label contains.
So namespaces sort as their tuples do, and what begins with a namespace is one range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, TypeAlias

from dynamo_chat.entities import (
    TABLE,
    AlreadyExists,
    Collection,
    Entity,
    ExpiresAt,
    Id,
    InvalidArgument,
    JsonObject,
    Layout,
    NotFound,
    Number,
    Page,
    PageRequest,
    Repository,
    Slot,
    Time,
    access_pattern,
    fields,
    partition,
    sort,
    text,
)
from dynamo_chat.integrations.langgraph.applying import apply_all

Labels: TypeAlias = tuple[str, ...]

_END: Final = "\x00"
_AFTER_END: Final = "\x01"
_MAX_MINUTES: Final = 36_500 * 24 * 60

MEMORY: Final = Layout(
    "langgraph_memory",
    table=Slot(
        partition("LGMEMORIES", text("user_id")), sort("MEMORY", text("namespace"), text("key"))
    ),
)


class Memory(Entity):
    """A value that a graph remembers of a user."""

    layout: ClassVar[Layout] = MEMORY

    user_id: Id
    namespace: Id
    key: Id
    value: JsonObject
    created_at: Time
    updated_at: Time
    minutes: Number | None = None
    """How long it is kept after its last use."""
    expires_at: ExpiresAt = None

    @property
    def labels(self) -> Labels:
        """Its namespace."""
        return tuple(self.namespace.split(_END)[:-1])


class Memories(Repository):
    """The memories of users: what `DynamoMemoryStore` reads and writes."""

    kinds = (Memory,)

    @access_pattern("LM1", "PutItem, UpdateItem", "1; 2 if there is one", budget=1,
                    owner="argument")  # fmt: skip
    def put(
        self,
        user_id: str,
        labels: Labels,
        key: str,
        value: Mapping[str, Any],
        *,
        minutes: float | None = None,
    ) -> None:
        """Write a value in place of any with its key, whose time of creation stays."""
        new = self._made(user_id, labels, key, value, minutes)
        changes = {
            name: getattr(new, name) for name in ("value", "updated_at", "minutes", "expires_at")
        }
        while True:
            try:
                self.items.create(new)
                return
            except AlreadyExists:
                with suppress(NotFound):  # it was deleted, or has expired, between the two
                    self.items.update(Memory, changes, **_key(user_id, labels, key))
                    return

    def check(
        self,
        user_id: str,
        labels: Labels,
        key: str,
        value: Mapping[str, Any] | None,
        *,
        minutes: float | None = None,
    ) -> None:
        """Raise what `put` of this value would refuse, or `delete` for None. Sends nothing."""
        if value is None:
            MEMORY.key(**_key(user_id, labels, key))
        else:
            self.items.creating(self._made(user_id, labels, key, value, minutes))

    def _made(
        self, user_id: str, labels: Labels, key: str, value: object, minutes: float | None
    ) -> Memory:
        if not isinstance(value, Mapping):
            raise InvalidArgument("value", f"must be an object, not {type(value).__name__}")
        now = self.items.now()
        return Memory(
            user_id=user_id,
            namespace=_joined(labels),
            key=key,
            value=dict(value),
            created_at=now,
            updated_at=now,
            minutes=minutes,
            expires_at=_deadline(now, minutes),
        )

    @access_pattern("LM2", "DeleteItem", "1", owner="key")
    def delete(self, user_id: str, labels: Labels, key: str) -> None:
        """Delete a value; no error if there is none."""
        self.items.delete(Memory, **_key(user_id, labels, key))

    @access_pattern("LM3", "BatchGetItem", "⌈keys / 100⌉", budget=1, owner="key")
    def get(self, user_id: str, keys: Sequence[tuple[Labels, str]]) -> list[Memory | None]:
        """The values with these keys, in the same order, strongly consistent; None for none."""
        return self.items.find_many(
            Memory, [_key(user_id, labels, key) for labels, key in keys], consistent=True
        )

    @access_pattern("LM4", "Query", "1", owner="partition")
    def list(
        self,
        user_id: str,
        prefix: Labels = (),
        *,
        page_size: int = 20,
        cursor: str | None = None,
    ) -> Page[Memory]:
        """The values in all namespaces that begin with `prefix`, by namespace and key.

        Strongly consistent.
        """
        asked = PageRequest((user_id, *prefix), False, page_size, cursor, consistent=True)
        return self.items.page(asked, Memory, _below(user_id, prefix))

    def walk(self, user_id: str, prefix: Labels = (), *, page_size: int = 20) -> Iterator[Memory]:
        """All that `list` lists, page by page."""
        cursor: str | None = None
        while True:
            page = self.list(user_id, prefix, page_size=page_size, cursor=cursor)
            if page.unreadable:
                raise page.unreadable[0]
            yield from page
            cursor, page_size = page.cursor, max(page_size, 100)
            if cursor is None:
                return

    @access_pattern("LM5", "Query", "1", owner="partition")
    def next_namespace(
        self, user_id: str, prefix: Labels = (), *, after: Labels | None = None, deep: bool = False
    ) -> Labels | None:
        """The first namespace that begins with `prefix`; with `after`, the first one behind it.

        With `deep`, the first one that does not begin with `after`. None if there is no other.
        """
        lower = None
        if after is not None:
            joined = _joined(after)
            lower = (joined[:-1] if deep else joined) + _AFTER_END
        within = _below(user_id, prefix, lower)
        asked = PageRequest((user_id, *prefix), False, 1, consistent=True)
        page = self.items.page(asked, Memory, within)
        if page.unreadable:
            raise page.unreadable[0]
        return page.items[0].labels if page.items else None

    @access_pattern("LM6", "UpdateItem, TransactWriteItems", "⌈values / 100⌉", budget=1,
                    owner="key")  # fmt: skip
    def refresh(self, user_id: str, memories: Sequence[Memory]) -> None:
        """Begin again to count how long these values are kept, unless they were changed since."""
        now = self.items.now()
        updates = []
        for each in memories:
            deadline = _deadline(now, each.minutes)
            if deadline is None or each.user_id != user_id:
                continue
            if each.expires_at is not None and int(deadline.timestamp()) <= int(
                each.expires_at.timestamp()
            ):
                continue
            update = self.items.updating(
                Memory,
                {"expires_at": deadline},
                only_if=fields(Memory).updated_at == each.updated_at,
                **_key(user_id, each.labels, each.key),
            )
            updates.append((update, 10_000))
        apply_all(self.items, updates)


def _joined(labels: Labels) -> str:
    joined = "".join(f"{label}{_END}" for label in labels)
    if joined.count(_END) != len(labels):
        raise InvalidArgument("labels", "must not contain NUL")
    return joined


def _key(user_id: str, labels: Labels, key: str) -> dict[str, Any]:
    return {"user_id": user_id, "namespace": _joined(labels), "key": key}


def _below(user_id: str, prefix: Labels, lower: str | None = None) -> Collection:
    within = MEMORY.collection(TABLE, user_id)
    joined = _joined(prefix)
    until = joined[:-1] + _AFTER_END if prefix else None
    return within(lower=lower or joined or None, until=until)


def _deadline(now: datetime, minutes: float | None) -> datetime | None:
    if minutes is None:
        return None
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not is_number or not 0 < minutes <= _MAX_MINUTES:
        raise InvalidArgument("ttl", f"must be more than 0 and at most {_MAX_MINUTES:,} minutes")
    return now + timedelta(minutes=minutes)
