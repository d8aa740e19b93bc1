"""What a store remembers of conversations, so that an append needs one request only.

A snapshot has what the keys and deadlines of new items need, which seldom or never changes. Every
write has a condition that the snapshot is current (`holds`); if it is not, the response of the
failed condition has the current head.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    Conversation,
    Life,
    check_ids,
    head_key,
    is_live_head,
    live_head,
)
from dynamo_chat.chat.window import Window, is_remembered
from dynamo_chat.core.attributes import Raw, epoch_seconds
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.item import encoded, plan
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, contended
from dynamo_chat.core.ulids import ulid_time

REMEMBERED_CONVERSATIONS = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an append must know of a conversation; its condition checks that this is current."""

    conversation_id: str
    user_id: str
    created_at: datetime
    life: str | None
    has_title: bool
    retention: timedelta | None
    is_sliding: bool
    kept_until: datetime | None
    """The deadline for new items of the collection."""
    keep_last: int | None
    is_renewing: bool
    last_position: str | None
    """A hint only: the position of the last append that this store has seen."""
    window: Window | None = None
    """A hint only: the messages up to `last_position`. None if unknown, or too many are kept."""
    is_shared: bool = False
    """True if another store has appended since this one did: it may well do so again."""
    auto_title: bool = True
    """True if a message may give it a title."""

    @property
    def takes_title(self) -> bool:
        """True if its first user message gives it a title."""
        return self.auto_title and not self.has_title

    def alive_until(self, latest: datetime | None = None) -> datetime | None:
        """Until when a sliding conversation surely lives, with a message at `latest`.

        None for any other: its items expire with it, so lists need not read the head.
        """
        if not self.is_sliding or self.retention is None:
            return None
        known = [] if self.last_position is None else [ulid_time(self.last_position)]
        return max([self.created_at, *known, *([latest] if latest else [])]) + self.retention


def snapshot_of(conversation: Conversation) -> Snapshot:
    """The snapshot of this conversation."""
    return Snapshot(
        conversation_id=conversation.conversation_id,
        user_id=conversation.user_id,
        created_at=conversation.created_at,
        life=conversation.life,
        has_title=conversation.title is not None,
        retention=conversation.retention,
        is_sliding=conversation.is_sliding,
        kept_until=conversation.kept_until,
        keep_last=conversation.keep_last,
        is_renewing=conversation.renewing_from is not None,
        last_position=conversation.last_position,
        window=window_of(conversation, ()),
        auto_title=conversation.auto_title,
    )


def window_of(conversation: Conversation, positions: Sequence[str]) -> Window | None:
    """The window of these positions, if they are all of the conversation's messages."""
    if is_remembered(conversation.keep_last) and len(positions) == conversation.message_count:
        return Window.of(positions)
    return None


def life_of(known: Conversation | Snapshot) -> Life:
    """The life of its id that a conversation is."""
    return Life(known.user_id, known.created_at, known.life)


class SnapshotCache:
    """The snapshots of a store's most recently used conversations. Thread-safe."""

    def __init__(self, size: int = REMEMBERED_CONVERSATIONS) -> None:
        self._size = size
        self._known: OrderedDict[str, Snapshot] = OrderedDict()
        self.after_fork()
        renew_after_fork(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as an empty cache of the same size."""
        return type(self), (self._size,)

    def after_fork(self) -> None:
        """Make a new lock in a forked process; the snapshots stay valid."""
        self._lock = threading.Lock()

    def get(self, conversation_id: str) -> Snapshot | None:
        """The snapshot of a conversation; None if there is none."""
        with self._lock:
            found = self._known.get(conversation_id)
            if found is not None:
                self._known.move_to_end(conversation_id)
            return found

    def put(
        self, snapshot: Snapshot, message_count: int | None = None, *, is_late: bool = False
    ) -> Snapshot:
        """Store `snapshot` with the highest known position, and return what is stored.

        If it has no window, the known one stays if it is of the same position and, if given, of
        `message_count` messages. One that was read late, of an earlier position, changes nothing.
        """
        with self._lock:
            known = self._known.get(snapshot.conversation_id)
            if known is not None and life_of(known) == life_of(snapshot):
                is_past = is_late and (known.last_position or "") > (snapshot.last_position or "")
                snapshot = known if is_past else _merged(known, snapshot, message_count)
            self._known[snapshot.conversation_id] = snapshot
            self._known.move_to_end(snapshot.conversation_id)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return snapshot

    def forget(self, conversation_id: str) -> None:
        """Forget a conversation."""
        with self._lock:
            self._known.pop(conversation_id, None)

    def forget_window(self, conversation_id: str) -> None:
        """Forget which messages a conversation has, after some were deleted."""
        with self._lock:
            known = self._known.get(conversation_id)
            if known is not None and known.window is not None:
                self._known[conversation_id] = replace(known, window=None)


def _merged(known: Snapshot, snapshot: Snapshot, message_count: int | None) -> Snapshot:
    before, now = known.last_position or "", snapshot.last_position or ""
    if before > now:
        return replace(snapshot, last_position=known.last_position, window=known.window)
    if before != now or snapshot.window is not None or known.window is None:
        return snapshot
    is_current = message_count is None or known.window.count == message_count
    return replace(snapshot, window=known.window) if is_current else snapshot


def holds(snapshot: Snapshot, now: datetime) -> Condition:
    """A condition that the head is live and that its owner and retention are the snapshot's."""
    head = plan(Conversation).model
    if snapshot.kept_until is None:
        deadline = head.ttl.does_not_exist()
        alive: Condition = head.kind == keyspace.CONVERSATION.kind
    else:
        # A later conversation with the same id and creation time may have another retention.
        deadline = head.ttl == epoch_seconds(snapshot.kept_until)
        deadline &= _retention_is(snapshot.retention)
        alive = live_head(now)
    same: Condition = alive & deadline & life_of(snapshot).condition
    return same


def _retention_is(retention: timedelta | None) -> Condition:
    path = Path("retention")
    if retention is None:
        missing: Condition = path.does_not_exist()
        return missing
    stored = encoded(plan(Conversation).attributes["retention"], retention)
    same: Condition = path == Raw(stored)
    return same


class Heads(Repository):
    """Reads the heads of conversations, and updates the snapshots from them."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self.snapshots: Final = snapshots

    def snapshot(self, conversation_id: str, user_id: str | None = None) -> Snapshot:
        """The snapshot, remembered or read now. NotFound if it is gone or another user's."""
        check_ids(conversation_id, user_id)
        snapshot = self.snapshots.get(conversation_id)
        # Another user's may be of an earlier conversation with the same id: read the head.
        if snapshot is None or (user_id is not None and snapshot.user_id != user_id):
            snapshot = self.remember(self.read(conversation_id, user_id))
        return snapshot

    def read(
        self, conversation_id: str, user_id: str | None = None, *, consistent: bool = True
    ) -> Conversation:
        """The live conversation, of this user if given; NotFound otherwise."""
        check_ids(conversation_id, user_id)
        item = self._get_item(head_key(conversation_id), consistent=consistent)
        return self.living(item, conversation_id, user_id)

    def living(
        self, item: AttributeValues | None, conversation_id: str, user_id: str | None = None
    ) -> Conversation:
        """The conversation in this head; NotFound if gone, expired, or another user's."""
        check_ids(conversation_id, user_id)
        if not is_live_head(item, self._now()):
            self.snapshots.forget(conversation_id)
            raise NotFound("conversation", conversation_id)
        found = plan(Conversation).decode(item or {})
        if user_id is not None and found.user_id != user_id:
            raise NotFound("conversation", conversation_id)
        return found

    def with_snapshot(
        self, conversation_id: str, user_id: str | None, attempt: Callable[[Snapshot], T]
    ) -> T:
        """The result of `attempt` with a current snapshot; its first write must check the head.

        Tried first with the remembered snapshot; if its check fails, with the head in the response.
        """
        snapshot = self.snapshot(conversation_id, user_id)
        for tries in range(self._connection.options.transaction_attempts):
            try:
                return attempt(snapshot)
            except ConditionFailed as failed:
                if 0 not in failed.items:
                    raise
                head = self.living(failed.items[0], conversation_id, user_id)
                snapshot = self.remember(head)
                if tries:
                    self._connection.pause(tries)
        raise contended("the conversation")

    def remember(self, head: Conversation, *, is_late: bool = False) -> Snapshot:
        """Store the snapshot of a head that was read, perhaps late, and return what is stored."""
        return self.snapshots.put(snapshot_of(head), head.message_count, is_late=is_late)

    def check(self, snapshot: Snapshot) -> Check:
        """A check that the head is live and matches the snapshot."""
        return Check(head_key(snapshot.conversation_id), holds(snapshot, self._now()))
