"""The desk's store on an event loop. Its types are in ``awaiting.pyi``, which the package wrote."""

from desk.store import DeskStore
from dynamo_chat.aio import AsyncChatStore


class AsyncDeskStore(AsyncChatStore, of=DeskStore):
    """The desk's table, for a service that awaits."""
