"""The repository of e-mail threads: M8, M9 and M12. The entity is in `thread`."""

from __future__ import annotations

from datetime import datetime

from dynamo_chat import keyspace
from dynamo_chat.core import changes
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Unchanged
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Update
from dynamo_chat.mail.removal import ThreadRemover
from dynamo_chat.mail.thread import (
    Category,
    EmailThread,
    Sentiment,
    ThreadReader,
    ThreadStatus,
    Urgency,
    exists_thread,
    thread_key,
)


class EmailThreads(Repository):
    """Read, list, change and delete threads. Adding an e-mail creates its thread."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._reader = ThreadReader(binding)
        self._remover = ThreadRemover(binding)

    @access_pattern("M8", "GetItem", "1", owner="read")
    def get(
        self, conversation_id: str, *, account_id: str | None = None, consistent: bool = False
    ) -> EmailThread:
        """The thread of a conversation. NotFound, also while it is being deleted.

        With `account_id`, NotFound for another account's thread, too.
        """
        return plan(EmailThread).decode(
            self._reader.item(conversation_id, account_id, consistent=consistent)
        )

    @access_pattern("M8", "UpdateItem", "1", owner="condition")
    def update(  # noqa: PLR0913 - a thread has that many settings
        self,
        conversation_id: str,
        *,
        status: ThreadStatus | Unchanged = UNCHANGED,
        urgency: Urgency | Unchanged | None = UNCHANGED,
        category: Category | Unchanged | None = UNCHANGED,
        priority: int | Unchanged | None = UNCHANGED,
        sentiment: Sentiment | Unchanged | None = UNCHANGED,
        auto_response_enabled: bool | Unchanged = UNCHANGED,
        response_delay_hours: float | Unchanged | None = UNCHANGED,
        max_response_length: int | Unchanged | None = UNCHANGED,
        account_id: str | None = None,
    ) -> EmailThread:
        """Change only the given fields of a thread and return it. NotFound.

        None removes a value. NotFound also if the thread is not `account_id`'s. InvalidArgument
        for a value that a field does not allow.
        """
        changed = changes.checked(
            EmailThread,
            status=status,
            urgency=urgency,
            category=category,
            priority=priority,
            sentiment=sentiment,
            auto_response_enabled=auto_response_enabled,
            response_delay_hours=response_delay_hours,
            max_response_length=max_response_length,
        )
        thread = plan(EmailThread).model
        actions = changes.actions(EmailThread, changed)
        try:
            item = self._write(
                Update(
                    thread_key(conversation_id),
                    [*actions, thread.updated_at.set(self._now())],
                    exists_thread(account_id),
                ),
                returning=True,
            )
        except ConditionFailed as failed:
            raise NotFound("e-mail thread", conversation_id) from failed
        return plan(EmailThread).decode(item)

    @access_pattern("M9", "Query", "1", index="GSI1", owner="argument")
    def list_by_account(
        self,
        account_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[EmailThread]:
        """An account's threads by the time of their latest e-mail, newest first.

        With `since` and `until`, those whose latest e-mail is in [since, until).
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((account_id, lower, upper), newest_first, page_size, cursor),
            [keyspace.EMAIL_THREAD.collection(GSI1, account_id)(lower=lower, until=upper)],
            plan(EmailThread).decode,
        )

    iterate_by_account = iterating(list_by_account)

    @access_pattern(
        "M12", "TransactWriteItems, Query", "1 + ⌈items/99⌉ + ⌈MB⌉", budget=3, owner="condition"
    )
    def delete(self, conversation_id: str, *, account_id: str | None = None) -> int:
        """Delete a thread with its e-mails, scores and LLM interactions.

        Returns the number of items deleted. Readers no longer see the thread from the first
        request on, and nothing can be added to it until it is deleted. After a crash, call it
        again to finish. LLM interactions that another account recorded before the thread existed
        stay. Without a thread, this deletes the interactions under this id: all, or `account_id`'s.
        NotFound if there is nothing to delete, or nothing of `account_id`.
        """
        return self._remover.delete(conversation_id, account_id)
