"""The store that is loaded: with a clock that can be set, and with batches of whole items."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import Any

from dynamo_chat.core.attributes import unpacked
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import Clock, system_clock, ulid_ids
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.events import RequestHook
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import is_live
from dynamo_chat.store import StoreFactory


class Target:
    """The store that is loaded.

    What the repositories take from their clock, such as the time a thread was opened, is then the
    old record's time: `at` sets the clock, for the calling thread only.
    """

    def __init__(
        self,
        factory: StoreFactory,
        clock: Clock = system_clock,
        on_request: RequestHook | None = None,
    ) -> None:
        self._moment: ContextVar[datetime | None] = ContextVar("moment", default=None)
        self._clock = clock
        self.store = factory(clock=self.now, on_request=on_request)
        table = self.store.connection.table_name
        binding = Binding(self.store.connection, self.now, ulid_ids, CursorCodec(table, None))
        self._batches = _Batches(binding)

    def now(self) -> datetime:
        """The time that the store's clock shows."""
        return self._moment.get() or self._clock()

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Set the store's clock to `moment`."""
        token = self._moment.set(moment)
        try:
            yield
        finally:
            self._moment.reset(token)

    def put_new(self, items: Sequence[AttributeValues]) -> list[list[str]]:
        """Write the items that don't exist. For each item, how the existing one differs from it."""
        return self._batches.put_new(items)

    def compare(self, items: Sequence[AttributeValues]) -> list[list[str]]:
        """For each item, how the stored one differs from it; empty if it doesn't."""
        return self._batches.compare(items)


class _Batches(Repository):
    """Writes and compares whole items, up to 100 in a request."""

    def put_new(self, items: Sequence[AttributeValues]) -> list[list[str]]:
        found = self._stored(items)
        missing = [item for item, there in zip(items, found, strict=True) if there is None]
        # One write of a key in a batch: the last record with it would win, as everywhere else.
        unique = {_key(item): item for item in missing}
        self._batch_write([{"PutRequest": {"Item": item}} for item in unique.values()])
        return [
            [] if there is None else differences(item, there)
            for item, there in zip(items, found, strict=True)
        ]

    def compare(self, items: Sequence[AttributeValues]) -> list[list[str]]:
        return [
            ["is missing"] if there is None else differences(item, there)
            for item, there in zip(items, self._stored(items), strict=True)
        ]

    def _stored(self, items: Sequence[AttributeValues]) -> list[AttributeValues | None]:
        now = self._now()
        keys = [{PK: item[PK], SK: item[SK]} for item in items]
        found = self._get_items(keys, consistent=True)
        return [each if each is not None and is_live(each, now) else None for each in found]


def differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The names of the attributes in which two items differ, as sentences without their values."""
    found = []
    for name in sorted(wanted.keys() | there.keys()):
        if name not in there:
            found.append(f"{name} is missing")
        elif name not in wanted:
            found.append(f"{name} is not in the record")
        elif not _is_same(wanted[name], there[name]):
            found.append(f"{name} differs")
    return found


def _is_same(one: Any, other: Any) -> bool:
    """True if two attribute values are equal; numbers by value, compressed bodies by their text."""
    if one == other:
        return True
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    if "B" in one or "B" in other:
        return _body(one) == _body(other) is not None
    if one.keys() != other.keys():
        return False
    if one.keys() == {"N"}:
        return Decimal(one["N"]) == Decimal(other["N"])
    return all(_is_same(one[name], other[name]) for name in one)


def _body(value: Mapping[str, Any]) -> str | bytes | None:
    """The text of a body, compressed or not; the bytes of other binary data; None for the rest."""
    try:
        return unpacked(dict(value))
    except (LookupError, TypeError):
        return None
    except (ValueError, zlib.error):
        content = value["B"]
        return content if isinstance(content, bytes) else base64.b64decode(content)


def _key(item: AttributeValues) -> tuple[str, str]:
    return item[PK]["S"], item[SK]["S"]
