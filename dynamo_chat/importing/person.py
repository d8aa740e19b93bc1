"""Loads an export of a person's data (`store.people.export`) into a store.

Every record is stored as it is, with its ids, times and counters, and with the items that make it
findable. What is there already and the same is left alone, so a load that was interrupted is called
again. An application's own kinds are loaded into its own store. Two things come with no export: the
tokens of invites, so a loaded invite is found by its id and address only; and organizations, which
are not the person's: load or create those first, and let ``dynamo-chat doctor --repair`` count
their members again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call, room_item
from dynamo_chat.chat.conversation import Conversation, head_key, is_live_head, with_life
from dynamo_chat.chat.living import item_in, with_alive_until
from dynamo_chat.chat.message import (
    Message,
    as_appended,
    content_digest,
    parse_minted as parse_message_id,
)
from dynamo_chat.chat.message_ids import message_id_item
from dynamo_chat.chat.opening import STEP, WRITER, stream_item
from dynamo_chat.chat.preferences import ConversationPreferences, preferences_item
from dynamo_chat.chat.reviews import Review, review_id_item
from dynamo_chat.chat.snapshot import Snapshot, snapshot_of
from dynamo_chat.chat.states import ConversationState
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity, validated
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument
from dynamo_chat.core.item import helper_item, is_kind, plan
from dynamo_chat.core.of_organization import check_users_in
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Put, absent, contended
from dynamo_chat.entities.items import is_in_conversations
from dynamo_chat.identity.logins import LoginSession, listing_item
from dynamo_chat.identity.user import User, address_item, address_keys
from dynamo_chat.mail.adding import id_items
from dynamo_chat.mail.email import (
    EmailContent,
    EmailSummary,
    NewEmail,
    digest_of,
    parse_minted as parse_response_id,
)
from dynamo_chat.mail.thread import thread_key
from dynamo_chat.orgs.invite import Invite, invite_items
from dynamo_chat.orgs.seats import Member
from dynamo_chat.store import ChatStore
from dynamo_chat.telemetry.llm import LLMContent, LLMUsage
from dynamo_chat.workflows.person_records import PersonRecord
from dynamo_chat.workflows.record_interaction import marks_of

_Part: TypeAlias = Message | Review | ConversationState | ConversationPreferences
"""What is in a conversation, and marked with its life."""

_UNOPENED: Final = "none~"
"""Stored where the hash of an invite's token is: no token has this hash."""
_NO_WRITER: Final = "none~"
"""The mark of a loaded stream: no writer has it, so the stream is ended or taken over."""


def load_person(store: ChatStore, records: Iterable[PersonRecord]) -> Mapping[str, int]:
    """Load the records of an export, in their order; how many were loaded of each kind.

    AlreadyExists if the store has another item in a record's place; what was loaded before stays.
    InvalidArgument for something else than a record, or a record without what it belongs to.
    """
    loader = _Loader(store._binding)  # noqa: SLF001 - it is a repository of the store's
    counts: Counter[str] = Counter()
    for record in records:
        if not isinstance(record, PersonRecord):
            raise InvalidArgument("records", f"must be PersonRecords, not {type(record).__name__}")
        loader.load(record.entity)
        counts[record.kind] += 1
    return counts


class _Loader(Repository):
    """Stores records one by one. Each may need the one that it belongs to, which came before."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._conversation: Snapshot | None = None
        self._content: EmailContent | None = None
        self._makers: Mapping[type[Entity], Callable[[Any], list[AttributeValues]]] = {
            Conversation: self._conversation_items,
            Message: self._message_items,
            ConversationPreferences: lambda preferences: [self._part(preferences)],
            ConversationState: lambda state: [self._part(state)],
            Review: lambda review: [self._part(review), review_id_item(review)],
            User: _user_items,
            LoginSession: lambda login: [plan(LoginSession).encode(login), listing_item(login)],
            Member: _member_items,
            Invite: lambda made: [*invite_items(made, _UNOPENED + made.invite_id)],
            EmailContent: self._content_items,
            EmailSummary: self._email_items,
            LLMUsage: self._interaction_items,
            LLMContent: self._interaction_items,
            Call: _call_items,
        }

    def load(self, entity: Entity) -> None:
        """Store an entity with its helper items. AlreadyExists; InvalidArgument."""
        check_users_in("records", entity.__dict__, may_be_organization=False)
        make = self._makers.get(type(entity), self._plain_items)
        items = make(entity)
        for _ in range(self._connection.options.transaction_attempts):
            now = self._now()
            try:
                self._write(*(Put(item, absent(now)) for item in items))
            except ConditionFailed as failed:
                for at, there in failed.items.items():
                    if there is not None and there != items[at]:
                        kind = items[at]["kind"]["S"].replace("_", " ")
                        raise AlreadyExists(f"the store has another {kind} there") from failed
                items = [item for at, item in enumerate(items) if at not in failed.items]
                if not items:
                    return
            else:
                return
        raise contended("the items to load")

    def _plain_items(self, entity: Entity) -> list[AttributeValues]:
        """The item of an entity without helper items, perhaps of an application's own kind."""
        if entity.layout in self._binding.own and is_in_conversations(entity.layout):
            return [item_in(entity, self._of(entity).life)]
        return [plan(type(entity)).encode(entity)]

    # -- chat ---------------------------------------------------------------------------------

    def _conversation_items(self, conversation: Conversation) -> list[AttributeValues]:
        self._conversation = snapshot_of(conversation)
        items = [plan(Conversation).encode(conversation)]
        if conversation.title is not None:
            items.append(title_item(self._conversation, conversation.title))
        if (
            conversation.preferences
        ):  # from a head of version 1; else they are a record of their own
            items.append(preferences_item(conversation))
        return items

    def _message_items(self, message: Message) -> list[AttributeValues]:
        items = [self._part(message)]
        if parse_message_id(message.message_id) is None:
            digest = content_digest(as_appended(message))
            items.append(message_id_item(message, digest, self._of(message).user_id))
        if message.is_streaming and message.checkpoint_at is not None:
            conversation = self._of(message)
            items[0] |= {WRITER: {"S": _NO_WRITER}, STEP: {"N": "0"}}
            items.append(stream_item(message, conversation.life, conversation.kept_until))
        return items

    def _part(self, entity: _Part) -> AttributeValues:
        """An item of the conversation that was loaded last."""
        conversation = self._of(entity)
        item = with_life(plan(type(entity)).encode(entity), conversation.life)
        is_listed = isinstance(entity, (Message, Review))
        return with_alive_until(item, conversation.alive_until() if is_listed else None)

    def _of(self, entity: Entity) -> Snapshot:
        known = self._conversation
        if known is None or known.conversation_id != vars(entity)["conversation_id"]:
            raise InvalidArgument("records", "must have each conversation before what is in it")
        return known

    def _interaction_items(self, half: LLMUsage | LLMContent) -> list[AttributeValues]:
        thread, head = self._get_items(
            [thread_key(half.conversation_id), head_key(half.conversation_id)], consistent=True
        )
        is_chat = not is_kind(thread or {}, keyspace.EMAIL_THREAD) and is_live_head(
            head, self._now()
        )
        of = snapshot_of(plan(Conversation).decode(head or {})) if is_chat else None
        return [plan(type(half)).encode(half) | marks_of(of)]

    # -- mail ---------------------------------------------------------------------------------

    def _content_items(self, content: EmailContent) -> list[AttributeValues]:
        self._content = content
        return [plan(EmailContent).encode(content)]

    def _email_items(self, email: EmailSummary) -> list[AttributeValues]:
        content = self._content
        if content is None or content.entry_id != email.entry_id:
            raise InvalidArgument("records", "must have the content of each e-mail before it")
        fields = {**email.__dict__, **content.__dict__}
        said = {name: fields[name] for name in NewEmail.model_fields if name != "response_id"}
        digest = digest_of(validated(NewEmail, **said), email.conversation_id)
        has_response_id = parse_response_id(email.response_id) is None
        return [
            plan(EmailSummary).encode(email),
            *id_items(email, digest, has_response_id=has_response_id),
        ]


def _user_items(user: User) -> list[AttributeValues]:
    pointing = partial(address_item, user_id=user.user_id)
    keys = address_keys(user.email, user.response_email)
    return [plan(User).encode(user), *(pointing(layout, key) for layout, key in keys)]


def _member_items(member: Member) -> list[AttributeValues]:
    return [plan(Member).encode(member), helper_item(keyspace.MEMBERSHIP, member.__dict__)]


def _call_items(call: Call) -> list[AttributeValues]:
    items = [plan(Call).encode(call)]
    return [*items, room_item(call)] if call.is_live else items
