"""A worked call of each method of `ConversationRecords`, which ``patterns --measure`` runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from dynamo_chat.cases import Case, Stage
from dynamo_chat.integrations.pydantic_ai.records import ConversationRecords, StoredRecord

_SAVED = datetime(2026, 1, 1, tzinfo=UTC)


def _unsaved(stage: Stage) -> tuple[ConversationRecords, StoredRecord]:
    """The repository, and the record of a conversation that could be saved."""
    records: ConversationRecords = stage.store.pydantic_ai_records  # type: ignore[attr-defined]
    talk = stage.store.conversations.create(stage.fresh("user"))
    return records, StoredRecord(
        conversation_id=talk.conversation_id,
        user_id=talk.user_id,
        scope="work",
        updated_at=_SAVED,
        revision="r-1",
        kept={"usage": {}, "branches": []},
    )


def pydantic_ai_records_save(stage: Stage) -> Iterator[Case]:
    """A new one, and one in its place."""
    records, record = _unsaved(stage)
    later = record.model_copy(update={"revision": "r-2"})
    user_id = record.user_id
    yield Case("new", lambda: records.save(record, expected=None, user_id=user_id).revision)
    yield Case("again", lambda: records.save(later, expected="r-1", user_id=user_id).revision)


def pydantic_ai_records_find(stage: Stage) -> Iterator[Case]:
    """One that is there."""
    records, record = _unsaved(stage)
    records.save(record, expected=None, user_id=record.user_id)
    yield Case("", lambda: records.find(record.conversation_id, user_id=record.user_id))


def pydantic_ai_records_list_by_user(stage: Stage) -> Iterator[Case]:
    """All, and of a scope."""
    records, record = _unsaved(stage)
    records.save(record, expected=None, user_id=record.user_id)
    yield Case("all", lambda: len(records.list_by_user(record.user_id)))
    yield Case("of a scope", lambda: len(records.list_by_user(record.user_id, scope="work")))
