"""Checkpoints of graphs, as items that belong to a user.

All of a user's threads are in one partition. In it, an item of a checkpoint has the sort key
``CHECKPOINT#thread#namespace#id#part``, where `part` is ``checkpoint`` for its state, and
``write:…`` for what a task wrote after it. Read backwards, a checkpoint's writes come before its
state, so one Query finds the newest checkpoint with its writes, and knows when it has them all.

What is too large for an item is in pieces, which are written before the item that makes them
visible. They are named by their content, so a second attempt writes the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final, TypeVar

from dynamo_chat.entities import (
    TABLE,
    AlreadyExists,
    Collection,
    Conflict,
    CorruptItem,
    InvalidArgument,
    Page,
    PageRequest,
    Repository,
    access_pattern,
    fields,
)
from dynamo_chat.integrations.langgraph.applying import apply_all
from dynamo_chat.integrations.langgraph.kinds import (
    CHECKPOINT,
    MAX_PIECES,
    PIECE,
    PIECE_BYTES,
    STATE,
    WRITES_OUTLIVE,
    At,
    CheckpointItem,
    CheckpointPiece,
    Outline,
    Saved,
    Written,
    flat,
    is_earlier,
    namespace_key,
    order_of_removal,
    outline_of,
    writes_of_tasks,
    written,
)
from dynamo_chat.integrations.langgraph.payload import joined, split

_FIRST: Final = 2
"""A checkpoint without writes, and the item before it, which is mostly a small one."""
_PAGE: Final = 100
_LOOKS: Final = 2

E = TypeVar("E", CheckpointItem, CheckpointPiece)


class Checkpoints(Repository):
    """The checkpoints of users' threads: what `DynamoCheckpointSaver` reads and writes."""

    kinds = (CheckpointItem, CheckpointPiece)

    # -- writing ------------------------------------------------------------------------------

    @access_pattern(
        "LG1", "PutItem", "1, and 1 for each 380,000 bytes of a larger one", budget=1,
        owner="argument",
    )  # fmt: skip
    def save(
        self,
        user_id: str,
        at: At,
        state: Sequence[bytes],
        *,
        parent_id: str | None = None,
        run_id: str | None = None,
        retention: timedelta | None = None,
    ) -> None:
        """Write a checkpoint in place of any with its id. ItemTooLarge; InvalidArgument."""
        item = self._item(user_id, at, STATE, state, self._deadline(retention))
        self.items.put(item.model_copy(update={"parent_id": parent_id, "run_id": run_id}))

    @access_pattern(
        "LG2", "PutItem, TransactWriteItems", "1; 3 if the task's values are stored and others",
        budget=1, owner="argument",
    )  # fmt: skip
    def save_writes(
        self,
        user_id: str,
        at: At,
        task_id: str,
        writes: Sequence[Written],
        *,
        retention: timedelta | None = None,
    ) -> None:
        """Write what a task wrote after a checkpoint.

        Of its values the first at an index stays, of each special one the last.
        """
        deadline = self._deadline(retention, WRITES_OUTLIVE)
        values = {each.place: each for each in writes if each.place >= 0}
        special = {each.place: each for each in writes if each.place < 0}

        def item(slot: int, held: Iterable[Written]) -> CheckpointItem:
            part = f"write:{slot}:{task_id}"
            return self._item(user_id, at, part, [task_id.encode(), *flat(held)], deadline)

        beside = [self.items.putting(item(slot, [each])) for slot, each in special.items()]
        while values:
            new = item(0, values.values())
            try:
                self.items.create(new, *beside)
            except AlreadyExists as taken:
                there = taken.current
                if not isinstance(there, CheckpointItem):
                    raise
                held = dict(self._values(there))
                values = {**values, **held}
                if len(values) == len(held):
                    break
                is_same = fields(CheckpointItem).mark == there.mark
                with suppress(Conflict):  # another call added some: look again
                    self.items.put(item(0, values.values()), *beside, only_if=is_same)
                    return
            else:
                return
        if beside:
            self.items.write(*beside)

    def _values(self, there: CheckpointItem) -> Iterator[tuple[int, Written]]:
        payload = self._payload(there)
        if payload is not None:  # its pieces were deleted: so was the thread
            _, *held = payload
            for each in written(held):
                yield each.place, each

    # -- reading ------------------------------------------------------------------------------

    @access_pattern(
        "LG3", "Query", "1; 2 if its tasks have written; and ⌈MB⌉ of a large one", budget=2,
        owner="partition",
    )  # fmt: skip
    def latest(self, user_id: str, thread_id: str, namespace: str) -> Saved | None:
        """The newest checkpoint in a namespace of a thread, strongly consistent; None if none."""
        within = CHECKPOINT.collection(TABLE, user_id)
        collection = within(thread_id, namespace_key(namespace))
        found = self._pages(CheckpointItem, user_id, collection, first=_FIRST, descending=True)
        return self._whole(chain.from_iterable(found))

    @access_pattern("LG4", "Query", "1, and ⌈MB⌉ of a large one", budget=1, owner="partition")
    def get(self, user_id: str, at: At) -> Saved | None:
        """This checkpoint, strongly consistent; None if there is none."""
        return self._whole(self._items_at(user_id, at))

    @access_pattern("LG5", "Query", "1", owner="partition")
    def items_before(
        self,
        user_id: str,
        thread_id: str | None = None,
        namespace: str | None = None,
        *,
        before: str | None = None,
        page_size: int = _PAGE,
        cursor: str | None = None,
    ) -> Page[CheckpointItem]:
        """Items of checkpoints, newest first in each namespace of each thread.

        Only those of checkpoints with a smaller id than `before`, which needs a namespace.
        """
        within = CHECKPOINT.collection(TABLE, user_id)
        names = [] if thread_id is None else [thread_id]
        if namespace is not None:
            names.append(namespace_key(namespace))
        asked = PageRequest(
            (user_id, thread_id, namespace, before), True, page_size, cursor, consistent=True
        )
        return self.items.page(asked, CheckpointItem, within(*names, until=before))

    def walk(
        self,
        user_id: str,
        thread_id: str | None = None,
        namespace: str | None = None,
        *,
        before: str | None = None,
        page_size: int = _PAGE,
    ) -> Iterator[Saved]:
        """All checkpoints of a user, a thread or a namespace, newest first in each namespace."""

        def found() -> Iterator[CheckpointItem]:
            cursor: str | None = None
            while True:
                page = self.items_before(
                    user_id,
                    thread_id,
                    namespace,
                    before=before if namespace is not None else None,
                    page_size=page_size,
                    cursor=cursor,
                )
                yield from _readable(page)
                cursor = page.cursor
                if cursor is None:
                    return

        for items in _grouped(found()):
            if any(each.pieces for each in items):
                saved = self.get(user_id, items[0].at)
            else:
                saved = self._saved(items)
            if saved is not None:
                yield saved

    # -- deleting and copying -----------------------------------------------------------------

    @access_pattern("LG6", "Query", "2, and ⌈MB⌉", budget=2, owner="partition")
    def outlines(self, user_id: str, thread_id: str | None = None) -> list[Outline]:
        """Every item of a thread, or of all, without its content; newest first.

        Pieces that another worker has begun to write since are left out: they are not deleted.
        """
        names = () if thread_id is None else (thread_id,)
        begun = self.items.new_id()
        within = CHECKPOINT.collection(TABLE, user_id)(*names)
        pages = self._pages(CheckpointItem, user_id, within, descending=True)
        found = [outline_of(each) for each in chain.from_iterable(pages)]
        marks = {each.mark for each in found}
        within = PIECE.collection(TABLE, user_id)(*names)
        pieces = chain.from_iterable(self._pages(CheckpointPiece, user_id, within))
        found.extend(
            outline_of(each)
            for each in pieces
            if each.mark in marks or is_earlier(each.mark, begun)
        )
        return found

    @access_pattern("LG7", "TransactWriteItems, DeleteItem", "⌈items / 100⌉", budget=1,
                    owner="partition")  # fmt: skip
    def remove(self, user_id: str, outlines: Iterable[Outline]) -> None:
        """Delete these items, unless they were written again since. States go first.

        After a crash, call it again with what is left.
        """
        ordered = sorted(outlines, key=order_of_removal)
        if any(each.key["user_id"] != user_id for each in ordered):
            raise InvalidArgument("outlines", "must be of this user")
        deletes = [
            (
                self.items.deleting(
                    each.kind, only_if=fields(each.kind).mark == each.mark, **each.key
                ),
                each.size,
            )
            for each in ordered
        ]
        apply_all(self.items, deletes)

    @access_pattern("LG8", "Query, PutItem", "1 for each item, and ⌈MB⌉ to read them", budget=5,
                    owner="partition")  # fmt: skip
    def copy(
        self, user_id: str, source: str, target: str, *, retention: timedelta | None = None
    ) -> None:
        """Copy all checkpoints of a thread to another, the oldest of a namespace first.

        After a crash, call it again: what was copied is written once more.
        """
        deadline, late = self._deadline(retention), self._deadline(retention, WRITES_OUTLIVE)
        found = self._pages(CheckpointItem, user_id, CHECKPOINT.collection(TABLE, user_id)(source))
        state: list[CheckpointItem] = []
        for item in chain.from_iterable(found):
            if item.is_state:  # it follows when all that belongs to it is there
                self._copy(state, target, deadline)
                state = [item]
            else:
                self._copy([item], target, late)
        self._copy(state, target, deadline)

    def _copy(self, items: list[CheckpointItem], target: str, deadline: datetime | None) -> None:
        for item in items:
            to = {"thread_id": target, "expires_at": deadline, "mark": self.items.new_id()}
            for piece in self._pieces(item):
                self.items.put(piece.model_copy(update=to))
            self.items.put(item.model_copy(update=to))

    # -- parts --------------------------------------------------------------------------------

    def _item(
        self,
        user_id: str,
        at: At,
        part: str,
        content: Sequence[bytes],
        deadline: datetime | None,
    ) -> CheckpointItem:
        """An item with this content, of which the pieces are stored."""
        payload = joined(content)
        common: dict[str, Any] = {
            "user_id": user_id,
            **at.key,
            "long_namespace": at.long_namespace,
            "mark": self.items.new_id(),
            "expires_at": deadline,
        }
        if len(payload) <= PIECE_BYTES:
            return CheckpointItem(**common, part=part, data=payload)
        count = -(-len(payload) // PIECE_BYTES)
        if count > MAX_PIECES:
            most = MAX_PIECES * PIECE_BYTES
            raise InvalidArgument("checkpoint", f"must have at most {most:,} bytes")
        digest = hashlib.sha256(payload).hexdigest()[:32]
        item = CheckpointItem(**common, part=part, data=b"", digest=digest, pieces=count)
        for number in range(count):
            cut = payload[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]
            self.items.put(CheckpointPiece(**common, digest=digest, number=number, data=cut))
        return item

    def _deadline(
        self, retention: timedelta | None, longer: timedelta = timedelta()
    ) -> datetime | None:
        return None if retention is None else self.items.now() + retention + longer

    def _pages(
        self,
        kind: type[E],
        user_id: str,
        collection: Collection,
        *,
        first: int = _PAGE,
        descending: bool = False,
    ) -> Iterator[list[E]]:
        cursor: str | None = None
        while True:
            asked = PageRequest((user_id, kind.__name__), descending, first, cursor, True)
            page = self.items.page(asked, kind, collection)
            yield _readable(page)
            cursor, first = page.cursor, _PAGE
            if cursor is None:
                return

    def _items_at(self, user_id: str, at: At) -> Iterator[CheckpointItem]:
        collection = CHECKPOINT.collection(TABLE, user_id)(*at.key.values())
        return chain.from_iterable(
            self._pages(CheckpointItem, user_id, collection, descending=True)
        )

    def _whole(self, items: Iterable[CheckpointItem]) -> Saved | None:
        """The first checkpoint among items in descending order; None if there is none."""
        found = (self._saved(group) for group in _grouped(items))
        return next((saved for saved in found if saved is not None), None)

    def _saved(self, items: Sequence[CheckpointItem]) -> Saved | None:
        """A checkpoint of its state and its writes; None if it was deleted meanwhile."""
        for look in range(_LOOKS):
            payloads = [self._payload(each) for each in items]
            found = [each for each in payloads if each is not None]
            if len(found) == len(items):
                state, *writes = found
                first = items[0]
                return Saved(
                    first.user_id, first.at, first.parent_id, state, list(writes_of_tasks(writes))
                )
            if look + 1 < _LOOKS:  # perhaps it was written again, with other pieces
                again = _grouped(self._items_at(items[0].user_id, items[0].at))
                items = next(again, [])
                if not items:
                    return None
        return None

    def _payload(self, item: CheckpointItem) -> list[bytes] | None:
        """What an item holds; None if its pieces are not there."""
        payload = item.data
        if item.pieces:
            pieces = self._pieces(item)
            if len(pieces) != item.pieces:
                return None
            payload = b"".join(each.data for each in pieces)
        try:
            return split(payload)
        except ValueError as error:
            raise CorruptItem(CHECKPOINT.kind, f"its data is {error}", item.at._asdict()) from error

    def _pieces(self, item: CheckpointItem) -> list[CheckpointPiece]:
        if not item.pieces:
            return []
        collection = PIECE.collection(TABLE, item.user_id)(*item.at.key.values(), item.digest)
        return list(chain.from_iterable(self._pages(CheckpointPiece, item.user_id, collection)))


def _grouped(items: Iterable[CheckpointItem]) -> Iterator[list[CheckpointItem]]:
    """Items in descending order by checkpoint: its state, and what tasks wrote.

    Writes whose checkpoint is not there (yet) are left out.
    """
    writes: list[CheckpointItem] = []
    for item in items:
        if item.is_state:
            yield [item, *(each for each in writes if each.at == item.at)]
            writes = []
        else:
            writes.append(item)


def _readable(page: Page[E]) -> list[E]:
    """The items of a page; the error of one that can't be read."""
    if page.unreadable:
        raise page.unreadable[0]
    return list(page.items)
