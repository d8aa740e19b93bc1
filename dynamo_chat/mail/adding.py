"""Adding an e-mail (M1): one transaction updates the thread, too, in one request or two.

    Put or Update thread   created by its first e-mail; then counters, participants, subject, and
                           its latest time with the index key made of it
    Put e-mail, content    keyed by their time and a new ULID
    Put response id        if the caller supplied one; it must be new in the conversation
    Put Message-ID         it must be new in the account

The first request guesses whether the thread exists, whether the e-mail is its latest, and whether
the list of participants has room. The transaction's condition checks that. A wrong guess writes
nothing, and its answer contains the current thread; then the second request is right, unless
another e-mail came in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import MAX_ADDRESS_BYTES, address_key
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.item import (
    helper_item,
    helper_text,
    helper_time,
    is_kind,
    key_parts,
    kind_of,
    leading,
    plan,
)
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import GSI1, GSI2, PK
from dynamo_chat.core.pairs import CONTENT, PairReader
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import (
    Put,
    Update,
    Write,
    absent,
    contended,
    is_live,
    set_index_keys,
)
from dynamo_chat.mail.email import (
    EMAIL_PAIR,
    EmailExists,
    EmailMessage,
    EmailPlace,
    EmailSummary,
    NewEmail,
    content_item,
    digest_of,
    minted_id,
    preview_of,
)
from dynamo_chat.mail.thread import (
    MAX_PARTICIPANTS,
    EmailThread,
    ThreadConflict,
    exists_thread,
    is_thread,
    thread_key,
)

_FIRST_ID = 3
"""Position of the first id item in the transaction: after thread, e-mail and content."""


class Adder(Repository):
    """Adds e-mails."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._pairs = PairReader(binding, EMAIL_PAIR)

    def add(self, conversation_id: str, new: NewEmail) -> EmailMessage:
        """Add an e-mail to a thread and return it: see `EmailMessages.add`."""
        if not isinstance(new, NewEmail):
            raise InvalidArgument("new", f"must be a NewEmail, not {type(new).__name__}")
        thread_key(conversation_id)  # refuses an invalid id before anything else
        now = self._now()
        timestamp = not_ahead("timestamp", new.timestamp or now, now)
        place = EmailPlace(conversation_id, timestamp, self._new_id(now))
        digest = digest_of(new, conversation_id)
        guess = _first_guess(new, conversation_id)
        for attempt in range(self._connection.options.transaction_attempts):
            now = self._now()
            email = _email(new, place, guess)
            items = [plan(EmailSummary).encode(email), content_item(email)]
            ids = id_items(email, digest, has_response_id=new.response_id is not None)
            try:
                self._write(
                    _thread_write(email, guess, now),
                    *(Put(item, absent(now)) for item in (*items, *ids)),
                )
            except ConditionFailed as failed:
                there = self._added_before(failed, new, ids, digest)
                if there is not None:
                    return there
                if 0 in failed.items:
                    guess = _better_guess(failed.items[0], new, place)
                if attempt:
                    self._connection.pause(attempt)
            else:
                return email
        raise contended("the e-mail thread")

    def _added_before(
        self,
        failed: ConditionFailed,
        new: NewEmail,
        ids: Sequence[AttributeValues],
        digest: str,
    ) -> EmailMessage | None:
        """The same e-mail, if an earlier call added it; None if none of the ids is taken.

        AlreadyExists if another e-mail has one of them.
        """
        for place, item in enumerate(ids, start=_FIRST_ID):
            taken = failed.items.get(place)
            if taken is None:
                continue
            there = self._pointed_to(taken)
            if (
                there is not None
                and taken.get("digest") == {"S": digest}
                and new.response_id in {None, there.response_id}
            ):
                return there
            if there is not None and there.account_id != new.account_id:
                raise _anothers()  # as without the id: the error does not reveal the other e-mail
            is_message_id = is_kind(item, keyspace.EMAIL_MESSAGE_ID)
            what = "Message-ID" if is_message_id else "response id"
            raise EmailExists(f"the {what} belongs to another e-mail", there)
        return None

    def _pointed_to(self, pointer: AttributeValues) -> EmailMessage | None:
        """The e-mail that an id item points to; None if it does not exist."""
        if not is_live(pointer, self._now()):
            return None
        return self._pairs.get(*pointed_place(pointer), consistent=True)


@dataclass(frozen=True, slots=True)
class _Guess:
    """A guess about the stored thread, which the transaction checks."""

    opens: bool
    """The thread does not exist yet."""
    thread_id: str
    is_late: bool
    """The thread has a later e-mail."""
    missing: frozenset[str]
    """Participants to add to the thread's list, as far as it has room."""


def _first_guess(new: NewEmail, conversation_id: str) -> _Guess:
    return _Guess(
        opens=new.is_first_email is True,
        thread_id=new.thread_id or conversation_id,
        is_late=False,
        missing=_participants(new),
    )


def _better_guess(item: AttributeValues | None, new: NewEmail, place: EmailPlace) -> _Guess:
    """The guess that matches the stored thread. Conflict if the e-mail cannot belong to it."""
    if item is None:
        return _Guess(
            opens=True,
            thread_id=new.thread_id or place.conversation_id,
            is_late=False,
            missing=_participants(new),
        )
    if not is_thread(item):
        raise ThreadConflict("the e-mail thread is being deleted; delete it again to finish")
    thread = plan(EmailThread).decode(item)
    if thread.account_id != new.account_id:
        raise _anothers()
    if new.thread_id not in {None, thread.thread_id}:
        raise ThreadConflict(f"the conversation's thread is {thread.thread_id!r}", thread)
    missing = sorted(_participants(new) - thread.participants)
    return _Guess(
        opens=False,
        thread_id=thread.thread_id,
        is_late=place.timestamp < thread.last_message_at,
        # Participants are never removed: a full list stays full.
        missing=frozenset(missing[: max(0, MAX_PARTICIPANTS - len(thread.participants))]),
    )


def _anothers() -> ThreadConflict:
    return ThreadConflict("the e-mail thread belongs to another account")


def _thread_write(email: EmailMessage, guess: _Guess, now: datetime) -> Write:
    """The write of the thread, on condition that the guess is right."""
    if guess.opens:
        opened = EmailThread(
            conversation_id=email.conversation_id,
            account_id=email.account_id,
            thread_id=email.thread_id,
            created_at=now,
            updated_at=now,
            subject=email.subject,
            participants=guess.missing,
            message_count=1,
            last_message_at=email.timestamp,
        )
        return Put(plan(EmailThread).encode(opened), absent(now))
    thread = plan(EmailThread).model
    condition: Condition = (
        exists_thread()
        & (thread.account_id == email.account_id)
        & (thread.thread_id == email.thread_id)
    )
    actions: list[Action] = [thread.message_count.add(1), thread.updated_at.set(now)]
    if guess.is_late:
        condition &= thread.last_message_at > email.timestamp
    else:
        condition &= thread.last_message_at <= email.timestamp
        actions.append(thread.last_message_at.set(email.timestamp))
        actions += set_index_keys(
            keyspace.EMAIL_THREAD,
            GSI1,
            account_id=email.account_id,
            last_message_at=email.timestamp,
            conversation_id=email.conversation_id,
        )
    if guess.missing:
        room = MAX_PARTICIPANTS - len(guess.missing)
        listed = size(thread.participants)  # type: ignore[no-untyped-call]
        condition &= thread.participants.does_not_exist() | (listed <= room)
        actions.append(thread.participants.add(guess.missing))
    if email.is_first_email and email.subject:
        actions.append(thread.subject.set(email.subject))
    return Update(thread_key(email.conversation_id), actions, condition)


def _email(new: NewEmail, place: EmailPlace, guess: _Guess) -> EmailMessage:
    is_first = guess.opens if new.is_first_email is None else new.is_first_email
    fields = {
        **new.__dict__,
        **place._asdict(),
        "response_id": new.response_id or minted_id(*place),
        "thread_id": guess.thread_id,
        "is_first_email": is_first,
        "preview": preview_of(new.body),
        "body_length": len(new.body),
    }
    return validated(EmailMessage, **fields)


def id_items(email: EmailSummary, digest: str, *, has_response_id: bool) -> list[AttributeValues]:
    """The items that make an e-mail's caller-supplied ids unique and point to it."""
    fields: dict[str, Any] = dict(email.__dict__)
    said: dict[str, Any] = {
        "timestamp": format_time(email.timestamp),
        "entry_id": email.entry_id,
        "digest": digest,
        "account_id": email.account_id,
    }
    items = []
    if has_response_id:
        fields["owner_hash"] = keyspace.digest_of(email.account_id)
        items.append(helper_item(keyspace.EMAIL_RESPONSE_ID, fields, GSI2, **said))
    if email.message_id is not None:
        fields["message_hash"] = keyspace.digest_of(email.message_id)
        said["conversation_id"] = email.conversation_id
        items.append(helper_item(keyspace.EMAIL_MESSAGE_ID, fields, **said))
    return items


def pointed_place(pointer: AttributeValues) -> EmailPlace:
    """Where the e-mail is that an id item points to. CorruptItem."""
    layout = keyspace.EMAIL_MESSAGE_ID
    if kind_of(pointer, keyspace.EMAIL_RESPONSE_ID) == keyspace.EMAIL_RESPONSE_ID.kind:
        layout = keyspace.EMAIL_RESPONSE_ID
        (conversation_id,) = key_parts(layout, pointer, PK)
    else:
        conversation_id = helper_text(pointer, "conversation_id", layout)
    place = EmailPlace(
        conversation_id,
        helper_time(pointer, "timestamp", layout),
        helper_text(pointer, "entry_id", layout),
    )
    with leading(pointer, layout):
        keyspace.EMAIL.key(**place._asdict(), part=CONTENT)
    return place


def _participants(new: NewEmail) -> frozenset[str]:
    """Sender and recipient as a thread lists them, without those too long for an address."""
    found = map(_participant, (new.sender_email, new.recipient_email))
    return frozenset(each for each in found if len(each) <= MAX_ADDRESS_BYTES)


def _participant(address: str) -> str:
    """An address in its normal form; an invalid address unchanged."""
    try:
        return address_key(address)
    except InvalidArgument:
        return address
