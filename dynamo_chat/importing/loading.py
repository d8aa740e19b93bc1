"""Loads what the demo shows: the documents' sample records, and conversations of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.core.errors import Conflict, InvalidArgument
from dynamo_chat.core.page import MAX_PAGE_SIZE
from dynamo_chat.importing.cgchat import cgchat_document, cgchat_record
from dynamo_chat.importing.conversations_file import InvalidLine, read_conversations
from dynamo_chat.importing.records import ConversationRecord, load
from dynamo_chat.importing.sample_records import Sample, sample, shift_to_live, shifted
from dynamo_chat.importing.support import support_record, support_rows
from dynamo_chat.importing.trinity import trinity_document, trinity_record
from dynamo_chat.store import ChatStore

Json = Any


@dataclass(frozen=True, slots=True)
class Loaded:
    """A conversation that was loaded."""

    source: str
    """The document, or the file and its line."""
    conversation: Conversation
    record: ConversationRecord
    moved_by: timedelta = timedelta()
    """How far its times were moved, so that it is not expired."""
    wanted: Json = None
    """What `read_out` must return: what was loaded, in the document's shape."""
    read_out: Callable[[], Json] | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one document's records are loaded and read out."""

    split: Callable[[Mapping[str, list[Any]]], list[Json]]
    """Splits the records by conversation."""
    parse: Callable[[Json], ConversationRecord]
    read_out: Callable[[ChatStore, Conversation], Json]


def chat_samples() -> list[Sample]:
    """The samples of the documents that the chat domain replaces."""
    return [sample(document) for document in _SHAPES]


def load_sample(store: ChatStore, records: Sample, now: datetime) -> Iterator[Loaded]:
    """Load the conversations of a sample, moved in time if they would be expired."""
    shape = _SHAPES[records.document]
    for item in shape.split(records.records):
        by = shift_to_live(item, now)
        record = shape.parse(shifted(item, by))
        conversation = load(record, store)
        if record.created_at is not None:
            # It may exist from an earlier day, when it was moved less.
            by += conversation.created_at - record.created_at
        yield Loaded(
            source=records.document,
            conversation=conversation,
            record=record,
            moved_by=by,
            wanted=shifted(item, by),
            read_out=partial(shape.read_out, store, conversation),
        )


def load_file(store: ChatStore, path: Path) -> Iterator[Loaded]:
    """Load the conversations of a file, or none if a line is not a conversation.

    InvalidLine, also if the store refuses a line.
    """
    records = list(read_conversations(path))
    if not records:
        raise InvalidArgument(path.name, "has no conversation")
    for line, record in records:
        try:
            conversation = load(record, store)
        except (InvalidArgument, Conflict) as error:
            raise InvalidLine(path.name, line, str(error)) from error
        yield Loaded(f"{path.name}:{line}", conversation, record)


def all_messages(store: ChatStore, conversation_id: str) -> list[Message]:
    """Every message of a conversation, in time order."""
    messages: list[Message] = []
    cursor = None
    while True:
        page = store.messages.list(
            conversation_id, page_size=MAX_PAGE_SIZE, cursor=cursor, consistent=True
        )
        messages += page.items
        cursor = page.cursor
        if cursor is None:
            return messages


# -- the documents ------------------------------------------------------------------------------


def _items_of(table: str) -> Callable[[Mapping[str, list[Any]]], list[Json]]:
    return lambda records: records[table]


def _support_sessions(records: Mapping[str, list[Any]]) -> list[Json]:
    """Each session with its rows of the other two tables, as `support_rows` returns them."""
    return [
        [
            session,
            _rows(records["messages"], "sk_session_id", session["pk_session_id"]),
            _rows(records["reviews"], "session_id", session["pk_session_id"]),
        ]
        for session in records["chat_sessions"]
    ]


def _rows(rows: Sequence[Mapping[str, Any]], name: str, value: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row[name] == value]


def _read_support(store: ChatStore, conversation: Conversation) -> Json:
    identity = conversation.conversation_id
    reviews = store.reviews.list_by_conversation(identity, newest_first=False, consistent=True)
    return list(support_rows(conversation, all_messages(store, identity), reviews.items))


def _read_trinity(store: ChatStore, conversation: Conversation) -> Json:
    return trinity_document(conversation, all_messages(store, conversation.conversation_id))


def _read_cgchat(store: ChatStore, conversation: Conversation) -> Json:
    return cgchat_document(conversation, all_messages(store, conversation.conversation_id))


_SHAPES: Mapping[str, _Shape] = {
    "support": _Shape(_support_sessions, lambda rows: support_record(*rows), _read_support),
    "trinity": _Shape(_items_of("trinity-chat-sessions-dev"), trinity_record, _read_trinity),
    "cgchat": _Shape(_items_of("cg-chatbot-conversations"), cgchat_record, _read_cgchat),
}
