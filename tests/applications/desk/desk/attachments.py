"""The files of conversations. Their bytes are in a bucket; this is what the table knows of them."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    DEFAULT_PAGE_SIZE,
    GSI1,
    TABLE,
    USER_PARTITION,
    Bytes,
    Count,
    Entity,
    ExpiresAt,
    Id,
    Layout,
    Page,
    PageRequest,
    Repository,
    Slot,
    Time,
    access_pattern,
    sort,
    text,
    time,
    time_range,
)

ATTACHMENT = Layout(
    "attachment",
    table=Slot(CONVERSATION_PARTITION, sort("APPFILE", text("attachment_id"))),
    gsi1=Slot(
        USER_PARTITION,
        sort("APPFILE", time("added_at"), text("conversation_id"), text("attachment_id")),
    ),
    of=CONVERSATION,
)


class Attachment(Entity):
    """A file that was added to a conversation."""

    layout: ClassVar[Layout] = ATTACHMENT

    conversation_id: Id
    attachment_id: Id
    user_id: Id
    """Who added it."""
    added_at: Time
    file_name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    media_type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    size: Count
    sha256: Bytes
    expires_at: ExpiresAt = None

    @property
    def bucket_key(self) -> str:
        """Where its bytes are: a lifecycle rule of the bucket, or a stream reader, removes them."""
        return f"conversations/{self.conversation_id}/{self.attachment_id}"


class Attachments(Repository):
    """The files of conversations: add, find, list, remove."""

    kinds = (Attachment,)

    @access_pattern(
        "FI1",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def add(
        self,
        conversation_id: str,
        user_id: str,
        file_name: str,
        *,
        media_type: str,
        size: int,
        sha256: bytes,
        attachment_id: str | None = None,
    ) -> Attachment:
        """Add a file to a conversation of this user and return it. NotFound.

        AlreadyExists if `attachment_id` is given, and another file of the conversation has it.
        """
        items = self.conversation_items
        file = Attachment(
            conversation_id=conversation_id,
            attachment_id=attachment_id or items.new_id(),
            user_id=user_id,
            added_at=items.now(),
            file_name=file_name,
            media_type=media_type,
            size=size,
            sha256=sha256,
        )
        return items.create(file, user_id=user_id)

    @access_pattern("FI2", "BatchGetItem", "1", owner="read", reads="late")
    def get(
        self, conversation_id: str, attachment_id: str, *, user_id: str | None = None
    ) -> Attachment:
        """The file with this id in this conversation. NotFound."""
        return self.conversation_items.get(
            Attachment,
            conversation_id=conversation_id,
            attachment_id=attachment_id,
            user_id=user_id,
        )

    @access_pattern("FI3", "GetItem, Query", "2", owner="read", reads="late")
    def list(
        self,
        conversation_id: str,
        *,
        user_id: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Attachment]:
        """The files of a conversation, in the order of their ids. NotFound."""
        return self.conversation_items.page(
            PageRequest((conversation_id, user_id), False, page_size, cursor),
            Attachment,
            ATTACHMENT.collection(TABLE, conversation_id)(),
            conversation_id=conversation_id,
            user_id=user_id,
        )

    @access_pattern("FI4", "Query, BatchGetItem", "2", index="GSI1 + table", owner="argument")
    def list_by_user(
        self,
        user_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Attachment]:
        """The files that a user added to any conversation, newest first."""
        lower, upper = time_range(since, until)
        return self.conversation_items.page_across(
            PageRequest((user_id, lower, upper), True, page_size, cursor),
            Attachment,
            ATTACHMENT.collection(GSI1, user_id)(lower=lower, until=upper),
        )

    @access_pattern(
        "FI5",
        "GetItem, TransactWriteItems",
        "1; 2 when the store does not know the conversation",
        budget=1,
        owner="condition",
    )
    def remove(
        self, conversation_id: str, attachment_id: str, *, user_id: str | None = None
    ) -> None:
        """Remove a file from a conversation; no error if it has none with this id. NotFound."""
        self.conversation_items.delete(
            Attachment,
            conversation_id=conversation_id,
            attachment_id=attachment_id,
            user_id=user_id,
        )
