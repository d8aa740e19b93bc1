"""Tools for testing an application: engines, a strict hook, a request meter, injected faults."""

from dynamo_chat.testing.changes import TableChanges as TableChanges
from dynamo_chat.testing.clock import FakeClock as FakeClock, SkewedClock as SkewedClock
from dynamo_chat.testing.engine import EmbeddedEngine as EmbeddedEngine, Engine as Engine
from dynamo_chat.testing.faults import (
    Attempt as Attempt,
    BrokenAnswer as BrokenAnswer,
    Cancelled as Cancelled,
    DropAnswer as DropAnswer,
    ErrorAnswer as ErrorAnswer,
    Fault as Fault,
    FaultInjector as FaultInjector,
    Injection as Injection,
    Kill as Kill,
    Killed as Killed,
    ServerError as ServerError,
    Throttled as Throttled,
    TransactionConflict as TransactionConflict,
    Unprocessed as Unprocessed,
    Unreachable as Unreachable,
    kill_points as kill_points,
)
from dynamo_chat.testing.lag import Lag as Lag
from dynamo_chat.testing.late_stream import (
    DeliveryFailed as DeliveryFailed,
    LateStream as LateStream,
)
from dynamo_chat.testing.meter import RequestMeter as RequestMeter, RequestRecord as RequestRecord
from dynamo_chat.testing.schema import (
    CHAT_TABLE as CHAT_TABLE,
    KeyNames as KeyNames,
    TableSchema as TableSchema,
)
from dynamo_chat.testing.servers import (
    MinistackServer as MinistackServer,
    ServerFailed as ServerFailed,
)
from dynamo_chat.testing.strict import StrictHook as StrictHook, StrictViolation as StrictViolation
from dynamo_chat.testing.sweeping import Sweeper as Sweeper
