"""ChatKit's `Store` over an `AsyncChatStore`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from chatkit.store import NotFoundError, Store, StoreItemType, TContext, default_generate_id
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    Page,
    ThreadItem,
    ThreadMetadata,
    WorkflowItem,
)
from pydantic import TypeAdapter, ValidationError

from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.chat.conversation import Conversation, ConversationExists
from dynamo_chat.chat.message import MessageConflict
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.page import MAX_PAGE_SIZE
from dynamo_chat.integrations.chatkit.attachments import ChatKitStore
from dynamo_chat.integrations.chatkit.items import item_of, message_of
from dynamo_chat.integrations.chatkit.moments import instant
from dynamo_chat.integrations.chatkit.threads import (
    details,
    json_of,
    short_title,
    thread_of,
    unreadable,
)

logger = logging.getLogger("dynamo_chat")

_ATTACHMENT: Final[TypeAdapter[Attachment]] = TypeAdapter(Attachment)
_MOST_ITEMS: Final = MAX_PAGE_SIZE - 1
_MOST_THREADS: Final = 99


class AsyncChatKitStore(AsyncChatStore, of=ChatKitStore):
    """An `AsyncChatStore` with ChatKit's attachments."""

    chatkit_attachments: Any


class DynamoChatKitStore(Store[TContext]):
    """Keeps ChatKit's threads as conversations, and their items as messages.

    `store` is an `AsyncChatKitStore`, or one of your own with the same `chatkit_attachments`.
    `user_of` returns the id of the user who makes the request, from the request's context: what
    belongs to somebody else is not found. Everything but the list of threads is strongly
    consistent. NotFoundError is ChatKit's; other errors are dynamo_chat's.
    """

    def __init__(self, store: AsyncChatStore, user_of: Callable[[TContext], str]) -> None:
        if not isinstance(store, AsyncChatStore):
            raise InvalidArgument("store", f"must be an AsyncChatStore, not {type(store).__name__}")
        if not hasattr(store, "chatkit_attachments"):
            raise InvalidArgument(
                "store",
                "has no chatkit_attachments: use AsyncChatKitStore, or add to your store's class "
                "`chatkit_attachments = repository(ChatKitAttachments)`",
            )
        if not callable(user_of):
            raise InvalidArgument("user_of", "must be a function of the request's context")
        self._store = store
        self._user_of = user_of

    def generate_thread_id(self, context: TContext) -> str:  # noqa: ARG002 - the contract's
        """A new id. The framework's own are short: those of two users could be the same."""
        return f"{default_generate_id('thread')}{uuid4().hex}"

    def generate_item_id(
        self,
        item_type: StoreItemType,
        thread: ThreadMetadata,  # noqa: ARG002
        context: TContext,  # noqa: ARG002
    ) -> str:
        """A new id, as long as that of a thread."""
        return f"{default_generate_id(item_type)}{uuid4().hex}"

    # -- threads ------------------------------------------------------------------------------

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """The thread with this id. NotFoundError. One request."""
        return thread_of(await self._conversation(thread_id, self._user(context)))

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Create the thread, or change it to this. NotFoundError if it is another user's.

        Two requests; one if nothing differs. A title that is longer than 200 characters is cut
        where the conversation is listed.
        """
        user_id = self._user(context)
        with _told():  # also an organization that was deleted
            saved = await self._changed(thread, user_id) or await self._created(thread, user_id)
        if thread_of(saved).created_at != thread.created_at:
            noted = details(thread, saved.created_at)
            with _told():
                await self._store.conversations.change(
                    thread.id, preferences=noted, user_id=user_id
                )

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """A page of the user's threads by their creation, at most 99.

        One request, and one more for `after` and for threads with more than a title. NotFoundError
        if there is no thread `after`.
        """
        user_id, newest_first = self._user(context), _newest_first(order)
        size = _page_size(limit, _MOST_THREADS)
        last = await self._conversation(after, user_id) if after else None
        cursor: str | None = None
        while True:
            page = await self._store.conversations.list_by_user(
                user_id,
                newest_first=newest_first,
                page_size=size + 1,  # one more shows whether there are more
                cursor=cursor,
                after=last if cursor is None else None,
                with_preferences=True,
            )
            threads = _readable(thread_of, page.items, page.unreadable)
            cursor = page.cursor
            if threads or cursor is None:
                return _page(threads, size, has_more=cursor is not None)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Delete a thread and everything in it; no error if the user has none with this id."""
        with suppress(NotFound):
            await self._store.conversations.delete(thread_id, user_id=self._user(context))

    # -- items --------------------------------------------------------------------------------

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """A page of a thread's items in the order of their arrival, at most 999.

        The newest take one request, others two. `after` is an item's id, also of one that was
        deleted. NotFoundError. Messages that are no items of this release are left out, and logged.
        """
        user_id, newest_first = self._user(context), _newest_first(order)
        size, last = _page_size(limit, _MOST_ITEMS), after or None
        cursor: str | None = None
        while True:
            with _told():
                page = await self._store.messages.list(
                    thread_id,
                    user_id=user_id,
                    newest_first=newest_first,
                    page_size=size + 1,  # one more shows whether there are more
                    cursor=cursor,
                    after=last if cursor is None else None,
                    consistent=True,
                )
            items = _readable(item_of, page.items, page.unreadable)
            cursor = page.cursor
            if items or cursor is None:
                return _page(items, size, has_more=cursor is not None)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """The item with this id. NotFoundError. At most two requests."""
        with _told():
            found = await self._store.messages.get(
                thread_id, item_id, user_id=self._user(context), consistent=True
            )
        return item_of(found)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Append an item; again with the same id and content, it changes nothing. NotFoundError.

        One request, if the store has used the thread before. The framework adds a workflow again
        to end it: that replaces it. What was said of an answer until it was cancelled leaves the
        complete answer as it is, if that was stored just before. Any other item whose id was
        there before is a `MessageConflict`, and one that was deleted is `MessageDeleted`.
        """
        user_id, new = self._user(context), _new(thread_id, item)
        with _told():
            try:
                await self._store.messages.append(thread_id, new, user_id=user_id)
            except MessageConflict as conflict:
                there = None if conflict.current is None else item_of(conflict.current)
                if isinstance(item, WorkflowItem) and isinstance(there, WorkflowItem):
                    await self._store.messages.put(thread_id, new, user_id=user_id)
                elif not _is_begin(item, there):
                    raise

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Append an item, or replace the one with its id, which keeps its place. NotFoundError.

        Two requests. `MessageDeleted` if the item was deleted.
        """
        user_id, new = self._user(context), _new(thread_id, item)
        with _told():
            await self._store.messages.put(thread_id, new, user_id=user_id)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Delete an item; no error if the user has no such thread or item. Two requests."""
        with suppress(NotFound):
            await self._store.messages.delete(thread_id, item_id, user_id=self._user(context))

    # -- attachments --------------------------------------------------------------------------

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Save what is known of a file. One request; NotFoundError if its thread isn't found."""
        with _told():
            await self._files.save(
                self._user(context),
                attachment.id,
                json_of(attachment, "attachment"),
                thread_id=attachment.thread_id,
            )

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """What is known of a file of the user, as it was saved last. NotFoundError."""
        with _told():
            known = await self._files.get(self._user(context), attachment_id)
        try:
            return _ATTACHMENT.validate_python(known)
        except ValidationError as error:
            raise unreadable("attachment", error, attachment_id=attachment_id) from None

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Forget a file of the user; no error if there is none. Its bytes are yours to delete."""
        await self._files.delete(self._user(context), attachment_id)

    # -- inside -------------------------------------------------------------------------------

    @property
    def _files(self) -> Any:
        found: Any = self._store
        return found.chatkit_attachments

    def _user(self, context: TContext) -> str:
        """Who asks. None would be any owner for the store, so it is refused."""
        user_id = self._user_of(context)
        if not isinstance(user_id, str) or not user_id:
            raise InvalidArgument("user_of", "must return the id of the user: text, not empty")
        return user_id

    async def _conversation(self, thread_id: str, user_id: str) -> Conversation:
        with _told():
            return await self._store.conversations.get(thread_id, user_id=user_id, consistent=True)

    async def _changed(self, thread: ThreadMetadata, user_id: str) -> Conversation | None:
        """The conversation, changed to what the thread says; None if the user has none."""
        try:
            return await self._store.conversations.change(
                thread.id,
                title=short_title(thread.title),
                preferences=details(thread, instant(thread.created_at)),
                user_id=user_id,
            )
        except NotFound:
            return None

    async def _created(self, thread: ThreadMetadata, user_id: str) -> Conversation:
        """The conversation, created, or changed if another call has created it just now."""
        now = datetime.now(UTC)
        created_at = min(instant(thread.created_at) or now, now)
        noted = details(thread, created_at)
        try:
            return await self._store.conversations.create(
                user_id,
                conversation_id=thread.id,
                title=short_title(thread.title),
                auto_title=False,
                preferences={name: value for name, value in noted.items() if value is not None},
                at=created_at,
                exist_ok=False,
            )
        except ConversationExists as error:
            found = await self._changed(thread, user_id)
            if found is None:  # another user's, or it is being deleted
                raise NotFoundError(f"thread {thread.id!r} was not found") from error
            return found


@contextmanager
def _told() -> Iterator[None]:
    """What is not found is the framework's own error."""
    try:
        yield
    except NotFound as error:
        raise NotFoundError(str(error)) from error


def _new(thread_id: str, item: ThreadItem) -> Any:
    """The message of an item of this thread. InvalidArgument."""
    if item.thread_id != thread_id:
        raise InvalidArgument("item.thread_id", "must be the thread that it is stored in")
    return message_of(item)


def _is_begin(item: ThreadItem, there: ThreadItem | None) -> bool:
    """True if `item` is what had been said of the answer that is there."""
    if not isinstance(item, AssistantMessageItem) or not isinstance(there, AssistantMessageItem):
        return False
    said = "".join(part.text for part in there.content)
    return said.startswith("".join(part.text for part in item.content))


def _newest_first(order: str) -> bool:
    if order not in ("asc", "desc"):
        raise InvalidArgument("order", "must be 'asc' or 'desc'")
    return order == "desc"


def _page_size(limit: int, most: int) -> int:
    """The size of a page: a client may ask for more than one holds."""
    if type(limit) is not int or limit < 1:
        raise InvalidArgument("limit", "must be an integer from 1")
    return min(limit, most)


def _readable(
    make: Callable[[Any], Any], stored: Iterable[Any], unreadable: Iterable[CorruptItem]
) -> list[Any]:
    """What `make` makes of the stored entities; those that it can't read are logged."""
    found, damaged = [], list(unreadable)
    for each in stored:
        try:
            found.append(make(each))
        except CorruptItem as error:
            damaged.append(error)
    for each in damaged:
        logger.warning("left out of a page: %s", each)
    return found


def _page(found: list[Any], size: int, *, has_more: bool) -> Page[Any]:
    """A page of this size, of what was found for it; `has_more` if there is more than that."""
    has_more = has_more or len(found) > size
    data = found[:size]
    return Page(data=data, has_more=has_more, after=data[-1].id if data and has_more else None)
