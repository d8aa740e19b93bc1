"""An invite: the entity, its states, and its three items.

    pending ──accept──▶ accepted
       │ ╰────cancel──▶ cancelled
       ╰──── expire, or expires_at has passed ──▶ expired

An invite has no TTL: an expired one is kept and reads as expired. It is deleted with its
organization, or by `delete`. The invite is in the organization's partition; two other items point
to it, one keyed by its id and one by the hash of its token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import Address, address_key
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity, Id, Indexed, Time
from dynamo_chat.core.errors import AlreadyExists, IllegalTransition
from dynamo_chat.core.item import (
    Item,
    helper_item,
    helper_text,
    helper_time,
    key_parts,
    leading,
    plan,
)
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import GSI1, PK, SK, Layout
from dynamo_chat.core.transaction import Delete, Key

InviteRole = Literal["member", "admin"]
InviteStatus = Literal["pending", "accepted", "expired", "cancelled"]

HASH_ATTRIBUTE = "token_hash"
"""Attribute of an invite's item, but no field of `Invite`: the hash of its token."""


class Invite(Entity):
    """An offer to join an organization, made to an e-mail address."""

    layout: ClassVar[Layout] = keyspace.INVITE

    organization_id: Id
    created_at: Time
    invite_id: Id
    email: Address
    """The invited address, as it was given."""
    invited_by: Id
    role: InviteRole
    status: InviteStatus
    expires_at: Time
    accepted_at: Time | None = None
    accepted_by: Id | None = None
    """The id of the user who accepted it."""

    def as_of(self, now: datetime) -> Invite:
        """The invite at `now`: ``expired`` if it is stored as pending but past `expires_at`."""
        if self.status == "pending" and self.expires_at <= now:
            return self.model_copy(update={"status": "expired"})
        return self

    def indexed(self) -> Indexed:
        """GSI1 sorts it by the normal form of its address."""
        return {GSI1: {**self.__dict__, "address": address_key(self.email)}}


class InviteExists(AlreadyExists):
    """The invite's id or token is taken."""

    current: Invite | None


class InviteClosed(IllegalTransition):
    """The invite's status cannot change to the requested one."""

    current: Invite


@dataclass(frozen=True, slots=True)
class IssuedInvite:
    """A new invite and its token. The token is not stored and is returned only here."""

    invite: Invite
    token: str = field(repr=False)
    """What the invited person presents, for example in a link."""


@dataclass(frozen=True, slots=True)
class InvitePlace:
    """Where an invite is stored, as its two pointer items say."""

    organization_id: str
    created_at: datetime
    invite_id: str

    @property
    def key(self) -> Key:
        """The table key of the invite."""
        return keyspace.INVITE.key(
            organization_id=self.organization_id,
            created_at=self.created_at,
            invite_id=self.invite_id,
        )


def invite_items(invite: Invite, token_hash: str) -> tuple[AttributeValues, ...]:
    """The three items of an invite: itself, and the pointers by id and by token hash."""
    item = plan(Invite).encode(invite) | {HASH_ATTRIBUTE: {"S": token_hash}}
    fields = {**invite.__dict__, "token_hash": token_hash}
    place = {
        "organization_id": {"S": invite.organization_id},
        "created_at": {"S": format_time(invite.created_at)},
    }
    by_id = helper_item(keyspace.INVITE_ID, fields) | place
    by_token = helper_item(keyspace.INVITE_TOKEN, fields, invite_id=invite.invite_id) | place
    return item, by_id, by_token


def place_of(pointer: AttributeValues, invite_id: str | None = None) -> InvitePlace:
    """Where the invite of a pointer is: an id item if `invite_id` is given. CorruptItem."""
    layout = keyspace.INVITE_TOKEN if invite_id is None else keyspace.INVITE_ID
    place = InvitePlace(
        organization_id=helper_text(pointer, "organization_id", layout),
        created_at=helper_time(pointer, "created_at", layout),
        invite_id=helper_text(pointer, "invite_id", layout) if invite_id is None else invite_id,
    )
    with leading(pointer, layout):
        place.key  # noqa: B018 - checks that the key can be built
    return place


def token_hash_of(item: AttributeValues) -> str:
    """The token hash stored with an invite's item. CorruptItem."""
    found = helper_text(item, HASH_ATTRIBUTE, keyspace.INVITE)
    with leading(item, keyspace.INVITE):
        keyspace.INVITE_TOKEN.key(token_hash=found)
    return found


def pointer_deletes(item: AttributeValues) -> Iterator[Delete]:
    """Deletes of the pointers to the invite stored as `item`, unless they now point elsewhere.

    CorruptItem at the first pointer whose key the item does not give.
    """
    (organization_id,) = key_parts(keyspace.INVITE, item, PK)
    created_at, invite_id = key_parts(keyspace.INVITE, item, SK)
    leads_here = (Path("organization_id") == organization_id) & (
        Path("created_at") == format_time(created_at)
    )
    is_gone = Item.PK.does_not_exist()
    yield Delete(keyspace.INVITE_ID.key(invite_id=invite_id), is_gone | leads_here)
    leads_here &= Path("invite_id") == invite_id
    token_key = keyspace.INVITE_TOKEN.key(token_hash=token_hash_of(item))
    yield Delete(token_key, is_gone | leads_here)


def has_token(token_hash: str) -> Condition:
    """Condition: the invite has this token, so it is not a newer invite with the same id."""
    condition: Condition = Path(HASH_ATTRIBUTE) == token_hash
    return condition


def is_pending(now: datetime) -> Condition:
    """Condition: the invite is pending and has not expired."""
    attributes = plan(Invite).model
    condition: Condition = (attributes.status == "pending") & (attributes.expires_at > now)
    return condition
