"""The table's stream as typed changes of entities (T7). Needs no store and sends no requests."""

from dynamo_chat.streams.changes import (
    Change as Change,
    Changed as Changed,
    Created as Created,
    Deleted as Deleted,
    Expired as Expired,
    UnknownKind as UnknownKind,
)
from dynamo_chat.streams.handler import (
    BatchItemFailure as BatchItemFailure,
    BatchResponse as BatchResponse,
    async_process_batch as async_process_batch,
    async_stream_handler as async_stream_handler,
    process_batch as process_batch,
    stream_handler as stream_handler,
)
from dynamo_chat.streams.records import parse_stream_record as parse_stream_record
