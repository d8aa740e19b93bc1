"""Members of an organization, and the counts that must match them.

Every change of membership is one transaction, made of moves. A move is a member before and after;
the change of the organization's counts follows from it:

    before      after       seats  owners
    –           active        +1     +1 for an owner     (a pending member takes a seat, too)
    active      inactive      -1     -1 for an owner
    owner       admin          0     -1
    any         –             -1 if it had a seat, -1 if it was an active owner

The same update of the organization has the conditions: a seat is free, an owner remains. A change
reads the memberships, decides on the moves, and writes on condition that what was read is
unchanged; if that fails, it reads and decides again.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal, NamedTuple, get_args

from pydantic import Field
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.changes import actions
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity, Id, JsonObject, Time
from dynamo_chat.core.errors import (
    AlreadyExists,
    DynamoChatError,
    NotFound,
)
from dynamo_chat.core.item import helper_item, is_kind, key_parts, plan
from dynamo_chat.core.layout import KIND, PK, Layout
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Key, Put, Update, Write, absent, contended
from dynamo_chat.orgs.organization import (
    DomainMismatch,
    LastOwner,
    Organization,
    QuotaExceeded,
    admits,
    is_organization,
    organization_exists,
    organization_key,
)

MemberRole = Literal["owner", "admin", "member", "viewer"]
MemberStatus = Literal["active", "inactive", "pending"]

ROLES: Final[tuple[MemberRole, ...]] = get_args(MemberRole)
"""The roles, the highest first."""


class Member(Entity):
    """A user's membership of an organization."""

    layout: ClassVar[Layout] = keyspace.MEMBER

    organization_id: Id
    user_id: Id
    role: MemberRole
    status: MemberStatus
    permissions: JsonObject = Field(default_factory=dict)
    """Free data, of at most 4,096 bytes as JSON."""
    invited_by: Id | None = None
    """The id of the user who invited or added them."""
    joined_at: Time
    last_active: Time | None = None

    @property
    def takes_seat(self) -> bool:
        """True if the member counts towards `max_users`."""
        return self.status != "inactive"

    @property
    def is_active_owner(self) -> bool:
        """True if the member is an active owner; an organization needs at least one."""
        return self.role == "owner" and self.status == "active"


class MemberExists(AlreadyExists):
    """The user is a member already."""

    current: Member


class Move(NamedTuple):
    """A member before and after a change; None if there is no member."""

    before: Member | None
    after: Member | None

    @property
    def seats(self) -> int:
        """The change in the number of seats taken."""
        return _count(self.after, "takes_seat") - _count(self.before, "takes_seat")

    @property
    def owners(self) -> int:
        """The change in the number of active owners."""
        return _count(self.after, "is_active_owner") - _count(self.before, "is_active_owner")


class Decision(NamedTuple):
    """The moves of one change of membership, decided from what was read."""

    member: Member
    """What the caller gets after the change."""
    moves: Sequence[Move]
    """Empty if there is nothing to do."""
    domain: str | None = None
    """If given, the organization must admit addresses of this domain."""
    also: Sequence[Write] = ()
    """Further writes of the same transaction."""
    known: Container[str | None] = ()
    """Users whose existence those writes check."""


class SeatKeeper(Repository):
    """Changes the members of an organization and its counts."""

    def carry_out(self, organization_id: str, decide: Callable[[], Decision]) -> Member:
        """Write what `decide` decides; if the items have changed since, decide again.

        A refusal is raised only if deciding again gives the same change of counts: the first try
        may have succeeded and its answer been lost, or the member may have changed.
        """
        refused: tuple[DynamoChatError, tuple[int, int]] | None = None
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            member, moves, domain, also, known = decide()
            if not moves:
                return member
            if refused is not None and refused[1] == _sums(moves):
                raise refused[0]
            refused = None
            try:
                writes = seat_writes(
                    organization_id, moves, self._now(), domain=domain, known=known
                )
                self._write(*writes, *also)
            except ConditionFailed as failed:
                deleted = deleted_user(failed)
                if deleted is not None:
                    raise deleted from failed
                if 0 in failed.items:
                    item = failed.items[0]
                    reason = refusal(organization_id, item, moves, domain=domain)
                    refused = None if reason is None else (reason, _sums(moves))
                continue
            return member
        raise contended("the organization's members")

    def member(
        self, organization_id: str, user_id: str, *, consistent: bool = True
    ) -> Member | None:
        """The member; None if the member or the organization does not exist."""
        key = keyspace.MEMBER.key(organization_id=organization_id, user_id=user_id)
        organization, member = self._get_items(
            [organization_key(organization_id), key], consistent=consistent
        )
        if member is None or not is_organization(organization):
            return None
        return plan(Member).decode(member)

    def present(self, organization_id: str, user_id: str, *, consistent: bool = True) -> Member:
        """The member. NotFound."""
        found = self.member(organization_id, user_id, consistent=consistent)
        if found is None:
            raise no_member(organization_id, user_id)
        return found


def seat_writes(
    organization_id: str,
    moves: Sequence[Move],
    now: datetime,
    *,
    domain: str | None = None,
    known: Container[str | None] = (),
) -> list[Write]:
    """The writes of the transaction that makes `moves`, the organization's own write first.

    With `domain`, only if the organization admits addresses of that domain. A user who is being
    deleted, or whose id is retired, cannot become a member or owner; for the `known` users the
    caller's own writes check that.
    """
    writes: list[Write] = [_organization_write(organization_id, moves, domain)]
    for before, after in moves:
        if before is None and after is not None:
            writes += [Put(plan(Member).encode(after), absent(now)), Put(membership_item(after))]
        elif before is not None and after is not None:
            writes.append(_change(before, after))
        elif before is not None:
            fields = before.__dict__
            writes.append(Delete(keyspace.MEMBER.key(**fields), _is_still(before)))
            writes.append(Delete(keyspace.MEMBERSHIP.key(**fields)))
        if after is not None and after.user_id not in known and _is_granted(before, after):
            writes.append(not_deleted(after.user_id))
    return writes


def not_deleted(user_id: str) -> Check:
    """Check that the user is not being deleted and the id is not retired."""
    # Applications may store users elsewhere: then there is no item.
    is_elsewhere = Path(KIND).does_not_exist()
    return Check(
        keyspace.USER.key(user_id=user_id),
        is_elsewhere | (Path(KIND) != keyspace.USER_TOMBSTONE.kind),
    )


def deleted_user(failed: ConditionFailed) -> NotFound | None:
    """The error if a change failed because its user was deleted; None otherwise."""
    for item in failed.items.values():
        if item is not None and is_kind(item, keyspace.USER_TOMBSTONE):
            (user_id,) = key_parts(keyspace.USER_TOMBSTONE, item, PK)
            return NotFound("user", user_id)
    return None


def refusal(
    organization_id: str,
    item: AttributeValues | None,
    moves: Sequence[Move],
    *,
    domain: str | None = None,
) -> DynamoChatError | None:
    """The error if the organization stored as `item` does not allow `moves`; None if it does."""
    if item is None or not is_organization(item):
        return NotFound("organization", organization_id)
    organization = plan(Organization).decode(item)
    seats, owners = _sums(moves)
    limit = organization.max_users
    if seats > 0 and limit is not None and organization.member_count + seats > limit:
        return QuotaExceeded(
            f"all {limit:,} seats of the organization are taken; remove a member or increase "
            "max_users",
            organization,
        )
    if owners < 0 and organization.owner_count + owners < 1:
        return LastOwner(
            "an organization needs at least one active owner; make another member owner first",
            organization,
        )
    if domain is not None and not _lets_in(organization, domain):
        return DomainMismatch(
            "the organization admits addresses of its own domain only", organization
        )
    return None


def member_key(member: Member) -> Key:
    """The table key of a member."""
    return keyspace.MEMBER.key(**member.__dict__)


def successor(leaving: Member, heir: Member | None, heir_id: str, now: datetime) -> Member:
    """The heir's membership in place of `leaving`: active, with the higher role of the two."""
    if heir is None:
        joined = {"user_id": heir_id, "status": "active", "joined_at": now}
        return leaving.model_copy(update={**joined, "invited_by": None, "last_active": None})
    role = min(leaving.role, heir.role, key=ROLES.index)
    return heir.model_copy(update={"role": role, "status": "active"})


def no_member(organization_id: str, user_id: str) -> NotFound:
    """The error for a membership that does not exist."""
    return NotFound(f"member of organization {organization_id!r}", user_id)


def _is_granted(before: Member | None, after: Member) -> bool:
    """True if the user becomes a member or an active owner."""
    if before is None:
        return True
    return after.is_active_owner and not before.is_active_owner


def _organization_write(
    organization_id: str, moves: Sequence[Move], domain: str | None
) -> Update | Check:
    attributes = plan(Organization).model
    seats, owners = _sums(moves)
    if seats > 1:
        raise TypeError("one transaction can fill one seat only: a condition cannot add")
    condition = organization_exists()
    changed = []
    if seats:
        changed.append(attributes.member_count.add(seats))
    if seats > 0:
        has_no_limit = attributes.max_users.does_not_exist()
        condition &= has_no_limit | (attributes.member_count < attributes.max_users)
    if owners:
        changed.append(attributes.owner_count.add(owners))
    if owners < 0:
        condition &= attributes.owner_count > -owners
    if domain is not None:
        condition &= admits(domain)
    key = organization_key(organization_id)
    return Update(key, changed, condition) if changed else Check(key, condition)


def _change(before: Member, after: Member) -> Update | Check:
    differing = {
        name: value for name, value in after.__dict__.items() if before.__dict__[name] != value
    }
    if not differing:
        return Check(member_key(before), _is_still(before))
    return Update(member_key(before), actions(Member, differing), _is_still(before))


def membership_item(member: Member) -> AttributeValues:
    """The item in the user's partition that points to a member."""
    return helper_item(keyspace.MEMBERSHIP, member.__dict__)


def is_active_owner() -> Condition:
    """`Member.is_active_owner` as a condition."""
    attributes = plan(Member).model
    condition: Condition = (attributes.role == "owner") & (attributes.status == "active")
    return condition


def _is_still(before: Member) -> Condition:
    attributes = plan(Member).model
    condition: Condition = (
        (Path(KIND) == keyspace.MEMBER.kind)
        & (attributes.role == before.role)
        & (attributes.status == before.status)
        & (attributes.joined_at == before.joined_at)  # not of a newer organization with the same id
    )
    return condition


def _lets_in(organization: Organization, domain: str) -> bool:
    return not organization.email_domain_verification or organization.domain == domain


def _sums(moves: Sequence[Move]) -> tuple[int, int]:
    return sum(move.seats for move in moves), sum(move.owners for move in moves)


def _count(member: Member | None, quality: str) -> int:
    return int(member is not None and getattr(member, quality))
