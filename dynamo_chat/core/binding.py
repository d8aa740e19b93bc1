"""What the repositories of a store share."""

from __future__ import annotations

from dataclasses import dataclass, field

from dynamo_chat.core.clock import Clock, IdSource
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.core.settings import check_callable
from dynamo_chat.core.sharding import Counts


@dataclass(frozen=True, slots=True)
class Binding:
    """The connection, the clock, the source of ids, and the codec of cursors."""

    connection: Connection
    clock: Clock
    ids: IdSource
    cursors: CursorCodec
    own: tuple[Layout, ...] = ()
    """The kinds that the application declares, for deletions that must find their items."""

    counts: Counts = field(default_factory=dict)
    """Over how many partitions lists are spread, where it is not the usual number."""

    def __post_init__(self) -> None:
        check_callable("clock", self.clock)
        check_callable("ids", self.ids)
