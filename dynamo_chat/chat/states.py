"""A conversation's working state for multi-turn agents (C19): free JSON under a revision."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import is_part_of, with_life
from dynamo_chat.chat.snapshot import Heads, Snapshot, SnapshotCache
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Count, Entity, ExpiresAt, Id, JsonObject, Model, Time, validated
from dynamo_chat.core.errors import InvalidArgument, RevisionConflict
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Put, absent, is_live, live


class ConversationState(Entity):
    """An agent's working state: what it must remember between two turns."""

    layout: ClassVar[Layout] = keyspace.CONVERSATION_STATE

    conversation_id: Id
    revision: Count
    """1 for the first save, one more for each later one."""
    data: JsonObject
    saved_at: Time
    expires_at: ExpiresAt = None


class StateConflict(RevisionConflict):
    """The state was saved in between. ``current`` is the stored one."""

    current: ConversationState | None


class NewState(Model):
    """A state to save together with messages; see `Messages.append_turn`."""

    data: JsonObject
    revision: Count = 0
    """The revision that it replaces; 0 if there is no state yet."""


class ConversationStates(Repository):
    """Save and read the state of conversations."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._heads = Heads(binding, snapshots)

    @access_pattern(
        "C19",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def save(
        self,
        conversation_id: str,
        data: dict[str, Any],
        *,
        revision: int = 0,
        user_id: str | None = None,
    ) -> ConversationState:
        """Replace the state at `revision` (0 if there is none yet), and return the new state.

        RevisionConflict, with the stored state as ``current``, if it was saved in between.
        Repeating a save with the same data and revision returns the stored state. NotFound.
        """
        if type(revision) is not int or revision < 0:
            raise InvalidArgument("revision", "must be an integer from 0")

        def attempt(snapshot: Snapshot) -> ConversationState:
            now = self._now()
            state = _state(snapshot, data, revision + 1, now)
            try:
                self._write(self._heads.check(snapshot), _put(snapshot, state, now))
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise
                return self._saved_before(failed, state)
            return state

        return self._heads.with_snapshot(conversation_id, user_id, attempt)

    @access_pattern("C19", "BatchGetItem", "1", owner="read")
    def get(
        self, conversation_id: str, *, user_id: str | None = None, consistent: bool = True
    ) -> ConversationState | None:
        """The latest saved state; None if there is none. NotFound if the conversation is gone."""
        head, item = self._get_items(
            [
                keyspace.CONVERSATION.key(conversation_id=conversation_id),
                keyspace.CONVERSATION_STATE.key(conversation_id=conversation_id),
            ],
            consistent=consistent,
        )
        life = self._heads.living(head, conversation_id, user_id).life
        if item is None or not is_live(item, self._now()) or not is_part_of(item, life):
            return None
        return plan(ConversationState).decode(item)

    def _saved_before(
        self, failed: ConditionFailed, wanted: ConversationState
    ) -> ConversationState:
        item = failed.items.get(1)
        if item is not None and is_live(item, self._now()):
            there = plan(ConversationState).decode(item)
            # Compared as text, because in Python 1 == True.
            same = json_text(there.data, sort_keys=True) == json_text(wanted.data, sort_keys=True)
            if there.revision == wanted.revision and same:
                return there
        raise conflict_of(item, wanted.revision - 1, self._now()) from failed


def state_write(snapshot: Snapshot, new: NewState, now: datetime) -> Put:
    """The write that replaces the state at the revision of `new`."""
    return _put(snapshot, _state(snapshot, new.data, new.revision + 1, now), now)


def conflict_of(item: AttributeValues | None, revision: int, now: datetime) -> StateConflict:
    """The error of a save over `revision`, from the state that is stored instead."""
    if item is None or not is_live(item, now):
        return StateConflict("there is no saved state; save over revision 0")
    there = plan(ConversationState).decode(item)
    return StateConflict(
        f"the state is at revision {there.revision}, not {revision}; read it and save again", there
    )


def _put(snapshot: Snapshot, state: ConversationState, now: datetime) -> Put:
    """The write of a state, if the stored one has the revision before it."""
    before = state.revision - 1
    same = plan(ConversationState).model.revision == before
    unchanged = absent(now) if before == 0 else live(now) & same
    return Put(with_life(plan(ConversationState).encode(state), snapshot.life), unchanged)


def _state(
    snapshot: Snapshot, data: dict[str, Any], revision: int, now: datetime
) -> ConversationState:
    return validated(
        ConversationState,
        conversation_id=snapshot.conversation_id,
        revision=revision,
        data=data,
        saved_at=now,
        expires_at=snapshot.kept_until,
    )
