"""The table's stream, told as changes of entities (T7). It needs no store and sends nothing."""

from dynamo_chat.streams.changes import (
    Change,
    Changed,
    Created,
    Deleted,
    Expired,
    UnknownKind,
)
from dynamo_chat.streams.handler import (
    BatchItemFailure,
    BatchResponse,
    process_batch,
    stream_handler,
)
from dynamo_chat.streams.records import parse_stream_record

__all__ = [
    "BatchItemFailure",
    "BatchResponse",
    "Change",
    "Changed",
    "Created",
    "Deleted",
    "Expired",
    "UnknownKind",
    "parse_stream_record",
    "process_batch",
    "stream_handler",
]
