"""The repository of e-mails: M1–M7 and M10. The entity is in `email`, adding in `adding`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.core import changes
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Unchanged
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import GSI1, GSI2, SK, TABLE
from dynamo_chat.core.owners import check_owner, is_owned
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.pairs import PairReader
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Update, is_live
from dynamo_chat.mail.adding import Adder, pointed_place
from dynamo_chat.mail.email import (
    EMAIL_PAIR,
    EmailMessage,
    EmailPlace,
    EmailStatus,
    EmailStatusFixed,
    EmailSummary,
    NewEmail,
    parse_minted,
)
from dynamo_chat.mail.thread import thread_key

COMES_FROM: Final[dict[EmailStatus, tuple[EmailStatus, ...]]] = {
    "received": (),
    "processed": ("received",),
    "scheduled": ("processed",),
    "responded": ("processed", "scheduled"),
}
"""The statuses from which an e-mail can move to each status."""

_ACCOUNT: Final = "account_id"
_OF_NO_OWNER: Final = 25
"""Id items of version 1 name no account: at most this many are searched."""


class EmailMessages(Repository):
    """Add and find e-mails, and move them through their statuses."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._adder = Adder(binding)
        self._pairs = PairReader(binding, EMAIL_PAIR)

    @access_pattern(
        "M1",
        "TransactWriteItems",
        "1; 2 if it is not the latest, or creates the thread without is_first_email",
        budget=2,
        owner="creation",
    )
    def add(self, conversation_id: str, email: NewEmail) -> EmailMessage:
        """Add an e-mail to a conversation, update its thread, and return the e-mail.

        The first e-mail creates the thread. E-mails may arrive in any order. A retry with the same
        response id or Message-ID returns the existing e-mail; AlreadyExists if that one is
        different. Conflict for another account's conversation, another thread id, or a thread that
        is being deleted; InvalidArgument for a time more than five minutes ahead.
        """
        return self._adder.add(conversation_id, email)

    @access_pattern("M2", "Query", "1", owner="read")
    def list_by_conversation(
        self,
        conversation_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        account_id: str | None = None,
        consistent: bool = False,
    ) -> Page[EmailMessage]:
        """A conversation's e-mails with their content by time; oldest first by default.

        With `since` and `until`, those of [since, until). A page with the oldest e-mail is read
        together with the thread: NotFound if it does not exist or is being deleted. Other pages
        may still show e-mails of a thread that is being deleted. With `account_id`, another
        account's conversation is not found.
        """
        lower, upper = time_range(since, until)
        collection = keyspace.EMAIL.collection(TABLE, conversation_id)(lower=lower, until=upper)
        if lower is None:
            # The thread sorts directly before its e-mails.
            first = thread_key(conversation_id)[SK]["S"]
            collection = collection._replace(keys=KeyRange(first, collection.keys.upper))
        asked = PageRequest(
            (conversation_id, account_id, lower, upper), newest_first, page_size, cursor, consistent
        )
        beside: dict[str, AttributeValues] = {}
        page = self._pairs.page(asked, collection, beside=beside, account_id=account_id)
        saw_beginning = cursor is None if asked.forward else page.cursor is None
        is_missing = keyspace.EMAIL_THREAD.kind not in beside and not page.unreadable
        if is_missing and (beside or (not lower and saw_beginning)):
            raise NotFound("e-mail thread", conversation_id)
        return page

    iterate_by_conversation = iterating(list_by_conversation)

    @access_pattern("M3", "Query, GetItem", "1; 2 for the caller's own id", budget=2, owner="read")
    def get(
        self,
        conversation_id: str,
        response_id: str,
        *,
        account_id: str | None = None,
        consistent: bool = False,
    ) -> EmailMessage:
        """The e-mail with this response id, with its content.

        NotFound, also if it is not `account_id`'s.
        """
        check_owner("account_id", account_id)
        place = self._place(conversation_id, response_id, account_id, consistent=consistent)
        return self._found(place, response_id, account_id, consistent=consistent)

    @access_pattern("M4", "Query", "2", index="GSI1", owner="argument")
    def list_by_account(
        self,
        account_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[EmailSummary]:
        """An account's e-mails by time, newest first, without their content.

        With `since` and `until`, those of [since, until).
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((account_id, lower, upper), newest_first, page_size, cursor),
            [
                keyspace.EMAIL.collection(GSI1, account_id, is_first)(lower=lower, until=upper)
                for is_first in (True, False)
            ],
            plan(EmailSummary).decode,
        )

    iterate_by_account = iterating(list_by_account)

    @access_pattern("M5", "Query", "1", index="GSI1", owner="argument")
    def list_by_first_email(
        self,
        account_id: str,
        is_first_email: bool,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[EmailSummary]:
        """An account's first e-mails, or its follow-ups, by time, newest first, without content.

        With `since` and `until`, those of [since, until).
        """
        if not isinstance(is_first_email, bool):
            raise InvalidArgument("is_first_email", "must be True or False")
        lower, upper = time_range(since, until)
        chosen = (account_id, is_first_email, lower, upper)
        return self._page(
            PageRequest(chosen, newest_first, page_size, cursor),
            [keyspace.EMAIL.collection(GSI1, account_id, is_first_email)(lower=lower, until=upper)],
            plan(EmailSummary).decode,
        )

    iterate_by_first_email = iterating(list_by_first_email)

    @access_pattern("M6", "Query", "1", index="GSI2", owner="key")
    def get_by_message_id(self, account_id: str, message_id: str) -> EmailSummary:
        """The account's e-mail with this Message-ID, without its content. NotFound."""
        _check_text("message_id", message_id)
        collection = keyspace.EMAIL.collection(GSI2, account_id, keyspace.digest_of(message_id))
        items, _ = self._query(collection(), limit=1)
        if not items or not is_live(items[0], self._now()):
            raise NotFound("e-mail", message_id)
        return plan(EmailSummary).decode(items[0])

    @access_pattern(
        "M7",
        "Query",
        "1; 2 for the caller's own id; 3 for one of an older version",
        budget=2,
        index="table + GSI2",
        owner="read",
    )
    def get_by_response_id(
        self, response_id: str, *, account_id: str | None = None
    ) -> EmailMessage:
        """The e-mail with this response id in any conversation, with its content. NotFound.

        If e-mails of several conversations have the id, the one that sorts first; with
        `account_id`, the first of that account. It may show the past; `get`, given the
        conversation, does not with ``consistent=True``.
        """
        check_owner("account_id", account_id)
        place = parse_minted(_check_text("response_id", response_id))
        if place is None:
            pointer = self._pointer(response_id, account_id)
            if pointer is None:
                raise NotFound("e-mail", response_id)
            place = pointed_place(pointer)
        return self._found(place, response_id, account_id)

    @access_pattern(
        "M10", "UpdateItem, GetItem", "1; 2 for the caller's own id", budget=2, owner="condition"
    )
    def move(
        self,
        conversation_id: str,
        response_id: str,
        status: EmailStatus,
        *,
        ai_response: str | Unchanged | None = UNCHANGED,
        ev_score: float | Unchanged | None = UNCHANGED,
        account_id: str | None = None,
    ) -> EmailSummary:
        """Move an e-mail to `status`, set the given fields, and return it without its content.

        received → processed → responded or scheduled; scheduled → responded. An e-mail that has
        the status already is not changed. IllegalTransition, with the e-mail as ``current``, for
        any other move. NotFound, also if the e-mail is not `account_id`'s.
        """
        changed = changes.checked(
            EmailSummary, status=status, ai_response=ai_response, ev_score=ev_score
        )
        check_owner("account_id", account_id)
        place = self._place(conversation_id, response_id, account_id, consistent=True)
        key = keyspace.EMAIL.key(**place._asdict(), part="email")
        if not COMES_FROM[status]:
            item = self._get_item(key, consistent=True)
            return self._already(item, response_id, account_id, status)
        email = plan(EmailSummary).model
        can_move: Condition = (email.kind == keyspace.EMAIL.kind) & email.status.is_in(
            *COMES_FROM[status]
        )
        if account_id is not None:
            can_move &= email.account_id == account_id
        try:
            item = self._write(
                Update(key, changes.actions(EmailSummary, changed), can_move), returning=True
            )
        except ConditionFailed as failed:
            return self._already(failed.items.get(0), response_id, account_id, status)
        return plan(EmailSummary).decode(item)

    def _already(
        self,
        item: AttributeValues | None,
        response_id: str,
        account_id: str | None,
        status: EmailStatus,
    ) -> EmailSummary:
        """The e-mail, if it has `status` already. IllegalTransition or NotFound otherwise."""
        is_there = item is not None and is_live(item, self._now())
        if item is None or not is_there or not is_owned(item, "account_id", account_id):
            raise NotFound("e-mail", response_id)
        there = plan(EmailSummary).decode(item)
        if there.status != status:
            raise EmailStatusFixed(f"an e-mail cannot move from {there.status} to {status}", there)
        return there

    def _place(
        self, conversation_id: str, response_id: str, account_id: str | None, *, consistent: bool
    ) -> EmailPlace:
        """Where an e-mail is. Takes one request for a caller's id, else none. NotFound."""
        own = parse_minted(_check_text("response_id", response_id))
        if own is not None:
            if own.conversation_id != conversation_id:
                raise NotFound("e-mail", response_id)
            return own
        pointer = self._get_item(
            keyspace.EMAIL_RESPONSE_ID.key(
                conversation_id=conversation_id, response_id=response_id
            ),
            consistent=consistent,
        )
        if pointer is None or not is_live(pointer, self._now()) or not _leads(pointer, account_id):
            raise NotFound("e-mail", response_id)
        return pointed_place(pointer)

    def _pointer(self, response_id: str, account_id: str | None) -> AttributeValues | None:
        """The first id item of a caller-supplied id, of this account if one is given."""
        layout, now = keyspace.EMAIL_RESPONSE_ID, self._now()
        in_index = layout.collection(GSI2, response_id)
        unsaid = keyspace.EMAIL_RESPONSE_ID_OF_NO_OWNER.range()
        if account_id is None:
            everybodys = in_index()
            keys = KeyRange(everybodys.keys.lower, unsaid.upper)
            items, _ = self._query(everybodys._replace(keys=keys), limit=1)
        else:
            items, _ = self._query(in_index(keyspace.digest_of(account_id)), limit=1)
            if not items:
                items, _ = self._query(in_index()._replace(keys=unsaid), limit=_OF_NO_OWNER)
        ours = (each for each in items if _leads(each, account_id) and is_live(each, now))
        return next(ours, None)

    def _found(
        self,
        place: EmailPlace,
        response_id: str,
        account_id: str | None,
        *,
        consistent: bool = False,
    ) -> EmailMessage:
        found = self._pairs.get(*place, consistent=consistent)
        if found is None or account_id not in {None, found.account_id}:
            raise NotFound("e-mail", response_id)
        return found


def _leads(pointer: AttributeValues, account_id: str | None) -> bool:
    """True if an id item is this account's, or is an old one that names no account."""
    return _ACCOUNT not in pointer or is_owned(pointer, _ACCOUNT, account_id)


def _check_text(argument: str, value: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgument(argument, "must be text that is not empty")
    return value
