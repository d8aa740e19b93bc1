"""What the repositories of a store share."""

from __future__ import annotations

from dataclasses import dataclass

from dynamo_chat.core.clock import Clock, IdSource
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.core.settings import check_callable


@dataclass(frozen=True, slots=True)
class Binding:
    """The connection, the clock, the source of ids, and the codec of cursors."""

    connection: Connection
    clock: Clock
    ids: IdSource
    cursors: CursorCodec
    own: tuple[Layout, ...] = ()
    """The kinds that the application declares, for deletions that must find their items."""

    def __post_init__(self) -> None:
        check_callable("clock", self.clock)
        check_callable("ids", self.ids)
