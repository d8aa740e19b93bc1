"""Recording an LLM interaction (L1): it belongs to a thread, to a chat conversation, or to neither.

    thread        it is of the interaction's account; the interaction is deleted with it
    conversation  there is no thread, but a conversation of the chat: the interaction notes its
                  life, has its deadline, and is deleted with it
    neither       it stays until it is deleted by itself, or with all of its account

The transaction checks which of the three holds, so an interaction never joins what is being
deleted, or what somebody else created under the same id in between. It begins with a guess: the
conversation that the store remembers, otherwise that there is none. A wrong guess writes nothing,
and the response has the item that shows what is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import LIFE, Conversation, head_key, is_live_head
from dynamo_chat.chat.living import NO_LIFE, LivingSieve, with_alive_until
from dynamo_chat.chat.snapshot import Snapshot, SnapshotCache, holds, snapshot_of
from dynamo_chat.core.attributes import AttributeValue
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.errors import Conflict, InvalidArgument
from dynamo_chat.core.item import is_kind, plan
from dynamo_chat.core.layout import KIND, PK
from dynamo_chat.core.owners import own
from dynamo_chat.core.pairs import PairReader
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Write, absent, contended, is_live
from dynamo_chat.mail.thread import thread_key
from dynamo_chat.telemetry.llm import (
    LLM_PAIR,
    InteractionExists,
    LLMInteraction,
    NewInteraction,
    interaction_made,
    interaction_puts,
)

_ACCOUNT: Final = "account_id"


@dataclass(frozen=True, slots=True)
class _Guess:
    """What an interaction belongs to."""

    conversation: Snapshot | None = None
    has_thread: bool = False
    """True if there surely is a thread: then a chat conversation with its id does not matter."""
    is_going: bool = False
    """True if the chat conversation is being deleted."""


class InteractionRecorder(Repository):
    """Records LLM interactions."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._snapshots = snapshots
        self._pairs = PairReader(binding, LLM_PAIR)

    def record(self, conversation_id: str, interaction: NewInteraction) -> LLMInteraction:
        """Record an interaction: see `LLMInteractions.record`."""
        if not isinstance(interaction, NewInteraction):
            raise InvalidArgument(
                "interaction", f"must be a NewInteraction, not {type(interaction).__name__}"
            )
        made = interaction_made(interaction, conversation_id, self._now(), self._new_id)
        guess = _Guess(self._snapshots.get(conversation_id))
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt > 2:  # two wrong guesses are possible without anybody else
                self._connection.pause(attempt)
            now = self._now()
            known = guess.conversation
            if known is not None:
                made = made.model_copy(update={"expires_at": known.kept_until})
            elif made.expires_at is not None:
                made = made.model_copy(update={"expires_at": None})
            checks = self._checks(made, guess)
            try:
                self._write(*checks, *interaction_puts(made, marks_of(known), now))
            except ConditionFailed as failed:
                if failed.items.keys() & set(range(len(checks))):
                    guess = self._learned(failed, guess, made)
                    continue
                return self._recorded_before(made, failed)
            return made
        raise contended("the conversation")

    def sieve(self) -> LivingSieve:
        """A sieve for one page, without interactions of expired conversations."""
        return LivingSieve(self._binding)

    def _checks(self, made: LLMInteraction, guess: _Guess) -> list[Write]:
        thread, head = thread_key(made.conversation_id), head_key(made.conversation_id)
        is_theirs = (Path(KIND) == keyspace.EMAIL_THREAD.kind) & (Path(_ACCOUNT) == made.account_id)
        if guess.has_thread:
            return [Check(thread, is_theirs)]
        no_thread: Condition = Path(PK).does_not_exist()
        now = self._now()
        if guess.conversation is not None:
            return [Check(thread, no_thread), Check(head, holds(guess.conversation, now))]
        idle = (Path(KIND) == keyspace.CONVERSATION.kind) & (
            plan(Conversation).model.idle_until <= now
        )
        return [Check(thread, no_thread | is_theirs), Check(head, absent(now) | idle)]

    def _learned(self, failed: ConditionFailed, guess: _Guess, made: LLMInteraction) -> _Guess:
        """The next guess, by the items in the response. Conflict if they refuse the interaction."""
        if 0 in failed.items:
            thread = failed.items[0]
            if thread is None and guess.is_going:
                raise Conflict(
                    "the conversation is being deleted; delete it again to finish"
                ) from failed
            if thread is None:  # there is no thread any more
                return _Guess(self._snapshots.get(made.conversation_id))
            if not is_kind(thread, keyspace.EMAIL_THREAD):
                raise Conflict(
                    "the e-mail thread is being deleted; delete it again to finish"
                ) from failed
            if thread.get(_ACCOUNT) != {"S": made.account_id}:
                raise Conflict("the e-mail thread belongs to another account") from failed
            return _Guess(has_thread=True)
        head = failed.items[1]
        if is_live_head(head, self._now()):
            found = snapshot_of(plan(Conversation).decode(head or {}))
            return _Guess(self._snapshots.put(found))
        self._snapshots.forget(made.conversation_id)
        if is_kind(head or {}, keyspace.CONVERSATION_TOMBSTONE) and is_live(head, self._now()):
            # It does not matter if there is a thread.
            return _Guess(has_thread=True, is_going=True)
        return _Guess()

    def _recorded_before(self, made: LLMInteraction, failed: ConditionFailed) -> LLMInteraction:
        """The stored interaction, if it equals `made`. AlreadyExists otherwise."""
        there = self._pairs.get(
            made.conversation_id, made.generated_at, made.interaction_id, consistent=True
        )
        # Since then the conversation may have been given another deadline.
        if there is None or there.model_copy(update={"expires_at": made.expires_at}) != made:
            seen = own(there, _ACCOUNT, made.account_id)
            raise InteractionExists("another interaction has this id and time", seen) from failed
        return there


def marks_of(conversation: Snapshot | None) -> dict[str, AttributeValue]:
    """The attributes by which an interaction belongs to a chat conversation."""
    if conversation is None:
        return {}
    marked: dict[str, AttributeValue] = {LIFE: {"S": conversation.life or NO_LIFE}}
    return with_alive_until(marked, conversation.alive_until())
