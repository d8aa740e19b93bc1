"""Tools to test an application with: engines, a strict hook, a request meter, injected faults."""

from dynamo_chat.testing.clock import FakeClock, SkewedClock
from dynamo_chat.testing.engine import EmbeddedEngine, Engine
from dynamo_chat.testing.faults import (
    Attempt,
    BrokenAnswer,
    Cancelled,
    DropAnswer,
    ErrorAnswer,
    Fault,
    FaultInjector,
    Injection,
    Kill,
    Killed,
    ServerError,
    Throttled,
    TransactionConflict,
    Unprocessed,
    Unreachable,
    kill_points,
)
from dynamo_chat.testing.meter import RequestMeter, RequestRecord
from dynamo_chat.testing.schema import CHAT_TABLE, KeyNames, TableSchema
from dynamo_chat.testing.servers import MinistackServer, ServerFailed
from dynamo_chat.testing.strict import StrictHook, StrictViolation

__all__ = [
    "CHAT_TABLE",
    "Attempt",
    "BrokenAnswer",
    "Cancelled",
    "DropAnswer",
    "EmbeddedEngine",
    "Engine",
    "ErrorAnswer",
    "FakeClock",
    "Fault",
    "FaultInjector",
    "Injection",
    "KeyNames",
    "Kill",
    "Killed",
    "MinistackServer",
    "RequestMeter",
    "RequestRecord",
    "ServerError",
    "ServerFailed",
    "SkewedClock",
    "StrictHook",
    "StrictViolation",
    "TableSchema",
    "Throttled",
    "TransactionConflict",
    "Unprocessed",
    "Unreachable",
    "kill_points",
]
