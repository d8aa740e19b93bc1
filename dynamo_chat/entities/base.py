"""The base class of an application's repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.repository import Repository as BaseRepository
from dynamo_chat.entities.items import OwnItems
from dynamo_chat.entities.of_conversations import ConversationItems

if TYPE_CHECKING:
    from dynamo_chat.chat.snapshot import SnapshotCache


class Repository(BaseRepository):
    """Base of an application's repositories. The store makes them.

    Its methods that use the table are declared with `access_pattern`. They read and write through
    `items` and `conversation_items`.
    """

    kinds: ClassVar[tuple[type[Entity] | Layout, ...]] = ()
    """Every kind of item that it writes: its entities, and the layouts of helper items."""

    if TYPE_CHECKING:
        _snapshots: SnapshotCache

    @property
    def items(self) -> OwnItems:
        """Reads and writes its own items."""
        return OwnItems(self._binding)

    @property
    def conversation_items(self) -> ConversationItems:
        """Reads and writes its own items in the partitions of conversations."""
        return ConversationItems(self._binding, self._snapshots)
