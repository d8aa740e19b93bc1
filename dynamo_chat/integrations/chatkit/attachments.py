"""What ChatKit knows of attached files, as kinds of their own; the bytes are in a bucket.

A file is uploaded before its message is sent: until then it is in no thread, and its item is in a
partition of its user. With the message it gets a thread, and its item is in the conversation's
partition: deleted, exported, erased and expired with it. It is found by its id through an index,
which may lag; so for an hour the user's item stays and points to the thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Final

from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    DEFAULT_PAGE_SIZE,
    GSI1,
    Entity,
    ExpiresAt,
    Id,
    JsonObject,
    Layout,
    NotFound,
    PageRequest,
    Repository,
    Slot,
    Time,
    access_pattern,
    partition,
    repository,
    sort,
    text,
    time,
)
from dynamo_chat.store import ChatStore

INDEX_LAG: Final = timedelta(hours=1)
"""The index has certainly caught up after this time."""

UPLOAD = Layout(
    "chatkit_upload",
    table=Slot(partition("CHATKITUPLOAD", text("user_id")), sort("UPLOAD", text("attachment_id"))),
)

ATTACHMENT = Layout(
    "chatkit_attachment",
    table=Slot(CONVERSATION_PARTITION, sort("APPCHATKITFILE", text("attachment_id"))),
    gsi1=Slot(
        partition("CHATKITFILE", text("attachment_id")),
        sort("SAVED", time("saved_at"), text("conversation_id")),
    ),
    of=CONVERSATION,
)


class ChatKitUpload(Entity):
    """A user's file that is in no thread yet, or where it went."""

    layout: ClassVar[Layout] = UPLOAD

    user_id: Id
    attachment_id: Id
    thread_id: Id | None = None
    """The thread that it was sent to."""
    attachment: JsonObject | None = None
    """The framework's JSON; None once it is in a thread."""
    expires_at: ExpiresAt = None


class ChatKitAttachment(Entity):
    """A file of a thread."""

    layout: ClassVar[Layout] = ATTACHMENT

    conversation_id: Id
    attachment_id: Id
    saved_at: Time
    attachment: JsonObject
    """The framework's JSON."""
    expires_at: ExpiresAt = None


class ChatKitAttachments(Repository):
    """Save, find and delete what is known of attached files."""

    kinds = (ChatKitUpload, ChatKitAttachment)

    @access_pattern(
        "CHATKIT1",
        "PutItem or TransactWriteItems, GetItem",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def save(
        self,
        user_id: str,
        attachment_id: str,
        attachment: Mapping[str, Any],
        *,
        thread_id: str | None = None,
    ) -> None:
        """Save a file of this user, in place of one with its id; NotFound without the thread."""
        items, known = self.items, dict(attachment)
        if thread_id is None:
            items.put(ChatKitUpload(user_id=user_id, attachment_id=attachment_id, attachment=known))
            return
        now = items.now()
        sent = ChatKitUpload(
            user_id=user_id,
            attachment_id=attachment_id,
            thread_id=thread_id,
            expires_at=now + INDEX_LAG,
        )
        file = ChatKitAttachment(
            conversation_id=thread_id,
            attachment_id=attachment_id,
            saved_at=now,
            attachment=known,
        )
        self.conversation_items.write(
            thread_id, lambda talk: [talk.putting(file), items.putting(sent)], user_id=user_id
        )

    @access_pattern(
        "CHATKIT2",
        "GetItem, Query, BatchGetItem",
        "1 before it is sent, 2 in the hour after that, then 3",
        budget=1,
        index="table + GSI1",
        owner="read",
    )
    def get(self, user_id: str, attachment_id: str) -> JsonObject:
        """The JSON of a user's file, as it was saved last. NotFound."""
        upload = self._upload(user_id, attachment_id)
        if upload is not None and upload.attachment is not None:
            return upload.attachment
        for thread_id in self._threads(upload, attachment_id):
            with suppress(NotFound):
                return self.conversation_items.get(
                    ChatKitAttachment,
                    conversation_id=thread_id,
                    attachment_id=attachment_id,
                    user_id=user_id,
                    consistent=True,
                ).attachment
        raise NotFound("attachment", attachment_id)

    @access_pattern(
        "CHATKIT3",
        "GetItem, Query, TransactWriteItems, DeleteItem",
        "3; 4 or 5 once it was sent",
        budget=3,
        index="table + GSI1",
        owner="condition",
    )
    def delete(self, user_id: str, attachment_id: str) -> None:
        """Delete a user's file; no error if there is none."""
        upload = self._upload(user_id, attachment_id)
        for thread_id in self._threads(upload, attachment_id):
            with suppress(NotFound):
                self.conversation_items.delete(
                    ChatKitAttachment,
                    conversation_id=thread_id,
                    attachment_id=attachment_id,
                    user_id=user_id,
                )
        # Last: it leads to the others, if this is interrupted.
        self.items.delete(ChatKitUpload, user_id=user_id, attachment_id=attachment_id)

    # -- inside -------------------------------------------------------------------------------

    def _upload(self, user_id: str, attachment_id: str) -> ChatKitUpload | None:
        return self.items.find(
            ChatKitUpload, user_id=user_id, attachment_id=attachment_id, consistent=True
        )

    def _threads(self, upload: ChatKitUpload | None, attachment_id: str) -> Iterator[str]:
        """The threads that may have the file, the latest first; also other users'."""
        known = None if upload is None else upload.thread_id
        if known is not None:
            yield known
        collection, cursor = ATTACHMENT.collection(GSI1, attachment_id)(), None
        while True:
            page = self.items.page(
                PageRequest((attachment_id,), True, DEFAULT_PAGE_SIZE, cursor),
                ChatKitAttachment,
                collection,
            )
            yield from (each.conversation_id for each in page if each.conversation_id != known)
            if page.cursor is None:
                return
            cursor = page.cursor


class ChatKitStore(ChatStore):
    """A store with ChatKit's attachments. A store of your own adds them in the same way."""

    cases: ClassVar[tuple[str, ...]] = ("dynamo_chat.integrations.chatkit.cases",)

    chatkit_attachments = repository(ChatKitAttachments)
