"""The repository of invites: O5–O8. The entity is in `invite`.

Accepting an invite also reads users: the store passes in the function (`workflows.accept_invite`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import address_key, domain_of
from dynamo_chat.core.bearer import given_or_new, hash_of, is_same
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, TABLE
from dynamo_chat.core.owners import check_owner, is_owned, own
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import BEARER, access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Check, Delete, Key, Put, Update, absent, contended
from dynamo_chat.orgs.invite import (
    Invite,
    InviteClosed,
    InviteExists,
    InvitePlace,
    InviteRole,
    InviteStatus,
    IssuedInvite,
    has_token,
    invite_items,
    is_pending,
    place_of,
    pointer_deletes,
    token_hash_of,
)
from dynamo_chat.orgs.lists import Lists
from dynamo_chat.orgs.organization import (
    admits,
    is_organization,
    organization_exists,
    organization_key,
)
from dynamo_chat.orgs.seats import Member, refusal

DEFAULT_LIFETIME = timedelta(days=7)
MAX_LIFETIME = timedelta(days=366)


AcceptInvite: TypeAlias = Callable[[str, str, bool], Member]
"""Accepts an invite; takes token, user id and `any_address`: see `Invites.accept`."""


class Invites(Repository):
    """Issue, find, list, accept, cancel and delete invites."""

    def __init__(self, binding: Binding, accept: AcceptInvite) -> None:
        super().__init__(binding)
        self._lists = Lists(binding)
        self._accept = accept

    @access_pattern("O5", "TransactWriteItems", "1", owner="creation")
    def create(
        self,
        organization_id: str,
        email: str,
        *,
        invited_by: str,
        role: InviteRole = "member",
        lifetime: timedelta = DEFAULT_LIFETIME,
        invite_id: str | None = None,
        token: str | None = None,
    ) -> IssuedInvite:
        """Invite an address to an organization. Returns the invite with its token.

        To make retries safe, pass your own id and a token of at least 128 random bits: a retry
        with both returns the existing invite. AlreadyExists if one of them belongs to another
        invite. Conflict if the organization verifies domains and the address has another domain.
        NotFound if the organization does not exist.
        """
        known = given_or_new("token", token)
        now = self._now()
        invite = validated(
            Invite,
            organization_id=organization_id,
            created_at=now,
            invite_id=self._new_id() if invite_id is None else invite_id,
            email=email,
            invited_by=invited_by,
            role=role,
            status="pending",
            expires_at=now + _lifetime(lifetime),
        )
        domain, token_hash = domain_of(email), hash_of("token", known)
        allowed = organization_exists() & admits(domain)
        try:
            self._write(
                Check(organization_key(organization_id), allowed),
                *(Put(item, absent(now)) for item in invite_items(invite, token_hash)),
            )
        except ConditionFailed as failed:
            item = failed.items.get(0)
            is_gone = 0 in failed.items and not is_organization(item)
            if failed.items.keys() - {0} and not is_gone:
                return IssuedInvite(self._already_there(failed, invite, token_hash), known)
            refused = refusal(organization_id, item, (), domain=domain)
            raise refused or contended("the organization") from failed
        return IssuedInvite(invite, known)

    @access_pattern("O5", "TransactWriteItems", "1; 3 if it exists", budget=1, owner="creation")
    def load(self, invite: Invite, *, token: str | None = None) -> Invite:
        """Store an invite of another system unchanged, in any status, and return it.

        With its token, it can be accepted as before; without, a pending invite can only be
        cancelled. Loading it again returns the existing invite. AlreadyExists if the id or the
        token belongs to another one. NotFound if the organization does not exist. InvalidArgument
        for a creation time more than five minutes ahead.
        """
        if not isinstance(invite, Invite):
            raise InvalidArgument("invite", f"must be an Invite, not {type(invite).__name__}")
        now = self._now()
        not_ahead("invite.created_at", invite.created_at, now)
        token_hash = hash_of("token", given_or_new("token", token))
        try:
            self._write(
                Check(organization_key(invite.organization_id), organization_exists()),
                *(Put(item, absent(now)) for item in invite_items(invite, token_hash)),
            )
        except ConditionFailed as failed:
            if 0 in failed.items:
                raise NotFound("organization", invite.organization_id) from failed
            there = self.get(invite.invite_id) if 2 in failed.items else None
            if there is None:
                raise InviteExists("the invite token is in use") from failed
            if there != invite.as_of(now):
                seen = own(there, "organization_id", invite.organization_id)
                raise InviteExists(f"invite id {invite.invite_id!r} is taken", seen) from failed
        return invite.as_of(now)

    @access_pattern("O6", "GetItem, BatchGetItem", "≤2", owner="read")
    def get(self, invite_id: str, *, organization_id: str | None = None) -> Invite:
        """The invite with this id; its status is ``expired`` once its time is up.

        NotFound, also if `organization_id` is given and it is another organization's.
        """
        _, item = self._by_id(invite_id, organization_id)
        return plan(Invite).decode(item).as_of(self._now())

    @access_pattern("O6", "GetItem, BatchGetItem", "≤2", owner=BEARER)
    def get_by_token(self, token: str) -> Invite:
        """The invite with this token; its status is ``expired`` once its time is up. NotFound."""
        place = place_by_token(self._get_item(token_key(token), consistent=True))
        organization, item = self._get_items(
            [organization_key(place.organization_id), place.key], consistent=True
        )
        if not is_organization(organization):
            raise NotFound("invite")
        return invite_of(item, token).as_of(self._now())

    @access_pattern("O7", "GetItem, Query", "≤2", owner="argument")
    def list_by_organization(
        self,
        organization_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        consistent: bool = False,
    ) -> Page[Invite]:
        """An organization's invites in every status, by creation time, newest first.

        With `since` and `until`, those created in [since, until).
        """
        lower, upper = time_range(since, until)
        chosen = ("organization", organization_id, lower, upper)
        return self._lists.invites(
            PageRequest(chosen, newest_first, page_size, cursor, consistent),
            organization_id,
            keyspace.INVITE.collection(TABLE, organization_id)(lower=lower, until=upper),
            self._as_read,
        )

    iterate_by_organization = iterating(list_by_organization)

    @access_pattern("O7", "Query, BatchGetItem", "≤2", index="GSI1 + table", owner="argument")
    def list_by_address(
        self,
        email: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Invite]:
        """The invites to an address, by creation time, newest first; case does not matter.

        With `since` and `until`, those created in [since, until).
        """
        lower, upper = time_range(since, until)
        address = address_key(email)
        return self._lists.across(
            PageRequest(("address", address, lower, upper), newest_first, page_size, cursor),
            keyspace.INVITE.collection(GSI1, address)(lower=lower, until=upper),
            self._as_read,
        )

    iterate_by_address = iterating(list_by_address)

    @access_pattern(
        "O8", "GetItem, BatchGetItem, TransactWriteItems", "≤3", owner=BEARER, domain="workflows"
    )
    def accept(self, token: str, user_id: str, *, any_address: bool = False) -> Member:
        """Accept an invite as a user and return the membership. A retry returns the same one.

        The invited address must be the user's e-mail; with `any_address`, the token is enough. A
        response e-mail does not count, because users can choose it freely. NotFound if user or
        invite does not exist, or the invite is for another address. IllegalTransition if it has
        expired, was cancelled, or was accepted before. AlreadyExists if the user is a member
        already. LimitExceeded if no seat is free. Conflict if the organization admits only its
        own domain.
        """
        return self._accept(token, user_id, any_address)

    @access_pattern("O8", "GetItem, BatchGetItem, UpdateItem", "≤3", owner="condition")
    def cancel(self, invite_id: str, *, organization_id: str | None = None) -> Invite:
        """Cancel a pending invite and return it. Cancelling it again changes nothing.

        IllegalTransition if it was accepted or has expired. NotFound, as for `get`.
        """
        return self._moved(invite_id, organization_id, "cancelled", is_pending(self._now()))

    @access_pattern("O8", "GetItem, BatchGetItem, UpdateItem", "≤3", owner="condition")
    def expire(self, invite_id: str, *, organization_id: str | None = None) -> Invite:
        """Set a pending invite to ``expired`` now and return it. Repeating this changes nothing.

        IllegalTransition if it was accepted or cancelled. NotFound, as for `get`.
        """
        is_open = plan(Invite).model.status == "pending"
        return self._moved(invite_id, organization_id, "expired", is_open)

    @access_pattern("O8", "GetItem, BatchGetItem, TransactWriteItems", "≤3", owner="condition")
    def delete(self, invite_id: str, *, organization_id: str | None = None) -> None:
        """Delete an invite and its pointer items; its id is free again. NotFound, as for `get`.

        If another call gave the id to a new invite meanwhile, that one stays: NotFound, too.
        """
        place, item = self._by_id(invite_id, organization_id)
        is_it = Item.PK.does_not_exist() | has_token(token_hash_of(item))
        try:
            self._write(Delete(place.key, is_it), *pointer_deletes(item))
        except ConditionFailed as failed:
            raise NotFound("invite", invite_id) from failed

    # -- inside -------------------------------------------------------------------------------

    def _by_id(
        self, invite_id: str, organization_id: str | None
    ) -> tuple[InvitePlace, AttributeValues]:
        """Where the invite is, and its item. NotFound, also while its organization is deleted."""
        check_owner("organization_id", organization_id)
        pointer = self._get_item(keyspace.INVITE_ID.key(invite_id=invite_id), consistent=True)
        if pointer is None or not is_owned(pointer, "organization_id", organization_id):
            raise NotFound("invite", invite_id)
        place = place_of(pointer, invite_id)
        organization, item = self._get_items(
            [organization_key(place.organization_id), place.key], consistent=True
        )
        if item is None or not is_organization(organization):
            raise NotFound("invite", invite_id)
        return place, item

    def _moved(
        self,
        invite_id: str,
        organization_id: str | None,
        status: InviteStatus,
        allowed: Condition,
    ) -> Invite:
        place, item = self._by_id(invite_id, organization_id)
        now = self._now()
        invite = plan(Invite).decode(item).as_of(now)
        if invite.status == status:
            return invite
        # Only the invite that was read, not a newer one with the same id.
        is_it = allowed & has_token(token_hash_of(item))
        update = Update(place.key, [plan(Invite).model.status.set(status)], is_it)
        try:
            return plan(Invite).decode(self._write(update, returning=True))
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if there is None or token_hash_of(there) != token_hash_of(item):
                raise NotFound("invite", invite_id) from failed
            invite = plan(Invite).decode(there).as_of(now)
            if invite.status == status:
                return invite
            raise illegal(invite, status) from failed

    def _already_there(self, failed: ConditionFailed, wanted: Invite, token_hash: str) -> Invite:
        """The existing invite, if it equals the wanted one. AlreadyExists otherwise."""
        by_id = failed.items.get(2)
        if by_id is None:
            raise InviteExists("the invite token is in use") from failed
        item = self._get_item(place_of(by_id, wanted.invite_id).key, consistent=True)
        there = None if item is None else plan(Invite).decode(item)
        if (
            item is None
            or there is None
            or not is_same(token_hash_of(item), token_hash)
            or not _says_the_same(there, wanted)
        ):
            seen = own(there, "organization_id", wanted.organization_id)
            raise InviteExists(f"invite id {wanted.invite_id!r} is taken", seen) from failed
        return there.as_of(self._now())

    def _as_read(self, item: AttributeValues) -> Invite:
        return plan(Invite).decode(item).as_of(self._now())


def illegal(invite: Invite, status: InviteStatus) -> InviteClosed:
    """The error for a change to `status` that the invite's status does not allow."""
    return InviteClosed(
        f"a {invite.status} invite cannot become {status}; create a new one", invite
    )


def token_key(token: str) -> Key:
    """The key of the item that points from a token to its invite."""
    return keyspace.INVITE_TOKEN.key(token_hash=hash_of("token", token))


def place_by_token(pointer: AttributeValues | None) -> InvitePlace:
    """Where the invite is that a token item points to. NotFound."""
    if pointer is None:
        raise NotFound("invite")
    return place_of(pointer)


def invite_of(item: AttributeValues | None, token: str) -> Invite:
    """The invite stored as `item`. NotFound if it is missing or has another token."""
    if item is None or not is_same(token_hash_of(item), hash_of("token", token)):
        raise NotFound("invite")
    return plan(Invite).decode(item)


def _says_the_same(there: Invite, wanted: Invite) -> bool:
    compared = ("organization_id", "email", "invited_by", "role")
    return all(getattr(there, name) == getattr(wanted, name) for name in compared)


def _lifetime(lifetime: timedelta) -> timedelta:
    if not isinstance(lifetime, timedelta) or not timedelta() < lifetime <= MAX_LIFETIME:
        raise InvalidArgument("lifetime", "must be a timedelta above 0 and at most 366 days")
    return lifetime
