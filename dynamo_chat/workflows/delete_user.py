"""Deleting a user with their memberships (U8), resumably.

    look      an organization would lose its last active owner? refused, unless an heir is named
    bury      a tombstone in the user's place: nobody finds the user, nothing can be added to them
    leave     each membership is given up, or handed to the heir, in a transaction of its own
    clear     logins are revoked, activity is deleted
    finish    addresses and id are free again

The tombstone stays until everything else is done, so a crash at any step is finished by the next
call. Memberships are found in the user's own partition, strongly consistent, and not in an index.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from dynamo_chat import keyspace
from dynamo_chat.core.changes import checked_as
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import IllegalTransition, InvalidArgument, NotFound
from dynamo_chat.core.item import is_kind, key_parts
from dynamo_chat.core.layout import KIND, PK, SK, TABLE
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.transaction import Check, Key
from dynamo_chat.identity.user import User, is_user, user_exists, user_key
from dynamo_chat.identity.users import Users
from dynamo_chat.orgs.organization import decode_organization, is_organization, organization_key
from dynamo_chat.orgs.seats import (
    Decision,
    Member,
    Move,
    SeatKeeper,
    decode_member,
    no_member,
    successor,
)

Memberships = Literal["remove", "keep"]


class Accounts(Users, SeatKeeper):
    """Users, and their deletion with what belongs to them."""

    @access_pattern(
        "U8",
        operation="Query, GetItem, BatchGetItem, UpdateItem, BatchWriteItem, TransactWriteItems",
        requests="4 + ⌈items/25⌉ + ⌈MB⌉; with memberships 2, and 2 for each, 5 for an heir's",
        budget=9,
    )
    def delete(
        self, user_id: str, *, memberships: Memberships = "remove", heir_id: str | None = None
    ) -> int:
        """Delete a user: addresses freed, logins revoked, activity deleted, organizations left.

        Returns the number of the user's items that went. Where the user is the last active owner,
        the heir takes over; without one that is an IllegalTransition, and nothing is changed.
        ``memberships="keep"`` leaves them as they are. After a crash half-way, call it again.
        NotFound when there is nothing to delete, or no such heir.
        """
        if memberships not in get_args(Memberships):
            raise InvalidArgument("memberships", "must be 'remove' or 'keep'")
        if heir_id is not None:
            checked_as(User, "user_id", heir_id, "heir_id")
            if heir_id == user_id:
                raise InvalidArgument("heir_id", "must be another user")
        is_leaving = memberships == "remove"
        if is_leaving:
            self._check_leaving(user_id, heir_id)
        tombstone = self._bury(user_id)
        count = 0
        for items in self._belongings(user_id):
            if is_leaving:
                for organization_id in _organizations(items):
                    self._leave(organization_id, user_id, heir_id)
            count += self._clear(items)
        return count + self._finish(user_id, tombstone)

    def _check_leaving(self, user_id: str, heir_id: str | None) -> None:
        """Refuse, before anything is changed, what would fail in the middle."""
        memberships = keyspace.MEMBERSHIP.collection(TABLE, user_id)()
        for items in self._walk(memberships, only=(PK, SK, KIND)):
            ids = _organizations(items)
            wanted = [
                key for each in ids for key in (organization_key(each), _member(each, user_id))
            ]
            found = self._get_items(wanted, consistent=True)
            for organization, member in zip(found[::2], found[1::2], strict=True):
                if heir_id is None and _is_last_owner(organization, member):
                    raise _needs_heir(organization)
        if heir_id is not None and not is_user(self._get_item(user_key(heir_id), consistent=True)):
            raise NotFound("user", heir_id)

    def _leave(self, organization_id: str, user_id: str, heir_id: str | None) -> None:
        """Give one membership up, or hand it to the heir when nobody else owns the organization."""
        try:
            self._without(organization_id, user_id)
        except NotFound:
            return  # removed in between; or the organization is being deleted, and it goes with it
        except IllegalTransition:
            if heir_id is None:
                raise
            self._hand_over(organization_id, user_id, heir_id)

    def _hand_over(self, organization_id: str, user_id: str, heir_id: str) -> Member:
        keys = [_member(organization_id, user_id), _member(organization_id, heir_id)]

        def decide() -> Decision:
            items = self._get_items([*keys, user_key(heir_id)], consistent=True)
            leaving, heir = (None if item is None else decode_member(item) for item in items[:2])
            if leaving is None:
                raise no_member(organization_id, user_id)
            if not is_user(items[2]):
                raise NotFound("user", heir_id)
            following = successor(leaving, heir, heir_id, self._now())
            moves = [Move(leaving, None), Move(heir, following)]
            return Decision(following, moves, also=[Check(user_key(heir_id), user_exists())])

        return self._carry_out(organization_id, decide)


def _organizations(items: Iterable[AttributeValues]) -> list[str]:
    """The organizations of the memberships among `items` of a user's partition."""
    layout = keyspace.MEMBERSHIP
    return [key_parts(layout, item, SK)[0] for item in items if is_kind(item, layout)]


def _member(organization_id: str, user_id: str) -> Key:
    return keyspace.MEMBER.key(organization_id=organization_id, user_id=user_id)


def _is_last_owner(organization: AttributeValues | None, member: AttributeValues | None) -> bool:
    if organization is None or member is None or not is_organization(organization):
        return False
    is_owner = decode_member(member).is_active_owner
    return is_owner and decode_organization(organization).owner_count == 1


def _needs_heir(organization: AttributeValues | None) -> IllegalTransition:
    return IllegalTransition(
        "the user is the last active owner of an organization; name an heir, or make somebody "
        "else an owner first",
        None if organization is None else decode_organization(organization),
    )
