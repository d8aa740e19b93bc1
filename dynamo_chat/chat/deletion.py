"""Deletes a conversation and everything in its collection (C16); can be resumed after a crash.

    look  ──▶ find what lists across conversations show: rated messages, reviews
    begin ──▶ delete those, and replace the head by a tombstone, in one transaction
    clear ──▶ delete messages, id items, reviews (each review with its id item), LLM interactions
    finish ─▶ delete title, state and tombstone in one transaction; the id is free again

Every step is a transaction that checks the deletion's own id in the tombstone (`core.deletion`):
a worker that was overtaken changes nothing, even if the id has been reused since. The tombstone is
deleted last, so after a crash at any step the next call finishes the deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    LIFE,
    Conversation,
    ConversationChanged,
    check_ids,
    head_key,
    is_idle_head,
    is_live_head,
    live_head,
)
from dynamo_chat.chat.snapshot import SnapshotCache, life_of
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import DELETION_ID, Deletion, begin, resume
from dynamo_chat.core.errors import Conflict, CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.fence import Group, keys_of
from dynamo_chat.core.item import is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.owners import is_owned
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Check,
    Delete,
    Key,
    Update,
    key_of,
    remove_index_keys,
)

_KEPT_BY_TOMBSTONE = ("user_id", "ttl", "idle_until")
_LAST = (keyspace.CONVERSATION, keyspace.CONVERSATION_TITLE, keyspace.CONVERSATION_STATE)
_LAST_SORT_KEYS = {layout.table.sk.encode() for layout in _LAST}
_OF_A_LIFE = ("user_id", "created_at", LIFE)
_FIRST_LOOK = 200
"""Items read at most before the owner is checked."""


class ConversationRemover(Repository):
    """Deletes whole conversations."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._snapshots = snapshots

    def delete(
        self,
        conversation_id: str,
        user_id: str | None,
        unchanged_since: Conversation | None = None,
        *,
        part_of: Update | None = None,
        only_if: Check | None = None,
    ) -> int:
        """Delete a conversation; returns the number of items deleted. NotFound; Conflict.

        `part_of` and `only_if` are as in `core.deletion.begin`. Overtaken.
        """
        check_ids(conversation_id, user_id)
        _check_seen(unchanged_since, conversation_id)
        head, shown = self._shown_in_lists(conversation_id, user_id)
        if is_kind(head, keyspace.CONVERSATION_TOMBSTONE):
            self._snapshots.forget(conversation_id)
            deletion = self._resume(head, part_of)
            if deletion is None and part_of is not None:
                raise NotFound("conversation", conversation_id)  # finished without `part_of`
            return 0 if deletion is None else self._clear(deletion, conversation_id, [])
        # Only the conversation that was read, not a later one with the same id.
        owned: Condition = live_head(self._now()) & _is_still(head)
        if user_id is not None:
            owned &= plan(Conversation).model.user_id == user_id
        if unchanged_since is not None:
            owned &= _is_as_seen(unchanged_since)
        try:
            deletion = self._begin(
                conversation_id,
                owned,
                shown,
                lambda there: is_owned(there, "user_id", user_id),
                part_of,
                only_if=only_if,
            )
        except ConditionFailed as failed:
            if only_if is not None and 0 not in failed.items:
                raise Conflict("the condition of only_if does not hold") from failed
            if unchanged_since is not None:
                self._check_unchanged(failed.items.get(0), unchanged_since)
            raise NotFound("conversation", conversation_id) from failed
        return self._clear(deletion, conversation_id, shown)

    def clear_idle(self, conversation_id: str) -> int:
        """Delete the items of a sliding conversation that has expired; returns how many."""
        head = plan(Conversation).model
        now = self._now()
        idle = (head.kind == keyspace.CONVERSATION.kind) & (head.idle_until <= now)
        try:
            deletion = self._begin(
                conversation_id, idle, [], lambda there: is_idle_head(there, now)
            )
        except ConditionFailed:
            return 0  # somebody else cleared it
        return self._clear(deletion, conversation_id, [])

    def finish(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone; returns the number of items deleted.

        0 if it was finished elsewhere: a later conversation with the id is not touched.
        """
        (conversation_id,) = key_parts(keyspace.CONVERSATION, tombstone, PK)
        deletion = self._resume(tombstone)
        return 0 if deletion is None else self._clear(deletion, conversation_id, [])

    def _resume(self, tombstone: AttributeValues, part_of: Update | None = None) -> Deletion | None:
        layout = keyspace.CONVERSATION_TOMBSTONE
        return resume(self._connection, tombstone, self._new_id(), layout, part_of=part_of)

    def _begin(
        self,
        conversation_id: str,
        allowed: Condition,
        shown: Sequence[Group],
        may_resume: Callable[[AttributeValues], bool],
        part_of: Update | None = None,
        *,
        only_if: Check | None = None,
    ) -> Deletion:
        self._snapshots.forget(conversation_id)
        return begin(
            self._connection,
            Update(head_key(conversation_id), _tombstone_actions(), allowed),
            self._new_id(),
            keyspace.CONVERSATION_TOMBSTONE,
            may_resume=may_resume,
            beside=shown,
            part_of=part_of,
            only_if=only_if,
        )

    def _check_unchanged(self, there: AttributeValues | None, seen: Conversation) -> None:
        """Raise Conflict if its owner still has the conversation, but it has changed."""
        if is_live_head(there, self._now()) and is_owned(there or {}, "user_id", seen.user_id):
            raise ConversationChanged(
                "the conversation has changed since it was read",
                plan(Conversation).decode(there or {}),
            )

    def _clear(self, deletion: Deletion, conversation_id: str, begun: Sequence[Group]) -> int:
        """Clear and finish; returns the number of items, including those deleted at `begin`."""
        gone = {_first_key(group) for group in begun}
        count = 0

        def groups() -> Iterator[Group]:
            nonlocal count
            for items in self._walk(everything_in(conversation_id), only=(PK, SK, KIND)):
                count += len(items)
                for item in items:
                    if item[SK]["S"] not in _LAST_SORT_KEYS:
                        group = _deletes_of(item, conversation_id)
                        gone.discard(_first_key(group))
                        yield group
            for items in self._walk(interactions_of(conversation_id), only=(PK, SK, LIFE)):
                for item in items:
                    if LIFE in item:
                        count += 1
                        yield (Delete(key_of(item), Path(LIFE).exists()),)

        last = [Delete(each.key(conversation_id=conversation_id)) for each in _LAST[1:]]
        went = deletion.run(groups(), last)
        return count + len(gone) if went else 0  # somebody else finished it

    def _shown_in_lists(
        self, conversation_id: str, user_id: str | None
    ) -> tuple[AttributeValues, list[Group]]:
        """The head, and the rated messages and reviews to delete at `begin`. NotFound.

        No messages and reviews if the deletion has already begun. One query over reviews, head and
        messages, latest first: another user's conversation is refused as cheaply as a missing one.
        """
        found: list[Group] = []
        taken: set[tuple[str, str]] = set()
        room = MAX_TRANSACTION_WRITES - 1
        head: AttributeValues | None = None
        start: Any = None
        limit: int | None = _FIRST_LOOK
        while True:
            items, start = self._query(
                _listed_in(conversation_id),
                forward=False,
                consistent=True,
                limit=limit,
                start=start,
                only=(PK, SK, KIND, GSI1.pk, DELETION_ID, *_OF_A_LIFE),
            )
            limit = None
            head = head or next((each for each in items if is_root(each)), None)
            for item in items:
                if GSI1.pk in item and not is_root(item):
                    group = _deletes_of(item, conversation_id)
                    room -= len(group)
                    # Two reviews of one id, an expired one and another, share its id item.
                    if room >= 0 and taken.isdisjoint(keys_of(group)):
                        found.append(group)
                        taken |= keys_of(group)
            if start is None or (head is not None and (room <= 0 or not _is_whole(head, user_id))):
                break
        if head is None or not is_owned(head, "user_id", user_id):
            self._snapshots.forget(conversation_id)
            raise NotFound("conversation", conversation_id)
        return head, found if _is_whole(head, user_id) else []


def _is_still(head: AttributeValues) -> Condition:
    """A condition that the head is still of the life that was read."""
    condition: Condition = Path(PK).exists()
    for name in _OF_A_LIFE:
        path = Path(name)
        condition &= path == Raw(head[name]) if name in head else path.does_not_exist()
    return condition


def _is_as_seen(seen: Conversation) -> Condition:
    """A condition that no message came or went, and that title and status are the same."""
    head = plan(Conversation).model
    title = head.title.does_not_exist() if seen.title is None else head.title == seen.title
    last = head.last_position
    condition: Condition = (
        life_of(seen).condition
        & (head.message_count == seen.message_count)
        & (head.appended_count == seen.appended_count)
        & (last.does_not_exist() if seen.last_position is None else last == seen.last_position)
        & (head.status == seen.status)
        & title
    )
    return condition


def _check_seen(seen: Conversation | None, conversation_id: str) -> None:
    if seen is not None and not isinstance(seen, Conversation):
        raise InvalidArgument(
            "unchanged_since", f"must be a Conversation, not {type(seen).__name__}"
        )
    if seen is not None and seen.conversation_id != conversation_id:
        raise InvalidArgument("unchanged_since", "is another conversation than conversation_id")


def _is_whole(head: AttributeValues, user_id: str | None) -> bool:
    """True if it is this user's conversation and no deletion of it has begun."""
    return is_kind(head, keyspace.CONVERSATION) and is_owned(head, "user_id", user_id)


def everything_in(conversation_id: str) -> Collection:
    """All items of a conversation's collection."""
    return all_of(keyspace.CONVERSATION_PARTITION.encode(conversation_id))


def all_of(partition: str) -> Collection:
    """All items of a partition of a conversation, by its raw key."""
    everything = KeyRange("A", "a")  # every tag begins with an upper-case letter
    return Collection(TABLE, partition, everything, keyspace.CONVERSATION.table.sk)


def interactions_of(conversation_id: str) -> Collection:
    """Where the LLM interactions of a conversation are, and those of an e-mail thread of its id.

    Those with a `LIFE` are the conversation's: see `workflows.record_interaction`.
    """
    return keyspace.LLM_USAGE.collection(TABLE, conversation_id)()


def _listed_in(conversation_id: str) -> Collection:
    """Messages, head and reviews, in this order."""
    messages = keyspace.MESSAGE.collection(TABLE, conversation_id)()
    reviews = keyspace.REVIEW.collection(TABLE, conversation_id)()
    return messages._replace(keys=KeyRange(messages.keys.lower, reviews.keys.upper))


def is_root(item: AttributeValues) -> bool:
    """True if the item has the head's sort key."""
    return bool(item[SK] == {"S": keyspace.CONVERSATION.table.sk.encode()})


def _deletes_of(item: AttributeValues, conversation_id: str) -> Group:
    """The deletes of an item and of its id item if it has one; the item first."""
    pointer = review_pointer(item)
    if pointer is None:
        return (Delete(key_of(item)),)
    # The id of an expired review may belong to another review by now.
    path = Path("conversation_id")
    ours: Condition = path.does_not_exist() | (path == conversation_id)
    return (Delete(key_of(item)), Delete(pointer, ours))


def review_pointer(item: AttributeValues) -> Key | None:
    """The key of a review's id item; None if the item is no review or its key is unreadable."""
    if not is_kind(item, keyspace.REVIEW):
        return None
    try:
        _, review_id = key_parts(keyspace.REVIEW, item, SK)
    except CorruptItem:  # it has no id item, and is deleted like any other item
        return None
    return keyspace.REVIEW_ID.key(review_id=review_id)


def _first_key(group: Group) -> frozenset[tuple[str, str]]:
    return frozenset(keys_of(group[:1]))


def _tombstone_actions() -> list[Action]:
    stored = plan(Conversation).attributes.values()
    return [
        Path(KIND).set(keyspace.CONVERSATION_TOMBSTONE.kind),
        *remove_index_keys(GSI1, GSI2),
        *(
            Path(attribute.attr_name).remove()
            for attribute in stored
            if attribute.attr_name not in _KEPT_BY_TOMBSTONE
        ),
    ]
