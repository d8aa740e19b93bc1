"""The repository of members: O2–O4. The entity and the seat counts are in `seats`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from dynamo_chat import keyspace
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import (
    actions,
    check_indexed,
    check_rewritten,
    checked,
    checked_as,
)
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Unchanged, validated
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.transaction import Update, contended
from dynamo_chat.orgs.lists import Lists
from dynamo_chat.orgs.organization import is_organization, organization_key
from dynamo_chat.orgs.seats import (
    ROLES,
    Decision,
    Member,
    MemberExists,
    MemberRole,
    MemberStatus,
    Move,
    SeatKeeper,
    deleted_user,
    no_member,
    not_deleted,
    refusal,
    seat_writes,
    successor,
)


class Members(Repository):
    """Add, find, change and remove members."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._lists = Lists(binding)
        self._seats = SeatKeeper(binding)

    @access_pattern("O2", "TransactWriteItems", "1", owner="argument", renamed={"joined_at": "at"})
    def add(
        self,
        organization_id: str,
        user_id: str,
        *,
        role: MemberRole = "member",
        status: MemberStatus = "active",
        permissions: Mapping[str, Any] | None = None,
        invited_by: str | None = None,
        at: datetime | None = None,
    ) -> Member:
        """Add a member to an organization and return it. A retry returns the existing member.

        AlreadyExists if the user is a member with other values. LimitExceeded if no seat is free.
        NotFound if the organization does not exist or the user was deleted.
        """
        now = self._now()
        joined = now if at is None else utc("at", at)
        member = validated(
            Member,
            organization_id=organization_id,
            user_id=user_id,
            role=role,
            status=status,
            permissions=_permissions(permissions),
            invited_by=invited_by,
            joined_at=not_ahead("at", joined, now),
        )
        check_indexed("permissions", member.permissions)
        return self._added(member, now)

    @access_pattern("O2", "TransactWriteItems", "1", owner="argument")
    def load(self, member: Member) -> Member:
        """Store a member of another system unchanged, and return it.

        Loading it again returns the existing member. AlreadyExists if the user is a member with
        other values. LimitExceeded if no seat is free. NotFound if the organization does not exist
        or the user was deleted. InvalidArgument for times more than five minutes ahead.
        """
        if not isinstance(member, Member):
            raise InvalidArgument("member", f"must be a Member, not {type(member).__name__}")
        now = self._now()
        not_ahead("member.joined_at", member.joined_at, now)
        not_ahead("member.last_active", member.last_active or now, now)
        return self._added(member, now)

    @access_pattern("O2", "BatchGetItem, TransactWriteItems", "≤2", owner="key")
    def update(
        self,
        organization_id: str,
        user_id: str,
        *,
        role: MemberRole | Unchanged = UNCHANGED,
        status: MemberStatus | Unchanged = UNCHANGED,
        permissions: Mapping[str, Any] | Unchanged | None = UNCHANGED,
    ) -> Member:
        """Change role, status or permissions of a member and return it. NotFound.

        Permissions are replaced as a whole; None empties them. IllegalTransition if the
        organization would have no active owner. LimitExceeded if it needs a seat and none is free.
        """
        if not isinstance(permissions, Unchanged):
            permissions = _permissions(permissions)
        changes = checked(Member, role=role, status=status, permissions=permissions)
        if not changes:
            raise InvalidArgument("update", "give at least one field to change")
        check_rewritten(**changes)

        def decide() -> Decision:
            before = self._seats.present(organization_id, user_id)
            after = before.model_copy(update=changes)
            if after.permissions != before.permissions:
                check_indexed("permissions", after.permissions)
            return Decision(after, [] if after == before else [Move(before, after)])

        return self._seats.carry_out(organization_id, decide)

    @access_pattern("O2", "BatchGetItem, TransactWriteItems", "≤2", owner="key")
    def remove(self, organization_id: str, user_id: str) -> Member:
        """Remove a member from an organization and return it as it was. NotFound.

        IllegalTransition if it is the last active owner.
        """

        def decide() -> Decision:
            before = self._seats.present(organization_id, user_id)
            return Decision(before, [Move(before, None)])

        return self._seats.carry_out(organization_id, decide)

    @access_pattern("O2", "BatchGetItem, TransactWriteItems", "≤2", owner="key")
    def replace(self, organization_id: str, user_id: str, *, heir_id: str) -> Member:
        """Replace a member with another user, the heir. Returns the heir's membership.

        This is how the last owner leaves, in one transaction. The heir becomes active, with the
        higher role of the two; an heir who was no member also gets the permissions. NotFound if
        `user_id` is no member, or the heir was deleted.
        """
        checked_as(Member, "user_id", heir_id, "heir_id")
        if heir_id == user_id:
            raise InvalidArgument("heir_id", "must be another user")
        ids = (user_id, heir_id)
        keys = [keyspace.MEMBER.key(organization_id=organization_id, user_id=each) for each in ids]

        def decide() -> Decision:
            organization, *items = self._get_items(
                [organization_key(organization_id), *keys], consistent=True
            )
            leaving, heir = (None if item is None else plan(Member).decode(item) for item in items)
            if leaving is None or not is_organization(organization):
                raise no_member(organization_id, user_id)
            following = successor(leaving, heir, heir_id, self._now())
            return Decision(
                following,
                [Move(leaving, None), Move(heir, following)],
                also=[not_deleted(heir_id)],
                known=[heir_id],
            )

        return self._seats.carry_out(organization_id, decide)

    @access_pattern("O2", "BatchGetItem, UpdateItem", "≤2", owner="key")
    def touch(self, organization_id: str, user_id: str) -> Member:
        """Set a member's last activity to now and return it. NotFound."""
        self._seats.present(organization_id, user_id)
        now = self._now()
        attributes = plan(Member).model
        is_later = attributes.last_active.does_not_exist() | (attributes.last_active <= now)
        key = keyspace.MEMBER.key(organization_id=organization_id, user_id=user_id)
        set_time = actions(Member, {"last_active": now})
        try:
            exists = attributes.role.exists()
            return plan(Member).decode(
                self._write(Update(key, set_time, exists & is_later), returning=True)
            )
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if there is None:
                raise no_member(organization_id, user_id) from failed
            return plan(Member).decode(there)  # another server wrote a later time

    @access_pattern("O3", "BatchGetItem", "1", owner="key")
    def get(self, organization_id: str, user_id: str, *, consistent: bool = True) -> Member:
        """The membership of a user in an organization. NotFound.

        An organization that is being deleted has no members. ``consistent=False`` halves the cost,
        but may still return somebody who was just removed.
        """
        return self._seats.present(organization_id, user_id, consistent=consistent)

    @access_pattern("O10", "BatchGetItem", "1", owner="key")
    def authorize(
        self, organization_id: str, user_id: str, *, roles: Collection[MemberRole] = ROLES
    ) -> OfOrganization:
        """Check that a user is an active member, and return the owner of shared conversations.

        Pass it as `user_id` to the methods of conversations. Strongly consistent: somebody who was
        removed a moment ago is refused. NotFound unless the user is an active member with one of
        the `roles`, in an organization that exists.
        """
        wanted = _roles(roles)
        member = self._seats.present(organization_id, user_id)
        if member.status != "active":
            raise no_member(organization_id, user_id)
        if member.role not in wanted:
            named = " or ".join(wanted)
            raise NotFound(f"{named} of organization {organization_id!r}", user_id)
        return OfOrganization(organization_id)

    @access_pattern(
        "O3",
        "Query, GetItem",
        "1 for a page with the last member, else 2; 3 if the organization is under 5 minutes old",
        budget=2,
        owner="argument",
    )
    def list_by_organization(
        self,
        organization_id: str,
        *,
        descending: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        consistent: bool = False,
    ) -> Page[Member]:
        """An organization's members by user id; empty if the organization does not exist."""
        return self._lists.members(
            PageRequest((organization_id,), descending, page_size, cursor, consistent=consistent),
            organization_id,
            plan(Member).decode,
        )

    iterate_by_organization = iterating(list_by_organization)

    @access_pattern("O4", "Query, BatchGetItem", "≤2", index="GSI1 + table", owner="argument")
    def list_by_user(
        self,
        user_id: str,
        *,
        descending: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Member]:
        """A user's memberships by organization id."""
        return self._lists.across(
            PageRequest((user_id,), descending, page_size, cursor),
            keyspace.MEMBER.collection(GSI1, user_id)(),
            plan(Member).decode,
        )

    iterate_by_user = iterating(list_by_user)

    def _added(self, member: Member, now: datetime) -> Member:
        """Add a member, and return it; or the same one, if it exists."""
        check_rewritten(permissions=member.permissions)
        moves = [Move(None, member)]
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            try:
                self._write(*seat_writes(member.organization_id, moves, now))
            except ConditionFailed as failed:
                deleted = deleted_user(failed)
                if deleted is not None:
                    raise deleted from failed
                refused = None
                if 0 in failed.items:
                    refused = refusal(member.organization_id, failed.items[0], moves)
                if isinstance(refused, NotFound):
                    raise refused from failed
                # The organization may be full because an earlier try of this call succeeded.
                there = self._seats.member(member.organization_id, member.user_id)
                if there is None:
                    if refused is not None:
                        raise refused from failed
                    continue  # the existing member has been removed since
                if not _says_the_same(there, member):
                    message = f"user {member.user_id!r} is a member already"
                    raise MemberExists(message, there) from failed
                return there
            return member
        raise contended("the organization's members")


def _says_the_same(there: Member, wanted: Member) -> bool:
    compared = ("role", "status", "permissions", "invited_by")
    return all(getattr(there, name) == getattr(wanted, name) for name in compared)


def _roles(given: Any) -> list[MemberRole]:
    """The roles, the highest first. InvalidArgument unless they are some of `ROLES`."""
    is_list = isinstance(given, Collection) and not isinstance(given, (str, bytes, Mapping))
    if not is_list or not given or len(given) > len(ROLES) or any(x not in ROLES for x in given):
        raise InvalidArgument("roles", f"must be some of {', '.join(map(repr, ROLES))}")
    return [each for each in ROLES if each in given]


def _permissions(value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgument("permissions", f"must be a mapping, not {type(value).__name__}")
    return dict(value)
