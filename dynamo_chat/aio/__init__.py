"""The store for services that await: every repository, on an event loop.

    from dynamo_chat.aio import AsyncChatStore

Needs the extra ``async``: ``pip install "dynamo_chat[async]"``.
"""

from dynamo_chat.aio.store import AsyncChatStore as AsyncChatStore
